"""Why products of two runs differ: what their seals say of how they were made."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tessella.io.seals import Seal
from tessella.run.causes import KINDS, Cause, Entry, changed_options, other_file, unexplained
from tessella.run.products import exposures_in, tiles_in

_NOW, _ANOTHER = "as it is now", "in another version than is there now"

Seals = Mapping[str, Seal]


@dataclass(frozen=True)
class Effect:
    """What a cause may have done."""

    cause: Cause
    #: Products that differ and for which it is among the causes, the first ones first.
    products: tuple[str, ...]
    #: Those of them that it acts on itself, not by what they are made from.
    direct: tuple[str, ...]
    #: How many of them have no other cause.
    n_alone: int
    #: Products that it could have changed, and that are equal.
    equal: tuple[str, ...]
    #: Stages that made the products, in the order of the work.
    stages: tuple[str, ...]


@dataclass(frozen=True)
class Explanation:
    """Which products of two runs differ, and why."""

    equal: tuple[str, ...]
    #: In the order of the work.
    differing: tuple[str, ...]
    only_in_a: tuple[str, ...]
    only_in_b: tuple[str, ...]
    #: Those that explain most come first.
    effects: tuple[Effect, ...]
    #: Exposures and tiles that only one of the runs has.
    exposures: tuple[tuple[str, ...], tuple[str, ...]]
    tiles: tuple[tuple[str, ...], tuple[str, ...]]

    @property
    def unexplained(self) -> tuple[str, ...]:
        """Products that differ although all that is recorded of them is equal."""
        return tuple(e.cause.what for e in self.effects if e.cause.kind == "unexplained")

    @property
    def same_bits(self) -> bool:
        """Whether both runs have the same products."""
        return not (self.differing or self.only_in_a or self.only_in_b)


def explain(a: Seals, b: Seals) -> Explanation:
    """Say which products differ and go back from each to what differs at its roots.

    Parameters
    ----------
    a, b : mappings
        All seals of a run, by name of the product.
    """
    walk = _Walk(a, b)
    order = walk.order()
    both = [name for name in order if name in a and name in b]
    differing = [name for name in both if a[name].whole != b[name].whole]
    equal = [name for name in both if a[name].whole == b[name].whole]
    return Explanation(
        tuple(equal),
        tuple(differing),
        tuple(name for name in order if name not in b),
        tuple(name for name in order if name not in a),
        tuple(_effects(walk, differing, equal)),
        *(_only(members(a), members(b)) for members in (exposures_in, tiles_in)),
    )


def _only(in_a: set[str], in_b: set[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return tuple(sorted(in_a - in_b)), tuple(sorted(in_b - in_a))


def _effects(walk: "_Walk", differing: list[str], equal: list[str]) -> Iterator[Effect]:
    causes = {name: walk.causes(name, name) for name in differing}
    spared = {name: walk.causes(name, name) for name in equal}
    every = set().union(*causes.values(), *spared.values())
    found = []
    for cause in every:
        products = tuple(name for name in differing if cause in causes[name])
        found.append(
            Effect(
                cause,
                products,
                tuple(name for name in products if cause in walk.own(name, name)),
                sum(causes[name] == {cause} for name in products),
                tuple(name for name in equal if cause in spared[name]),
                tuple(dict.fromkeys(walk.a[name].made_by["stage"] for name in products)),
            )
        )
    order = {kind: i for i, kind in enumerate(KINDS)}
    first = "unexplained", "stale"
    yield from sorted(
        found,
        key=lambda e: (
            e.cause.kind not in first,
            -len(e.products),
            -e.n_alone,
            order[e.cause.kind],
            str(e.cause),
        ),
    )


@dataclass(frozen=True)
class _Walk:
    """Goes from products to what they were made from, in two runs at a time."""

    a: Seals
    b: Seals
    _known: dict[tuple[str, str], frozenset[Cause]] = field(default_factory=dict)

    def order(self) -> list[str]:
        """Return the names of all products, each after what it is made from."""
        depth: dict[str, int] = {}

        def find(name: str) -> int:
            if name not in depth:
                depth[name] = 0
                seal = self.a.get(name) or self.b[name]
                needed = [entry["name"] for entry in seal.made_by.get("made_from", ())]
                depth[name] = 1 + max(
                    (find(n) for n in needed if n in self.a or n in self.b), default=0
                )
            return depth[name]

        return sorted({*self.a, *self.b}, key=lambda name: (find(name), name))

    def causes(self, name_a: str, name_b: str) -> frozenset[Cause]:
        """Return the roots of the difference of two products; of equal ones what had no effect."""
        pair = name_a, name_b
        if pair not in self._known:
            found = {*self.own(*pair)}
            for one, two in self._other_products(*pair):
                found |= self.causes(one, two)
            differs = self.a[name_a].whole != self.b[name_b].whole
            if differs and not found:
                found = {unexplained(self.a[name_a], self.b[name_b])}
            self._known[pair] = frozenset(found)
        return self._known[pair]

    def own(self, name_a: str, name_b: str) -> set[Cause]:
        """Return what differs in how two products were made, but for products of the runs."""
        one, two = self.a[name_a].made_by, self.b[name_b].made_by
        found = {*changed_options(one, two)}
        pairs, alone_a, alone_b = self._inputs(name_a, name_b)
        for entry_a, entry_b in pairs:
            is_renamed = entry_a["sha256"] == entry_b["sha256"]
            if is_renamed or not self._are_products(entry_a, entry_b):
                found.add(other_file(entry_a, entry_b))
            elif stale := self._stale(two["stage"], name_b, entry_a, entry_b):
                found.add(stale)
        for where, alone in (("A", alone_a), ("B", alone_b)):
            if alone:
                said = f"{alone[0]}" + (f" and {len(alone) - 1} more" if alone[1:] else "")
                found.add(Cause("members", two["stage"], f"made from {said} only in {where}"))
        return found

    def _other_products(self, name_a: str, name_b: str) -> Iterator[tuple[str, str]]:
        for entry_a, entry_b in self._inputs(name_a, name_b)[0]:
            is_renamed = entry_a["sha256"] == entry_b["sha256"]
            if self._are_products(entry_a, entry_b) and not is_renamed:
                yield entry_a["name"], entry_b["name"]

    def _are_products(self, entry_a: Entry, entry_b: Entry) -> bool:
        return entry_a["name"] in self.a and entry_b["name"] in self.b

    def _inputs(
        self, name_a: str, name_b: str
    ) -> tuple[list[tuple[Entry, Entry]], list[str], list[str]]:
        """Pair inputs that differ; of those without a counterpart return the names.

        Inputs that are called otherwise have a counterpart if there are as many of them on both
        sides: a stage names its inputs in a fixed order.
        """
        made_from = (
            self.a[name_a].made_by.get("made_from", ()), self.b[name_b].made_by.get("made_from", ())
        )  # fmt: skip
        in_a, in_b = ({entry["name"]: entry for entry in entries} for entries in made_from)
        pairs = [(in_a[name], in_b[name]) for name in in_a if name in in_b]
        rest_a, rest_b = (
            [entry for name, entry in one.items() if name not in two]
            for one, two in ((in_a, in_b), (in_b, in_a))
        )
        if len(rest_a) == len(rest_b) and not _other_members(rest_a, rest_b):
            pairs += zip(rest_a, rest_b, strict=True)
            rest_a, rest_b = [], []
        different = [(one, two) for one, two in pairs if one != two]
        return different, [entry["name"] for entry in rest_a], [entry["name"] for entry in rest_b]

    def _stale(self, stage: str, name: str, entry_a: Entry, entry_b: Entry) -> Cause | None:
        """Find whether a product was made from another version of a product than is there now."""
        states = [
            _NOW if seals[entry["name"]].whole.sha256 == entry["sha256"] else _ANOTHER
            for seals, entry in ((self.a, entry_a), (self.b, entry_b))
        ]
        if _ANOTHER not in states:
            return None
        return Cause("stale", stage, f"{name} is made from {entry_b['name']}", *states)


def _other_members(rest_a: Sequence[Entry], rest_b: Sequence[Entry]) -> bool:
    """Tell whether inputs are of other exposures or tiles."""
    return any(
        members([one["name"]]) != members([two["name"]])
        for members in (exposures_in, tiles_in)
        for one, two in zip(rest_a, rest_b, strict=True)
    )

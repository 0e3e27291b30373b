"""What `tessella compare` says to people, as lines of text."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from tessella.io.manifest import MANIFEST
from tessella.run.compare import ArrayDifference, ProductDifference
from tessella.run.compare_sources import FluxChange, SourceDifference
from tessella.run.explain import Effect, Explanation
from tessella.run.products import counted, kind_of, plural

#: So many causes of a kind are shown.
_SHOWN = 5
#: Arrays whose values are no quantities.
_WITHOUT_SIZE = ("bytes", "pixels")
#: Fluxes of a catalog that are always shown.
_MAIN_FLUXES = ("kron", "tessella_star")


def headline(explanation: Explanation) -> Iterator[str]:
    """Say how many products there are, and whether the runs are of the same sky."""
    both = len(explanation.equal) + len(explanation.differing)
    if explanation.same_bits:
        yield f"Same bits: all {both} products are equal by their seals."
        return
    n_broken = len(explanation.unexplained)
    broken = f", {n_broken} of them for no reason that is recorded" if n_broken else ""
    yield f"{both} products are in both: {len(explanation.equal)} equal, " + (
        f"{len(explanation.differing)} differ{broken}."
    )
    for what, (in_a, in_b) in (("exposure", explanation.exposures), ("tile", explanation.tiles)):
        for run, names in (("A", in_a), ("B", in_b)):
            if names:
                yield f"The runs are not of the same {what}s: only {run} has {_some(names)}."
    for run, names in (("A", explanation.only_in_a), ("B", explanation.only_in_b)):
        if names:
            yield f"Only in {run}: {counted(names)} ({_some(names)})."
        if MANIFEST in names:
            yield f"{'B' if run == 'A' else 'A'} is not finished: it has no {MANIFEST}."


def _some(names: Sequence[str], n: int = 3) -> str:
    more = f" and {len(names) - n} more" if len(names) > n else ""
    return ", ".join(names[:n]) + more


def causes(explanation: Explanation, details: bool) -> Iterator[str]:
    """Say what explains the differences, the roots first."""
    effective = [effect for effect in explanation.effects if effect.products]
    idle = [effect for effect in explanation.effects if not effect.products]
    if effective:
        yield "Why"
    shown = Counter[str]()
    for effect in effective:
        shown[effect.cause.kind] += 1
        if details or shown[effect.cause.kind] <= _SHOWN:
            yield f"  {effect.cause}"
            yield from _effect(effect, len(explanation.differing), details)
    for kind, n in shown.items():
        if n > _SHOWN and not details:
            yield f"  and {n - _SHOWN} more of kind {kind}: --details shows them"
    if len(effective) > 1 and not any(effect.n_alone for effect in effective):
        yield "  No product has one of these causes alone: the seals cannot tell them apart."
    if idle:
        yield "Differs too, without any effect"
        yield from (f"  {effect.cause}" for effect in idle)


def _effect(effect: Effect, n_differing: int, details: bool) -> Iterator[str]:
    n = len(effect.products)
    if effect.cause.kind == "unexplained" and n == 1:
        return
    all_of = "all " if n == n_differing else ""
    alone = f" ({effect.n_alone} of them have no other cause)" if effect.n_alone else ""
    alone = "" if effect.n_alone == n else alone or " (all of them have other causes too)"
    yield f"    explains {all_of}{n}: {counted(effect.products)}{alone}"
    first, last = effect.stages[0], effect.stages[-1]
    reach = first if first == last else f"{first} to {last}"
    equal = f"; equal in spite of it: {counted(effect.equal)}" if effect.equal else ""
    yield f"    from {reach}{equal}" if first != last else f"    in {reach}{equal}"
    if details:
        inherited = [name for name in effect.products if name not in effect.direct]
        yield from (f"      {name}" for name in effect.direct)
        yield from (f"        {name}" for name in inherited)


def changes(
    differences: Iterable[ProductDifference], explanation: Explanation, details: bool
) -> Iterator[str]:
    """Say what differs: a line for each kind of product, or for each product."""
    by_kind: dict[str, list[ProductDifference]] = {}
    for difference in differences:
        by_kind.setdefault(kind_of(difference.name), []).append(difference)
    totals: dict[str, int] = {}
    for name in (*explanation.equal, *explanation.differing):
        totals[kind_of(name)] = totals.get(kind_of(name), 0) + 1
    if by_kind:
        yield "What"
    alike = []
    for kind, found in by_kind.items():
        label = f"{len(found)} of {totals[kind]} {kind if totals[kind] == 1 else plural(kind)}"
        if all(difference.only_provenance for difference in found):
            alike.append(label)
        else:
            yield f"  {label}: {_worst(found)}"
        if details:
            yield from (line for difference in found for line in _in_full(difference))
    if alike:
        yield f"  only what they say of how they were made: {', '.join(alike)}"


def _worst(found: Sequence[ProductDifference]) -> str:
    only_metadata = [difference for difference in found if difference.only_metadata]
    if len(only_metadata) == len(found):
        worst = max(found, key=lambda difference: len(difference.metadata))
        equal = "" if worst.name.endswith(".json") else "arrays and columns equal, "
        return f"{equal}{_metadata(worst)}"
    worst = max(found, key=lambda difference: _weight(_leading(difference)))
    where = f" in {worst.name}" if len(found) > 1 else ""
    rest = f"; {len(only_metadata)} differ in metadata only" if only_metadata else ""
    return f"{_said(worst)}{where}{rest}"


def _metadata(difference: ProductDifference) -> str:
    if not difference.values:
        return "metadata too: only the form of the file differs"
    if not difference.metadata:
        return "metadata differ only in how it was made"
    told = {path: (one, two) for path, one, two in difference.values}
    # Hashes of other files say nothing that is not said of those files.
    path = min(difference.metadata, key=lambda path: path.endswith("sha256"))
    one, two = (_shortened(json.dumps(value, default=str)) for value in told[path])
    more = f" and {len(difference.metadata) - 1} more" if difference.metadata[1:] else ""
    what = "" if difference.name.endswith(".json") else "metadata differ: "
    return f"{what}{path} {one} -> {two}{more}"


def _shortened(text: str, n: int = 24) -> str:
    return text if len(text) <= n else f"{text[: n - 3]}..."


def _leading(difference: ProductDifference) -> ArrayDifference | None:
    """Return the array that tells most: the largest in errors, else the most different."""
    return max(difference.arrays, key=_weight, default=None)


def _weight(array: ArrayDifference | None) -> tuple[float, bool, int]:
    if array is None:
        return -2.0, False, 0
    errors = -1.0 if array.in_errors is None else array.in_errors
    return errors, bool(array.unit), array.n_different


def _said(difference: ProductDifference) -> str:
    array = _leading(difference)
    if difference.only_in_a or difference.only_in_b:
        alone = (*difference.only_in_a, *difference.only_in_b)
        return f"only one has {_some(alone)}" + (f"; {_array(array)}" if array else "")
    if array is None:
        sources = difference.sources
        return _rows(sources) if sources is not None else _metadata(difference)
    return _array(array)


def _array(array: ArrayDifference) -> str:
    if array.form and not array.n_different:
        return f"{array.name} {array.form}"
    text = f"{array.name} differs in {array.n_different} of {array.n}"
    if array.largest is not None and array.name not in _WITHOUT_SIZE:
        size = f"{array.largest:.3g} {array.unit}".strip()
        errors = None if array.in_errors is None else f"{array.in_errors:.3g} of its errors"
        text += f", by up to {errors} ({size})" if errors else f", by up to {size}"
        text += _place(array)
    if array.n_nan_in_a_only or array.n_nan_in_b_only:
        text += f"; NaN only in A {array.n_nan_in_a_only}, only in B {array.n_nan_in_b_only}"
    return text + (f"; {array.form}" if array.form else "")


def _place(array: ArrayDifference) -> str:
    if array.worst is None or array.unit == "mas":
        return ""
    axes = {1: ("row",), 2: ("y", "x")}.get(len(array.worst))
    if axes is None:
        return f" at {list(array.worst)}"
    return f" at {', '.join(f'{axis} {i}' for axis, i in zip(axes, array.worst, strict=True))}"


def _in_full(difference: ProductDifference) -> Iterator[str]:
    yield f"    {difference.name}"
    if difference.sources is not None:
        yield f"      {_rows(difference.sources)}"
    for run, names in (("A", difference.only_in_a), ("B", difference.only_in_b)):
        yield from (f"      {name}: only in {run}" for name in names)
    for array in difference.arrays:
        box = "" if array.box is None or len(array.box) < 2 else f", within {list(array.box)}"
        yield f"      {_array(array)}{box}"
    if difference.values:
        yield f"      {_metadata(difference)}"


def catalogs(differences: Iterable[ProductDifference]) -> Iterator[str]:
    """Say what became of the sources of each catalog."""
    for difference in differences:
        sources = difference.sources
        if sources is None or difference.only_metadata or kind_of(difference.name) != "catalog":
            continue
        yield f"Sources of {difference.name}"
        yield f"  {_rows(sources)}"
        yield f"  {'of sources in both':<26} changed        median    95 % within"
        yield f"  {'position':<20} {sources.n_moved:>6} of {sources.n_matched:<6}" + (
            f"{sources.median_mas:>8.3g} mas {sources.high_mas:>8.3g} mas"
        )
        yield from (_flux(flux) for flux in sources.fluxes if flux.kind in _MAIN_FLUXES)


def _rows(sources: SourceDifference) -> str:
    return (
        f"{sources.n_a} -> {sources.n_b} sources: {sources.n_matched} in both, "
        f"{sources.n_gone} gone, {sources.n_new} new"
    )


def _flux(flux: FluxChange) -> str:
    kind = flux.kind.removeprefix("tessella_")
    return (
        f"  {f'{flux.band} {kind} flux':<20} {flux.n_changed:>6} of {flux.n:<6}"
        f"{flux.median_sigma:>+8.2g} err {flux.high_sigma:>8.2g} err"
        f"  {flux.median_percent:>+8.2g} % {flux.high_percent:>8.2g} %"
    )


def without_nan(tree: object) -> object:
    """Return a tree for JSON, with None for what was not measured.

    Examples
    --------
    >>> without_nan({"median": float("nan"), "n": (0,)})
    {'median': None, 'n': [0]}
    """
    if isinstance(tree, Mapping):
        return {str(key): without_nan(value) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [without_nan(value) for value in tree]
    if isinstance(tree, float) and tree - tree != 0:
        return None
    return tree

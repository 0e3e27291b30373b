"""In which order bad products are made again, and what spares those that come from them."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import cache

from tessella.run.survey import Survey


def waves(held: Survey, bad: Collection[str]) -> list[list[str]]:
    """Sort bad products so that none is made together with one that it comes from.

    Snakemake would else make all that stands between the two as well. What a product without a
    sound seal comes from is not known: it waits for all that do not come from it, and of several
    such the one that has most behind it is first.

    Examples
    --------
    >>> from tessella.io.manifest import Origin
    >>> from tessella.io.digests import Digest
    >>> from tessella.io.runs import Run
    >>> origins = {"c": Origin(Digest(1, "c"), 0, (("b", "b"),), "x", b"c"),
    ...            "b": Origin(Digest(1, "b"), 0, (("a", "a"),), "x", b"b")}
    >>> users = {"b": {"c": "b"}, "a": {"b": "a"}}
    >>> held = Survey(Run("results", "1"), frozenset(), origins, {}, None, users)
    >>> waves(held, {"a", "c"})
    [['a'], ['c']]
    """
    bad = set(bad)
    known = bad & held.origins.keys()
    behind = {name: _descendants(held, name) for name in bad - known}
    depth = _depths(held, known, {})
    ranks = sorted({len(descendants) for descendants in behind.values()}, reverse=True)
    unknown = {
        name: ranks.index(len(descendants))
        + max((1 + depth(other) for other in known - descendants), default=0)
        for name, descendants in behind.items()
    }
    depth = _depths(held, bad, unknown)
    found = defaultdict(list)
    for name in sorted(bad):
        found[depth(name)].append(name)
    return [found[number] for number in sorted(found)]


def _depths(held: Survey, bad: Collection[str], unknown: Mapping[str, int]) -> Callable[[str], int]:
    """Return a function that tells how many bad products stand before one, at most."""

    @cache
    def depth(name: str) -> int:
        if name in unknown or name not in held.origins:
            return unknown.get(name, 0)
        needed = (made_from for made_from, _ in held.origins[name].made_from)
        return max((depth(other) + (other in bad) for other in needed), default=0)

    return depth


def _descendants(held: Survey, name: str) -> set[str]:
    found: set[str] = set()
    to_come = {name}
    while to_come:
        to_come = {user for one in to_come for user in held.users.get(one, ())} - found
        found |= to_come
    return found


def time_of_change(inputs: Iterable[int], users: Iterable[int], known: Iterable[int]) -> int | None:
    """Return a time of change at which a product makes none of those out of date that use it.

    Parameters
    ----------
    inputs, users : iterables of int
        Times of change [ns] of the products it comes from, and of those that come from it.
    known : iterable of int
        Times [ns] at which products of its stage were written, as far as they can be trusted:
        those that do not lie between inputs and users count for nothing.

    Returns
    -------
    int, optional
        None if there is no such time, or nothing comes from it.

    Examples
    --------
    >>> time_of_change(inputs=[10], users=[40, 30], known=[99, 12, 11]), time_of_change([], [], [5])
    (11, None)
    """
    earliest, latest = max(inputs, default=0), min(users, default=-1)
    if latest < earliest:
        return None
    return min((time for time in known if earliest <= time <= latest), default=latest)

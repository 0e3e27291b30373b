"""Whether the products of a run are as they were made: all of them, byte by byte."""

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from tessella.io.digests import Digest, difference, digest_of
from tessella.io.manifest import MANIFEST
from tessella.run.survey import Finding, Survey, is_left_over, survey

#: Where official files say how they are called.
_CALLED = re.compile(rb"^ {4}filename: (\S+)$", re.MULTILINE)


def _silent(done: int, total: int) -> None:
    pass


def audit(
    folder: str | Path,
    names: Collection[str] | None = None,
    jobs: int = 1,
    tell: Callable[[int, int], None] = _silent,
) -> list[Finding]:
    """Hold the products of a run against their seals, each other and the manifest.

    Parameters
    ----------
    folder : path
        Folder of results.
    names : collection of str, optional
        Look at these products only; None looks at everything in the folder.
    jobs : int
        How many files are read at a time.
    tell : callable
        Called with the number of bytes that were read, and of those that there are to read.

    Returns
    -------
    list of Finding
        Sorted; empty if all is as it was made, also where the run is not finished.

    Raises
    ------
    DataError
        If the folder is not that of a run.
    """
    return examine(survey(folder), names, jobs, tell)


def examine(
    held: Survey,
    names: Collection[str] | None = None,
    jobs: int = 1,
    tell: Callable[[int, int], None] = _silent,
) -> list[Finding]:
    """Find what is wrong with what was surveyed; arguments as those of `audit`."""
    there = {*held.files, *held.origins, *held.bad_seals, *held.users}
    asked = sorted(there if names is None else there & {*names})
    owners = _owners(held)
    found = {name: _at_a_glance(held, owners, name) for name in asked}
    to_read = [name for name in asked if found[name] is None]
    sizes = [held.origins[name].whole.bytes for name in to_read]
    done, total = 0, sum(sizes)
    with ThreadPoolExecutor(jobs) as pool:  # hashing leaves the interpreter to others
        results = pool.map(partial(_content, held, owners), to_read)
        for name, size, finding in zip(to_read, sizes, results, strict=True):
            found[name] = finding or _stale(held, owners, name)
            done += size
            tell(done, total)
    return sorted(finding for finding in found.values() if finding is not None)


def _owners(held: Survey) -> dict[str, list[str]]:
    """Return the products to which a content belongs, by what was made from them, else by seal."""
    owners: dict[str, list[str]] = defaultdict(list)
    for name in sorted({*held.origins, *held.users}):
        told = {*held.users.get(name, {}).values()} or {held.origins[name].whole.sha256}
        for digest in told:
            owners[digest].append(name)
    return owners


def _at_a_glance(held: Survey, owners: Mapping[str, list[str]], name: str) -> Finding | None:
    """Find what is wrong with a product without reading it."""
    is_file, user = name in held.files, min(held.users.get(name, ()), default=None)
    if name in held.bad_seals:
        return held.bad_seals[name]
    if name not in held.origins and user:
        if is_file:
            return Finding(name, "unsealed", "this run did not make it, or not to the end")
        return Finding(name, "missing", f"neither file nor seal, but {user} names it")
    if name not in held.origins:
        found = "a killed job left it over" if is_left_over(name) else "no product of this run"
        return Finding(name, "unknown", found)
    if held.manifest is not None and name not in held.manifest and name != MANIFEST:
        return Finding(name, "unknown", "the manifest of the run does not list it")
    if not is_file:
        return Finding(name, "missing", "no file")
    owner = _taken_from(held, owners, name)
    return Finding(name, "swapped", f"its content and seal are those of {owner}") if owner else None


def _taken_from(held: Survey, owners: Mapping[str, list[str]], name: str) -> str | None:
    """Return the product whose content is sealed here, by what was made from both."""
    sealed = held.origins[name].whole.sha256
    others = owners.get(sealed, [name])
    return None if name in others else others[0]


def _content(held: Survey, owners: Mapping[str, list[str]], name: str) -> Finding | None:
    """Read a product, and find what is wrong with its content."""
    path, origin = held.run.folder / name, held.origins[name]
    try:
        digest = digest_of(path)
        with path.open("rb") as file:
            called = _CALLED.search(file.read(origin.head_bytes))
    except OSError as error:
        return Finding(name, "damaged", f"it cannot be read: {error.strerror}")
    if digest != origin.whole:
        others = [owner for owner in owners.get(digest.sha256, ()) if owner != name]
        if others:
            return Finding(name, "swapped", f"its content is that of {others[0]}")
        return Finding(name, "damaged", _difference(digest, origin.whole))
    if called and called[1].decode(errors="replace") != path.name:
        said = called[1].decode(errors="replace")
        return Finding(name, "swapped", f"inside it is called {said}")
    return None


def _difference(found: Digest, expected: Digest) -> str:
    if found.bytes != expected.bytes:
        return f"it has {found.bytes} bytes, {expected.bytes} were written"
    return difference("SHA-256", found.sha256, expected.sha256)


def _stale(held: Survey, owners: Mapping[str, list[str]], name: str) -> Finding | None:
    """Find whether a product was made from another version of a product than is there now."""
    made_from = held.origins[name].made_from
    if name == MANIFEST and held.manifest is not None:
        made_from += tuple((listed, whole.sha256) for listed, whole in held.manifest.items())
    for needed, digest in made_from:
        origin = held.origins.get(needed)
        if origin is None or origin.whole.sha256 == digest or _taken_from(held, owners, needed):
            continue
        return Finding(name, "stale", f"it was made from another version of {needed}")
    return None

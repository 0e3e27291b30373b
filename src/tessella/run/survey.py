"""What lies in a folder of results, and what its seals and its manifest say of it."""

import json
import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tessella.errors import DataError
from tessella.io.digests import Digest
from tessella.io.manifest import MANIFEST, Origin, origin_of, parse_manifest
from tessella.io.runs import RUN_FILE, SEALS, Run, run_of
from tessella.io.seals import Broken, check, read_seal

#: What a run leaves behind besides products: it differs from run to run, and nothing is made of it.
RECORDS = ("benchmarks/", "logs/", "plan/", "quality/times.html", "quality/times.json")


@dataclass(frozen=True, order=True)
class Finding:
    """Something in a folder of results that is not as it should be."""

    #: Path below the folder.
    name: str
    #: ``missing``, ``unsealed``, ``unknown``, ``damaged``, ``swapped``, ``foreign`` or ``stale``.
    kind: str
    found: str


@dataclass(frozen=True)
class Survey:
    """What lies in a folder of results, and what is said of it."""

    run: Run
    #: Files that are neither seals nor records, and what killed jobs left over.
    files: frozenset[str]
    #: Products whose seals are sound.
    origins: dict[str, Origin]
    #: Those whose seals are not; and the file that marks the run, where that is not sound.
    bad_seals: dict[str, Finding]
    #: None where there is none, or it is not sound.
    manifest: dict[str, Digest] | None
    #: Products to those that were made from them, and their SHA-256 then.
    users: dict[str, dict[str, str]]


def survey(folder: str | Path) -> Survey:
    """Read all seals of a run and its manifest, and list its files.

    Raises
    ------
    DataError
        If the folder is not that of a run.
    """
    folder = Path(folder).resolve()
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; expected the results of a run")
    run, trouble = _marked(folder), {}
    if run is None:
        run = Run(folder, _told_by_seals(folder))
        kind = "damaged" if (folder / RUN_FILE).exists() else "missing"
        trouble[RUN_FILE] = Finding(RUN_FILE, kind, "no file names the run")
    origins, bad = _read_seals(run)
    if not origins and any(finding.kind == "foreign" for finding in bad.values()):
        found = f"it is of run {run.identifier}, the products are not"
        trouble[RUN_FILE] = Finding(RUN_FILE, "foreign", found)
        run = Run(folder, _told_by_seals(folder))
        origins, bad = _read_seals(run)
    manifest = _manifest(run)
    files = frozenset(_files(folder))
    return Survey(run, files, origins, bad | trouble, manifest, _users(origins, manifest))


def _marked(folder: Path) -> Run | None:
    """Return the run that a folder is marked as; None where the mark is bad."""
    try:
        run = run_of(folder / RUN_FILE)
    except DataError:
        return None
    return run if run is not None and run.folder == folder else None


def _told_by_seals(folder: Path) -> str:
    """Return the run that most seals name."""
    votes: Counter[str] = Counter()
    for path in (folder / SEALS).rglob("*.json"):
        with suppress(ValueError, KeyError, TypeError):
            votes[str(json.loads(path.read_bytes())["run"])] += 1
    if not votes:
        raise DataError(f"{folder}: no run has made products here; expected such as results/demo")
    return votes.most_common(1)[0][0]


def _read_seals(run: Run) -> tuple[dict[str, Origin], dict[str, Finding]]:
    origins, bad = {}, {}
    for name in run.sealed():
        try:
            origins[name] = origin_of(read_seal(run, name))
        except Broken as error:
            bad[name] = Finding(name, error.kind, error.found)
    return origins, bad


def _manifest(run: Run) -> dict[str, Digest] | None:
    try:
        check(run, read_seal(run, MANIFEST))
    except Broken:
        return None
    return parse_manifest((run.folder / MANIFEST).read_bytes())


def _files(folder: Path) -> Iterator[str]:
    for place, folders, files in os.walk(folder):
        below = Path(place).relative_to(folder).as_posix()
        start = "" if below == "." else f"{below}/"
        left_over = [name for name in folders if is_left_over(name)]
        folders[:] = [name for name in folders if name not in left_over]
        for name in (*left_over, *files):
            path = f"{start}{name}"
            is_seal = path.startswith(f"{SEALS}/") and path.endswith(".json")
            if path != RUN_FILE and not is_seal and not path.startswith(RECORDS):
                yield path


def is_left_over(name: str) -> bool:
    """Tell whether a killed job left this: what it was writing, under a name that says so."""
    last = name.rpartition("/")[2]
    return last.startswith(".") and last.endswith(".part")


def _users(
    origins: Mapping[str, Origin], manifest: Mapping[str, Digest] | None
) -> dict[str, dict[str, str]]:
    users: dict[str, dict[str, str]] = defaultdict(dict)
    for user, origin in origins.items():
        for name, digest in origin.made_from:
            users[name][user] = digest
    for name, whole in (manifest or {}).items():
        users[name][MANIFEST] = whole.sha256
    return dict(users)

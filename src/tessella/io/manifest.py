"""The manifest of a run: each of its products with size and SHA-256, from their seals alone."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from sys import intern
from typing import Any

from tessella.errors import DataError
from tessella.io.atomic import replacing
from tessella.io.digests import Digest
from tessella.io.runs import Run, run_of
from tessella.io.seals import Broken, Seal, seals_of

#: Name of the manifest; where it is, the run is finished.
MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True)
class Origin:
    """What a sealed product is and comes from; less than its seal, as a run has many."""

    whole: Digest
    #: Bytes before the arrays of an ASDF file; 0 in others.
    head_bytes: int
    #: Products of the run that it is made from, and their SHA-256 then.
    made_from: tuple[tuple[str, str], ...]
    stage: str
    #: Equal for all products of one job.
    job: bytes


def origin_of(seal: Seal) -> Origin:
    """Return what counts of a seal."""
    told = json.dumps(seal.made_by, sort_keys=True).encode()
    return Origin(
        whole=seal.whole,
        head_bytes=0 if seal.head is None else seal.head.bytes,
        # Files from elsewhere are named without a folder.
        made_from=tuple(
            (intern(entry["name"]), intern(entry["sha256"]))
            for entry in seal.made_by.get("made_from", ())
            if "/" in entry["name"]
        ),
        stage=intern(str(seal.made_by.get("stage"))),
        job=hashlib.sha256(told).digest(),
    )


def lineage(origins: Mapping[str, Origin], targets: Iterable[str]) -> list[str]:
    """Return all products that targets come from, and those that the same jobs made, sorted.

    Parameters
    ----------
    origins : mapping
        Of all sealed products by name.
    targets : iterable of str
        Names; they belong to their lineage.

    Raises
    ------
    KeyError
        Of a product that is needed and has no seal.

    Examples
    --------
    >>> def made(job, *made_from):
    ...     return Origin(Digest(1, "a"), 0, tuple((name, "a") for name in made_from), "x", job)
    >>> held = {"l/1": made(b"1"), "l/2": made(b"2", "l/1"), "l/2b": made(b"2", "l/1")}
    >>> lineage({**held, "l/3": made(b"3", "l/1")}, ["l/2"])
    ['l/1', 'l/2', 'l/2b']
    """
    of_job = defaultdict(list)
    for name, origin in origins.items():
        of_job[origin.job].append(name)
    found: set[str] = set()
    to_come = set(targets)
    while to_come:
        name = to_come.pop()
        found.add(name)
        needed = (made_from for made_from, _ in origins[name].made_from)
        to_come |= {*of_job[origins[name].job], *needed} - found
    return sorted(found)


def write_manifest(
    path: str | Path, targets: Iterable[str | Path], provenance: Mapping[str, Any]
) -> None:
    """Write the manifest of a run: all products that lead to some, and what their jobs made.

    It depends on their content alone: equal runs have equal manifests.

    Parameters
    ----------
    path : path
        File `MANIFEST` in the folder of results of a run.
    targets : iterable of paths
        Products of the last stages.
    provenance : mapping

    Raises
    ------
    DataError
        If `path` lies in no run.
    Broken
        If a seal is damaged, or one that is needed is not there.
    """
    run = run_of(path)
    if run is None:
        raise DataError(f"{path}: no run; a manifest lies in the folder of results of a run")
    origins = {seal.name: origin_of(seal) for seal in seals_of(run)}
    origins.pop(MANIFEST, None)
    names = [run.name_of(target) for target in targets]
    try:
        products = {name: origins[name].whole for name in lineage(origins, names)}
    except KeyError as error:
        raise _unsealed(run, error.args[0]) from error
    entries = [
        json.dumps({"name": name, "bytes": whole.bytes, "sha256": whole.sha256})
        for name, whole in products.items()
    ]
    with replacing(path, provenance) as part:
        part.write_text('{"products": [\n' + ",\n".join(entries) + "\n]}\n")


def parse_manifest(text: bytes) -> dict[str, Digest]:
    """Return the products that a manifest lists, by name."""
    products = json.loads(text)["products"]
    return {entry["name"]: Digest(entry["bytes"], entry["sha256"]) for entry in products}


def _unsealed(run: Run, name: str) -> Broken:
    kind = "unsealed" if (run.folder / name).is_file() else "missing"
    return Broken(run, name, kind, "it has no seal, and products of the run are made from it")

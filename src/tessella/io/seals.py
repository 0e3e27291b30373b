"""Seals: what each product of a run must be, kept beside the products and checked by all readers.

Each product below the folder of results of a run has a seal, ``seals/<product>.json``: its name,
its run, its size, its SHA-256, the BLAKE3 that readers hold it against, and how it was made.
Files outside of a run have no seals.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tessella.errors import DataError
from tessella.io.digests import Digest, Head, blake3_of, difference, digest_of, head_of
from tessella.io.disk import write_synced
from tessella.io.runs import Run, run_of


@dataclass(frozen=True)
class Seal:
    """What a product must be."""

    name: str
    run: str
    whole: Digest
    #: Of the whole file.
    blake3: str
    #: Of what stands before the arrays of an ASDF file; None in others.
    head: Head | None
    #: See `tessella.io.provenance.provenance`.
    made_by: dict[str, Any]


class Broken(DataError):
    """A product that is not what its seal says, or has none."""

    def __init__(self, run: Run, name: str, kind: str, found: str) -> None:
        self.name = name
        #: ``missing``, ``unsealed``, ``damaged``, ``swapped`` or ``foreign``.
        self.kind = kind
        self.found = found
        super().__init__(
            f"{run.folder / name}: {kind}: {found}; `tessella repair {run.folder}` makes it again"
        )


def write_seal(
    run: Run, name: str, part: Path, made_by: Mapping[str, Any], n_threads: int = 1
) -> None:
    """Seal a product whose content is that of the file `part`, which is then moved to its place.

    Of what it is made from, products of this run are named by their path below its folder; files
    from elsewhere, another run included, by their plain name. The unfinished seal lies beside
    `part`: what a killed writer leaves is in one place.
    """
    with ThreadPoolExecutor(n_threads) as pool:
        whole, blake3 = pool.submit(digest_of, part), pool.submit(blake3_of, part)
        digests = whole.result(), blake3.result(), head_of(part)
    text = _text(Seal(name, run.identifier, *digests, _seen_from(run, made_by)))
    write_synced(run.seal_path(name), text, part.with_name(f"{part.name}.seal"))
    _seen[*_identity(run.folder / name, part.stat()), False] = digests[0].sha256


def _seen_from(run: Run, made_by: Mapping[str, Any]) -> dict[str, Any]:
    made_from = [
        entry
        if run.seal_path(entry["name"]).is_file()
        else {**entry, "name": Path(entry["name"]).name}
        for entry in made_by.get("made_from", ())
    ]
    return {**made_by, "made_from": made_from}


def read_seal(run: Run, name: str) -> Seal:
    """Read the seal of a product.

    Raises
    ------
    Broken
        If there is none, or it is damaged, of another product or of another run.
    """
    path, product = run.seal_path(name), run.folder / name
    try:
        seal = _parse(path.read_bytes())
    except FileNotFoundError as error:
        kind = "unsealed" if product.is_file() else "missing"
        found = "this run did not make it, or not to the end" if kind == "unsealed" else "no file"
        raise Broken(run, name, kind, found) from error
    except (ValueError, KeyError, TypeError) as error:
        found = f"its seal {path} is not as it was written"
        raise Broken(run, name, "damaged", found) from error
    if seal.name != name:
        raise Broken(run, name, "swapped", f"its seal is that of {seal.name}")
    if seal.run != run.identifier:
        raise Broken(run, name, "foreign", f"its seal is of another run, {seal.run}")
    return seal


def _text(seal: Seal) -> bytes:
    """Return a seal as JSON; its first entry is the checksum of all text behind it."""
    rest = json.dumps(asdict(seal), indent=1, sort_keys=True)[1:].encode() + b"\n"
    return _opening(rest) + rest


def _opening(rest: bytes) -> bytes:
    return b'{\n "check": "' + hashlib.sha256(rest).hexdigest().encode() + b'",'


#: Bytes of a seal before the text that its checksum is of.
_OPENING = len(_opening(b""))


def _parse(text: bytes) -> Seal:
    rest = text[_OPENING:]
    if text[:_OPENING] != _opening(rest):
        raise ValueError("the checksum is that of another text")
    content = json.loads(b"{" + rest)
    head = content["head"]
    return Seal(
        content["name"],
        content["run"],
        Digest(**content["whole"]),
        content["blake3"],
        None if head is None else Head(**head),
        content["made_by"],
    )


#: Files that this process has found to be as sealed: path, inode, size, time of change to digest.
_seen: dict[tuple[str, int, int, int, bool], str] = {}


def sha256(path: str | Path, head_only: bool = False) -> str:
    """Return the SHA-256 of a file, which within a run must be as it was sealed.

    A process reads a file for this once, however often it asks. Within a run it is held against
    its BLAKE3, and the SHA-256 is that of the seal.

    Parameters
    ----------
    path : path
    head_only : bool
        Check only what stands before the arrays of an ASDF file, for whoever reads no arrays.

    Returns
    -------
    str
        64 hexadecimal digits, of the whole file.

    Raises
    ------
    DataError
        If there is no such file.
    Broken
        If it lies in a run and is missing, or not what its seal says.
    """
    path = Path(path).resolve()
    if not path.is_file():
        raise _absent(path)
    key = _identity(path, path.stat())
    for known in ((*key, False), (*key, head_only)):
        if known in _seen:
            return _seen[known]
    run = run_of(path)
    if run is None:
        found, head_only = digest_of(path).sha256, False
    else:
        seal = read_seal(run, run.name_of(path))
        head_only = head_only and seal.head is not None
        check(run, seal, head_only)
        found = seal.whole.sha256
    _seen[*key, head_only] = found
    return found


def remember(path: str | Path, found: str) -> None:
    """Take the SHA-256 of a file from who has read it; within a run its seal still counts."""
    path = Path(path).resolve()
    if run_of(path) is None:
        _seen[*_identity(path, path.stat()), False] = found


def _identity(path: Path, status: os.stat_result) -> tuple[str, int, int, int]:
    return str(path), status.st_ino, status.st_size, status.st_mtime_ns


def _absent(path: Path) -> DataError:
    run = run_of(path)
    if run is None:
        return DataError(f"{path}: no such file")
    return Broken(run, run.name_of(path), "missing", "no file")


def check_size(run: Run, seal: Seal) -> None:
    """Hold the size of a product against its seal; its content is not read.

    Raises
    ------
    Broken
        If it is missing or differs.
    """
    path = run.folder / seal.name
    if not path.is_file():
        raise Broken(run, seal.name, "missing", "no file")
    size, written = path.stat().st_size, seal.whole.bytes
    if size != written:
        raise Broken(run, seal.name, "damaged", f"it has {size} bytes, {written} were written")


def check(run: Run, seal: Seal, head_only: bool = False) -> None:
    """Hold a product, or what stands before its arrays, against its seal.

    Raises
    ------
    Broken
        If it is missing or differs.
    """
    check_size(run, seal)
    part = seal.head if head_only else None
    expected, n_bytes = (seal.blake3, None) if part is None else (part.blake3, part.bytes)
    found = blake3_of(run.folder / seal.name, n_bytes)
    if found != expected:
        raise Broken(run, seal.name, "damaged", difference("BLAKE3", found, expected))


def seals_of(run: Run) -> Iterator[Seal]:
    """Read all seals of a run, in the order of their names; a broken one is refused."""
    return (read_seal(run, name) for name in run.sealed())

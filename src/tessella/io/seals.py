"""Seals: what each product of a run must be, kept beside the products and checked by all readers.

A folder of results holds a file `RUN_FILE`, which names the run. Each product below it has a seal,
``seals/<product>.json``: its name, its run, its size, its SHA-256, and how it was made. Files
outside of a run have no seals.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from tessella.errors import DataError

#: Marks the folder of results of a run, and holds its identifier.
RUN_FILE = "tessella-run.json"
#: Folder of the seals below it.
SEALS = "seals"
#: Ends the part of a file that holds no arrays.
_FIRST_BLOCK = b"\xd3BLK"


@dataclass(frozen=True)
class Run:
    """A folder of results."""

    folder: Path
    identifier: str

    def name_of(self, path: str | Path) -> str:
        """Return the name of a product: its path below the folder of results."""
        return Path(path).resolve().relative_to(self.folder).as_posix()

    def seal_path(self, name: str) -> Path:
        """Return where the seal of a product lies."""
        return self.folder / SEALS / f"{name}.json"

    def sealed(self) -> list[str]:
        """Return the names of all products that have a seal, sorted."""
        seals = self.folder / SEALS
        return sorted(
            path.relative_to(seals).as_posix().removesuffix(".json")
            for path in seals.rglob("*.json")
        )


@dataclass(frozen=True)
class Digest:
    """Size and SHA-256 of the first part of a file, or of all of it."""

    bytes: int
    sha256: str


@dataclass(frozen=True)
class Seal:
    """What a product must be."""

    name: str
    run: str
    whole: Digest
    #: What stands before the arrays of an ASDF file; None in others.
    head: Digest | None
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


def start_run(folder: str | Path) -> Run:
    """Mark a folder as that of a run, if it is not yet.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> start_run(folder) == start_run(folder) == run_of(folder / "level2" / "image_cal.asdf")
    True
    """
    path = Path(folder).resolve() / RUN_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.is_file():
        unfinished = path.with_name(f".{path.name}.{uuid4().hex}.part")
        unfinished.write_text(_run_text(uuid4().hex))
        # Of two that start at the same time, the first one names the run.
        with suppress(FileExistsError):
            path.hardlink_to(unfinished)
        unfinished.unlink()
    return Run(path.parent, _identifier(path))


def mark(run: Run) -> None:
    """Write the file that marks the folder of a run again, where it is lost or damaged."""
    path = run.folder / RUN_FILE
    unfinished = path.with_name(f".{path.name}.{uuid4().hex}.part")
    _write(path, _run_text(run.identifier).encode(), unfinished)


def run_of(path: str | Path) -> Run | None:
    """Return the run that a file lies in; None outside of any.

    Raises
    ------
    DataError
        If the file that marks the run is damaged.
    """
    for folder in Path(path).resolve().parents:
        if (folder / RUN_FILE).is_file():
            return Run(folder, _identifier(folder / RUN_FILE))
    return None


def name_of(path: str | Path) -> str:
    """Return the name of a file below the folder of its run; outside of a run its plain name."""
    run = run_of(path)
    return Path(path).name if run is None else run.name_of(path)


def _identifier(path: Path) -> str:
    text = path.read_bytes()
    try:
        identifier = json.loads(text)["run"]
        if text.decode() == _run_text(identifier):
            return str(identifier)
    except (ValueError, KeyError, TypeError):
        pass
    raise DataError(
        f"{path}: damaged: it does not name a run; `tessella repair {path.parent}` restores it"
    )


def _run_text(identifier: str) -> str:
    check = hashlib.sha256(identifier.encode()).hexdigest()
    return json.dumps({"run": identifier, "check": check}, indent=1) + "\n"


def write_seal(run: Run, name: str, part: Path, made_by: Mapping[str, Any]) -> None:
    """Seal a product whose content is that of the file `part`.

    Of what it is made from, products of this run are named by their path below its folder; files
    from elsewhere, another run included, by their plain name. The unfinished seal lies beside
    `part`: what a killed writer leaves is in one place.
    """
    whole, head = _digests(part)
    text = _text(Seal(name, run.identifier, whole, head, _seen_from(run, made_by)))
    _write(run.seal_path(name), text, part.with_name(f"{part.name}.seal"))


def _write(path: Path, text: bytes, unfinished: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with unfinished.open("wb") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


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
        None if head is None else Digest(**head),
        content["made_by"],
    )


def _digests(path: Path) -> tuple[Digest, Digest | None]:
    """Return the digests of a file, and of its head if it is an ASDF file."""
    with path.open("rb") as file:
        start = file.read(5)
        file.seek(0)
        head = _head(file) if start == b"#ASDF" else None
        file.seek(0)
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        return Digest(file.seek(0, 2), sha256), head


def _head(file: Any) -> Digest:
    content = file.read(1 << 16)
    while _FIRST_BLOCK not in content and (more := file.read(1 << 20)):
        content += more
    end = content.find(_FIRST_BLOCK)
    content = content if end < 0 else content[:end]
    return Digest(len(content), hashlib.sha256(content).hexdigest())


#: Files that this process has found to be as sealed: path, inode, size, time of change to digest.
_seen: dict[tuple[str, int, int, int, bool], str] = {}


def sha256(path: str | Path, head_only: bool = False) -> str:
    """Return the SHA-256 of a file, which within a run must be the sealed one.

    A process reads a file for this once, however often it asks.

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
    status = path.stat()
    key = (str(path), status.st_ino, status.st_size, status.st_mtime_ns)
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


def _absent(path: Path) -> DataError:
    run = run_of(path)
    if run is None:
        return DataError(f"{path}: no such file")
    return Broken(run, run.name_of(path), "missing", "no file")


def check(run: Run, seal: Seal, head_only: bool = False) -> None:
    """Hold a product against its seal.

    Raises
    ------
    Broken
        If it is missing or differs.
    """
    path = run.folder / seal.name
    if not path.is_file():
        raise Broken(run, seal.name, "missing", "no file")
    size = path.stat().st_size
    if size != seal.whole.bytes:
        raise Broken(run, seal.name, "damaged", difference(Digest(size, ""), seal.whole))
    expected = seal.head if head_only and seal.head is not None else seal.whole
    digest = digest_of(path, expected.bytes)
    if digest != expected:
        raise Broken(run, seal.name, "damaged", difference(digest, expected))


def difference(found: Digest, expected: Digest) -> str:
    """Say how the content of a file differs from what was written.

    Examples
    --------
    >>> difference(Digest(5, "ab"), Digest(7, "cd"))
    'it has 5 bytes, 7 were written'
    """
    if found.bytes != expected.bytes:
        return f"it has {found.bytes} bytes, {expected.bytes} were written"
    return f"its SHA-256 is {found.sha256[:12]}..., not {expected.sha256[:12]}..."


def digest_of(path: Path, n_bytes: int | None = None) -> Digest:
    """Return the digest of a file, or of its first bytes."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(0)
        if n_bytes is None or n_bytes == size:
            return Digest(size, hashlib.file_digest(file, "sha256").hexdigest())
        content = file.read(n_bytes)
        return Digest(len(content), hashlib.sha256(content).hexdigest())


def seals_of(run: Run) -> Iterator[Seal]:
    """Read all seals of a run, in the order of their names; a broken one is refused."""
    return (read_seal(run, name) for name in run.sealed())

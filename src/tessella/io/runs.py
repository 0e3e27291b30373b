"""Folders of results: which run a file belongs to, and what it is called there."""

import hashlib
import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from tessella.errors import DataError
from tessella.io.disk import cannot_be_written, write_synced

#: Marks the folder of results of a run, and holds its identifier.
RUN_FILE = "tessella-run.json"
#: Folder of the seals below it.
SEALS = "seals"


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


def start_run(folder: str | Path) -> Run:
    """Mark a folder as that of a run, if it is not yet.

    Raises
    ------
    DataError
        If the folder cannot be written to, or the file that marks it is damaged.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> start_run(folder) == start_run(folder) == run_of(folder / "level2" / "image_cal.asdf")
    True
    """
    path = Path(folder).resolve() / RUN_FILE
    unfinished = path.with_name(f".{path.name}.{uuid4().hex}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.is_file():
            unfinished.write_text(_run_text(uuid4().hex))
            # Of two that start at the same time, the first one names the run.
            with suppress(FileExistsError):
                path.hardlink_to(unfinished)
            unfinished.unlink()
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise DataError(cannot_be_written(path, error)) from error
    return Run(path.parent, _identifier(path))


def mark(run: Run) -> None:
    """Write the file that marks the folder of a run again, where it is lost or damaged."""
    path = run.folder / RUN_FILE
    unfinished = path.with_name(f".{path.name}.{uuid4().hex}.part")
    write_synced(path, _run_text(run.identifier).encode(), unfinished)


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

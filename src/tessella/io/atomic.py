"""Files that appear under their name only when they are whole."""

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tessella.errors import DataError
from tessella.io.disk import cannot_be_written
from tessella.io.runs import run_of
from tessella.io.seals import write_seal


@contextmanager
def replacing(
    path: str | Path, made_by: Mapping[str, Any] | None, n_threads: int = 1
) -> Iterator[Path]:
    """Give a path that replaces `path` when the block ends well.

    It has the same name, in a temporary folder beside it. A block that fails leaves what was
    there before and nothing else; a killed process leaves at most the temporary folder, whose
    name is that of the file between a dot and ``.part``. The next writer of the file removes that.

    Parameters
    ----------
    path : path
    made_by : mapping, optional
        How the file is made (`tessella.io.provenance.provenance`), for the seal that it gets
        if it lies in a run; None for files that are no products.
    n_threads : int
        For the digests of the seal; of no influence on it.

    Raises
    ------
    DataError
        If the disk is full, may not be written to, or fails; file and reason are named.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with replacing(folder / "a.txt", None) as part:
    ...     _ = part.write_text("whole")
    >>> (folder / "a.txt").read_text()
    'whole'
    """
    target = Path(path)
    # Some formats record the name under which they are written, so only the folder differs.
    unfinished = target.parent / f".{target.name}.part"
    part = unfinished / f"{os.uname().nodename}+{os.getpid()}" / target.name
    try:
        _remove_left_over(unfinished)
        part.parent.mkdir(parents=True)
        yield part
        with part.open("rb") as written:
            os.fsync(written.fileno())
        run = None if made_by is None else run_of(target)
        # The seal comes first: a product without one of its own is never taken for whole.
        if run is not None and made_by is not None:
            write_seal(run, run.name_of(target), part, made_by, n_threads)
        part.replace(target)
    except OSError as error:
        raise DataError(cannot_be_written(target, error)) from error
    finally:
        shutil.rmtree(part.parent, ignore_errors=True)
        with suppress(OSError):  # another writer is at work
            unfinished.rmdir()


def _remove_left_over(unfinished: Path) -> None:
    """Remove what killed writers of a file left.

    One job makes a file, so that a writer on another host is not alive.
    """
    for folder in unfinished.glob("*+*"):
        host, _, pid = folder.name.rpartition("+")
        if not (host == os.uname().nodename and _is_alive(int(pid))):
            shutil.rmtree(folder)


def _is_alive(pid: int) -> bool:
    """Tell whether another process of this host has a number."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return pid != os.getpid()

"""Files that appear under their name only when they are whole."""

import errno
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tessella.errors import DataError
from tessella.io.seals import run_of, write_seal

#: What an operator can do about a fault of the disk.
_ADVICE = {
    errno.ENOSPC: "free some space and run again",
    errno.EDQUOT: "free some of your quota and run again",
    errno.EFBIG: "raise the limit of a file's size (ulimit -f) and run again",
    errno.EROFS: "write to another place, or make this one writable, and run again",
    errno.EACCES: "write to another place, or make this one writable, and run again",
    errno.EPERM: "write to another place, or make this one writable, and run again",
}


@contextmanager
def replacing(path: str | Path, made_by: Mapping[str, Any] | None) -> Iterator[Path]:
    """Give a path that replaces `path` when the block ends well.

    It has the same name, in a temporary folder beside it. A block that fails leaves what was
    there before and nothing else; a killed process leaves at most the temporary folder, whose
    name starts with a dot and ends in ``.part``. The next writer of the file removes that.

    Parameters
    ----------
    path : path
    made_by : mapping, optional
        How the file is made (`tessella.io.provenance.provenance`), for the seal that it gets
        if it lies in a run; None for files that are no products.

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
    folder = target.parent / f".{target.name}+{os.uname().nodename}+{os.getpid()}.part"
    part = folder / target.name
    try:
        for left_over in _left_over(target):
            shutil.rmtree(left_over)
        folder.mkdir(parents=True)
        yield part
        with part.open("rb") as written:
            os.fsync(written.fileno())
        run = None if made_by is None else run_of(target)
        # The seal comes first: a product without one of its own is never taken for whole.
        if run is not None and made_by is not None:
            write_seal(run, run.name_of(target), part, made_by)
        part.replace(target)
    except OSError as error:
        raise DataError(cannot_be_written(target, error)) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _left_over(target: Path) -> list[Path]:
    """Return the temporary folders of killed writers of a file.

    One job makes a file, so that a writer on another host is not alive.
    """
    found = []
    for folder in target.parent.glob(".*+*+*.part"):
        name, host, pid = folder.name.removesuffix(".part").rsplit("+", 2)
        if name == f".{target.name}" and not (host == os.uname().nodename and _is_alive(int(pid))):
            found.append(folder)
    return found


def _is_alive(pid: int) -> bool:
    """Tell whether another process of this host has a number."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return pid != os.getpid()


def cannot_be_written(path: str | Path, error: OSError) -> str:
    """Say in one line which file cannot be written, why, and what to do.

    Examples
    --------
    >>> cannot_be_written("a.txt", OSError(errno.EROFS, "..."))
    'a.txt: cannot be written: Read-only file system (EROFS); write to another place, or make ...'
    """
    number = error.errno
    if number is None:
        # HDF5 says it in words only.
        found = re.search(r"errno\s*=\s*(\d+)", str(error))
        number = int(found.group(1)) if found else None
    if number is None:
        return f"{path}: cannot be written: {' '.join(str(error).split())}"
    name = errno.errorcode.get(number, str(number))
    advice = _ADVICE.get(number, "look after the disk and run again")
    return f"{path}: cannot be written: {os.strerror(number)} ({name}); {advice}"


def fault_of_disk(folder: str | Path) -> str | None:
    """Say why nothing can be written in a folder, or in the next one above that is there.

    Examples
    --------
    >>> import tempfile
    >>> fault_of_disk(tempfile.mkdtemp()) is None
    True
    """
    folder = Path(folder).absolute()
    there = next(place for place in (folder, *folder.parents) if place.is_dir())
    try:
        with tempfile.TemporaryFile(dir=there) as probe:
            probe.write(bytes(1 << 16))
            probe.flush()
    except OSError as error:
        return cannot_be_written(there, error)
    return None

"""What the disk says: faults of writing in words, and small files that must be on it."""

import errno
import os
import re
import tempfile
from pathlib import Path

#: What an operator can do about a fault of the disk.
_ADVICE = {
    errno.ENOSPC: "free some space and run again",
    errno.EDQUOT: "free some of your quota and run again",
    errno.EFBIG: "raise the limit of a file's size (ulimit -f) and run again",
    errno.EROFS: "write to another place, or make this one writable, and run again",
    errno.EACCES: "write to another place, or make this one writable, and run again",
    errno.EPERM: "write to another place, or make this one writable, and run again",
}


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


def write_synced(path: Path, content: bytes, unfinished: Path) -> None:
    """Write a small file by way of another name, and return when the disk has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with unfinished.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)

"""Files that appear under their name only when they are whole."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Give a path that replaces `path` when the block ends well.

    It has the same name, in a temporary folder beside it. A block that fails leaves what was
    there before and nothing else; a killed process leaves at most the temporary folder, whose
    name starts with a dot and ends in ``.part``.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with replacing(folder / "a.txt") as part:
    ...     _ = part.write_text("whole")
    >>> (folder / "a.txt").read_text()
    'whole'
    """
    target = Path(path)
    # Some formats record the name under which they are written, so only the folder differs.
    folder = target.parent / f".{target.name}.{os.getpid()}.part"
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / target.name
    try:
        yield part
        with part.open("rb") as written:
            os.fsync(written.fileno())
        part.replace(target)
    finally:
        shutil.rmtree(folder, ignore_errors=True)

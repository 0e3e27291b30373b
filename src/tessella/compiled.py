"""Compiled kernels and where their machine code is kept.

numba notices an edit of a kernel's own file, not of a kernel that it calls in another one;
the cache is therefore keyed by the source of every module that holds compiled code.
"""

import hashlib
import os
from functools import cache
from pathlib import Path

import numba

_MARK = b"from tessella.compiled import"


@cache
def source_hash(package: Path = Path(__file__).parent) -> str:
    """Return the hash of the source of all modules of `package` that hold kernels.

    Examples
    --------
    >>> len(source_hash())
    16
    """
    digest = hashlib.sha256(numba.__version__.encode())
    for path in sorted(package.rglob("*.py")):
        source = path.read_bytes()
        if _MARK in source:
            digest.update(path.relative_to(package).as_posix().encode() + source)
    return digest.hexdigest()[:16]


def cache_folder() -> Path:
    """Return the folder of this version's machine code: in NUMBA_CACHE_DIR or the user's cache."""
    chosen = os.environ.get("NUMBA_CACHE_DIR")
    user_cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return (Path(chosen) if chosen else Path(user_cache) / "tessella" / "numba") / source_hash()


# numba makes the names of its settings at run time.
numba.config.CACHE_DIR = str(cache_folder())  # type: ignore[attr-defined]

#: Decorator of a kernel: compiled at its first use, kept on disk, free of the interpreter's
#: lock, and never reordering floating-point sums.
kernel = numba.njit(cache=True, nogil=True, fastmath=False, error_model="numpy")

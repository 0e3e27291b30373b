"""Level 0 files: packets one after the other, and a sidecar that describes them."""

import hashlib
import json
import mmap
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, overload

import numpy as np

from tessella.errors import DataError
from tessella.io.atomic import replacing
from tessella.io.runs import run_of
from tessella.io.seals import sha256
from tessella.telemetry.clock import iso_time, read_time
from tessella.telemetry.fates import NONE
from tessella.telemetry.index import Stream, index_packets

# Files that are mapped at a time.
_MAPPED = 32


def write_level0(path: str | Path, packets: Iterable[bytes], provenance: Mapping[str, Any]) -> None:
    """Write packets one after the other, and beside them the sidecar ``<path>.json``.

    The sidecar holds sha256, number of bytes, times of the first and last packet and the
    number of sound packets by application identifier.
    """
    data = b"".join(packets)
    index = index_packets([data])
    times = read_time(index.header)
    sound = index.others[index.others["apid"] != NONE]
    numbers = np.bincount(
        np.concatenate([index.apid, sound["apid"]]),
        np.concatenate([np.ones(len(index)), sound["packets"]]),
        minlength=1 << 11,
    )
    sidecar = {
        "sha256": hashlib.sha256(data).hexdigest(),
        "bytes": len(data),
        "first_packet": iso_time(times.min()) if len(times) else None,
        "last_packet": iso_time(times.max()) if len(times) else None,
        "apids": {f"0x{apid:03x}": int(n) for apid, n in enumerate(numbers) if n},
    }
    with replacing(path, provenance) as part:
        part.write_bytes(data)
    with replacing(_sidecar_path(path), provenance) as part:
        part.write_text(json.dumps(sidecar, indent=1) + "\n")


def read_level0(path: str | Path) -> bytes | mmap.mmap:
    """Map the packets of a file into memory; outside of a run a sidecar beside it must agree.

    Raises
    ------
    DataError
        If there is no such file, or it is not what its seal or its sidecar says.
    """
    found = sha256(path)
    if run_of(path) is None:
        _verify(path, found)
    return map_file(path)


class Level0Files(Sequence[Stream]):
    """The packets of many files, in the order of the files, mapped when they are read.

    A mapping holds a descriptor, of which a process has some thousand: the last few are kept.
    """

    def __init__(self, paths: Iterable[str | Path]) -> None:
        self._paths = tuple(paths)
        for path in self._paths:
            read_level0(path)
        self._map = lru_cache(_MAPPED)(map_file)

    def __len__(self) -> int:
        return len(self._paths)

    @overload
    def __getitem__(self, number: int) -> Stream: ...
    @overload
    def __getitem__(self, number: slice) -> "Level0Files": ...
    def __getitem__(self, number: int | slice) -> "Stream | Level0Files":
        if isinstance(number, slice):
            return Level0Files(self._paths[number])
        return self._map(self._paths[number])


def map_file(path: str | Path) -> bytes | mmap.mmap:
    """Map a file into memory, whatever it holds.

    Raises
    ------
    DataError
        If there is no such file.
    """
    try:
        with Path(path).open("rb") as file:
            empty = Path(path).stat().st_size == 0
            return b"" if empty else mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        raise DataError(f"{path}: it cannot be read ({error.strerror})") from error


def _sidecar_path(path: str | Path) -> Path:
    return Path(f"{path}.json")


def _verify(path: str | Path, found: str) -> None:
    if not _sidecar_path(path).is_file():
        return
    try:
        expected = json.loads(_sidecar_path(path).read_text())["sha256"]
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{_sidecar_path(path)}: no readable sidecar of a Level 0 file ({error})"
        ) from error
    if found != expected:
        raise DataError(
            f"{path}: its sha256 is {found}, its sidecar says {expected}; transfer it again"
        )

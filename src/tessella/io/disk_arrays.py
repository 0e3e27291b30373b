"""Arrays of ASDF files that are read a few rows at a time, so that a ramp need not fit in memory.

What a block looks like on the disk is fixed by the ASDF standard 1.6.0, "Low-level file layout";
lz4 blocks are chunks of about 4 MB, each with its compressed length before it (4 bytes, big
endian) and its own length in front of the compressed bytes (4 bytes, little endian).
"""

import bz2
import hashlib
import os
import struct
import tempfile
import weakref
import zlib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, BinaryIO

import lz4.block
import numpy as np

from tessella.errors import DataError
from tessella.io.asdf_head import read_head
from tessella.io.runs import run_of

_MAGIC = b"\xd3BLK"
#: Behind magic and size of the header: flags, compression, allocated, used and data size, MD5.
_HEADER = struct.Struct(">I4sQQQ16s")
_LENGTH = struct.Struct(">I")
#: Bytes that are read at once for a checksum.
_PART = 1 << 20


@dataclass(frozen=True)
class _Block:
    """Where the bytes of one block stand, and how."""

    start: int
    used: int
    compression: bytes
    #: Of the bytes as they stand; zeros where the writer gave none.
    md5: bytes


class DiskArray:
    """An array in a file, of which rows are read when they are asked for.

    Examples
    --------
    >>> # rows = disk_arrays("r1_uncal.asdf")["data"].rows(0, 64)    # (n_resultants, 64, nx)
    """

    def __init__(self, path: Path, block: _Block, shape: tuple[int, ...], dtype: np.dtype) -> None:
        self.path, self.shape, self.dtype = path, shape, dtype
        self._block = block
        self._n_planes = int(np.prod(shape[:-2], dtype=int))
        if block.compression == b"lz4\0":
            self._chunks, self._chunk_size = _chunks_of(path, block)
            # Neighbouring rows of all planes come from the same chunks; two threads have their own.
            self._chunk = lru_cache(2 * self._n_planes)(self._decompressed)
        elif block.compression != bytes(4):
            _check_compression(path, block)

    #: The bytes of the array, where they had to be unpacked.
    _unpacked: BinaryIO | None = None

    def rows(self, first: int, stop: int) -> np.ndarray:
        """Return rows ``first`` to ``stop - 1`` of all planes, as an array of its own."""
        ny, nx = self.shape[-2:]
        row_bytes = nx * self.dtype.itemsize
        out = np.empty((self._n_planes, stop - first, nx), self.dtype)
        for plane in range(self._n_planes):
            start = (plane * ny + first) * row_bytes
            raw = memoryview(out[plane]).cast("B") if out[plane].size else memoryview(b"")
            self._read_into(raw, start)
        native = out.astype(out.dtype.newbyteorder("="), copy=False)
        return native.reshape(*self.shape[:-2], stop - first, nx)

    def forget(self) -> None:
        """Let go of what was unpacked."""
        if self._block.compression == b"lz4\0":
            self._chunk.cache_clear()
        elif self._unpacked is not None:
            self._unpacked.close()
            self._unpacked = None

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """Read all of it."""
        return np.asarray(self.rows(0, self.shape[-2]), dtype)

    def _read_into(self, raw: memoryview, start: int) -> None:
        if self._block.compression in _STREAMS:
            if self._unpacked is None:
                # What is one stream is unpacked once, to a file without a name.
                self._unpacked = _unpacked(self.path, self._block)
                weakref.finalize(self, self._unpacked.close)
            if os.preadv(self._unpacked.fileno(), [raw], start) < len(raw):
                raise DataError(f"{self.path}: an array has fewer bytes than its shape needs")
            return
        if self._block.compression == bytes(4):
            with self.path.open("rb", buffering=0) as file:
                file.seek(self._block.start + start)
                n_read = 0
                while n_read < len(raw) and (more := file.readinto(raw[n_read:])):
                    n_read += more
            if n_read < len(raw):
                raise DataError(f"{self.path}: truncated while it was read; fetch it again")
            return
        done = 0
        while done < len(raw):
            number, offset = divmod(start + done, self._chunk_size)
            chunk = self._chunk(number)
            part = min(len(chunk) - offset, len(raw) - done)
            if part <= 0:
                raise DataError(f"{self.path}: an array has fewer bytes than its shape needs")
            raw[done : done + part] = memoryview(chunk)[offset : offset + part]
            done += part

    def _decompressed(self, number: int) -> bytes:
        if number >= len(self._chunks):
            raise DataError(f"{self.path}: an array has fewer bytes than its shape needs")
        start, size = self._chunks[number]
        with self.path.open("rb") as file:
            file.seek(start)
            return lz4.block.decompress(file.read(size))


#: What is compressed as one stream.
_STREAMS: dict[bytes, Callable[[], Any]] = {
    b"zlib": zlib.decompressobj,
    b"bzp2": bz2.BZ2Decompressor,
}


def _check_compression(path: Path, block: _Block) -> None:
    if block.compression not in _STREAMS:
        raise DataError(
            f"{path}: compressed by {block.compression.decode(errors='replace')!r}; "
            "tessella reads arrays that are plain or compressed by 'lz4', 'zlib' or 'bzp2'"
        )


def _unpacked(path: Path, block: _Block) -> BinaryIO:
    """Unpack a block that is one compressed stream, part by part."""
    stream = _STREAMS[block.compression]()
    out = tempfile.TemporaryFile()  # noqa: SIM115
    with path.open("rb") as file:
        position, end = block.start, block.start + block.used
        while content := os.pread(file.fileno(), min(_PART, end - position), position):
            try:
                out.write(stream.decompress(content))
            except (zlib.error, OSError, ValueError) as error:
                raise DataError(
                    f"{path}: damaged: an array cannot be unpacked; fetch it again"
                ) from error
            position += len(content)
    out.flush()
    return out


class Cut:
    """A rectangle of a `DiskArray`."""

    def __init__(self, array: DiskArray, y: int, x: int, ny: int, nx: int) -> None:
        self._array, self._y, self._columns = array, y, slice(x, x + nx)
        self.shape, self.dtype = (*array.shape[:-2], ny, nx), array.dtype

    def rows(self, first: int, stop: int) -> np.ndarray:
        """Return rows ``first`` to ``stop - 1`` of all planes, as an array of its own."""
        rows = self._array.rows(self._y + first, self._y + stop)
        return np.ascontiguousarray(rows[..., self._columns])


def disk_arrays(path: str | Path, is_checked: bool = False) -> dict[str, DiskArray | np.ndarray]:
    """Return the arrays that stand under the key ``roman`` of a file, by name.

    An array ``b`` in a mapping ``a`` beside the metadata has the name ``a/b``.

    Arrays that stand among the metadata are read at once. What the file is must have been
    checked before (`tessella.io.asdf_files.open_roman`); of one from outside of a run the arrays
    are held against their checksums here, unless they have been (`is_checked`).

    Raises
    ------
    DataError
        If an array does not agree with its checksum, is compressed in another way than by lz4,
        zlib or bzp2, or is masked.
    """
    path = Path(path)
    tree = read_head(path)
    with path.open("rb") as file:
        blocks = list(_blocks(file))
        if not is_checked and run_of(path) is None:
            for block in blocks:
                _check(path, file, block)
    found: dict[str, DiskArray | np.ndarray] = {}
    for name, node in _nodes(tree):
        if "data" in node:
            found[name] = np.array(node["data"], dtype=node["datatype"])
        elif "mask" in node or node.get("offset") or "strides" in node:
            raise DataError(f"{path}: array {name!r} is masked or has strides; write it plainly")
        else:
            dtype = np.dtype(node["datatype"])
            dtype = dtype.newbyteorder(">" if node["byteorder"] == "big" else "<")
            shape = tuple(int(n) for n in node["shape"])
            found[name] = DiskArray(path, blocks[node["source"]], shape, dtype)
    return found


def _nodes(tree: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Give name and description of each array."""
    for name, node in tree.items():
        if not isinstance(node, Mapping) or (not above and name == "meta"):
            continue
        if "datatype" in node:
            yield above + name, node
        elif not above:
            yield from _nodes(node, f"{name}/")


def _blocks(file: BinaryIO) -> Iterator[_Block]:
    content = b""
    while _MAGIC not in content and (more := file.read(1 << 16)):
        content += more
    position = content.find(_MAGIC)
    while position >= 0:
        file.seek(position)
        start = file.read(6)
        if start[:4] != _MAGIC:
            return
        header_size = int.from_bytes(start[4:6], "big")
        _, compression, allocated, used, _, md5 = _HEADER.unpack(file.read(_HEADER.size))
        position += 6 + header_size
        yield _Block(position, used, compression, md5)
        position += allocated


def _check(path: Path, file: BinaryIO, block: _Block) -> None:
    if block.md5 not in (bytes(16), _md5_of(file, block)):
        raise DataError(
            f"{path}: damaged: an array does not agree with its checksum; fetch it again"
        )


def _md5_of(file: BinaryIO, block: _Block) -> bytes:
    digest = hashlib.md5(usedforsecurity=False)
    position, end = block.start, block.start + block.used
    while content := os.pread(file.fileno(), min(_PART, end - position), position):
        digest.update(content)
        position += len(content)
    return digest.digest()


def add_checksums(path: Path, n_threads: int = 1) -> None:
    """Fill in the checksums of all arrays of a file that was written without.

    Parameters
    ----------
    path : path
        Changed in place.
    n_threads : int
        Of no influence on the file.
    """
    with path.open("r+b") as file, ThreadPoolExecutor(n_threads) as pool:
        blocks = list(_blocks(file))
        for block, md5 in zip(blocks, pool.map(partial(_md5_of, file), blocks), strict=True):
            # ASSUME: the header has no fields behind the checksum, as in every version so far.
            os.pwrite(file.fileno(), md5, block.start - len(md5))


def _chunks_of(path: Path, block: _Block) -> tuple[list[tuple[int, int]], int]:
    """Return start and size of each compressed chunk, and the size of a whole one when unpacked."""
    found: list[tuple[int, int]] = []
    chunk_size = 1
    with path.open("rb") as file:
        position, end = block.start, block.start + block.used
        while position < end:
            length = _LENGTH.unpack(os.pread(file.fileno(), 4, position))[0]
            if not found:
                chunk_size = int.from_bytes(os.pread(file.fileno(), 4, position + 4), "little")
            found.append((position + 4, length))
            position += 4 + length
    return found, chunk_size

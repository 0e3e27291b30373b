"""ASDF files: opened whole or refused, written whole or not at all."""

import re
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import asdf
import lz4.block
import numpy as np
from asdf.exceptions import ValidationError

# asdf loads the official data models for every file: with this it does so in less time.
import tessella.io.rad  # noqa: F401
from tessella.errors import DataError
from tessella.io.atomic import replacing
from tessella.io.disk_arrays import add_checksums
from tessella.io.runs import Run, run_of
from tessella.io.seals import Broken, sha256

_BLOCK_MAGIC = b"\xd3BLK"
#: After magic and header size: flags, compression, allocated, used and data size, checksum.
_BLOCK_HEADER = struct.Struct(">I4sQQQ16s")
#: Arrays of up to this many values stand among the metadata.
_INLINE_VALUES = 512
#: Bytes from the middle of an array that are compressed to see whether it pays, and when it does.
_SAMPLE, _WORTH_IT = 1 << 20, 0.9
#: How the tree names the block that an array stands in.
_SOURCE = re.compile(rb"ndarray-[\d.]+>?\s*\{?\s*source: (\d+)")


def check_whole(path: str | Path) -> None:
    """Refuse a file that is missing, is no ASDF file, or ends before its last block does.

    Raises
    ------
    DataError
        Naming the file, what was found and what was expected.

    Examples
    --------
    >>> check_whole("absent.asdf")
    Traceback (most recent call last):
    tessella.errors.DataError: absent.asdf: no such file
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(1 << 20)
        if not head.startswith(b"#ASDF"):
            raise DataError(
                f"{path}: not an ASDF file (it starts with {head[:8]!r}); expected '#ASDF'"
            )
        while _BLOCK_MAGIC not in head and (more := file.read(1 << 20)):
            head += more
        position = head.find(_BLOCK_MAGIC)
        if position < 0 and not head.rstrip().endswith(b"..."):
            raise DataError(
                f"{path}: truncated in its header: {size} bytes and no end of it; fetch it again"
            )
        n_needed = 1 + max(
            (int(number) for number in _SOURCE.findall(head if position < 0 else head[:position])),
            default=-1,
        )
        n_blocks = _count_blocks(file, path, position, size) if position >= 0 else 0
    if n_blocks < n_needed:
        raise DataError(
            f"{path}: truncated: it has {n_blocks} of at least {n_needed} blocks; fetch it again"
        )


def _count_blocks(file: BinaryIO, path: Path, position: int, size: int) -> int:
    """Go from block to block, the first of which starts at `position`; each must be whole."""
    n_blocks = 0
    while position < size:
        file.seek(position)
        start = file.read(6)
        if start[:4] != _BLOCK_MAGIC:
            break
        header_size = int.from_bytes(start[4:6], "big")
        header = file.read(header_size)
        if len(header) < _BLOCK_HEADER.size:
            raise DataError(
                f"{path}: truncated in a block header at byte {position}; fetch it again"
            )
        allocated = _BLOCK_HEADER.unpack(header[: _BLOCK_HEADER.size])[2]
        position += 6 + header_size + allocated
        if position > size:
            raise DataError(
                f"{path}: truncated: it has {size} bytes, its blocks need at least {position}; "
                "fetch it again"
            )
        n_blocks += 1
    return n_blocks


@contextmanager
def open_roman(path: str | Path, with_arrays: bool = True) -> Iterator[Any]:
    """Open an ASDF file and give what stands under its key ``roman``.

    A product of a run is held against its seal, another file against its own checksums.

    Parameters
    ----------
    path : path
    with_arrays : bool
        False for whoever reads no arrays: only what stands before them is checked.

    Raises
    ------
    DataError
        If the file is not whole, holds no such key, or an array does not agree with its checksum.
    Broken
        If it lies in a run and is not what its seal says.
    """
    run = run_of(path)
    if run is not None:
        sha256(path, head_only=not with_arrays)
    else:
        check_whole(path)
    try:
        with _opened(path, is_product=run is not None) as file:
            if "roman" not in file:
                raise DataError(
                    f"{path}: no key 'roman'; it holds {', '.join(map(str, file.keys()))}"
                )
            if run is not None:
                _check_name(run, Path(path), file["roman"])
            yield file["roman"]
    except ValueError as error:
        if "checksum" not in str(error):
            raise
        raise DataError(
            f"{path}: damaged: an array does not agree with its checksum; fetch it again"
        ) from error


@contextmanager
def _opened(path: str | Path, is_product: bool) -> Iterator[asdf.AsdfFile]:
    """Open a file; a product is what a schema has allowed and a checksum of the whole tells."""
    with asdf.config_context() as config:
        config.validate_on_read = not is_product
        with asdf.open(
            path, lazy_load=True, memmap=False, validate_checksums=not is_product
        ) as file:
            yield file


def _check_name(run: Run, path: Path, roman: Any) -> None:
    """Refuse a product that stands, seal and all, under the name of another one."""
    called = str(roman.get("meta", {}).get("filename", path.name))
    if called != path.name:
        raise Broken(run, run.name_of(path), "swapped", f"inside it is called {called}")


class _OrderedFile(asdf.AsdfFile):
    """An ASDF file that lists its extensions in order, so that equal content is equal bytes."""

    def _update_extension_history(self, tree: Any, serialization_context: Any) -> None:
        super()._update_extension_history(tree, serialization_context)
        tree["history"]["extensions"].sort(key=lambda entry: str(sorted(entry.items())))


def save_model(
    model: Any, path: str | Path, made_by: Mapping[str, Any], n_threads: int = 1
) -> None:
    """Write a roman_datamodels model, which its schema checks, under its final name.

    ``meta.file_date`` is what the model says, not the time of writing: equal content gives
    equal files, whatever the number of threads.

    Raises
    ------
    DataError
        Naming the file and what the schema does not allow.
    """
    with replacing(path, made_by, n_threads) as part, asdf.config_context() as config:
        config.array_inline_threshold = _INLINE_VALUES
        try:
            with _OrderedFile({"roman": model._instance}) as file:
                for array in _arrays(model._instance):
                    file.set_array_compression(array, _compression(array))
                file.write_to(part, write_checksums=False)
        except ValidationError as error:
            message = str(error).splitlines()[0]
            raise DataError(f"{path}: the product does not fit its schema: {message}") from error
        add_checksums(part, n_threads)


def _arrays(node: Any) -> Iterator[np.ndarray]:
    if isinstance(node, np.ndarray):
        yield node
    elif isinstance(node, Mapping) or hasattr(node, "items"):
        for value in node.values():
            yield from _arrays(value)


def _compression(array: np.ndarray) -> str | None:
    """Choose lz4 for what it makes smaller; noise costs time to no end."""
    flat = array.reshape(-1)
    middle = max(0, flat.size - _SAMPLE // flat.itemsize) // 2
    sample = flat[middle : middle + _SAMPLE // flat.itemsize].tobytes()
    return "lz4" if len(lz4.block.compress(sample)) < _WORTH_IT * len(sample) else None


def plain(node: Any) -> Any:
    """Copy a metadata tree out of its file, with plain dictionaries and lists."""
    if isinstance(node, Mapping) or hasattr(node, "items"):
        return {str(key): plain(value) for key, value in node.items()}
    if isinstance(node, list | tuple) or type(node).__name__ in ("LNode", "AsdfListNode"):
        return [plain(value) for value in node]
    return node

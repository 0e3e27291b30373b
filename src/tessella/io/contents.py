"""What any product of a run holds: arrays and columns by name, and all else as plain values."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import asdf
import h5py
import numpy as np
import pyarrow.parquet as pq
from astropy.table import Table
from matplotlib.image import imread

from tessella.errors import DataError
from tessella.io.seals import sha256

#: A WCS is compared by where it puts so many pixels along each axis.
_WCS_GRID = 5
_RADIAN_MAS = 180 / np.pi * 3.6e6


@dataclass(frozen=True)
class Array:
    """An array of a product, or a column of a table, that is read when it is asked for."""

    shape: tuple[int, ...]
    #: As numpy names it.
    dtype: str
    #: As the file names it; empty where it names none.
    unit: str
    #: Reads it; nothing of it is kept.
    load: Callable[[], np.ndarray]
    #: Arrays of the same one are equal and need not be read; None where there is none.
    made_of: str | None = None


@dataclass(frozen=True)
class Contents:
    """What a product holds."""

    arrays: dict[str, Array]
    #: What is no array, by its path such as ``meta.exposure.type``.
    values: dict[str, Any] = field(default_factory=dict)
    #: Whether the arrays are the columns of one table.
    is_table: bool = False

    @property
    def n_rows(self) -> int | None:
        """Number of rows of a table; None for what is no table."""
        return next((a.shape[0] for a in self.arrays.values()), 0) if self.is_table else None

    def error_of(self, name: str) -> str | None:
        """Return the name of the array that holds the errors of another, None without one.

        Examples
        --------
        >>> flux = Array((1,), "float32", "nJy", lambda: np.ones(1))
        >>> table = Contents({"flux": flux, "flux_err": flux}, {}, True)
        >>> table.error_of("flux"), table.error_of("flux_err")
        ('flux_err', None)
        """
        table_row = f"{name}_err"
        error = table_row if self.is_table else f"{name.removesuffix('data')}err"
        if not self.is_table and name.split(".")[-1] != "data":
            return None
        known = error in self.arrays and self.arrays[error].unit == self.arrays[name].unit
        return error if known and self.arrays[error].shape == self.arrays[name].shape else None


def read_contents(path: str | Path) -> Contents:
    """Say what a product holds; its arrays are read one by one, when they are asked for.

    A file that is no table, array or JSON is one array of its bytes. A WCS is an array of the
    directions [mas, on a sphere of that radius] of pixels spread over its image.

    Raises
    ------
    DataError
        If there is no such file, or it cannot be read.
    Broken
        If it lies in a run and is not what its seal says.

    Examples
    --------
    >>> read_contents("absent.json")
    Traceback (most recent call last):
    tessella.errors.DataError: .../absent.json: no such file
    """
    path = Path(path)
    sha256(path)
    try:
        return _READERS.get(path.suffix, _read_bytes)(path)
    except (OSError, ValueError, KeyError, SyntaxError) as error:
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"{path}: not a readable {path.suffix} file: {reason}") from error


def flattened(tree: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Give the leaves of a tree of mappings and lists with their paths.

    Examples
    --------
    >>> dict(flattened({"a": {"b": [1, 2]}, "c": []}))
    {'a.b.0': 1, 'a.b.1': 2, 'c': []}
    """
    if isinstance(tree, Mapping) and tree:
        items = [(str(key), value) for key, value in tree.items()]
    elif isinstance(tree, list | tuple) and tree:
        items = [(str(index), value) for index, value in enumerate(tree)]
    else:
        yield path, tree
        return
    for key, value in items:
        yield from flattened(value, f"{path}.{key}" if path else key)


def _read_asdf(path: Path) -> Contents:
    tree = asdf.util.load_yaml(path, tagged=True)
    arrays: dict[str, Array] = {}
    values: dict[str, Any] = {}
    for name, leaf in _leaves(tree["roman"], ("roman",), path):
        if isinstance(leaf, Array):
            arrays[name] = leaf
        else:
            values[name] = leaf
    return Contents(arrays, values)


def _leaves(node: Any, keys: tuple[str, ...], path: Path) -> Iterator[tuple[str, Any]]:
    """Give arrays, WCS as arrays, and single values, each with its path below ``roman``."""
    name, tag = ".".join(keys[1:]), getattr(node, "_tag", "")
    if "core/ndarray-" in tag:
        yield name, _asdf_array(node, path, keys)
    elif "gwcs/wcs-" in tag:
        shape = (_WCS_GRID, _WCS_GRID, 3)
        load = partial(_load_wcs, path, keys)
        model = dict(flattened(node, name))
        yield f"{name} (sky)", Array(shape, "float64", "mas", load, made_of=repr(model))
        yield from model.items()
    elif isinstance(node, Mapping) and node:
        for key, value in node.items():
            yield from _leaves(value, (*keys, str(key)), path)
    elif isinstance(node, list) and node:
        for index, value in enumerate(node):
            yield from _leaves(value, (*keys, str(index)), path)
    else:
        yield name, node


def _asdf_array(node: Any, path: Path, keys: tuple[str, ...]) -> Array:
    if isinstance(node, Mapping):
        shape, dtype = tuple(node["shape"]), str(node["datatype"])
    else:
        values = np.array(node)
        shape, dtype = values.shape, str(values.dtype)
    return Array(shape, dtype, "", partial(_load_asdf, path, keys))


def _node(file: Any, keys: tuple[str, ...]) -> Any:
    node = file
    for key in keys:
        node = node[int(key) if isinstance(node, list) else key]
    return node


def _load_asdf(path: Path, keys: tuple[str, ...]) -> np.ndarray:
    # Opened for each array: an open file keeps all that was read of it.
    with asdf.open(path, lazy_tree=True, memmap=False) as file:
        return np.array(_node(file, keys))


def _load_wcs(path: Path, keys: tuple[str, ...]) -> np.ndarray:
    with asdf.open(path, memmap=False) as file:
        wcs = _node(file, keys)
        box = wcs.bounding_box.bounding_box(order="F")
        x, y = np.meshgrid(*(np.linspace(low, high, _WCS_GRID) for low, high in box))
        lon, lat = np.radians(wcs(x, y, with_bounding_box=False))
    place = np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)
    return np.stack(place, axis=-1) * _RADIAN_MAS


def _read_parquet(path: Path) -> Contents:
    file = pq.ParquetFile(path)
    schema, n_rows = file.schema_arrow, file.metadata.num_rows
    arrays = {
        column.name: Array(
            (n_rows,),
            str(column.type),
            (column.metadata or {}).get(b"unit", b"none").decode().removeprefix("none"),
            partial(_load_parquet, path, column.name),
        )
        for column in schema
    }
    values = {key.decode(): value.decode() for key, value in (schema.metadata or {}).items()}
    return Contents(arrays, values, is_table=True)


def _load_parquet(path: Path, column: str) -> np.ndarray:
    table = pq.ParquetFile(path).read(columns=[column])
    return np.asarray(table[column].to_numpy())


def _read_ecsv(path: Path) -> Contents:
    table = Table.read(path, format="ascii.ecsv")
    arrays = {
        name: Array(
            column.shape,
            str(column.dtype),
            str(column.unit or ""),
            partial(_filled, column),
        )
        for name, column in table.columns.items()
    }
    return Contents(arrays, dict(flattened(dict(table.meta), "meta")), is_table=True)


def _filled(column: Any) -> np.ndarray:
    """Return a column with NaN where it is masked, or as text where there is no NaN."""
    if not np.ma.is_masked(column):
        return np.asarray(column)
    is_number = np.issubdtype(column.dtype, np.number)
    return np.ma.filled(column.astype(float if is_number else str), np.nan if is_number else "")


def _read_hdf5(path: Path) -> Contents:
    arrays: dict[str, Array] = {}
    values: dict[str, Any] = {}

    def visit(name: str, node: Any) -> None:
        for key, value in node.attrs.items():
            values[f"{name}.{key}".lstrip(".")] = getattr(value, "tolist", lambda v=value: v)()
        if isinstance(node, h5py.Dataset):
            arrays[name] = Array(node.shape, str(node.dtype), "", partial(_load_hdf5, path, name))

    with h5py.File(path) as file:
        visit("", file)
        file.visititems(visit)
    return Contents(arrays, values)


def _load_hdf5(path: Path, name: str) -> np.ndarray:
    with h5py.File(path) as file:
        return np.asarray(file[name][()])


def _read_json(path: Path) -> Contents:
    return Contents({}, dict(flattened(json.loads(path.read_text()))))


def _read_png(path: Path) -> Contents:
    shape = imread(path).shape
    return Contents({"pixels": Array(shape, "float32", "", partial(imread, path))})


def _read_bytes(path: Path) -> Contents:
    size = path.stat().st_size
    load = partial(np.memmap, path, np.uint8, "r") if size else partial(np.zeros, 0, np.uint8)
    return Contents({"bytes": Array((size,), "uint8", "", load)})


_READERS: dict[str, Callable[[Path], Contents]] = {
    ".asdf": _read_asdf,
    ".parquet": _read_parquet,
    ".ecsv": _read_ecsv,
    ".h5": _read_hdf5,
    ".json": _read_json,
    ".png": _read_png,
}

"""What differs between two products of the same name: arrays, columns, sources, metadata."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tessella.io.contents import Contents
from tessella.run.compare_sources import (
    Rows,
    SourceDifference,
    compare_sources,
    has_positions,
    matched_rows,
)

#: What products say of themselves, as their seals do.
_HOW_MADE = re.compile(r"(^|\.)tessella\.")


@dataclass(frozen=True)
class ArrayDifference:
    """How an array or a column differs; NaN in the same place in both is equal."""

    name: str
    n: int
    n_different: int
    #: Largest |difference| where both are numbers; None where there is no such place.
    largest: float | None = None
    unit: str = ""
    #: Largest |difference| / error of A; None without errors.
    in_errors: float | None = None
    #: Index in A of the largest difference, in units of the error where it has one.
    worst: tuple[int, ...] | None = None
    #: First and last index that differs, along each axis; None where rows were matched.
    box: tuple[tuple[int, int], ...] | None = None
    n_nan_in_a_only: int = 0
    n_nan_in_b_only: int = 0
    #: Other shape or type, in words; values of arrays of other shapes are not compared.
    form: str = ""


@dataclass(frozen=True)
class ProductDifference:
    """How two products of the same name differ."""

    name: str
    arrays: tuple[ArrayDifference, ...]
    #: Names of arrays that only one of them has.
    only_in_a: tuple[str, ...]
    only_in_b: tuple[str, ...]
    #: Path and both values of what is no array; None for what is not there.
    values: tuple[tuple[str, Any, Any], ...]
    sources: SourceDifference | None = None

    @property
    def only_metadata(self) -> bool:
        """Whether all arrays and columns are equal."""
        return not (self.arrays or self.only_in_a or self.only_in_b or self.rows_differ)

    @property
    def only_provenance(self) -> bool:
        """Whether only what the products say of how they were made differs."""
        return self.only_metadata and bool(self.values) and not self.metadata

    @property
    def rows_differ(self) -> bool:
        """Whether only one of the tables has some source."""
        return self.sources is not None and bool(self.sources.n_gone or self.sources.n_new)

    @property
    def metadata(self) -> tuple[str, ...]:
        """Paths of what is no array and differs, but for what says how the product was made."""
        return tuple(path for path, _, _ in self.values if not _HOW_MADE.search(path))


def compare_arrays(
    name: str, a: np.ndarray, b: np.ndarray, error: np.ndarray | None = None, unit: str = ""
) -> ArrayDifference | None:
    """Say where and by how much two arrays differ; None if they are equal.

    Parameters
    ----------
    name : str
    a, b : arrays
        Of any type and shape.
    error : array, optional
        Of the shape of `a`, in its unit; only positive ones count.
    unit : str

    Examples
    --------
    >>> found = compare_arrays("data", np.zeros((2, 3)), np.eye(2, 3), np.full((2, 3), 0.5))
    >>> found.n_different, found.largest, found.in_errors, found.worst, found.box
    (2, 1.0, 2.0, (0, 0), ((0, 1), (0, 1)))
    """
    form = "" if a.dtype == b.dtype else f"{a.dtype} -> {b.dtype}"
    if a.shape != b.shape:
        shapes = [f"{len(x)} values" if x.ndim == 1 else f"shape {list(x.shape)}" for x in (a, b)]
        form = " -> ".join(shapes) + (f", {form}" if form else "")
        return ArrayDifference(name, a.size, 0, unit=unit, form=form)
    nan_a, nan_b = _is_nan(a), _is_nan(b)
    differs = (a != b) & ~(nan_a & nan_b)
    place = np.nonzero(differs)
    if not len(place[0]) if a.ndim else not differs:
        return ArrayDifference(name, a.size, 0, unit=unit, form=form) if form else None
    largest = in_errors = worst = None
    if all(np.issubdtype(array.dtype, np.number) or array.dtype == bool for array in (a, b)):
        size = np.abs(b[place].astype(float) - a[place].astype(float))
        largest, worst = _largest(size, place)
        if error is not None:
            sigma = error[place].astype(float)
            ratio = np.divide(size, sigma, out=np.full_like(size, np.nan), where=sigma > 0)
            in_errors, worst_ratio = _largest(ratio, place)
            worst = worst_ratio or worst
    return ArrayDifference(
        name,
        a.size,
        len(place[0]),
        largest,
        unit,
        in_errors,
        worst,
        tuple((int(axis.min()), int(axis.max())) for axis in place),
        int(np.count_nonzero(nan_a & ~nan_b)),
        int(np.count_nonzero(nan_b & ~nan_a)),
        form,
    )


def _is_nan(array: np.ndarray) -> np.ndarray:
    if np.issubdtype(array.dtype, np.inexact):
        return np.isnan(array)
    return np.zeros(array.shape, bool)


def _largest(
    size: np.ndarray, place: tuple[np.ndarray, ...]
) -> tuple[float | None, tuple[int, ...] | None]:
    if np.isnan(size).all():
        return None, None
    index = int(np.nanargmax(size))
    return float(size[index]), tuple(int(axis[index]) for axis in place)


def compare_contents(name: str, a: Contents, b: Contents) -> ProductDifference:
    """Say how two products differ, reading one array of each at a time.

    Rows of tables with positions on the sky (``ra`` and ``dec``) are those of the same source;
    rows of other tables those of the same number, if they have as many.

    Examples
    --------
    >>> one, two = Contents({}, {"run": "a", "n": 1}), Contents({}, {"run": "b", "n": 1})
    >>> compare_contents("summary.json", one, two).values
    (('run', 'a', 'b'),)
    """
    rows = matched_rows(a, b) if has_positions(a) and has_positions(b) else None
    sources = None if rows is None else compare_sources(a, b, rows)
    differences: Iterable[ArrayDifference | None]
    if rows is None and a.n_rows != b.n_rows:
        form = f"{a.n_rows} -> {b.n_rows}"
        differences = [ArrayDifference("rows", a.n_rows or 0, 0, form=form)]
    else:
        both = [array for array in a.arrays if array in b.arrays]
        differences = (_compare_one(array, a, b, rows) for array in both)
    return ProductDifference(
        name,
        tuple(found for found in differences if found is not None),
        tuple(array for array in a.arrays if array not in b.arrays),
        tuple(array for array in b.arrays if array not in a.arrays),
        tuple(_different_values(a.values, b.values)),
        sources,
    )


def _compare_one(name: str, a: Contents, b: Contents, rows: Rows | None) -> ArrayDifference | None:
    made_of = a.arrays[name].made_of
    if made_of is not None and made_of == b.arrays[name].made_of:
        return None
    one, two = a.arrays[name].load(), b.arrays[name].load()
    error_name, unit = a.error_of(name), a.arrays[name].unit
    error = a.arrays[error_name].load() if error_name else None
    if rows is None:
        return compare_arrays(name, one, two, error, unit)
    in_a, in_b = rows
    error = None if error is None else error[in_a]
    found = compare_arrays(name, one[in_a], two[in_b], error, unit)
    if found is None or found.worst is None:
        return found
    return replace(found, worst=(int(in_a[found.worst[0]]), *found.worst[1:]), box=None)


def _different_values(a: dict[str, Any], b: dict[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    for path in dict.fromkeys([*a, *b]):
        one, two = a.get(path), b.get(path)
        both_nan = one != one and two != two
        if (path in a) != (path in b) or (one != two and not both_nan):
            yield path, one, two


def difference_in_errors(a: Contents, b: Contents) -> np.ndarray | None:
    """Return B - A of the image ``data`` in errors of A, NaN without one; None of other shapes.

    Parameters
    ----------
    a, b : Contents
        Images with errors.
    """
    if a.arrays["data"].shape != b.arrays["data"].shape:
        return None
    error = a.arrays["err"].load().astype(float)
    change = b.arrays["data"].load().astype(float) - a.arrays["data"].load()
    return np.divide(change, error, out=np.full_like(change, np.nan), where=error > 0)

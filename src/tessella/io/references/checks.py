"""What is in a reference, held against what its type must hold; a fault is named, never used."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from astropy.modeling import Model

from tessella.errors import DataError
from tessella.io.asdf_files import plain
from tessella.io.references.layouts import LAYOUTS
from tessella.models import Window

_N_CHANNELS = 32
#: Kinds of numbers by the name of an array; floating-point where it is not named.
_KINDS = {"dq": "u", "gamma": "c", "zeta": "c", "alpha": "c"}
_WORDS = {"u": "unsigned integers", "c": "complex numbers", "f": "floating-point numbers"}


def check_arrays(path: Path, reftype: str, arrays: Mapping[str, Any], covered: Window) -> None:
    """Refuse a file that lacks an array, or has one of another shape or kind.

    Raises
    ------
    DataError
        Naming file, array, what was found and what was expected.
    """
    layout = LAYOUTS[reftype]
    shapes = {"detector": covered.shape, "active": covered.active_shape}
    for name, n_axes in layout.arrays.items():
        if name not in arrays:
            held = ", ".join(arrays) or "no plain array"
            raise DataError(
                f"{path}: {name}: no such array; it holds {held}, a {reftype} reference holds "
                f"{', '.join(layout.arrays)}"
            )
        shape, kind = arrays[name].shape, _KINDS.get(name, "f")
        if len(shape) != n_axes:
            raise DataError(f"{path}: {name}: shape {shape}, expected {n_axes} axes")
        if layout.pixels and shape[-2:] != shapes[layout.pixels]:
            raise DataError(
                f"{path}: {name}: shape {shape}, expected {shapes[layout.pixels]} pixels of the "
                f"window {vars(covered)}"
            )
        if name == "coeffs" and len(shape) == n_axes and shape[0] < 2:
            raise DataError(f"{path}: {name}: {shape[0]} coefficients, expected 2 or more")
        if arrays[name].dtype.kind != kind:
            raise DataError(f"{path}: {name}: {arrays[name].dtype}, expected {_WORDS[kind]}")
    if not layout.pixels and len({arrays[name].shape for name in layout.arrays}) > 1:
        told = ", ".join(f"{name} {arrays[name].shape}" for name in layout.arrays)
        raise DataError(f"{path}: arrays of one shape were expected, found {told}")


def read_table(path: Path, reftype: str, roman: Any, detector: str) -> dict[str, Any]:
    """Return the rows of a reference that is a table, as plain dictionaries.

    Raises
    ------
    DataError
        If there is no such table; of the dark decay, if the detector has no row of numbers.
    """
    name = LAYOUTS[reftype].table
    table = plain(roman.get(name))
    if not isinstance(table, dict) or not all(isinstance(row, dict) for row in table.values()):
        found = "no such entry" if table is None else "no table of rows"
        raise DataError(f"{path}: {name}: {found}; a {reftype} reference holds one")
    if reftype == "darkdecaysignal":
        _check_dark_decay(path, table, detector)
    return table


def _check_dark_decay(path: Path, table: Mapping[str, Any], detector: str) -> None:
    row = table.get(detector)
    if row is None:
        raise DataError(f"{path}: decay_table: no row of {detector}; it has {', '.join(table)}")
    amplitude, time_constant = (_number(row.get(name)) for name in ("amplitude", "time_constant"))
    if not (np.isfinite(amplitude) and np.isfinite(time_constant) and time_constant > 0):
        raise DataError(
            f"{path}: decay_table.{detector}: {row}, expected numbers, time_constant above 0"
        )


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else np.nan


def converter_table(path: Path, roman: Any) -> dict[str, np.ndarray]:
    """Return the counts at which a converter was measured and what is added, by channel.

    Raises
    ------
    DataError
        If a channel is missing, or a correction has no number for each count.
    """
    table = roman.get("inl_table", {})
    if len(table) != _N_CHANNELS or "value" not in roman:
        raise DataError(
            f"{path}: inl_table: {len(table)} channels, expected {_N_CHANNELS} and the counts "
            "'value'"
        )
    rows = [np.asarray(table[name]["correction"], float) for name in sorted(table)]
    value = np.asarray(roman["value"], float)
    if value.ndim != 1 or any(row.shape != value.shape for row in rows):
        raise DataError(
            f"{path}: inl_table: corrections of shapes {sorted({row.shape for row in rows})}, "
            f"expected that of 'value', {value.shape}"
        )
    arrays = {"value": value, "correction": np.array(rows)}
    if not all(np.isfinite(values).all() for values in arrays.values()):
        raise DataError(f"{path}: inl_table: a correction is not a number; expected numbers alone")
    return arrays


def _distortion(path: Path, roman: Any) -> dict[str, Any]:
    name = "coordinate_distortion_transform"
    model = roman.get(name)
    if not isinstance(model, Model) or (model.n_inputs, model.n_outputs) != (2, 2):
        raise DataError(
            f"{path}: {name}: {type(model).__name__}, expected an astropy model from x, y to V2, V3"
        )
    return {"transform": model}


def _area(path: Path, roman: Any) -> dict[str, Any]:
    area = roman["meta"].get("photometry", {}).get("pixelarea_steradians")
    if not 0 < _number(area) < np.inf:
        raise DataError(
            f"{path}: meta.photometry.pixelarea_steradians: {area}, expected a number above 0"
        )
    return {"pixelarea_steradians": float(area)}


def _skycells(path: Path, roman: Any) -> dict[str, Any]:
    names = LAYOUTS["skycells"].arrays
    missing = [name for name in names if name not in roman]
    if missing:
        raise DataError(f"{path}: {missing[0]}: no such array; expected {', '.join(names)}")
    return {name: np.array(roman[name]) for name in names}


#: Types of which values are read that are neither arrays nor tables.
VALUES: Mapping[str, Callable[[Path, Any], dict[str, Any]]] = {
    "distortion": _distortion,
    "area": _area,
    "skycells": _skycells,
}

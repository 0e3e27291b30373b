"""Calibration references of any origin, read and cut to the window of an exposure."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from tessella.errors import DataError
from tessella.io.asdf_files import open_roman
from tessella.io.disk_arrays import Cut, disk_arrays
from tessella.io.references.checks import VALUES, check_arrays, converter_table, read_table
from tessella.io.references.layouts import LAYOUTS
from tessella.io.references.selection import read_selection
from tessella.io.seals import sha256
from tessella.models import BORDER, DETECTOR_SIZE, Reference, Window
from tessella.psf.effective import EffectivePsf, share_of_pixels

_OVERSAMPLE = 4
_SPECTRAL_TYPE = "G2V"


def read_effective_psf(path: str | Path) -> EffectivePsf:
    """Read an `epsf` reference: the stamp next to the middle of the detector, in focus.

    # ASSUME: one stamp serves the detector, and a star of type G2V all stars.

    Raises
    ------
    DataError
        If the file holds no PSF, or the stamp is not square with an odd side, or does not sum to a
        positive number.
    """
    with open_roman(path) as roman:
        missing = {"psf"} - set(roman) or {"pixel_x", "pixel_y"} - set(roman["meta"])
        if missing:
            raise DataError(
                f"{path}: no {', '.join(sorted(missing))}; expected an epsf reference, with the "
                "PSF and the pixels that it was drawn at"
            )
        meta, psf = roman["meta"], np.asarray(roman["psf"])
        # RAD lets files leave these out; the mission's have four samples in a pixel.
        oversample = int(meta.get("oversample", _OVERSAMPLE))
        focus = np.argmin(np.abs(meta.get("defocus", [0])))
        types = list(meta.get("spectral_type", []))
        spectral_type = types.index(_SPECTRAL_TYPE) if _SPECTRAL_TYPE in types else 0
        middle = DETECTOR_SIZE / 2
        distance = np.hypot(
            np.subtract(meta["pixel_x"], middle), np.subtract(meta["pixel_y"], middle)
        )
        stamp = psf[focus, spectral_type, np.argmin(distance)].astype(float)
    try:
        return EffectivePsf(share_of_pixels(stamp, oversample), oversample)
    except ValueError as error:
        raise DataError(f"{path}: psf: {error}; put a good file there") from None


def read_effective_psfs(paths: Iterable[str | Path]) -> dict[str, EffectivePsf]:
    """Read `epsf` references by the detector that each names: `read_effective_psf`.

    Raises
    ------
    DataError
        If two files are of one detector, or as `read_effective_psf`.
    """
    psfs: dict[str, EffectivePsf] = {}
    for path in paths:
        with open_roman(path, with_arrays=False) as roman:
            detector = str(roman["meta"]["instrument"]["detector"])
        if detector in psfs:
            raise DataError(f"{path}: a second PSF of {detector}; give one file of each detector")
        psfs[detector] = read_effective_psf(path)
    return psfs


def read_encircled_energy(path: str | Path, optical_element: str) -> tuple[np.ndarray, np.ndarray]:
    """Read radii [arcsec] and encircled energies of one filter from an `apcorr` reference.

    Raises
    ------
    DataError
        If the file does not hold the filter.
    """
    with open_roman(path) as roman:
        table = roman["data"]
        if optical_element not in table or table[optical_element]["ee_fractions"] is None:
            raise DataError(
                f"{path}: no encircled energies of {optical_element}; it holds {', '.join(table)}"
            )
        row = table[optical_element]
        return np.asarray(row["ee_radii"], float), np.asarray(row["ee_fractions"], float)


def read_references(
    selection: str | Path,
    reftypes: Iterable[str],
    window: Window,
    detector: str,
    optional: Iterable[str] = (),
) -> dict[str, Reference]:
    """Read the references that a selection names, cut to a window.

    Parameters
    ----------
    selection : path
        JSON file of the rule `select_references`.
    reftypes : iterable of str
        Types that are needed.
    window : Window
        Of the exposure.
    detector : str
        RAD name.
    optional : iterable of str
        Types that are read where the selection has them.

    Raises
    ------
    DataError
        If the selection has no file of a type, or a file is not the one chosen, is of another
        detector, or does not cover the window.
    """
    files = read_selection(selection)
    chosen = {}
    for reftype in (*reftypes, *(reftype for reftype in optional if reftype in files)):
        if reftype not in files:
            raise DataError(
                f"{selection}: no reference of type {reftype}; it has {', '.join(sorted(files))}"
            )
        path, expected = files[reftype]
        if sha256(path) != expected:
            raise DataError(
                f"{path}: it is not the file that {selection} chose: its SHA-256 is "
                f"{sha256(path)[:12]}..., not {expected[:12]}...; select again"
            )
        chosen[reftype] = _read_reference(path, reftype, window, detector)
    return chosen


def _read_reference(path: Path, reftype: str, window: Window, detector: str) -> Reference:
    if reftype not in LAYOUTS:
        raise DataError(
            f"{path}: no type of references: {reftype!r}; known are {', '.join(LAYOUTS)}"
        )
    layout = LAYOUTS[reftype]
    with open_roman(path) as roman:
        meta = roman["meta"]
        found = str(meta.get("reftype", reftype)).lower()
        if found != reftype:
            raise DataError(
                f"{path}: meta.reftype: it is {found!r}, expected {reftype!r}; mend the row of the "
                "table of references"
            )
        found = meta["instrument"].get("detector", detector)
        if found != detector and not layout.of_instrument:
            raise DataError(
                f"{path}: meta.instrument.detector: it is of {found}, expected {detector}; "
                "mend the row of the table of references"
            )
        if reftype == "integralnonlinearity":
            return Reference(reftype, path.name, converter_table(path, roman))
        if layout.table:
            return Reference(reftype, path.name, {}, read_table(path, reftype, roman, detector))
        if reftype in VALUES:
            return Reference(reftype, path.name, {}, VALUES[reftype](path, roman))
        held = meta.get("tessella", {}).get("window")
        covered = Window(**dict(held)) if held is not None else Window()
    arrays: dict[str, Any] = dict(disk_arrays(path))
    check_arrays(path, reftype, arrays, covered)
    if layout.pixels:
        border = 2 * BORDER if layout.pixels == "active" else 0
        arrays = {name: _cut(arrays[name], path, covered, window, border) for name in layout.arrays}
    return Reference(reftype, path.name, arrays)


def _cut(array: Any, path: Path, covered: Window, window: Window, border: int) -> Any:
    x, y = window.x - covered.x, window.y - covered.y
    ny, nx = window.ny - border, window.nx - border
    if min(x, y) < 0 or y + ny > array.shape[-2] or x + nx > array.shape[-1]:
        raise DataError(
            f"{path}: it covers the window {vars(covered)}, not the exposure's {vars(window)}"
        )
    if array.shape[-2:] == (ny, nx):
        return array
    if isinstance(array, np.ndarray):
        return array[..., y : y + ny, x : x + nx]
    return Cut(array, y, x, ny, nx)

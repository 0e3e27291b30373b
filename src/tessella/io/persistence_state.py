"""What exposures left in the traps of a detector, as a product for those that follow."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import asdf
import numpy as np

from tessella.detector.persistence_state import Illumination, PersistenceState
from tessella.errors import DataError
from tessella.io.asdf_files import open_roman, plain
from tessella.io.atomic import replacing
from tessella.models import Window


def write_state(path: str | Path, state: PersistenceState, provenance: Mapping[str, Any]) -> None:
    """Write what a detector's exposures left, the last of them included.

    Parameters
    ----------
    path : path
    state : PersistenceState
    provenance : mapping
        How it was made.
    """
    tree = {
        "meta": {
            "filename": Path(path).name,
            "instrument": {"name": "WFI", "detector": state.detector},
            "tessella": {**provenance, "window": vars(state.window)},
        },
        "entries": [entry._asdict() for entry in state.entries],
    }
    with replacing(path, provenance) as part, asdf.config_context() as config:
        config.array_inline_threshold = 0
        asdf.AsdfFile({"roman": tree}).write_to(part)


def read_state(path: str | Path, detector: str, window: Window) -> PersistenceState:
    """Read what earlier exposures left.

    Parameters
    ----------
    path : path
    detector : str
        RAD name of the detector that it is read for.
    window : Window
        The part of the detector that it is read for.

    Raises
    ------
    DataError
        If the file is not whole, is of another detector or of another part of it, or its arrays
        contradict each other; the message names the file.
    Broken
        If it lies in a run and is not what its seal says.
    """
    with open_roman(path) as roman:
        try:
            found = str(roman["meta"]["instrument"]["detector"])
            held = Window(**plain(roman["meta"]["tessella"]["window"]))
            entries = tuple(
                Illumination(
                    float(entry["end_mjd"]), np.array(entry["pixels"]), np.array(entry["charge"])
                )
                for entry in roman["entries"]
            )
        except (KeyError, TypeError) as error:
            raise DataError(
                f"{path}: {error} is missing; expected what exposures left in a detector's traps, "
                "as calibrate_exposure writes it"
            ) from error
    if found != detector:
        raise DataError(f"{path}: meta.instrument.detector is {found}, expected {detector}")
    if held != window:
        raise DataError(
            f"{path}: it is of the window {vars(held)}, expected {vars(window)}; make it again"
        )
    for number, entry in enumerate(entries):
        _check_entry(f"{path}: entries[{number}]", entry, window)
    ends = [entry.end_mjd for entry in entries]
    if any(later >= earlier for earlier, later in zip(ends, ends[1:], strict=False)):
        raise DataError(f"{path}: end_mjd of its entries is {ends}; expected the latest first")
    return PersistenceState(detector, window, entries)


def _check_entry(where: str, entry: Illumination, window: Window) -> None:
    ny, nx = window.active_shape
    pixels, charge = entry.pixels, entry.charge
    if pixels.dtype != np.int32 or charge.dtype != np.float16 or pixels.shape != charge.shape:
        raise DataError(
            f"{where}: pixels {pixels.dtype}{pixels.shape} and charge {charge.dtype}"
            f"{charge.shape}; expected int32 and float16 of one length"
        )
    if pixels.size and not (
        pixels[0] >= 0 and pixels[-1] < ny * nx and (np.diff(pixels) > 0).all()
    ):
        raise DataError(f"{where}.pixels: expected places from 0 to {ny * nx - 1} that increase")
    wrong = charge[(charge < 0) | np.isinf(charge)]
    if wrong.size or not np.isfinite(entry.end_mjd):
        raise DataError(
            f"{where}: end_mjd is {entry.end_mjd}, charge has {wrong.size} values such as "
            f"{wrong[:3].tolist()}; expected a date, and charges from 0 upwards or NaN"
        )

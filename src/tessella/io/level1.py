"""Level 1: ramps as they were sent, in official files (`..._uncal.asdf`, ScienceRawModel)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tessella import flags
from tessella.errors import DataError
from tessella.instrument.read_patterns import ReadPattern
from tessella.io.asdf_files import open_roman, plain, save_model
from tessella.io.disk_arrays import disk_arrays
from tessella.io.exposure_meta import exposure_meta, read_attitude, update
from tessella.io.rad import datamodels as rdm
from tessella.models import (
    CHANNEL_WIDTH,
    EXPOSURE_TYPES,
    ExposureHeader,
    GuideWindow,
    Ramp,
    Reliability,
    Window,
    rows_of,
)

#: Rows that are read at a time.
_ROWS = 512


def write_ramp(
    path: str | Path,
    ramp: Ramp,
    header: ExposureHeader,
    pattern: ReadPattern,
    provenance: Mapping[str, Any],
    reliability: Reliability | None = None,
    complete_fraction: float = 1.0,
    guide: GuideWindow | None = None,
) -> None:
    """Write a Level 1 file that validates against RAD.

    Parameters
    ----------
    path : path
    ramp : Ramp
    header : ExposureHeader
    pattern : ReadPattern
        Of the MultiAccum table; an exposure may have ended after its first resultants.
    provenance : mapping
        How the file is made.
    reliability : Reliability, optional
        Of the exposure; absent where the pixels have not been through telemetry.
    complete_fraction : float
        An exposure of which a smaller share of the pixels arrived has a ``data_problem``.
    guide : GuideWindow, optional
        Its place is told, for pixels that are read with it.

    Raises
    ------
    DataError
        If the ramp has none or more resultants than its read pattern, or the schema refuses it.
    """
    n_resultants = ramp.data.shape[0]
    if not 0 < n_resultants <= len(pattern.reads):
        raise DataError(
            f"{path}: {n_resultants} resultants, but MultiAccum table {pattern.number} has "
            f"{len(pattern.reads)}"
        )
    pattern = pattern.first(n_resultants)
    model = rdm.ScienceRawModel.create_fake_data()
    update(
        model.meta, exposure_meta(header, ramp.detector, ramp.window, pattern, ramp.encoding_offset)
    )
    model.meta["tessella"] = {**provenance, "window": vars(ramp.window)}
    if guide is not None:
        update(model.meta, {"guide_star": _corners(guide)})
    if reliability is not None:
        update(model.meta, _reliability(reliability, header, complete_fraction))
    model.data, model.amp33, model.resultantdq = ramp.data, ramp.amp33, ramp.resultant_dq
    if ramp.reference_read is not None:
        model.reference_read, model.reference_amp33 = ramp.reference_read, ramp.reference_amp33
    if ramp.amp33_dq is not None:
        # Not of the official schema, which has no flags for the reference output.
        model["amp33_dq"] = ramp.amp33_dq
    save_model(model, path, provenance)


def _corners(guide: GuideWindow) -> dict[str, int]:
    _, ny, nx = guide.pixels.shape
    return {
        "window_xstart": guide.x,
        "window_ystart": guide.y,
        "window_xstop": guide.x + nx,
        "window_ystop": guide.y + ny,
    }


def _reliability(
    reliability: Reliability, header: ExposureHeader, complete_fraction: float
) -> dict[str, Any]:
    """Return the keywords that tell how an exposure came through telemetry."""
    return {
        "exposure": {
            "data_problem": reliability.data_problem(complete_fraction),
            "engineering_quality": "OK" if reliability.clock_is_sound else "SUSPECT",
            "sdf_log_file": f"{header.key.name}_ledger.parquet",
        },
        "tessella": {
            "telemetry": {
                "version": reliability.version,
                "completeness": reliability.completeness,
            }
        },
    }


def read_ramp(path: str | Path, window: Window) -> tuple[Ramp, dict[str, Any]]:
    """Read a Level 1 file of any origin.

    Parameters
    ----------
    path : path
    window : Window
        The part of the detector that the file holds; official files do not say it.

    Returns
    -------
    ramp : Ramp
        Counts as stored, uint16, on the disk: a few rows at a time are read of them.
    meta : dict
        The file's own metadata, to be carried on.

    Raises
    ------
    DataError
        If the file is not whole, or its arrays, window and read pattern contradict each other.
    """
    with open_roman(path) as roman:
        check_layout(path, roman, window)
        meta = plain(roman["meta"])
    arrays: dict[str, Any] = dict(disk_arrays(path))
    data, amp33 = arrays["data"], rows_of(arrays["amp33"], 0, window.ny)
    shape = data.shape
    encoded = "reference_read" in arrays
    if encoded != ("reference_amp33" in arrays):
        raise DataError(
            f"{path}: of reference_read and reference_amp33 it holds one; expected both"
        )
    amp33_dq = arrays.get("amp33_dq")
    if amp33_dq is not None and amp33_dq.shape != shape[:2]:
        raise DataError(f"{path}: amp33_dq has shape {amp33_dq.shape}, expected {shape[:2]}")
    if amp33.shape != (shape[0], shape[1], CHANNEL_WIDTH):
        raise DataError(
            f"{path}: amp33 has shape {amp33.shape}, expected {(shape[0], shape[1], CHANNEL_WIDTH)}"
        )
    instrument, exposure = meta["instrument"], meta["exposure"]
    ramp = Ramp(
        detector=str(instrument["detector"]),
        optical_element=str(instrument["optical_element"]),
        window=window,
        data=data,
        # Zeros that take no memory, where nothing is stored.
        resultant_dq=arrays.get("resultantdq", np.broadcast_to(np.uint8(0), shape)),
        amp33=amp33,
        read_pattern=tuple(tuple(int(k) for k in reads) for reads in exposure["read_pattern"]),
        frame_time=float(exposure["frame_time"]),
        encoding_offset=int(instrument.get("data_encoding_offset") or 0) if encoded else 0,
        reference_read=arrays.get("reference_read"),
        reference_amp33=rows_of(arrays.get("reference_amp33"), 0, window.ny),
        amp33_dq=None if amp33_dq is None else rows_of(amp33_dq, 0, shape[0]),
        guide_window=_guide_window(meta, window),
        attitude=read_attitude(meta),
        exposure_type=str(exposure["type"]),
    )
    return ramp, meta


def lost_fraction(ramp: Ramp) -> float:
    """Return the share of resultant pixels that were lost on the way."""
    n_resultants, ny, nx = ramp.data.shape
    n_lost = sum(
        np.count_nonzero(rows_of(ramp.resultant_dq, y, min(y + _ROWS, ny)) & flags.DROPOUT)
        for y in range(0, ny, _ROWS)
    )
    return n_lost / (n_resultants * ny * nx)


_KEYWORDS = (
    "data",
    "amp33",
    "meta.exposure.read_pattern",
    "meta.exposure.frame_time",
    "meta.exposure.type",
    "meta.instrument.detector",
    "meta.instrument.optical_element",
    "meta.guide_star.window_xstart",
    "meta.wcsinfo.ra_ref",
)


def check_layout(path: str | Path, roman: Any, window: Window) -> None:
    """Refuse an open Level 1 file that lacks a keyword or holds another window; reads no pixels.

    Raises
    ------
    DataError
        Naming the file, what was found and what was expected.
    """
    _check_keywords(path, roman)
    _check_exposure(path, roman["meta"]["exposure"])
    _check_shape(path, tuple(roman["data"].shape), window, roman["meta"])


def _check_keywords(path: str | Path, roman: Any) -> None:
    for keyword in _KEYWORDS:
        node = roman
        for part in keyword.split("."):
            if part not in node:
                raise DataError(f"{path}: {keyword} is missing; it is required in Level 1")
            node = node[part]


def _check_exposure(path: str | Path, exposure: Mapping[str, Any]) -> None:
    frame_time, kind = float(exposure["frame_time"]), str(exposure["type"])
    if not 0 < frame_time < np.inf:
        raise DataError(f"{path}: meta.exposure.frame_time is {frame_time} s; it must be above 0")
    if kind not in EXPOSURE_TYPES:
        raise DataError(
            f"{path}: meta.exposure.type is {kind}; expected one of {', '.join(EXPOSURE_TYPES)}"
        )


def _check_shape(
    path: str | Path, shape: tuple[int, ...], window: Window, meta: Mapping[str, Any]
) -> None:
    if len(shape) != 3 or shape[1:] != window.shape:
        raise DataError(
            f"{path}: data has shape {shape}, but the configured window has {window.shape} rows "
            "and columns; set 'window' to the part of the detector that the file holds"
        )
    pattern = meta["exposure"]["read_pattern"]
    if len(pattern) != shape[0]:
        raise DataError(
            f"{path}: data has {shape[0]} resultants but meta.exposure.read_pattern {len(pattern)}"
        )
    last = [reads[-1] if reads else -1 for reads in pattern]
    if last[0] < 0 or any(b <= a for a, b in zip(last, last[1:], strict=False)):
        raise DataError(
            f"{path}: meta.exposure.read_pattern does not increase: {[list(r) for r in pattern]}"
        )
    held = meta.get("tessella", {}).get("window")
    if held is not None and Window(**plain(held)) != window:
        raise DataError(
            f"{path}: it holds the window {plain(held)}, but the configured one is {vars(window)}"
        )


def _guide_window(meta: Mapping[str, Any], window: Window) -> tuple[int, int, int, int] | None:
    star = meta["guide_star"]
    corners = [int(star[f"window_{name}"]) for name in ("xstart", "xstop", "ystart", "ystop")]
    if min(corners) < 0:
        return None
    x = np.clip(np.array(corners[:2]) - window.x, 0, window.nx)
    y = np.clip(np.array(corners[2:]) - window.y, 0, window.ny)
    return int(x[0]), int(x[1]), int(y[0]), int(y[1])

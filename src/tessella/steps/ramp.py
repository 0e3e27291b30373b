"""Steps on ramps: from what was sent to counts that are proportional to the charge."""

from dataclasses import replace
from typing import Any

import numpy as np

from tessella import flags
from tessella.detector.dark_decay import subtract_dark_decay
from tessella.detector.encoding import decode_block, guide_window_flags
from tessella.detector.integral_nonlinearity import tabulate
from tessella.detector.linearity import linearize
from tessella.detector.reference_noise import Coefficients, coefficients_of_window
from tessella.detector.reference_pixels import Drift, measure_drift, subtract_drift
from tessella.detector.reference_series import BorderPixels
from tessella.detector.saturation import first_saturated, flag_from, flag_saturated, grow
from tessella.detector.wfi18_residuals import row_residuals
from tessella.detector.wfi18_transient import Transient, correct_first_resultant, fit_transient
from tessella.errors import DataError
from tessella.models import (
    CHANNEL_WIDTH,
    Border,
    Ramp,
    Reference,
    Window,
    rows_of,
)
from tessella.steps.frame import Frame, References


def initialize_quality(ramp: Ramp, references: References) -> Ramp:
    """Make absolute counts of what was sent, and gather the flags that are known beforehand."""
    data, resultant_dq = decode_block(
        ramp.data, ramp.resultant_dq, ramp.reference_read, ramp.encoding_offset
    )
    n_rows, n_columns = data.shape[1:]
    guide_window = guide_window_flags(
        (ramp.window.ny, n_columns), ramp.guide_window, ramp.first_row, n_rows
    )
    return replace(
        ramp,
        data=data,
        resultant_dq=resultant_dq,
        dq=references["mask"].arrays["dq"] | guide_window,
        reference_read=None,
        encoding_offset=0,
    )


def flag_saturation(
    ramp: Ramp, references: References, grow_pixels: int, measured: np.ndarray | None
) -> Ramp:
    """Flag the resultants in which a pixel no longer counts."""
    threshold = references["saturation"].arrays
    resultant_dq, dq = flag_saturated(
        ramp.data,
        ramp.resultant_dq,
        ramp.known_dq | threshold["dq"],
        threshold["data"],
        ramp.read_pattern,
    )
    if measured is not None:
        rows = slice(ramp.first_row, ramp.first_row + ramp.data.shape[1])
        resultant_dq = flag_from(resultant_dq, measured[rows])
    return replace(ramp, resultant_dq=resultant_dq, dq=dq)


def measure_saturation(frame: Frame, references: References, grow_pixels: int) -> np.ndarray | None:
    """Find from where on charge of saturated pixels spills over, if that is asked for."""
    if not grow_pixels:
        return None
    threshold = references["saturation"].arrays["data"]
    first = []
    for block in frame.blocks():
        rows = rows_of(threshold, block.first_row, block.first_row + block.data.shape[1])
        flagged, _ = flag_saturated(
            block.data, block.resultant_dq, block.known_dq, rows, block.read_pattern
        )
        first.append(first_saturated(flagged))
    return grow(np.concatenate(first), grow_pixels)


def measure_reference_pixels(frame: Frame, references: References) -> Drift:
    """Measure the drift of the electronics on the pixels that see no light."""
    border, window = frame.border, frame.ramp.window
    coefficients = None
    if "refpix" in references:
        coefficients = _noise_weights(references["refpix"], window)
    first_channel = window.x // CHANNEL_WIDTH
    return measure_drift(_usable(border), coefficients, first_channel, frame.n_threads)


def _noise_weights(reference: Reference, window: Window) -> Coefficients:
    names = ("gamma", "zeta", "alpha")
    whole = Coefficients(*(np.asarray(reference.arrays[name]) for name in names))
    try:
        weights = coefficients_of_window(whole, window)
    except ValueError as error:
        raise DataError(f"{reference.filename}: {error}") from None
    for name in names:
        if not np.isfinite(getattr(weights, name)).all():
            raise DataError(f"{reference.filename}: {name}: NaN or infinite, expected numbers")
    return weights


def _usable(border: Border) -> BorderPixels:
    """Return the counts of reference pixels that may be used; NaN for the others."""
    bad = flags.BAD_REF_PIXEL | flags.DO_NOT_USE
    lost = flags.DO_NOT_USE | flags.DROPOUT

    def counts(side: str) -> np.ndarray:
        values, resultant_dq, dq = border.counts[side], border.resultant_dq[side], border.dq[side]
        good = ((resultant_dq & lost) == 0) & ((dq & bad) == 0)
        return np.where(good, values, np.nan).astype(np.float32)

    is_lost = (border.amp33_dq & lost) != 0
    amp33 = np.where(is_lost[..., None], np.nan, border.amp33).astype(np.float32)
    sides = {side: counts(side) for side in ("left", "right", "bottom", "top")}
    return BorderPixels(**sides, amp33=amp33)


def correct_reference_pixels(ramp: Ramp, references: References, measured: Drift) -> Ramp:
    """Remove the drift of the electronics that the reference pixels show."""
    return replace(ramp, data=subtract_drift(ramp.data, measured, ramp.first_row))


def correct_dark_decay(ramp: Ramp, references: References) -> Ramp:
    """Subtract the electronic signal with which every exposure starts."""
    row = references["darkdecaysignal"].values[ramp.detector]
    data = subtract_dark_decay(
        ramp.data,
        row["amplitude"],
        row["time_constant"],
        ramp.read_pattern,
        ramp.detector,
        ramp.window,
        ramp.frame_time,
        ramp.first_row,
    )
    return replace(ramp, data=data)


def measure_transient(frame: Frame, references: References) -> Transient | None:
    """Measure the transient of the first resultant of WFI18; None where it cannot be told."""
    ramp = frame.ramp
    rows = [
        row_residuals(
            block.data,
            block.resultant_dq,
            block.known_dq,
            ramp.read_pattern,
            ramp.frame_time,
            ramp.window,
            block.first_row,
        )
        for block in frame.blocks()
    ]
    residual, error = (np.concatenate(values) for values in zip(*rows, strict=True))
    return fit_transient(residual, error, ramp.window, ramp.frame_time)


def correct_transient(ramp: Ramp, references: References, measured: Transient | None) -> Ramp:
    """Subtract the transient, or flag the rows that it spoils."""
    data, resultant_dq = ramp.data.copy(), ramp.resultant_dq.copy()
    data[0], resultant_dq[0] = correct_first_resultant(
        data[0],
        resultant_dq[0],
        measured,
        ramp.detector,
        ramp.window,
        ramp.frame_time,
        ramp.first_row,
    )
    return replace(ramp, data=data, resultant_dq=resultant_dq)


def tabulate_converter(frame: Frame, references: References) -> Any:
    """Prepare the tables of the converter, where they are known."""
    if "integralnonlinearity" not in references:
        return None
    arrays = references["integralnonlinearity"].arrays
    return tabulate(np.asarray(arrays["value"]), np.asarray(arrays["correction"]))


def correct_linearity(ramp: Ramp, references: References, measured: Any) -> Ramp:
    """Make the counts proportional to the charge, read by read."""
    linearity = references["linearity"].arrays
    data, resultant_dq, dq = linearize(
        ramp.data,
        ramp.resultant_dq,
        ramp.known_dq | linearity["dq"],
        linearity["coeffs"],
        measured,
        ramp.read_pattern,
        ramp.window.x,
    )
    return replace(ramp, data=data, resultant_dq=resultant_dq, dq=dq)

"""The transient of WFI18: its first read starts about 100 DN off and recovers row by row.

What the first resultant has beyond the ramp that follows, averaged row by row
(`tessella.detector.wfi18_residuals`), is fitted with two exponentials of the time at which rows are
read and subtracted (facts: romancal, `romancal/wfi18_transient/wfi18_transient.py`; starting values
and the test of the fit are ours).
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from tessella import flags
from tessella.detector.readout_times import column_times, row_times, sees_light, window_rows
from tessella.models import DETECTOR_SIZE, Window

#: The detector that shows it.
DETECTOR = "WFI18"
#: Bit of 8-bit flags of resultants; in images the same bit is OUTLIER.
WFI18_TRANSIENT = 1 << 7
#: Rows of the 4096-row frame whose first resultant is given up where nothing was fitted.
MASKED_ROWS = 1000

# ASSUME: fewer rows than this say nothing of the transient.
_LEAST_ROWS = 64
# ASSUME: a fit that leaves more than this in the mean of 64 rows has not found the transient [DN].
_LARGEST_REMAINDER = 1.0


@dataclass(frozen=True)
class Transient:
    """``sum of amplitude * exp(-t / time_constant)`` of the time from the start of the frame."""

    #: [DN]
    amplitudes: tuple[float, float]
    #: [s]
    time_constants: tuple[float, float]


def fit_transient(
    residual: np.ndarray, error: np.ndarray, window: Window, frame_time: float
) -> Transient | None:
    """Fit two exponentials to the residuals of all rows of a window.

    The amplitudes follow from the time constants linearly, and these are searched for, first on
    a lattice. Rows more than 5 sigma off a first fit are left out of a second.

    Parameters
    ----------
    residual, error : ndarray of shape (ny,)
        Of `wfi18_residuals.row_residuals`, all blocks in order [DN]; NaN where a row was not
        measured.
    window : Window
        The part of the detector.
    frame_time : float
        Time between two reads [s].

    Returns
    -------
    Transient or None
        None where fewer than 64 rows were measured, or the fit did not converge or leaves more
        than 1 DN in the mean of 64 rows.

    Raises
    ------
    ValueError
        If there is not one residual for each row of the window.

    Examples
    --------
    >>> window = Window()
    >>> time = row_times("WFI18", window, 3.16247)
    >>> rows = 120 * np.exp(-time / 0.2) - 15 * np.exp(-time / 0.8)
    >>> found = fit_transient(rows, np.ones(4096), window, 3.16247)
    >>> [round(tau, 2) for tau in found.time_constants]
    [0.2, 0.8]
    """
    if residual.shape != (window.ny,) or error.shape != (window.ny,):
        raise ValueError(
            f"WFI18 transient: {residual.size} residuals and {error.size} errors "
            f"for a window of {window.ny} rows"
        )
    measured = np.isfinite(residual) & np.isfinite(error)
    if measured.sum() < _LEAST_ROWS:
        return None
    columns = column_times(window, frame_time)[sees_light(np.arange(window.nx), window.nx)]
    time = (row_times(DETECTOR, window, frame_time) + columns.mean())[measured]
    value = residual[measured]
    # Rows without scatter (a test's) would have infinite weight.
    sigma = np.maximum(error[measured], 1e-3)
    found = _fit(time, value, sigma, frame_time)
    if found is not None:
        kept = np.abs(value - _evaluate(found, time)) <= 5 * sigma
        if _LEAST_ROWS <= kept.sum() < kept.size:
            found = _fit(time[kept], value[kept], sigma[kept], frame_time)
    if found is None:
        return None
    left = value - _evaluate(found, time)
    parts = np.array_split(left, max(left.size // _LEAST_ROWS, 1))
    worst = max(abs(float(np.median(part))) for part in parts)
    return found if worst <= _LARGEST_REMAINDER else None


def correct_first_resultant(
    first: np.ndarray,
    first_dq: np.ndarray,
    transient: Transient | None,
    detector: str,
    window: Window,
    frame_time: float,
    first_row: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Subtract the transient from the first resultant of a block of rows.

    Parameters
    ----------
    first : ndarray of shape (n_rows, nx), float32
        The first resultant [DN]; NaN stays NaN.
    first_dq : ndarray of shape (n_rows, nx), uint8
        Its flags.
    transient : Transient or None
        Of `fit_transient`; without one, the first 1000 rows of the frame are flagged instead.
    detector : str
        RAD name; the resultant of any but WFI18 is handed back as it is.
    window, frame_time, first_row
        As of `wfi18_residuals.row_residuals`.

    Returns
    -------
    first, first_dq : ndarray of shape (n_rows, nx), float32 and uint8
        Worked out in double precision. Reference pixels are as they were.

    Raises
    ------
    ValueError
        If the rows leave the window.

    Examples
    --------
    >>> block = np.zeros((8, 128), np.float32), np.zeros((8, 128), np.uint8)
    >>> _, dq = correct_first_resultant(*block, None, "WFI18", Window(0, 0, 128, 128), 3.16247)
    >>> int(dq[0, 0])
    129
    """
    rows = window_rows(window, first_row, first.shape[0])
    if detector != DETECTOR:
        return first, first_dq
    if transient is None:
        masked = first_dq.copy()
        masked[rows + window.y < MASKED_ROWS] |= flags.DO_NOT_USE | WFI18_TRANSIENT
        return first, masked
    signal = _signal(transient, window, frame_time, first_row, first.shape[0])
    return (first - signal).astype(np.float32), first_dq


def transient_of_read(
    read: int, transient: Transient, detector: str, window: Window, frame_time: float
) -> np.ndarray:
    """Return what the transient adds to one read.

    Parameters
    ----------
    read : int
        Counted from 1; only read 1 of WFI18 has it.
    transient : Transient
        Of read 1; a first resultant of n reads shows an nth of it.
    detector, window, frame_time
        As of `correct_first_resultant`.

    Returns
    -------
    ndarray of shape (ny, nx), float32
        [DN]; 0 in the border of reference pixels.

    Examples
    --------
    >>> signal = Transient((100.0, -10.0), (0.2, 0.8))
    >>> bool(transient_of_read(2, signal, "WFI18", Window(), 3.16247).any())
    False
    """
    if detector != DETECTOR or read != 1:
        return np.zeros(window.shape, np.float32)
    return _signal(transient, window, frame_time, 0, window.ny).astype(np.float32)


def _signal(
    transient: Transient, window: Window, frame_time: float, first_row: int, n_rows: int
) -> np.ndarray:
    """Return the transient of a block of rows, (n_rows, nx), 0 in the border [DN]."""
    row = row_times(DETECTOR, window, frame_time, first_row, n_rows)
    column = column_times(window, frame_time)
    # ASSUME: reference pixels do not show it, as for the dark decay.
    lit_rows = sees_light(window_rows(window, first_row, n_rows), window.ny)
    lit_columns = sees_light(np.arange(window.nx), window.nx)
    signal = np.zeros((n_rows, window.nx))
    for amplitude, tau in zip(transient.amplitudes, transient.time_constants, strict=True):
        # A short component fades before the last rows, a very short one to numbers below any.
        signal += np.outer(
            amplitude * np.exp(-row / tau) * lit_rows, np.exp(-column / tau) * lit_columns
        )
    return signal


def _evaluate(transient: Transient, time: np.ndarray) -> np.ndarray:
    pairs = zip(transient.amplitudes, transient.time_constants, strict=True)
    return np.sum([amplitude * np.exp(-time / tau) for amplitude, tau in pairs], axis=0)


def _fit(
    time: np.ndarray, value: np.ndarray, sigma: np.ndarray, frame_time: float
) -> Transient | None:
    # From a few rows to ten frames: the fit cannot tell longer ones from a constant.
    shortest, longest = np.log(4 * frame_time / DETECTOR_SIZE), np.log(10 * frame_time)
    weighted = value / sigma

    def amplitudes(log_tau: np.ndarray) -> tuple[np.ndarray, float]:
        model = np.exp(-time / np.exp(log_tau)[:, None]) / sigma
        # Sums of elementwise products: a matrix product's order may depend on its threads.
        normal = np.array([[(a * b).sum() for b in model] for a in model])
        right = np.array([(a * weighted).sum() for a in model])
        found = np.linalg.lstsq(normal, right, rcond=1e-12)[0]
        left = weighted - found[0] * model[0] - found[1] * model[1]
        return found, float((left * left).sum())

    def chisq(log_tau: np.ndarray) -> float:
        if not (shortest <= log_tau.min() and log_tau.max() <= longest):
            return np.inf
        return amplitudes(log_tau)[1]

    lattice = np.linspace(shortest, longest, 14)[1:-1]
    pairs = [np.array([a, b]) for i, a in enumerate(lattice) for b in lattice[i + 1 :]]
    start = min(pairs, key=chisq)
    step = (lattice[1] - lattice[0]) / 2
    found = minimize(
        chisq,
        start,
        method="Nelder-Mead",
        options={
            "xatol": 1e-5,
            "fatol": 1e-7,
            "maxiter": 1000,
            "initial_simplex": [start, start + [step, 0], start + [0, step]],
        },
    )
    a, b = amplitudes(found.x)[0]
    if not (found.success and np.isfinite([a, b]).all()):
        return None
    return Transient((float(a), float(b)), (float(np.exp(found.x[0])), float(np.exp(found.x[1]))))

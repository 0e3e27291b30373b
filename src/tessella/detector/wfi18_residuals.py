"""What the first resultant of WFI18 has beyond the ramp that follows, row by row.

The first resultant is predicted from the second and third; the residuals of the faint pixels of
each row are averaged (facts: romancal, `romancal/wfi18_transient/wfi18_transient.py`). Each row is
a matter of its own, so they come from blocks of rows.
"""

import numpy as np

from tessella import flags
from tessella.compiled import kernel
from tessella.detector.readout_times import sees_light, window_rows
from tessella.models import Window
from tessella.ramps.timing import mean_times

#: Resultants that the measurement needs.
LEAST_RESULTANTS = 5

_UNUSABLE = flags.DO_NOT_USE | flags.SATURATED | flags.DROPOUT
_CLIP = 3.0
#: Median absolute deviation of a normal distribution to its standard deviation.
_MAD_TO_SIGMA = 1.482602218505602
# ASSUME: a mean of fewer pixels than this says nothing of its row.
_LEAST_PIXELS = 16


def row_residuals(
    data: np.ndarray,
    resultant_dq: np.ndarray,
    dq: np.ndarray,
    read_pattern: tuple[tuple[int, ...], ...],
    frame_time: float,
    window: Window,
    first_row: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Return what the first resultant has beyond the ramp that follows, row by row.

    The mean of the faint half of a row's pixels, those that grow least from the fourth to the
    fifth resultant, after clipping at 3 sigma around the median. Each row is a matter of its own.

    Parameters
    ----------
    data : ndarray of shape (n_resultants, n_rows, nx), float32
        Counts [DN], free of the bias of averages that were rounded down (or resultants of 1, 1
        and 2 reads give a residual of -0.17 DN); the first five resultants are looked at.
    resultant_dq : ndarray of shape (n_resultants, n_rows, nx), uint8
        Pixels with DO_NOT_USE, SATURATED or DROPOUT in one of the five are left out.
    dq : ndarray of shape (n_rows, nx), uint32
        Pixels with DO_NOT_USE are left out.
    read_pattern : tuple of tuple of int
        Reads of each resultant, counted from 1.
    frame_time : float
        Time between two reads [s].
    window : Window
        The part of the detector.
    first_row : int
        Row of the window at which the block starts.

    Returns
    -------
    residual, error : ndarray of shape (n_rows,), float64
        Mean and its standard error [DN]; NaN where a row has fewer than 16 such pixels, in the
        border, and everywhere if there are fewer than five resultants.

    Raises
    ------
    ValueError
        If the rows leave the window or arrays do not fit each other.

    Examples
    --------
    >>> ramp = np.ones((5, 8, 128), np.float32) * np.arange(1, 6, dtype=np.float32)[:, None, None]
    >>> ramp[0] += 30
    >>> reads = ((1,), (2,), (3,), (4,), (5,))
    >>> no_flags = np.zeros(ramp.shape, np.uint8), np.zeros(ramp.shape[1:], np.uint32)
    >>> row_residuals(ramp, *no_flags, reads, 1.0, Window(0, 0, 128, 128), 64)[0][0]
    np.float64(30.0)
    """
    n_rows = data.shape[1]
    rows = window_rows(window, first_row, n_rows)
    if data.shape != resultant_dq.shape or data.shape[1:] != dq.shape or dq.shape[1] != window.nx:
        raise ValueError(
            f"WFI18 transient: counts of shape {data.shape}, flags of {resultant_dq.shape} and "
            f"{dq.shape} and a window of {window.nx} columns do not fit each other"
        )
    residual, error = np.full(n_rows, np.nan), np.full(n_rows, np.nan)
    if data.shape[0] >= LEAST_RESULTANTS:
        time = mean_times(read_pattern, frame_time)
        back = (time[1] - time[0]) / (time[2] - time[1])
        measured = sees_light(rows, window.ny), sees_light(np.arange(window.nx), window.nx)
        _average_rows(data, resultant_dq, dq, *measured, back, residual, error)
    return residual, error


@kernel
def _average_rows(
    data: np.ndarray,
    resultant_dq: np.ndarray,
    dq: np.ndarray,
    measured_rows: np.ndarray,
    measured_columns: np.ndarray,
    back: float,
    residual: np.ndarray,
    error: np.ndarray,
) -> None:
    """Average the residuals of each row's faint pixels, in double precision."""
    n_columns = data.shape[2]
    late = np.empty(n_columns)
    beyond = np.empty(n_columns)
    for y in range(data.shape[1]):
        if not measured_rows[y]:
            continue
        n = 0
        for x in range(n_columns):
            bad = (dq[y, x] & flags.DO_NOT_USE) != 0 or not measured_columns[x]
            for i in range(5):
                bad = bad or (resultant_dq[i, y, x] & _UNUSABLE) != 0
                bad = bad or not np.isfinite(data[i, y, x])
            if bad:
                continue
            second = np.float64(data[1, y, x])
            late[n] = np.float64(data[4, y, x]) - np.float64(data[3, y, x])
            rise = np.float64(data[2, y, x]) - second
            beyond[n] = np.float64(data[0, y, x]) - (second - back * rise)
            n += 1
        if n < 2 * _LEAST_PIXELS:
            continue
        limit = np.median(late[:n])
        n_faint = 0
        for x in range(n):
            if late[x] <= limit:
                beyond[n_faint] = beyond[x]
                n_faint += 1
        faint = beyond[:n_faint]
        middle = np.median(faint)
        reach = _CLIP * _MAD_TO_SIGMA * np.median(np.abs(faint - middle))
        total, squares, kept = 0.0, 0.0, 0
        for x in range(n_faint):
            off = faint[x] - middle
            if abs(off) <= reach:
                total += off
                squares += off * off
                kept += 1
        mean = total / kept
        residual[y] = middle + mean
        error[y] = np.sqrt(max(squares / kept - mean * mean, 0.0) / kept)

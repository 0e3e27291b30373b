"""Dark decay: an electronic signal with which every exposure starts and which fades.

It is ``A exp(-t / tau)`` with A about 0.4 DN and tau about 23 s; t is the time at which a pixel is
read, zero in the middle of the first read (facts: romancal, `romancal/dark_decay/dark_decay.py`;
Betti et al. 2025, Roman-STScI-000814). The time is a sum of a part of the read, of the row and of
the column, so the signal is a product of three vectors.
"""

import numpy as np

from tessella.compiled import kernel
from tessella.detector.readout_times import column_times, row_times, sees_light, window_rows
from tessella.models import Window

#: Read, counted from 1, at whose start the time is zero if it could start in its middle.
_READ_AT_ZERO = 1.5


def dark_decay(
    amplitude: float,
    time_constant: float,
    read_pattern: tuple[tuple[int, ...], ...],
    detector: str,
    window: Window,
    frame_time: float,
    first_row: int = 0,
    n_rows: int | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the decay in each resultant as three factors.

    The signal of pixel (y, x) in resultant i is ``resultants[i] * rows[y] * columns[x]``: the mean
    over the resultant's reads.

    Parameters
    ----------
    amplitude : float
        A [DN].
    time_constant : float
        tau [s].
    read_pattern : tuple of tuple of int
        Reads of each resultant, counted from 1.
    detector : str
        RAD name.
    window : Window
        The part of the detector.
    frame_time : float
        Time between two reads [s].
    first_row, n_rows : int
        Rows of the window; to its end if `n_rows` is None.

    Returns
    -------
    resultants : ndarray of shape (n_resultants,), float64
        [DN]
    rows, columns : ndarray of shape (n_rows,) and (nx,), float64
        0 in the border of reference pixels.

    Raises
    ------
    ValueError
        If `time_constant` is not positive, `amplitude` not finite, or the rows leave the window.

    Examples
    --------
    >>> factors = dark_decay(0.4, 23.0, ((1,), (2, 3)), "WFI01", Window(), 3.16247)
    >>> [factor.shape for factor in factors], bool(factors[0][0] > factors[0][1])
    ([(2,), (4096,), (4096,)], True)
    """
    if not (np.isfinite(amplitude) and np.isfinite(time_constant) and time_constant > 0):
        raise ValueError(
            f"dark decay: an amplitude of {amplitude} DN and a time constant of {time_constant} s; "
            "the first must be finite, the second positive"
        )

    def fade(time: np.ndarray) -> np.ndarray:
        return np.exp(-time / time_constant)

    resultants = amplitude * np.array(
        [fade((np.asarray(reads) - _READ_AT_ZERO) * frame_time).mean() for reads in read_pattern]
    )
    # ASSUME: reference pixels do not show it; else reference-pixel correction would remove it.
    lit_rows = sees_light(window_rows(window, first_row, n_rows), window.ny)
    lit_columns = sees_light(np.arange(window.nx), window.nx)
    rows = fade(row_times(detector, window, frame_time, first_row, n_rows)) * lit_rows
    columns = fade(column_times(window, frame_time)) * lit_columns
    return resultants, rows, columns


def subtract_dark_decay(
    data: np.ndarray,
    amplitude: float,
    time_constant: float,
    read_pattern: tuple[tuple[int, ...], ...],
    detector: str,
    window: Window,
    frame_time: float,
    first_row: int = 0,
) -> np.ndarray:
    """Subtract the decay from a block of rows.

    Parameters
    ----------
    data : ndarray of shape (n_resultants, n_rows, nx), float32
        Counts [DN]; NaN stays NaN.
    amplitude, time_constant, read_pattern, detector, window, frame_time
        As of `dark_decay`.
    first_row : int
        Row of the window at which the block starts.

    Returns
    -------
    ndarray of the shape of `data`, float32
        Single precision throughout. Reference pixels are as they were.

    Raises
    ------
    ValueError
        As `dark_decay`, or if the block does not fit the read pattern or the window.

    Examples
    --------
    >>> block = np.zeros((1, 8, 128), np.float32)
    >>> window = Window(0, 0, 128, 128)
    >>> after = subtract_dark_decay(block, 0.4, 23.0, ((1,),), "WFI03", window, 3.16247, 64)
    >>> round(float(after[0, 0, 64]), 3)
    -0.428
    """
    if data.ndim != 3 or data.shape[0] != len(read_pattern) or data.shape[2] != window.nx:
        raise ValueError(
            f"dark decay: the block's shape is {data.shape}, the read pattern has "
            f"{len(read_pattern)} resultants and the window {window.nx} columns"
        )
    resultants, rows, columns = dark_decay(
        amplitude,
        time_constant,
        read_pattern,
        detector,
        window,
        frame_time,
        first_row,
        data.shape[1],
    )
    out = np.empty(data.shape, np.float32)
    _subtract(data, resultants, rows, columns.astype(np.float32), out)
    return out


def dark_decay_of_read(
    read: int,
    amplitude: float,
    time_constant: float,
    detector: str,
    window: Window,
    frame_time: float,
) -> np.ndarray:
    """Return what the decay adds to one read.

    Parameters
    ----------
    read : int
        Counted from 1; 0 is the reference read.
    amplitude, time_constant, detector, window, frame_time
        As of `dark_decay`.

    Returns
    -------
    ndarray of shape (ny, nx), float32
        [DN]

    Raises
    ------
    ValueError
        As `dark_decay`.

    Examples
    --------
    >>> signal = dark_decay_of_read(1, 0.4, 23.0, "WFI03", Window(), 3.16247)
    >>> round(float(np.median(signal)), 3)
    0.4
    """
    resultants, rows, columns = dark_decay(
        amplitude, time_constant, ((read,),), detector, window, frame_time
    )
    return np.outer(resultants[0] * rows, columns).astype(np.float32)


@kernel
def _subtract(
    data: np.ndarray,
    resultants: np.ndarray,
    rows: np.ndarray,
    columns: np.ndarray,
    out: np.ndarray,
) -> None:
    for i in range(data.shape[0]):
        for y in range(data.shape[1]):
            factor = np.float32(resultants[i] * rows[y])
            for x in range(data.shape[2]):
                out[i, y, x] = data[i, y, x] - factor * columns[x]

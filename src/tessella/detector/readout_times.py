"""When each pixel is read within a frame.

Thirty-two channels of 128 columns are read side by side, one row after the other, each row
followed by idle clocks; after every 256 rows the guide window is read. Neighbouring channels are
read in opposite directions. In the science frame a detector whose number is a multiple of three
is turned left to right, any other upside down. (Facts: romancal, `romancal/lib/basic_utils.py`,
`frame_read_times`.)

The time is the sum of a part of the row and a part of the column, so that whatever depends on it
exponentially is a product.
"""

import numpy as np

from tessella.models import BORDER, CHANNEL_WIDTH, DETECTOR_SIZE, Window

#: Time of one clock, that is of one pixel [s].
PIXEL_TIME = 4.915263e-6
#: Clocks after each row during which no pixel is read.
IDLE_CLOCKS = 14
#: Rows between two readouts of the guide window.
GUIDE_WINDOW_STRIDE = 256
# ASSUME: while the guide window is read, time counts 1.5 times: the transient of WFI18 decays
# that much faster then. The amplitudes of both transients were measured with this clock.
GUIDE_WINDOW_WEIGHT = 1.5

_ROW_CLOCKS = CHANNEL_WIDTH + IDLE_CLOCKS
_LAST_CLOCK = (DETECTOR_SIZE - 1) * _ROW_CLOCKS + CHANNEL_WIDTH - 1
_GUIDE_WINDOWS = DETECTOR_SIZE // GUIDE_WINDOW_STRIDE


def row_times(
    detector: str,
    window: Window,
    frame_time: float,
    first_row: int = 0,
    n_rows: int | None = None,
    guide_window_weight: float = GUIDE_WINDOW_WEIGHT,
) -> np.ndarray:
    """Return when the readout of each row starts, from the start of the frame.

    A window is a cut-out of the frame: its pixels keep the times that they have in the frame.

    Parameters
    ----------
    detector : str
        RAD name.
    window : Window
        The part of the detector.
    frame_time : float
        Time between two reads [s].
    first_row, n_rows : int
        Rows of the window; to its end if `n_rows` is None.
    guide_window_weight : float
        Time of a guide window readout counts so many times; the frame keeps its length.

    Returns
    -------
    ndarray of shape (n_rows,), float64
        [s]

    Raises
    ------
    ValueError
        If the frame is too short for its pixels or the rows leave the window.

    Examples
    --------
    >>> times = row_times("WFI18", Window(), 3.16247)
    >>> float(times[0]), round(float(times[-1]), 3)
    (0.0, 3.135)
    >>> times[0] == row_times("WFI01", Window(), 3.16247)[-1]
    np.True_
    """
    rows = window_rows(window, first_row, n_rows) + window.y
    order = rows if int(detector[3:]) % 3 == 0 else DETECTOR_SIZE - 1 - rows
    clock, guide = _clocks(frame_time, guide_window_weight)
    return clock * (order * _ROW_CLOCKS + guide * (order // GUIDE_WINDOW_STRIDE))


def column_times(
    window: Window, frame_time: float, guide_window_weight: float = GUIDE_WINDOW_WEIGHT
) -> np.ndarray:
    """Return when each pixel of a row is read, from the start of its row.

    The same for all detectors: the row of channels is its own mirror image.

    Parameters
    ----------
    window, frame_time, guide_window_weight
        As of `row_times`.

    Returns
    -------
    ndarray of shape (nx,), float64
        [s]

    Raises
    ------
    ValueError
        If the frame is too short for its pixels.

    Examples
    --------
    >>> times = column_times(Window(), 3.16247)
    >>> times[0] == times[255] < times[127] == times[128]
    np.True_
    """
    column = np.arange(window.x, window.x + window.nx)
    channel, order = column // CHANNEL_WIDTH, column % CHANNEL_WIDTH
    clock, _ = _clocks(frame_time, guide_window_weight)
    return clock * np.where(channel % 2 == 0, order, CHANNEL_WIDTH - 1 - order)


def window_rows(window: Window, first_row: int = 0, n_rows: int | None = None) -> np.ndarray:
    """Return the numbers of a block's rows within the window, (n_rows,).

    Raises
    ------
    ValueError
        If the rows leave the window.

    Examples
    --------
    >>> window_rows(Window(0, 128, 128, 256), 254).tolist()
    [254, 255]
    """
    end = window.ny if n_rows is None else first_row + n_rows
    if not 0 <= first_row <= end <= window.ny:
        raise ValueError(f"rows {first_row} to {end} leave a window of {window.ny} rows")
    return np.arange(first_row, end)


def sees_light(index: np.ndarray, size: int) -> np.ndarray:
    """Tell which rows (or columns) of a window of `size` are not in its border.

    Examples
    --------
    >>> sees_light(np.array([3, 4, 123, 124]), 128).tolist()
    [False, True, True, False]
    """
    return (index >= BORDER) & (index < size - BORDER)


def _clocks(frame_time: float, guide_window_weight: float) -> tuple[float, float]:
    """Return the time of one clock [s] and the clocks of one readout of the guide window."""
    spare = frame_time / PIXEL_TIME - _LAST_CLOCK
    if not spare >= 0:
        raise ValueError(
            f"frame time: {frame_time} s are too short for {_LAST_CLOCK} clocks of {PIXEL_TIME} s"
        )
    guide = spare / _GUIDE_WINDOWS * guide_window_weight
    return frame_time / (_LAST_CLOCK + _GUIDE_WINDOWS * guide), guide

"""What the flight computer does to the counts before it sends them, undone."""

import numpy as np

from tessella import flags


def decode(data: np.ndarray, reference_read: np.ndarray | None, encoding_offset: int) -> np.ndarray:
    """Return absolute counts: the reference read is added back and the offset taken off.

    Parameters
    ----------
    data : ndarray of shape (n_resultants, ny, nx)
        Counts as they were sent [DN].
    reference_read : ndarray of shape (ny, nx), optional
        The read that was subtracted on board [DN]; without one the counts are absolute already.
    encoding_offset : int
        Added on board [DN].

    Returns
    -------
    ndarray of shape (n_resultants, ny, nx), float32
        Absolute counts [DN].

    Examples
    --------
    >>> float(decode(np.array([[[4010]]], np.uint16), np.array([[5000]], np.uint16), 4000)[0, 0, 0])
    5010.0
    """
    decoded = data.astype(np.float32)
    if reference_read is None:
        return decoded
    return decoded + (reference_read.astype(np.float32) - np.float32(encoding_offset))


def clipped(data: np.ndarray, reference_read: np.ndarray | None) -> np.ndarray:
    """Mark resultants, (n_resultants, ny, nx), that were cut off on board at 0 or at 65535.

    Only differences against a reference read can be cut off: an absolute count of 0 is the
    converter's own floor.
    """
    if reference_read is None:
        return np.zeros(data.shape, bool)
    return (data == 0) | (data == np.iinfo(np.uint16).max)


def guide_window_flags(
    shape: tuple[int, int], guide_window: tuple[int, int, int, int] | None
) -> np.ndarray:
    """Return the flags that the guide window gives to pixels.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns.
    guide_window : tuple of int, optional
        x start, x stop, y start, y stop in the same pixels; None flags nothing.

    Returns
    -------
    ndarray of shape `shape`, uint32
        GW_AFFECTED_DATA in all rows of its columns, DO_NOT_USE too inside it.

    Examples
    --------
    >>> guide_window_flags((2, 3), (1, 2, 0, 1)).tolist()
    [[0, 17, 0], [0, 16, 0]]
    """
    dq = np.zeros(shape, np.uint32)
    if guide_window is not None:
        x0, x1, y0, y1 = guide_window
        dq[:, x0:x1] |= flags.GW_AFFECTED_DATA
        dq[y0:y1, x0:x1] |= flags.DO_NOT_USE
    return dq

"""What the flight computer does to the counts before it sends them, undone."""

import numpy as np

from tessella import flags
from tessella.compiled import kernel


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


def decode_block(
    data: np.ndarray,
    resultant_dq: np.ndarray | None,
    reference_read: np.ndarray | None,
    encoding_offset: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Decode a block of rows and flag what was cut off on board, in one pass.

    Holds for the science pixels and for the reference output alike: only widths differ.

    Parameters
    ----------
    data : ndarray of shape (n_resultants, n_rows, nx), uint16
        Counts as they were sent [DN].
    resultant_dq : ndarray of shape (n_resultants, n_rows, nx), uint8, optional
        Flags so far; None means that there are none.
    reference_read : ndarray of shape (n_rows, nx), uint16, optional
        The read that was subtracted on board [DN]; without one the counts are absolute already.
    encoding_offset : int
        Added on board [DN].

    Returns
    -------
    data : ndarray of shape (n_resultants, n_rows, nx), float32
        What `decode` returns [DN].
    resultant_dq : ndarray of shape (n_resultants, n_rows, nx), uint8
        With DO_NOT_USE where `clipped` marks a count.

    Raises
    ------
    ValueError
        If a shape or the type of the counts is another one.

    Examples
    --------
    >>> sent = np.array([[[4010, 65535]]], np.uint16)
    >>> counts, dq = decode_block(sent, None, np.array([[5000, 5000]], np.uint16), 4000)
    >>> counts.tolist(), dq.tolist()
    ([[[5010.0, 66535.0]]], [[[0, 1]]])
    """
    if data.dtype != np.uint16:
        raise ValueError(f"data: counts as sent are uint16, these are {data.dtype}")
    if resultant_dq is not None and resultant_dq.shape != data.shape:
        raise ValueError(f"resultant_dq: its shape is {resultant_dq.shape}, not {data.shape}")
    if reference_read is not None and reference_read.shape != data.shape[1:]:
        raise ValueError(f"reference_read: its shape is {reference_read.shape}, not {data.shape}")
    dq = np.zeros(data.shape, np.uint8) if resultant_dq is None else resultant_dq.astype(np.uint8)
    if reference_read is None:
        return data.astype(np.float32), dq
    decoded = np.empty(data.shape, np.float32)
    # Whole numbers below 2**24 are exact in single precision, in any order of adding.
    added = reference_read.astype(np.float32) - np.float32(encoding_offset)
    _decode(np.ascontiguousarray(data), added, decoded, dq)
    return decoded, dq


@kernel
def _decode(data: np.ndarray, added: np.ndarray, decoded: np.ndarray, dq: np.ndarray) -> None:
    for i in range(data.shape[0]):
        for y in range(data.shape[1]):
            for x in range(data.shape[2]):
                sent = data[i, y, x]
                decoded[i, y, x] = np.float32(sent) + added[y, x]
                if (sent == 0) | (sent == 65535):
                    dq[i, y, x] |= np.uint8(flags.DO_NOT_USE)


def is_guide_window(shape: tuple[int, int], guide_window: tuple[int, int, int, int] | None) -> bool:
    """Tell whether a guide window lies in the pixels that were read and has pixels at all.

    Files without guiding hold negative numbers; other numbers that fail here are bad metadata.

    Examples
    --------
    >>> is_guide_window((4, 5), (1, 3, 2, 4)), is_guide_window((4, 5), (-999, -983, -999, -983))
    (True, False)
    """
    if guide_window is None:
        return False
    x0, x1, y0, y1 = guide_window
    return 0 <= x0 < x1 <= shape[1] and 0 <= y0 < y1 <= shape[0]


def guide_window_flags(
    shape: tuple[int, int],
    guide_window: tuple[int, int, int, int] | None,
    first_row: int = 0,
    n_rows: int | None = None,
    n_pix_grow: int = 0,
) -> np.ndarray:
    """Return the flags that the guide window gives to the pixels of a block of rows.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns of all that was read.
    guide_window : tuple of int, optional
        x start, x stop, y start, y stop in the same pixels. None, and a window that
        `is_guide_window` refuses, flag nothing: ask it in order to tell.
    first_row, n_rows : int, optional
        The block; all rows from the first one unless told.
    n_pix_grow : int
        The box that is not used is larger by this on every side [pixels].

    Returns
    -------
    ndarray of shape (n_rows, columns), uint32
        GW_AFFECTED_DATA in all rows of its columns, DO_NOT_USE too inside it.

    Examples
    --------
    >>> guide_window_flags((2, 3), (1, 2, 0, 1)).tolist()
    [[0, 17, 0], [0, 16, 0]]
    >>> guide_window_flags((2, 3), (1, 2, 0, 1), first_row=1, n_rows=1).tolist()
    [[0, 16, 0]]
    """
    dq = np.zeros((shape[0] - first_row if n_rows is None else n_rows, shape[1]), np.uint32)
    if guide_window is None or not is_guide_window(shape, guide_window):
        return dq
    x0, x1, y0, y1 = guide_window
    dq[:, x0:x1] |= flags.GW_AFFECTED_DATA
    rows = slice(max(y0 - n_pix_grow - first_row, 0), max(y1 + n_pix_grow - first_row, 0))
    columns = slice(max(x0 - n_pix_grow, 0), x1 + n_pix_grow)
    dq[rows, columns] |= flags.DO_NOT_USE | flags.GW_AFFECTED_DATA
    return dq

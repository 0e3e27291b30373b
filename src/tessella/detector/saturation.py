"""Saturation: where pixels and converter stop counting, and how averages show it."""

import numpy as np
from scipy.ndimage import minimum_filter

from tessella import flags
from tessella.compiled import kernel

#: Largest number of the analogue-to-digital converter [DN].
CONVERTER_CEILING = 65535
#: Threshold that no counts reach, for pixels whose saturation is not known [DN].
NEVER = CONVERTER_CEILING + 1


def clip_at_saturation(counts: np.ndarray, saturation: np.ndarray) -> np.ndarray:
    """Return the counts that pixels and converter can show.

    Parameters
    ----------
    counts : ndarray of shape (..., ny, nx)
        Counts of one read [DN].
    saturation : ndarray of shape (ny, nx)
        Level at which each pixel saturates [DN].

    Returns
    -------
    ndarray of shape (..., ny, nx)
        Counts of at most ``1.02 * saturation`` and of at most the converter's ceiling: a full
        pixel still creeps a little above the level at which it counts as saturated.

    Examples
    --------
    >>> clip_at_saturation(np.array([1e5, 10.0]), np.array([5e4, 5e4])).tolist()
    [51000.0, 10.0]
    """
    return np.minimum(np.minimum(counts, 1.02 * saturation), CONVERTER_CEILING)


def flag_saturated(
    data: np.ndarray,
    resultant_dq: np.ndarray,
    dq: np.ndarray,
    threshold: np.ndarray,
    read_pattern: tuple[tuple[int, ...], ...],
) -> tuple[np.ndarray, np.ndarray]:
    """Flag saturated resultants.

    A resultant at or above its threshold, and every later one, is SATURATED. A resultant
    that averages several reads may hide saturation of its last reads below the threshold:
    where the next one is saturated and its own value is above the threshold diluted by
    (mean read / last read), or a sudden rise is more than what its last read alone would
    need to saturate, it is DO_NOT_USE (fact: stcal `saturation/saturation.py`). Sudden: the
    resultants before it, continued, would not saturate by the end of the next one, so that a
    star that saturates steadily keeps its last good resultant. Values of 0 or less are
    AD_FLOOR and DO_NOT_USE.

    Parameters
    ----------
    data : ndarray of shape (n_resultants, ny, nx)
        Counts [DN]; NaN is neither saturated nor at the floor.
    resultant_dq : ndarray of shape (n_resultants, ny, nx), uint8
        Flags so far; those with DROPOUT take no part.
    dq : ndarray of shape (ny, nx), uint32
        Flags of pixels.
    threshold : ndarray of shape (ny, nx)
        Saturation level [DN]; NaN where it is not known.
    read_pattern : tuple of tuples of int
        Reads of each resultant.

    Returns
    -------
    resultant_dq : ndarray of shape (n_resultants, ny, nx)
        With SATURATED, AD_FLOOR and DO_NOT_USE set.
    dq : ndarray of shape (ny, nx)
        With NO_SAT_CHECK where the threshold is not known.

    Raises
    ------
    ValueError
        If there are more or fewer resultants than in the read pattern.

    Examples
    --------
    >>> data = np.array([10.0, 60000.0, 60000.0]).reshape(3, 1, 1)
    >>> none = np.zeros((3, 1, 1), np.uint8), np.zeros((1, 1), np.uint32)
    >>> flagged, _ = flag_saturated(data, *none, np.full((1, 1), 5e4), ((1,), (2,), (3,)))
    >>> flagged[:, 0, 0].tolist()
    [0, 2, 2]
    """
    if len(data) != len(read_pattern):
        raise ValueError(f"data: {len(data)} resultants, the pattern has {len(read_pattern)}")
    unknown = ~np.isfinite(threshold)
    limit = np.where(unknown, NEVER, threshold).astype(np.float32)
    # Saturation is a comparison of numbers that are known to a DN: single precision will do.
    middle = np.array([np.mean(reads) for reads in read_pattern])
    last = np.array([reads[-1] for reads in read_pattern])
    n_reads = np.array([len(reads) for reads in read_pattern])
    flagged = resultant_dq.astype(np.uint8)
    _flag_rows(
        np.ascontiguousarray(data, np.float32),
        flagged,
        limit,
        (middle / last).astype(np.float32),
        n_reads.astype(np.float32),
        *_continuation(middle, last),
    )
    return flagged, dq | np.where(unknown, flags.NO_SAT_CHECK, 0).astype(dq.dtype)


def _continuation(middle: np.ndarray, last: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return times that carry the resultants before `i` to the last read of ``i + 1`` [reads].

    From ``i - 2`` to ``i - 1``, and from there to the end; where there is one resultant before,
    it is taken to have grown from 0 counts.
    """
    gap, ahead = np.ones(len(last), np.float32), np.zeros(len(last), np.float32)
    for i in range(1, len(last) - 1):
        if i == 1:
            ahead[i] = last[2] / middle[0]
        else:
            gap[i], ahead[i] = middle[i - 1] - middle[i - 2], last[i + 1] - middle[i - 1]
    return gap, ahead


@kernel
def _flag_rows(
    data: np.ndarray,
    flagged: np.ndarray,
    limit: np.ndarray,
    dilution: np.ndarray,
    n_reads: np.ndarray,
    gap: np.ndarray,
    ahead: np.ndarray,
) -> None:
    n, ny, nx = data.shape
    full = np.empty(nx, np.uint8)
    for y in range(ny):
        for x in range(nx):
            full[x] = 0
        for i in range(n):
            for x in range(nx):
                received = (flagged[i, y, x] & flags.DROPOUT) == 0
                full[x] |= np.uint8((data[i, y, x] >= limit[y, x]) & received)
                floor = (data[i, y, x] <= 0) & received
                flagged[i, y, x] |= np.uint8(
                    full[x] * flags.SATURATED + floor * (flags.AD_FLOOR | flags.DO_NOT_USE)
                )
        for x in range(nx):
            # Nothing hides behind a resultant where no later one is saturated.
            if full[x]:
                _flag_diluted(data, flagged, limit[y, x], dilution, n_reads, gap, ahead, y, x)


@kernel
def _flag_diluted(
    data: np.ndarray,
    flagged: np.ndarray,
    limit: float,
    dilution: np.ndarray,
    n_reads: np.ndarray,
    gap: np.ndarray,
    ahead: np.ndarray,
    y: int,
    x: int,
) -> None:
    n = data.shape[0]
    follows = True
    for i in range(n - 2, -1, -1):
        # What a lost resultant would have shown is taken from the one after it.
        if (flagged[i, y, x] & flags.DROPOUT) != 0:
            continue
        saturated = (flagged[i, y, x] & flags.SATURATED) != 0
        if follows and not saturated and n_reads[i] > 1:
            value = data[i, y, x]
            above = value >= limit * dilution[i]
            if i > 0:
                before = data[i - 1, y, x]
                if i == 1:
                    continued = before * ahead[i]
                else:
                    continued = before + (before - data[i - 2, y, x]) / gap[i] * ahead[i]
                rises = value - before > (limit - before) / n_reads[i]
                above = above or (rises and continued < limit)
            if above:
                flagged[i, y, x] |= np.uint8(flags.DO_NOT_USE)
        follows = saturated


def first_saturated(resultant_dq: np.ndarray) -> np.ndarray:
    """Return from which resultant on each pixel is saturated.

    Parameters
    ----------
    resultant_dq : ndarray of shape (n_resultants, n_rows, nx), uint8
        With SATURATED set.

    Returns
    -------
    ndarray of shape (n_rows, nx), uint16
        Index of the first resultant with SATURATED, n_resultants where there is none.

    Examples
    --------
    >>> first_saturated(np.array([[[0, 0]], [[2, 0]]], np.uint8)).tolist()
    [[1, 2]]
    """
    first = np.full(resultant_dq.shape[1:], len(resultant_dq), np.uint16)
    for i in range(len(resultant_dq) - 1, -1, -1):
        first[(resultant_dq[i] & flags.SATURATED) != 0] = i
    return first


def grow(first: np.ndarray, n_pix: int) -> np.ndarray:
    """Let saturation spread: a full pixel spills charge into the pixels around it.

    Parameters
    ----------
    first : ndarray of shape (ny, nx), uint16
        `first_saturated` of the whole frame.
    n_pix : int
        The square around a saturated pixel is ``2 * n_pix + 1`` wide [pixels].

    Returns
    -------
    ndarray of shape (ny, nx), uint16
        Index of the first resultant in which a pixel of the square is saturated.

    Raises
    ------
    ValueError
        If `n_pix` is negative.

    Examples
    --------
    >>> grow(np.array([[9, 9, 9, 3]], np.uint16), 1).tolist()
    [[9, 9, 3, 3]]
    """
    if n_pix < 0:
        raise ValueError(f"n_pix is {n_pix}; saturation grows by 0 pixels or more")
    return first if n_pix == 0 else minimum_filter(first, 2 * n_pix + 1, mode="nearest")


def flag_from(resultant_dq: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Flag a block of rows as saturated from the given resultants on.

    Pixels that `grow` adds get no search for hidden saturation: their own counts are whole.

    Parameters
    ----------
    resultant_dq : ndarray of shape (n_resultants, n_rows, nx), uint8
        Flags so far.
    first : ndarray of shape (n_rows, nx), uint16
        These rows of what `grow` returns.

    Returns
    -------
    ndarray of shape (n_resultants, n_rows, nx), uint8
        With SATURATED set.

    Examples
    --------
    >>> flag_from(np.zeros((2, 1, 2), np.uint8), np.array([[1, 2]], np.uint16)).tolist()
    [[[0, 0]], [[2, 0]]]
    """
    flagged = resultant_dq.copy()
    for i in range(len(flagged)):
        flagged[i] |= (first <= i) * np.uint8(flags.SATURATED)
    return flagged

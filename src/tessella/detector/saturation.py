"""Saturation: where pixels and converter stop counting, and how averages show it."""

import numpy as np

from tessella import flags

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
        Counts [DN].
    resultant_dq : ndarray of shape (n_resultants, ny, nx)
        Flags so far; those with DROPOUT take no part.
    dq : ndarray of shape (ny, nx)
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

    Examples
    --------
    >>> data = np.array([10.0, 60000.0, 60000.0]).reshape(3, 1, 1)
    >>> none = np.zeros((3, 1, 1), np.uint8), np.zeros((1, 1), np.uint32)
    >>> flagged, _ = flag_saturated(data, *none, np.full((1, 1), 5e4), ((1,), (2,), (3,)))
    >>> flagged[:, 0, 0].tolist()
    [0, 2, 2]
    """
    unknown = ~np.isfinite(threshold)
    limit = np.where(unknown, NEVER, threshold).astype(data.dtype)
    received = (resultant_dq & flags.DROPOUT) == 0
    saturated = np.logical_or.accumulate((data >= limit) & received, axis=0)
    floor = (data <= 0) & received
    diluted = _hides_saturation(data, saturated, received, limit, read_pattern) & received
    found = (
        np.where(saturated, flags.SATURATED, 0)
        | np.where(floor, flags.AD_FLOOR | flags.DO_NOT_USE, 0)
        | np.where(diluted, flags.DO_NOT_USE, 0)
    )
    return resultant_dq | found.astype(resultant_dq.dtype), dq | np.where(
        unknown, flags.NO_SAT_CHECK, 0
    ).astype(dq.dtype)


def _hides_saturation(
    data: np.ndarray,
    saturated: np.ndarray,
    received: np.ndarray,
    limit: np.ndarray,
    read_pattern: tuple[tuple[int, ...], ...],
) -> np.ndarray:
    hides = np.zeros(data.shape, bool)
    follows = saturated.copy()
    for i in range(len(data) - 2, 0, -1):
        # What a lost resultant would have shown is taken from the one after it.
        follows[i] = np.where(received[i], saturated[i], follows[i + 1])
    for i, reads in enumerate(read_pattern[:-1]):
        if len(reads) == 1:
            continue
        dilution = float(np.mean(reads)) / reads[-1]
        above = data[i] >= limit * dilution
        if i > 0:
            rises = data[i] - data[i - 1] > (limit - data[i - 1]) / len(reads)
            above |= rises & (_continued(data, read_pattern, i) < limit)
        hides[i] = above & follows[i + 1] & ~saturated[i]
    return hides


def _continued(data: np.ndarray, read_pattern: tuple[tuple[int, ...], ...], i: int) -> np.ndarray:
    """Continue the resultants before `i` to the last read of resultant ``i + 1`` [DN]."""
    middle = [float(np.mean(reads)) for reads in read_pattern]
    last = read_pattern[i + 1][-1]
    if i == 1:
        return data[0] * (last / middle[0])
    rate = (data[i - 1] - data[i - 2]) / (middle[i - 1] - middle[i - 2])
    return data[i - 1] + rate * (last - middle[i - 1])

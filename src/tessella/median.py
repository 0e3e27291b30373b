"""Medians of large images, exact and without a copy of them: digits of numbers are counted."""

import numpy as np

from tessella.compiled import kernel

#: Numbers are told apart by two digits of 16 bits.
_N_DIGITS, _LOW = 1 << 16, 0xFFFF
_SIGN = 0x80000000


@kernel
def _count(
    values: np.ndarray, good: np.ndarray, center: np.float32, high: np.int64, counts: np.ndarray
) -> None:
    """Count first digits, or second digits of those numbers whose first one is `high`.

    A finite `center` has the distances from it counted.
    """
    number = np.empty(1, np.float32)
    bits = number.view(np.uint32)
    for i in range(values.size):
        if not (good[i] and np.isfinite(values[i])):
            continue
        number[0] = values[i] if np.isnan(center) else abs(values[i] - center)
        # As whole numbers these are ordered as the numbers are.
        key = np.int64(bits[0])
        key = np.int64(0xFFFFFFFF) - key if key & _SIGN else key | _SIGN
        if high < 0:
            counts[key >> 16] += 1
        elif key >> 16 == high:
            counts[key & _LOW] += 1


def median(values: np.ndarray, good: np.ndarray, center: float = np.nan) -> float:
    """Return the median of the good numbers of an image, or of their distances from a number.

    Parameters
    ----------
    values : ndarray of float32
        Any shape; what is not finite is left out.
    good : ndarray of bool
        Of the same shape.
    center : float
        The median of ``abs(values - center)`` is asked for; NaN asks for that of the values.

    Returns
    -------
    float
        As ``numpy.median`` has it, of an even number the mean of the two in the middle; NaN where
        there is no good number.

    Examples
    --------
    >>> image = np.array([[3.0, 1.0], [np.nan, 8.0]], np.float32)
    >>> median(image, image > 0), median(image, image > 0, 3.0)
    (3.0, 2.0)
    """
    flat, chosen = np.ascontiguousarray(values, np.float32).ravel(), np.ravel(good)
    place = np.float32(center)
    firsts = np.zeros(_N_DIGITS, np.int64)
    _count(flat, chosen, place, np.int64(-1), firsts)
    n, ends = int(firsts.sum()), np.cumsum(firsts)
    if n == 0:
        return float("nan")
    middle = []
    seconds: dict[int, np.ndarray] = {}
    for rank in ((n - 1) // 2, n // 2):
        high = int(np.searchsorted(ends, rank, side="right"))
        if high not in seconds:
            seconds[high] = np.zeros(_N_DIGITS, np.int64)
            _count(flat, chosen, place, np.int64(high), seconds[high])
        before = int(ends[high] - firsts[high])
        low = int(np.searchsorted(np.cumsum(seconds[high]), rank - before, side="right"))
        key = high << 16 | low
        bits = key & ~_SIGN if key & _SIGN else 0xFFFFFFFF - key
        middle.append(np.array([bits], np.uint32).view(np.float32)[0])
    return float(np.mean(np.array(middle, np.float32)))

"""From which rate the photon noise of a slope is told, so that errors do not follow the noise.

The variance that a slope has by photons is proportional to the true rate. Where it is told from
the slope itself, a pixel that came out low is given a small error and one that came out high a
large one: pulls have a mean of -sigma' sigma, some -0.05 to -0.1 on sky background, and means
weighted with such errors are low. No unbiased estimate from the same ramp is free of this: all of
them have the covariance with the best one that the best one has with itself (Gauss-Markov).
Neighbours are. A pixel that agrees with the pixels beside it takes its rate from them.
"""

import numpy as np

from tessella.compiled import kernel

#: Pixels on either side that count as neighbours.
REACH = 4
#: Differences of this many errors are shrunk to nothing, larger ones ever less.
_AGREE_SIGMAS = 2.0


@kernel
def _median_of_neighbours(values: np.ndarray, x: int, ordered: np.ndarray) -> float:
    """Return the median of the finite values beside one, or that value if there are none."""
    n = 0
    for k in range(max(0, x - REACH), min(values.size, x + REACH + 1)):
        value = values[k]
        if k == x or not np.isfinite(value):
            continue
        i = n
        while i > 0 and ordered[i - 1] > value:
            ordered[i] = ordered[i - 1]
            i -= 1
        ordered[i] = value
        n += 1
    return (ordered[(n - 1) // 2] + ordered[n // 2]) / 2 if n > 0 else values[x]


@kernel
def _medians(row: np.ndarray, beside: np.ndarray, median: np.ndarray) -> None:
    """Fill the medians of a row; `beside` (2 REACH, nx) is overwritten."""
    n, nx = beside.shape
    total = median
    for x in range(REACH, nx - REACH):
        total[x] = 0.0
    for k in range(n):
        shift = k - REACH if k < REACH else k - REACH + 1
        for x in range(REACH, nx - REACH):
            beside[k, x] = row[x + shift]
            total[x] += beside[k, x]
    # Sorting by neighbours: the same steps for every pixel, many pixels at a time.
    for step in range(n):
        for k in range(step % 2, n - 1, 2):
            for x in range(REACH, nx - REACH):
                low = min(beside[k, x], beside[k + 1, x])
                beside[k + 1, x] = max(beside[k, x], beside[k + 1, x])
                beside[k, x] = low
    ordered = np.empty(n)
    for x in range(nx):
        if x >= REACH and x < nx - REACH and np.isfinite(total[x]):
            median[x] = (beside[n // 2 - 1, x] + beside[n // 2, x]) / 2
        else:
            median[x] = _median_of_neighbours(row, x, ordered)


@kernel
def _noise_rates(slope: np.ndarray, error: np.ndarray, rate: np.ndarray) -> None:
    ny, nx = slope.shape
    beside, median = np.empty((2 * REACH, nx)), np.empty(nx)
    for y in range(ny):
        _medians(slope[y], beside, median)
        for x in range(nx):
            difference = slope[y, x] - median[x]
            allowed = (_AGREE_SIGMAS * error[y, x]) ** 2
            kept = max(0.0, 1 - allowed / difference**2) if difference != 0 else 0.0
            rate[y, x] = median[x] + kept * difference


def noise_rates(slope: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Return the rate of each pixel that its photon noise is told from.

    The median of up to four pixels on either side in the same row, plus as much of the
    difference from it as is significant: ``1 - (2 error / difference)**2`` of it, and nothing below
    two errors (the positive part of a James-Stein estimate, doi:10.1214/aos/1176343009). Where a
    star rises from the sky, the rate is the pixel's own.

    Parameters
    ----------
    slope, error : ndarray of shape (ny, nx)
        Slopes and their errors [DN / s]; NaN takes no part.

    Returns
    -------
    ndarray of shape (ny, nx)
        [DN / s]; NaN where the slope is.

    Examples
    --------
    >>> slope = np.array([[1.0, 1.0, 1.2, 1.0, 1.0, 50.0]])
    >>> noise_rates(slope, np.full((1, 6), 0.2)).round(2).tolist()
    [[1.0, 1.0, 1.0, 1.0, 1.0, 50.0]]
    """
    rate = np.empty(slope.shape)
    _noise_rates(np.ascontiguousarray(slope, float), np.ascontiguousarray(error, float), rate)
    return rate

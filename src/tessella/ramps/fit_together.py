"""Fits of whole ramps side by side: the same steps for many pixels at a time.

They agree with `tessella.ramps.fit_alone` but for rounding; see `tessella.ramps.likelihood`.
"""

import numpy as np

from tessella.compiled import kernel
from tessella.ramps.fit_alone import FEWEST_DIFFERENCES


@kernel
def _median_of_all(
    difference: np.ndarray, ordered: np.ndarray, median: np.ndarray, n_pixels: int
) -> None:
    """Fill the medians of the columns of `difference` (m, n_pixels); `ordered` is overwritten."""
    m = len(difference)
    for i in range(m):
        for x in range(n_pixels):
            ordered[i, x] = difference[i, x]
    # Sorting by neighbours: the same steps for every pixel, many pixels at a time.
    for step in range(m):
        for i in range(step % 2, m - 1, 2):
            for x in range(n_pixels):
                low = min(ordered[i, x], ordered[i + 1, x])
                ordered[i + 1, x] = max(ordered[i, x], ordered[i + 1, x])
                ordered[i, x] = low
    for x in range(n_pixels):
        median[x] = (ordered[(m - 1) // 2, x] + ordered[m // 2, x]) / 2


@kernel
def _solve_all(
    difference: np.ndarray,
    rate: np.ndarray,
    read_variance: np.ndarray,
    timing: np.ndarray,
    work: np.ndarray,
    out: np.ndarray,
    n_pixels: int,
) -> None:
    """Fit the slopes of pixels that use all differences, many at a time.

    `difference` is (m, n_pixels), `work` (3, m, n_pixels) receives the pivots, C^-1 d and C^-1 1,
    `out` (3, n_pixels) the slope, its inverse variance and chi-squared.
    """
    m = len(difference)
    pivot, by_data, by_one = work[0], work[1], work[2]
    for x in range(n_pixels):
        pivot[0, x] = rate[x] * timing[1, 0] + read_variance[x] * timing[3, 0]
        by_data[0, x] = difference[0, x]
        by_one[0, x] = 1.0
    for i in range(1, m):
        for x in range(n_pixels):
            beside = rate[x] * timing[2, i - 1] + read_variance[x] * timing[4, i - 1]
            ratio = beside / pivot[i - 1, x]
            pivot[i, x] = rate[x] * timing[1, i] + read_variance[x] * timing[3, i] - ratio * beside
            by_data[i, x] = difference[i, x] - ratio * by_data[i - 1, x]
            by_one[i, x] = 1.0 - ratio * by_one[i - 1, x]
    for x in range(n_pixels):
        by_data[m - 1, x] /= pivot[m - 1, x]
        by_one[m - 1, x] /= pivot[m - 1, x]
        out[0, x] = difference[m - 1, x] * by_data[m - 1, x]
        out[1, x] = by_one[m - 1, x]
        out[2, x] = by_data[m - 1, x]
    for i in range(m - 2, -1, -1):
        for x in range(n_pixels):
            beside = rate[x] * timing[2, i] + read_variance[x] * timing[4, i]
            by_data[i, x] = (by_data[i, x] - beside * by_data[i + 1, x]) / pivot[i, x]
            by_one[i, x] = (by_one[i, x] - beside * by_one[i + 1, x]) / pivot[i, x]
            out[0, x] += difference[i, x] * by_data[i, x]
            out[1, x] += by_one[i, x]
            out[2, x] += by_data[i, x]
    for x in range(n_pixels):
        data_data, slope = out[0, x], out[2, x] / out[1, x]
        out[2, x] = data_data - out[2, x] * slope
        out[0, x] = slope


@kernel
def _find_jumps(
    rate: np.ndarray,
    read_variance: np.ndarray,
    timing: np.ndarray,
    several_reads: np.ndarray,
    limits: np.ndarray,
    work: np.ndarray,
    fitted: np.ndarray,
    after: np.ndarray,
    has_jump: np.ndarray,
    suspects: np.ndarray,
    n_pixels: int,
) -> None:
    """Fill `has_jump` for pixels that were fitted together, as `tessella.ramps.fit_alone` does.

    Not a number is no jump, but no slope either: such ramps count as having one. `after`
    (3, n_pixels) and `suspects` (n_pixels) are overwritten.
    """
    m = len(work[0])
    pivot, by_data, by_one = work[0], work[1], work[2]
    least = min(limits[0], limits[1])
    n = 0
    for x in range(n_pixels):
        has_jump[x] = not np.isfinite(fitted[2, x])
        # No omission can take more off than there is.
        if limits[0] > 0 and m > FEWEST_DIFFERENCES and fitted[2, x] > least:
            suspects[n] = x
            n += 1
    after[:, :n] = 0.0
    for i in range(m - 1, -1, -1):
        for k in range(n):
            x = suspects[k]
            ratio = (rate[x] * timing[2, i] + read_variance[x] * timing[4, i]) / pivot[i, x]
            residual = by_data[i, x] - fitted[0, x] * by_one[i, x]
            variance = 1 / pivot[i, x] + ratio * ratio * after[1, k]
            own = variance - by_one[i, x] * by_one[i, x] / fitted[1, x]
            found = residual * residual > limits[0] * own
            if i + 1 < m and several_reads[i + 1]:
                shared = -ratio * after[1, k] - by_one[i, x] * by_one[i + 1, x] / fitted[1, x]
                both = after[2, k] * residual * residual + own * after[0, k] * after[0, k]
                both -= 2 * shared * residual * after[0, k]
                found |= both > limits[1] * (own * after[2, k] - shared * shared)
            has_jump[x] |= found
            after[0, k], after[1, k], after[2, k] = residual, variance, own


@kernel
def fit_together(
    difference: np.ndarray,
    noise: np.ndarray,
    timing: np.ndarray,
    several_reads: np.ndarray,
    limits: np.ndarray,
    work: np.ndarray,
    fitted: np.ndarray,
    has_jump: np.ndarray,
    suspects: np.ndarray,
    out: np.ndarray,
    n_pixels: int,
) -> None:
    """Fit pixels that use all differences and have no jump.

    `noise` is (3, n_pixels); `has_jump` (n_pixels) tells of which that cannot be said; `out` is
    (5, n_pixels).
    """
    m = len(difference)
    rate = fitted[3]
    _median_of_all(difference, work[0], rate, n_pixels)
    for x in range(n_pixels):
        rate[x] = max(rate[x], noise[2, x]) * noise[0, x]
    _solve_all(difference, rate, noise[1], timing, work, fitted, n_pixels)
    _find_jumps(
        rate,
        noise[1],
        timing,
        several_reads,
        limits,
        work,
        fitted,
        out,
        has_jump,
        suspects,
        n_pixels,
    )
    for x in range(n_pixels):
        rate[x] = max(fitted[0, x], noise[2, x]) * noise[0, x]
    _solve_all(difference, rate, noise[1], timing, work, fitted, n_pixels)
    by_one = work[2]
    for x in range(n_pixels):
        rate[x] = max(fitted[0, x], noise[2, x]) * noise[0, x]
        out[0, x], out[1, x], out[2, x], out[3, x], out[4, x] = fitted[0, x], 0, 0, fitted[2, x], 0
    for i in range(m):
        for x in range(n_pixels):
            w = by_one[i, x] / fitted[1, x]
            both = 2 * w * by_one[min(i + 1, m - 1), x] / fitted[1, x]
            out[1, x] += rate[x] * (w * w * timing[1, i] + both * timing[2, i])
            out[2, x] += noise[1, x] * (w * w * timing[3, i] + both * timing[4, i])
            out[4, x] += difference[i, x]
    for x in range(n_pixels):
        out[4, x] = out[4, x] / m - out[0, x]

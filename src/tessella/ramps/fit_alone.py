"""Fits of ramps one by one: those of which differences are lost, hit or to be looked at.

Brandt 2024a (slopes), doi:10.1088/1538-3873/ad38d9, and Brandt 2024b (jumps),
doi:10.1088/1538-3873/ad38da; see `tessella.ramps.likelihood`.
"""

import numpy as np

from tessella import flags
from tessella.compiled import kernel
from tessella.ramps.resultant_flags import UNUSABLE

#: A jump search needs more differences than this, or a hit cannot be told from a slope.
FEWEST_DIFFERENCES = 3


@kernel
def _solve(
    difference: np.ndarray,
    diagonal: np.ndarray,
    beside: np.ndarray,
    used: np.ndarray,
    work: np.ndarray,
) -> tuple[float, float, float]:
    """Fit one slope; return the slope, its inverse variance and chi-squared.

    `work` (3, m) receives the pivots, C^-1 d and C^-1 1.
    """
    m = difference.size
    pivot, by_data, by_one = work[0], work[1], work[2]
    for i in range(m):
        pivot[i] = diagonal[i]
        by_data[i] = difference[i] * used[i]
        by_one[i] = used[i]
        if i > 0:
            ratio = beside[i - 1] * used[i - 1] * used[i] / pivot[i - 1]
            pivot[i] -= ratio * beside[i - 1] * used[i - 1] * used[i]
            by_data[i] -= ratio * by_data[i - 1]
            by_one[i] -= ratio * by_one[i - 1]
    for i in range(m - 1, -1, -1):
        if i < m - 1:
            coupling = beside[i] * used[i] * used[i + 1]
            by_data[i] -= coupling * by_data[i + 1]
            by_one[i] -= coupling * by_one[i + 1]
        by_data[i] /= pivot[i]
        by_one[i] /= pivot[i]
    data_data = data_one = one_one = 0.0
    for i in range(m):
        data_data += used[i] * difference[i] * by_data[i]
        data_one += used[i] * by_data[i]
        one_one += used[i] * by_one[i]
    slope = data_one / one_one
    return slope, one_one, data_data - data_one * slope


@kernel
def _set_covariance(
    rate: float,
    read_variance: float,
    timing: np.ndarray,
    diagonal: np.ndarray,
    beside: np.ndarray,
) -> None:
    """Fill the covariance of the differences; rows of `timing` as in `fit_slopes`."""
    m = diagonal.size
    for i in range(m):
        diagonal[i] = rate * timing[1, i] + read_variance * timing[3, i]
        if i < m - 1:
            beside[i] = rate * timing[2, i] + read_variance * timing[4, i]


@kernel
def _median_of_used(difference: np.ndarray, used: np.ndarray, values: np.ndarray) -> float:
    """Return the median; `values` is overwritten."""
    n = 0
    for i in range(difference.size):
        if used[i] > 0:
            k = n
            while k > 0 and values[k - 1] > difference[i]:
                values[k] = values[k - 1]
                k -= 1
            values[k] = difference[i]
            n += 1
    return (values[(n - 1) // 2] + values[n // 2]) / 2


@kernel
def _best_omission(
    solved: tuple[np.ndarray, np.ndarray, np.ndarray],
    beside: np.ndarray,
    used: np.ndarray,
    slope: float,
    weight: float,
    several_reads: np.ndarray,
    limits: np.ndarray,
) -> tuple[int, int]:
    """Return the first and last difference whose omission lowers chi-squared most; -1 if none does.

    `solved` has the pivots, C^-1 d and C^-1 1. With P = C^-1 - C^-1 1 1^T C^-1 / (1^T C^-1 1), the
    omission of some differences lowers chi-squared by r^T Q^-1 r, where r = P d and Q is the part
    of P that belongs to them: no omission needs a fit of its own.
    """
    pivot, by_data, by_one = solved
    m = pivot.size
    best, first, last = 0.0, -1, -1
    # Those of the difference after this one: residual, C^-1 on the diagonal, and P.
    residual_after = variance_after = own_after = 0.0
    for i in range(m - 1, -1, -1):
        follows = i < m - 1 and used[i] * used[i + 1] > 0
        ratio = beside[i] / pivot[i] if follows else 0.0
        residual = by_data[i] - slope * by_one[i]
        variance = 1 / pivot[i] + ratio * ratio * variance_after
        own = variance - by_one[i] * by_one[i] / weight
        if used[i] > 0:
            gain = residual * residual / own - limits[0]
            if gain > best:
                best, first, last = gain, i, i
            # A hit while a resultant's reads are averaged disturbs the differences on both sides.
            if i + 1 < m and used[i + 1] > 0 and several_reads[i + 1]:
                shared = -ratio * variance_after - by_one[i] * by_one[i + 1] / weight
                both = own_after * residual * residual + own * residual_after * residual_after
                both -= 2 * shared * residual * residual_after
                gain = both / (own * own_after - shared * shared) - limits[1]
                if gain > best:
                    best, first, last = gain, i, i + 1
        residual_after, variance_after, own_after = residual, variance, own
    return first, last


@kernel
def _mask_jumps(
    difference: np.ndarray,
    diagonal: np.ndarray,
    beside: np.ndarray,
    used: np.ndarray,
    several_reads: np.ndarray,
    limits: np.ndarray,
    work: np.ndarray,
    hit: np.ndarray,
) -> None:
    """Mask the differences whose omission lowers chi-squared most, until none lowers it enough."""
    while used.sum() > FEWEST_DIFFERENCES:
        slope, weight, chisq = _solve(difference, diagonal, beside, used, work)
        # No omission can take more off than there is.
        if chisq <= min(limits[0], limits[1]):
            return
        solved = (work[0], work[1], work[2])
        first, last = _best_omission(solved, beside, used, slope, weight, several_reads, limits)
        if first < 0:
            return
        used[first] = used[last] = 0.0
        hit[first + 1] = True


@kernel
def _fit_pixel(
    difference: np.ndarray,
    used: np.ndarray,
    noise: np.ndarray,
    timing: np.ndarray,
    several_reads: np.ndarray,
    limits: np.ndarray,
    buffers: np.ndarray,
    hit: np.ndarray,
    out: np.ndarray,
) -> None:
    """Fit one pixel; `out` receives slope, both variances, chi-squared and the uniform slope.

    `noise` holds 1 / gain, the variance of a read and the smallest rate that noise is taken of.
    """
    diagonal, beside, work = buffers[0], buffers[1], buffers[2:]
    m = difference.size
    rate = max(_median_of_used(difference, used, work[0]), noise[2]) * noise[0]
    _set_covariance(rate, noise[1], timing, diagonal, beside)
    if limits[0] > 0:
        _mask_jumps(difference, diagonal, beside, used, several_reads, limits, work, hit)
    slope, _, _ = _solve(difference, diagonal, beside, used, work)
    rate = max(slope, noise[2]) * noise[0]
    _set_covariance(rate, noise[1], timing, diagonal, beside)
    slope, weight, chisq = _solve(difference, diagonal, beside, used, work)
    rate = max(slope, noise[2]) * noise[0]
    poisson = read = uniform = n = 0.0
    for i in range(m):
        w = used[i] * work[2, i] / weight
        poisson += w * w * rate * timing[1, i]
        read += w * w * noise[1] * timing[3, i]
        if i < m - 1:
            both = 2 * w * used[i + 1] * work[2, i + 1] / weight
            poisson += both * rate * timing[2, i]
            read += both * noise[1] * timing[4, i]
        uniform += used[i] * difference[i]
        n += used[i]
    out[0], out[1], out[2], out[3], out[4] = slope, poisson, read, chisq, uniform / n - slope


@kernel
def fit_alone(
    difference: np.ndarray,
    noise: np.ndarray,
    timing: np.ndarray,
    several_reads: np.ndarray,
    limits: np.ndarray,
    alone: tuple[np.ndarray, ...],
    out: np.ndarray,
    flagged: np.ndarray,
) -> None:
    """Fit one pixel, some of whose differences may be lost or hit."""
    buffers, one, used, hit, result = alone
    n_left = 0
    for i in range(difference.size):
        unusable = (flagged[i] | flagged[i + 1]) & UNUSABLE or flagged[i + 1] & flags.JUMP_DET
        used[i] = 0.0 if unusable or not np.isfinite(difference[i]) else 1.0
        one[i] = difference[i] if used[i] > 0 else 0.0
        n_left += used[i] > 0
    if n_left == 0:
        return
    hit[:] = False
    _fit_pixel(one, used, noise, timing, several_reads, limits, buffers, hit, result)
    out[:] = result
    for i in range(flagged.size):
        if hit[i]:
            flagged[i] |= flags.JUMP_DET

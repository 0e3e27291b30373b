"""Slopes of ramps by maximum likelihood, with a search for jumps.

Brandt 2024a (slopes), PASP 136, 045004, doi:10.1088/1538-3873/ad38d9, and Brandt 2024b
(jumps), PASP 136, 045005, doi:10.1088/1538-3873/ad38da. The differences of neighbouring
resultants have a tridiagonal covariance; one pass of the Thomas algorithm solves it.
A difference that is *masked* (saturated, lost or hit) is left out of the likelihood, which
is the same as giving it a free jump.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import log_ndtr

from tessella import flags
from tessella.compiled import kernel
from tessella.ramps.noise_rate import noise_rates
from tessella.ramps.resultant_flags import UNUSABLE
from tessella.ramps.timing import DifferenceTiming

#: Stands for no light at all, so that ratios of rates have a meaning [DN / s].
_NO_RATE = 1e-9
#: Pixels that are fitted side by side: their numbers stay in the nearest cache.
_TOGETHER = 256
#: A jump search needs more differences than this, or a hit cannot be told from a slope.
_FEWEST_DIFFERENCES = 3


@dataclass(frozen=True)
class Slopes:
    """Fitted slopes, all (ny, nx); NaN where no difference of two good resultants is left."""

    #: [DN / s]
    slope: np.ndarray
    #: Variance by photons and by reading [(DN / s)^2].
    var_poisson: np.ndarray
    var_rnoise: np.ndarray
    chisq: np.ndarray
    #: Slope with uniform weights minus `slope` [DN / s].
    dumo: np.ndarray
    #: (n_resultants, ny, nx) uint8: the input's flags with JUMP_DET where a jump was found.
    resultant_dq: np.ndarray


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
    while used.sum() > _FEWEST_DIFFERENCES:
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
    """Fit the slopes of pixels that use all differences, as `_solve` does, many at a time.

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
    """Fill `has_jump` for pixels that were fitted together, as `_best_omission` tells it.

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
        if limits[0] > 0 and m > _FEWEST_DIFFERENCES and fitted[2, x] > least:
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
def _fit_all(
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
    """Fit pixels that use all differences and have no jump, as `_fit_pixel` does.

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


@kernel
def _fit_rows(
    data: np.ndarray,
    gain: np.ndarray,
    read_noise: np.ndarray,
    least_rate: np.ndarray,
    timing: np.ndarray,
    several_reads: np.ndarray,
    limits: np.ndarray,
    out: np.ndarray,
    flagged: np.ndarray,
) -> None:
    """Fit all pixels of a block of rows; `flagged` holds their flags and receives JUMP_DET."""
    n, ny, nx = data.shape
    m, width = n - 1, min(nx, _TOGETHER)
    difference, noise = np.empty((m, width)), np.empty((3, width))
    work, fitted, result = np.empty((3, m, width)), np.empty((4, width)), np.empty((5, width))
    has_jump, touched = np.empty(width, np.bool_), np.empty(width, np.uint8)
    suspects = np.empty(width, np.int64)
    alone = np.empty((5, m)), np.empty(m), np.empty(m), np.empty(n, np.bool_), np.empty(5)
    for y in range(ny):
        for start in range(0, nx, width):
            part = min(width, nx - start)
            touched[:part] = flagged[0, y, start : start + part]
            for i in range(m):
                for x in range(part):
                    step = np.float64(data[i + 1, y, start + x]) - data[i, y, start + x]
                    difference[i, x] = step / timing[0, i]
                    touched[x] |= flagged[i + 1, y, start + x]
            for x in range(part):
                noise[0, x] = 1 / np.float64(gain[y, start + x])
                noise[1, x] = np.float64(read_noise[y, start + x]) ** 2
                noise[2, x] = least_rate[y, start + x]
            _fit_all(
                difference,
                noise,
                timing,
                several_reads,
                limits,
                work,
                fitted,
                has_jump,
                suspects,
                result,
                part,
            )
            for i in range(5):
                for x in range(part):
                    out[i, y, start + x] = result[i, x]
            for x in range(part):
                known = gain[y, start + x] > 0 and read_noise[y, start + x] > 0
                is_plain = touched[x] & (UNUSABLE | flags.JUMP_DET) == 0
                if known and is_plain and not has_jump[x]:
                    continue
                out[:, y, start + x] = np.nan
                if known:
                    _fit_flagged(
                        difference[:, x],
                        noise[:, x],
                        timing,
                        several_reads,
                        limits,
                        alone,
                        out[:, y, start + x],
                        flagged[:, y, start + x],
                    )


@kernel
def _fit_flagged(
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


def fit_slopes(
    data: np.ndarray,
    resultant_dq: np.ndarray,
    gain: np.ndarray,
    read_noise: np.ndarray,
    timing: DifferenceTiming,
    several_reads: np.ndarray,
    rejection_threshold: float | None = 4.5,
    least_rate: np.ndarray | None = None,
    noise_from_neighbours: bool = False,
) -> Slopes:
    """Fit the slope of every pixel.

    With fewer than four resultants the likelihood holds as it stands, but no jump can be told
    from a slope, and none is searched for; a single resultant has no slope.

    Parameters
    ----------
    data : ndarray of shape (n_resultants, ny, nx)
        Linear counts [DN].
    resultant_dq : ndarray of shape (n_resultants, ny, nx)
        Flags; resultants with DO_NOT_USE, SATURATED or DROPOUT take no part; one with JUMP_DET
        is known to have been hit, and the difference before it is left out.
    gain, read_noise : ndarray of shape (ny, nx)
        Gain [electrons / DN] and noise of one read [DN]; where one of them is not a positive
        number nothing is fitted.
    timing : DifferenceTiming
        Of the read pattern.
    several_reads : ndarray of shape (n_resultants,)
        True for resultants that average more than one read.
    rejection_threshold : float, optional
        Significance [sigma] above which a jump is taken to be one; None searches for none.
    least_rate : ndarray of shape (ny, nx), optional
        Rate [DN / s] below which photon noise does not fall, that of the dark current; 0 if None.
    noise_from_neighbours : bool
        True tells the photon noise of a slope from its neighbours in the row as well, where these
        agree with it (`tessella.ramps.noise_rate`); False from the slope alone.

    Returns
    -------
    Slopes

    Raises
    ------
    ValueError
        If the number of resultants is not that of the read pattern.

    Examples
    --------
    >>> from tessella.ramps.timing import difference_timing
    >>> ramp = 7.0 * np.arange(1.0, 6.0).reshape(5, 1, 1)
    >>> reads = tuple((k,) for k in range(1, 6))
    >>> one = np.ones((1, 1))
    >>> fit = fit_slopes(ramp, np.zeros((5, 1, 1), np.uint8), one, one,
    ...                  difference_timing(reads, 1.0), np.zeros(5, bool))
    >>> round(float(fit.slope[0, 0]), 6)
    7.0
    """
    n, ny, nx = data.shape
    if n != timing.interval.size + 1:
        raise ValueError(
            f"the ramp has {n} resultants but its read pattern {timing.interval.size + 1}"
        )
    limits = np.zeros(2)
    if rejection_threshold is not None:
        # Two freed differences: chi-squared of 2 degrees, exceeded as rarely as T**2 is of 1.
        limits[:] = rejection_threshold**2, -2 * (np.log(2) + log_ndtr(-rejection_threshold))
    out = np.full((5, ny, nx), np.nan)
    flagged = np.array(resultant_dq, order="C")
    if n > 1:
        least = np.full((ny, nx), _NO_RATE)
        if least_rate is not None:
            least = np.fmax(least_rate, least)
        stacked, several = _stack(timing), np.asarray(several_reads)
        # Kernels work on many neighbours at once where they know that these lie side by side.
        _fit_rows(
            np.ascontiguousarray(data),
            np.ascontiguousarray(gain),
            np.ascontiguousarray(read_noise),
            np.ascontiguousarray(least),
            stacked,
            several,
            limits,
            out,
            flagged,
        )
    slope, poisson, read, chisq, dumo = out
    if noise_from_neighbours and n > 1:
        rate = np.fmax(noise_rates(slope, np.sqrt(poisson + read)), least)
        poisson = poisson * rate / np.fmax(slope, least)
    return Slopes(slope, poisson, read, chisq, dumo, flagged)


def _stack(timing: DifferenceTiming) -> np.ndarray:
    """Rows: interval, photon diagonal, photon beside, read diagonal, read beside."""
    rows = np.zeros((5, timing.interval.size))
    rows[0], rows[1], rows[3] = timing.interval, timing.poisson_diagonal, timing.read_diagonal
    rows[2, :-1], rows[4, :-1] = timing.poisson_beside, timing.read_beside
    return rows

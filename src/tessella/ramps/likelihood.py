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
from tessella.ramps.timing import DifferenceTiming

#: Resultants with any of these bits take no part in the fit.
_UNUSABLE = flags.DO_NOT_USE | flags.SATURATED | flags.DROPOUT
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
def _median_of_used(difference: np.ndarray, used: np.ndarray) -> float:
    values = np.empty(difference.size)
    n = 0
    for i in range(difference.size):
        if used[i] > 0:
            values[n] = difference[i]
            n += 1
    return np.median(values[:n])


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
    m = difference.size
    while used.sum() > _FEWEST_DIFFERENCES:
        _, _, chisq = _solve(difference, diagonal, beside, used, work)
        # No omission can take more off than there is.
        if chisq <= min(limits[0], limits[1]):
            return
        best, first, last = 0.0, -1, -1
        for i in range(m):
            if used[i] == 0:
                continue
            used[i] = 0.0
            gain = chisq - _solve(difference, diagonal, beside, used, work)[2] - limits[0]
            if gain > best:
                best, first, last = gain, i, i
            # A hit while a resultant's reads are averaged disturbs the differences on both sides.
            if i + 1 < m and used[i + 1] > 0 and several_reads[i + 1] and used.sum() >= 2:
                used[i + 1] = 0.0
                gain = chisq - _solve(difference, diagonal, beside, used, work)[2] - limits[1]
                if gain > best:
                    best, first, last = gain, i, i + 1
                used[i + 1] = 1.0
            used[i] = 1.0
        if first < 0:
            return
        used[first] = used[last] = 0.0
        hit[first + 1] = True


@kernel
def _fit_pixel(
    difference: np.ndarray,
    used: np.ndarray,
    rate_scale: float,
    read_variance: float,
    timing: np.ndarray,
    several_reads: np.ndarray,
    limits: np.ndarray,
    buffers: np.ndarray,
    hit: np.ndarray,
    out: np.ndarray,
) -> None:
    """Fit one pixel; `out` receives slope, both variances, chi-squared and the uniform slope."""
    diagonal, beside, work = buffers[0], buffers[1], buffers[2:]
    m = difference.size
    guess = max(_median_of_used(difference, used), 0.0)
    _set_covariance(guess * rate_scale, read_variance, timing, diagonal, beside)
    if limits[0] > 0:
        _mask_jumps(difference, diagonal, beside, used, several_reads, limits, work, hit)
    slope, _, _ = _solve(difference, diagonal, beside, used, work)
    _set_covariance(max(slope, 0.0) * rate_scale, read_variance, timing, diagonal, beside)
    slope, weight, chisq = _solve(difference, diagonal, beside, used, work)
    rate = max(slope, 0.0) * rate_scale
    poisson = read = uniform = n = 0.0
    for i in range(m):
        w = used[i] * work[2, i] / weight
        poisson += w * w * rate * timing[1, i]
        read += w * w * read_variance * timing[3, i]
        if i < m - 1:
            both = 2 * w * used[i + 1] * work[2, i + 1] / weight
            poisson += both * rate * timing[2, i]
            read += both * read_variance * timing[4, i]
        uniform += used[i] * difference[i]
        n += used[i]
    out[0], out[1], out[2], out[3], out[4] = slope, poisson, read, chisq, uniform / n - slope


@kernel
def _fit_rows(
    data: np.ndarray,
    unusable: np.ndarray,
    gain: np.ndarray,
    read_noise: np.ndarray,
    timing: np.ndarray,
    several_reads: np.ndarray,
    limits: np.ndarray,
    out: np.ndarray,
    hits: np.ndarray,
) -> None:
    """Fit all pixels of a block of rows."""
    n, ny, nx = data.shape
    m = n - 1
    difference, used = np.empty(m), np.empty(m)
    buffers, hit, result = np.empty((5, m)), np.empty(n, np.bool_), np.empty(5)
    for y in range(ny):
        for x in range(nx):
            n_used = 0.0
            for i in range(m):
                difference[i] = (data[i + 1, y, x] - data[i, y, x]) / timing[0, i]
                good = not (unusable[i, y, x] or unusable[i + 1, y, x])
                used[i] = 1.0 if good and np.isfinite(difference[i]) else 0.0
                if used[i] == 0.0:
                    difference[i] = 0.0
                n_used += used[i]
            usable_noise = gain[y, x] > 0 and read_noise[y, x] > 0
            if n_used == 0 or not usable_noise:
                out[:, y, x] = np.nan
                continue
            hit[:] = False
            variance = np.float64(read_noise[y, x]) ** 2
            _fit_pixel(
                difference,
                used,
                1 / np.float64(gain[y, x]),
                variance,
                timing,
                several_reads,
                limits,
                buffers,
                hit,
                result,
            )
            out[:, y, x] = result
            for i in range(n):
                hits[i, y, x] = hit[i]


def fit_slopes(
    data: np.ndarray,
    resultant_dq: np.ndarray,
    gain: np.ndarray,
    read_noise: np.ndarray,
    timing: DifferenceTiming,
    several_reads: np.ndarray,
    rejection_threshold: float | None = 4.5,
) -> Slopes:
    """Fit the slope of every pixel.

    Parameters
    ----------
    data : ndarray of shape (n_resultants, ny, nx)
        Linear counts [DN].
    resultant_dq : ndarray of shape (n_resultants, ny, nx)
        Flags; resultants with DO_NOT_USE, SATURATED or DROPOUT take no part.
    gain, read_noise : ndarray of shape (ny, nx)
        Gain [electrons / DN] and noise of one read [DN]; where one of them is not a positive
        number nothing is fitted.
    timing : DifferenceTiming
        Of the read pattern.
    several_reads : ndarray of shape (n_resultants,)
        True for resultants that average more than one read.
    rejection_threshold : float, optional
        Significance [sigma] above which a jump is taken to be one; None searches for none.

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
    out = np.empty((5, ny, nx))
    hits = np.zeros((n, ny, nx), np.bool_)
    unusable = (resultant_dq & _UNUSABLE) != 0
    _fit_rows(
        data,
        unusable,
        gain,
        read_noise,
        _stack(timing),
        np.asarray(several_reads),
        limits,
        out,
        hits,
    )
    flagged = resultant_dq | np.where(hits, flags.JUMP_DET, 0).astype(resultant_dq.dtype)
    slope, poisson, read, chisq, dumo = out
    return Slopes(slope, poisson, read, chisq, dumo, flagged)


def _stack(timing: DifferenceTiming) -> np.ndarray:
    """Rows: interval, photon diagonal, photon beside, read diagonal, read beside."""
    rows = np.zeros((5, timing.interval.size))
    rows[0], rows[1], rows[3] = timing.interval, timing.poisson_diagonal, timing.read_diagonal
    rows[2, :-1], rows[4, :-1] = timing.poisson_beside, timing.read_beside
    return rows

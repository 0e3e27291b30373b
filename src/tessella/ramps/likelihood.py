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
from tessella.ramps.fit_alone import fit_alone
from tessella.ramps.fit_together import fit_together
from tessella.ramps.noise_rate import noise_rates
from tessella.ramps.resultant_flags import UNUSABLE
from tessella.ramps.timing import DifferenceTiming

#: Stands for no light at all, so that ratios of rates have a meaning [DN / s].
_NO_RATE = 1e-9
#: Pixels that are fitted side by side: their numbers stay in the nearest cache.
_TOGETHER = 256


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
            fit_together(
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
                    fit_alone(
                        difference[:, x],
                        noise[:, x],
                        timing,
                        several_reads,
                        limits,
                        alone,
                        out[:, y, start + x],
                        flagged[:, y, start + x],
                    )


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

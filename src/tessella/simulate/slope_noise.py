"""What noise the slopes of a MultiAccum table have: the weights of the fit, without a ramp."""

from dataclasses import dataclass

import numpy as np

from tessella.detector.linearity import apply_nonlinearity
from tessella.detector.saturation import flag_saturated
from tessella.instrument.read_patterns import ReadPattern
from tessella.ramps.likelihood import Slopes, fit_slopes
from tessella.ramps.timing import difference_timing, mean_times

#: Rates are tabulated from no light to what fills every well before the second read, so many a
#: decade: between them the noise is off by less than 2e-4 of itself.
_LEAST_RATE, _LARGEST_RATE, _PER_DECADE = 1e-4, 1e6, 40


def fit_without_noise(
    rate: np.ndarray,
    gain: np.ndarray,
    read_noise: np.ndarray,
    pattern: ReadPattern,
    resultant_dq: np.ndarray | None = None,
) -> Slopes:
    """Fit ramps that rise evenly: their slopes are `rate`, their variances those of such slopes.

    The weights are the pipeline's own (`tessella.ramps.likelihood`); what is hit by cosmic rays
    and found is not taken into account.

    Parameters
    ----------
    rate : ndarray of shape (ny, nx)
        [DN / s], dark current included.
    gain, read_noise : ndarray of shape (ny, nx)
        Gain [electrons / DN] and noise of one read [DN].
    pattern : ReadPattern
    resultant_dq : ndarray of shape (n_resultants, ny, nx), uint8, optional
        What `saturated_resultants` tells; None where none is saturated.

    Returns
    -------
    Slopes
        NaN where no slope can be told.

    Examples
    --------
    >>> from tessella.instrument.read_patterns import read_patterns
    >>> one = np.ones((1, 1))
    >>> fit = fit_without_noise(100 * one, 2 * one, 6 * one, read_patterns()[3])
    >>> round(float(fit.slope[0, 0]), 3), round(float(100 / 2 / fit.var_poisson[0, 0]), 1)
    (100.0, 53.7)
    """
    times = mean_times(pattern.reads, pattern.frame_time)
    ramp = np.multiply.outer(times, rate)
    if resultant_dq is None:
        resultant_dq = np.zeros(ramp.shape, np.uint8)
    several = np.array([n > 1 for n in pattern.reads_per_resultant])
    timing = difference_timing(pattern.reads, pattern.frame_time)
    return fit_slopes(ramp, resultant_dq, gain, read_noise, timing, several, None)


def saturated_resultants(
    rate: np.ndarray,
    pedestal: np.ndarray,
    nonlinearity: np.ndarray,
    saturation: np.ndarray,
    threshold: np.ndarray,
    pattern: ReadPattern,
) -> np.ndarray:
    """Tell in which resultants an even ramp saturates, by the rule of the pipeline.

    Parameters
    ----------
    rate : ndarray of shape (ny, nx)
        [DN / s]
    pedestal, nonlinearity, saturation : ndarray of shape (ny, nx)
        Level after the reset [DN], quadratic loss [1 / DN] and where counts end [DN].
    threshold : ndarray of shape (ny, nx)
        Above which the pipeline takes a pixel for saturated [DN].
    pattern : ReadPattern

    Returns
    -------
    ndarray of shape (n_resultants, ny, nx), uint8
        As `tessella.detector.saturation.flag_saturated` flags the averages of the reads.
    """
    flagged = np.zeros((len(pattern.reads), *rate.shape), np.uint8)
    # Loss by nonlinearity only makes less of the counts.
    bright = np.nonzero(pedestal + rate * pattern.exposure_time >= threshold)
    level, slope, loss, end = (a[bright] for a in (pedestal, rate, nonlinearity, saturation))
    # Beyond this the parabola of the response turns down again.
    turning = 0.5 / np.maximum(loss, 1e-12)
    averages = []
    for reads in pattern.reads:
        linear = level + np.multiply.outer(np.array(reads) * pattern.frame_time, slope)
        counts = apply_nonlinearity(np.minimum(linear, turning), loss)
        averages.append(np.minimum(counts, end).mean(axis=0))
    none = np.zeros((len(averages), 1, len(level)), np.uint8)
    found, _ = flag_saturated(
        np.stack(averages)[:, None], none, none[0].astype(np.uint32), threshold[bright][None],
        pattern.reads,
    )  # fmt: skip
    flagged[:, bright[0], bright[1]] = found[:, 0]
    return flagged


@dataclass(frozen=True)
class EffectiveTime:
    """Photon and read noise of slopes as functions of the rate, of one kind of pixel.

    ``rate / seconds`` [(electrons / s)^2] is the photon variance of a rate: so many seconds count
    photons. NaN from the rate on at which no slope is left.
    """

    #: (n,) [electrons / s], ascending.
    rates: np.ndarray
    #: (n,) [s] and (n,) [(electrons / s)^2].
    seconds: np.ndarray
    var_rnoise: np.ndarray

    def at(self, rate: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return seconds and read variance at rates [electrons / s], of the rates' shape."""
        place = np.log(np.maximum(rate, self.rates[0]))
        known = np.log(self.rates)
        return np.interp(place, known, self.seconds), np.interp(place, known, self.var_rnoise)


def effective_time(
    pattern: ReadPattern,
    read_noise: float,
    most_electrons: float = 1e9,
) -> EffectiveTime:
    """Tabulate the noise of a MultiAccum table over rates.

    Parameters
    ----------
    pattern : ReadPattern
    read_noise : float
        Of one read [electrons].
    most_electrons : float
        Charge at which a pixel saturates.

    Examples
    --------
    >>> from tessella.instrument.read_patterns import read_patterns
    >>> time = effective_time(read_patterns()[3], 12.0)
    >>> seconds, _ = time.at(np.array([0.4, 1e4]))
    >>> np.round(seconds, 1).tolist()
    [46.8, 53.8]
    """
    decades = np.log10(_LARGEST_RATE / _LEAST_RATE)
    rates = np.geomspace(_LEAST_RATE, _LARGEST_RATE, 1 + round(decades * _PER_DECADE))
    row = rates[None]
    one = np.ones_like(row)
    end = most_electrons * one
    flagged = saturated_resultants(row, 0 * one, 0 * one, end, end, pattern)
    fit = fit_without_noise(row, one, read_noise * one, pattern, flagged)
    return EffectiveTime(rates, (row / fit.var_poisson)[0], fit.var_rnoise[0])

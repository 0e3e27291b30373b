"""Slopes of flat light: unbiased, with true errors, and as good as any estimate can be."""

import numpy as np
import pytest
from scipy import stats

from tessella import flags
from tessella.instrument.read_patterns import read_patterns
from tessella.ramps.likelihood import fit_slopes
from tessella.ramps.timing import difference_timing

GAIN, NOISE, SIDE = 2.0, 6.0, 320
N = SIDE * SIDE


def ramps(pattern, rate, seed):
    """Averages of reads [DN] with photon and read noise, unrounded."""
    rng = np.random.default_rng([pattern.number, seed])
    electrons, resultants = np.zeros((SIDE, SIDE)), []
    for reads in pattern.reads:
        total = np.zeros((SIDE, SIDE))
        for _ in reads:
            electrons += rng.poisson(rate * pattern.frame_time, electrons.shape)
            total += electrons / GAIN + NOISE * rng.standard_normal(electrons.shape)
        resultants.append(5000 + total / len(reads))
    return np.array(resultants)


def least_variance(timing, rate):
    """Cramer-Rao bound of the variance of a slope, covariance known [(DN / s)^2]."""
    covariance = np.diag(rate / GAIN**2 * timing.poisson_diagonal + NOISE**2 * timing.read_diagonal)
    beside = rate / GAIN**2 * timing.poisson_beside + NOISE**2 * timing.read_beside
    covariance += np.diag(beside, 1) + np.diag(beside, -1)
    return 1 / np.linalg.inv(covariance).sum()


@pytest.mark.parametrize("rate", [0.1, 1.0, 10.0, 100.0, 1000.0])
@pytest.mark.parametrize("number", [3, 4, 5])
def test_pulls_are_standard_normal_and_slopes_efficient(number, rate):
    pattern = read_patterns()[number]
    data = ramps(pattern, rate, int(10 * rate))
    timing = difference_timing(pattern.reads, pattern.frame_time)
    fit = fit_slopes(
        data,
        np.zeros(data.shape, np.uint8),
        np.full((SIDE, SIDE), GAIN, np.float32),
        np.full((SIDE, SIDE), NOISE, np.float32),
        timing,
        np.array([len(reads) > 1 for reads in pattern.reads]),
        4.5,
        noise_from_neighbours=True,
    )
    quiet = ~((fit.resultant_dq & flags.JUMP_DET) != 0).any(axis=0)
    deviation = (fit.slope - rate / GAIN)[quiet]
    pull = deviation / np.sqrt(fit.var_poisson + fit.var_rnoise)[quiet]
    # 10^5 pixels: a mean is known to 0.003, a deviation to 0.002, a variance to 0.0044.
    assert abs(pull.mean()) < 0.02
    assert abs(pull.std() - 1) < 0.03
    assert least_variance(timing, rate) / deviation.var() > 0.98
    assert 1 - quiet.mean() < 2e-4 + 3 * np.sqrt(2e-4 / N)
    # Chi-squared has one degree for each difference but the slope's own. Its covariance is that of
    # the fitted rate, and the search takes the highest values away: 2 % at its 90th percentile.
    degrees = len(pattern.reads) - 2
    assert (fit.chisq < stats.chi2.ppf(0.9, degrees)).mean() == pytest.approx(0.9, abs=0.02)

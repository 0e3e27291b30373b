"""Covariance of differences of resultants, against that of the reads themselves."""

import numpy as np
import pytest

from tessella.instrument.read_patterns import read_patterns
from tessella.ramps.timing import difference_timing, mean_times, variance_times

PATTERNS = [pattern.reads for pattern in read_patterns().values()] + [((1,), (3, 4), (7, 8, 9, 10))]


def read_covariance(pattern, frame_time):
    """Covariance of resultants per unit of rate and of read variance, from averages of reads."""
    reads = [read for resultant in pattern for read in resultant]
    times = frame_time * np.array(reads, float)
    average = np.zeros((len(pattern), len(reads)))
    first = 0
    for i, resultant in enumerate(pattern):
        average[i, first : first + len(resultant)] = 1 / len(resultant)
        first += len(resultant)
    photons = average @ np.minimum.outer(times, times) @ average.T
    return average @ times, photons, average @ average.T


@pytest.mark.parametrize("pattern", PATTERNS)
def test_covariance_is_that_of_averaged_reads(pattern):
    middle, photons, read = read_covariance(pattern, 3.1)
    timing = difference_timing(pattern, 3.1)
    scaled = np.diff(np.eye(len(pattern)), axis=0) / np.diff(middle)[:, None]
    for whole, diagonal, beside in (
        (scaled @ photons @ scaled.T, timing.poisson_diagonal, timing.poisson_beside),
        (scaled @ read @ scaled.T, timing.read_diagonal, timing.read_beside),
    ):
        tridiagonal = np.diag(diagonal) + np.diag(beside, 1) + np.diag(beside, -1)
        np.testing.assert_allclose(tridiagonal, whole, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_times_are_those_of_averaged_reads(pattern):
    middle, photons, _ = read_covariance(pattern, 2.0)
    np.testing.assert_allclose(mean_times(pattern, 2.0), middle)
    np.testing.assert_allclose(variance_times(pattern, 2.0), np.diag(photons))


@pytest.mark.parametrize("pattern", [((2,), (1,)), ((1, 4), (2, 3))])
def test_pattern_without_a_slope_is_refused(pattern):
    with pytest.raises(ValueError, match="resultants"):
        difference_timing(pattern, 1.0)

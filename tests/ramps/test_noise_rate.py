"""Noise is told from pixels that agree, never from those that do not."""

import numpy as np
import pytest

from tessella.ramps.noise_rate import REACH, noise_rates


def test_quiet_pixels_take_the_median_of_their_neighbours():
    rng = np.random.default_rng(1)
    slope = rng.normal(1, 0.1, (50, 400))
    rate = noise_rates(slope, np.full(slope.shape, 0.1))
    x = np.arange(REACH, 400 - REACH)
    beside = np.stack([slope[:, x + k] for k in range(-REACH, REACH + 1) if k])
    close = np.abs(slope[:, x] - np.median(beside, axis=0)) < 0.2
    np.testing.assert_array_equal(rate[:, x][close], np.median(beside, axis=0)[close])
    # Of a pixel's own noise only what is beyond two errors is left: 8 % of its variance.
    assert np.corrcoef(rate.ravel(), slope.ravel())[0, 1] < 0.3
    own = np.cov(rate[:, x].ravel(), slope[:, x].ravel())[0, 1] / 0.1**2
    assert own < 0.12


def test_star_keeps_its_own_rate():
    slope = np.full((1, 30), 1.0)
    slope[0, 15] = 100.0
    rate = noise_rates(slope, np.full((1, 30), 0.2))
    # All but (2 * 0.2 / 99)**2 of the difference.
    assert rate[0, 15] == pytest.approx(100, abs=0.01)
    np.testing.assert_array_equal(np.delete(rate[0], 15), 1.0)


def test_unknown_pixels_do_not_vote_and_stay_unknown():
    slope = np.array([[1.0, np.nan, 3.0, np.nan, np.nan, np.nan, np.nan, np.nan, np.nan, 7.0]])
    rate = noise_rates(slope, np.full(slope.shape, 10.0))
    assert np.isnan(rate[0, [1, 3, 8]]).all()
    assert rate[0].tolist()[::2][:2] == [3.0, 1.0]
    # No neighbour within reach: its own.
    assert rate[0, 9] == 7.0


def test_rows_do_not_know_of_each_other():
    rng = np.random.default_rng(2)
    slope, error = rng.normal(1, 0.1, (6, 64)), np.full((6, 64), 0.1)
    for y in range(6):
        np.testing.assert_array_equal(
            noise_rates(slope, error)[y], noise_rates(slope[y : y + 1], error[y : y + 1])[0]
        )

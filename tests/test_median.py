"""Medians by counting are those of NumPy."""

import numpy as np
import pytest

from tessella.median import median


@pytest.mark.parametrize("n", [1, 2, 3, 10, 999, 100_000])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e30])
def test_median_and_deviation_are_those_of_numpy(n, scale):
    rng = np.random.default_rng(n)
    values = (scale * rng.normal(0.3, 1, n)).astype(np.float32)
    everywhere = np.ones(n, bool)
    middle = median(values, everywhere)
    assert middle == float(np.median(values))
    assert median(values, everywhere, middle) == float(
        np.median(np.abs(values - np.float32(middle)))
    )


def test_equal_numbers_and_zeros_of_both_signs():
    values = np.array([0.0, -0.0, 0.0, -1.0, 1.0], np.float32)
    assert median(values, np.ones(5, bool)) == 0.0
    assert median(np.full(8, -2.5, np.float32), np.ones(8, bool)) == -2.5


def test_bad_and_infinite_numbers_take_no_part():
    values = np.array([[1.0, np.nan], [np.inf, 7.0]], np.float32)
    good = np.array([[True, True], [True, False]])
    assert median(values, good) == 1.0
    assert np.isnan(median(values, np.zeros((2, 2), bool)))

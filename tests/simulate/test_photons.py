"""Poisson numbers: their distribution, and that they depend on nothing but their row."""

import numpy as np
import pytest
from scipy import stats

from tessella.simulate.photons import add_electrons, chance_of_none

N = 200_000


def drawn(mean, n=N, seed=5):
    means = np.full((4, n // 4), mean, np.float32)
    charge = np.zeros_like(means)
    seeds = np.random.default_rng(seed).integers(0, 2**64, 4, dtype=np.uint64)
    add_electrons(charge, means, chance_of_none(means), seeds)
    return charge


@pytest.mark.parametrize("mean", [0.003, 0.4, 1.3, 4.0, 9.9, 10.1, 31.0, 250.0, 4e4])
def test_numbers_follow_the_distribution(mean):
    numbers = drawn(mean).ravel()
    assert (numbers == np.rint(numbers)).all()
    edges = np.unique(stats.poisson.ppf(np.linspace(0.01, 0.99, 21), mean))
    seen = np.bincount(np.searchsorted(edges, numbers), minlength=edges.size + 1)
    expected = N * np.diff(np.r_[0, stats.poisson.cdf(edges, mean), 1])
    chi2 = np.sum((seen - expected) ** 2 / expected)
    # One in a million of nine would be above.
    assert chi2 < stats.chi2.ppf(1 - 1e-7, edges.size)


@pytest.mark.parametrize("mean", [1.3, 40.0])
def test_neighbours_and_rows_are_independent(mean):
    numbers = drawn(mean) - mean
    for one, other in ((numbers[:, 1:], numbers[:, :-1]), (numbers[1:], numbers[:-1])):
        assert abs(np.mean(one * other) / mean) < 5 / np.sqrt(one.size)


def test_nothing_falls_where_nothing_is_expected():
    assert not drawn(0.0).any()


def test_a_row_does_not_depend_on_the_others():
    means = np.random.default_rng(1).uniform(0, 30, (6, 500)).astype(np.float32)
    seeds = np.arange(6, dtype=np.uint64)
    whole, part = np.zeros_like(means), np.zeros((2, 500), np.float32)
    add_electrons(whole, means, chance_of_none(means), seeds)
    add_electrons(part, means[3:5], chance_of_none(means[3:5]), seeds[3:5])
    np.testing.assert_array_equal(part, whole[3:5])
    assert whole.any()

"""Normal numbers of streams are normal, in the tails too, and those of a row are its own."""

import numpy as np
import pytest
from scipy import stats

from tessella.streams import fill_normal, normal_rows, row_seeds, start

SHAPE = (1000, 4001)


@pytest.fixture(scope="module")
def drawn():
    return normal_rows(np.random.default_rng(7), SHAPE).astype(float)


def test_distribution_is_normal(drawn):
    n, values = drawn.size, drawn.ravel()
    for statistic, error in (
        (values.mean(), n**-0.5),
        (values.var() - 1, (2 / n) ** 0.5),
        (stats.skew(values), (6 / n) ** 0.5),
        (stats.kurtosis(values), (24 / n) ** 0.5),
    ):
        assert abs(statistic) < 4 * error
    inner = stats.norm.ppf(np.arange(1, 1000) / 1000)
    counts = np.histogram(values, np.r_[-np.inf, inner, np.inf])[0]
    chisq = ((counts - n / 1000) ** 2 / (n / 1000)).sum()
    assert abs(chisq - 999) < 4 * np.sqrt(2 * 999)


@pytest.mark.parametrize("limit", [3.0, 3.6541528853610088, 4.2, 4.6])
def test_tails_have_their_share(drawn, limit):
    for share in (np.mean(drawn > limit), np.mean(drawn < -limit)):
        expected = stats.norm.sf(limit)
        assert share == pytest.approx(expected, abs=4.5 * np.sqrt(expected / drawn.size))


def test_neighbours_and_rows_are_independent(drawn):
    n = drawn.size
    for lag in (1, 2, 3):
        assert abs(np.mean(drawn[:, lag:] * drawn[:, :-lag])) < 4 / np.sqrt(n)
    assert abs(np.mean(drawn[1:] * drawn[:-1])) < 4 / np.sqrt(n)
    assert abs(np.mean(drawn[:, 1:] ** 2 * drawn[:, :-1] ** 2) - 1) < 4 * np.sqrt(8 / n)


def test_row_is_that_of_its_seed_alone():
    whole = normal_rows(np.random.default_rng(3), (5, 77))
    seeds, state = row_seeds(np.random.default_rng(3), 5), np.empty(4, np.uint64)
    row = np.empty(77, np.float32)
    start(seeds[3], state)
    fill_normal(row, state)
    np.testing.assert_array_equal(row, whole[3])

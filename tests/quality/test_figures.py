import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessella.quality.figures import (
    Figure,
    bootstrap_interval,
    fraction_figure,
    median_figure,
    median_interval,
    rms_figure,
    robust_sd,
    spread_figure,
    wilson_interval,
)
from tessella.randomness import generator


def test_too_few_objects_fail_whatever_their_value():
    assert fraction_figure(np.ones(99, bool), 0.95).ok is False
    assert fraction_figure(np.ones(100, bool), 0.95).ok is True


def test_a_figure_fails_only_where_its_interval_excludes_the_bound():
    low, high = wilson_interval(92, 100)
    assert low < 0.95 < high
    assert fraction_figure(np.arange(100) < 92, 0.95).ok is True
    assert wilson_interval(88, 100)[1] < 0.95
    assert fraction_figure(np.arange(100) < 88, 0.95).ok is False


def test_both_sides_of_a_bound_count():
    assert Figure(0.5, 200, (0.4, 0.6), (0.85, 1.2)).ok is False
    assert Figure(1.5, 200, (1.4, 1.6), (0.85, 1.2)).ok is False
    assert Figure(0.8, 200, (0.7, 0.9), (0.85, 1.2)).ok is True


def test_what_was_not_measured_is_null_and_not_good():
    figure = median_figure(np.full(200, np.nan), (-0.01, 0.01))
    assert figure.ok is False
    assert figure.as_dict() == {
        "value": None,
        "n": 0,
        "interval": None,
        "bound": [-0.01, 0.01],
        "ok": False,
    }
    json.dumps(figure.as_dict(), allow_nan=False)


def test_without_a_bound_nothing_is_judged():
    assert median_figure(np.arange(500.0)).ok is None


@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_interval_holds_the_fraction_and_stays_in_range(counts):
    n_good, n = counts
    low, high = wilson_interval(n_good, n)
    assert 0 <= low <= n_good / n + 1e-12
    assert n_good / n - 1e-12 <= high <= 1


def test_intervals_hold_the_truth_as_often_as_they_say():
    # 300 normal samples of 120: the count of misses is binomial(300, <= 0.05): mean 15, sd 3.8;
    # 30 is 4 sd above.
    rng = generator("test intervals")
    samples = rng.normal(size=(300, 120))
    intervals = np.array([median_interval(sample) for sample in samples])
    missed = (intervals[:, 0] > 0) | (intervals[:, 1] < 0)
    assert 1 <= missed.sum() <= 30


def test_bootstrap_interval_is_as_wide_as_theory_says():
    # The robust sd of n normal numbers has the standard error 1.17 / sqrt(n) (efficiency 0.37).
    values = generator("test bootstrap").normal(size=400)
    low, high = bootstrap_interval(values, robust_sd, "test")
    assert high - low == pytest.approx(2 * 1.96 * 1.17 / 20, rel=0.3)


def test_the_same_sample_gives_the_same_interval():
    values = generator("test again").normal(size=150)
    assert spread_figure(values, "a", (0.9, 1.1)) == spread_figure(values, "a", (0.9, 1.1))


def test_robust_sd_does_not_see_a_few_outliers():
    values = generator("test outliers").normal(size=1000)
    values[:20] = 1e6
    # Standard error 1.17 / sqrt(1000) = 0.04; 2 % of outliers move the spread by 3 %.
    assert robust_sd(values) == pytest.approx(1.03, abs=0.12)


def test_rms_is_that_of_one_axis():
    offsets = np.array([[3.0, 0.0], [0.0, 3.0]] * 50)
    assert rms_figure(offsets, "test", 5.0).value == pytest.approx(3 / np.sqrt(2))

"""Figures of quality: a value, the number of objects, the sampling interval and a verdict."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import binom, norm

from tessella.randomness import generator

#: Fewer objects than this decide nothing: a figure with a bound then fails.
MINIMUM_OBJECTS = 100
#: Probability that an interval holds the value of an unlimited sample.
CONFIDENCE = 0.95
_RESAMPLES = 2000
#: Standard deviation over median absolute deviation of normal numbers.
_NORMAL_MAD = 1.482602218505602


@dataclass(frozen=True)
class Figure:
    """One figure of quality."""

    #: NaN where nothing was measured.
    value: float
    #: Number of objects.
    n: int
    #: Sampling interval at `CONFIDENCE`; NaN where there are too few objects for one.
    interval: tuple[float, float]
    #: Smallest and largest value that is good; None leaves a side open, two None judge nothing.
    bound: tuple[float | None, float | None] = (None, None)

    @property
    def ok(self) -> bool | None:
        """Tell whether enough objects stand behind the figure and its interval meets the bound.

        None where there is no bound to judge by.
        """
        low, high = self.bound
        if low is None and high is None:
            return None
        if self.n < MINIMUM_OBJECTS or not np.isfinite([self.value, *self.interval]).all():
            return False
        return not (
            (low is not None and self.interval[1] < low)
            or (high is not None and self.interval[0] > high)
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the figure as plain numbers for JSON; None for what was not measured."""
        interval = [_number(edge) for edge in self.interval]
        return {
            "value": _number(self.value),
            "n": self.n,
            "interval": None if None in interval else interval,
            "bound": None if self.bound == (None, None) else list(self.bound),
            "ok": self.ok,
        }


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def wilson_interval(n_good: int, n: int) -> tuple[float, float]:
    """Return the score interval of a fraction; NaN if `n` is 0.

    Wilson 1927, JASA 22, 209. doi:10.1080/01621459.1927.10502953

    Examples
    --------
    >>> low, high = wilson_interval(95, 100)
    >>> round(low, 3), round(high, 3)
    (0.888, 0.978)
    """
    if n == 0:
        return np.nan, np.nan
    z = norm.ppf((1 + CONFIDENCE) / 2)
    fraction = n_good / n
    middle = (fraction + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(fraction * (1 - fraction) / n + z**2 / (4 * n**2))
    return float(max(middle - half, 0.0)), float(min(middle + half, 1.0))


def median_interval(values: np.ndarray) -> tuple[float, float]:
    """Return the distribution-free interval of a median, between two of the ordered values.

    David & Nagaraja 2003, Order Statistics, section 7.1. doi:10.1002/0471722162

    Parameters
    ----------
    values : (n,) array
        Finite; NaN is returned for fewer than six, whose whole range is too narrow.

    Examples
    --------
    >>> median_interval(np.arange(101.0))
    (40.0, 60.0)
    """
    n = len(values)
    rank = int(binom.ppf((1 - CONFIDENCE) / 2, n, 0.5))
    if rank < 1:
        return np.nan, np.nan
    ordered = np.sort(values)
    return float(ordered[rank - 1]), float(ordered[n - rank])


def bootstrap_interval(
    values: np.ndarray, statistic: Callable[[np.ndarray], np.ndarray], name: str
) -> tuple[float, float]:
    """Return the percentile interval of a statistic over samples drawn with replacement.

    Efron & Tibshirani 1993, An Introduction to the Bootstrap, section 13.3.
    doi:10.1201/9780429246593

    Parameters
    ----------
    values : (n,) or (n, k) array
        Objects along the first axis; NaN is returned for fewer than two.
    statistic : callable
        Takes (m, n) or (m, n, k) samples to (m,) numbers.
    name : str
        Name of the figure: each has random numbers of its own.
    """
    n = len(values)
    if n < 2:
        return np.nan, np.nan
    rng = generator("bootstrap", name, n)
    found = np.concatenate(
        [statistic(values[rng.integers(0, n, (100, n))]) for _ in range(_RESAMPLES // 100)]
    )
    low, high = np.percentile(found, [50 * (1 - CONFIDENCE), 50 * (1 + CONFIDENCE)])
    return float(low), float(high)


def robust_sd(values: np.ndarray) -> np.ndarray:
    """Return the standard deviation of normal numbers with the same median absolute deviation.

    Examples
    --------
    >>> float(robust_sd(np.array([-1.0, 0.0, 1.0, 1000.0])).round(3))
    1.483
    """
    middle = np.median(values, axis=-1, keepdims=True)
    return np.asarray(_NORMAL_MAD * np.median(np.abs(values - middle), axis=-1))


def rms(offsets: np.ndarray) -> np.ndarray:
    """Return the root of the mean of the squares along the first of two last axes, per component.

    Parameters
    ----------
    offsets : (..., n, k) array

    Returns
    -------
    (...) array
        Mean over the k components as well: the rms of one axis.

    Examples
    --------
    >>> round(float(rms(np.array([[3.0, 4.0], [3.0, 4.0]]))), 6)
    3.535534
    """
    return np.asarray(np.sqrt(np.mean(np.square(offsets), axis=(-2, -1))))


def fraction_figure(good: np.ndarray, at_least: float | None) -> Figure:
    """Return the fraction of objects that are good, (n,) bool."""
    n, n_good = len(good), int(np.count_nonzero(good))
    return Figure(n_good / n if n else np.nan, n, wilson_interval(n_good, n), (at_least, None))


def median_figure(
    values: np.ndarray, bound: tuple[float | None, float | None] = (None, None)
) -> Figure:
    """Return the median of the finite values of (n,)."""
    values = values[np.isfinite(values)]
    value = float(np.median(values)) if len(values) else np.nan
    return Figure(value, len(values), median_interval(values), bound)


def spread_figure(values: np.ndarray, name: str, bound: tuple[float, float]) -> Figure:
    """Return the robust standard deviation of the finite values of (n,)."""
    values = values[np.isfinite(values)]
    value = float(robust_sd(values)) if len(values) > 1 else np.nan
    return Figure(value, len(values), bootstrap_interval(values, robust_sd, name), bound)


def rms_figure(offsets: np.ndarray, name: str, at_most: float | None) -> Figure:
    """Return the rms per axis of the finite offsets of (n, 2)."""
    offsets = offsets[np.isfinite(offsets).all(axis=1)]
    value = float(rms(offsets)) if len(offsets) else np.nan
    return Figure(value, len(offsets), bootstrap_interval(offsets, rms, name), (None, at_most))

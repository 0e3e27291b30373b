"""The mean of many images of which no more than one is in memory."""

from dataclasses import dataclass

import numpy as np


@dataclass
class WeightedMean:
    """The mean of images that come one by one, pixel by pixel, with its error.

    Of each pixel the largest value is kept: where it lies too far above the mean of all others,
    a cosmic ray made it that no ramp showed, and it does not count.

    Examples
    --------
    >>> mean = WeightedMean((1, 3))
    >>> for values in ([1.0, 1.0, np.nan], [3.0, 1.0, np.nan], [2.0, 99.0, np.nan]):
    ...     mean.add(np.array([values]), np.full((1, 3), 4.0), 1.0)
    >>> mean.values.tolist(), mean.error.round(3).tolist()
    ([[2.0, 1.0, nan]], [[1.155, 1.414, nan]])
    """

    shape: tuple[int, int]
    #: In standard deviations of what is tested.
    too_far: float = 5.0

    def __post_init__(self) -> None:
        self._weight, self._sum, self._variance = np.zeros((3, *self.shape))
        # The largest value, its weight and its variance.
        self._largest = np.full(self.shape, -np.inf)
        self._its_weight, self._its_variance = np.zeros((2, *self.shape))

    def add(self, values: np.ndarray, variance: np.ndarray, weight: float) -> None:
        """Add an image, NaN where nothing was measured, with the variance of its pixels.

        The weight is one for the whole image: weights that follow the noise of each pixel would
        favour low values.
        """
        good = np.isfinite(values) & np.isfinite(variance)
        self._weight[good] += weight
        self._sum[good] += weight * values[good]
        self._variance[good] += weight**2 * variance[good]
        larger = good & (values > self._largest)
        self._largest[larger], self._its_variance[larger] = values[larger], variance[larger]
        self._its_weight[larger] = weight

    @property
    def values(self) -> np.ndarray:
        """The mean; NaN where nothing was measured."""
        total, _, weight = self._kept()
        return _ratio(total, weight)

    @property
    def error(self) -> np.ndarray:
        """Standard deviation of the mean; NaN where nothing was measured."""
        _, variance, weight = self._kept()
        return _ratio(np.sqrt(variance), weight)

    def _kept(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return sum, variance of the sum, and weight, of what counts."""
        others = self._weight - self._its_weight
        largest = np.where(np.isfinite(self._largest), self._largest, 0.0)
        total = self._sum - self._its_weight * largest
        variance = np.maximum(self._variance - self._its_weight**2 * self._its_variance, 0.0)
        # Sums of decimal fractions: what is left of one value may be a little more than nothing.
        several = others > 1e-9 * self._weight
        excess = largest - _ratio(total, np.where(several, others, 0.0))
        sigma = np.sqrt(self._its_variance + _ratio(variance, np.where(several, others, 0.0) ** 2))
        hit = several & (excess > self.too_far * sigma)
        return (
            np.where(hit, total, self._sum),
            np.where(hit, variance, self._variance),
            np.where(hit, others, self._weight),
        )


def _ratio(values: np.ndarray, weight: np.ndarray) -> np.ndarray:
    return np.divide(values, weight, out=np.full(values.shape, np.nan), where=weight > 0)

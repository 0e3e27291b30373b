"""Gain by photon transfer: the noise of light tells how many electrons a count is.

Janesick 2007, Photon Transfer, SPIE PM170, chapter 5; for what capacitance between pixels does
to it, Moore, Ninkov & Forrest 2006, Opt. Eng. 45, 076402. doi:10.1117/1.2219103
"""

from dataclasses import dataclass

import numpy as np

from tessella.models import BORDER
from tessella.ramps.timing import mean_times, variance_times
from tessella.references.measure import ReadPattern

#: Pairs differ by less than so many deviations of a square; cosmic rays that no ramp showed don't.
# ASSUME: noise is Gaussian: beyond 5 deviations lie 2e-5 of its variance.
_CLIP = 5.0
_MAD_TO_SIGMA = 1.4826
#: Offsets of neighbours [pixels], one of each pair of opposite ones.
_LAGS = ((0, 1), (1, 0), (1, 1), (1, -1))


@dataclass(frozen=True)
class Signal:
    """What an exposure counted between two of its resultants."""

    #: (ny, nx) linear counts [DN]; NaN where unusable.
    counts: np.ndarray
    #: Photon variance over mean, for a gain of 1; and over read noise squared.
    photon_factor: float
    read_factor: float
    #: Of the rounding of averages on board [DN^2].
    rounding: float


def signal_of(
    counts: np.ndarray, read_pattern: ReadPattern, first: int, last: int, frame_time: float
) -> Signal:
    """Describe what came between two resultants of a flat.

    Parameters
    ----------
    counts : ndarray of shape (ny, nx)
        Linear counts of the last less those of the first [DN]; NaN where unusable.
    read_pattern : tuple of tuples of int
        Reads of each resultant.
    first, last : int
        Numbers of the resultants, from 0.
    frame_time : float
        [s]

    Examples
    --------
    >>> signal = signal_of(np.full((1, 1), 8.0), ((1,), (2,), (3,)), 0, 2, 3.0)
    >>> signal.photon_factor, signal.read_factor
    (1.0, 2.0)
    """
    mean, own = mean_times(read_pattern, frame_time), variance_times(read_pattern, frame_time)
    n_reads = np.array([len(read_pattern[first]), len(read_pattern[last])], float)
    spread = own[first] + own[last] - 2 * mean[first]
    return Signal(
        counts=counts,
        photon_factor=float(spread / (mean[last] - mean[first])),
        read_factor=float((1 / n_reads).sum()),
        rounding=float(((1 - 1 / n_reads**2) / 12).sum()),
    )


@dataclass
class PhotonTransfer:
    """Variances of differences of flats in squares of pixels, gathered pair by pair.

    The variance of a difference, less that of its reads, is the photon factor times mean counts
    over gain, times the sum of squares of the capacitance kernel: neighbours share what the pixel
    lost. That share is put back: it is the sum of the correlations with all neighbours, less the
    noise that neighbours in read time share, which pairs of darks show. What stays: cosmic rays
    that no ramp shows lower the gain by about 0.2 %; and in real detectors charge that widens
    bright pixels lowers their noise and raises the gain, the more the brighter the lamp.
    """

    shape: tuple[int, int]
    #: Side of the squares, counted from the edge of the window, reference pixels included.
    box: int

    def __post_init__(self) -> None:
        ny, nx = (n + 2 * BORDER for n in self.shape)
        self._boxes = -(-ny // self.box), -(-nx // self.box)
        self._n, self._ratio = np.zeros((2, *self._boxes))
        self._variance, self._covariance = 0.0, np.zeros(len(_LAGS))
        self._covariance_of_darks = np.zeros(len(_LAGS))
        # Pixels times read factors, of flats and of darks.
        self._reads, self._reads_of_darks = 0.0, 0.0
        self.n_pairs = 0

    def add(self, one: Signal, other: Signal, noise: np.ndarray) -> None:
        """Add two exposures of the same light and reads.

        Parameters
        ----------
        one, other : Signal
        noise : ndarray of shape (ny, nx)
            Noise of one read [DN].
        """
        good = np.isfinite(one.counts) & np.isfinite(other.counts) & np.isfinite(noise)
        if not good.any():
            return
        # A lamp is not as bright twice.
        ratio = np.median(one.counts[good]) / np.median(other.counts[good])
        difference = np.where(good, one.counts - ratio * other.counts, np.nan)
        read = one.read_factor * noise**2 * (1 + ratio**2)
        light = one.photon_factor * (one.counts + ratio**2 * other.counts)
        centred = np.full(self.shape, np.nan)
        for box, place in self._places():
            values = _clipped(difference[place])
            used = np.isfinite(values)
            n = int(used.sum())
            if n < 2:
                continue
            centred[place] = values
            # Clipped values have a mean of 0; it took one degree of freedom.
            variance = (values[used] ** 2).sum() / (n - 1)
            variance -= read[place][used].mean() + one.rounding * (1 + ratio**2)
            self._ratio[box] += n * variance / light[place][used].mean()
            self._n[box] += n
            self._variance += n * variance
        self._covariance += [_products(centred, lag) for lag in _LAGS]
        self._reads += np.isfinite(centred).sum() * one.read_factor * (1 + ratio**2)
        self.n_pairs += 1

    def add_darks(self, one: Signal, other: Signal) -> None:
        """Add two darks of the same reads, for the noise that neighbours share."""
        difference = one.counts - other.counts
        centred = np.full(self.shape, np.nan)
        for _, place in self._places():
            centred[place] = _clipped(difference[place])
        self._covariance_of_darks += [_products(centred, lag) for lag in _LAGS]
        self._reads_of_darks += np.isfinite(centred).sum() * 2 * one.read_factor

    @property
    def shared(self) -> float:
        """Variance that photons would have without capacitance, over the one that is seen.

        Pixels two apart share what the one between them lends to both: the square of half the
        correlation of neighbours, too little to be measured.
        """
        if not self._variance > 0:
            return float("nan")
        covariance = self._covariance.copy()
        if self._reads_of_darks:
            covariance -= self._covariance_of_darks * (self._reads / self._reads_of_darks)
        correlation = covariance / self._variance
        return float(1 + 2 * correlation.sum() + 2 * ((correlation[:2] / 2) ** 2).sum())

    @property
    def gain(self) -> np.ndarray:
        """Electrons per DN of each pixel of the window, reference pixels too; NaN if unknown."""
        ratio = np.divide(self._ratio, self._n, out=np.full(self._boxes, np.nan), where=self._n > 0)
        gain = 1 / np.where(ratio > 0, ratio * self.shared, np.nan)
        return self._spread(gain)

    @property
    def relative_error(self) -> np.ndarray:
        """Of the gain: of the variance in a square, and of the share that is put back.

        n products of independent values of variance V have a sum with the variance n V^2.
        """
        own = np.divide(2.0, self._n, out=np.full(self._boxes, np.nan), where=self._n > 0)
        of_shared = 4 * len(_LAGS) / max(self._n.sum(), 1) / self.shared**2
        return self._spread(np.sqrt(own + of_shared))

    def _places(self) -> list[tuple[tuple[int, int], tuple[slice, slice]]]:
        def part(number: int, size: int) -> slice:
            start = max(number * self.box - BORDER, 0)
            return slice(start, min((number + 1) * self.box - BORDER, size))

        return [
            ((j, i), (part(j, self.shape[0]), part(i, self.shape[1])))
            for j in range(self._boxes[0])
            for i in range(self._boxes[1])
        ]

    def _spread(self, values: np.ndarray) -> np.ndarray:
        whole = np.repeat(np.repeat(values, self.box, axis=0), self.box, axis=1)
        ny, nx = (n + 2 * BORDER for n in self.shape)
        return whole[:ny, :nx]


def _clipped(values: np.ndarray) -> np.ndarray:
    """Return values less their mean, NaN where they lie too far from it."""
    known = values[np.isfinite(values)]
    if not known.size:
        return values
    middle = np.median(known)
    sigma = _MAD_TO_SIGMA * np.median(np.abs(known - middle))
    kept = np.where(np.abs(values - middle) <= _CLIP * sigma, values, np.nan)
    return kept - np.nanmean(kept)


def _products(values: np.ndarray, lag: tuple[int, int]) -> float:
    """Return the sum of products of pixels so far apart, as if no pixel were missing."""
    y, x = lag
    ny, nx = values.shape
    one = values[: ny - y, max(0, -x) : nx - max(0, x)]
    other = values[y:, max(0, x) : nx - max(0, -x)]
    products = one * other
    found = np.isfinite(products)
    known = np.count_nonzero(np.isfinite(values))
    return float(products[found].sum() / max(found.sum(), 1) * known)

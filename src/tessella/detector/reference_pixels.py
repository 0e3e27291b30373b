"""Reference pixels: they see no light, so what changes in them is the electronics.

Each readout channel has an offset that drifts from resultant to resultant, the outputs share
noise that is slow against the clock (`tessella.detector.reference_noise`), and the integer
average of N reads lies 0.5 + 0.5 (N - 1) / N DN low on board; reference pixels share all three.

What is subtracted follows from the reference pixels alone: `measure_drift` sees the border of the
frame and the reference output, `subtract_drift` corrects any block of rows.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy import fft

from tessella.compiled import kernel
from tessella.detector.reference_noise import (
    ROW_CLOCKS,
    Coefficients,
    band_sums,
    frequency_bands,
    spread_over_frequencies,
)
from tessella.detector.reference_series import BorderPixels, prepare_references
from tessella.models import CHANNEL_WIDTH

#: Samples for each period of the fastest noise that is predicted: straight lines between them
#: are wrong by 1 - cos(pi / 16) = 2 % of that, and by less of anything slower.
_SAMPLES_PER_PERIOD = 16
#: Bounds the memory of transforms.
_RESULTANTS_AT_ONCE = 4


@dataclass(frozen=True)
class Drift:
    """What is to be subtracted from each pixel of each resultant, compactly.

    A straight line in read time for each channel, plus samples of the noise that is predicted,
    between which it is interpolated.
    """

    #: Rows of the frame, and the number of its first channel on the detector.
    ny: int
    first_channel: int
    #: (n, n_channels, 2): level in the middle of the read [DN] and slope [DN / clock].
    trend: np.ndarray
    #: (n, n_channels or 1, m) int16: m samples, evenly over the read, of each channel or all.
    samples: np.ndarray
    #: (n, n_channels or 1): value of one step of `samples` [DN].
    scale: np.ndarray

    @property
    def shape(self) -> tuple[int, int, int]:
        """Resultants, rows and columns of the frame."""
        n, n_channels = self.trend.shape[:2]
        return n, self.ny, n_channels * CHANNEL_WIDTH

    def rows(self, first: int, n_rows: int) -> np.ndarray:
        """Return the drift of rows `first` and following, (n, n_rows, nx) float32 [DN]."""
        zero = np.zeros((self.shape[0], n_rows, self.shape[2]), np.float32)
        return -subtract_drift(zero, self, first)


def subtract_drift(data: np.ndarray, drift: Drift, first_row: int) -> np.ndarray:
    """Subtract the drift from a block of rows.

    Parameters
    ----------
    data : ndarray of shape (n, n_rows, nx), float32
        Counts [DN]; NaN stays NaN.
    drift : Drift
        Of the whole frame.
    first_row : int
        Row of the frame at which the block starts.

    Returns
    -------
    ndarray of shape (n, n_rows, nx), float32
        [DN]

    Raises
    ------
    ValueError
        If the block does not lie in the frame.

    Examples
    --------
    >>> from tessella.detector.reference_series import border_pixels
    >>> border = border_pixels(*(np.ones((2, 128, 128)),) * 2, np.ones((2, 128, 128)))
    >>> drift = measure_drift(border, None)
    >>> subtract_drift(np.full((2, 1, 128), 7, np.float32), drift, 5)[:, 0, 0].tolist()
    [7.0, 7.0]
    """
    n, ny, nx = drift.shape
    if data.shape != (n, data.shape[1], nx) or not 0 <= first_row <= ny - data.shape[1]:
        raise ValueError(
            f"data: a block of shape {data.shape} from row {first_row} is no part of {drift.shape}"
        )
    out = np.empty(data.shape, np.float32)
    _subtract(
        data.astype(np.float32, copy=False),
        out,
        first_row,
        ny,
        drift.first_channel,
        drift.trend,
        drift.samples,
        drift.scale,
    )
    return out


@kernel
def _subtract(
    data: np.ndarray,
    out: np.ndarray,
    first_row: int,
    ny: int,
    first_channel: int,
    trend: np.ndarray,
    samples: np.ndarray,
    scale: np.ndarray,
) -> None:
    """Levels in float64, what is added to them within a row of a channel in float32."""
    n, n_rows, _ = data.shape
    n_samples = samples.shape[2]
    step = ny * ROW_CLOCKS // n_samples
    middle = (ny * ROW_CLOCKS - 1) / 2
    before = np.empty(CHANNEL_WIDTH, np.int64)
    after = np.empty(CHANNEL_WIDTH, np.int64)
    part = np.empty(CHANNEL_WIDTH, np.float32)
    for row in range(n_rows):
        start = (first_row + row) * ROW_CLOCKS
        for clock in range(CHANNEL_WIDTH):
            before[clock] = (start + clock) // step
            after[clock] = (before[clock] + 1) % n_samples
            part[clock] = ((start + clock) % step) / step
        for i in range(n):
            for channel in range(trend.shape[1]):
                shared = min(channel, samples.shape[1] - 1)
                line = samples[i, shared]
                unit = np.float32(scale[i, shared])
                level = np.float32(trend[i, channel, 0] + trend[i, channel, 1] * (start - middle))
                slope = np.float32(trend[i, channel, 1])
                first, sign = channel * CHANNEL_WIDTH, 1
                if (first_channel + channel) % 2 == 1:
                    first, sign = first + CHANNEL_WIDTH - 1, -1
                for clock in range(CHANNEL_WIDTH):
                    here = np.float32(line[before[clock]])
                    noise = here + part[clock] * (np.float32(line[after[clock]]) - here)
                    drift = level + slope * np.float32(clock) + unit * noise
                    x = first + sign * clock
                    out[i, row, x] = data[i, row, x] - drift


def measure_drift(
    border: BorderPixels,
    coefficients: Coefficients | None,
    first_channel: int = 0,
    workers: int = 1,
) -> Drift:
    """Measure what the electronics added to each resultant.

    The mean of every reference pixel over the exposure is kept: what is left is what changes
    from resultant to resultant, with the bias of the integer average. The reference rows give
    each channel a straight line in read time. What is left of the reference columns and of the
    reference output predicts the rest, frequency by frequency (Rauscher et al. 2022,
    doi:10.1117/1.JATIS.8.2.028002): the spectrum of channel c is
    ``gamma[c] left + zeta[c] right + alpha[c] amp33``, where each spectrum is that of a series of
    140 clocks a row, the columns weighted by 140 / 4.

    Without coefficients the noise is taken to be the same in all channels. Left and right then
    tell it from their own noise, as that differs between them: a frequency is weighted by the
    share of the power of their mean that they have in common (Wiener's filter), 0 where that
    share is not significant. Slopes of channels are left out where they are within 3 of their
    errors.

    Parameters
    ----------
    border : BorderPixels
        Counts that are NaN, and those far from their neighbours, take no part.
    coefficients : Coefficients or None
        (nx / 128, ny * 70 + 1); None has none.
    first_channel : int
        Number of the channel on the detector at which the frame starts; odd ones are read
        backwards.
    workers : int
        Threads; they do not change the result.

    Returns
    -------
    Drift
        A channel has no line in the resultants in which it has no usable reference rows, and
        references predict nothing in those in which they were lost.

    Raises
    ------
    ValueError
        If the coefficients do not fit the frame.

    Examples
    --------
    >>> from tessella.detector.reference_series import border_pixels
    >>> ramp = np.ones((2, 128, 128)) * np.array([10.0, 12.0])[:, None, None]
    >>> drift = measure_drift(border_pixels(ramp, ramp > 0, ramp), None)
    >>> drift.rows(0, 128)[:, 5, 5].tolist()
    [-1.0, 1.0]
    """
    n, ny, _ = border.left.shape
    n_channels = border.bottom.shape[2] // CHANNEL_WIDTH
    clocks = ny * ROW_CLOCKS
    if coefficients is not None and coefficients.gamma.shape != (n_channels, clocks // 2 + 1):
        raise ValueError(
            f"coefficients: their shape is {coefficients.gamma.shape}, "
            f"the frame needs {(n_channels, clocks // 2 + 1)}"
        )
    with_amp33 = coefficients is not None
    references = prepare_references(border, first_channel, not with_amp33, with_amp33)
    if coefficients is None:
        coefficients = _common_coefficients(references.left, references.right)
    weights = [coefficients.gamma, coefficients.zeta, coefficients.alpha][: 3 if with_amp33 else 2]
    highest = _highest_frequency(coefficients)
    n_samples = clocks
    while n_samples % 2 == 0 and n_samples // 2 >= _SAMPLES_PER_PERIOD * max(highest, 1):
        n_samples //= 2
    samples = np.empty((n, len(coefficients.gamma), n_samples), np.int16)
    scale = np.empty(samples.shape[:2])

    def predict(spectra: np.ndarray, resultants: slice, channel: int) -> None:
        chosen = [array[channel, : highest + 1].astype(np.complex64) for array in weights]
        product = np.empty(spectra.shape[1:], np.complex64)
        _weighted_sum(spectra, np.stack(chosen), product)
        # The transform divides by the number of samples instead of that of clocks.
        product *= np.float32(n_samples / clocks)
        noise = fft.irfft(product, n_samples, workers=1)
        _quantise(noise, samples[resultants, channel], scale[resultants, channel])

    with ThreadPoolExecutor(workers) as pool:
        for first in range(0, n, _RESULTANTS_AT_ONCE):
            resultants = slice(first, first + _RESULTANTS_AT_ONCE)
            spectra = np.stack(
                [
                    fft.rfft(series, workers=1)[:, : highest + 1]
                    for series in references.series(resultants)
                ]
            )
            list(pool.map(partial(predict, spectra, resultants), range(samples.shape[1])))
    return Drift(ny, first_channel, references.trend, samples, scale)


@kernel
def _weighted_sum(spectra: np.ndarray, weights: np.ndarray, out: np.ndarray) -> None:
    """Sum spectra (n_references, n, n_frequencies) with weights, in complex64."""
    for i in range(spectra.shape[1]):
        for k in range(spectra.shape[2]):
            total = weights[0, k] * spectra[0, i, k]
            for reference in range(1, spectra.shape[0]):
                total += weights[reference, k] * spectra[reference, i, k]
            out[i, k] = total


def _quantise(noise: np.ndarray, samples: np.ndarray, scale: np.ndarray) -> None:
    """Store noise (n, m) as whole numbers; the largest becomes 32767."""
    scale[...] = np.maximum(noise.max(axis=1), -noise.min(axis=1)) / 32767
    _round(noise, 1 / np.where(scale > 0, scale, np.inf).astype(np.float32), samples)


@kernel
def _round(noise: np.ndarray, steps: np.ndarray, samples: np.ndarray) -> None:
    for i in range(noise.shape[0]):
        for k in range(noise.shape[1]):
            samples[i, k] = np.int16(np.rint(noise[i, k] * steps[i]))


def _highest_frequency(coefficients: Coefficients) -> int:
    """Return the last frequency step at which anything is predicted."""
    highest = 0
    for array in (coefficients.gamma, coefficients.zeta, coefficients.alpha):
        for weights in array:
            above = np.flatnonzero(weights[highest + 1 :])
            highest += int(above[-1]) + 1 if above.size else 0
    return highest


def _common_coefficients(left: np.ndarray, right: np.ndarray) -> Coefficients:
    """Return weights, the same for all channels, from rows of the left and right (n, ny, 4)."""
    rows = np.stack([left.mean(axis=2), right.mean(axis=2)])
    spectra = fft.rfft(rows, workers=1)
    edges = frequency_bands(spectra.shape[2])
    sums = band_sums(spectra, edges)
    both = sums[:, 0, 1].real
    mean = sums.sum(axis=(1, 2)).real / 4
    each = np.sqrt(sums[:, 0, 0].real * sums[:, 1, 1].real)
    # Resultants differ in power and their mean is gone, so that fewer than all are independent:
    # the coherence of m frequencies scatters by sqrt(tr(A B) / (tr A tr B) / (2 m)) about 0, with
    # A and B the products of left and right between resultants.
    a, b = rows @ rows.transpose(0, 2, 1)
    power = np.sqrt(np.trace(a) * np.trace(b))
    scatter = np.sqrt(np.sum(a * b)) / (power if power > 0 else 1)
    by_chance = scatter / np.sqrt(2 * np.diff(edges))
    weights = np.where(both > 3 * by_chance * each, both / np.where(mean > 0, mean, 1), 0)
    half = spread_over_frequencies(weights, edges)[None] / 2
    return Coefficients(half, half, np.zeros_like(half))

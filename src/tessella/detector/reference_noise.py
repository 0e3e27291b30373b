"""Noise that the outputs of a detector share, and the filter that predicts it.

All outputs are read at the same time, 140 clocks a row, so that noise of the electronics is a
function of the read time. It appears in the science channels, in the reference pixels left and
right, and in the reference output ("amp33"). `correlated_noise` is what the detector does;
`make_coefficients` learns from dark exposures how much of a channel's spectrum the three
predict [1]_. `tessella.detector.reference_pixels` subtracts the prediction.

References
----------
.. [1] Rauscher et al. 2022, JATIS 8, 028002, doi:10.1117/1.JATIS.8.2.028002
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import fft

from tessella.compiled import kernel
from tessella.models import CHANNEL_WIDTH, DETECTOR_SIZE, Window
from tessella.streams import normal_rows

# ASSUME: 12 idle clocks a row make the sampling even, as RAD's coefficients have it; the
# interruptions by the guide window are left out.
#: Clocks of a row: its pixels and the padding after them.
ROW_CLOCKS = CHANNEL_WIDTH + 12

#: Bands of frequency over which spectra are averaged: their relative width, and the least width
#: [frequency steps].
_BAND_WIDTH = 1 / 12
_BAND_STEPS = 4
#: Added to the correlation matrix of the predictors; what is lost by it is a third of it.
_RIDGE = 1e-3
_N_PREDICTORS = 3
#: A band counts if it predicts this many times more than chance would.
_TIMES_CHANCE = 3.0
#: Share of a channel's variance that may be left in it to keep the prediction slow.
_NEGLIGIBLE_SHARE = 1e-3


@dataclass(frozen=True)
class Coefficients:
    """Weights of the references in the prediction of each channel, (n_channels, n_frequencies).

    Frequencies are those of `numpy.fft.rfft` over the clocks of one read: 140 a row. The arrays
    are read one channel at a time and may be mapped from a file.
    """

    #: Of the reference pixels left and right, and of the reference output.
    gamma: np.ndarray
    zeta: np.ndarray
    alpha: np.ndarray


def coefficients_of_window(coefficients: Coefficients, window: Window) -> Coefficients:
    """Return the weights for a part of the detector.

    Noise of one frequency is predicted alike however long a read takes: the weights are those of
    the nearest frequency of the whole detector.

    Parameters
    ----------
    coefficients : Coefficients
        Of the whole detector, (32, 286721).
    window : Window
        The part that is read.

    Returns
    -------
    Coefficients
        (window.nx / 128, window.ny * 70 + 1).

    Raises
    ------
    ValueError
        If the coefficients are not those of a whole detector.

    Examples
    --------
    >>> flat = np.ones((32, 286721))
    >>> part = coefficients_of_window(Coefficients(flat, flat, flat), Window(128, 0, 256, 512))
    >>> part.gamma.shape
    (2, 35841)
    """
    full = (DETECTOR_SIZE // CHANNEL_WIDTH, DETECTOR_SIZE * ROW_CLOCKS // 2 + 1)
    if coefficients.gamma.shape != full:
        raise ValueError(
            f"coefficients: their shape is {coefficients.gamma.shape}, a whole detector's is {full}"
        )
    step = np.arange(window.ny * ROW_CLOCKS // 2 + 1)
    nearest = np.rint(step * (DETECTOR_SIZE / window.ny)).astype(int)
    first = window.x // CHANNEL_WIDTH
    channels = slice(first, first + window.nx // CHANNEL_WIDTH)
    return Coefficients(
        *(
            array[channels][:, nearest]
            for array in (coefficients.gamma, coefficients.zeta, coefficients.alpha)
        )
    )


def correlated_noise(
    window: Window,
    common_dn: float,
    channel_dn: float,
    rng_common: np.random.Generator,
    rng_channels: np.random.Generator,
    exponent: float = 1.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Draw the noise of one read that neighbours in read time share.

    One series is common to all channels and the reference output; each of them has another of
    its own. Power falls as frequency to the `exponent`; reads are independent of each other, and
    what is slower than a read is not in it.

    Parameters
    ----------
    window : Window
        Part of the detector that is read.
    common_dn, channel_dn : float
        Root mean square of the common series and of each channel's own over a read of the whole
        detector [DN]. A window has the same power at the same frequency: less in all, as it has
        no slow part.
    rng_common, rng_channels : Generator
        Of this read, for the series in common and for each channel's own.
    exponent : float
        1 for 1/f noise.

    Returns
    -------
    noise : ndarray of shape (ny, nx), float32
        To be added to the read [DN].
    noise33 : ndarray of shape (ny, 128), float32
        To be added to the reference output [DN].

    Examples
    --------
    >>> window = Window(0, 0, 256, 128)
    >>> first, second = (np.random.default_rng(seed) for seed in (1, 2))
    >>> noise, noise33 = correlated_noise(window, 2.0, 0.0, first, second)
    >>> bool((noise[:, :128] == noise33).all() and (noise[:, 128:] == noise33[:, ::-1]).all())
    True
    """
    ny, nx = window.shape
    n_channels = nx // CHANNEL_WIDTH
    common = _series(1, ny, common_dn, exponent, rng_common)[0]
    lines = _series(n_channels + 1, ny, channel_dn, exponent, rng_channels)
    noise = np.empty((ny, n_channels, CHANNEL_WIDTH), np.float32)
    for channel in range(n_channels):
        is_reversed = (window.x // CHANNEL_WIDTH + channel) % 2
        place = noise[:, channel, ::-1] if is_reversed else noise[:, channel]
        np.add(common, lines[channel], out=place)
    return noise.reshape(ny, nx), common + lines[-1]


def _series(n: int, ny: int, rms: float, exponent: float, rng: np.random.Generator) -> np.ndarray:
    """Draw series of noise in read time, (n, ny, 128)."""
    if rms == 0:
        return np.zeros((n, ny, CHANNEL_WIDTH), np.float32)
    clocks = ny * ROW_CLOCKS
    spectra = normal_rows(rng, (n, 2 * (clocks // 2 + 1))).view(np.complex64)
    spectra *= _amplitudes(ny, exponent) * np.float32(rms)
    # Several at once are transformed side by side.
    drawn = fft.irfft(spectra, clocks, workers=1, overwrite_x=True)
    return drawn.reshape(n, ny, ROW_CLOCKS)[..., :CHANNEL_WIDTH]


@lru_cache(maxsize=4)
def _amplitudes(ny: int, exponent: float) -> np.ndarray:
    """Return the amplitude of each frequency for noise of 1 DN on the whole detector."""
    clocks, clocks_full = ny * ROW_CLOCKS, DETECTOR_SIZE * ROW_CLOCKS
    power_full = np.sum((np.arange(1, clocks_full // 2 + 1) / clocks_full) ** -exponent)
    step = np.arange(clocks // 2 + 1) / clocks
    step[0] = np.inf
    # A cosine of complex amplitude a (g1 + i g2) has a variance of 4 a^2 / clocks^2.
    power = step**-exponent * (clocks_full / clocks) / power_full
    return (clocks / 2 * np.sqrt(power)).astype(np.float32)


def frequency_bands(n_frequencies: int) -> np.ndarray:
    """Return the first frequency step of each band and the end of the last; step 0 is in none.

    Examples
    --------
    >>> frequency_bands(16).tolist()
    [1, 5, 9, 16]
    """
    edges = [1]
    while n_frequencies - edges[-1] >= 2 * (
        width := max(_BAND_STEPS, int(edges[-1] * _BAND_WIDTH))
    ):
        edges.append(edges[-1] + width)
    return np.array([*edges, n_frequencies])


def band_sums(spectra: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Sum products of spectra over each band and over resultants.

    Parameters
    ----------
    spectra : ndarray of shape (n_series, n, n_frequencies)
        Complex [DN].
    edges : ndarray of shape (n_bands + 1,)
        Of `frequency_bands`.

    Returns
    -------
    ndarray of shape (n_bands, n_series, n_series), complex128
        Sum of ``conj(spectra[i]) * spectra[j]`` [DN^2].

    Examples
    --------
    >>> band_sums(np.full((1, 2, 16), 2j), frequency_bands(16)).real.ravel().tolist()
    [32.0, 32.0, 56.0]
    """
    sums = np.zeros((edges.size - 1, len(spectra), len(spectra)), np.complex128)
    for i in range(len(spectra)):
        for j in range(i, len(spectra)):
            _add_products(spectra[i], spectra[j], edges, sums[:, i, j])
            sums[:, j, i] = np.conj(sums[:, i, j])
    return sums


@kernel
def _add_products(one: np.ndarray, other: np.ndarray, edges: np.ndarray, sums: np.ndarray) -> None:
    """Sum in float64."""
    for i in range(one.shape[0]):
        for band in range(edges.size - 1):
            real, imaginary = 0.0, 0.0
            for k in range(edges[band], edges[band + 1]):
                a, b = one[i, k], other[i, k]
                real += a.real * b.real + a.imag * b.imag
                imaginary += a.real * b.imag - a.imag * b.real
            sums[band] += complex(real, imaginary)


def spread_over_frequencies(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Interpolate values of bands, linearly in the logarithm of frequency.

    Parameters
    ----------
    values : ndarray of shape (n_bands,)
        One a band, real or complex.
    edges : ndarray of shape (n_bands + 1,)
        Of `frequency_bands`.

    Returns
    -------
    ndarray of shape (edges[-1],)
        Step 0 has the value of step 1.

    Examples
    --------
    >>> spread_over_frequencies(np.array([0.0, 1.0]), np.array([1, 4, 9])).round(2).tolist()
    [0.0, 0.0, 0.12, 0.46, 0.71, 0.9, 1.0, 1.0, 1.0]
    """
    centres = (np.log(edges[:-1]) + np.log(edges[1:] - 1)) / 2
    return np.interp(np.log(np.maximum(np.arange(edges[-1]), 1)), centres, values)


def make_coefficients(
    spectra: Iterable[tuple[int, np.ndarray, np.ndarray, np.ndarray, np.ndarray]],
    n_channels: int,
) -> Coefficients:
    """Find the weights that predict the noise of each channel best.

    Least squares in each band of frequencies, over all resultants, with a small ridge (Rauscher
    et al. 2022, doi:10.1117/1.JATIS.8.2.028002, where frequencies stand alone). Few samples fit
    themselves: the weights of a band are multiplied by the share of the explained variance that
    is not due to that (the adjusted coefficient of determination, Ezekiel 1930), and are 0 in
    bands that predict no better than chance. They are 0 above a frequency beyond which less
    than 1e-3 of the variance is predicted, which makes the correction quick and small.

    Parameters
    ----------
    spectra : iterable of (channel, science, left, right, amp33)
        Number of the channel and spectra [DN], each (n, n_frequencies) and complex, of some
        resultants of a dark exposure; see `reference_pixels.dark_spectra`. Any order.
    n_channels : int
        Number of channels.

    Returns
    -------
    Coefficients
        complex64, (n_channels, n_frequencies); 0 where nothing is predicted.

    Raises
    ------
    ValueError
        If a channel has no spectra.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> amp33 = rng.standard_normal((40, 64)) + 1j * rng.standard_normal((40, 64))
    >>> none = np.zeros_like(amp33)
    >>> found = make_coefficients([(0, 0.5 * amp33, none, none, amp33)], 1)
    >>> bool(np.allclose(found.alpha, 0.5, rtol=2e-3)), bool(found.gamma.any())
    (True, False)
    """
    sums: dict[int, np.ndarray] = {}
    n_spectra = dict.fromkeys(range(n_channels), 0)
    edges = np.zeros(0, int)
    for channel, science, left, right, amp33 in spectra:
        edges = frequency_bands(science.shape[1])
        products = band_sums(np.stack([left, right, amp33, science]), edges)
        sums[channel] = sums[channel] + products if channel in sums else products
        n_spectra[channel] += len(science)
    for channel in range(n_channels):
        if n_spectra[channel] == 0:
            raise ValueError(f"spectra: there are none of channel {channel}")
    weights = np.empty((n_channels, edges.size - 1, _N_PREDICTORS), np.complex128)
    predicted = np.zeros(edges.size - 1)
    for channel in range(n_channels):
        n_samples = np.diff(edges) * n_spectra[channel]
        weights[channel], share = _weights(sums[channel], n_samples)
        power = sums[channel][:, -1, -1].real
        predicted += share * power / max(power.sum(), np.finfo(float).tiny) / n_channels
    above = np.cumsum(predicted[::-1])[::-1]
    n_bands = int(np.sum(above > _NEGLIGIBLE_SHARE))
    weights[:, n_bands:] = 0
    arrays = np.zeros((_N_PREDICTORS, n_channels, edges[-1]), np.complex64)
    for predictor, channel in np.ndindex(_N_PREDICTORS, n_channels):
        found = spread_over_frequencies(weights[channel, :, predictor], edges)
        arrays[predictor, channel, : edges[n_bands]] = found[: edges[n_bands]]
    return Coefficients(*arrays)


def _weights(sums: np.ndarray, n_samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the weights of each band (n_bands, 3) and the share of the power they predict."""
    predictors, science = sums[:, :-1, :-1], sums[:, :-1, -1]
    scale = np.sqrt(np.einsum("bii->bi", predictors).real)
    scale[scale == 0] = 1
    correlation = predictors / (scale[:, :, None] * scale[:, None, :])
    ridge = _RIDGE * np.eye(_N_PREDICTORS)
    weights = np.linalg.solve(correlation + ridge, (science / scale)[..., None])[..., 0] / scale
    power = sums[:, -1, -1].real
    explained = 2 * np.einsum("bi,bi->b", weights.conj(), science).real
    explained -= np.einsum("bi,bij,bj->b", weights.conj(), predictors, weights).real
    share = explained / np.where(power > 0, power, 1)
    adjusted = 1 - (1 - share) * n_samples / np.maximum(n_samples - _N_PREDICTORS, 1)
    adjusted[share * n_samples < _TIMES_CHANCE * _N_PREDICTORS] = 0
    adjusted = np.clip(adjusted, 0, 1)
    return weights * (adjusted / np.where(share > 0, share, 1))[:, None], adjusted

"""Variance of weighted sums of pixels whose noise is correlated, as it is after resampling.

The variance of ``sum_i m_i d_i`` is ``sum_ij m_i m_j sqrt(v_i v_j) rho(i - j)`` with the pixel
variances ``v`` and the correlation ``rho`` by offset; Fruchter & Hook 2002, PASP 114, 144,
section 7, doi:10.1086/338393, describe where the correlation comes from.
"""

from collections.abc import Iterator

import numpy as np
from scipy import fft

#: Correlations with more offsets are summed by their spectrum.
_MANY_OFFSETS = 40


def offsets(correlation: np.ndarray) -> Iterator[tuple[int, int, float]]:
    """Yield (dy, dx, correlation) of each pair of neighbours once: half of the plane."""
    half_y, half_x = (size // 2 for size in correlation.shape)
    for dy in range(half_y + 1):
        for dx in range(-half_x, half_x + 1):
            value = float(correlation[half_y + dy, half_x + dx])
            if (dy, dx) > (0, 0) and value != 0.0:
                yield dy, dx, value


def correlated_variance(amplitude: np.ndarray, correlation: np.ndarray) -> np.ndarray:
    """Return the variance of sums of correlated pixels.

    Parameters
    ----------
    amplitude : (..., ny, nx) array
        Weight times standard deviation of each pixel; 0 for pixels that take no part, no NaN.
    correlation : (2 n + 1, 2 m + 1) array
        Correlation of the noise of two pixels by their offset; 1 in the middle, symmetric.

    Returns
    -------
    (...) array
        Variance of each sum, in the unit of `amplitude` squared.

    Examples
    --------
    >>> fully = np.ones((3, 3))
    >>> float(correlated_variance(np.ones((2, 2)), fully))
    16.0
    """
    amplitude = np.asarray(amplitude, dtype=float)
    if np.count_nonzero(correlation) > 2 * _MANY_OFFSETS:
        return _variance_by_spectrum(amplitude, correlation)
    ny, nx = amplitude.shape[-2:]
    total = np.einsum("...yx,...yx->...", amplitude, amplitude)
    for dy, dx, value in offsets(correlation):
        if dy >= ny or abs(dx) >= nx:
            continue
        here = amplitude[..., : ny - dy, max(0, -dx) : nx - max(0, dx)]
        there = amplitude[..., dy:, max(0, dx) : nx - max(0, -dx)]
        total = total + 2.0 * value * np.einsum("...yx,...yx->...", here, there)
    return np.asarray(total)


def _variance_by_spectrum(amplitude: np.ndarray, correlation: np.ndarray) -> np.ndarray:
    """Return what `correlated_variance` does: the sum of both spectra's product (Parseval)."""
    # Pixels farther apart than the sides are no pairs.
    reach = [
        min(size // 2, n - 1)
        for size, n in zip(correlation.shape, amplitude.shape[-2:], strict=True)
    ]
    inner = tuple(
        slice(size // 2 - half, size // 2 + half + 1)
        for size, half in zip(correlation.shape, reach, strict=True)
    )
    shape = [
        fft.next_fast_len(n + half, real=True)
        for n, half in zip(amplitude.shape[-2:], reach, strict=True)
    ]
    lattice = np.zeros(shape)
    lattice[: 2 * reach[0] + 1, : 2 * reach[1] + 1] = correlation[inner]
    lattice = np.roll(lattice, (-reach[0], -reach[1]), (0, 1))
    power = np.abs(fft.rfft2(amplitude, shape, workers=1)) ** 2
    density = fft.rfft2(lattice, workers=1).real
    # One half of the plane stands for both, but for the columns that are their own mirror.
    density[:, 1 : (shape[1] + 1) // 2] *= 2
    return np.asarray(np.einsum("...yx,yx->...", power, density) / (shape[0] * shape[1]))


def labelled_variance(
    amplitude: np.ndarray, segmentation: np.ndarray, labels: np.ndarray, correlation: np.ndarray
) -> np.ndarray:
    """Return the variance of the sum over each segment, segments of any form and all at once.

    Parameters
    ----------
    amplitude : (ny, nx) array
        Weight times standard deviation of each pixel; NaN counts as 0.
    segmentation : (ny, nx) array of int
        Label of the segment of each pixel; 0 is sky.
    labels : (n,) array of int
        Labels in ascending order.
    correlation : (2 n + 1, 2 m + 1) array
        Correlation of the noise of two pixels by their offset.

    Returns
    -------
    (n,) array
        Variance of each sum; 0 for a label without pixels.

    Examples
    --------
    >>> segments = np.array([[1, 1, 0, 2]])
    >>> labelled_variance(np.ones((1, 4)), segments, np.array([1, 2]), np.ones((3, 3))).tolist()
    [4.0, 1.0]
    """
    y, x = np.nonzero(segmentation)
    if not y.size:
        return np.zeros(len(labels))
    reach = max(correlation.shape) // 2
    framed = np.pad(segmentation, reach).ravel()
    heights = np.pad(np.nan_to_num(amplitude).astype(float), reach).ravel()
    width = segmentation.shape[1] + 2 * reach
    here = (y + reach) * width + x + reach
    own, values = framed[here], heights[here]
    index = np.minimum(np.searchsorted(labels, own), len(labels) - 1)
    total = values**2
    for dy, dx, value in offsets(correlation):
        there = here + dy * width + dx
        total += 2.0 * value * np.where(framed[there] == own, values * heights[there], 0.0)
    return np.bincount(index, weights=total * (labels[index] == own), minlength=len(labels))


def variance_ratio(kernel: np.ndarray, correlation: np.ndarray) -> float:
    """Return the variance of a kernel-weighted sum over that of uncorrelated pixels.

    Examples
    --------
    >>> variance_ratio(np.ones((2, 2)), np.ones((3, 3)))
    4.0
    """
    return float(correlated_variance(kernel, correlation) / np.sum(np.square(kernel)))

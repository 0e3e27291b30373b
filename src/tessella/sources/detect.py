"""Detection on all bands together: signal-to-noise image, segments, deblending."""

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import binary_fill_holes, correlate1d, label
from scipy.signal import fftconvolve

from tessella.models import Mosaic
from tessella.photometry.noise import variance_ratio
from tessella.sources.background import local_background
from tessella.sources.deblend import deblend as deblend_segments
from tessella.sources.detection import Detection
from tessella.sources.halo import without_halo_features

#: Parts of the kernel that lie farther out are cut off [standard deviations].
_KERNEL_EXTENT = 3.5
#: Correlation of the detection image's noise below which it is taken as none.
_NEGLIGIBLE_CORRELATION = 0.003


def detect(
    mosaics: Sequence[Mosaic],
    *,
    background_box_pixels: int,
    kernel_fwhm_pixels: float,
    threshold_sigma: float,
    n_pixels: int,
    deblend_contrast: float,
    halo_contrast: float = 0.0,
    deblend: bool = True,
) -> Detection:
    """Detect sources on the matched-filter signal-to-noise image of all bands together.

    Parameters
    ----------
    mosaics : sequence of Mosaic
        One per band, all on one lattice.
    background_box_pixels : int
        Side of the boxes of the local background.
    kernel_fwhm_pixels : float
        Full width at half maximum of the Gaussian matched filter.
    threshold_sigma : float
        Pixels of a source have at least this signal-to-noise ratio.
    n_pixels : int
        A source has at least this many connected pixels (8-connectivity).
    deblend_contrast : float
        Fraction of a segment's signal that a part must have to be a source of its own.
    halo_contrast : float
        Height of the highest feature 1 arcsec from a star over the star's peak (see
        `tessella.sources.halo`); 0 takes every detection for a source.
    deblend : bool
        False leaves touching sources together.

    Raises
    ------
    ValueError
        If there is no mosaic or lattices differ.

    Examples
    --------
    >>> from tessella.models import Lattice
    >>> y, x = np.mgrid[:64, :64]
    >>> star = np.exp(-((x - 30) ** 2 + (y - 20) ** 2) / 4.5)
    >>> one = np.ones((64, 64))
    >>> lattice = Lattice(10.0, 60.0, 0, 0, 0.055, 64, 64)
    >>> mosaic = Mosaic(lattice, "F158", star, 0.01 * one, one, one, one, one[None], one,
    ...                 np.ones((1, 1)))
    >>> found = detect([mosaic], background_box_pixels=32, kernel_fwhm_pixels=3.0,
    ...                threshold_sigma=5.0, n_pixels=5, deblend_contrast=0.01)
    >>> found.labels.tolist(), int(found.segmentation[20, 30])
    ([1], 1)
    """
    if not mosaics:
        raise ValueError("detection: no mosaic was given; at least one band is needed")
    if any(mosaic.lattice != mosaics[0].lattice for mosaic in mosaics):
        raise ValueError("detection: the mosaics of the bands must have the same lattice")
    snr, noise, correlation = detection_image(mosaics, background_box_pixels, kernel_fwhm_pixels)
    lattice = mosaics[0].lattice
    segments = segment(snr, threshold_sigma, n_pixels)
    sources = split(snr, noise, segments, n_pixels, deblend_contrast) if deblend else segments
    sources = without_halo_features(
        snr, segments, sources, threshold_sigma, halo_contrast, lattice.pixel_scale_arcsec
    )
    return Detection(lattice, sources, snr, noise, correlation)


def detection_image(
    mosaics: Sequence[Mosaic],
    background_box_pixels: int,
    kernel_fwhm_pixels: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the signal-to-noise image of all bands, its noise and the correlation of its noise.

    The bands' signals are added with inverse-variance weights, as suits a spectrum that is flat
    in frequency, convolved with the kernel, and divided by the standard deviation that the sum
    has on empty sky, correlation of neighbouring pixels included. The sky's variance, not that
    of the sources, stands in the weights and the denominator: the image is linear in flux and
    its weights do not follow the noise.

    Returns
    -------
    snr : (ny, nx) array
        Signal in standard deviations of sky; NaN where no band has data.
    noise : (ny, nx) array
        Standard deviation of `snr`, photon noise of sources included; NaN as above.
    correlation : (2 n + 1, 2 n + 1) array
        Correlation of the noise of `snr` by offset.
    """
    kernel = gaussian_kernel(kernel_fwhm_pixels)
    outer = np.outer(kernel, kernel)
    shape = mosaics[0].data.shape
    signal, sky, total = (np.zeros(shape, dtype=np.float32) for _ in range(3))
    covered = np.zeros(shape, dtype=bool)
    correlation = np.zeros((1, 1))
    for mosaic in mosaics:
        observed = coverage(mosaic.data, mosaic.err)
        variance = sky_variance(mosaic, observed, background_box_pixels)
        level = local_background(mosaic.data, observed, background_box_pixels).level
        weight = np.where(observed, 1 / variance, 0.0).astype(np.float32)
        correlated = variance_ratio(outer, mosaic.noise_correlation)
        signal += _filter(weight * np.where(observed, mosaic.data - level, 0.0), kernel)
        band_sky = _filter(weight**2 * np.where(observed, variance, 0.0), kernel**2) * correlated
        sky += band_sky
        total += _filter(weight**2 * np.where(observed, mosaic.err**2, 0.0), kernel**2) * correlated
        covered |= observed
        filtered = fftconvolve(fftconvolve(outer, outer), mosaic.noise_correlation)
        correlation = sum_centred(correlation, filtered / filtered.max() * float(band_sky.mean()))
    scale = np.where(covered & (sky > 0), np.sqrt(np.where(sky > 0, sky, 1.0)), np.nan)
    snr = (signal / scale).astype(np.float32)
    noise = (np.sqrt(np.maximum(total, 0.0)) / scale).astype(np.float32)
    return snr, noise, trimmed(correlation)


def coverage(data: np.ndarray, err: np.ndarray) -> np.ndarray:
    """Tell which pixels hold a measurement: finite, with a finite, positive uncertainty."""
    return np.isfinite(data) & np.isfinite(err) & (err > 0)


def sky_variance(mosaic: Mosaic, observed: np.ndarray, box_pixels: int) -> np.ndarray:
    """Estimate the variance that each pixel would have without sources.

    ASSUME: on empty sky, variance times exposure time changes slowly over the image. Its local
    median, divided by the exposure time, follows dithers and gaps but neither sources nor noise.

    Parameters
    ----------
    mosaic : Mosaic
        One band.
    observed : (ny, nx) array of bool
        Pixels with data.
    box_pixels : int
        Side of the boxes of the local median.

    Returns
    -------
    (ny, nx) array
        Variance [(MJy / sr)^2]; 1 where there are no data.
    """
    time = np.where(mosaic.exposure_time > 0, mosaic.exposure_time, np.nan)
    time = time / np.nanmedian(time[observed]) if np.isfinite(time[observed]).any() else time
    time = np.where(np.isfinite(time), time, 1.0)
    spread = np.where(observed, mosaic.err**2 * time, np.nan)
    if not observed.any():
        return np.ones(observed.shape)
    level = local_background(spread, observed, box_pixels).level
    usual = float(np.median(spread[observed]))
    # The interpolation of the boxes may overshoot at the edge of the coverage.
    return np.where(observed, np.clip(level, 0.1 * usual, 10.0 * usual) / time, 1.0)


def gaussian_kernel(fwhm_pixels: float) -> np.ndarray:
    """Return one axis of a Gaussian kernel of sum 1.

    Examples
    --------
    >>> gaussian_kernel(2.0).round(3).tolist()
    [0.029, 0.235, 0.471, 0.235, 0.029]
    """
    if fwhm_pixels <= 0:
        raise ValueError(f"kernel of {fwhm_pixels} pixels FWHM: it must be larger than 0")
    sigma = fwhm_pixels / np.sqrt(8 * np.log(2))
    half = max(1, int(_KERNEL_EXTENT * sigma))
    kernel = np.exp(-0.5 * (np.arange(-half, half + 1) / sigma) ** 2)
    return kernel / kernel.sum()


def segment(snr: np.ndarray, threshold_sigma: float, n_pixels: int) -> np.ndarray:
    """Return connected pixels above the threshold as int32 labels, 0 for sky.

    Pixels without data that a source encloses (the core of a saturated star) belong to it.
    """
    above = snr >= threshold_sigma
    above |= binary_fill_holes(above) & ~np.isfinite(snr)
    labels, n = label(above, structure=np.ones((3, 3)))
    large = np.bincount(labels.ravel(), minlength=n + 1) >= n_pixels
    large[0] = False
    return (np.cumsum(large) * large).astype(np.int32)[labels]


def split(
    snr: np.ndarray, noise: np.ndarray, segmentation: np.ndarray, n_pixels: int, contrast: float
) -> np.ndarray:
    """Deblend segments; pixels without data count as the brightest of their segment."""
    enclosed = (segmentation > 0) & ~np.isfinite(snr)
    brightest = np.zeros(int(segmentation.max(initial=0)) + 1, dtype=snr.dtype)
    seen = (segmentation > 0) & ~enclosed
    np.maximum.at(brightest, segmentation[seen], snr[seen])
    filled = np.where(enclosed, brightest[segmentation], snr)
    return deblend_segments(filled, np.nan_to_num(noise, nan=1.0), segmentation, n_pixels, contrast)


def _filter(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    rows = correlate1d(np.asarray(image, dtype=np.float32), kernel, axis=0, mode="constant")
    return correlate1d(rows, kernel, axis=1, mode="constant")


def sum_centred(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Add two arrays, the middle of one to the middle of the other; sides are odd."""
    ny, nx = (max(a, b) for a, b in zip(first.shape, second.shape, strict=True))

    def padded(array: np.ndarray) -> np.ndarray:
        y, x = (ny - array.shape[0]) // 2, (nx - array.shape[1]) // 2
        return np.pad(array, ((y, y), (x, x)))

    return padded(first) + padded(second)


def trimmed(correlation: np.ndarray) -> np.ndarray:
    """Return a correlation by offset, 1 in the middle, without what is negligible around it."""
    middle = correlation.shape[0] // 2
    if correlation.max() <= 0:
        return np.ones((1, 1))
    correlation = correlation / correlation.max()
    y, x = np.nonzero(np.abs(correlation) > _NEGLIGIBLE_CORRELATION)
    half = int(max(np.abs(y - middle).max(), np.abs(x - middle).max()))
    part = slice(middle - half, middle + half + 1)
    return correlation[part, part]

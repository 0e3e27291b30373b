"""Fluxes of whole sources, half-light radii and compactness."""

from collections.abc import Mapping

import numpy as np
from photutils.geometry import circular_overlap_grid, elliptical_overlap_grid
from scipy.optimize import brentq

from tessella.photometry.apertures import weighted_sum
from tessella.photometry.band import AB_ZERO_POINT, Band
from tessella.photometry.noise import labelled_variance
from tessella.sources.kron import KRON_SCALE
from tessella.sources.sky_positions import best_position
from tessella.sources.stamps import nearest_pixel, stamps

#: Apertures that reach farther are not measured [pixels].
_LARGEST_STAMP = 400
#: Full width at half maximum of the kernel of sharpness and roundness [pixels].
_COMPACT_FWHM = 2.0
_COMPACT_HALF_WIDTH = 2


def segment_flux(band: Band, columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Add up the pixels of each segment [nJy]; NaN where one of them has no measurement."""
    detection = band.detection
    y, x = np.nonzero(detection.segmentation)
    index = np.searchsorted(detection.labels, detection.segmentation[y, x])
    n = len(detection.labels)
    flux = np.bincount(index, weights=band.data[y, x], minlength=n)
    area = np.bincount(index, minlength=n)
    variance = labelled_variance(
        band.err, detection.segmentation, detection.labels, band.noise_correlation
    )
    background = stamps(band.background_err, *best_position(columns), 0)[:, 0, 0]
    error = np.sqrt(variance + (area * background) ** 2)
    return {"segment_flux": flux, "segment_flux_err": np.where(np.isfinite(flux), error, np.nan)}


def kron_flux(band: Band, columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Measure the flux in the Kron ellipse [nJy] and its AB magnitude.

    Pixels of other segments do not count. NaN where the ellipse leaves the pixels with data;
    the magnitude is NaN for fluxes that are not positive.
    """
    x, y = best_position(columns)
    scale = KRON_SCALE * columns["kron_radius"] / band.pixel_scale_arcsec
    axis_ratio = columns["semiminor"] / columns["semimajor"]
    flux, flux_err = np.full((2, len(x)), np.nan)
    for i in np.flatnonzero(
        np.isfinite(scale) & np.isfinite(axis_ratio) & (scale < _LARGEST_STAMP)
    ):
        half, one = int(np.ceil(scale[i] + 0.5)), slice(i, i + 1)
        side = 2 * half + 1
        left, bottom = (nearest_pixel(p[one])[0] - p[i] - half - 0.5 for p in (x, y))
        weights = elliptical_overlap_grid(
            left, left + side, bottom, bottom + side, side, side,
            scale[i], scale[i] * axis_ratio[i], np.radians(columns["orientation_pix"][i]), 1, 1,
        )  # fmt: skip
        owner = stamps(band.detection.segmentation, x[one], y[one], half)
        own = (owner <= 0) | (owner == band.detection.labels[i])
        flux[one], flux_err[one] = weighted_sum(band, x[one], y[one], weights * own)
    positive = np.where(flux > 0, flux, np.nan)
    return {
        "kron_flux": flux,
        "kron_flux_err": flux_err,
        "kron_abmag": AB_ZERO_POINT - 2.5 * np.log10(positive),
        "kron_abmag_err": 2.5 / np.log(10) * flux_err / positive,
        "failed": ~np.isfinite(flux),
    }


def half_light_radius(band: Band, columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Find the radius of the circle that holds half of the Kron flux [arcsec].

    NaN where the Kron flux is not positive or the circles up to the Kron radius do not hold half.
    """
    x, y = best_position(columns)
    largest = KRON_SCALE * columns["kron_radius"] / band.pixel_scale_arcsec
    radius = np.full(len(x), np.nan)
    for i in np.flatnonzero((columns["kron_flux"] > 0) & (largest < _LARGEST_STAMP)):
        half, one = int(np.ceil(largest[i] + 0.5)), slice(i, i + 1)
        data = np.nan_to_num(stamps(band.data, x[one], y[one], half)[0]).astype(float)
        owner = stamps(band.detection.segmentation, x[one], y[one], half)[0]
        data = np.where((owner <= 0) | (owner == band.detection.labels[i]), data, 0.0)
        at = tuple(nearest_pixel(p[one])[0] - p[i] for p in (x, y))
        radius[i] = _radius_of_sum(data, at, 0.5 * columns["kron_flux"][i], largest[i])
    return {"fluxfrac_radius_50": radius * band.pixel_scale_arcsec}


def _radius_of_sum(
    data: np.ndarray, middle: tuple[float, ...], wanted: float, largest: float
) -> float:
    """Return the radius [pixels] at which the sum within a circle is `wanted`; NaN if it is never.

    `middle` is the place of the stamp's middle pixel with respect to the circle's centre.
    """
    half = data.shape[0] // 2

    def excess(radius: float) -> float:
        reach = min(half, int(np.ceil(radius + 0.5)))
        inner, side = slice(half - reach, half + reach + 1), 2 * reach + 1
        left, bottom = middle[0] - reach - 0.5, middle[1] - reach - 0.5
        overlap = circular_overlap_grid(
            left, left + side, bottom, bottom + side, side, side, radius, 1, 1
        )
        return float((overlap * data[inner, inner]).sum()) - wanted

    radii = np.geomspace(0.5, max(largest, 1.0), 12)
    values = [-wanted]
    for radius in radii:
        values.append(excess(radius))
        if values[-1] >= 0:
            low = 1e-3 if len(values) == 2 else radii[len(values) - 3]
            return float(brentq(excess, low, radius, xtol=1e-3))
    return float("nan")


def compactness(band: Band, columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Measure sharpness and roundness (Stetson 1987, PASP 99, 191, doi:10.1086/131977).

    Sharpness is the height of the central pixel over the mean of those around it, divided by the
    height of the best-fitting Gaussian; roundness compares the image's symmetry under turns by
    90 degrees with its signal. NaN where a pixel is missing.
    """
    x, y = best_position(columns)
    h = _COMPACT_HALF_WIDTH
    kernel, inside = _zero_sum_kernel()
    wide = stamps(band.data, x, y, 2 * h).astype(float)
    windows = np.lib.stride_tricks.sliding_window_view(wide, kernel.shape, axis=(1, 2))
    convolved = np.einsum("nyxij,ij->nyx", windows, kernel)
    data = wide[:, h : 3 * h + 1, h : 3 * h + 1]
    around = inside.copy()
    around[h, h] = False
    contrast = data[:, h, h] - data[:, around].mean(axis=1)
    height = convolved[:, h, h]
    with np.errstate(divide="ignore", invalid="ignore"):
        sharpness = contrast / height
        roundness = _two_fold(convolved) / (np.abs(convolved).sum(axis=(1, 2)) - np.abs(height))
    keep = np.isfinite(sharpness) & np.isfinite(roundness)
    return {
        "sharpness": np.where(keep, sharpness, np.nan),
        "roundness1": np.where(keep, roundness, np.nan),
    }


def _zero_sum_kernel() -> tuple[np.ndarray, np.ndarray]:
    """Return the kernel that finds the height of the best-fitting Gaussian, and its pixels."""
    offset = np.arange(-_COMPACT_HALF_WIDTH, _COMPACT_HALF_WIDTH + 1)
    sigma = _COMPACT_FWHM / np.sqrt(8 * np.log(2))
    radius_squared = offset[:, None] ** 2 + offset**2
    inside = radius_squared <= max(2.0, 1.5 * sigma) ** 2
    gaussian = np.exp(-0.5 * radius_squared / sigma**2) * inside
    n, total = inside.sum(), gaussian.sum()
    norm = (gaussian**2).sum() - total**2 / n
    return np.where(inside, (gaussian - total / n) / norm, 0.0), inside


def _two_fold(convolved: np.ndarray) -> np.ndarray:
    """Return twice the difference of neighbouring quadrants' sums; the middle belongs to none."""
    h = _COMPACT_HALF_WIDTH
    first = convolved[:, :h, : h + 1].sum(axis=(1, 2)) + convolved[:, h + 1 :, h:].sum(axis=(1, 2))
    second = convolved[:, : h + 1, h + 1 :].sum(axis=(1, 2)) + convolved[:, h:, :h].sum(axis=(1, 2))
    return 2 * (first - second)

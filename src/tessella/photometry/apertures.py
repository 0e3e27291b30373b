"""Circular apertures with exact overlap of pixels and errors that know of correlated noise."""

from collections.abc import Mapping

import numpy as np
from photutils.geometry import circular_overlap_grid

from tessella.compiled import kernel
from tessella.photometry.band import Band
from tessella.photometry.noise import correlated_variance
from tessella.sources.background import median_correlation
from tessella.sources.sky_positions import best_position
from tessella.sources.stamps import nearest_pixel, stamps

#: Radii of the circular apertures by the digits in their columns' names [arcsec].
APERTURES = {"01": 0.1, "02": 0.2, "04": 0.4, "08": 0.8, "16": 1.6}
#: Smallest aperture that stands for a point source's flux: 1.5 detector pixels [arcsec].
_SMALLEST_ARCSEC = 0.165
#: Inner and outer radius of the background annulus [arcsec].
ANNULUS = (2.4, 2.8)
#: A source whose flux grows by more than this factor beyond a point source's is extended.
_EXTENDED_GROWTH = 1.2
#: An annulus needs this part of its pixels free of sources.
_ANNULUS_FRACTION = 0.1
#: Sources that are measured in one go.
_BLOCK = 256
#: Covariance of a median with the mean of its pixels over its own variance, for normal noise.
_MEDIAN_COVARIANCE = 2 / np.pi


def circle_weights(x: np.ndarray, y: np.ndarray, radius: float) -> np.ndarray:
    """Return the exact overlap of circles with the pixels of their stamps.

    Parameters
    ----------
    x, y : (n,) arrays
        Centres [pixels]; the weights of NaN are 0.
    radius : float
        [pixels].

    Returns
    -------
    (n, 2 h + 1, 2 h + 1) array
        Overlap in [0, 1], h = ceil(radius + 1/2).

    Examples
    --------
    >>> float(circle_weights(np.array([7.3]), np.array([2.0]), 2.0).sum().round(6))
    12.566371
    """
    half = int(np.ceil(radius + 0.5))
    side = 2 * half + 1
    weights = np.zeros((len(x), side, side))
    low_x, low_y = nearest_pixel(x) - x - half - 0.5, nearest_pixel(y) - y - half - 0.5
    for i in np.flatnonzero(np.isfinite(low_x) & np.isfinite(low_y)):
        left, bottom = low_x[i], low_y[i]
        weights[i] = circular_overlap_grid(
            left, left + side, bottom, bottom + side, side, side, radius, 1, 1
        )
    return weights


def weighted_sum(
    band: Band, x: np.ndarray, y: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the weighted sums of the pixels around positions and their standard errors.

    The error counts the correlated noise of the pixels and that of the background, which is
    partly the same noise where the aperture holds pixels that the background rests on.

    Parameters
    ----------
    band : Band
        Fluxes and their noise.
    x, y : (n,) arrays
        Positions [pixels].
    weights : (n, 2 h + 1, 2 h + 1) array
        Part of each pixel that counts, around the pixel nearest to the position.

    Returns
    -------
    flux, flux_err : (n,) arrays
        [nJy]; NaN where a pixel that counts has no measurement.
    """
    half = weights.shape[-1] // 2
    counts = weights > 0
    flux = np.where(counts, stamps(band.data, x, y, half) * weights, 0.0).sum(axis=(-2, -1))
    amplitude = np.where(counts, stamps(band.err, x, y, half) * weights, 0.0)
    variance = correlated_variance(np.nan_to_num(amplitude), band.noise_correlation)
    area = weights.sum(axis=(-2, -1))
    shared = (weights * (stamps(band.background_pixels, x, y, half) > 0)).sum(axis=(-2, -1))
    background = stamps(band.background_err, x, y, 0)[:, 0, 0]
    # What the background shares with the aperture it takes away from it.
    variance = variance + background**2 * area * (area - 2 * _MEDIAN_COVARIANCE * shared)
    complete = (
        np.isfinite(flux) & np.isfinite(amplitude).all(axis=(-2, -1)) & counts.any(axis=(-2, -1))
    )
    return np.where(complete, flux, np.nan), np.where(complete, np.sqrt(variance), np.nan)


def circular_flux(
    band: Band, x: np.ndarray, y: np.ndarray, radius: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return flux and standard error [nJy] in circles of `radius` [pixels] around (x, y).

    NaN where the circle leaves the pixels with data.
    """
    flux, flux_err = np.full((2, len(x)), np.nan)
    for start in range(0, len(x), _BLOCK):
        block = slice(start, start + _BLOCK)
        weights = circle_weights(x[block], y[block], radius)
        flux[block], flux_err[block] = weighted_sum(band, x[block], y[block], weights)
    return flux, flux_err


def circular_apertures(band: Band, columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Measure the flux in all circular apertures around the adopted positions."""
    x, y = best_position(columns)
    found: dict[str, np.ndarray] = {}
    for digits, radius in APERTURES.items():
        flux, flux_err = circular_flux(band, x, y, radius / band.pixel_scale_arcsec)
        found |= {f"aper{digits}_flux": flux, f"aper{digits}_flux_err": flux_err}
    return found


def annulus_background(band: Band, columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Measure what the local background left over around each source: reported, never subtracted.

    Median of the pixels between 2.4 and 2.8 arcsec that belong to no source [nJy arcsec^-2];
    NaN where fewer than a tenth of them are free.
    """
    x, y = (np.asarray(values, float) for values in best_position(columns))
    inner, outer = (radius / band.pixel_scale_arcsec for radius in ANNULUS)
    enough = _ANNULUS_FRACTION * np.pi * (outer**2 - inner**2)
    correlation = median_correlation(band.noise_correlation)
    level, level_err = np.full((2, len(x)), np.nan)
    known = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
    for start in range(0, len(known), _BLOCK):
        block = known[start : start + _BLOCK]
        level[block], n, height = _rings(
            band.data, band.err, band.detection.segmentation, x[block], y[block], inner, outer,
            enough,
        )  # fmt: skip
        variance = correlated_variance(height, correlation)
        with np.errstate(invalid="ignore", divide="ignore"):
            level_err[block] = np.sqrt(np.pi / 2 * variance) / n
    level_err[~np.isfinite(level)] = np.nan
    area = band.pixel_scale_arcsec**2
    return {"aper_bkg_flux": level / area, "aper_bkg_flux_err": level_err / area}


@kernel
def _rings(
    data: np.ndarray,
    err: np.ndarray,
    segmentation: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
    inner: float,
    outer: float,
    enough: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return medians of the free pixels of rings, their numbers, and errors in stamps, else 0.

    The median is NaN where they are too few.
    """
    half = int(np.ceil(outer))
    side, (ny, nx) = 2 * half + 1, data.shape
    height, values = np.zeros((x.size, side, side)), np.empty(side * side)
    level, number = np.full(x.size, np.nan), np.zeros(x.size)
    for k in range(x.size):
        column, row = int(np.floor(x[k] + 0.5)), int(np.floor(y[k] + 0.5))
        n = 0
        for j in range(side):
            for i in range(side):
                b, a = row - half + j, column - half + i
                square = (a - x[k]) ** 2 + (b - y[k]) ** 2
                if square < inner**2 or square > outer**2:
                    continue
                inside = 0 <= b < ny and 0 <= a < nx
                if inside and segmentation[b, a] == 0 and np.isfinite(data[b, a]):
                    height[k, j, i], values[n] = err[b, a], data[b, a]
                    n += 1
        number[k] = n
        if n > 0 and n >= enough:
            level[k] = np.median(values[:n])
    return level, number, height


def best_aperture(band: Band) -> str:
    """Return the digits of the aperture in which faint point sources have the best signal-to-noise.

    Apertures below one and a half detector pixels do not take part: what they hold depends on
    where the star fell on the pixels, by some percent with four dithers.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> from tessella.photometry.band import EncircledEnergy
    >>> radii, fractions = [0.1, 0.2, 0.4, 0.8, 1.6], [0.2, 0.7, 0.85, 0.9, 1.0]
    >>> energy = EncircledEnergy(np.array(radii), np.array(fractions))
    >>> best_aperture(SimpleNamespace(encircled_energy=energy, pixel_scale_arcsec=0.055,
    ...                               noise_correlation=np.ones((1, 1))))
    '02'
    """

    def signal_to_noise(digits: str) -> float:
        radius = APERTURES[digits]
        weights = circle_weights(np.zeros(1), np.zeros(1), radius / band.pixel_scale_arcsec)
        spread = np.sqrt(correlated_variance(weights, band.noise_correlation)[0])
        return float(np.nan_to_num(band.encircled_energy.at(radius)) / spread)

    robust = [digits for digits, radius in APERTURES.items() if radius >= _SMALLEST_ARCSEC]
    return max(robust, key=signal_to_noise)


def star_flux(band: Band, columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the flux that each source has if it is a point source.

    The flux in the aperture of best signal-to-noise for point sources, one for the whole band,
    divided by the encircled energy there.
    """
    digits = best_aperture(band)
    fraction = band.encircled_energy.at(APERTURES[digits])
    return {
        "tessella_star_flux": columns[f"aper{digits}_flux"] / fraction,
        "tessella_star_flux_err": columns[f"aper{digits}_flux_err"] / fraction,
    }


def extendedness(band: Band, columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Tell which sources have more light between 0.2 and 0.4 arcsec than a point source has."""
    growth = band.encircled_energy.at(0.4) / band.encircled_energy.at(0.2)
    inner, outer = columns["aper02_flux"], columns["aper04_flux"]
    known = np.isfinite(inner) & np.isfinite(outer) & np.isfinite(growth)
    extended = np.where(known, outer > _EXTENDED_GROWTH * growth * inner, False)
    return {"is_extended": extended, "failed": ~known}

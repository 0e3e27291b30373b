"""What an image can show of a true source: signal-to-noise ratio, saturation, place."""

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import binary_fill_holes, distance_transform_edt

from tessella.models import Mosaic
from tessella.photometry.apertures import APERTURES, best_aperture, circle_weights
from tessella.photometry.band import Band
from tessella.photometry.noise import correlated_variance
from tessella.sources.stamps import nearest_pixel, stamps


def deepest_aperture(band: Band) -> tuple[float, float]:
    """Return radius [arcsec] and encircled energy of the aperture best for faint stars."""
    radius = APERTURES[best_aperture(band)]
    return radius, band.encircled_energy.at(radius)


def predicted_error(band: Band, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Predict the error of a star's flux in the deepest aperture at given places.

    Parameters
    ----------
    band : Band
        Errors, noise correlation and encircled energy of one coadd.
    x, y : (n,) arrays
        Positions [pixels].

    Returns
    -------
    (n,) array
        Standard error of the aperture-corrected flux [nJy]. Pixels without data, such as
        saturated cores, count with the error of the sky.
    """
    radius, energy = deepest_aperture(band)
    weights = circle_weights(x, y, radius / band.pixel_scale_arcsec)
    err = stamps(band.err, x, y, weights.shape[-1] // 2)
    amplitude = weights * np.where(np.isfinite(err), err, band.sky_err)
    return np.sqrt(correlated_variance(amplitude, band.noise_correlation)) / energy


def covered(mosaic: Mosaic) -> np.ndarray:
    """Tell which pixels exposures cover, saturated cores included, (ny, nx)."""
    return np.asarray(binary_fill_holes(np.isfinite(mosaic.data)))


def distance_to_border(area: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the distance of positions from the border of an area [pixels], (n,); 0 outside.

    Parameters
    ----------
    area : (ny, nx) array of bool
        The image's own edge is a border too.
    x, y : (n,) arrays
        [pixels]

    Examples
    --------
    >>> area = np.ones((9, 9), bool)
    >>> distance_to_border(area, np.array([4.0, 20.0]), np.array([1.0, 4.0])).tolist()
    [2.0, 0.0]
    """
    distance = distance_transform_edt(np.pad(area, 1))[1:-1, 1:-1]
    return _at(distance, x, y, 0.0)


def exposures_at(mosaic: Mosaic, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the number of exposures that contribute at positions, (n,) int; 0 outside."""
    counts = np.bitwise_count(mosaic.context).sum(axis=0)
    return _at(counts, x, y, 0).astype(int)


def _at(values: np.ndarray, x: np.ndarray, y: np.ndarray, outside: float) -> np.ndarray:
    ny, nx = values.shape
    column, row = (
        nearest_pixel(np.nan_to_num(x, nan=-9.0)),
        nearest_pixel(np.nan_to_num(y, nan=-9.0)),
    )
    inside = (column >= 0) & (column < nx) & (row >= 0) & (row < ny)
    return np.where(inside, values[np.clip(row, 0, ny - 1), np.clip(column, 0, nx - 1)], outside)


def saturation_flux(
    electrons_per_maggy: float, seconds: float, peak_fraction: float, saturation_electrons: float
) -> float:
    """Return the flux [maggies] from which a point source fills a pixel before a given time.

    Parameters
    ----------
    electrons_per_maggy : float
        Rate of a source of AB magnitude 0 [electrons / s].
    seconds : float
        From the reset to the last read of the second resultant: with one more resultant there is
        no slope.
    peak_fraction : float
        Share of the light in a pixel that is centred on the source.
    saturation_electrons : float
        Signal at which a pixel is full.

    Examples
    --------
    >>> round(saturation_flux(2.5e10, 8.0, 0.5, 1e5) * 1e6, 6)
    1.0
    """
    return saturation_electrons / (electrons_per_maggy * seconds * peak_fraction)


def best_of(values: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return the largest of several numbers of each source and which it is, (n,); NaN never is.

    Examples
    --------
    >>> largest, which = best_of([np.array([1.0, np.nan]), np.array([3.0, 2.0])])
    >>> largest.tolist(), which.tolist()
    ([3.0, 2.0], [1, 1])
    """
    stack = np.where(np.isfinite(values), values, -np.inf)
    which = stack.argmax(axis=0)
    largest = stack.max(axis=0)
    return np.where(np.isfinite(largest), largest, np.nan), which

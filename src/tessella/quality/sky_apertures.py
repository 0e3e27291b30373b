"""Apertures on empty sky: do they scatter as their errors say, and how deep is an image."""

import numpy as np

from tessella.photometry.apertures import circular_flux
from tessella.photometry.band import AB_ZERO_POINT, Band
from tessella.quality.prediction import deepest_aperture
from tessella.randomness import generator

#: Space between the apertures, and from an aperture to the next source [pixels].
_GAP = 4
#: A source is detected at this signal-to-noise ratio, where depths are quoted.
DEPTH_SIGMA = 5.0


def empty_places(
    occupied: np.ndarray, radius_pixels: float, n: int, name: str
) -> tuple[np.ndarray, np.ndarray]:
    """Choose places for apertures that touch neither sources nor each other.

    Parameters
    ----------
    occupied : (ny, nx) array of bool
        True for pixels of sources and outside the area with data.
    radius_pixels : float
        Radius of the apertures.
    n : int
        Number of places that are wanted.
    name : str
        Keys the choice.

    Returns
    -------
    x, y : arrays of shape (m,), m <= n
        Positions [pixels] at random on a grid of cells, each in its own.

    Examples
    --------
    >>> x, y = empty_places(np.zeros((60, 60), bool), 3.0, 5, "example")
    >>> len(x), bool(np.hypot(x[0] - x[1], y[0] - y[1]) > 6)
    (5, True)
    """
    side = 2 * int(np.ceil(radius_pixels + 0.5)) + 1 + _GAP
    rows, columns = (size // side for size in occupied.shape)
    cells = occupied[: rows * side, : columns * side].reshape(rows, side, columns, side)
    free = np.flatnonzero(~cells.any(axis=(1, 3)))
    rng = generator("sky apertures", name)
    chosen = rng.permutation(free)[:n]
    row, column = np.divmod(chosen, max(columns, 1))
    shift = rng.uniform(-0.5, 0.5, (2, len(chosen)))
    middle = (side - 1) / 2
    return column * side + middle + shift[0], row * side + middle + shift[1]


def sky_pulls(band: Band, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Measure the deepest aperture on empty places.

    Returns
    -------
    pulls, error : (n,) arrays
        Flux over its error; error of a point source's total flux [nJy].
    """
    radius, energy = deepest_aperture(band)
    flux, error = circular_flux(band, x, y, radius / band.pixel_scale_arcsec)
    return flux / error, error / energy


def depth_abmag(error: np.ndarray) -> np.ndarray:
    """Return the AB magnitude of 5 standard errors [nJy]; NaN for errors of 0 or less.

    Examples
    --------
    >>> float(depth_abmag(np.array([10.0])).round(2)[0])
    27.15
    """
    limit = DEPTH_SIGMA * np.where(error > 0, error, np.nan)
    return np.asarray(AB_ZERO_POINT - 2.5 * np.log10(limit))

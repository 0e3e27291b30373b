"""Where the pixels of an image fall on a tile's lattice."""

from collections.abc import Callable

import numpy as np
from scipy.interpolate import RectBivariateSpline

from tessella.astrometry.tangent import sky_to_pixel
from tessella.models import Lattice

#: Distance of the points at which the transformation itself is evaluated [pixels].
_STEP = 16
#: Coordinates are rounded to this fraction of a pixel: sums of them with whole pixels are
#: then exact, and a tile is bit for bit the crop of any larger one.
_FRACTION = 2.0**-20

SkyFunction = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


def pixel_map(to_sky: SkyFunction, shape: tuple[int, int], lattice: Lattice) -> np.ndarray:
    """Return the lattice position of every pixel centre of an image.

    The transformation is evaluated every 16 pixels and interpolated by a cubic spline: its
    fourth derivative (below 1e-13 pixel / pixel^4 for the detectors' distortion) makes
    that exact to 1e-8 pixel.

    Parameters
    ----------
    to_sky : callable
        Right ascension and declination [deg] of pixel positions x, y.
    shape : tuple of int
        Rows and columns of the image.
    lattice : Lattice

    Returns
    -------
    ndarray of shape (ny, nx, 2)
        x and y on the lattice, to 2^-20 pixel.

    Examples
    --------
    >>> field = Lattice(10.0, 60.0, 0.0, 0.0, 0.1, 100, 100)
    >>> from tessella.astrometry.tangent import pixel_to_sky
    >>> places = pixel_map(lambda x, y: pixel_to_sky(field, x, y), (40, 40), field)
    >>> places[3, 5].tolist()
    [5.0, 3.0]
    """
    ny, nx = shape
    rows, columns = _nodes(ny), _nodes(nx)
    x, y = np.meshgrid(columns, rows)
    nodes = sky_to_pixel(lattice, *to_sky(x, y))
    out = np.empty((ny, nx, 2))
    for axis, values in enumerate(nodes):
        spline = RectBivariateSpline(rows, columns, values)
        out[..., axis] = spline(np.arange(ny, dtype=float), np.arange(nx, dtype=float))
    return np.round(out / _FRACTION) * _FRACTION


def _nodes(n: int) -> np.ndarray:
    return np.linspace(0, n - 1, max(4, -(-n // _STEP) + 1))

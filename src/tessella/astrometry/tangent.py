"""Gnomonic (TAN) projection of a lattice: pixels to sky and back.

x grows to the east and y to the north at the tangent point, as in the official tessellation.

Calabretta & Greisen 2002, A&A 395, 1077, section 5.1.3. doi:10.1051/0004-6361:20021327
"""

import numpy as np
from numpy.typing import ArrayLike

from tessella.models import Lattice

_ARCSEC = np.pi / 648000


def pixel_to_sky(lattice: Lattice, x: ArrayLike, y: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Return right ascension in [0, 360) and declination [deg] of pixel positions.

    Examples
    --------
    >>> field = Lattice(10.0, 60.0, 100.0, 100.0, 0.055, 200, 200)
    >>> ra, dec = pixel_to_sky(field, np.array([100.0]), np.array([100.0]))
    >>> round(float(ra[0]), 9), round(float(dec[0]), 9)
    (10.0, 60.0)
    """
    scale = lattice.pixel_scale_arcsec * _ARCSEC
    xi = (np.asarray(x, float) - lattice.x_tangent) * scale
    eta = (np.asarray(y, float) - lattice.y_tangent) * scale
    dec0 = np.radians(lattice.dec_tangent)
    below = np.cos(dec0) - eta * np.sin(dec0)
    ra = np.radians(lattice.ra_tangent) + np.arctan2(xi, below)
    dec = np.arctan2(np.sin(dec0) + eta * np.cos(dec0), np.hypot(xi, below))
    return np.degrees(ra) % 360.0, np.degrees(dec)


def sky_to_pixel(lattice: Lattice, ra: ArrayLike, dec: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Return pixel positions of directions [deg]; NaN 90 degrees or more from the tangent point.

    Examples
    --------
    >>> field = Lattice(10.0, 60.0, 100.0, 100.0, 0.055, 200, 200)
    >>> x, y = sky_to_pixel(field, *pixel_to_sky(field, np.array([12.5]), np.array([150.0])))
    >>> round(float(x[0]), 6), round(float(y[0]), 6)
    (12.5, 150.0)
    """
    scale = lattice.pixel_scale_arcsec * _ARCSEC
    dra = np.radians(np.asarray(ra, float) - lattice.ra_tangent)
    dec1, dec0 = np.radians(np.asarray(dec, float)), np.radians(lattice.dec_tangent)
    cosine = np.sin(dec0) * np.sin(dec1) + np.cos(dec0) * np.cos(dec1) * np.cos(dra)
    cosine = np.where(cosine > 0, cosine, np.nan)
    xi = np.cos(dec1) * np.sin(dra) / cosine
    eta = (np.cos(dec0) * np.sin(dec1) - np.sin(dec0) * np.cos(dec1) * np.cos(dra)) / cosine
    return lattice.x_tangent + xi / scale, lattice.y_tangent + eta / scale

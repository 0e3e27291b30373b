"""Solid angle of the pixels, from the distortion of the SIAF."""

import numpy as np
from scipy.interpolate import RectBivariateSpline

from tessella.astrometry.wcs import detector_to_v2v3
from tessella.instrument import siaf
from tessella.models import Lattice, Window


def relative_pixel_area(detector: str, window: Window) -> np.ndarray:
    """Return the solid angle of each active pixel over the nominal one of the detector.

    Returns
    -------
    ndarray of shape (ny - 8, nx - 8)
        From the distortion of the SIAF, a polynomial of degree 5; it is evaluated every 40
        pixels or so and interpolated by a cubic spline, to 1e-9.
    """
    ny, nx = window.active_shape
    rows, columns = (np.linspace(0, n - 1, max(4, n // 40)) for n in (ny, nx))
    y, x = np.meshgrid(window.y + rows, window.x + columns, indexing="ij")
    area = _pixel_area(detector, x, y)
    spline = RectBivariateSpline(rows, columns, area / nominal_pixel_area_arcsec2(detector))
    return spline(np.arange(ny, dtype=float), np.arange(nx, dtype=float))


def _pixel_area(detector: str, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    right, left = detector_to_v2v3(detector, x + 0.5, y), detector_to_v2v3(detector, x - 0.5, y)
    up, down = detector_to_v2v3(detector, x, y + 0.5), detector_to_v2v3(detector, x, y - 0.5)
    by_x, by_y = (right[0] - left[0], right[1] - left[1]), (up[0] - down[0], up[1] - down[1])
    # V2 is a longitude: its arcseconds shrink with the cosine of V3.
    cosine = np.cos(np.radians(detector_to_v2v3(detector, x, y)[1] / 3600))
    return np.abs(by_x[0] * by_y[1] - by_x[1] * by_y[0]) * cosine


def tangent_pixel_area_sr(lattice: Lattice) -> np.ndarray:
    """Return the solid angle of each pixel of a tangent plane [sr].

    A pixel at the angle theta from the tangent point sees cos^3 theta of what one there does: cos
    for its slant, cos^2 for its distance. At the corners of projection regions, 2.5 degrees away,
    that is 0.28 % less.

    Returns
    -------
    ndarray of shape (ny, nx), float32

    Examples
    --------
    >>> lattice = Lattice(10.0, 60.0, 0.0, 0.0, 3600.0, 2, 1)
    >>> area = tangent_pixel_area_sr(lattice)
    >>> np.round(area[0] / lattice.pixel_area_sr / np.cos(np.arctan(np.radians([0, 1]))) ** 3, 6)
    array([1., 1.])
    """
    scale = np.radians(lattice.pixel_scale_arcsec / 3600)
    x, y = (
        scale * (np.arange(n) - tangent)
        for n, tangent in ((lattice.nx, lattice.x_tangent), (lattice.ny, lattice.y_tangent))
    )
    # 1 / cos^2 of the angle.
    square = 1 + (x * x).astype(np.float32) + (y * y).astype(np.float32)[:, None]
    return np.float32(lattice.pixel_area_sr) / (square * np.sqrt(square))


def nominal_pixel_area_arcsec2(detector: str) -> float:
    """Return the solid angle of the detector's central pixel [arcsec^2].

    Examples
    --------
    >>> round(nominal_pixel_area_arcsec2("WFI01"), 6)
    0.011948
    """
    center = np.array(siaf.ACTIVE_SIZE / 2 - 0.5)
    return float(_pixel_area(detector, center, center))

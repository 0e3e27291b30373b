"""Light is neither made nor lost on the way from pixels of a detector to those of the lattice."""

from functools import partial

import numpy as np
import pytest

from tessella.astrometry.pixel_area import nominal_pixel_area_arcsec2, relative_pixel_area
from tessella.astrometry.tangent import sky_to_pixel
from tessella.astrometry.wcs import attitude_of, detector_to_sky
from tessella.coadd.drizzle_kernel import drizzle_alone
from tessella.coadd.places import places_of
from tessella.models import Lattice, Window

DETECTOR, N = "WFI07", 120
#: Windows in the middle and in corners of the detector, where pixels differ by 2 % in area.
WINDOWS = (Window(1920, 1920, 128, 128), Window(0, 0, 128, 128), Window(3968, 3968, 128, 128))
#: Offsets [deg] and turns [deg] of exposures of one field.
DITHERS = ((0.0, 0.0, 0.0), (1.1e-4, 4e-5, 0.0), (3e-5, -9e-5, 3.0), (-7e-5, 6e-5, -2.0))
POINTING = (83.0, -40.0, 20.0)


def placed(window, dither, scale):
    """Return the transformation of a dithered window, its places, and the lattice."""
    ra, dec, pa = POINTING
    attitude = attitude_of(DETECTOR, ra + dither[0], dec + dither[1], pa + dither[2])

    def to_sky(x, y):
        return detector_to_sky(attitude, DETECTOR, window.x + x, window.y + y)

    # The tangent point lies a degree away, as it does for most cells.
    lattice = Lattice(ra, dec + 1.0, 0.0, 0.0, scale, 1, 1)
    return to_sky, places_of(to_sky, (N, N), lattice), lattice


def box_around(places):
    x0, x1, y0, y1 = places.box
    return tuple(int(v) for v in (np.floor(x0), np.ceil(x1) + 1, np.floor(y0), np.ceil(y1) + 1))


def coadd(images, pixfrac):
    """Return the weighted mean of images (values, weights, places) and its first pixel."""
    boxes = np.array([box_around(places) for _, _, places in images])
    box = tuple(int(v) for v in (*_span(boxes[:, :2]), *_span(boxes[:, 2:])))
    total = weight = 0.0
    for values, weights, places in images:
        mean, own = drizzle_alone(values, weights, places.corners(0, N), box, 1, pixfrac)
        total = total + np.where(own > 0, mean * own, 0.0)
        weight = weight + own
    with np.errstate(invalid="ignore"):
        return total / weight, weight, box


def _span(pairs):
    return pairs[:, 0].min(), pairs[:, 1].max()


@pytest.mark.parametrize("pixfrac", [1.0, 0.6])
@pytest.mark.parametrize("scale", [0.03, 0.055, 0.11, 0.31])
@pytest.mark.parametrize("window", WINDOWS[:2])
def test_surface_brightness_is_kept_at_any_scale(window, scale, pixfrac):
    rng = np.random.default_rng(1)
    images = []
    for k, dither in enumerate(DITHERS):
        _, places, _ = placed(window, dither, scale)
        weights = (k + 1.0) * (rng.random((N, N)) > 0.05)
        values = np.where(weights > 0, 3.7, 1e6)
        images.append((values, weights, places))
    mean, weight, _ = coadd(images, pixfrac)
    assert (weight > 0).sum() > 0.5 * (N * 0.1 / scale) ** 2
    # A mean of equal numbers: off by roundings only; 1e-5 is what users are promised.
    assert np.abs(mean[weight > 0] / 3.7 - 1).max() < 1e-5


@pytest.mark.parametrize("window", WINDOWS)
def test_pixels_cover_the_area_that_they_have_on_the_lattice(window):
    _, places, _ = placed(window, DITHERS[2], 0.055)
    corners = places.corners(0, N)
    _, weight = drizzle_alone(np.ones((N, N)), np.ones((N, N)), corners, box_around(places))
    across = corners[1:, 1:] - corners[:-1, :-1]
    along = corners[1:, :-1] - corners[:-1, 1:]
    area = np.abs(across[..., 0] * along[..., 1] - across[..., 1] * along[..., 0]).sum() / 2
    # Some 57,600 lattice pixels, each summed in double precision.
    assert weight.sum() == pytest.approx(area, rel=1e-9)


def star(to_sky, window, dx, dy):
    """Return an image of a star with a total of 1 [surface brightness x nominal pixel]."""
    y, x = np.mgrid[:N, :N]
    profile = (1 + ((x - dx) ** 2 + (y - dy) ** 2) / 2.8) ** -3.2
    return profile / profile.sum() / relative_pixel_area(DETECTOR, window)


@pytest.mark.parametrize("scale", [0.03, 0.055, 0.11])
@pytest.mark.parametrize("window", WINDOWS)
def test_flux_of_an_injected_star_is_kept(window, scale):
    first, _, lattice = placed(window, DITHERS[0], scale)
    ra, dec = first(60.3, 58.8)
    images = []
    for k, dither in enumerate(DITHERS):
        to_sky, places, _ = placed(window, dither, scale)
        x, y = find(to_sky, ra, dec)
        images.append((star(to_sky, window, x, y), np.full((N, N), k + 1.0), places))
    mean, weight, box = coadd(images, 1.0)
    column, row = (float(v) for v in sky_to_pixel(lattice, ra, dec))
    y, x = np.mgrid[box[2] : box[3], box[0] : box[1]]
    near = np.hypot(x - column, y - row) < 40 * 0.11 / scale
    assert (weight[near] > 0).all()
    # A pixel of a tangent plane sees cos^3 of the solid angle of one at the tangent point.
    distance = np.arctan(np.radians(np.hypot(column, row) * scale / 3600))
    area = scale**2 * np.cos(distance) ** 3 / nominal_pixel_area_arcsec2(DETECTOR)
    # 0.1 % is promised; 9e-7 of the profile lies beyond 40 pixels of the detector.
    assert mean[near].sum() * area == pytest.approx(1.0, abs=2e-6)


def find(to_sky, ra, dec):
    """Invert a transformation by Newton's method."""
    x = y = N / 2
    step = partial(_difference, to_sky, ra, dec)
    for _ in range(4):
        here = step(x, y)
        slopes = np.array([step(x + 1, y) - here, step(x, y + 1) - here]).T
        move = np.linalg.solve(slopes, here)
        x, y = x - move[0], y - move[1]
    return x, y


def _difference(to_sky, ra, dec, x, y):
    own = to_sky(np.array(x), np.array(y))
    return np.array([float(own[0]) - float(ra), float(own[1]) - float(dec)])

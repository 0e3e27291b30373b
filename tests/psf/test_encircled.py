"""Encircled energy against stars that were drawn, drizzled and measured."""

import galsim
import numpy as np
import pytest
from drizzle.resample import Drizzle
from photutils.aperture import CircularAperture

from tessella.detector.ipc import couple_pixels
from tessella.detector.state import Blur
from tessella.photometry.apertures import APERTURES
from tessella.psf.encircled import encircled_energy
from tessella.psf.model import NOMINAL_PIXEL_ARCSEC, optical_psf

KERNEL = np.array([[0.21, 1.66, 0.22], [1.88, 91.59, 1.87], [0.21, 1.62, 0.20]])
KERNEL /= KERNEL.sum()
RADII = np.array(list(APERTURES.values()))


def drizzled_shares(optics, pixfrac, scale, n_phases):
    """Draw a star at many places in its pixel, drizzle each onto half the pixel, measure it."""
    n, output = 61, scale / 2
    y, x = np.indices((n, n), float)
    shares = []
    phases = (np.arange(n_phases) + 0.5) / n_phases - 0.5
    rng = np.random.default_rng(1)
    for dx in phases:
        for dy in phases:
            star = optics.shift(dx * NOMINAL_PIXEL_ARCSEC, dy * NOMINAL_PIXEL_ARCSEC)
            image = star.drawImage(nx=n, ny=n, scale=NOMINAL_PIXEL_ARCSEC, dtype=float).array
            image = couple_pixels(image, KERNEL).astype(np.float32)
            ox, oy = rng.uniform(0, 1, 2)
            pixmap = np.stack([2 * x + 0.5 + ox, 2 * y + 0.5 + oy], axis=-1)
            drizzle = Drizzle(kernel="square", out_shape=(2 * n + 2, 2 * n + 2), fillval=0.0)
            drizzle.add_image(image, exptime=1.0, pixmap=pixmap, pixfrac=pixfrac, in_units="cps")
            middle = n // 2
            center = (2 * (middle + dx) + 0.5 + ox, 2 * (middle + dy) + 0.5 + oy)
            apertures = [CircularAperture(center, r / output) for r in RADII]
            # A weighted mean keeps surface brightness: 4 output pixels to a detector pixel.
            shares.append([a.do_photometry(drizzle.out_img)[0][0] / 4 for a in apertures])
    return np.mean(shares, axis=0)


@pytest.mark.parametrize(("element", "scale"), [("F106", 0.11), ("F158", 0.1078)])
def test_agrees_with_drizzled_stars(element, scale):
    optics = optical_psf("WFI01", element, 2043.5, 2043.5, Blur(8.0, 2.94))
    measured = drizzled_shares(optics, 1.0, scale, 6)
    predicted = encircled_energy(optics, KERNEL, RADII, 1.0, scale / 2, scale)
    # The requirement; 36 phases leave 0.05 % of scatter in the smallest aperture.
    np.testing.assert_allclose(predicted, measured, rtol=0.002)


def test_gaussian_has_its_known_shares():
    sigma = 0.3
    optics = galsim.Gaussian(sigma=sigma)
    # A box of side a adds a**2 / 12 to the variance; beyond that it is round to 1e-3 here.
    # Boxes: pixel and drop, output pixel once to collect and once to be split at the edge.
    variance = sigma**2 + 2 * (0.11**2 + 0.055**2) / 12
    expected = 1 - np.exp(-(RADII**2) / (2 * variance))
    np.testing.assert_allclose(encircled_energy(optics, None, RADII, 1.0), expected, rtol=1e-3)


def test_smaller_drops_concentrate_the_light():
    optics = optical_psf("WFI01", "F158", 2043.5, 2043.5, Blur(8.0, 2.94))
    wide = encircled_energy(optics, KERNEL, RADII, 1.0)
    narrow = encircled_energy(optics, KERNEL, RADII, 0.6)
    assert (narrow[:3] > wide[:3]).all()
    assert (np.diff(wide) > 0).all()
    assert wide[-1] < 1


def test_larger_pixels_scale_the_image():
    optics = galsim.Gaussian(sigma=0.15)
    share = encircled_energy(optics, None, RADII * 1.1, 1.0, 0.055 * 1.1, 0.11 * 1.1)
    np.testing.assert_allclose(share, encircled_energy(optics, None, RADII, 1.0), rtol=1e-9)

"""Tangent planes."""

import numpy as np
import pytest
from astropy.wcs import WCS

from tessella.astrometry.tangent import pixel_to_sky, sky_to_pixel
from tessella.models import Lattice


@pytest.mark.parametrize("dec", [-90.0, -60.0, 0.0, 85.0, 90.0])
def test_projection_is_that_of_wcslib(dec):
    lattice = Lattice(123.4, dec, 50.5, -300.0, 0.055, 5000, 5000)
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval, wcs.wcs.crpix = [123.4, dec], [51.5, -299.0]
    # At the north pole its default is another: the official tessellation has 180 everywhere.
    wcs.wcs.lonpole = 180.0
    wcs.wcs.cdelt = [0.055 / 3600] * 2
    x, y = np.random.default_rng(1).uniform(0, 5000, (2, 100))
    ra, dec_found = pixel_to_sky(lattice, x, y)
    expected = wcs.all_pix2world(x, y, 0)
    np.testing.assert_allclose(dec_found, expected[1], atol=1e-11)
    np.testing.assert_allclose(
        ((ra - expected[0] + 180) % 360 - 180) * np.cos(np.radians(dec_found)), 0, atol=1e-11
    )
    np.testing.assert_allclose(
        np.stack(sky_to_pixel(lattice, ra, dec_found)), np.stack([x, y]), atol=1e-6
    )


def test_right_ascension_is_within_a_circle():
    ra, _ = pixel_to_sky(
        Lattice(0.0, 0.0, 10.0, 10.0, 0.055, 20, 20), np.arange(20.0), np.full(20, 10.0)
    )
    assert ((ra >= 0) & (ra < 360)).all()
    assert ra[0] > 359


def test_far_side_of_the_sky_has_no_pixel():
    assert np.isnan(
        sky_to_pixel(Lattice(0.0, 0.0, 0, 0, 0.055, 9, 9), np.array([180.0]), np.array([0.0]))[0]
    ).all()

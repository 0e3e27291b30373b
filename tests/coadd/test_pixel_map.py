"""Places of pixels on a lattice."""

import numpy as np
import pytest

from tessella.astrometry.tangent import sky_to_pixel
from tessella.astrometry.wcs import attitude_of, detector_to_sky
from tessella.coadd.pixel_map import pixel_map
from tessella.models import Lattice


@pytest.mark.parametrize("detector", ["WFI01", "WFI09", "WFI18"])
def test_interpolation_is_exact(detector):
    attitude = attitude_of(detector, 12.1, 85.2, 30.0)
    lattice = Lattice(*[attitude.ra_ref, attitude.dec_ref], 0.0, 0.0, 0.055, 100, 100)

    def to_sky(x, y):
        return detector_to_sky(attitude, detector, x + 3500, y + 20)

    places = pixel_map(to_sky, (240, 310), lattice)
    y, x = np.mgrid[:240, :310].astype(float)
    expected = np.stack(sky_to_pixel(lattice, *to_sky(x, y)), axis=-1)
    # Half of the rounding to 2**-20, and 1e-8 of the spline and of degrees in double precision.
    assert np.abs(places - expected).max() < 2.0**-21 + 3e-8


def test_places_are_whole_fractions_so_that_shifts_are_exact():
    attitude = attitude_of("WFI01", 12.1, 85.2, 30.0)

    def to_sky(x, y):
        return detector_to_sky(attitude, "WFI01", x, y)

    here = Lattice(attitude.ra_ref, attitude.dec_ref, 4000.5, 4000.5, 0.055, 100, 100)
    there = Lattice(attitude.ra_ref, attitude.dec_ref, 4317.5, 3911.5, 0.055, 900, 900)
    first, second = pixel_map(to_sky, (64, 64), here), pixel_map(to_sky, (64, 64), there)
    np.testing.assert_array_equal(first * 2**20, np.round(first * 2**20))
    # Rounding may fall to the other side where the sum's last bit differs.
    assert np.abs(second - first - [317, -89]).max() <= 2.0**-20
    assert (second - first == [317, -89]).mean() > 0.99


def test_small_images_work():
    field = Lattice(10.0, 60.0, 0.0, 0.0, 0.1, 100, 100)
    from tessella.astrometry.tangent import pixel_to_sky

    assert pixel_map(lambda x, y: pixel_to_sky(field, x, y), (5, 4), field)[4, 3].tolist() == [
        3.0,
        4.0,
    ]

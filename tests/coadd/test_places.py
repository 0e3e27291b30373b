"""Positions of pixels on a region's lattice."""

import numpy as np
import pytest

from tessella.astrometry.tangent import sky_to_pixel
from tessella.astrometry.wcs import attitude_of, detector_to_sky
from tessella.coadd.places import places_of
from tessella.models import Lattice
from tessella.sky.region_search import region_of
from tessella.sky.tessellation import lattice_of

LATTICE = lattice_of(region_of(270.2, 65.9), 0, 0, 5000, 5000)


def to_sky(x, y, ra=270.2, turn=33.0):
    return detector_to_sky(attitude_of("WFI09", ra, 65.9, turn), "WFI09", x, y)


PLACES = places_of(to_sky, (4088, 4088), LATTICE)


def test_interpolation_is_exact_to_its_bound():
    y, x = np.mgrid[0:4089:73, 0:4089:73] - 0.5
    exact = np.stack(sky_to_pixel(LATTICE, *to_sky(x, y)), axis=-1)
    found = np.concatenate([PLACES.corners(k, k)[:, ::73] for k in range(0, 4089, 73)])
    # Rounding to 2^-20 adds half of that.
    assert PLACES.error < 1e-5
    assert np.abs(found - exact).max() < PLACES.error + 2.0**-21


def test_rows_are_those_of_the_whole_image():
    whole = places_of(to_sky, (300, 200), LATTICE)
    np.testing.assert_array_equal(whole.corners(0, 300)[70:91], whole.corners(70, 90))
    np.testing.assert_array_equal(whole.centers(0, 300)[70:90], whole.centers(70, 90))
    assert (whole.corners(0, 300) * 2**20 % 1 == 0).all()


@pytest.mark.parametrize("turn", [0.0, 33.0, 80.0])
def test_rows_on_a_rectangle_are_all_that_touch_it_and_few_others(turn):
    places = places_of(lambda x, y: to_sky(x, y, turn=turn), (4088, 4088), LATTICE)
    corners = places.corners(0, 4088)
    x0, y0 = corners[1500, 2000]
    x1, y1 = x0 + 700, y0 + 400
    x, y = corners[..., 0], corners[..., 1]
    touched = np.flatnonzero(((x > x0) & (x < x1) & (y > y0) & (y < y1)).any(axis=1))
    first, stop = places.rows_on(x0, x1, y0, y1)
    # Two lines of nodes, 64 rows apart, at either end.
    assert touched[0] - 128 <= first <= max(touched[0] - 1, 0)
    assert min(touched[-1], 4088) <= stop <= touched[-1] + 128
    beyond = places.box[3] + 10
    assert places.rows_on(x0, x1, beyond, beyond + 10) == (0, 0)


def test_box_holds_all_corners():
    corners = PLACES.corners(0, 4088)
    x0, x1, y0, y1 = PLACES.box
    assert (x0 < corners[..., 0]).all()
    assert (corners[..., 0] < x1).all()
    assert (y0 < corners[..., 1]).all()
    assert (corners[..., 1] < y1).all()


def test_image_on_the_other_side_of_the_sky_is_refused():
    with pytest.raises(ValueError, match="does not lie on the region's lattice"):
        places_of(
            lambda x, y: to_sky(x, -y, ra=90.2), (400, 400), Lattice(270, -60, 0, 0, 0.1, 9, 9)
        )


def test_transformation_that_cannot_be_interpolated_is_refused():
    def rough(x, y):
        ra, dec = to_sky(x, y)
        return ra, dec + 1e-5 * np.sin(x / 3)

    with pytest.raises(ValueError, match="bends too much"):
        places_of(rough, (400, 400), LATTICE)

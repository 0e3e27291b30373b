"""Solid angle of pixels."""

import numpy as np
import pytest

from tessella.astrometry.pixel_area import nominal_pixel_area_arcsec2, relative_pixel_area
from tessella.astrometry.wcs import attitude_of, detector_to_sky
from tessella.instrument.siaf import DETECTORS
from tessella.models import Window


@pytest.mark.parametrize("detector", ["WFI01", "WFI09"])
def test_area_is_that_of_the_pixels_corners_on_the_sky(detector):
    attitude = attitude_of(detector, 10.0, 20.0, 0.0)
    window = Window(0, 3840, 128, 128)
    area = relative_pixel_area(detector, window) * nominal_pixel_area_arcsec2(detector)
    for y, x in ((0, 0), (60, 100), (119, 119)):
        # Twenty pixels a side, so that rounding of degrees does not matter.
        corners = np.array([[-10, -10], [10, -10], [10, 10], [-10, 10]]) + [x, y + 3840]
        ra, dec = detector_to_sky(attitude, detector, *corners.T)
        u, v = (ra - ra[0]) * np.cos(np.radians(dec.mean())) * 3600, (dec - dec[0]) * 3600
        polygon = 0.5 * abs(np.sum(u * np.roll(v, -1) - v * np.roll(u, -1)))
        assert area[y, x] == pytest.approx(polygon / 400, rel=1e-5)


def test_pixels_are_a_ninth_of_an_arcsecond():
    for detector in DETECTORS:
        assert np.sqrt(nominal_pixel_area_arcsec2(detector)) == pytest.approx(0.11, rel=0.05)

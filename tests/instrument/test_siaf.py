"""Geometry of the detectors."""

import numpy as np
import pytest
from numpy.polynomial.polynomial import polyval2d

from tessella.instrument.siaf import DETECTORS, WFI_CENTER, aperture, detector_aperture


def test_there_are_eighteen_detectors_of_4088_pixels():
    assert len(DETECTORS) == 18
    assert {
        (detector_aperture(name).x_ref, detector_aperture(name).y_ref) for name in DETECTORS
    } == {(2044.5, 2044.5)}


def test_reference_pixel_is_the_origin_of_the_ideal_frame():
    for name in DETECTORS:
        assert detector_aperture(name).science_to_ideal_x[0, 0] == 0
        assert detector_aperture(name).science_to_ideal_y[0, 0] == 0


@pytest.mark.parametrize("detector", ["WFI01", "WFI09", "WFI18"])
def test_shipped_inverse_undoes_the_distortion(detector):
    entry = detector_aperture(detector)
    x, y = np.random.default_rng(1).uniform(-2044, 2044, (2, 100))
    ideal = polyval2d(x, y, entry.science_to_ideal_x), polyval2d(x, y, entry.science_to_ideal_y)
    # The inverse polynomial of the SIAF is a fit: a hundredth of a pixel.
    np.testing.assert_allclose(polyval2d(*ideal, entry.ideal_to_science_x), x, atol=0.01)
    np.testing.assert_allclose(polyval2d(*ideal, entry.ideal_to_science_y), y, atol=0.01)


def test_centre_of_the_instrument_is_turned_by_sixty_degrees():
    assert aperture(WFI_CENTER).v3_ideal_y_angle == pytest.approx(-60.0)


def test_unknown_aperture_is_refused_with_the_names_there_are():
    with pytest.raises(KeyError, match="WFI01_FULL"):
        aperture("WFI19_FULL")

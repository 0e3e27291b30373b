"""Zero points."""

import numpy as np
import pytest

from tessella.photometry.calibration import AB_MAG_OF_NANOJANSKY, surface_brightness_of_dn


def test_star_of_the_zero_point_gives_one_electron_per_second():
    zero_point, gain, area = 26.3, 2.0, 2.8e-13
    flux_jansky = 1e6 * area * surface_brightness_of_dn(zero_point, gain, area) * (1 / gain)
    assert -2.5 * np.log10(flux_jansky / 3631) == pytest.approx(zero_point, abs=1e-12)


def test_nanojansky_has_its_magnitude():
    # Oke & Gunn's zero of 3631 Jy: 31.40006.
    assert pytest.approx(31.40006, abs=1e-5) == AB_MAG_OF_NANOJANSKY

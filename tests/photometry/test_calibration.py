"""Zero points."""

import numpy as np
import pytest

from tessella.photometry.band import AB_ZERO_POINT
from tessella.photometry.calibration import AB_ZERO_JANSKY, surface_brightness_of_dn


def test_star_of_the_zero_point_gives_one_electron_per_second():
    zero_point, gain, area = 26.3, 2.0, 2.8e-13
    flux_jansky = 1e6 * area * surface_brightness_of_dn(zero_point, gain, area) * (1 / gain)
    assert -2.5 * np.log10(flux_jansky / 3631) == pytest.approx(zero_point, abs=1e-12)


def test_both_zero_points_agree():
    # The catalog's 31.4 is Oke & Gunn's 31.40006, rounded.
    assert 2.5 * np.log10(AB_ZERO_JANSKY * 1e9) == pytest.approx(AB_ZERO_POINT, abs=1e-4)

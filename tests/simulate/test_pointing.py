"""The pointing error is one of the telescope, as large as asked for, and not in the header."""

import numpy as np
import pytest

from tessella.astrometry.wcs import attitude_of
from tessella.models import ExposureKey
from tessella.simulate.pointing import planned_header, true_attitude


def header(exposure=1):
    key = ExposureKey(1, 1, 1, 1, 1, 1, exposure)
    return planned_header(key, "F158", 3, "2027-03-01T00:00:00", 12.0, 85.0, 20.0)


def error(detector, exposure):
    plan = attitude_of(detector, 12.0, 85.0, 20.0)
    true = true_attitude(detector, header(exposure), 0.3, 20.0, 5)
    east = (true.ra_ref - plan.ra_ref) * np.cos(np.radians(plan.dec_ref)) * 3600
    return east, (true.dec_ref - plan.dec_ref) * 3600, (true.roll_ref - plan.roll_ref) * 3600


def test_header_carries_the_plan():
    plan = header()
    assert (plan.target_ra, plan.target_dec, plan.pa_aperture) == (12.0, 85.0, 20.0)


def test_every_exposure_has_an_error_of_its_own():
    errors = np.array([error("WFI01", n) for n in range(1, 301)])
    # 300 draws know a deviation to 4 %, four times. WFI01 is 276 arcsec from the centre, about
    # which the roll turns: 20 arcsec of it move the detector by 0.03 arcsec.
    assert errors[:, 0].std() == pytest.approx(0.3, rel=0.17)
    assert errors[:, 1].std() == pytest.approx(0.3, rel=0.17)


def test_detectors_of_an_exposure_move_together():
    # A few arcminutes apart, roll and converging meridians part them by under 0.1 arcsec.
    one, other = error("WFI01", 3), error("WFI10", 3)
    assert one[0] == pytest.approx(other[0], abs=0.1)
    assert one[1] == pytest.approx(other[1], abs=0.1)

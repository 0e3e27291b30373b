"""Velocity aberration: its size and direction, and that all ways through the field agree on it."""

from dataclasses import replace

import numpy as np
import pytest
from astropy.coordinates import get_body_barycentric_posvel
from astropy.time import Time

from tessella.astrometry.aberration import aberration_scale, observatory_velocity
from tessella.astrometry.gwcs_model import build_gwcs
from tessella.astrometry.wcs import attitude_of, detector_to_sky, sky_to_detector
from tessella.io.exposure_meta import read_attitude
from tessella.models import Window

DATE = "2028-07-01T00:00:00"
C_KM_S = 299792.458


@pytest.mark.parametrize("date", ["2027-01-04T00:00:00", "2027-07-05T00:00:00", DATE])
def test_velocity_is_that_of_the_earth(date):
    _, earth = get_body_barycentric_posvel("earth", Time(date))
    expected = earth.xyz.to_value("km/s") / C_KM_S
    # Eccentricity 1.7 %, L2 1 %, and the Sun moves at 0.013 km/s about the barycentre.
    assert np.linalg.norm(observatory_velocity(date) - expected) < 0.04 * 1e-4


def test_scale_is_the_derivative_of_aberrated_directions():
    velocity = observatory_velocity(DATE)

    def apparent(direction):
        # Lorentz transformation of a direction, to all orders in v / c.
        gamma = 1 / np.sqrt(1 - velocity @ velocity)
        along = velocity @ direction
        moved = direction / gamma + velocity * (1 + along * gamma / (1 + gamma))
        return moved / (1 + along)

    ra, dec, step = 12.1, 85.3, 1e-5
    a, d = np.radians(ra), np.radians(dec)
    here = np.array([np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)])
    for turned in (
        np.array([-np.sin(a), np.cos(a), 0.0]),
        np.array([-np.sin(d) * np.cos(a), -np.sin(d) * np.sin(a), np.cos(d)]),
    ):
        there, before = (here * np.cos(step) + way * turned * np.sin(step) for way in (1, -1))
        distance = np.linalg.norm(apparent(there) - apparent(before))
        # Chords are shorter than angles by 2e-11, rounding costs 1e-11.
        assert 2 * step / distance == pytest.approx(aberration_scale(ra, dec, DATE), abs=1e-10)


def test_corners_move_by_milliarcseconds_about_the_reference_point():
    still = attitude_of("WFI01", 12.1, 85.3, 30.0)
    moving = attitude_of("WFI01", 12.1, 85.3, 30.0, DATE)
    assert 1e-6 < abs(moving.aberration - 1) < 1.1e-4
    x, y = np.array([0.0, 4087.0, 2043.5]), np.array([0.0, 4087.0, 2043.5])
    shifted = sky_to_detector(moving, "WFI01", *detector_to_sky(still, "WFI01", x, y))
    distance = np.hypot(shifted[0] - x, shifted[1] - y)
    corner = 2043.5 * np.sqrt(2)
    # The distortion stretches the corners by some percent.
    assert distance[:2] == pytest.approx(corner * abs(moving.aberration - 1), rel=0.1)
    assert distance[2] < 1e-6


def test_all_ways_to_the_sky_agree():
    attitude = replace(attitude_of("WFI07", 40.0, -20.0, 70.0), aberration=1.0001)
    x, y = np.array([3.0, 2000.0, 4080.0]), np.array([4000.0, 10.0, 2500.0])
    ra, dec = detector_to_sky(attitude, "WFI07", x, y)
    back = sky_to_detector(attitude, "WFI07", ra, dec)
    assert np.allclose(back, (x, y), atol=1e-6)
    wcs = build_gwcs(attitude, "WFI07", Window())
    assert wcs.available_frames == ["detector", "v2v3", "v2v3vacorr", "world"]
    # 1e-10 deg is 0.4 microarcsec.
    assert np.allclose(wcs(x, y), (ra, dec), atol=1e-10, rtol=0)


@pytest.mark.parametrize("given", [-999999, 0.0, None, float("nan")])
def test_scale_that_is_none_is_one(given):
    attitude = attitude_of("WFI01", 12.1, 85.3, 30.0)
    names = ("ra_ref", "dec_ref", "roll_ref", "v2_ref", "v3_ref")
    info = {name: getattr(attitude, name) for name in names}
    meta = {"wcsinfo": info, "velocity_aberration": {"scale_factor": given}}
    assert read_attitude(meta) == attitude
    meta["velocity_aberration"]["scale_factor"] = 1.00005
    assert read_attitude(meta).aberration == 1.00005

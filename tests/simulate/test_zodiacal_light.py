"""Zodiacal light by direction and date."""

from dataclasses import replace

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from plain_detector import STATE

from tessella.models import ExposureKey, Window
from tessella.simulate.image import sky_rate
from tessella.simulate.observation import Conditions, expose_evenly
from tessella.simulate.pointing import planned_header
from tessella.simulate.zodiacal_light import zodiacal_factor

#: The Sun stands at ecliptic longitude 0.
EQUINOX = "2027-03-20T20:25:00"


def factor(longitude, latitude):
    place = SkyCoord(longitude * u.deg, latitude * u.deg, frame="barycentricmeanecliptic").icrs
    return zodiacal_factor(place.ra.deg, place.dec.deg, EQUINOX)


def test_twice_the_minimum_is_where_the_mission_says():
    # "Twice the minimum zodiacal light background (roughly equivalent to that obtained at an
    # ecliptic latitude of 25 degrees at a Solar elongation of 90 degrees)": the description of
    # AB_mag_limiting_sensitivity.ecsv.
    assert factor(90.0, 25.0) == pytest.approx(2, rel=0.05)
    assert factor(270.0, -25.0) == pytest.approx(2, rel=0.05)


def test_light_falls_with_latitude_and_away_from_the_sun():
    assert factor(90, 0) > factor(90, 10) > factor(90, 25) > factor(90, 60) >= 1
    assert factor(60, 0) > factor(90, 0) > factor(120, 0)


def test_directions_at_the_sun_are_refused():
    with pytest.raises(ValueError, match="too close to the Sun"):
        factor(5.0, 2.0)


def light_of(**changes):
    """Median of a resultant's growth under sky alone, in electrons / s."""
    place = SkyCoord(90 * u.deg, 25 * u.deg, frame="barycentricmeanecliptic").icrs
    header = planned_header(
        ExposureKey(1, 1, 1, 1, 1, 1, 1), "PRISM", 3, EQUINOX, place.ra.deg, place.dec.deg, 0.0,
        "WFI_SPECTRAL",
    )  # fmt: skip
    conditions = replace(Conditions(1.0, 0.0, 0.0, 4000, False, 3, 0.0), **changes)
    # Long reads, so that light outweighs the noise of reading.
    window = Window(1920, 1920, 256, 256)
    state = replace(STATE, read_noise_electrons=0.1)
    data = expose_evenly(header, 0.0, "WFI01", window, state, conditions).data.astype(float)
    return float(np.mean((data[-1] - data[0])[4:-4, 4:-4])) * 2 / (17 * 3.16247)


def test_exposures_see_the_light_of_their_direction_and_what_strays():
    least = light_of()
    # 62,000 pixels of 46 electrons.
    assert least == pytest.approx(sky_rate("PRISM", 1.0), rel=0.03)
    assert light_of(stray_light=0.1) == pytest.approx(1.1 * least, rel=0.005)
    assert light_of(zodiacal_factor=None) == pytest.approx(2 * least, rel=0.05)

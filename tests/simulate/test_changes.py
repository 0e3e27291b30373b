"""Sources during an exposure: where they are by then, and how bright."""

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.time import Time

from tessella.astrometry.motion import StarCatalogue, move_to_epoch
from tessella.astrometry.observatory import observatory_position
from tessella.quality.matching import offsets_mas
from tessella.simulate import light_curves
from tessella.simulate.changes import TRAIL_STEP_ARCSEC, seen_during
from tessella.simulate.scene import empty_rows, truth_dtype

START = 61465.0


def sources(n=1, **columns):
    rows = empty_rows(n, START)
    rows["ra"], rows["dec"], rows["F158"] = 12.0, 85.0, 1e-8
    for name, values in columns.items():
        rows[name] = values
    return rows


def test_sky_that_stands_still_stays_bit_for_bit():
    truth = sources(5)
    np.testing.assert_array_equal(seen_during(truth, START + 500, 57.0), truth)
    # Rows that say nothing of motion and light are such.
    plain = np.zeros(3, truth_dtype())
    np.testing.assert_array_equal(seen_during(plain, START, 57.0), plain)


def test_argument_is_not_changed():
    truth = sources(2, rate=30.0, light_curve="periodic", timescale=1.0, amplitude=0.5, pmra=10.0)
    before = truth.copy()
    seen_during(truth, START + 1, 57.0)
    np.testing.assert_array_equal(truth, before)


def test_stars_move_as_those_of_the_catalogue():
    # Gaia's epoch to the first exposure and on, against one step of both.
    one = np.ones(1)
    star = StarCatalogue(
        2015.5, 12 * one, 85 * one, 300 * one, -200 * one, 50 * one, np.zeros((1, 5, 5))
    )

    def placed(mjd):
        year = float(Time(mjd, format="mjd", scale="utc").jyear)
        return move_to_epoch(star, year, observer_au=observatory_position(year))

    first, later = placed(START), placed(START + 120)
    truth = sources(ra=first.ra, dec=first.dec, pmra=300.0, pmdec=-200.0, parallax=50.0)
    seen = seen_during(truth, START + 120, 0.0)
    # A parallax moves a star by far more than that in four months.
    assert np.abs(offsets_mas(first.ra, first.dec, later.ra, later.dec)).max() > 50
    # In 13 years the star came 4 arcsec far, by which east has turned 2e-4 at this declination:
    # of the 120 mas of four months 0.02 mas.
    np.testing.assert_allclose(
        offsets_mas(seen["ra"], seen["dec"], later.ra, later.dec), 0, atol=0.03
    )


def test_bodies_cross_the_field_along_great_circles():
    truth = sources(rate=40.0, rate_pa=60.0)
    seen = seen_during(truth, START + 0.25, 1.0)
    start = SkyCoord(12 * u.deg, 85 * u.deg)
    expected = start.directional_offset_by(60 * u.deg, 40 * (6 + 0.5 / 3600) * u.arcsec)
    assert len(seen) == 1
    offset = offsets_mas(seen["ra"], seen["dec"], expected.ra.deg, expected.dec.deg)
    np.testing.assert_allclose(offset, 0, atol=1e-3)


def test_fast_bodies_leave_trails_that_hold_their_light():
    truth = sources(rate=120.0, rate_pa=0.0)
    trail = seen_during(truth, START, 171.0)
    # 5.7 arcsec, from the epoch on.
    north = (trail["dec"] - 85) * 3600
    steps = np.diff(north)
    assert steps.max() <= TRAIL_STEP_ARCSEC * 1.0001
    assert north.max() - north.min() + steps.mean() == pytest.approx(5.7, rel=1e-4)
    assert north.min() - steps.mean() / 2 == pytest.approx(0, abs=1e-4)
    assert trail["F158"].sum() == pytest.approx(1e-8, rel=1e-12)
    assert (trail["id"] == truth["id"]).all()


@pytest.mark.parametrize(
    ("columns", "days", "factor"),
    [
        ({"light_curve": "supernova", "timescale": 20.0}, 0.0, 1.0),
        ({"light_curve": "supernova", "timescale": 20.0}, -60.0, 0.0),
        # Long after maximum a supernova fades by e in each time scale.
        ({"light_curve": "periodic", "timescale": 3.0, "amplitude": 0.4}, 6.0, 10**0.16),
        ({"light_curve": "periodic", "timescale": 3.0, "amplitude": 0.4}, 7.5, 10**-0.16),
        ({"light_curve": "microlensing", "timescale": 20.0, "u0": 0.1}, 0.0, 2.01 / 0.20025),
        # At a distance of one Einstein radius: 3 / sqrt(5).
        ({"light_curve": "microlensing", "timescale": 20.0, "u0": 0.6}, 16.0, 3 / 5**0.5),
    ],
)
def test_light_is_that_of_the_middle_of_the_exposure(columns, days, factor):
    truth = sources(t0=START, **columns)
    seen = seen_during(truth, START + days - 50 / 86400, 100.0)
    assert seen["F158"][0] == pytest.approx(1e-8 * factor, rel=1e-4, abs=1e-12)


def test_supernova_fades_exponentially_after_its_maximum():
    late = light_curves.supernova(np.array([100.0, 120.0]), 20.0)
    assert late[0] / late[1] == pytest.approx(np.e, rel=1e-6)
    days = np.linspace(-50, 50, 2001)
    curve = light_curves.supernova(days, 20.0)
    assert days[curve.argmax()] == pytest.approx(0, abs=0.05)
    assert curve.max() == pytest.approx(1)


def test_unknown_light_curves_are_refused():
    with pytest.raises(ValueError, match=r"light curve 'flare': there are supernova"):
        seen_during(sources(light_curve="flare"), START, 57.0)

"""Stars at another epoch: the path, its inverse, and errors that grow."""

from dataclasses import replace

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import Distance, SkyCoord
from astropy.time import Time

from tessella.astrometry.motion import (
    StarCatalogue,
    gaia_dr2_errors,
    move_to_epoch,
    scatter_by_errors,
)

MAS = 3.6e6


def catalogue(n=5, dec=60.0):
    one = np.ones(n)
    rng = np.random.default_rng(1)
    return StarCatalogue(
        2015.5,
        rng.uniform(0, 360, n),
        dec * one,
        50 * rng.normal(size=n),
        50 * rng.normal(size=n),
        one,
        0.1 * one,
        0.2 * one,
    )


def offsets(stars, ra, dec):
    return (ra - stars.ra) * np.cos(np.radians(stars.dec)) * MAS, (dec - stars.dec) * MAS


@pytest.mark.parametrize("dec", [0.0, 60.0, 85.3])
def test_agrees_with_astropy(dec):
    stars = catalogue(dec=dec)
    moved = move_to_epoch(stars, 2027.16, 5.0)
    sky = SkyCoord(
        stars.ra * u.deg,
        stars.dec * u.deg,
        distance=Distance(np.full(5, 1000.0) * u.pc),
        pm_ra_cosdec=stars.pmra * u.mas / u.yr,
        pm_dec=stars.pmdec * u.mas / u.yr,
        obstime=Time(2015.5, format="jyear"),
    )
    expected = sky.apply_space_motion(Time(2027.16, format="jyear"))
    separation = expected.separation(SkyCoord(moved.ra * u.deg, moved.dec * u.deg)).mas
    # Time scales and light travel count for 1e-3 years at most at these speeds.
    assert separation.max() < 0.1


def test_there_and_back_is_the_same_place():
    stars = catalogue()
    there = move_to_epoch(stars, 2027.0, 5.0)
    back = move_to_epoch(replace(stars, epoch=2027.0, ra=there.ra, dec=there.dec), 2015.5, 5.0)
    # The speed along the path turns by the path's length, 1e-6 of a radian: 1e-3 mas in all.
    np.testing.assert_allclose(offsets(stars, back.ra, back.dec), 0, atol=2e-2)


def test_error_grows_with_time():
    moved = move_to_epoch(catalogue(), 2025.5, 5.0)
    np.testing.assert_allclose(moved.covariance[:, 0, 0], 0.1**2 + (10 * 0.2) ** 2)
    assert (moved.covariance[:, 0, 1] == 0).all()


def test_star_without_a_motion_stays_with_a_large_error():
    stars = catalogue()
    stars.pmra[2] = np.nan
    moved = move_to_epoch(stars, 2025.5, 5.0)
    assert moved.is_moved.tolist() == [True, True, False, True, True]
    assert moved.ra[2] == pytest.approx(stars.ra[2], abs=1e-12)
    assert moved.covariance[2, 1, 1] == pytest.approx(0.1**2 + 50.0**2)


def test_parallax_moves_a_star_away_from_the_observer():
    one = np.ones(1)
    star = StarCatalogue(2015.5, 0 * one, 0 * one, 0 * one, 0 * one, 100 * one, one, one)
    # Seen from 1 au towards ra 90 deg, a star at ra 0 stands 100 mas further west.
    moved = move_to_epoch(star, 2015.5, 5.0, observer_au=np.array([0.0, 1.0, 0.0]))
    assert (moved.ra[0] - 360) * MAS == pytest.approx(-100, abs=1e-3)


def test_masked_parallax_error_gives_no_error():
    position, motion = gaia_dr2_errors(np.ma.masked_array([0.1, 0.2], [False, True]))
    assert position[0] == 0.1
    assert np.isnan(position[1])
    assert np.isnan(motion[1])


def test_scatter_is_as_large_as_the_errors():
    n = 4000
    stars = catalogue(n)
    measured = scatter_by_errors(stars, seed=3)
    east, north = offsets(stars, measured.ra, measured.dec)
    # A standard deviation of 4000 values is known to 1.1 %; four times that.
    assert np.std(east) == pytest.approx(0.1, rel=0.045)
    assert np.std(north) == pytest.approx(0.1, rel=0.045)
    assert np.std(measured.pmra - stars.pmra) == pytest.approx(0.2, rel=0.045)


def test_star_of_unknown_error_has_no_measured_place():
    stars = catalogue()
    stars.position_error[1] = np.nan
    measured = scatter_by_errors(stars, seed=3)
    assert np.isnan(measured.ra).tolist() == [False, True, False, False, False]

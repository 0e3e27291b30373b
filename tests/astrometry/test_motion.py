"""Stars at another epoch: the path, its inverse, and errors that grow."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import CartesianRepresentation, Distance, SkyCoord
from astropy.table import Table
from astropy.time import Time

from tessella.astrometry.motion import (
    PARAMETERS,
    StarCatalogue,
    covariance_of,
    gaia_dr2_errors,
    move_to_epoch,
    scatter_by_errors,
)
from tessella.astrometry.observatory import observatory_position
from tessella.io.gaia_tables import CORRELATIONS, catalogue_of, read_batches

MAS = 3.6e6
SKY = Path(__file__).parents[3] / "shared" / "data" / "astrometry"


def catalogue(n=5, dec=60.0):
    one = np.ones(n)
    rng = np.random.default_rng(1)
    motion = 50 * rng.normal(size=(2, n))
    errors = covariance_of(np.array([0.1, 0.1, 0.1, 0.2, 0.2])[:, None] * one)
    return StarCatalogue(2015.5, rng.uniform(0, 360, n), dec * one, *motion, one, errors)


def correlated(n=5, dec=60.0):
    """A catalogue whose errors are correlated as those of any linear measurement."""
    stars = catalogue(n, dec)
    root = np.random.default_rng(2).normal(0, 0.1, (n, 5, 5))
    return replace(stars, parallax=100 * stars.parallax, covariance=root @ root.swapaxes(1, 2))


def offsets(stars, ra, dec):
    return (ra - stars.ra) * np.cos(np.radians(stars.dec)) * MAS, (dec - stars.dec) * MAS


def gaia_dr3():
    path = SKY / "gaia-dr3-allsky-1000/gdr3_sm.fits"
    if not path.is_file():
        pytest.skip(f"{path} is not here")
    table = Table.read(path, unit_parse_strict="silent")
    return catalogue_of(next(read_batches(path, None))), table


@pytest.mark.parametrize("dec", [0.0, 60.0, 85.3])
def test_agrees_with_astropy(dec):
    stars = catalogue(dec=dec)
    moved = move_to_epoch(stars, 2027.16)
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


def test_parallax_is_that_of_astropy():
    stars = replace(catalogue(), parallax=np.full(5, 100.0), epoch=2027.3)
    observer = observatory_position(2027.3)
    moved = move_to_epoch(stars, 2027.3, observer_au=observer)
    # A star at 10 parsec as a vector from the barycentre, less where the observer is.
    sky = SkyCoord(stars.ra * u.deg, stars.dec * u.deg, distance=Distance(parallax=100 * u.mas))
    seen = SkyCoord(sky.cartesian - CartesianRepresentation(observer * u.au))
    separation = seen.spherical, moved
    east = (separation[0].lon.deg - moved.ra) * np.cos(np.radians(moved.dec)) * MAS
    # Second order: 0.1 arcsec squared.
    np.testing.assert_allclose(east, 0, atol=1e-3)
    np.testing.assert_allclose((separation[0].lat.deg - moved.dec) * MAS, 0, atol=1e-3)


def test_observer_is_beyond_the_earth():
    distances = [np.linalg.norm(observatory_position(2027 + k / 12)) for k in range(12)]
    # 1.01 times the Earth's distance from the Sun, 0.983 to 1.017, the Sun within 0.01 of the
    # barycentre.
    assert min(distances) > 0.983 * 1.01 - 0.01
    assert max(distances) < 1.017 * 1.01 + 0.01


def test_there_and_back_is_the_same_place():
    stars = catalogue()
    there = move_to_epoch(stars, 2027.0)
    back = move_to_epoch(replace(stars, epoch=2027.0, ra=there.ra, dec=there.dec), 2015.5)
    # The speed along the path turns by the path's length, 1e-6 of a radian: 1e-3 mas in all.
    np.testing.assert_allclose(offsets(stars, back.ra, back.dec), 0, atol=2e-2)


def test_error_grows_with_time():
    moved = move_to_epoch(catalogue(), 2025.5)
    np.testing.assert_allclose(moved.covariance[:, 0, 0], 0.1**2 + (10 * 0.2) ** 2)
    assert (moved.covariance[:, 0, 1] == 0).all()


@pytest.mark.parametrize("dec", [-70.0, 20.0])
def test_covariance_is_that_of_moved_draws(dec):
    """Stars drawn with their errors and then moved scatter as the moved covariance says."""
    n = 20_000
    one = replace(correlated(1, dec), epoch=2016.0)
    many = StarCatalogue(
        2016.0,
        *(np.repeat(getattr(one, name), n) for name in ("ra", "dec", "pmra", "pmdec", "parallax")),
        np.repeat(one.covariance, n, axis=0),
    )
    observer = observatory_position(2027.8)
    expected = move_to_epoch(one, 2027.8, observer_au=observer)
    drawn = move_to_epoch(scatter_by_errors(many, 5), 2027.8, observer_au=observer)
    east = (drawn.ra - expected.ra) * np.cos(np.radians(dec)) * MAS
    found = np.cov(east, (drawn.dec - expected.dec) * MAS)
    sigma = np.sqrt(np.diag(expected.covariance[0]))
    # A (co)variance of 20000 draws is known to 1 %; five times that.
    np.testing.assert_allclose(
        found / np.outer(sigma, sigma),
        expected.covariance[0] / np.outer(sigma, sigma),
        atol=0.05,
    )


def test_correlations_count():
    """Position and motion that are fully correlated at one epoch may be certain at another."""
    stars = catalogue(1)
    correlations = np.zeros((10, 1))
    correlations[PARAMETERS.index("pmra") - 1] = -1.0
    errors = np.array([2.0, 0.1, 0.1, 0.2, 0.2])[:, None]
    stars = replace(stars, covariance=covariance_of(errors, correlations))
    moved = move_to_epoch(stars, 2025.5)
    assert moved.covariance[0, 0, 0] == pytest.approx(0, abs=1e-9)


def test_star_without_a_motion_stays_with_a_large_error():
    stars = catalogue()
    stars.pmra[2] = np.nan
    stars.covariance[2, 2:] = stars.covariance[2, :, 2:] = np.nan
    moved = move_to_epoch(stars, 2025.5, 5.0)
    assert moved.is_moved.tolist() == [True, True, False, True, True]
    assert moved.ra[2] == pytest.approx(stars.ra[2], abs=1e-12)
    assert moved.covariance[2, 1, 1] == pytest.approx(0.1**2 + 50.0**2)
    assert stars.status.tolist() == ["moved"] * 2 + ["motion not measured"] + ["moved"] * 2


def test_star_without_errors_says_so():
    stars = catalogue()
    stars.covariance[1] = np.nan
    moved = move_to_epoch(stars, 2025.5)
    assert np.isnan(moved.covariance[1, 0, 0])
    assert np.isfinite(moved.covariance[0]).all()
    assert stars.status[1] == "error not known"


def test_parallax_moves_a_star_away_from_the_observer():
    one = np.ones(1)
    errors = covariance_of(np.ones((5, 1)))
    star = StarCatalogue(2015.5, 0 * one, 0 * one, 0 * one, 0 * one, 100 * one, errors)
    # Seen from 1 au towards ra 90 deg, a star at ra 0 stands 100 mas further west.
    moved = move_to_epoch(star, 2015.5, observer_au=np.array([0.0, 1.0, 0.0]))
    assert (moved.ra[0] - 360) * MAS == pytest.approx(-100, abs=1e-3)
    # The error of the parallax is one of the position in that direction.
    np.testing.assert_allclose(np.diag(moved.covariance[0]), [2.0, 1.0])


def test_masked_parallax_error_gives_no_error():
    position, motion = gaia_dr2_errors(np.ma.masked_array([0.1, 0.2], [False, True]))
    assert position[0] == 0.1
    assert np.isnan(position[1])
    assert np.isnan(motion[1])


def test_scatter_is_as_large_as_the_errors():
    n = 4000
    stars = catalogue(n)
    measured = scatter_by_errors(stars, 3)
    east, north = offsets(stars, measured.ra, measured.dec)
    # A standard deviation of 4000 values is known to 1.1 %; four times that.
    assert np.std(east) == pytest.approx(0.1, rel=0.045)
    assert np.std(north) == pytest.approx(0.1, rel=0.045)
    assert np.std(measured.pmra - stars.pmra) == pytest.approx(0.2, rel=0.045)


def test_star_of_unknown_error_has_no_measured_place():
    stars = catalogue()
    stars.covariance[1] = np.nan
    measured = scatter_by_errors(stars, 3)
    assert np.isnan(measured.ra).tolist() == [False, True, False, False, False]


def test_gaia_dr3_errors_and_correlations_are_taken_as_they_are():
    stars, table = gaia_dr3()
    five = np.asarray(table["astrometric_params_solved"]) != 3
    calm = five & (np.asarray(table["ruwe"]) <= 1.4)
    sigma = np.sqrt(np.einsum("nii->ni", stars.covariance))
    for k, name in enumerate(PARAMETERS):
        np.testing.assert_allclose(sigma[calm, k], table[f"{name}_error"][calm], rtol=1e-6)
    upper = np.triu_indices(5, 1)
    for name, i, j in zip(CORRELATIONS, *upper, strict=True):
        found = stars.covariance[calm, i, j] / (sigma[calm, i] * sigma[calm, j])
        np.testing.assert_allclose(found, table[name][calm], atol=1e-6)
    # They are covariances: no direction has a negative variance, at any time.
    moved = move_to_epoch(stars, 2028.5, observer_au=observatory_position(2028.5))
    assert (np.linalg.eigvalsh(moved.covariance) > 0).all()
    # Motion errors are 1.1 of those of parallaxes at most, so that 12.5 years count for most.
    expected = np.hypot(sigma[calm, 0], 12.5 * sigma[calm, 3])
    ratio = np.sqrt(moved.covariance[calm, 0, 0]) / expected
    assert 0.8 < np.median(ratio) < 1.1
    assert (np.sqrt(moved.covariance[calm, 0, 0]) < 1.5 * expected + 2 * sigma[calm, 2]).all()


def test_gaia_against_2mass():
    """Fast stars of NGC 188 stand where 2MASS saw them 15.8 years before, once they are moved."""
    folder = SKY / "ngc188-gaia-2mass"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not here")
    stars = catalogue_of(next(read_batches(folder / "gaia_results.fits", 2015.5)))
    infrared = Table.read(folder / "2MASS_results.ecsv")
    epoch = float(np.mean(Time(list(infrared["Date"])).jyear))
    assert epoch == pytest.approx(2015.5 - 15.8, abs=0.1)
    there = SkyCoord(infrared["RAJ2000"], infrared["DEJ2000"], unit="deg")
    moved = move_to_epoch(stars, epoch, observer_au=observatory_position(epoch))
    fast = np.hypot(stars.pmra, stars.pmdec) > 20
    nearest, separation, _ = SkyCoord(moved.ra, moved.dec, unit="deg").match_to_catalog_sky(there)
    fast &= separation.arcsec < 1
    assert fast.sum() > 100
    unmoved = SkyCoord(stars.ra, stars.dec, unit="deg").separation(there[nearest]).mas
    assert np.median(separation.mas[fast]) < 110
    assert np.median(unmoved[fast]) > 450

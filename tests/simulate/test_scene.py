"""The drawn sky: stars where the catalogue puts them, and the same sky for the same seed."""

from dataclasses import replace

import numpy as np
import pytest
from astropy.time import Time

from tessella.astrometry.motion import StarCatalogue
from tessella.instrument.optical_elements import filters
from tessella.quality.matching import offsets_mas
from tessella.simulate.changes import is_variable
from tessella.simulate.scene import Field, draw_scene, empty_rows, truth_dtype

START = float(Time(2015.5, format="jyear", scale="utc").mjd)
FIELD = Field(12.0, 85.0, 60.0, 140.0, 30.0, START, START + 1)
CHANGING = {"supernovae": 30, "periodic_stars": 20, "microlensing_events": 10, "movers": 5}


def scene(seed=1, later_years=0.0, given=None, **changes):
    """Three stars: in the field, in the field without motion and colour, and outside."""
    ra, dec = np.array([12.0, 12.05, 15.0]), np.array([85.0, 85.005, 85.0])
    stars = StarCatalogue(
        2015.5,
        ra,
        dec,
        np.array([100.0, np.nan, 0]),
        np.array([0, np.nan, 0.0]),
        np.zeros(3),
        np.tile(np.eye(5), (3, 1, 1)),
        np.array([7, 8, 9]),
    )
    magnitudes, colors = np.array([15.0, 16.0, 17.0]), np.array([0.8, np.nan, 1.0])
    start = START + later_years * 365.25
    field = replace(FIELD, first_mjd=start, last_mjd=start + 1, **changes)
    return draw_scene(field, stars, magnitudes, colors, seed, given)


def test_same_seed_same_sky():
    np.testing.assert_array_equal(scene(1), scene(1))
    assert (scene(1)["ra"][5:] != scene(2)["ra"][5:]).all()


def test_catalogue_stars_of_the_field_come_first():
    assert scene()["source_id"][:3].tolist() == [7, 8, 0]


def test_catalogue_stars_move_to_the_epoch():
    moved = scene(later_years=10.0)
    east = (moved["ra"][:2] - [12.0, 12.05]) * np.cos(np.radians(85)) * 3.6e6
    # 100 mas a year for ten years; the star without a motion stays.
    np.testing.assert_allclose(east, [1000, 0], atol=0.01)


def test_densities_are_those_asked_for():
    drawn = scene()[2:]
    # 4 square arcminutes.
    assert (drawn["type"] == "PSF").sum() == 560
    assert (drawn["type"] == "SER").sum() == 120


def test_objects_lie_in_the_field():
    table = scene()
    assert (np.abs(table["dec"] - 85) < 61 / 3600).all()
    assert (np.abs(table["ra"] - 12) * np.cos(np.radians(85)) < 61.5 / 3600).all()


def test_every_value_is_known():
    table = scene(**CHANGING)
    for name in truth_dtype().names:
        if table.dtype[name].kind != "U":
            assert np.isfinite(table[name].astype(float)).all()
    for name in filters():
        assert (table[name] > 0).all()
    assert (table["n"][table["type"] == "PSF"] == -1).all()


def test_stars_of_the_catalogue_can_be_left_out():
    assert (scene(reference_stars=False)["source_id"] == 0).all()
    assert len(scene(reference_stars=False)) == len(scene()) - 2


def test_galaxies_have_redshifts_and_the_colours_that_belong_to_them():
    table = scene(galaxies_per_arcmin2=1000.0)
    galaxies, stars = (table[table["type"] == kind] for kind in ("SER", "PSF"))
    assert (galaxies["redshift"] > 0).all()
    assert (stars["redshift"] == 0).all()
    # Fainter galaxies are farther away: median redshifts of 0.3 + 0.14 (mag - 20).
    mag = -2.5 * np.log10(galaxies["F158"])
    for low in (23.0, 25.0):
        chosen = galaxies["redshift"][(mag > low) & (mag < low + 1)]
        # Half a per cent of redshifts of one magnitude is its own width; 400 or more galaxies.
        assert np.median(chosen) == pytest.approx(0.3 + 0.14 * (low + 0.6 - 20), abs=0.08)
    # Old galaxies (Sersic index 4) redden as their break moves through the filters.
    old = galaxies[galaxies["n"] == 4]
    color = -2.5 * np.log10(old["F087"] / old["F158"])
    near, far = old["redshift"] < 0.5, (old["redshift"] > 1.0) & (old["redshift"] < 1.5)
    assert np.median(color[far]) > np.median(color[near]) + 1


def test_stars_are_counted_by_the_galaxy_on_request():
    # NGC 188's 85 degrees of declination are 22 of galactic latitude.
    drawn = scene(stars_per_arcmin2=None, galaxies_per_arcmin2=0.0, half_width_arcsec=600.0)[2:]
    # 400 square arcminutes; Bahcall & Soneira have some ten thousand between V = 20.7 and 28 in a
    # square degree there.
    assert 10_000 < len(drawn) * 9 < 100_000
    with pytest.raises(ValueError, match="galactic latitude"):
        scene(stars_per_arcmin2=None, ra=270.0, dec=-29.0)


def test_changing_sources_are_drawn_beside_the_others():
    plain, table = scene(), scene(**CHANGING)
    # What was there before stays as it was.
    np.testing.assert_array_equal(table[: len(plain)], plain)
    new = table[len(plain) :]
    for kind, n in (("supernova", 30), ("periodic", 20), ("microlensing", 10)):
        assert (new["light_curve"] == kind).sum() == n
    assert (new["rate"] > 0).sum() == 5
    assert not is_variable(plain).any()
    assert is_variable(new).sum() == 60


def test_supernovae_explode_in_galaxies_at_their_redshift():
    table = scene(supernovae=200)
    new = table[table["light_curve"] == "supernova"]
    hosts = table[new["host"]]
    assert (hosts["type"] == "SER").all()
    assert (hosts["redshift"] == new["redshift"]).all()
    apart = np.hypot(*offsets_mas(new["ra"], new["dec"], hosts["ra"], hosts["dec"]).T) / 1000
    assert (apart <= hosts["half_light_radius"] * 1.001).all()
    # Farther ones are fainter.
    order = np.argsort(new["redshift"])
    assert np.median(new["F158"][order[:50]]) > 4 * np.median(new["F158"][order[-50:]])


def test_a_supernova_at_known_distance_has_the_magnitude_of_its_kind():
    table = scene(supernovae=500, galaxies_per_arcmin2=0.0)
    new = table[table["light_curve"] == "supernova"]
    assert (new["host"] == -1).all()
    near = new[np.abs(new["redshift"] - 0.5) < 0.1]
    # B = -19.3 at a distance modulus of 42.3 (z = 0.5, H0 = 70, matter 0.3) lies at 0.66 um.
    mag = -2.5 * np.log10(near["F062"])
    assert np.median(mag) == pytest.approx(-19.3 + 42.27 - 2.5 * np.log10(1.5), abs=0.2)


def test_a_users_sources_come_last_and_are_taken_as_they_are():
    given = empty_rows(2, START)
    given["ra"], given["dec"], given["F158"] = [200.0, 12.0], [10.0, 85.0], [1e-7, 2e-7]
    table = scene(given=given)
    for name in set(given.dtype.names) - {"id"}:
        np.testing.assert_array_equal(table[name][-2:], given[name])
    assert table["id"].tolist() == list(range(len(table)))

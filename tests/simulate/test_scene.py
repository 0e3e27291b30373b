"""The drawn sky: stars where the catalogue puts them, and the same sky for the same seed."""

import numpy as np
import pytest

from tessella.astrometry.motion import StarCatalogue
from tessella.instrument.optical_elements import filters
from tessella.simulate.scene import Field, draw_scene, maggies, truth_dtype

FIELD = Field(12.0, 85.0, 60.0, 140.0, 30.0)


def scene(seed=1, epoch=2015.5):
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
    return draw_scene(FIELD, stars, magnitudes, colors, epoch, seed)


def test_same_seed_same_sky():
    np.testing.assert_array_equal(scene(1), scene(1))
    assert (scene(1)["ra"][5:] != scene(2)["ra"][5:]).all()


def test_catalogue_stars_of_the_field_come_first():
    assert scene()["source_id"][:3].tolist() == [7, 8, 0]


def test_catalogue_stars_move_to_the_epoch():
    moved = scene(epoch=2025.5)
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
    table = scene()
    for name in truth_dtype().names:
        if name != "type":
            assert np.isfinite(table[name].astype(float)).all()
    for name in filters():
        assert (table[name] > 0).all()
    assert (table["n"][table["type"] == "PSF"] == -1).all()


def test_flat_spectrum_has_one_magnitude():
    fluxes = maggies(np.array([22.5]), np.array([0.0]), 1.58)
    assert {round(float(f[0]) * 1e9, 9) for f in fluxes.values()} == {1.0}


def test_red_spectrum_is_brighter_at_long_wavelengths():
    fluxes = maggies(np.array([22.0]), np.array([1.0]), filters()["F158"].wavelength_center)
    ratio = fluxes["F158"][0] / fluxes["F106"][0]
    assert ratio == pytest.approx((1.577 / 1.060) ** (0.4 * np.log(10)))

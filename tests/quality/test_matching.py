import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tessella.quality.matching import isolated, match, nearest_within, offsets_mas
from tessella.randomness import generator

ARCSEC = 1 / 3600


def test_no_source_vouches_for_two():
    ra, dec = np.zeros(3), np.array([-0.15, 0.0, 0.1]) * ARCSEC
    pairs = match(ra, dec, np.zeros(1), np.array([0.02]) * ARCSEC, 0.2)
    assert pairs.tolist() == [-1, 0, -1]


def test_radius_of_the_other_source_counts():
    place = np.zeros(1), np.array([0.5]) * ARCSEC
    other = np.zeros(1), np.zeros(1)
    assert match(*place, *other, np.array([0.2])).tolist() == [-1]
    assert match(*place, *other, np.array([0.6])).tolist() == [0]


def test_positions_that_are_not_known_pair_with_nothing():
    ra, dec = np.array([np.nan, 10.0]), np.array([0.0, 0.0])
    assert match(ra, dec, ra, dec, 1.0).tolist() == [-1, 1]
    assert nearest_within(ra, dec, ra, dec, 1.0).tolist() == [-1, 1]


def test_nothing_pairs_with_an_empty_list():
    empty = np.empty(0)
    assert match(np.zeros(2), np.zeros(2), empty, empty, 1.0).tolist() == [-1, -1]
    assert match(empty, empty, np.zeros(2), np.zeros(2), 1.0).size == 0


@given(st.floats(0, 360), st.floats(-89, 89), st.floats(-500, 500), st.floats(-500, 500))
def test_offsets_are_recovered_anywhere_on_the_sky(ra, dec, east, north):
    moved_ra = ra + east / 3.6e6 / np.cos(np.radians(dec))
    found = offsets_mas(
        np.array([moved_ra % 360]), np.array([dec + north / 3.6e6]), np.array([ra]), np.array([dec])
    )
    # 360 deg in double precision resolve 6e-14 deg, 2e-7 mas, and 1/cos(89 deg) is 57.
    np.testing.assert_allclose(found[0], [east, north], atol=1e-4)


def test_isolation_agrees_with_all_pairs():
    rng = generator("test isolation")
    ra, dec = rng.uniform(0, 10, (2, 80)) * ARCSEC
    flux = 10 ** rng.uniform(0, 2, 80)
    distance = np.hypot(ra[:, None] - ra, dec[:, None] - dec) / ARCSEC
    matters = (distance < 1.5) & (flux[None] > flux[:, None] * 10**-0.8) & ~np.eye(80, dtype=bool)
    np.testing.assert_array_equal(isolated(ra, dec, flux), ~matters.any(axis=1))


def test_a_faint_neighbour_does_not_disturb_the_bright_one():
    place = np.zeros(2), np.array([0.0, 1.0]) * ARCSEC
    assert isolated(*place, np.array([100.0, 1.0])).tolist() == [True, False]

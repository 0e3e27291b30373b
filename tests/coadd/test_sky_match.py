"""Skies of overlapping exposures."""

import coadd_fields as fields
import numpy as np

from tessella.coadd.sky_match import block_medians, match_skies
from tessella.coadd.tile import subtract_skies


def test_offsets_are_recovered_over_a_structured_sky():
    rng = np.random.default_rng(1)
    scene = rng.gamma(0.5, 1.0, (6, 6))
    levels = np.array([0.5, 0.2, 0.9, 0.4])
    medians = levels[:, None, None] + scene
    medians[0, 3:], medians[1, :2], medians[2, :, 4:], medians[3, :, :2] = (
        np.nan,
        np.nan,
        np.nan,
        np.nan,
    )
    found = match_skies(medians)
    # One mean level cannot be known; the differences are exact.
    np.testing.assert_allclose(found - found[0], levels - levels[0], atol=1e-12)


def test_exposures_join_through_others():
    medians = np.full((3, 1, 6), np.nan)
    medians[0, 0, :3], medians[1, 0, 2:5], medians[2, 0, 4:] = 1.0, 2.0, 5.0
    np.testing.assert_allclose(match_skies(medians), [1.0, 2.0, 5.0], atol=1e-12)


def test_exposures_without_overlap_keep_their_own_level():
    medians = np.full((2, 1, 4), np.nan)
    medians[0, 0, :2], medians[1, 0, 2:] = 3.0, 7.0
    np.testing.assert_allclose(match_skies(medians), [3.0, 7.0])


def test_exposure_beside_the_tile_has_level_zero():
    medians = np.stack([np.full((2, 2), np.nan), np.full((2, 2), 4.0)])
    np.testing.assert_allclose(match_skies(medians), [0.0, 4.0])


def test_star_does_not_move_the_median_of_a_block():
    places = fields.places_of((0, 0))
    quiet = block_medians(np.full(places.shape[:2], 2.0), places, fields.LATTICE.shape)
    bright = block_medians(2.0 + fields.star(places, 80, 70, 1e5), places, fields.LATTICE.shape)
    np.testing.assert_array_equal(np.isfinite(quiet), np.isfinite(bright))
    np.testing.assert_allclose(bright[np.isfinite(bright)], 2.0, atol=1e-3)


def test_values_that_are_not_numbers_do_not_count():
    places = fields.places_of((0, 0))
    assert np.isnan(
        block_medians(np.full(places.shape[:2], np.nan), places, fields.LATTICE.shape)
    ).all()


def test_matched_inputs_agree_and_keep_what_does_not_count_at_zero():
    levels = [0.30, 0.45, 0.10, 0.20]
    inputs = fields.dithered(sigma=0.01)
    inputs = [
        fields.replace(item, data=item.data + level)
        for item, level in zip(inputs, levels, strict=True)
    ]
    hole = inputs[0].weight.copy()
    hole[10:20] = 0
    inputs[0] = fields.replace(inputs[0], weight=hole)
    subtracted, found = subtract_skies(inputs, fields.LATTICE)
    # Medians of some 1000 pixels of 0.01: 4e-4, a few blocks; four times.
    np.testing.assert_allclose(found - found[0], np.array(levels) - levels[0], atol=2e-3)
    assert (subtracted[0].data[10:20] == 0).all()
    assert all(abs(np.median(item.data)) < 2e-3 for item in subtracted)

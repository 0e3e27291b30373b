"""Skies of overlapping images, from their blocks."""

import numpy as np
import pytest

from tessella.astrometry.tangent import pixel_to_sky
from tessella.coadd.places import places_of
from tessella.coadd.sky_blocks import BLOCK, FEWEST, STRIDE, SkyBlocks, clipped_median, sky_blocks
from tessella.coadd.sky_levels import match_skies
from tessella.models import Lattice

REGION = Lattice(30.0, 60.0, 2499.5, 2499.5, 0.055, 5000, 5000)
SIDE = 256


def placed(dx=0.0, dy=0.0, turn=0.2):
    """An image of 256 x 256 pixels of two lattice pixels, turned about its middle."""

    def to_sky(x, y):
        u, v = 2 * (x - SIDE / 2), 2 * (y - SIDE / 2)
        across = u * np.cos(turn) - v * np.sin(turn) + 700.0 + dx
        up = u * np.sin(turn) + v * np.cos(turn) + 900.0 + dy
        return pixel_to_sky(REGION, across, up)

    return places_of(to_sky, (SIDE, SIDE), REGION)


def read_from(image, sigma=0.1, good=None):
    good = np.ones(image.shape, bool) if good is None else good

    def read(first, stop):
        variance = np.full((stop - first, image.shape[1]), sigma**2, np.float32)
        return image[first:stop].astype(np.float32), variance, good[first:stop]

    return read


def grid(x0, y0, side=8):
    """Blocks of an image with the middle of each from the image's centre [pixels]."""
    y, x = np.mgrid[:side, :side]
    blocks = np.stack([x.ravel() + x0, y.ravel() + y0], axis=-1)
    return blocks, (blocks - [x0, y0] - (side - 1) / 2) * BLOCK / 2


def images(offsets, slopes=None, noise=0.0, seed=1, shift=3):
    """Images on a row, each `shift` blocks beside the one before, on one structured sky."""
    rng = np.random.default_rng(seed)
    scene = rng.gamma(0.5, 1.0, (200, 8 * len(offsets) + 8))
    made = []
    for k, offset in enumerate(offsets):
        blocks, centers = grid(shift * k, k % 3)
        levels = scene[blocks[:, 1], blocks[:, 0]] + offset
        if slopes is not None:
            levels = levels + centers @ slopes[k]
        levels = levels + noise * rng.standard_normal(levels.size)
        made.append(SkyBlocks(blocks, levels, np.full(levels.size, 256), centers, 0.01))
    return made


def named(measured):
    return [f"image {k:03d}" for k in range(len(measured))]


OFFSETS = np.array([0.5, 0.2, 0.9, 0.4, 0.31, 0.77])


def test_offsets_are_recovered_over_a_structured_sky():
    measured = images(OFFSETS)
    found = match_skies(named(measured), measured, planes=False)
    # Differences of exact data: rounding, times the 60 or so blocks.
    np.testing.assert_allclose(np.diff(found.level), np.diff(OFFSETS), atol=1e-12)
    assert (found.component == 0).all()
    assert (found.slope_x == 0).all()


def test_errors_of_levels_are_those_of_least_squares():
    noise = 0.01
    errors = []
    for seed in range(20):
        measured = images(OFFSETS, noise=noise, seed=seed)
        found = match_skies(named(measured), measured, planes=False)
        errors.append(np.diff(found.level) - np.diff(OFFSETS))
    # Neighbours share at least 5 x 7 blocks: the difference of two means of 35, at best; others
    # that overlap both only help. The biweight at 6 sigma keeps 0.98 of the information.
    assert np.std(errors) < 1.05 * noise * np.sqrt(2 / 35)
    assert np.std(errors) > 0.5 * noise * np.sqrt(2 / 35)


def test_planes_are_recovered():
    rng = np.random.default_rng(5)
    slopes = 1e-4 * rng.standard_normal((len(OFFSETS), 2))
    measured = images(OFFSETS, slopes)
    found = match_skies(named(measured), measured, planes=True)
    got = np.stack([found.slope_x, found.slope_y], axis=-1)
    # All images lie alike: one slope common to all is part of the sky. The weak preference for
    # no slope, 1e-9 of the weight of the blocks, pulls by a millionth where few are shared.
    np.testing.assert_allclose(got - got[0], slopes - slopes[0], atol=1e-6 * 1e-4 * 5)


def test_outlying_blocks_do_not_count():
    measured = images(OFFSETS, noise=0.001)
    rng = np.random.default_rng(2)
    for item in measured:
        item.levels[rng.integers(0, item.levels.size, 6)] += 5.0
    found = match_skies(named(measured), measured, planes=False)
    # Five standard errors of the difference of two means of 35 blocks; a mean with the outlying
    # tenth would be off by half of a unit.
    np.testing.assert_allclose(
        np.diff(found.level), np.diff(OFFSETS), atol=5 * 0.001 * np.sqrt(2 / 30)
    )


def test_result_does_not_depend_on_the_order_of_images():
    measured = images(OFFSETS, noise=0.01)
    names = named(measured)
    straight = match_skies(names, measured, planes=True)
    order = [3, 0, 5, 1, 4, 2]
    turned = match_skies([names[k] for k in order], [measured[k] for k in order], planes=True)
    for name in vars(straight):
        np.testing.assert_array_equal(getattr(turned, name), getattr(straight, name)[order])


def test_components_keep_their_own_lowest_level():
    measured = images(np.array([0.5, 0.2])) + [
        SkyBlocks(item.blocks + 1000, item.levels + 7, item.counts, item.centers, 0.01)
        for item in images(np.array([0.1, 0.3]))
    ]
    found = match_skies(named(measured), measured, planes=False)
    assert found.component.tolist() == [0, 0, 1, 1]
    np.testing.assert_allclose(found.level[1], np.median(measured[1].levels), atol=1e-12)
    np.testing.assert_allclose(found.level[2], np.median(measured[2].levels), atol=1e-12)


def test_image_alone_keeps_its_level_and_one_without_blocks_has_zero():
    alone = images(np.array([0.4]))[0]
    empty = SkyBlocks(np.empty((0, 2), int), *np.empty((2, 0)), np.empty((0, 2)), np.nan)
    found = match_skies(["a", "b"], [alone, empty], planes=False)
    assert found.level.tolist() == [np.median(alone.levels), 0.0]
    assert found.n_blocks.tolist() == [0, 0]


def test_a_thousand_images_in_a_row_are_joined_end_to_end():
    offsets = np.random.default_rng(3).normal(0, 1, 1000)
    measured = images(offsets, shift=5)
    found = match_skies(named(measured), measured, planes=False)
    # A thousand differences of exact data, each of them rounding of numbers of order 1.
    np.testing.assert_allclose(found.level - found.level[0], offsets - offsets[0], atol=1e-9)


def test_crowded_blocks_are_thinned_and_still_join_all_images():
    offsets = np.random.default_rng(3).normal(0, 1, 150)
    measured = images(offsets, shift=0)
    found = match_skies(named(measured), measured, planes=False)
    np.testing.assert_allclose(found.level - found.level[0], offsets - offsets[0], atol=1e-9)


def test_image_elsewhere_changes_no_choice_among_crowded_blocks():
    offsets = np.random.default_rng(3).normal(0, 1, 100)
    measured = images(offsets, noise=0.01, shift=0)
    before = match_skies(named(measured), measured, planes=False)
    far = images(np.array([0.3]))[0]
    far = SkyBlocks(far.blocks + 5000, far.levels, far.counts, far.centers, 0.01)
    # By its name it is the first, and all others count one on.
    after = match_skies(["an image", *named(measured)], [far, *measured], planes=False)
    np.testing.assert_array_equal(after.level[1:], before.level)
    np.testing.assert_array_equal(after.n_blocks[1:], before.n_blocks)


def test_two_images_of_one_name_are_refused():
    with pytest.raises(ValueError, match="same name"):
        match_skies(["a", "a"], images(OFFSETS[:2]), planes=False)


def test_blocks_are_those_of_the_region_and_hold_the_sky():
    y, x = np.mgrid[:SIDE, :SIDE]
    image = 0.3 + 1e-4 * x + 0.1 * np.random.default_rng(1).standard_normal((SIDE, SIDE))
    places = placed()
    found = sky_blocks(places, read_from(image))
    centers = places.centers(0, SIDE)[::STRIDE, ::STRIDE].reshape(-1, 2)
    blocks, counts = np.unique((centers + 0.5) // BLOCK, axis=0, return_counts=True)
    expected = {tuple(block) for block, n in zip(blocks, counts, strict=True) if n >= FEWEST}
    assert {tuple(block) for block in found.blocks} == expected
    # Medians of at least 64 pixels of 0.1 within 3 sigma: 1.25 / 8 of 0.1; four times.
    sky = 0.3 + 1e-4 * (found.centers[:, 0] + (SIDE - 1) / 2)
    np.testing.assert_allclose(found.levels, sky, atol=4 * 1.25 * 0.1 / 8)
    assert found.variance == pytest.approx(0.01, rel=1e-6)


def test_image_with_few_good_pixels_has_their_level():
    rng = np.random.default_rng(6)
    image = 0.7 + 0.1 * rng.standard_normal((SIDE, SIDE))
    good = np.zeros(image.shape, bool)
    # The image lies on 25 blocks or more: some 600 samples are 64 on none of them.
    good[::STRIDE, ::STRIDE] = rng.random((SIDE // STRIDE, SIDE // STRIDE)) < 600 / 4096
    image[good & (rng.random(image.shape) < 0.05)] = 60.0
    found = sky_blocks(placed(), read_from(image, good=good))
    assert found.levels.size == 0
    assert found.variance > 0
    # The median of some 570 good ones of 0.1: 1.25 / sqrt(570) of it; four times.
    level = match_skies(["a"], [found], planes=False).level[0]
    assert level == pytest.approx(0.7, abs=4 * 1.25 * 0.1 / np.sqrt(570))


def test_sources_and_bad_pixels_do_not_move_a_block():
    rng = np.random.default_rng(4)
    image = 2.0 + 0.1 * rng.standard_normal((SIDE, SIDE))
    quiet = sky_blocks(placed(), read_from(image))
    busy, good = image.copy(), rng.random((SIDE, SIDE)) > 0.05
    busy[rng.random((SIDE, SIDE)) < 0.1] += rng.exponential(50.0)
    busy[~good] = np.nan
    found = sky_blocks(placed(), read_from(busy, good=good))
    known = {tuple(b): level for b, level in zip(quiet.blocks, quiet.levels, strict=True)}
    shifts = [known[tuple(b)] - v for b, v in zip(found.blocks, found.levels, strict=True)]
    assert len(shifts) >= len(known) - 2
    # The tenth that is light is clipped; what stays shifts the median by its own error.
    assert np.abs(shifts).max() < 4 * 1.25 * 0.1 / np.sqrt(FEWEST)


def test_images_of_the_same_sky_agree_wherever_they_lie():
    rng = np.random.default_rng(6)
    levels, measured = [0.30, 0.45, 0.10], []
    for level, (dx, dy, turn) in zip(
        levels, ((0, 0, 0), (60, -80, 0.3), (-90, 40, 1.7)), strict=True
    ):
        image = level + 0.1 * rng.standard_normal((SIDE, SIDE))
        measured.append(sky_blocks(placed(dx, dy, turn), read_from(image)))
    found = match_skies(named(measured), measured, planes=False)
    # Medians of some 2000 shared pixels of 0.1 each: 1.25 * 0.1 / sqrt(2000) * sqrt(2); four times.
    np.testing.assert_allclose(np.diff(found.level), np.diff(levels), atol=0.016)


def test_image_without_good_pixels_has_no_sky():
    image = np.full((SIDE, SIDE), 3.0)
    found = sky_blocks(placed(), read_from(image, good=np.zeros(image.shape, bool)))
    assert found.levels.size == 0
    assert np.isnan(found.variance)


def test_median_of_values_that_are_all_equal_is_theirs():
    assert clipped_median(np.full(9, 1.5)) == (1.5, 0, 9)

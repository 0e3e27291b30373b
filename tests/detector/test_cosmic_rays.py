"""Cosmic rays: as many, as long and as bright as their numbers say."""

import numpy as np
import pytest

from tessella.detector.cosmic_rays import FLUX, draw_cosmic_rays, split_track


def test_shares_of_a_track_follow_its_length_in_each_pixel():
    columns, rows, share = split_track((0.0, 0.0), (3.0, 3.0))
    assert columns.tolist() == rows.tolist() == [0, 1, 2, 3]
    np.testing.assert_allclose(share, [1 / 6, 1 / 3, 1 / 3, 1 / 6])


def test_track_is_the_same_in_both_directions():
    there = split_track((0.2, 4.9), (7.1, 1.3))
    back = split_track((7.1, 1.3), (0.2, 4.9))
    np.testing.assert_array_equal(there[0], back[0][::-1])
    np.testing.assert_allclose(there[2], back[2][::-1])
    assert there[2].sum() == pytest.approx(1.0)


def test_steep_track_agrees_with_fine_steps():
    start, end = np.array([1.7, -0.4]), np.array([2.9, 9.2])
    along = (np.arange(200000) + 0.5) / 200000
    points = np.floor(start + along[:, None] * (end - start) + 0.5).astype(int)
    columns, rows, share = split_track(tuple(start), tuple(end))
    for column, row, part in zip(columns, rows, share, strict=True):
        counted = np.mean((points == (column, row)).all(axis=1))
        # Each end of a piece is known to one step.
        assert part == pytest.approx(counted, abs=2e-5)


def test_number_of_hits_follows_the_flux():
    # Short times, so that hits do not touch: count bright separate places of many draws.
    shape, time = (128, 128), 3.0
    rng = np.random.default_rng(5)
    expected = FLUX * 128 * 128 * 1e-6 * time
    from scipy.ndimage import label

    counts = [label(draw_cosmic_rays(shape, time, rng) > 0, np.ones((3, 3)))[1] for _ in range(400)]
    # Poisson error of the mean, 2.5 %; a few tracks leave the edge or are too faint: 5 % more.
    assert np.mean(counts) == pytest.approx(expected, rel=0.15)


def test_typical_hit_has_thousands_of_electrons():
    # Mode of the loss, 120 eV / um, over at least 11 um at 0.5 eV an electron: 2700.
    electrons = draw_cosmic_rays((512, 512), 100.0, np.random.default_rng(2))
    hits = electrons[electrons > 0]
    assert 500 < np.median(hits) < 5000
    assert (hits == np.rint(hits)).all()


def test_no_time_no_hits():
    assert draw_cosmic_rays((64, 64), 0.0, np.random.default_rng(1)).sum() == 0

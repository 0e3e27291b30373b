"""The vote of pairs: it finds a shift and a turn, and knows what chance does."""

import numpy as np
import pytest
from scipy.spatial import cKDTree

from tessella.astrometry import pair_votes
from tessella.astrometry.pair_votes import find_tie, turned, voters

RADIUS, TURN = 30.0, np.radians(300 / 3600)
ORIGIN = np.zeros(2)


def square(n, rng, half=220.0):
    return rng.uniform(-half, half, (n, 2))


def test_offsets_are_counted_as_all_pairs_would_be():
    rng = np.random.default_rng(1)
    stars, references = square(300, rng), square(200, rng)
    counts = pair_votes._offset_counts([stars], [references], RADIUS)
    offsets = (stars[:, None] - references).reshape(-1, 2)
    offsets = offsets[np.hypot(*offsets.T) < RADIUS]
    edges = (np.arange(counts.shape[0] + 1) - counts.shape[0] // 2) * pair_votes.CELL
    np.testing.assert_array_equal(counts, np.histogram2d(*offsets.T, [edges, edges])[0])


@pytest.mark.parametrize("box", [2, 4])
def test_boxes_hold_the_sums_of_their_cells(box):
    counts = np.random.default_rng(2).poisson(1.0, (16, 16))
    windows = np.lib.stride_tricks.sliding_window_view(counts, (box, box))
    np.testing.assert_array_equal(pair_votes._boxed(counts, box), windows.sum(axis=(2, 3)))


@pytest.mark.parametrize("turn_arcsec", [0.0, 130.0, -300.0])
def test_shift_and_turn_are_found_among_other_peaks(turn_arcsec):
    rng = np.random.default_rng(3)
    sky, turn = square(40, rng), np.radians(turn_arcsec / 3600)
    stars = np.concatenate([turned(sky, turn, ORIGIN) + [-21.0, 20.0], square(40, rng)])
    tie = find_tie([stars], [sky], ORIGIN, RADIUS, TURN)
    # Half a step of the turn displaces the outermost star by 0.25 arcsec, and a box of 1 arcsec
    # has its middle within 0.5 of all its votes.
    np.testing.assert_allclose(tie.shift, [-21.0, 20.0], atol=0.75)
    assert tie.votes > 20
    assert tie.chance < 1e-10


def test_detectors_vote_together():
    rng = np.random.default_rng(4)
    skies = [square(2, rng) + [500.0 * k, 0.0] for k in range(6)]
    stars = [np.concatenate([sky + [14.0, 25.0], square(12, rng) + sky.mean(0)]) for sky in skies]
    pivot = np.array([1250.0, 0.0])
    alone = find_tie(stars[:1], skies[:1], pivot, RADIUS, 0.0)
    together = find_tie(stars, skies, pivot, RADIUS, 0.0)
    assert alone.chance > 1e-5
    assert together.chance < 1e-10
    np.testing.assert_allclose(together.shift, [14.0, 25.0], atol=0.5)


@pytest.mark.parametrize(("n", "m"), [(16, 10), (150, 80), (800, 2000)])
def test_chance_is_not_underestimated(n, m):
    """Of unrelated fields, no larger share than p has a chance below p."""
    rng = np.random.default_rng(5)
    ties = [
        find_tie([square(n, rng)], [square(m, rng, 250.0)], ORIGIN, RADIUS, 0.0) for _ in range(20)
    ]
    # One of twenty fields has 0.05 or less, by expectation; four or more: 1.6 % of all such tests.
    assert sum(tie.chance < 0.05 for tie in ties) < 4
    assert min(tie.chance for tie in ties) > 1e-4


def test_a_crowded_centre_is_no_agreement():
    """Two clusters on top of each other have many pairs at small offsets, but none agree."""
    rng = np.random.default_rng(6)
    stars, references = 5 * rng.standard_normal((2, 400, 2))
    assert find_tie([stars], [references], ORIGIN, RADIUS, 0.0).chance > 1e-5


def test_doubles_do_not_vote_twice():
    stars = np.array([[0.0, 0.0], [0.03, 0.0], [0.0, 0.03], [0.03, 0.03]])
    tie = find_tie([stars], [stars - [9.0, 9.0]], ORIGIN, RADIUS, 0.0)
    assert tie.votes <= 4


def test_no_pairs_no_tie():
    tie = find_tie([np.zeros((1, 2))], [np.full((1, 2), 100.0)], ORIGIN, 6.0, TURN)
    assert (tie.votes, tie.chance) == (0, 1.0)
    none = np.zeros((0, 2))
    assert find_tie([none], [none], ORIGIN, 6.0, TURN).votes == 0


def test_satellites_of_bright_stars_do_not_vote():
    rng = np.random.default_rng(3)
    sky = rng.uniform(-60, 60, (25, 2))
    stars = sky + [1.3, -0.7]
    ring = [[0.9, 0.0], [0.0, 0.9], [-0.9, 0.0], [0.0, -0.9], [0.6, 0.6], [-0.6, 0.6]]
    satellites = np.concatenate([stars[:16] + offset for offset in ring])
    peaks = np.concatenate([stars, satellites])
    flux = np.concatenate([np.full(25, 1000.0), np.full(len(satellites), 30.0)])
    leading = voters(peaks, flux, 2.5)
    assert leading.max() < 25
    tie = find_tie([peaks[leading]], [sky], ORIGIN, 6.0, 0.0)
    # Places within half a box of 0.25 arcsec, or a box more where votes are split.
    np.testing.assert_allclose(tie.shift, [1.3, -0.7], atol=0.25)
    # Two of 25 stars stand within 2.5 arcsec of another that is as bright: both lead.
    assert tie.votes >= 20


def test_voters_are_those_of_a_search_around_each_star():
    rng = np.random.default_rng(7)
    stars, flux = square(3000, rng, 60.0), rng.exponential(1.0, 3000)
    around = cKDTree(stars).query_ball_point(stars, 2.5)
    expected = [i for i, near in enumerate(around) if flux[i] >= flux[near].max()]
    assert sorted(voters(stars, flux, 2.5).tolist()) == expected

"""Snowballs are covered with their halo; tracks of cosmic rays stay what they are."""

import numpy as np
import pytest

from tessella.detector.cosmic_rays import draw_cosmic_rays
from tessella.detector.snowballs import draw_snowball, draw_snowballs, expand_snowballs

N = 8
SATURATION = 1.1e5
#: Jumps are found above 4.5 times the noise of a difference of two means of 5 reads, 10 electrons
#: each.
JUMP = 4.5 * 10 * (2 / 5) ** 0.5


def search(events):
    """Return jumps and first saturated resultants of events by resultant [electrons]."""
    charge = np.cumsum(events, axis=0)
    saturated = charge >= SATURATION
    first = np.where(saturated.any(axis=0), saturated.argmax(axis=0), N).astype(np.uint8)
    # The fit sees no saturated resultant.
    jumps = np.argwhere((events > JUMP) & ~saturated).astype(np.int16)
    return jumps, first


def as_mask(places, shape):
    mask = np.zeros(shape, bool)
    mask[tuple(np.asarray(places).T)] = True
    return mask


@pytest.mark.parametrize("seed", range(8))
def test_halo_is_covered(seed):
    rng = np.random.default_rng(seed)
    shape = (N, 160, 160)
    core, scale = rng.uniform(1, 6), rng.uniform(1, 3)
    y, x = rng.uniform(50, 110, 2)
    events = np.zeros(shape)
    events[3] = draw_snowball(shape[1:], y, x, rng, core_radius=core, halo_scale=scale)
    jumps, first = search(events)
    covered = as_mask(jumps, shape) | as_mask(expand_snowballs(jumps, first, N), shape)
    halo = events[3] > 0
    found = as_mask(jumps, shape)[3] | (first == 3)
    # The search misses a faint rim, which the circle covers to the last electron but a few that
    # lie beyond 1.9 of the radius: a part of exp(-0.9 radius / scale) of 28 electrons a pixel.
    assert (halo & ~found).sum() > 50
    assert (events[3] * ~covered[3]).sum() < 1e-3 * (events[3] * ~found).sum()
    assert not covered[:3].any()


def test_core_is_not_trusted_again():
    rng = np.random.default_rng(1)
    events = np.zeros((N, 100, 100))
    events[3] = draw_snowball((100, 100), 50, 40, rng, core_radius=4.0)
    jumps, first = search(events)
    flagged = as_mask(expand_snowballs(jumps, first, N), events.shape)
    y, x = np.mgrid[:100, :100]
    distance = np.hypot(y - 50, x - 40)
    for later in range(4, N):
        # The core's area is that of a circle of 4 pixels to a pixel's width.
        assert flagged[later][distance < 5.5].all()
        assert not flagged[later][distance > 6.6].any()
    assert flagged[3][(distance > 8) & (distance < 20) & ~as_mask(jumps, events.shape)[3]].any()


def test_tracks_of_cosmic_rays_are_not_expanded():
    rng = np.random.default_rng(3)
    shape = (N, 1024, 1024)
    events = np.stack([draw_cosmic_rays(shape[1:], 15.0, rng) for _ in range(N)])
    jumps, first = search(events)
    assert len(jumps) > 2000
    # Some tracks are longer than the least area.
    assert expand_snowballs(jumps, first, N, sat_required=False).size > 0
    assert expand_snowballs(jumps, first, N).size == 0


def test_saturated_stars_are_not_snowballs():
    events = np.zeros((N, 64, 64))
    y, x = np.mgrid[:64, :64]
    events += 6e4 * np.exp(-((y - 30) ** 2 + (x - 30) ** 2) / 18)
    saturated = np.cumsum(events, axis=0) >= SATURATION
    first = np.where(saturated.any(axis=0), saturated.argmax(axis=0), N).astype(np.uint8)
    assert (first < N).sum() > 20
    # A steady ramp has no jumps but for a few stray ones.
    stray = np.array([[2, 30, 36], [4, 10, 10]], np.int16)
    assert expand_snowballs(stray, first, N).size == 0
    assert expand_snowballs(stray[:0], first, N).shape == (0, 3)


def test_long_track_with_a_saturated_pixel_gets_a_circle_of_its_area():
    jumps = np.array([[2, 50, x] for x in range(20, 80)], np.int16)
    first = np.full((100, 100), N, np.uint8)
    first[50, 50] = 2
    flagged = as_mask(expand_snowballs(jumps, first, N, min_sat_radius_extend=9.0), (N, 100, 100))
    y, x = np.mgrid[:100, :100]
    distance = np.hypot(y - 50, x - 49.5)
    radius = 1.9 * (60 / np.pi) ** 0.5
    expected = (distance <= radius) & ~as_mask(jumps, (N, 100, 100))[2]
    np.testing.assert_array_equal(flagged[2], expected)
    assert not flagged[3:].any()


def test_result_is_sorted_new_and_unique_whatever_the_order_of_jumps():
    rng = np.random.default_rng(5)
    events = np.zeros((N, 200, 200))
    for resultant, y, x in [(2, 40, 40), (2, 150, 60), (5, 45, 47), (7, 199, 0)]:
        events[resultant] += draw_snowball((200, 200), y, x, rng)
    jumps, first = search(events)
    found = expand_snowballs(jumps, first, N)
    keys = np.ravel_multi_index(tuple(found.T.astype(int)), events.shape)
    assert found.dtype == np.int16
    assert (np.diff(keys) > 0).all()
    assert not np.isin(keys, np.ravel_multi_index(tuple(jumps.T.astype(int)), events.shape)).any()
    np.testing.assert_array_equal(expand_snowballs(rng.permutation(jumps), first, N), found)


def test_snowball_in_the_middle_of_a_resultant_is_found():
    rng = np.random.default_rng(6)
    ball = draw_snowball((100, 100), 50, 50, rng)
    events = np.zeros((N, 100, 100))
    # A quarter of the reads of resultant 3 came after it: its core saturates in the next one.
    events[3], events[4] = 0.25 * ball, 0.75 * ball
    jumps, first = search(events)
    assert first.min() == 4
    flagged = as_mask(expand_snowballs(jumps, first, N), events.shape)
    covered = flagged | as_mask(jumps, events.shape)
    # One electron of the three parts of four that a pixel shows first.
    assert covered[3][ball > 4].all()
    assert covered[4][ball > 4].all()


@pytest.mark.parametrize(("edge_size", "is_found"), [(0.0, False), (3.0, True)])
def test_core_may_lie_beyond_the_edge(edge_size, is_found):
    y, x = (i.ravel() for i in np.mgrid[40:50, 0:2])
    jumps = np.column_stack([np.full(20, 2), y, x]).astype(np.int16)
    first = np.full((100, 100), N, np.uint8)
    assert (expand_snowballs(jumps, first, N, edge_size=edge_size).size > 0) == is_found


def test_least_areas_are_limits():
    y, x = (i.ravel() for i in np.mgrid[10:13, 10:13])
    places = np.column_stack([np.full(9, 2), y, x]).astype(np.int16)
    first = np.full((64, 64), N, np.uint8)
    first[11, 11] = 2
    jumps = places[(y != 11) | (x != 11)]
    assert expand_snowballs(jumps, first, N, min_jump_area=8).size > 0
    assert expand_snowballs(jumps, first, N, min_jump_area=9).size == 0
    assert expand_snowballs(jumps, first, N, min_sat_area=2).size == 0


def test_charge_of_a_snowball_is_that_of_its_profile():
    total = draw_snowball((128, 128), 64, 64, np.random.default_rng(7), 5.0, 1e5, 2e4, 3.0).sum()
    # A disc and, around it, the integral of 2 pi r exp(-(r - 5) / 3).
    expected = np.pi * 25 * 1e5 + 2e4 * 2 * np.pi * 3 * (5 + 3)
    # 81 pixels stand for the 78.5 of the disc, and the halo has as many fewer.
    assert total == pytest.approx(expected, rel=0.04)


def test_snowballs_are_as_many_as_their_rate():
    rng = np.random.default_rng(8)
    # 0.004 cm^2.
    flux = 0.05 / (64 * 1e-3) ** 2
    drawn = [draw_snowballs((64, 64), 10.0, flux, rng).any() for _ in range(400)]
    # One or more with probability 1 - exp(-0.5) = 0.39; binomial error 0.024.
    assert np.mean(drawn) == pytest.approx(1 - np.exp(-0.5), abs=0.075)


def test_places_that_do_not_exist_are_refused():
    first = np.full((64, 64), N, np.uint8)
    for place in ([N, 0, 0], [0, 64, 0], [0, 0, -1]):
        with pytest.raises(ValueError, match="within"):
            expand_snowballs(np.array([place], np.int16), first, N)

"""Shards cover the sky once, and a circle finds all that it touches."""

import numpy as np
import pytest

from tessella.sky.shards import N_ZONES, PARTS, n_parts, shard_of, shards_near


def points(n, seed=1):
    rng = np.random.default_rng(seed)
    return rng.uniform(0, 360, n), np.degrees(np.arcsin(rng.uniform(-1, 1, n)))


def test_shards_are_a_degree_wide_and_as_many_as_they_should_be():
    zone = np.arange(N_ZONES)
    nearest = np.minimum(np.abs(zone - 90), np.abs(zone - 89))
    width = 360 / n_parts(zone) * np.cos(np.radians(nearest))
    assert (width >= 1).all()
    assert n_parts(zone).max() <= PARTS
    # The area of the sky is 41253 square degrees.
    assert n_parts(zone).sum() == pytest.approx(41253, rel=0.01)


def test_a_point_is_in_the_bounds_of_its_shard():
    ra, dec = points(10_000)
    zone, part = np.divmod(shard_of(ra, dec), PARTS)
    assert ((dec >= zone - 90) & (dec < zone - 89)).all()
    left = part * 360 / n_parts(zone)
    assert ((ra >= left - 1e-9) & (ra < left + 360 / n_parts(zone) + 1e-9)).all()


@pytest.mark.parametrize(("ra", "dec"), [(0, 90), (360, -90), (360, 0), (-0.0, 10), (720, 45)])
def test_edges_of_the_sky_belong_to_a_shard(ra, dec):
    zone, part = divmod(int(shard_of(ra, dec)), PARTS)
    assert 0 <= zone < N_ZONES
    assert 0 <= part < n_parts(zone)


@pytest.mark.parametrize("centre", [(0.1, 0.2), (359.9, 60.0), (200.0, 89.2), (10.0, -89.99)])
@pytest.mark.parametrize("radius", [0.01, 0.7, 3.0])
def test_a_circle_finds_the_shards_of_all_its_points(centre, radius):
    rng = np.random.default_rng(2)
    away = np.radians(radius * np.append(np.sqrt(rng.random(5000)), np.ones(5000)))
    angle = rng.uniform(0, 2 * np.pi, away.size)
    ra0, dec0 = np.radians(centre)
    east, north, out = np.sin(away) * np.sin(angle), np.sin(away) * np.cos(angle), np.cos(away)
    dec = np.arcsin(np.clip(out * np.sin(dec0) + north * np.cos(dec0), -1, 1))
    ra = ra0 + np.arctan2(east, out * np.cos(dec0) - north * np.sin(dec0))
    inside = set(shard_of(np.degrees(ra) % 360, np.degrees(dec)).tolist())
    found = shards_near(*centre, radius).tolist()
    assert inside <= set(found)
    # A shard is at most 1.5 degrees wide: few are named in vain, but at the poles.
    if abs(centre[1]) < 80:
        assert len(found) <= (2 * radius + 3) ** 2


def test_circles_together_are_those_alone():
    ra, dec = points(200)
    alone = {shard for a, d in zip(ra, dec, strict=True) for shard in shards_near(a, d, 0.5)}
    assert shards_near(ra, dec, 0.5).tolist() == sorted(alone)


def test_no_circle_no_shard():
    assert shards_near([], [], 1.0).size == 0

"""Regions that directions belong to, and regions that circles reach."""

import numpy as np
import pytest

from tessella.sky.region_search import region_indices, region_of, regions_near
from tessella.sky.tessellation import regions


def holders(ra, dec):
    """Number of regions whose bounds hold each direction, and the last of them."""
    number, last, rings = np.zeros(ra.shape, int), np.full(ra.shape, -1), {}
    for region in regions():
        bounds = (region.dec_min, region.dec_max)
        if bounds not in rings:
            rings[bounds] = np.flatnonzero((dec > bounds[0] - 1e-6) & (dec < bounds[1] + 1e-6))
        near = rings[bounds]
        inside = near[region.contains(ra[near], dec[near])]
        number[inside] += 1
        last[inside] = region.index
    return number, last


def assert_one_holds(ra, dec):
    """Bounds of regions and arithmetic of rings agree: one region holds each direction."""
    number, last = holders(ra, dec)
    assert (number == 1).all()
    np.testing.assert_array_equal(region_indices(ra, dec), last)


def test_every_direction_belongs_to_one_region():
    rng = np.random.default_rng(1)
    ra, dec = rng.uniform(0, 360, 100_000), np.degrees(np.arcsin(rng.uniform(-1, 1, 100_000)))
    assert_one_holds(ra, dec)


def test_directions_on_bounds_belong_to_one_region():
    bounds = np.array([[r.ra_min, r.ra_max, r.dec_min, r.dec_max] for r in regions()])
    ra = np.concatenate([bounds[:, 0], bounds[:, 1]])
    dec = np.tile((bounds[:, 2] + bounds[:, 3]) / 2, 2)
    for near in (ra, np.nextafter(ra, -1), np.nextafter(ra, 999), ra - 360):
        assert_one_holds(near, dec)
    edges = np.concatenate([bounds[:, 2], bounds[:, 3]])
    middle = np.tile(bounds[:, 1] - 0.1, 2)
    for near in (
        edges,
        np.clip(np.nextafter(edges, -99), -90, 90),
        np.clip(np.nextafter(edges, 99), -90, 90),
    ):
        assert_one_holds(middle, near)


@pytest.mark.parametrize("ra", [0.0, -0.0, 360.0, -1e-300, np.nextafter(360.0, 0), 720.0])
@pytest.mark.parametrize("dec", [90.0, -90.0, 0.0, -0.0, 86.4, 88.2005, -88.2])
def test_poles_and_the_meridian_belong_to_one_region(ra, dec):
    assert_one_holds(np.array([ra]), np.array([dec]))


def test_region_holds_its_tangent_point():
    for region in regions()[::41]:
        assert region_of(region.ra_tangent, region.dec_tangent) is region


@pytest.mark.parametrize("direction", [(10.0, 91.0), (np.nan, 0.0), (0.0, np.nan), (np.inf, 0.0)])
def test_direction_that_is_none_is_refused(direction):
    with pytest.raises(ValueError, match="no region"):
        region_of(*direction)


def test_circle_reaches_the_regions_of_all_its_points():
    rng = np.random.default_rng(2)
    n = 2000
    ra, dec = rng.uniform(0, 360, n), np.degrees(np.arcsin(rng.uniform(-1, 1, n)))
    # Some on poles, on the meridian and on bounds.
    dec[:4], ra[4:8], dec[8:12] = [90, -90, 89.9, -89.9], [0, 360, 1e-9, 359.999], 88.2006
    radius = rng.uniform(0.0, 3.0, n)
    circle, region = regions_near(ra, dec, radius)
    found = set(zip(circle.tolist(), region.tolist(), strict=True))
    assert len(found) == len(circle)
    bearing = rng.uniform(0, 2 * np.pi, (40, n))
    away = np.radians(radius * np.sqrt(rng.uniform(0, 1, (40, n))))
    a, d = np.radians(ra), np.radians(dec)
    sine = np.sin(d) * np.cos(away) + np.cos(d) * np.sin(away) * np.cos(bearing)
    there = np.degrees(np.arcsin(np.clip(sine, -1, 1)))
    across = np.arctan2(np.sin(bearing) * np.sin(away) * np.cos(d), np.cos(away) - np.sin(d) * sine)
    indices = region_indices(np.degrees(a + across), there)
    wanted = {(k, index) for row in indices.tolist() for k, index in enumerate(row)}
    assert wanted <= found

"""The official tessellation of the sky."""

import warnings

import asdf
import exposures
import numpy as np
import pytest

from tessella.astrometry.tangent import pixel_to_sky
from tessella.models import Lattice
from tessella.sky.tessellation import (
    CELL_SIZE,
    cell_lattice,
    cell_name,
    cells_of,
    cells_touched,
    lattice_of,
    region_of,
    regions,
)


def holders(ra, dec):
    """Number of regions that each direction belongs to; only those of near rings are asked."""
    number, rings = np.zeros(ra.shape, int), {}
    for region in regions():
        bounds = (region.dec_min, region.dec_max)
        if bounds not in rings:
            rings[bounds] = np.flatnonzero((dec > bounds[0] - 1e-6) & (dec < bounds[1] + 1e-6))
        near = rings[bounds]
        number[near] += region.contains(ra[near], dec[near])
    return number


@pytest.fixture(scope="module")
def official():
    path = exposures.SHARED / "data" / "roman" / "skycells" / "skymap_subset.asdf"
    if not path.is_file():
        pytest.skip(f"{path} is not here")
    with warnings.catch_warnings():
        # Its writer's extensions are not installed.
        warnings.simplefilter("ignore")
        with asdf.open(path, memmap=False) as file:
            roman = file["roman"]
            return {name: np.array(roman[name]) for name in ("projection_regions", "skycells")}


def test_there_are_4058_regions_in_their_order():
    assert [region.index for region in regions()] == list(range(4058))
    assert regions()[0].dec_tangent == 90
    assert regions()[-1].dec_tangent == -90


@pytest.mark.parametrize(("index", "count"), [(0, 1985), (1, 2001)])
def test_regions_have_the_official_number_of_cells(index, count):
    assert len(cells_of(regions()[index])) == count


def test_every_direction_belongs_to_one_region():
    rng = np.random.default_rng(1)
    ra, dec = rng.uniform(0, 360, 100_000), np.degrees(np.arcsin(rng.uniform(-1, 1, 100_000)))
    assert (holders(ra, dec) == 1).all()


def test_directions_on_bounds_belong_to_one_region():
    bounds = np.array([[r.ra_min, r.ra_max, r.dec_min, r.dec_max] for r in regions()])
    ra = np.concatenate([bounds[:, 0], bounds[:, 1]])
    dec = np.tile((bounds[:, 2] + bounds[:, 3]) / 2, 2)
    for near in (ra, np.nextafter(ra, -1), np.nextafter(ra, 999), ra - 360):
        assert (holders(near, dec) == 1).all()
    edges = np.concatenate([bounds[:, 2], bounds[:, 3]])
    middle = np.tile(bounds[:, 1] - 0.1, 2)
    for near in (
        edges,
        np.clip(np.nextafter(edges, -99), -90, 90),
        np.clip(np.nextafter(edges, 99), -90, 90),
    ):
        assert (holders(middle, near) == 1).all()


def test_region_holds_its_tangent_point():
    for region in regions()[::41]:
        assert region_of(region.ra_tangent, region.dec_tangent) is region


def test_direction_that_is_none_is_refused():
    with pytest.raises(ValueError, match="no region"):
        region_of(10.0, 91.0)


def test_regions_are_the_official_ones(official):
    for row in official["projection_regions"]:
        region = regions()[int(row["index"])]
        for name in ("ra_tangent", "dec_tangent", "ra_min", "ra_max", "dec_min", "dec_max"):
            assert (getattr(region, name) - row[name] + 180) % 360 - 180 == pytest.approx(
                0, abs=1e-9
            ), name
        assert (region.nx, region.ny) == (row["nx"], row["ny"])


def test_cells_have_their_official_names_and_places(official):
    # The table's last row is the first cell of the next region.
    rows = {str(row["name"]): row for row in official["skycells"][: 1985 + 2001]}
    ours = {}
    for index in (0, 1):
        region = regions()[index]
        for column, row in cells_of(region):
            ours[cell_name(region, column, row)] = cell_lattice(region, column, row)
    assert set(ours) == set(rows)
    middle = np.full(1, (CELL_SIZE - 1) / 2)
    for name, lattice in ours.items():
        ra, dec = pixel_to_sky(lattice, middle, middle)
        assert lattice.skycell == name
        assert dec[0] == pytest.approx(rows[name]["dec_center"], abs=1e-9)
        across = (ra[0] - rows[name]["ra_center"] + 180) % 360 - 180
        assert across * np.cos(np.radians(dec[0])) == pytest.approx(0, abs=1e-9)


def test_rectangles_of_a_region_share_one_lattice():
    region = regions()[1]
    cell, part = (
        cell_lattice(region, 3, -2),
        lattice_of(region, 3 * 4800 + 70, -2 * 4800 + 11, 100, 90),
    )
    x, y = np.arange(10.0), np.arange(10.0)
    np.testing.assert_allclose(
        np.stack(pixel_to_sky(part, x, y)), np.stack(pixel_to_sky(cell, x + 70, y + 11)), atol=1e-12
    )
    assert isinstance(part, Lattice)


def test_touched_cells_are_those_that_hold_the_points():
    region = regions()[1]
    lattice = cell_lattice(region, 2, 1)
    inner = pixel_to_sky(lattice, np.array([300.0, 4000.0]), np.array([300.0, 4000.0]))
    assert cells_touched(region, *inner) == [(2, 1)]
    # Neighbours overlap by 200 pixels.
    shared = pixel_to_sky(lattice, np.array([50.0, 60.0]), np.array([2000.0, 2010.0]))
    assert cells_touched(region, *shared) == [(1, 1), (2, 1)]

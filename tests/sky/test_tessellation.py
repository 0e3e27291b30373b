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
    lattice_of,
    regions,
)


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


def test_there_are_8045034_cells():
    assert sum(len(cells_of(region)) for region in regions()) == 8_045_034


def test_names_of_cells_are_those_of_one_region():
    assert len({cell_name(region, 0, 0) for region in regions()}) == len(regions())


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
    assert list(ours) == list(rows)
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

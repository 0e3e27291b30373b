from dataclasses import asdict

import numpy as np
import pytest
from planned_exposures import MARGIN, WINDOW, exposure

from tessella.models import Lattice, Window
from tessella.plan.patches import PATCH_CELLS, patch_name, plan_patches
from tessella.plan.tiles import Tile, plan_tiles, tiles_of_groups
from tessella.sky.tessellation import CELL_PITCH, cell_lattice, lattice_of, place_of, regions

REGION = regions()[2734]
PAIRS = [("a", "WFI01"), ("b", "WFI01"), ("c", "WFI02")]


def tile(column, row, members=None, grouping="full", region=REGION):
    return Tile(grouping, cell_lattice(region, column, row), members or {"F158": PAIRS[:1]})


def test_cells_of_one_patch_are_put_together():
    tiles = [tile(-2, -2), tile(5, 5), tile(0, 0)]
    (patch,) = plan_patches(tiles, PAIRS).values()
    assert patch.tiles == [one.name for one in tiles]
    lattice = Lattice(**patch.lattice)
    assert lattice == lattice_of(REGION, -2 * CELL_PITCH, -2 * CELL_PITCH, 38600, 38600)
    assert patch.region == 2734


def test_patch_is_the_smallest_rectangle_around_its_tiles():
    (patch,) = plan_patches([tile(0, 1), tile(2, 1)], PAIRS).values()
    assert place_of(Lattice(**patch.lattice)) == (0, CELL_PITCH)
    assert (patch.lattice["nx"], patch.lattice["ny"]) == (2 * CELL_PITCH + 5000, 5000)


def test_patches_are_at_most_eight_cells_wide_and_share_no_tile():
    cells = [(column, row) for column in range(-25, 26, 3) for row in (-25, -3, -2, 5, 6, 25)]
    patches = plan_patches([tile(*cell) for cell in cells], PAIRS)
    names = [name for patch in patches.values() for name in patch.tiles]
    assert sorted(names) == sorted(tile(*cell).name for cell in cells)
    largest = (PATCH_CELLS - 1) * CELL_PITCH + 5000
    assert all(max(p.lattice["nx"], p.lattice["ny"]) <= largest for p in patches.values())


def test_patch_of_a_tile_does_not_depend_on_other_tiles():
    alone = plan_patches([tile(3, 4)], PAIRS)
    among = plan_patches([tile(-20, -20), tile(2, 4), tile(3, 4)], PAIRS)
    assert set(alone) < set(among)


def test_groups_and_regions_have_patches_of_their_own():
    other = regions()[2735]
    tiles = [tile(0, 0), tile(0, 0, grouping="user"), tile(0, 0, region=other)]
    patches = plan_patches(tiles, PAIRS)
    assert sorted(patches) == ["full_2734x06y06", "full_2735x06y06", "user_2734x06y06"]
    for name, patch in patches.items():
        assert name == patch_name(patch.grouping, Lattice(**patch.lattice))


def test_members_are_those_of_all_tiles_in_the_order_of_adding():
    tiles = [
        tile(0, 0, {"F158": [PAIRS[0], PAIRS[2]]}),
        tile(1, 0, {"F106": [PAIRS[1]], "F158": [PAIRS[2]]}),
        tile(2, 0, {"F158": PAIRS[1:]}),
    ]
    (patch,) = plan_patches(tiles, PAIRS).values()
    assert patch.members == {"F106": [list(PAIRS[1])], "F158": [list(pair) for pair in PAIRS]}
    backwards = plan_patches(tiles, PAIRS[::-1])
    assert next(iter(backwards.values())).members["F158"] == [list(p) for p in PAIRS[::-1]]


def test_cutout_is_a_patch_whatever_its_size():
    exposures = [exposure(1, 12.1), exposure(2, 12.1, element="F106")]
    tiles = plan_tiles(exposures, WINDOW, 50_000, MARGIN)
    (patch,) = plan_patches(tiles, [(one.name, "WFI01") for one in exposures]).values()
    assert patch.lattice == asdict(tiles[0].lattice)
    assert patch.tiles == [tiles[0].name]


def test_every_exposure_is_in_the_patches_of_all_cells_it_reaches():
    exposures = [exposure(k, 12.1 + 0.6 * k, 85.0 + 0.02 * k) for k in range(6)]
    tiles = plan_tiles(exposures, Window(), None, MARGIN)
    patches = plan_patches(tiles, [(one.name, "WFI01") for one in exposures])
    for one in tiles:
        patch = patches[patch_name("full", one.lattice)]
        assert one.name in patch.tiles
        for element, pairs in one.members.items():
            assert {tuple(pair) for pair in patch.members[element]} >= set(pairs)
    read = np.mean([sum([e.name, "WFI01"] in p.members["F158"] for p in patches.values())
                    for e in exposures])  # fmt: skip
    cells = np.mean([sum((e.name, "WFI01") in t.members["F158"] for t in tiles) for e in exposures])
    assert 1 <= read < cells


def test_groups_hold_their_images_in_the_order_of_adding():
    tiles = [tile(0, 0, {"F158": PAIRS, "F106": PAIRS[:1]}), tile(1, 0, {"F106": PAIRS[:1]})]
    groups = {"v1": {PAIRS[2], PAIRS[1]}, "full": set(PAIRS), "none": set()}
    found = tiles_of_groups(tiles, groups)
    assert [one.grouping for one in found] == ["v1", "full", "full"]
    assert found[0].members == {"F158": PAIRS[1:]}
    assert found[1].members == tiles[0].members


@pytest.mark.parametrize(("column", "row"), [(-25, 25), (0, 0), (7, -9)])
def test_place_is_that_of_the_first_pixel(column, row):
    assert place_of(cell_lattice(REGION, column, row)) == (column * CELL_PITCH, row * CELL_PITCH)

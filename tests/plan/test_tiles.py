from dataclasses import replace

import numpy as np
import pytest
from planned_exposures import MARGIN, WINDOW, exposure

from tessella.astrometry.rigid import RigidFit, corrected
from tessella.astrometry.tangent import sky_to_pixel
from tessella.astrometry.wcs import attitude_of
from tessella.errors import DataError
from tessella.models import Attitude, Window
from tessella.plan.tiles import outline, plan_tiles, pointing_margin
from tessella.sky.matching import match_cells
from tessella.sky.tessellation import cell_lattice, regions


def members_of(tiles):
    return {
        (name, element)
        for tile in tiles
        for element, pairs in tile.members.items()
        for name, _ in pairs
    }


def test_cutout_holds_every_exposure_in_the_order_given():
    exposures = [exposure(2, 12.1), exposure(1, 12.11), exposure(3, 12.1, element="F106")]
    (tile,) = plan_tiles(exposures, WINDOW, 2560, MARGIN)
    assert (tile.lattice.nx, tile.lattice.ny) == (2560, 2560)
    names = [exposure.name for exposure in exposures]
    assert tile.members == {
        "F158": [(names[0], "WFI01"), (names[1], "WFI01")],
        "F106": [(names[2], "WFI01")],
    }


def test_cutout_is_centred_on_the_exposures():
    one = exposure(1, 12.1)
    (tile,) = plan_tiles([one], WINDOW, 2560, MARGIN)
    ra, dec = outline(Attitude(*one.detectors["WFI01"]), "WFI01", WINDOW)
    x, y = sky_to_pixel(tile.lattice, ra, dec)
    assert (x.min() + x.max()) / 2 == pytest.approx(2560 / 2, abs=1.0)
    assert (y.min() + y.max()) / 2 == pytest.approx(2560 / 2, abs=1.0)


def test_cutout_lies_on_the_lattice_of_the_whole_cells():
    exposures = [exposure(1, 12.1)]
    (cutout,) = plan_tiles(exposures, WINDOW, 2560, MARGIN)
    cells = plan_tiles(exposures, WINDOW, None, MARGIN)
    ra, dec = outline(Attitude(*exposures[0].detectors["WFI01"]), "WFI01", WINDOW)
    x, y = sky_to_pixel(cutout.lattice, ra, dec)
    for cell in cells:
        u, v = sky_to_pixel(cell.lattice, ra, dec)
        shift = np.concatenate([x - u, y - v])
        np.testing.assert_allclose(shift, np.round(shift), atol=1e-6)


def test_every_exposure_falls_on_some_cell():
    exposures = [exposure(1, 12.1), exposure(2, 40.0, 10.0), exposure(3, 40.0, 10.0, "F106")]
    tiles = plan_tiles(exposures, WINDOW, None, MARGIN)
    assert members_of(tiles) == {(e.name, e.optical_element) for e in exposures}
    assert len({tile.name for tile in tiles}) == len(tiles)


def test_exposure_beside_the_cutout_is_no_member():
    west, middle, east = exposure(1, 12.0), exposure(2, 14.0), exposure(3, 16.0)
    tiles = plan_tiles([west, middle, east], WINDOW, 512, MARGIN)
    assert members_of(tiles) == {(middle.name, "F158")}


def test_exposures_too_far_apart_for_a_cutout_are_refused():
    with pytest.raises(DataError, match=r"tile\.cutout_pixels"):
        plan_tiles([exposure(1, 12.0, 0.0), exposure(2, 12.5, 0.0)], WINDOW, 64, MARGIN)


def test_every_cell_that_a_final_pointing_reaches_is_planned():
    """Of exposures that the alignment moves as far as it may, and turns."""
    rng = np.random.default_rng(4)
    radius, turn = 30.0, 300.0
    names = ("WFI03", "WFI06", "WFI11", "WFI18")
    margin = pointing_margin([names], Window(), radius, turn)
    n_cells, n_without = 0, 0
    for number in range(30):
        where = rng.uniform(0, 360), np.degrees(np.arcsin(rng.uniform(-1, 1))), rng.uniform(0, 360)
        planned = [attitude_of(name, *where) for name in names]
        (one,) = [exposure(number + 1, 10.0)]
        detectors = {
            name: tuple(vars(at).values()) for name, at in zip(names, planned, strict=True)
        }
        tiles = plan_tiles([replace(one, detectors=detectors)], Window(), None, margin)
        keys = {tile.lattice.skycell for tile in tiles}
        pivot = np.mean([[at.v2_ref, at.v3_ref] for at in planned], axis=0)
        angle = rng.uniform(0, 2 * np.pi)
        shift = radius * np.array([np.cos(angle), np.sin(angle)])
        fit = RigidFit(shift, np.radians(rng.choice([-turn, turn]) / 3600), np.zeros((0, 2)))
        final = [corrected(at, fit, pivot) for at in planned]
        outlines = [outline(at, name, Window()) for at, name in zip(final, names, strict=True)]
        reached = match_cells(*np.array(outlines).swapaxes(0, 1))
        cells = zip(reached.region, reached.column, reached.row, strict=True)
        found = {cell_lattice(regions()[region], *place).skycell for region, *place in cells}
        assert found <= keys
        n_cells += len(keys)
        n_without += len(keys - found)
    # The margin is no wider than it need be: of some 35 cells a few stay empty.
    assert n_without < 0.25 * n_cells

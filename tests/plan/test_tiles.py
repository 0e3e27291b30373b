import numpy as np
import pytest
from planned_exposures import WINDOW, exposure

from tessella.astrometry.tangent import sky_to_pixel
from tessella.errors import DataError
from tessella.models import Attitude
from tessella.plan.tiles import outline, plan_tiles


def members_of(tiles):
    return {
        (name, element)
        for tile in tiles
        for element, pairs in tile.members.items()
        for name, _ in pairs
    }


def test_cutout_holds_every_exposure_in_the_order_given():
    exposures = [exposure(2, 12.1), exposure(1, 12.11), exposure(3, 12.1, element="F106")]
    (tile,) = plan_tiles(exposures, WINDOW, 2560)
    assert (tile.lattice.nx, tile.lattice.ny) == (2560, 2560)
    names = [exposure.name for exposure in exposures]
    assert tile.members == {
        "F158": [(names[0], "WFI01"), (names[1], "WFI01")],
        "F106": [(names[2], "WFI01")],
    }


def test_cutout_is_centred_on_the_exposures():
    one = exposure(1, 12.1)
    (tile,) = plan_tiles([one], WINDOW, 2560)
    ra, dec = outline(Attitude(*one.detectors["WFI01"]), "WFI01", WINDOW)
    x, y = sky_to_pixel(tile.lattice, ra, dec)
    assert (x.min() + x.max()) / 2 == pytest.approx(2560 / 2, abs=1.0)
    assert (y.min() + y.max()) / 2 == pytest.approx(2560 / 2, abs=1.0)


def test_cutout_lies_on_the_lattice_of_the_whole_cells():
    exposures = [exposure(1, 12.1)]
    (cutout,) = plan_tiles(exposures, WINDOW, 2560)
    cells = plan_tiles(exposures, WINDOW, None)
    ra, dec = outline(Attitude(*exposures[0].detectors["WFI01"]), "WFI01", WINDOW)
    x, y = sky_to_pixel(cutout.lattice, ra, dec)
    for cell in cells:
        u, v = sky_to_pixel(cell.lattice, ra, dec)
        shift = np.concatenate([x - u, y - v])
        np.testing.assert_allclose(shift, np.round(shift), atol=1e-6)


def test_every_exposure_falls_on_some_cell():
    exposures = [exposure(1, 12.1), exposure(2, 40.0, 10.0), exposure(3, 40.0, 10.0, "F106")]
    tiles = plan_tiles(exposures, WINDOW, None)
    assert members_of(tiles) == {(e.name, e.optical_element) for e in exposures}
    assert len({tile.name for tile in tiles}) == len(tiles)


def test_exposure_beside_the_cutout_is_no_member():
    west, middle, east = exposure(1, 12.0), exposure(2, 14.0), exposure(3, 16.0)
    tiles = plan_tiles([west, middle, east], WINDOW, 512)
    assert members_of(tiles) == {(middle.name, "F158")}


def test_exposures_too_far_apart_for_a_cutout_are_refused():
    with pytest.raises(DataError, match=r"tile\.cutout_pixels"):
        plan_tiles([exposure(1, 12.0, 0.0), exposure(2, 12.5, 0.0)], WINDOW, 64)

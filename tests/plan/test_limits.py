from dataclasses import replace

import numpy as np
import pytest
from planned_exposures import MARGIN, WINDOW, exposure

from tessella.errors import DataError
from tessella.models import Window
from tessella.plan.limits import fields, refuse_far, refuse_large
from tessella.plan.tiles import plan_tiles


def test_exposure_far_from_the_others_is_named():
    near = [exposure(k, 12.0 + k, 45.0) for k in (1, 2, 3)]
    refuse_far(near, 10.0)
    far = exposure(4, 12.0, 5.0)
    for order in ([*near, far], [far, *near]):
        with pytest.raises(DataError, match=rf"{far.name} F158: WFI01 at .* lies 40\.0 degrees"):
            refuse_far(order, 10.0)


def test_of_two_far_exposures_the_second_is_named():
    two = [exposure(1, 12.0, 0.0), exposure(2, 52.0, 0.0)]
    with pytest.raises(DataError, match=rf"{two[1].name} .* lies 40\.0 degrees .* other 1 "):
        refuse_far(two, 10.0)


def test_detector_far_from_its_exposure_is_named():
    one, astray = exposure(1, 12.1), exposure(2, 12.1, 45.0)
    two = replace(one, detectors={**one.detectors, "WFI02": astray.detectors["WFI01"]})
    with pytest.raises(
        DataError, match=rf"{one.name} F158: WFI02 .* 40\.\d degrees from the expos"
    ):
        refuse_far([two, exposure(3, 12.1)], 180.0)


def test_field_may_be_wide_when_its_exposures_are_linked():
    refuse_far([exposure(k, 9.0 * k, 10.0) for k in range(1, 40)], 10.0)
    refuse_far([exposure(k, 359.0 + k, 89.5 - k) for k in (1, 2)], 10.0)
    refuse_far([], 10.0)


def test_fields_do_not_depend_on_the_size_of_blocks():
    rng = np.random.default_rng(5)
    centers = np.eye(3)[rng.integers(0, 3, 1500)]
    vectors = centers + rng.normal(0, 0.01, (1500, 3))
    vectors /= np.linalg.norm(vectors, axis=1)[:, None]
    number = fields(vectors, 0.2)
    assert set(number) == {0, 1, 2}
    for k in range(3):
        assert len(set(number[centers[:, k] == 1])) == 1


def test_output_that_is_too_large_is_refused_by_the_exposure_that_brings_it():
    exposures = [exposure(1, 12.1), exposure(2, 12.1, 80.0)]
    tiles = plan_tiles(exposures, Window(), None, MARGIN)
    pixels = sum(tile.lattice.nx * tile.lattice.ny for tile in tiles)
    refuse_large(tiles, pixels / 1e9)
    # Only the last tile is too many.
    last = next(iter(tiles[-1].members.values()))[0][0]
    with pytest.raises(DataError, match=rf"{last}: with {tiles[-1].name}.*maximum_gigapixels"):
        refuse_large(tiles, pixels / 1e9 - 0.001)


def test_every_filter_counts():
    exposures = [exposure(1, 12.1), exposure(2, 12.1, element="F106")]
    tiles = plan_tiles(exposures, WINDOW, 2000, MARGIN)
    refuse_large(tiles, 0.008)
    with pytest.raises(DataError, match="gigapixels"):
        refuse_large(tiles, 0.0079)


def test_cutout_of_absurd_size_is_refused_without_being_made():
    tiles = plan_tiles([exposure(1, 12.1)], WINDOW, 10_000_000, MARGIN)
    with pytest.raises(DataError, match=r"would hold 1e\+05"):
        refuse_large(tiles, 250.0)

"""Each exposure follows the one that the same detector took before, whatever it was for."""

import random

from tessella.models import ExposureKey, PlannedExposure
from tessella.plan.predecessors import predecessors

HOUR = 3600.0


def planned(number, minutes, *detectors, **changes):
    key = ExposureKey(1, 1, 1, 1, 1, 1, number)
    start = f"2028-07-01T{minutes // 60:02d}:{minutes % 60:02d}:00.000000"
    numbers = dict.fromkeys(detectors or ("WFI01",), ())
    return PlannedExposure(key, "F158", 3, start, 0.0, 0.0, 0.0, numbers, **changes)


def links(exposures, horizon_s=HOUR):
    """Return numbers of exposures and of those before them."""
    found = predecessors(exposures, horizon_s)
    return {
        (int(name[-4:]), detector): int(before[-4:]) for (name, detector), before in found.items()
    }


def test_exposures_are_a_chain_in_the_order_of_their_start():
    exposures = [planned(n, minutes) for n, minutes in ((1, 30), (2, 10), (3, 20), (4, 0))]
    expected = {(2, "WFI01"): 4, (3, "WFI01"): 2, (1, "WFI01"): 3}
    assert links(exposures) == expected
    random.Random(1).shuffle(exposures)
    assert links(exposures) == expected


def test_chain_ends_where_the_horizon_does():
    assert links([planned(1, 0), planned(2, 60)]) == {(2, "WFI01"): 1}
    assert links([planned(1, 0), planned(2, 61)]) == {}


def test_detectors_have_chains_of_their_own():
    exposures = [planned(1, 0, "WFI01", "WFI02"), planned(2, 2, "WFI02"), planned(3, 4, "WFI01")]
    assert links(exposures) == {(2, "WFI02"): 1, (3, "WFI01"): 1}


def test_all_types_of_exposures_count():
    flat = planned(1, 0, exposure_type="WFI_FLAT")
    dark = planned(2, 2, exposure_type="WFI_IM_DARK")
    assert links([flat, dark, planned(3, 4)]) == {(2, "WFI01"): 1, (3, "WFI01"): 2}


def test_of_two_that_start_together_neither_is_before_the_other():
    exposures = [planned(1, 0), planned(2, 5), planned(3, 5)]
    assert links(exposures) == {(2, "WFI01"): 1, (3, "WFI01"): 1}

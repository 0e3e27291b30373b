from dataclasses import replace

import pytest
from planned_exposures import exposure

from tessella.errors import DataError
from tessella.models import ExposureKey
from tessella.plan.groupings import group_name, groups_of


def at(**numbers):
    one = exposure(1, 12.1)
    return replace(one, key=replace(one.key, **numbers))


def members(groups):
    return {name: [one.name for one in found] for name, (_, found) in groups.items()}


def test_names_are_the_official_ones():
    key = ExposureKey(7, 11, 22, 33, 44, 55, 66)
    assert group_name("visit", key) == "v11022033044055"
    assert group_name("daily", key) == "d11022033"
    assert group_name("pass", key) == "p11022"
    assert group_name("full", key) == "full"
    assert group_name("user", key) == "user"


EXPOSURES = [
    at(exposure=1),
    at(exposure=2),
    at(visit=2),
    at(observation=2),
    at(segment=2),
    at(pass_number=2),
    at(execution_plan=2),
]


@pytest.mark.parametrize(
    ("grouping", "sizes"),
    [("visit", [2, 1, 1, 1, 1, 1]), ("daily", [4, 1, 1, 1]), ("pass", [5, 1, 1]), ("full", [7])],
)
def test_groups_part_the_exposures(grouping, sizes):
    groups = groups_of(EXPOSURES, [grouping])
    assert [len(found) for _, found in groups.values()] == sizes
    assert [one for _, found in groups.values() for one in found] == EXPOSURES
    assert {kind for kind, _ in groups.values()} == {grouping}


def test_groupings_are_made_beside_one_another():
    groups = members(groups_of(EXPOSURES, ["full", "pass", "user"]))
    assert list(groups) == ["full", "p01001", "p01002", "p02001", "user"]
    assert groups["full"] == groups["user"] == [one.name for one in EXPOSURES]


def test_two_programs_in_one_group_of_a_name_are_refused():
    two = [at(program=1), at(program=2)]
    assert len(members(groups_of(two, ["full"]))["full"]) == 2
    with pytest.raises(DataError, match=r"r00001\S+ and r00002\S+ are of two programs"):
        groups_of(two, ["full", "visit"])

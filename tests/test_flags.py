"""Our table of flags is the official one."""

import pytest
from roman_datamodels import dqflags

from tessella import flags


def official(enumeration):
    return {
        name: int(value)
        for name, value in enumeration.__members__.items()
        if "RESERVED" not in name
    }


def test_pixel_flags_are_the_official_ones():
    assert {flag.name: 1 << flag.bit for flag in flags.FLAGS} == {
        name: value for name, value in official(dqflags.pixel).items() if name != "GOOD"
    }


def test_resultant_flags_are_the_official_ones():
    expected = {name: value for name, value in official(dqflags.group).items() if name != "GOOD"}
    # Bit 7 means something else in pixels; nothing here sets or reads it.
    assert expected.pop("WFI18_TRANSIENT") == flags.OUTLIER
    assert {flag.name: 1 << flag.bit for flag in flags.FLAGS if flag.in_resultants} == expected


def test_module_constants_are_rows_of_the_table():
    constants = {
        name: value
        for name, value in vars(flags).items()
        if name.isupper() and isinstance(value, int)
    }
    assert constants.pop("GOOD") == 0
    assert constants == {name: flags.value(name) for name in constants}


def test_names_and_values_are_each_others_inverse():
    for flag in flags.FLAGS:
        assert flags.names(flags.value(flag.name)) == [flag.name]


def test_unknown_name_is_refused():
    with pytest.raises(KeyError):
        flags.value("SATURATD")

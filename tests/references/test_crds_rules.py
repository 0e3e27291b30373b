"""Mappings of CRDS choose the same files as the rows that are made of them."""

import itertools

import crds_cache
import pytest

from tessella.errors import DataError
from tessella.models import ExposureKey, PlannedExposure
from tessella.plan.selection import ANY, ReferenceRow, select
from tessella.references.crds_rules import NotTabular, rows_of
from tessella.references.crds_syntax import parse_mapping

STARTS = (
    "2024-12-31T23:59:59",
    "2025-01-01T00:00:00",
    "2026-01-01T00:00:00",
    "2027-06-01T12:29:59.999",
    "2027-06-01T12:30:00",
    "2027-12-31T23:59:59",
    "2028-01-01T00:00:00",
    "2030-05-05T05:05:05",
)


def table(reftype):
    rows = rows_of(parse_mapping(crds_cache.rmap(reftype), f"{reftype}.rmap"))
    return [
        ReferenceRow(
            reftype,
            row.detector,
            row.optical_element,
            row.ma_table_number,
            row.useafter.isoformat(),
            row.file,
            row.exposure_type,
        )
        for row in rows
    ]


@pytest.mark.parametrize("reftype", ["dark", "flat", "gain", "darkdecaysignal"])
def test_table_chooses_what_the_mapping_chooses(reftype):
    rows, seen = table(reftype), set()
    values = (
        ("WFI01", "WFI02", "WFI18"),
        ("F106", "F158", "GRISM"),
        ("WFI_IMAGE", "WFI_FLAT", "WFI_IM_DARK", "WFI_SPECTRAL"),
        (3, 4, 1007),
        STARTS,
    )
    for detector, element, kind, number, start in itertools.product(*values):
        key = ExposureKey(1, 1, 1, 1, 1, 1, 1)
        planned = PlannedExposure(key, element, number, start, 0.0, 0.0, 0.0, exposure_type=kind)
        chosen = select(rows, (), detector, planned, (reftype,)).get(reftype)
        asked = {"D": detector, "E": element, "T": kind, "M": str(number), "start": start}
        expected = crds_cache.choose(reftype, asked)
        assert (chosen.file if chosen else None) == expected, asked
        seen.add(expected)
    named = {
        serial for choices in crds_cache.RULES[reftype][1].values() for serial in choices.values()
    }
    # One is of the year 2031, which no exposure is of.
    future = {"roman_wfi_dark_0006.asdf"}
    assert seen - {None} == {crds_cache.file_of(reftype, n) for n in named - {"N/A"}} - future


def test_what_all_values_agree_on_is_one_row():
    (row,) = table("darkdecaysignal")
    assert (row.detector, row.optical_element, row.ma_table_number, row.exposure_type) == (ANY,) * 4
    assert len(table("gain")) == 2


def mapping(selector, header="'parkey': (('META.INSTRUMENT.DETECTOR',), ('T',))"):
    return parse_mapping(f"header = {{{header}}}\nselector = {selector}\n", "x.rmap")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Match({'(WFI0[12])': UseAfter({'2026-01-01': 'a'})})", "expression"),
        ("Match({'NOT WFI01': UseAfter({'2026-01-01': 'a'})})", "expression"),
        (
            "Match({'WFI01': UseAfter({'2026-01-01': 'a', '2027-01-01': 'N/A'})})",
            "no file any more",
        ),
        ("Match({'WFI01': UseAfter({'some day': 'a'})})", "not a date"),
        ("Match({'WFI01': UseAfter({'2026-01-01': ('a', 'b')})})", "not one file"),
        ("Match({'WFI01': ClosestTime({'2026-01-01': 'a'})})", "by ClosestTime"),
        ("Match({('WFI01', 'F158'): UseAfter({'2026-01-01': 'a'})})", "1 values of its parkey"),
        ("Match({'WFI01': 'a', 'WFI0*': 'b'})", "equally well"),
        ("UseAfter({'2026-01-01': 'a'})", "not begin with Match"),
    ],
)
def test_what_no_row_can_say_is_told(text, said):
    with pytest.raises(NotTabular, match=said):
        rows_of(mapping(text))


def test_key_without_a_column_may_be_wild_and_nothing_else():
    header = "'parkey': (('META.INSTRUMENT.DETECTOR', 'META.VISIT.TYPE'), ('T',))"
    wild = "Match({('WFI01', 'ANY'): UseAfter({'2026-01-01': 'a'})})"
    assert [row.file for row in rows_of(mapping(wild, header))] == ["a"]
    with pytest.raises(NotTabular, match=r"META\.VISIT\.TYPE"):
        rows_of(mapping(wild.replace("ANY", "PRIME"), header))


def test_header_that_changes_the_choice_is_told():
    header = "'parkey': (('META.INSTRUMENT.DETECTOR',), ('T',)), 'rmap_relevance': '(A == 1)'"
    with pytest.raises(NotTabular, match="rmap_relevance"):
        rows_of(mapping("Match({})", header))


@pytest.mark.parametrize(
    "text",
    [
        "header = {'a': __import__('os').system('x')}\nselector = Match({})",
        "import os\nheader = {}\nselector = Match({})",
        "header = {}\nselector = Match({**{}})",
        "header = {}\nselector = os.Match({})",
        "other = {}",
    ],
)
def test_what_is_no_mapping_is_refused_and_not_run(text):
    with pytest.raises(DataError, match=r"x\.rmap, line \d: .* has no place in a mapping"):
        parse_mapping(text, "x.rmap")


@pytest.mark.parametrize("text", ["header = {", "", "header = {}", "selector = Match({})", "\0"])
def test_damaged_mapping_is_named(text):
    with pytest.raises(DataError, match=r"x\.rmap.*fetch it again"):
        parse_mapping(text, "x.rmap")

from dataclasses import fields, replace

import pytest

from tessella.errors import DataError
from tessella.models import ExposureKey, PlannedExposure
from tessella.plan.selection import (
    ANY,
    COLUMNS,
    ReferenceRow,
    context_of,
    measured_row,
    read_reference_table,
    reference_types,
    select,
    selection_id,
    write_reference_table,
)


def exposure(start="2028-07-01T00:00:00", element="F158", table=3, kind="WFI_IMAGE"):
    key = ExposureKey(1, 1, 1, 1, 1, 1, 1)
    return PlannedExposure(key, element, table, start, 12.0, 85.0, 0.0, exposure_type=kind)


def row(file, useafter="2026-01-01T00:00:00", detector=ANY, element=ANY, table=ANY, kind=ANY):
    return ReferenceRow("dark", detector, element, table, useafter, file, kind)


def chosen(rows, **changes):
    planned = exposure(**changes)
    return select(rows, ("dark",), "WFI01", planned)["dark"].file_for("WFI01", planned)


def test_latest_useafter_that_has_come_counts_whatever_the_order_of_rows():
    rows = [row("old"), row("new", "2028-01-01T00:00:00"), row("next", "2029-01-01T00:00:00")]
    assert chosen(rows) == chosen(rows[::-1]) == "new"


def test_of_equal_useafters_the_row_that_says_more_counts():
    rows = [row("any"), row("one", detector="WFI01"), row("two", detector="WFI01", element="F158")]
    assert chosen(rows) == chosen(rows[::-1]) == "two"
    assert chosen(rows[:2]) == chosen(rows[1::-1]) == "one"


def test_useafter_at_the_start_of_the_exposure_counts():
    rows = [row("old"), row("new", "2028-07-01T00:00:00")]
    assert chosen(rows) == "new"
    assert chosen(rows, start="2028-06-30T23:59:59") == "old"


@pytest.mark.parametrize(
    "keys",
    [{"detector": "WFI02"}, {"element": "F106"}, {"table": "4"}, {"kind": "WFI_IM_DARK"}],
)
def test_row_with_another_key_does_not_serve(keys):
    assert chosen([row("right"), row("wrong", "2027-01-01T00:00:00", **keys)]) == "right"
    with pytest.raises(DataError, match="no dark .* WFI01, F158, MultiAccum table 3, WFI_IMAGE"):
        chosen([row("wrong", **keys)])


def test_file_names_are_filled_in():
    assert chosen([row("x/{detector}_{element}.asdf")]) == "x/wfi01_f158.asdf"


def test_reference_of_an_exposure_type_serves_exposures_of_that_type_alone():
    rows = [row("any"), row("dark", "2027-01-01T00:00:00", kind="WFI_IM_DARK")]
    assert chosen(rows) == "any"
    assert chosen(rows, kind="WFI_IM_DARK") == "dark"


def test_optional_types_are_absent_where_no_row_serves():
    rows = [row("a"), replace(row("b", detector="WFI02"), reftype="refpix")]
    types = (("dark",), "WFI01", exposure(), ("refpix", "integralnonlinearity"))
    assert set(select(rows, *types)) == {"dark"}
    rows[1] = replace(rows[1], detector=ANY)
    assert {reftype: row.file for reftype, row in select(rows, *types).items()} == {
        "dark": "a",
        "refpix": "b",
    }
    with pytest.raises(DataError, match="no dark reference"):
        select(rows[1:], *types)


@pytest.mark.parametrize("column", [field.name for field in fields(ReferenceRow)])
def test_context_changes_with_every_column(column):
    rows = [row("a"), row("b", detector="WFI02")]
    changed = [rows[0], replace(rows[1], **{column: "other"})]
    assert len({context_of(rows), context_of(changed), context_of(rows[:1]), context_of([])}) == 4
    assert context_of(rows) == context_of(rows[::-1])


def test_identity_changes_with_any_file_and_with_the_context():
    names = {selection_id({"dark": file}, "c", "WFI01", "f158") for file in ("a", "b")}
    assert len(names | {selection_id({"dark": "a"}, "d", "WFI01", "f158")}) == 3
    assert selection_id({"a": "1", "b": "2"}, "c", "WFI01", "f158") == selection_id(
        {"b": "2", "a": "1"}, "c", "WFI01", "f158"
    )


def write(path, *rows, columns=COLUMNS):
    path.write_text("\n".join(["# comment", "\t".join(columns), *("\t".join(r) for r in rows)]))
    return path


def test_table_is_read_as_it_stands(tmp_path):
    cells = ("dark", ANY, "F158", "3", "2026-01-01T00:00:00", "x/a.asdf")
    (read,) = read_reference_table(write(tmp_path / "t.tsv", cells))
    assert read == row("x/a.asdf", element="F158", table="3")


def test_columns_may_be_added_and_stand_in_any_order(tmp_path):
    columns = ("file", "sha256", *COLUMNS[:-1], "version", "pedigree", "exposure_type")
    keys = ("dark", ANY, "F158", "3", "2026-01-01T00:00:00")
    cells = ("/x/a.asdf", "0" * 64, *keys, "7", "GROUND", "WFI_FLAT")
    (read,) = read_reference_table(write(tmp_path / "t.tsv", cells, columns=columns))
    plain = row("/x/a.asdf", element="F158", table="3", kind="WFI_FLAT")
    assert read == replace(plain, version="7", pedigree="GROUND", sha256="0" * 64)


def test_hash_that_is_none_is_refused(tmp_path):
    cells = ("dark", ANY, ANY, "3", "2026-01-01", "/x/a.asdf", "abc")
    with pytest.raises(DataError, match="row 1, column sha256: 'abc' is no SHA-256"):
        read_reference_table(write(tmp_path / "t.tsv", cells, columns=(*COLUMNS, "sha256")))


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        (("dark", ANY, "", "3", "2026-01-01", "a.asdf"), "row 1: expected 6 values; write ANY"),
        (("dark", ANY, ANY, "3", "2026-01-01"), "row 1: expected 6 values"),
        (("dark", ANY, ANY, "3", "2026-13-01", "x/a.asdf"), "'2026-13-01' is not a date"),
        (("dark", ANY, ANY, "3", "2026-01-01T00:00:00Z", "x/a.asdf"), "is not a date in UTC"),
        (("dark", ANY, ANY, "3", "2026-01-01", "x/{filter}.asdf"), "only {detector} and"),
        (("dark", ANY, ANY, "3", "2026-01-01", "a.asdf"), "neither an absolute path nor"),
    ],
)
def test_faulty_row_is_named(tmp_path, cells, said):
    with pytest.raises(DataError, match=said):
        read_reference_table(write(tmp_path / "t.tsv", cells))


@pytest.mark.parametrize("columns", [COLUMNS[1:], (*COLUMNS, "more"), (*COLUMNS, COLUMNS[0])])
def test_other_columns_are_refused(tmp_path, columns):
    with pytest.raises(DataError, match="columns are"):
        read_reference_table(write(tmp_path / "t.tsv", columns=columns))


def test_table_that_is_written_is_read_again(tmp_path):
    rows = [row("x/a.asdf", element="F158"), replace(row("/y/b.asdf"), sha256="0" * 64)]
    write_reference_table(tmp_path / "t.tsv", rows, {})
    assert read_reference_table(tmp_path / "t.tsv") == rows


def test_measured_reference_takes_over_from_its_useafter_on(tmp_path):
    about = {"version": "1", "pedigree": "GROUND", "sha256": "0" * 64}
    new = measured_row(tmp_path / "wfi01_dark.asdf", "2028-07-01T00:00:00", **about)
    assert chosen([row("old"), new]) == str(tmp_path / "wfi01_dark.asdf")
    assert chosen([row("old"), new], start="2028-06-30T23:59:59") == "old"
    flat = measured_row(tmp_path / "wfi02_flat_f106.asdf", "2028-07-01", **about)
    assert (flat.reftype, flat.detector, flat.optical_element) == ("flat", "WFI02", "F106")


@pytest.mark.parametrize(
    ("kind", "absent"),
    [
        ("WFI_IMAGE", set()),
        ("WFI_LOLO", set()),
        ("WFI_WFSC", {"epsf", "apcorr"}),
        ("WFI_SPECTRAL", {"epsf", "apcorr", "flat"}),
        ("WFI_IM_DARK", {"epsf", "apcorr", "flat"}),
    ],
)
def test_exposures_ask_only_for_references_of_their_stages(kind, absent):
    assert set(reference_types("WFI_IMAGE")) - set(reference_types(kind)) == absent

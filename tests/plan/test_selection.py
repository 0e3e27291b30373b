import pytest

from tessella.errors import DataError
from tessella.models import ExposureKey, PlannedExposure
from tessella.plan.selection import (
    ANY,
    COLUMNS,
    ReferenceRow,
    read_reference_table,
    select,
    selection_id,
)


def exposure(start="2028-07-01T00:00:00", element="F158", table=3):
    return PlannedExposure(ExposureKey(1, 1, 1, 1, 1, 1, 1), element, table, start, 12.0, 85.0, 0.0)


def row(file, useafter="2026-01-01T00:00:00", detector=ANY, element=ANY, table=ANY):
    return ReferenceRow("dark", detector, element, table, useafter, file)


def chosen(rows, **changes):
    return select(rows, ("dark",), "WFI01", exposure(**changes))["dark"]


def test_latest_useafter_that_has_come_counts_whatever_the_order_of_rows():
    rows = [row("old"), row("new", "2028-01-01T00:00:00"), row("next", "2029-01-01T00:00:00")]
    assert chosen(rows) == chosen(rows[::-1]) == "new"


def test_useafter_at_the_start_of_the_exposure_counts():
    rows = [row("old"), row("new", "2028-07-01T00:00:00")]
    assert chosen(rows) == "new"
    assert chosen(rows, start="2028-06-30T23:59:59") == "old"


@pytest.mark.parametrize("keys", [{"detector": "WFI02"}, {"element": "F106"}, {"table": "4"}])
def test_row_with_another_key_does_not_serve(keys):
    assert chosen([row("right"), row("wrong", "2027-01-01T00:00:00", **keys)]) == "right"
    with pytest.raises(DataError, match="no dark reference for WFI01, F158, MultiAccum table 3"):
        chosen([row("wrong", **keys)])


def test_file_names_are_filled_in():
    assert chosen([row("x/{detector}_{element}.asdf")]) == "x/wfi01_f158.asdf"


def test_identity_changes_with_any_file():
    names = {selection_id({"dark": file}, "WFI01", "f158") for file in ("a", "b")}
    assert len(names) == 2
    assert selection_id({"a": "1", "b": "2"}, "WFI01", "f158") == selection_id(
        {"b": "2", "a": "1"}, "WFI01", "f158"
    )


def write(path, *rows, columns=COLUMNS):
    path.write_text("\n".join(["# comment", "\t".join(columns), *("\t".join(r) for r in rows)]))
    return path


def test_table_is_read_as_it_stands(tmp_path):
    cells = ("dark", ANY, "F158", "3", "2026-01-01T00:00:00", "x/a.asdf")
    (read,) = read_reference_table(write(tmp_path / "t.tsv", cells))
    assert read == row("x/a.asdf", element="F158", table="3")


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


def test_other_columns_are_refused(tmp_path):
    with pytest.raises(DataError, match="columns are"):
        read_reference_table(write(tmp_path / "t.tsv", columns=COLUMNS[1:]))

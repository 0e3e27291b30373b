import pytest

from tessella.errors import DataError
from tessella.io.exclusions import read_exclusions, write_exclusions

ROW = {
    "grouping": "user",
    "exposure": "r0000101001001001001_0001",
    "detector": "WFI01",
    "optical_element": "F158",
    "reason": 'FWHM, "bad": 131 is above 130',
}


@pytest.mark.parametrize("rows", [[], [ROW], [ROW, ROW | {"grouping": "full", "reason": "none"}]])
def test_reasons_are_read_as_they_were_written(tmp_path, rows):
    path = tmp_path / "exclusions.ecsv"
    write_exclusions(path, rows, {})
    table = read_exclusions(path)
    assert table.colnames == list(ROW)
    assert [dict(row) for row in table] == rows


def test_equal_content_is_equal_bytes(tmp_path):
    for name in ("a.ecsv", "b.ecsv"):
        write_exclusions(tmp_path / name, [ROW], {})
    assert (tmp_path / "a.ecsv").read_bytes() == (tmp_path / "b.ecsv").read_bytes()


def test_missing_table_is_named(tmp_path):
    with pytest.raises(DataError, match="nowhere"):
        read_exclusions(tmp_path / "nowhere.ecsv")

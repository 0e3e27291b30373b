from datetime import datetime

import pytest

from tessella.errors import DataError
from tessella.plan.exposures import COLUMNS, read_exposures

ROW = "12.1 85.2 0.0 F158 3 120.0 1 1 1 1 1 1"
NEXT = "12.1 85.2 0.0 F158 3 120.0 1 1 1 1 1 2"
HEADER = " ".join(COLUMNS)
START = "2028-07-01T00:00:00"


@pytest.fixture
def table(tmp_path):
    def write(*rows, header=HEADER):
        path = tmp_path / "exposures.ecsv"
        path.write_text("\n".join(["# %ECSV 1.0", "# ---", header, *rows]) + "\n")
        return path

    return write


def refused(path):
    with pytest.raises(DataError) as caught:
        read_exposures(path, 1, START)
    return str(caught.value)


def test_exposures_follow_one_another(table):
    first, second = read_exposures(table(ROW, NEXT), 7, START)
    waited = datetime.fromisoformat(second.start_time) - datetime.fromisoformat(first.start_time)
    assert waited.total_seconds() == 120.0
    assert (first.key.program, first.name) == (7, "r0000701001001001001_0001")
    assert (first.optical_element, first.element) == ("F158", "f158")


def test_order_of_columns_is_free(table):
    header = " ".join(reversed(COLUMNS))
    row = " ".join(reversed(ROW.split()))
    mirrored = read_exposures(table(row, header=header), 1, START)
    assert mirrored == read_exposures(table(ROW), 1, START)


def test_commas_separate_as_well(table):
    separated = table(ROW.replace(" ", ","), header=",".join(COLUMNS))
    assert len(read_exposures(separated, 1, START)) == 1


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("F158", "F159", "column BANDPASS: 'F159' is no optical element"),
        ("12.1", "east", "column RA: 'east' is not a number"),
        ("12.1", "nan", "column RA: 'nan' is not between"),
        ("85.2", "95.2", "column DEC: '95.2' is not between -90 and 90"),
        ("120.0", "-120.0", "column DURATION"),
        (" 3 ", " 77 ", "column MA_TABLE_NUMBER: '77' is not known"),
        (" 1 1 1 1 1 1", " 0 1 1 1 1 1", "column PLAN: '0'"),
        (" 1 1 1 1 1 1", " 100 1 1 1 1 1", "column PLAN: '100' is not a whole number from 1 to 99"),
        (" 1 1 1 1 1 1", " ² 1 1 1 1 1", "column PLAN: '²'"),
        (" 1 1 1 1 1 1", " 1 1 1 1 1", "11 values for 12 columns"),
    ],
)
def test_fault_is_named_by_line_and_column(table, old, new, said):
    line = refused(table(NEXT, ROW.replace(old, new, 1)))
    assert "exposures.ecsv, line 5" in line
    assert said in line


def test_exposure_twice_is_refused(table):
    assert "stands in the table twice" in refused(table(ROW, ROW))


def test_missing_column_is_named(table):
    assert "column PA is missing" in refused(table(ROW, header=HEADER.replace(" PA", "")))


@pytest.mark.parametrize("text", ["", "# only a comment\n"])
def test_empty_file_is_refused(tmp_path, text):
    path = tmp_path / "empty.ecsv"
    path.write_text(text)
    assert "expected a line of column names" in refused(path)


def test_table_without_rows_is_refused(table):
    assert "no rows" in refused(table())


def test_missing_file_is_refused(tmp_path):
    assert "no such file" in refused(tmp_path / "nowhere.ecsv")


TYPED = f"{HEADER} EXPOSURE_TYPE LAMP_RATE"


@pytest.mark.parametrize(
    ("element", "kind"), [("GRISM", "WFI_SPECTRAL"), ("DARK", "WFI_IM_DARK"), ("F158", "WFI_IMAGE")]
)
def test_type_that_is_not_said_follows_from_the_element(table, element, kind):
    row = ROW.replace("F158", element)
    plain, typed = table(row), table(f"{row} - -", header=TYPED)
    for path in (plain, typed):
        (exposure,) = read_exposures(path, 1, START)
        assert (exposure.exposure_type, exposure.lamp_rate) == (kind, 0.0)
        assert exposure.is_aligned == (kind == "WFI_IMAGE")


def test_flats_have_the_light_of_a_lamp(table):
    (flat,) = read_exposures(table(f"{ROW} WFI_FLAT 300.5", header=TYPED), 1, START)
    assert (flat.exposure_type, flat.lamp_rate) == ("WFI_FLAT", 300.5)
    assert flat.is_for_calibration
    assert not flat.is_aligned


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("WFI_FLAT -", "column LAMP_RATE: '-' is the light of a lamp"),
        ("WFI_FLAT dim", "column LAMP_RATE: 'dim' is not a number"),
        ("WFI_FLAT -3", "column LAMP_RATE: '-3' is not above 0"),
        ("WFI_FLAT nan", "column LAMP_RATE: 'nan' is not above 0"),
        ("WFI_IMAGE 300", "column LAMP_RATE: '300' is the light of a lamp"),
        ("WFI_SKY -", "column EXPOSURE_TYPE: 'WFI_SKY' is not known"),
        ("WFI_SPECTRAL -", "column BANDPASS: 'F158' is not for WFI_SPECTRAL, but GRISM PRISM"),
    ],
)
def test_fault_of_the_type_is_named(table, more, said):
    assert said in refused(table(f"{ROW} {more}", header=TYPED))


def test_flats_need_a_column_for_the_lamp(table):
    path = table(f"{ROW} WFI_FLAT", header=f"{HEADER} EXPOSURE_TYPE")
    assert "column EXPOSURE_TYPE: 'WFI_FLAT' needs a column LAMP_RATE" in refused(path)

import numpy as np
import pytest

from tessella.errors import DataError
from tessella.io.ledgers import (
    Origin,
    detector_of,
    key_of,
    origin_of,
    read_ledger,
    write_ledger,
)
from tessella.models import ExposureHeader, ExposureKey, Readout, Window
from tessella.telemetry.decode import decode
from tessella.telemetry.encode import packetize

KEY = ExposureKey(99999, 12, 123, 234, 345, 456, 7)
HEADER = ExposureHeader(
    KEY, "F106", 3, "2027-01-01T00:00:00.000", "WFI_IMAGE", 1.0, 2.0, 3.0, 1.25, 2.25, 4.0
)


@pytest.fixture(scope="module")
def ledger():
    pixels = np.random.default_rng(3).integers(0, 50, (2, 128, 128), dtype=np.uint16)
    planes = (pixels, pixels, pixels[0], pixels[0])
    packets = packetize(HEADER, [Readout("WFI07", Window(0, 0, 128, 128), *planes, 4000)])
    first = b"noise" + b"".join(packets[:9])
    return decode([first, b"".join([*packets[8:10], *packets[11:]])])[1]


def test_ledger_survives_the_file_and_its_files_have_names(tmp_path, ledger):
    path = tmp_path / "l.parquet"
    write_ledger(path, ledger, ["a.l0", "b.l0"], {})
    read = read_ledger(path)
    read.check()
    assert read.counts == ledger.counts
    assert np.array_equal(read.ranges, ledger.ranges)
    assert read.rows == ledger.rows
    assert read.versions == ledger.versions != {}
    assert [file.name for file in read.files] == ["a.l0", "b.l0"]
    assert [read.of_file(i).received for i in (0, 1)] == [10, ledger.counts.received - 10]


def test_equal_ledgers_are_equal_bytes(tmp_path, ledger):
    for name in "ab":
        write_ledger(tmp_path / name, ledger, ["a.l0", "b.l0"], {})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("content", [b"", b"no table"])
def test_other_files_are_no_ledgers(tmp_path, content):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(DataError, match="no readable packet ledger"):
        read_ledger(tmp_path / "x")


def test_ledger_is_found_by_its_own_name_and_by_that_of_an_exposure(tmp_path, ledger):
    (tmp_path / "level0").mkdir()
    path = tmp_path / "level0" / f"{KEY.name}_ledger.parquet"
    write_ledger(path, ledger, ["a.l0", "b.l0"], {})
    for given in (path, tmp_path / KEY.name):
        assert origin_of(given) == Origin(path)
    with pytest.raises(DataError, match="name a ledger, a Level 1 file"):
        origin_of("no exposure")
    with pytest.raises(DataError, match=r"no r00001.*_ledger\.parquet there"):
        origin_of(tmp_path / "r0000101001001001001_0001")
    with pytest.raises(DataError, match="no such file"):
        origin_of(tmp_path / f"{KEY.name}_wfi07_f106_uncal.asdf")


def test_names_of_exposures_and_detectors_are_read_back():
    assert key_of(KEY.name) == KEY
    assert [detector_of(apid) for apid in (0x101, 0x132, 0x152, 0x160, 0x7FF, -1)] == [
        *("WFI01", "WFI18", "WFI18"),
        *("", "", ""),
    ]

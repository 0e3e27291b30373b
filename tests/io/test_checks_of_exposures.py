"""What references say of exposures: detectors at work, and read patterns."""

import asdf
import numpy as np
import pytest

from tessella.errors import DataError
from tessella.instrument.read_patterns import read_patterns
from tessella.io.detector_status import refuse_disabled
from tessella.io.multiaccum import check_read_pattern
from tessella.io.references import ReferenceHeader, write_reference
from tessella.references.published import detector_status, multiaccum_tables

HEADER = ReferenceHeader("WFI01", "2026-01-01T00:00:00", "test", {})
TABLES = multiaccum_tables()


def test_detector_that_is_not_enabled_is_refused_by_name(tmp_path):
    status = {**detector_status(), "WFI07": {"enabled": False}}
    path = tmp_path / "status.asdf"
    write_reference(path, "detectorstatus", {"status_info": status}, HEADER)
    refuse_disabled(path, "WFI01")
    with pytest.raises(DataError, match=r"status\.asdf: WFI07 is not enabled; leave it out"):
        refuse_disabled(path, "WFI07")


@pytest.mark.parametrize("status", [{}, {"WFI01": {}}, {"WFI01": {"enabled": "yes"}}, None])
def test_status_that_says_nothing_of_a_detector_is_refused(tmp_path, status):
    path = tmp_path / "status.asdf"
    asdf.AsdfFile({"roman": {"status_info": status}}).write_to(path)
    with pytest.raises(DataError, match=r"status_info\.WFI01\.enabled: .*, expected true or false"):
        refuse_disabled(path, "WFI01")


def exposure(number=3, n=None, frame_time=None, **changes):
    pattern = read_patterns()[number]
    told = {
        "ma_table_number": number,
        "read_pattern": [list(reads) for reads in pattern.reads[:n]],
        "frame_time": frame_time or pattern.frame_time,
    }
    return {"exposure": {**told, **changes}}


@pytest.mark.parametrize("number", list(read_patterns()))
def test_reads_of_whole_and_truncated_tables_agree(number):
    for n in range(1, len(read_patterns()[number].reads) + 1):
        check_read_pattern("x.asdf", exposure(number, n), TABLES)


def test_table_that_is_not_listed_is_not_checked():
    check_read_pattern("x.asdf", exposure(ma_table_number=9001), TABLES)


@pytest.mark.parametrize("pattern", [[[2], [3, 4]], [[1], [2, 3], [4]], [[1]] * 9])
def test_other_reads_are_refused(pattern):
    with pytest.raises(DataError, match=r"x\.asdf: meta\.exposure\.read_pattern: .* table 3 of"):
        check_read_pattern("x.asdf", exposure(read_pattern=pattern), TABLES)


def test_other_frame_time_is_refused():
    check_read_pattern("x.asdf", exposure(frame_time=np.float32(3.16247)), TABLES)
    with pytest.raises(DataError, match=r"frame_time: 3\.04, MultiAccum table 3 .* 3\.16247"):
        check_read_pattern("x.asdf", exposure(frame_time=3.04), TABLES)

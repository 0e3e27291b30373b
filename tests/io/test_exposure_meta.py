"""Keywords of exposures, and what is read from them."""

import exposures
import numpy as np
import pytest

from tessella.errors import DataError
from tessella.io.exposure_meta import exposure_meta, file_name, read_attitude, read_header
from tessella.io.provenance import provenance, sha256


@pytest.fixture
def meta():
    return exposure_meta(exposures.HEADER, "WFI01", exposures.WINDOW, exposures.PATTERN, 4000)


def test_header_comes_back(meta):
    back = read_header(meta, "x.asdf")
    assert back.key == exposures.HEADER.key
    assert back.start_time == "2028-07-01T00:00:00.000000"
    for name in (
        "optical_element",
        "ma_table_number",
        "exposure_type",
        "ra_v1",
        "target_dec",
        "pa_aperture",
    ):
        assert getattr(back, name) == getattr(exposures.HEADER, name)


def test_names_are_official(meta):
    assert meta["filename"] == "r0000101001001001001_0001_wfi01_f158_uncal.asdf"
    assert len(meta["observation"]["observation_id"]) == 28
    assert file_name(exposures.HEADER, "WFI18", "cal").endswith("_wfi18_f158_cal.asdf")


def test_footprint_holds_the_reference_point_of_a_whole_detector():
    from tessella.models import Window

    meta = exposure_meta(exposures.HEADER, "WFI01", Window(), exposures.PATTERN, 4000)
    numbers = np.array(meta["wcsinfo"]["s_region"].split()[2:], float).reshape(4, 2)
    attitude = read_attitude(meta)
    assert numbers[:, 0].min() < attitude.ra_ref < numbers[:, 0].max()
    assert numbers[:, 1].min() < attitude.dec_ref < numbers[:, 1].max()


@pytest.mark.parametrize("keyword", ["visit", "program"])
def test_missing_keyword_is_named(meta, keyword):
    del meta["observation"][keyword]
    with pytest.raises(DataError, match=rf"x\.asdf: keyword .*{keyword} is missing"):
        read_header(meta, "x.asdf")


def test_provenance_names_inputs_without_folders(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("a")
    origin = provenance("stage", {"x": (1, 2)}, [path], steps=["one"])
    # SHA-256 of "a", as printed by sha256sum.
    digest = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"
    assert origin["made_from"] == [{"name": "a.txt", "sha256": digest}]
    assert origin["options"] == {"x": [1, 2]}
    assert origin["steps"] == ["one"]
    assert sha256(path) == digest

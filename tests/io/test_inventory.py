"""What given files are told to hold, without a look at their pixels."""

import os
from dataclasses import replace

import level2_files
import numpy as np
import pytest

from tessella.errors import DataError
from tessella.io import holdings, seals
from tessella.io.holdings import stretches_of
from tessella.io.inventory import level2_inventory, telemetry_inventory
from tessella.io.level0 import Level0Files, read_level0, write_level0
from tessella.models import ExposureHeader, ExposureKey, Readout, Window
from tessella.telemetry.encode import packetize
from tessella.telemetry.index import index_packets

KEY = ExposureKey(1, 2, 3, 4, 5, 6, 7)
HEADER = ExposureHeader(
    KEY, "F106", 3, "2027-01-01T00:00:00.000", "WFI_IMAGE", 1.0, 2.0, 3.0, 1.25, 2.25, 4.0
)


def readout(detector: str) -> Readout:
    pixels = np.zeros((2, 128, 128), np.uint16)
    planes = (pixels, pixels, pixels[0], pixels[0])
    return Readout(detector, Window(128, 0, 128, 128), *planes, encoding_offset=4000)


@pytest.fixture
def files(tmp_path):
    """Telemetry of one exposure, a file a detector."""
    paths = []
    for detector in ("WFI02", "WFI03"):
        paths.append(tmp_path / f"{detector}.l0")
        write_level0(paths[-1], packetize(HEADER, [readout(detector)]), {})
    return paths


def test_exposure_is_gathered_from_all_its_telemetry_files(files):
    (found,), completeness, refused = telemetry_inventory(files)
    assert refused == []
    assert completeness == {KEY.name: 1.0}
    assert found["telemetry"] == [str(path) for path in files]
    assert list(found["detectors"]) == ["WFI02", "WFI03"]
    assert found["key"] == vars(KEY)
    assert (found["ra"], found["dec"], found["pa"]) == (1.25, 2.25, 4.0)


def test_telemetry_file_is_read_once_and_again_when_it_has_changed(files, tmp_path, monkeypatch):
    cache, read = tmp_path / "cache", []
    monkeypatch.setattr(
        holdings, "read_level0", lambda path: read.append(path) or read_level0(path)
    )
    first = telemetry_inventory(files, cache)
    assert telemetry_inventory(files, cache) == first
    assert read == files
    os.utime(files[1], ns=(1, 1))
    assert telemetry_inventory(files, cache) == first
    assert read == [*files, files[1]]


def test_of_a_file_that_was_looked_at_only_the_octets_of_the_exposure_are_read(
    tmp_path, monkeypatch
):
    keys = [replace(KEY, exposure=n) for n in (1, 2)]
    sent = [packetize(replace(HEADER, key=key), [readout("WFI02")]) for key in keys]
    (file, cache), lengths = (
        (tmp_path / "a.l0", tmp_path / "cache"),
        [len(b"".join(s)) for s in sent],
    )
    write_level0(file, sent[0] + sent[1], {})
    telemetry_inventory([file], cache)
    monkeypatch.setattr(seals, "_seen", {})
    monkeypatch.setattr(seals, "digest_of", None)
    assert stretches_of([file], keys[0], cache) == [((0, lengths[0]),)]
    (own,) = stretches_of([file], keys[1], cache)
    assert own == ((lengths[0], sum(lengths)),)
    index = index_packets(Level0Files([file]), keys[1], [own])
    assert index.left_out == (lengths[0],)
    assert len(index) == len(sent[1]) - 2


def test_rows_that_a_file_lacks_are_counted_and_its_housekeeping_may_be_elsewhere(files, tmp_path):
    packets = packetize(HEADER, [readout("WFI02")])
    records, pixels = packets[:3], packets[3:-3]
    for name, part in (("records", records), ("first", pixels[:9]), ("rest", pixels[9:])):
        write_level0(tmp_path / f"{name}.l0", part, {})
    paths = [tmp_path / f"{name}.l0" for name in ("first", "records")]
    (found,), completeness, _ = telemetry_inventory(paths)
    assert found["telemetry"] == [str(path) for path in paths]
    assert 0 < completeness[KEY.name] < 1
    assert telemetry_inventory([paths[0]])[:2] == ([], {KEY.name: 0.0})
    assert telemetry_inventory([*paths, tmp_path / "rest.l0"])[1] == {KEY.name: 1.0}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Images of two exposures, one with two detectors, of all kinds; and a spectral exposure."""
    folder = tmp_path_factory.mktemp("level 2")
    level2_files.write(folder, level2_files.image_of("WFI01"), "romanisim", 1)
    level2_files.write(folder, level2_files.image_of("WFI02", seed=2), "romancal", 1)
    level2_files.write(folder, level2_files.image_of("WFI02", "F106"), "ours", 2)
    level2_files.write(
        folder, level2_files.image_of("WFI02", "F106"), "ours", 3, exposure_type="WFI_IM_DARK"
    )
    return folder


def test_level2_exposures_may_have_different_detectors(folder):
    paths = sorted(folder.glob("*_cal.asdf"))
    found, excluded = level2_inventory(paths, level2_files.WINDOW)
    assert [sorted(entry["detectors"]) for entry in found] == [["WFI01", "WFI02"], ["WFI02"]]
    assert [entry["optical_element"] for entry in found] == ["F158", "F106"]
    assert found[0]["level2"]["WFI01"] == str(paths[0])
    # All were taken at one pointing. The middle of the instrument is 280 arcsec from the detectors,
    # over which velocity aberration, which a gwcs does not tell apart, is 0.028 arcsec at most.
    for entry in found:
        assert entry["ra"] == pytest.approx(12.108, abs=8e-6 / np.cos(np.radians(85.255)))
        assert entry["dec"] == pytest.approx(85.255, abs=8e-6)
        assert entry["pa"] % 360 == pytest.approx(0.0, abs=1e-3) or entry["pa"] > 359.999
    (left_out,) = excluded
    assert left_out["exposure"].startswith("r0000101001001001001_0003")
    assert left_out["reason"].endswith(
        "meta.exposure.type is WFI_IM_DARK, expected WFI_IMAGE or WFI_LOLO"
    )


def test_level2_image_that_is_there_twice_is_refused(folder, tmp_path):
    first = sorted(folder.glob("*_cal.asdf"))[0]
    again = tmp_path / "again_cal.asdf"
    again.write_bytes(first.read_bytes())
    with pytest.raises(DataError, match="again_cal.asdf: meta.observation.*wfi01_f158, which /"):
        level2_inventory([first, again], level2_files.WINDOW)


def test_level2_images_of_two_programs_are_refused(folder, tmp_path):
    other = level2_files.write(tmp_path, level2_files.image_of(seed=3), "ours", 5, program=2)
    paths = [*sorted(folder.glob("*_0001_*_cal.asdf")), other]
    with pytest.raises(DataError, match="meta.observation.program: found 2, expected 1 as in"):
        level2_inventory(paths, level2_files.WINDOW)

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest

from tessella.errors import DataError
from tessella.io.level0 import (
    read_ledger,
    read_level0,
    read_readouts,
    write_ledger,
    write_level0,
    write_readouts,
)
from tessella.models import ExposureHeader, ExposureKey, Readout, Window
from tessella.telemetry.decode import decode
from tessella.telemetry.encode import packetize

HEADER = ExposureHeader(
    key=ExposureKey(1, 2, 3, 4, 5, 6, 7),
    optical_element="F106",
    ma_table_number=3,
    start_time="2027-01-01T00:00:00.000",
    exposure_type="WFI_IMAGE",
    ra_v1=1.1,
    dec_v1=2.2,
    pa_v3=3.3,
    target_ra=1.2,
    target_dec=2.3,
    pa_aperture=4.4,
)
PLANES = ("data", "amp33", "reference_read", "reference_amp33")


@pytest.fixture
def readout():
    rng = np.random.default_rng(2)
    pixels = rng.integers(0, 1 << 16, (2, 128, 128), dtype=np.uint16)
    return Readout("WFI02", Window(128, 0, 128, 128), pixels, pixels, pixels[0], pixels[1], 4000)


@pytest.fixture
def packets(readout):
    return packetize(HEADER, [readout], {})


def test_level0_file_holds_the_packets_and_its_sidecar_describes_them(tmp_path, packets):
    path = tmp_path / "a.l0"
    write_level0(path, packets, {})
    data = b"".join(packets)
    assert bytes(read_level0(path)) == data
    sidecar = json.loads((tmp_path / "a.l0.json").read_text())
    assert sidecar["sha256"] == hashlib.sha256(data).hexdigest()
    assert sidecar["bytes"] == len(data)
    assert sidecar["first_packet"] == "2027-01-01T00:00:00.000000"
    # Three reads of 3.16247 s.
    assert sidecar["last_packet"] == "2027-01-01T00:00:09.487410"
    assert sidecar["apids"] == {"0x102": 48, "0x122": 48, "0x160": 2, "0x170": 4, "0x7ff": 2}


def test_mapped_file_decodes_like_the_packets(tmp_path, packets, readout):
    write_level0(tmp_path / "a.l0", packets, {})
    exposures, ledger = decode([read_level0(tmp_path / "a.l0")])
    ledger.check()
    assert np.array_equal(exposures[HEADER.key].readouts["WFI02"].data, readout.data)


def test_file_that_its_sidecar_does_not_describe_is_refused(tmp_path, packets):
    path = tmp_path / "a.l0"
    write_level0(path, packets, {})
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"a\.l0: its sha256 is"):
        read_level0(path)


def test_missing_file_is_refused_and_a_sidecar_is_not_needed(tmp_path, packets):
    with pytest.raises(DataError, match=r"none\.l0: no such file"):
        read_level0(tmp_path / "none.l0")
    (tmp_path / "b.l0").write_bytes(b"")
    assert read_level0(tmp_path / "b.l0") == b""


def test_readouts_before_telemetry_survive_the_file(tmp_path, readout):
    write_readouts(tmp_path / "r.h5", HEADER, [readout], {})
    content = read_readouts(tmp_path / "r.h5")
    assert content.header == HEADER
    assert (content.received, content.problems) == ({}, ())
    got = content.readouts["WFI02"]
    assert (got.detector, got.window, got.encoding_offset) == ("WFI02", readout.window, 4000)
    for name in PLANES:
        assert np.array_equal(getattr(got, name), getattr(readout, name))
        assert getattr(got, name).dtype == np.uint16


def test_readouts_after_telemetry_keep_masks_and_problems(tmp_path, packets):
    exposure = decode([b"".join(packets[:-40])])[0][HEADER.key]
    assert not exposure.received["WFI02"].data.all()
    write_readouts(
        tmp_path / "r.h5",
        replace(exposure.header, ra_v1=np.nan),
        exposure.readouts.values(),
        {},
        exposure.received,
        ["no attitude was received"],
    )
    content = read_readouts(tmp_path / "r.h5")
    assert np.isnan(content.header.ra_v1)
    assert content.problems == ("no attitude was received",)
    for name in PLANES:
        mask = getattr(content.received["WFI02"], name)
        assert mask.dtype == bool
        assert np.array_equal(mask, getattr(exposure.received["WFI02"], name))


def test_flipped_bit_in_readouts_is_noticed(tmp_path, readout):
    path = tmp_path / "r.h5"
    write_readouts(path, HEADER, [readout], {})
    data = bytearray(path.read_bytes())
    start = data.index(readout.data[0].tobytes())
    data[start + 9] ^= 4
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"r\.h5"):
        read_readouts(path)


@pytest.mark.parametrize("content", [b"", b"no HDF5"])
def test_other_files_are_no_readouts_and_no_ledger(tmp_path, content):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(DataError, match="no readable file of readouts"):
        read_readouts(tmp_path / "x")
    with pytest.raises(DataError, match="no readable packet ledger"):
        read_ledger(tmp_path / "x")


def test_ledger_survives_the_file(tmp_path, packets):
    _, ledger = decode([b"noise" + b"".join(packets)])
    write_ledger(tmp_path / "l.json", ledger, {})
    assert read_ledger(tmp_path / "l.json") == ledger

import hashlib
import json
import resource
from pathlib import Path

import numpy as np
import pytest

from tessella.errors import DataError
from tessella.io.level0 import Level0Files, read_level0, write_level0
from tessella.models import ExposureHeader, ExposureKey, Readout, Window
from tessella.telemetry.decode import decode, receive
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


@pytest.fixture
def readout():
    rng = np.random.default_rng(2)
    pixels = rng.integers(0, 1 << 16, (2, 128, 128), dtype=np.uint16)
    return Readout("WFI02", Window(128, 0, 128, 128), pixels, pixels, pixels[0], pixels[1], 4000)


@pytest.fixture
def packets(readout):
    return packetize(HEADER, [readout])


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
    # Three planes of 16 cells: noise of 16 bits does not get shorter.
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


def test_more_files_than_a_process_may_open_are_decoded(tmp_path, packets):
    """One packet a file."""
    for i, packet in enumerate(packets):
        (tmp_path / f"{i:03d}.l0").write_bytes(packet)
    files = sorted(tmp_path.glob("*.l0"))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = len(list(Path("/proc/self/fd").iterdir())) + 45
    assert len(files) > lowest
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    try:
        (assembly,) = receive(Level0Files(files)).exposures.values()
        parts = list(assembly.detectors())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert all(part.data.arrived.all() for part in parts)
    assert assembly.completeness == 1

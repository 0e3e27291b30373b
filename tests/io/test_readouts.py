import numpy as np
import pytest

from tessella.errors import DataError
from tessella.io.readouts import read_readouts, write_decoded, write_readouts
from tessella.models import ExposureHeader, ExposureKey, GuideWindow, Readout, Window
from tessella.telemetry.decode import decode, receive
from tessella.telemetry.encode import packetize
from tessella.telemetry.inventory import survey, together

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


def readout_of(detector: str) -> Readout:
    rng = np.random.default_rng(2)
    pixels = rng.integers(0, 1 << 16, (2, 128, 128), dtype=np.uint16)
    guide = GuideWindow(130, 7, pixels[:, :8, :16]) if detector == "WFI02" else None
    planes = (pixels, pixels, pixels[0], pixels[1])
    return Readout(detector, Window(128, 0, 128, 128), *planes, 4000, guide)


@pytest.fixture
def readout():
    return readout_of("WFI02")


def test_readouts_before_telemetry_survive_the_file(tmp_path, readout):
    write_readouts(tmp_path / "r.h5", HEADER, [readout], {})
    content = read_readouts(tmp_path / "r.h5")
    assert content.header == HEADER
    assert (content.received, content.reliability.problems) == ({}, ())
    got = content.readouts["WFI02"]
    assert (got.detector, got.window, got.encoding_offset) == ("WFI02", readout.window, 4000)
    for name in PLANES:
        assert np.array_equal(getattr(got, name), getattr(readout, name))
        assert getattr(got, name).dtype == np.uint16
    assert (got.guide.x, got.guide.y) == (130, 7)
    assert np.array_equal(got.guide.pixels, readout.guide.pixels)


def test_decoded_exposure_keeps_masks_problems_and_what_it_was_made_of(tmp_path):
    packets = packetize(HEADER, [readout_of("WFI02"), readout_of("WFI03")])
    # The last packets are guide windows and records; a packet of pixels is lost in the middle.
    streams = [b"".join(packets[5:60]), b"".join([*packets[:4], *packets[61:]])]
    (expected,), ledger = (list(decode(streams)[0].values()), decode(streams)[1].counts)
    write_decoded(tmp_path / "r.h5", next(iter(receive(streams).exposures.values())), {})
    content = read_readouts(tmp_path / "r.h5")
    assert content.detectors == ("WFI02", "WFI03")
    assert content.reliability.problems == expected.problems != ()
    # It tells the packets that were used, not how they came.
    assert content.reliability.version == version_of(tmp_path, [b"".join(streams), streams[0]])
    assert content.reliability.version != version_of(tmp_path, streams[1:])
    # Of rows, guide windows count too: of pixels they do not.
    assert ledger.missing_rows > 0
    there = together(survey([stream])[HEADER.key] for stream in streams).completeness
    assert content.reliability.completeness == there < 1
    for detector, received in expected.received.items():
        for name in (*PLANES, "guide"):
            mask = getattr(content.received[detector], name)
            assert mask.dtype == bool
            assert np.array_equal(mask, getattr(received, name))
    alone = read_readouts(tmp_path / "r.h5", only=["WFI03"])
    assert (alone.detectors, list(alone.readouts)) == (("WFI02", "WFI03"), ["WFI03"])


def version_of(tmp_path, streams):
    (exposure,) = receive(streams).exposures.values()
    write_decoded(tmp_path / "other.h5", exposure, {})
    return read_readouts(tmp_path / "other.h5").reliability.version


def test_unknown_attitude_survives_the_file(tmp_path):
    packets = packetize(HEADER, [readout_of("WFI02")])
    (exposure,) = receive([b"".join(p for p in packets if p[1] != 0x60)]).exposures.values()
    write_decoded(tmp_path / "r.h5", exposure, {})
    content = read_readouts(tmp_path / "r.h5")
    assert np.isnan(content.header.ra_v1)
    assert content.reliability.problems == ("no attitude was received",)


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
def test_other_files_are_no_readouts(tmp_path, content):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(DataError, match="no readable file of readouts"):
        read_readouts(tmp_path / "x")

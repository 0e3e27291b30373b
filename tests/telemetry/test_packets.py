import re
from pathlib import Path

import numpy as np
import pytest

from tessella.models import ExposureKey
from tessella.telemetry.checksum import crc
from tessella.telemetry.packets import (
    HEADER,
    IDLE,
    MAX_OCTETS,
    Primary,
    pack_primary,
    pack_visit,
    packet,
    sca_number,
    seal,
    unpack_primary,
    unpack_visit,
)

PROJECT = Path(__file__).parents[2]
CCSDS = PROJECT.parent / "shared" / "data" / "ccsds"
#: Published with the files: packets and application identifiers.
REAL_FILES = {
    "jpss1-geolocation/J01_G011_LZ_2021-04-09T00-00-00Z_V01.DAT1": (7200, 1, 11),
    "cygnss/CYGNSS_F7_L0_2022_086_10_15_V01_F__first101pkts.tlm": (101, 7, None),
    "imap-hit-segmented/sci_sample.ccsds": (1740, 1, 1252),
}


def primary_headers(data: bytes) -> list[Primary]:
    headers, position = [], 0
    while position < len(data):
        headers.append(unpack_primary(data, position))
        position += headers[-1].octets
    assert position == len(data)
    return headers


@pytest.mark.parametrize(
    "primary",
    [Primary(0, False, False, IDLE, 3, 16383, 7), Primary(5, True, True, 0, 0, 0, 65542)],
)
def test_primary_header_survives_a_round_trip(primary):
    packed = pack_primary(primary)
    assert len(packed) == 6
    assert unpack_primary(packed) == primary


def test_primary_header_fields_stand_where_the_standard_puts_them():
    # 000 0 1 001 0000 0001 | 01 00000000000010 | length 9 - 7
    assert unpack_primary(bytes([0x09, 0x01, 0x40, 0x02, 0x00, 0x02])) == Primary(
        0, False, True, 0x101, 1, 2, 9
    )


def test_half_a_primary_header_is_refused():
    with pytest.raises(ValueError, match="6 octets; 3 are left"):
        unpack_primary(b"\x09\x01\x40")


def test_sealed_packet_tells_its_length_and_carries_its_checksum():
    sealed = packet(np.zeros(1, HEADER), b"abc")
    assert unpack_primary(sealed).octets == len(sealed) == HEADER.itemsize + 3 + 2
    assert crc(sealed) == 0


def test_packet_longer_than_the_checksum_can_guard_is_refused():
    with pytest.raises(ValueError, match=f"{MAX_OCTETS} are allowed"):
        packet(np.zeros(1, HEADER), bytes(MAX_OCTETS))


def test_payloads_of_other_lengths_than_announced_are_refused():
    with pytest.raises(ValueError, match="3 octets of payload; 4 were announced"):
        seal(np.zeros(1, HEADER), np.zeros(3, np.uint8), np.array([4]))


def test_largest_visit_of_official_names_fits_its_field():
    key = ExposureKey(99999, 99, 999, 999, 999, 999, 9999)
    assert pack_visit(key) < 1 << 64
    assert unpack_visit(pack_visit(key), 9999) == key


def test_number_that_does_not_fit_the_visit_is_refused():
    with pytest.raises(ValueError, match="segment is 1024"):
        pack_visit(ExposureKey(1, 1, 1, 1024, 1, 1, 1))


def test_unknown_detector_is_refused():
    with pytest.raises(ValueError, match="WFI19"):
        sca_number("WFI19")


def test_document_describes_every_field_of_the_header():
    document = (PROJECT / "docs" / "level0.md").read_text()
    described = re.findall(r"^\| (\d+) \| (\d+) \| `(\w+)`", document, re.MULTILINE)
    fields = [
        (str(offset), str(dtype.itemsize), name) for name, (dtype, offset) in HEADER.fields.items()
    ]
    assert described == fields


@pytest.mark.parametrize("name", REAL_FILES)
def test_headers_of_other_spacecraft_are_read(name):
    if not (CCSDS / name).is_file():
        pytest.skip(f"../shared/data/ccsds/{name} is not there")
    n_packets, n_apids, only_apid = REAL_FILES[name]
    headers = primary_headers((CCSDS / name).read_bytes())
    assert len(headers) == n_packets
    assert len({header.apid for header in headers}) == n_apids
    assert only_apid is None or headers[0].apid == only_apid
    assert {(header.version, header.is_command) for header in headers} == {(0, False)}

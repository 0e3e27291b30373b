"""Our packets, read by another reader of XTCE from the same declaration."""

from importlib.resources import files

import numpy as np
import pytest
from sent_packets import head, payload_of

from tessella.telemetry.declaration import read_declaration
from tessella.telemetry.encode import packetize
from tessella.telemetry.packets import (
    AMP33,
    ATTITUDE,
    GUIDE,
    HEADER,
    HOUSEKEEPING,
    IDLE,
    SCIENCE,
    unpack_primary,
    unpack_visit,
)
from tessella.telemetry.records import ATTITUDE_RECORD, DETECTOR_RECORD, EXPOSURE_RECORD

RECORDS = {(HOUSEKEEPING, 0): EXPOSURE_RECORD, (ATTITUDE, 0): ATTITUDE_RECORD}


@pytest.fixture(scope="module")
def packets(header, readouts):
    return packetize(header, readouts)


@pytest.fixture(scope="module")
def theirs(packets):
    """What space_packet_parser makes of each packet."""
    reader = pytest.importorskip("space_packet_parser")
    declaration = reader.load_xtce(files("tessella.telemetry") / "packets.xml")
    return [dict(declaration.parse_bytes(packet)) for packet in packets]


def test_every_kind_of_packet_is_there(packets):
    apids = {unpack_primary(packet).apid for packet in packets}
    sca = {base + n for base in (SCIENCE, AMP33) for n in (1, 18)}
    assert apids == {*sca, GUIDE + 1, ATTITUDE, HOUSEKEEPING, IDLE}


def test_primary_headers_are_the_same(packets, theirs):
    for packet, fields in zip(packets, theirs, strict=True):
        ours = unpack_primary(packet)
        assert (fields["apid"], fields["sequence_count"]) == (ours.apid, ours.sequence_count)
        assert fields["sequence_flags"] == ours.sequence_flags
        assert fields["length"] + 7 == ours.octets == len(packet)
        assert fields["checksum"] == int.from_bytes(packet[-2:], "big")


def test_payload_headers_and_payloads_are_the_same(packets, theirs, header):
    for packet, fields in zip(packets, theirs, strict=True):
        if fields["apid"] == IDLE:
            assert fields["fill"] == packet[6:-2]
            continue
        ours = head(packet)
        for name in HEADER.names[3:]:
            if name == "fraction":
                assert fields[name] == int.from_bytes(ours[name].tobytes(), "big")
            elif name != "visit_key":
                assert fields[name] == ours[name]
        key = unpack_visit(int(ours["visit_key"]), int(ours["exposure"]))
        assert key == header.key
        assert [fields[name] for name in vars(key)] == list(vars(key).values())
        if fields["apid"] < ATTITUDE:
            assert fields["payload"] == payload_of(packet)


def test_records_are_the_same(packets, theirs):
    n_records = 0
    for packet, fields in zip(packets, theirs, strict=True):
        if fields["apid"] not in (ATTITUDE, HOUSEKEEPING):
            continue
        dtype = RECORDS.get((fields["apid"], fields["sca"]), DETECTOR_RECORD)
        record = np.frombuffer(payload_of(packet), dtype)[0]
        for name in dtype.names:
            value = record[name].item()
            found = fields[name].rstrip("\0") if isinstance(value, bytes) else fields[name]
            assert found == (value.decode() if isinstance(value, bytes) else value)
        n_records += 1
    # Two samples of the exposure, its two detectors and its attitude.
    assert n_records == 8


def test_identifiers_of_kinds_do_not_overlap():
    kinds = {name: set(one.apids()) for name, one in read_declaration().items() if one.is_final}
    kinds.pop("detector_record")  # shares its identifier with the exposure's record
    assert sum(map(len, kinds.values())) == len(set.union(*kinds.values()))

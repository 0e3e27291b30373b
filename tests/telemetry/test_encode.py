import io
from collections import defaultdict
from dataclasses import replace

import numpy as np
import pytest
from sent_packets import head

from tessella.telemetry.checksum import crc
from tessella.telemetry.clock import read_time, seconds_since_epoch
from tessella.telemetry.encode import packetize
from tessella.telemetry.packets import HEADER, IDLE, MAX_OCTETS, unpack_primary


@pytest.fixture(scope="module")
def packets(header, readouts):
    return packetize(header, readouts, codec="none")


def test_every_packet_is_sound_and_short(packets):
    assert all(crc(packet) == 0 for packet in packets)
    assert max(map(len, packets)) < MAX_OCTETS


def test_counts_wrap_and_run_on_without_a_gap(header, readouts):
    counts = defaultdict(list)
    for packet in packetize(header, readouts, {0x101: 16380, IDLE: 16383}, "none"):
        primary = unpack_primary(packet)
        counts[primary.apid].append(primary.sequence_count)
    assert counts[0x101][:6] == [16380, 16381, 16382, 16383, 0, 1]
    assert counts[0x112][:2] == [0, 1]
    assert counts[IDLE] == [16383, 0]
    for sent in counts.values():
        assert set(np.diff(sent) % 16384) <= {1}


def test_first_and_last_packet_of_a_resultant_are_marked(packets):
    flags = defaultdict(list)
    for packet in packets:
        primary = unpack_primary(packet)
        if primary.apid == 0x101:
            flags[int(head(packet)["resultant"])].append(primary.sequence_flags)
    assert sorted(flags) == [0, 1, 0xFFFF]
    for marks in flags.values():
        assert (marks[0], marks[-1]) == (1, 2)
        assert set(marks[1:-1]) == {0}


def test_resultant_is_timed_at_the_end_of_its_last_read(packets, header):
    science = [packet for packet in packets if unpack_primary(packet).apid == 0x101]
    heads = np.array([head(packet) for packet in science])
    elapsed = read_time(heads[heads["resultant"] == 1]) - seconds_since_epoch(header.start_time)
    # Resultant 1 of table 3 ends with read 3; half a tick of the clock and float64 at 2e8 s.
    np.testing.assert_allclose(elapsed, 3 * 3.16247, rtol=0, atol=2e-7)


def test_detectors_alternate(packets):
    science = [a for a in (unpack_primary(p).apid for p in packets) if a in (0x101, 0x112)]
    assert science[:4] == [0x101, 0x112, 0x101, 0x112]


def test_ccsdspy_reads_the_same_headers(packets):
    ccsdspy = pytest.importorskip("ccsdspy")
    theirs = ccsdspy.utils.read_primary_headers(io.BytesIO(b"".join(packets)))
    ours = [unpack_primary(packet) for packet in packets]
    assert theirs["CCSDS_APID"].tolist() == [primary.apid for primary in ours]
    assert theirs["CCSDS_SEQUENCE_COUNT"].tolist() == [p.sequence_count for p in ours]
    assert theirs["CCSDS_SEQUENCE_FLAG"].tolist() == [p.sequence_flags for p in ours]
    assert theirs["CCSDS_SECONDARY_FLAG"].tolist() == [p.has_secondary_header for p in ours]
    assert (theirs["CCSDS_PACKET_LENGTH"] + 7).tolist() == [len(packet) for packet in packets]


def test_ccsdspy_reads_the_same_pixels(packets, readouts):
    ccsdspy = pytest.importorskip("ccsdspy")
    fields = [
        ccsdspy.PacketField(name, "uint", 8 * dtype.itemsize)
        for name, (dtype, offset) in HEADER.fields.items()
        if offset >= 6
    ]
    pixels = ccsdspy.PacketArray(name="pixels", data_type="uint", bit_length=16, array_shape=1024)
    table = ccsdspy.FixedLength([*fields, pixels, ccsdspy.PacketField("crc", "uint", 16)])
    wanted = [packet for packet in packets if unpack_primary(packet).apid == 0x112]
    decoded = table.load(io.BytesIO(b"".join(wanted)))
    first = decoded["resultant"] == 0
    assert decoded["first_column"].tolist() == [3968] * len(wanted)
    assert np.array_equal(decoded["pixels"][first].reshape(128, 128), readouts[1].data[0])


def test_wrong_shape_is_refused(header, readouts):
    wrong = replace(readouts[1], amp33=readouts[1].amp33[:, :64])
    with pytest.raises(ValueError, match="WFI18: amp33"):
        packetize(header, [wrong])


def test_unknown_or_short_ma_table_is_refused(header, readouts):
    with pytest.raises(ValueError, match="no MA table 77"):
        packetize(replace(header, ma_table_number=77), readouts)
    long = replace(readouts[1], data=readouts[1].data[[0] * 6], amp33=readouts[1].amp33[[0] * 6])
    with pytest.raises(ValueError, match="has 6 resultants; MA table 3 has 5"):
        packetize(header, [long])

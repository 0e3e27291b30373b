"""Packets of other spacecraft, against ccsdspy and space_packet_parser."""

import io
import warnings
from pathlib import Path

import numpy as np
import pytest

from tessella.telemetry.packets import COUNTS, Primary, pack_primary
from tessella.telemetry.space_packets import gaps, groups, join, split

CCSDS = Path(__file__).parents[3] / "shared" / "data" / "ccsds"
#: Published with the files: packets, application identifiers, jumps of counts.
REAL_FILES = {
    "jpss1-geolocation/J01_G011_LZ_2021-04-09T00-00-00Z_V01.DAT1": (7200, 1, 0),
    "cygnss/CYGNSS_F7_L0_2022_086_10_15_V01_F__first101pkts.tlm": (101, 7, 9),
    "imap-hit-segmented/sci_sample.ccsds": (1740, 1, 0),
}
SEGMENTED = "imap-hit-segmented/sci_sample.ccsds"


def real(name: str) -> bytes:
    if not (CCSDS / name).is_file():
        pytest.skip(f"../shared/data/ccsds/{name} is not there")
    return (CCSDS / name).read_bytes()


def packet(apid: int, flags: int, count: int, payload: bytes) -> bytes:
    return pack_primary(Primary(0, False, False, apid, flags, count, 6 + len(payload))) + payload


@pytest.mark.parametrize("name", REAL_FILES)
def test_real_files_have_the_packets_that_were_published(name):
    data = real(name)
    table = split(data)
    n_packets, n_apids, n_jumps = REAL_FILES[name]
    assert (len(table.start), table.rest) == (n_packets, 0)
    apids = np.unique(table.apid)
    assert len(apids) == n_apids
    assert sum(gaps(table.sequence_count[table.of(apid)]).jumps for apid in apids) == n_jumps


@pytest.mark.parametrize("name", REAL_FILES)
def test_headers_are_those_of_ccsdspy(name):
    ccsdspy = pytest.importorskip("ccsdspy")
    data = real(name)
    table = split(data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it tells of jumps of the counts
        theirs = ccsdspy.utils.read_primary_headers(io.BytesIO(data))
    assert theirs["CCSDS_APID"].tolist() == table.apid.tolist()
    assert theirs["CCSDS_SEQUENCE_COUNT"].tolist() == table.sequence_count.tolist()
    assert theirs["CCSDS_SEQUENCE_FLAG"].tolist() == table.sequence_flags.tolist()
    assert theirs["CCSDS_SECONDARY_FLAG"].tolist() == table.has_secondary_header.tolist()
    assert theirs["CCSDS_PACKET_TYPE"].tolist() == table.is_command.tolist()
    assert (theirs["CCSDS_PACKET_LENGTH"] + 7).tolist() == (table.stop - table.start).tolist()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        streams = ccsdspy.utils.split_by_apid(io.BytesIO(data))
    for apid, stream in streams.items():
        own = b"".join(data[table.start[i] : table.stop[i]] for i in table.of(apid))
        assert stream.read() == own


@pytest.mark.parametrize("name", REAL_FILES)
def test_packets_are_those_of_space_packet_parser(name):
    parser = pytest.importorskip("space_packet_parser")
    data = real(name)
    table = split(data)
    theirs = list(parser.ccsds_generator(io.BytesIO(data)))
    assert [bytes(one) for one in theirs] == [
        data[a:b] for a, b in zip(table.start, table.stop, strict=True)
    ]
    assert [one.apid for one in theirs] == table.apid.tolist()


def test_groups_of_segments_are_joined_as_space_packet_parser_does():
    parser = pytest.importorskip("space_packet_parser")
    data = real(SEGMENTED)
    table = split(data)
    found = groups(table)
    whole = [group for group in found if not group.reason]
    # The file begins in the middle of a group and ends in the middle of one.
    assert [group.reason for group in found if group.reason] == [
        "no first segment",
        "no last segment",
    ]
    assert sum(len(group.packets) for group in found) == 1740
    ours = [join(data, table, group, secondary_octets=4) for group in whole]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = parser.ccsds_generator(
            io.BytesIO(data), combine_segmented_packets=True, secondary_header_bytes=4
        )
        assert [bytes(one) for one in theirs] == ours


@pytest.fixture
def segments() -> list[bytes]:
    """Two groups that wrap around the counts, and a packet between that stands alone."""
    kinds = [(5, 1), (5, 0), (6, 3), (5, 0), (5, 2), (5, 1), (5, 2)]
    counts = {5: COUNTS - 2, 6: 7}
    sent = []
    for i, (apid, flags) in enumerate(kinds):
        sent.append(packet(apid, flags, counts[apid], bytes([i, i])))
        counts[apid] = (counts[apid] + 1) % COUNTS
    return sent


def test_whole_groups_are_joined_across_other_identifiers(segments):
    data = b"".join(segments)
    table = split(data)
    found = groups(table)
    assert [(group.packets, group.reason) for group in found] == [((0, 1, 3, 4), ""), ((5, 6), "")]
    assert join(data, table, found[0])[6:] == bytes([0, 0, 1, 1, 3, 3, 4, 4])


@pytest.mark.parametrize(
    ("lost", "reason"),
    [(0, "no first segment"), (1, "segments are missing"), (4, "no last segment")],
)
def test_group_with_a_lost_segment_is_reported_and_not_joined(segments, lost, reason):
    data = b"".join(segments[:lost] + segments[lost + 1 :])
    table = split(data)
    broken, whole = groups(table)
    assert (broken.reason, whole.reason) == (reason, "")
    with pytest.raises(ValueError, match=reason):
        join(data, table, broken)


def test_two_groups_with_the_seam_lost_are_not_glued(segments):
    data = b"".join(segments[:4] + segments[6:])
    (broken,) = groups(split(data))
    assert broken.reason == "segments are missing"


def test_end_that_is_no_packet_is_told(segments):
    data = b"".join(segments)
    for cut in range(1, 8):
        table = split(data[:-cut])
        assert (len(table.start), table.reason) == (6, "truncated")
        assert table.rest == 8 - cut
    assert split(data + b"\xff" * 9).reason == "no packet header: version 7, expected 0"
    assert split(b"").rest == 0

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tessella.telemetry.packets import HEADER, SCIENCE, TIME_PREAMBLE, identification, packet
from tessella.telemetry.scan import REASONS, find_packets


def some_packets(n: int = 4, payload: int = 60) -> list[bytes]:
    headers = np.zeros(n, HEADER)
    headers["identification"] = identification(SCIENCE + 1)
    headers["time_preamble"] = TIME_PREAMBLE
    headers["resultant"] = np.arange(n)
    return [packet(headers[i : i + 1], bytes([i]) * payload) for i in range(n)]


def pieces(data: bytes, at_a_time: int = 3) -> list[tuple[int, int, str | None]]:
    """List what a stream is made of: start, stop, and the reason where it is no packet."""
    return [
        (start, stop, REASONS.get(kind))
        for scan in find_packets(data, at_a_time)
        for start, stop, kind in zip(scan.start, scan.stop, scan.kind.tolist(), strict=True)
    ]


def found(data: bytes) -> list[bytes]:
    return [data[start:stop] for start, stop, reason in pieces(data) if reason is None]


def reasons(data: bytes) -> list[str]:
    return [reason for *_, reason in pieces(data) if reason is not None]


def test_whole_packets_are_found_and_nothing_is_rejected():
    packets = some_packets()
    assert found(b"".join(packets)) == packets
    assert reasons(b"".join(packets)) == []


def test_garbage_between_packets_is_one_fragment():
    a, b, *_ = some_packets()
    assert found(a + b"garbage" + b) == [a, b]
    assert reasons(a + b"garbage" + b) == ["no header"]


def test_damaged_payload_costs_one_packet():
    a, b, c, _ = some_packets()
    damaged = b[:50] + bytes([b[50] ^ 1]) + b[51:]
    assert found(a + damaged + c) == [a, c]
    assert reasons(a + damaged + c) == ["wrong checksum"]


def test_damaged_neighbours_are_two_fragments():
    a, b, c, d = some_packets()
    b, c = (packet[:-1] + bytes([packet[-1] ^ 1]) for packet in (b, c))
    assert reasons(a + b + c + d) == ["wrong checksum"] * 2


def test_length_that_reaches_into_the_next_packets_costs_one_packet():
    a, b, c, d = some_packets()
    length = int.from_bytes(b[4:6], "big") + len(c)
    lying = b[:4] + length.to_bytes(2, "big") + b[6:]
    assert found(a + lying + c + d) == [a, c, d]
    assert reasons(a + lying + c + d) == ["wrong length"]


def test_length_that_is_too_short_costs_one_packet():
    a, b, c, _ = some_packets()
    lying = b[:4] + (30).to_bytes(2, "big") + b[6:]
    assert found(a + lying + c) == [a, c]
    assert len(reasons(a + lying + c)) == 1


def test_truncated_end_is_one_fragment():
    a, b, *_ = some_packets()
    for size in range(1, len(b)):
        assert found(a + b[:size]) == [a]
        assert len(reasons(a + b[:size])) == 1
    assert reasons(a + b[:-1]) == ["truncated"]


def test_start_in_the_middle_of_a_packet_is_one_fragment():
    a, b, *_ = some_packets()
    assert found(a[20:] + b) == [b]
    assert len(reasons(a[20:] + b)) == 1


@given(st.lists(st.one_of(st.integers(0, 3), st.binary(max_size=200)), max_size=8))
def test_every_packet_is_found_whatever_lies_between_and_all_octets_are_accounted_for(parts):
    packets = some_packets()
    data = b"".join(packets[part] if isinstance(part, int) else part for part in parts)
    wanted = [packets[part] for part in parts if isinstance(part, int)]
    assert found(data) == wanted
    starts, stops, _ = zip(*pieces(data), strict=True) if data else ((), (), ())
    assert [0, *stops] == [*starts, len(data)]


def test_number_found_at_a_time_does_not_matter():
    packets = some_packets(9)
    data = packets[0] + b"garbage" + b"".join(packets[1:7]) + packets[7][9:] + packets[8]
    assert all(pieces(data, n) == pieces(data) for n in range(1, 12))

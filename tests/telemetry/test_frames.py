import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from telemetry.transfer_frames import frames_of, idle_frame, unit

from tessella.io.level0 import map_file
from tessella.telemetry.decode import decode
from tessella.telemetry.encode import packetize
from tessella.telemetry.frames import FrameFormat, randomiser, read_link
from tessella.telemetry.packets import IDLE, Primary, pack_primary
from tessella.telemetry.reed_solomon import correct, to_dual
from tessella.telemetry.space_packets import split

PLAIN = FrameFormat(octets=128, interleaving=0)
FORMATS = [
    FrameFormat(octets=256, interleaving=2),
    PLAIN,
    FrameFormat(200, 0, False, 2, 3, 4, True),
]


def some_packets(n: int, seed: int = 1, longest: int = 400) -> list[bytes]:
    rng = np.random.default_rng(seed)
    packets = []
    for i, size in enumerate(rng.integers(1, longest, n)):
        payload = rng.integers(0, 256, size, dtype=np.uint8).tobytes()
        head = pack_primary(Primary(0, False, False, 0x55, 3, i, 6 + len(payload)))
        packets.append(head + payload)
    return packets


def own(packets: bytes) -> list[bytes]:
    """Return the packets of a channel but for the idle ones."""
    table = split(packets)
    assert table.rest == 0
    return [
        packets[a:b]
        for a, b, apid in zip(table.start, table.stop, table.apid, strict=True)
        if apid != IDLE
    ]


def test_randomiser_is_the_sequence_of_the_standard():
    assert randomiser(16).tobytes().hex() == "ff480ec09a0d70bc8e2c93ada7b746ce"
    sequence = np.unpackbits(randomiser(255 * 2))
    assert np.array_equal(sequence[:255], sequence[255 : 2 * 255])


@pytest.mark.parametrize("form", FORMATS)
def test_packets_that_run_through_frames_come_back(form):
    packets = some_packets(40)
    units = [unit(frame, form) for frame in frames_of(packets, form, 5, first=(1 << 24) - 3)]
    link = read_link(b"".join(units), form)
    assert own(link.channels[5].packets) == packets
    assert (link.n_stray, link.rejected, link.channels[5].n_lost) == (0, {}, 0)
    assert (link.n_frames, link.channels[5].n_incomplete) == (len(units), 0)


def test_memory_grows_with_the_packets_only(tmp_path):
    packet = pack_primary(Primary(0, False, False, 0x55, 3, 0, 120)) + bytes(114)
    units = [unit(frame, PLAIN) for frame in frames_of([packet] * 20_000, PLAIN, 5)]
    taken = []
    for n in (10_000, 20_000):
        (tmp_path / "pass.cadu").write_bytes(b"".join(units[:n]))
        tracemalloc.start()
        link = read_link(map_file(tmp_path / "pass.cadu"), PLAIN)
        taken.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert (link.n_frames, len(link.channels[5].packets)) == (n, n * 120)
    # An array that grows is copied with an eighth more room.
    assert taken[1] - taken[0] < (2 + 1 / 8) * 10_000 * 120


def test_channels_are_kept_apart_and_idle_frames_left_out():
    one, other = some_packets(20, seed=2), some_packets(20, seed=3)
    mixed = []
    pairs = zip(frames_of(one, PLAIN, 1), frames_of(other, PLAIN, 2), strict=False)
    for k, (a, b) in enumerate(pairs):
        mixed += [a, idle_frame(PLAIN, k), b]
    link = read_link(b"".join(unit(frame, PLAIN) for frame in mixed), PLAIN)
    for channel, packets in ((1, one), (2, other)):
        found = own(link.channels[channel].packets)
        assert found == packets[: len(found)]
    assert link.n_idle == len(mixed) // 3
    assert set(link.channels) == {1, 2}


@settings(max_examples=80, deadline=None)
@given(st.sets(st.integers(0, 60), max_size=12), st.integers(0, 9))
def test_lost_frames_cost_the_packets_in_them_and_nothing_else(lost, seed):
    packets = some_packets(30, seed=seed)
    frames = list(frames_of(packets, PLAIN, 7))
    kept = [frame for k, frame in enumerate(frames) if k not in lost]
    link = read_link(b"".join(unit(frame, PLAIN) for frame in kept), PLAIN)
    size = PLAIN.zone.stop - PLAIN.zone.start
    ends = np.cumsum([0, *map(len, packets)])
    whole = [
        packet
        for packet, a, b in zip(packets, ends[:-1], ends[1:], strict=True)
        if not lost & set(range(a // size, (b - 1) // size + 1))
    ]
    found = own(link.channels[7].packets) if 7 in link.channels else []
    assert found == whole
    inside = [k for k in lost if k < len(frames)]
    if kept and 7 in link.channels:
        first = min(k for k in range(len(frames)) if k not in lost)
        last = max(k for k in range(len(frames)) if k not in lost)
        assert link.channels[7].n_lost == sum(first < k < last for k in inside)


def test_repeated_frames_count_once():
    packets = some_packets(10)
    frames = [frame for frame in frames_of(packets, PLAIN, 7) for _ in range(2)]
    channel = read_link(b"".join(unit(frame, PLAIN) for frame in frames), PLAIN).channels[7]
    assert own(channel.packets) == packets
    assert channel.n_repeated == len(frames) // 2


def test_stray_octets_and_cut_units_are_counted_and_skipped():
    packets = some_packets(12)
    units = [unit(frame, PLAIN) for frame in frames_of(packets, PLAIN, 7)]
    data = b"noise".join(units) + units[0][:50]
    link = read_link(data, PLAIN)
    assert own(link.channels[7].packets) == packets
    assert link.n_stray == 5 * (len(units) - 1) + 50


def test_damaged_frames_are_rejected_by_their_checksum():
    form = FORMATS[2]
    units = [bytearray(unit(frame, form)) for frame in frames_of(some_packets(12), form, 7)]
    units[2][90] ^= 4
    link = read_link(b"".join(map(bytes, units)), form)
    assert link.rejected == {"wrong checksum": 1}
    assert link.channels[7].n_lost == 1


def test_frames_of_other_kinds_are_rejected():
    form = replace(PLAIN, is_randomised=False)
    (frame, *_) = frames_of(some_packets(3), form, 7)
    strange = [bytes([0x00, *frame[1:]]), frame[:6] + b"\x03\xff" + frame[8:]]
    link = read_link(b"".join(unit(one, form) for one in strange), form)
    assert link.rejected == {
        "version 0 of transfer frames, expected 1 (AOS)": 1,
        "first header outside of the frame": 1,
    }


def test_our_telemetry_comes_through_frames(header, readouts):
    form = FrameFormat(octets=1115, interleaving=0)
    packets = packetize(header, readouts)
    data = b"".join(unit(frame, form) for frame in frames_of(packets, form, 3))
    exposures, ledger = decode([read_link(data, form).channels[3].packets])
    ledger.check()
    assert ledger.counts.missing_rows == 0
    assert np.array_equal(exposures[header.key].readouts["WFI01"].data, readouts[0].data)


def trace_of(symbol: int) -> int:
    """Return the trace of an element of the field: the sum of its 8 conjugates."""
    total, conjugate = 0, symbol
    for _ in range(8):
        total ^= conjugate
        conjugate = times(conjugate, conjugate)
    assert total in (0, 1)
    return total


def times(a: int, b: int) -> int:
    product = 0
    while b:
        product ^= a * (b & 1)
        a, b = a << 1, b >> 1
        a ^= 0x187 * (a >> 8)
    return product


def test_dual_basis_is_that_of_the_standard():
    # Bit i of a symbol in the dual basis, the first the highest, is the trace of the symbol times
    # beta^i, beta = alpha^117 (CCSDS 131.0-B).
    beta = 1
    for _ in range(117):
        beta = times(beta, 2)
    table, power = to_dual(), 1
    for i in range(8):
        for symbol in range(256):
            assert int(table[symbol]) >> (7 - i) & 1 == trace_of(times(symbol, power))
        power = times(power, beta)


def test_sixteen_wrong_symbols_a_codeword_are_corrected_and_more_rejected():
    pytest.importorskip("reedsolo")
    form = FORMATS[0]
    rng = np.random.default_rng(5)
    packets = some_packets(10)
    units = [bytearray(unit(frame, form)) for frame in frames_of(packets, form, 7)]
    for one in units:
        for word in range(form.interleaving):
            for symbol in rng.choice(form.coded_octets // form.interleaving, 16, replace=False):
                one[4 + symbol * form.interleaving + word] ^= int(rng.integers(1, 256))
    data = b"".join(map(bytes, units))
    link = read_link(data, form, is_corrected=True)
    assert own(link.channels[7].packets) == packets
    assert link.n_corrected == 16 * form.interleaving * len(units)
    worse = bytearray(data)
    worse[4 : 4 + 60] = bytes(60)
    assert read_link(bytes(worse), form, is_corrected=True).rejected == {"too many errors": 1}


def test_correction_leaves_sound_frames_as_they_are():
    pytest.importorskip("reedsolo")
    form = replace(FORMATS[0], is_randomised=False)
    units = [unit(frame, form)[4:] for frame in frames_of(some_packets(4), form, 7)]
    frames = np.frombuffer(b"".join(units), np.uint8).reshape(len(units), -1)
    corrected = correct(frames, form.interleaving)
    assert np.array_equal(corrected.frames, frames)
    assert not corrected.symbols.any()


@pytest.mark.parametrize(
    ("lost", "n_incomplete"),
    [
        # Each frame has room for 120 octets; packets end at 100, 200, 600, 700 and 840.
        ({0}, 1),
        ({1}, 2),
        ({3}, 1),
        ({2, 3, 4}, 1),
        ({4, 5}, 2),
        ({1, 5}, 3),
    ],
)
def test_every_packet_that_a_lost_frame_cut_is_counted_once(lost, n_incomplete):
    sizes = (100, 100, 400, 100, 140)
    packets = [
        pack_primary(Primary(0, False, False, 0x55, 3, i, n)) + bytes(n - 6)
        for i, n in enumerate(sizes)
    ]
    frames = [frame for k, frame in enumerate(frames_of(packets, PLAIN, 7)) if k not in lost]
    channel = read_link(b"".join(unit(f, PLAIN) for f in frames), PLAIN).channels[7]
    assert channel.n_incomplete == n_incomplete

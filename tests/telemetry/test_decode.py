from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sent_packets import apid, changed, head, payload_of

from tessella.telemetry.codecs import CODEC_NUMBERS, CODECS, RICE
from tessella.telemetry.decode import decode
from tessella.telemetry.encode import packetize
from tessella.telemetry.fates import Fate
from tessella.telemetry.faults import damage
from tessella.telemetry.inventory import survey, together
from tessella.telemetry.packets import (
    ATTITUDE,
    HEADER,
    HOUSEKEEPING,
    IDLE,
    identification,
    unpack_primary,
)
from tessella.telemetry.records import pack_exposure
from tessella.telemetry.scan import find_packets

PLANES = ("data", "amp33", "reference_read", "reference_amp33")


@pytest.fixture(scope="module")
def packets(header, readouts):
    return packetize(header, readouts, codec="none")


@pytest.fixture(scope="module")
def compressed(header, readouts):
    return packetize(header, readouts, codec="rice")


def decode_one(header, *streams):
    exposures, ledger = decode(streams)
    ledger.check()
    assert set(exposures) == {header.key}
    return exposures[header.key], ledger.counts


def assert_same_exposure(one, other):
    assert one.header == other.header
    assert list(one.readouts) == list(other.readouts)
    for detector in one.readouts:
        for name in PLANES:
            for part in ("readouts", "received"):
                a, b = (getattr(getattr(x, part)[detector], name) for x in (one, other))
                assert np.array_equal(a, b)


def assert_received_pixels_are_those_sent(exposure, readouts):
    for sent in readouts:
        readout, received = exposure.readouts[sent.detector], exposure.received[sent.detector]
        for name in PLANES:
            arrived = getattr(received, name)
            assert np.array_equal(getattr(readout, name)[arrived], getattr(sent, name)[arrived])


@pytest.mark.parametrize("codec", CODEC_NUMBERS)
def test_undamaged_exposure_comes_back_bit_for_bit(header, readouts, codec):
    packets = packetize(header, readouts, codec=codec)
    exposure, ledger = decode_one(header, b"".join(packets))
    assert exposure.header == header
    assert exposure.problems == ()
    for sent in readouts:
        got = exposure.readouts[sent.detector]
        assert (got.window, got.encoding_offset) == (sent.window, sent.encoding_offset)
        for name in PLANES:
            assert np.array_equal(getattr(got, name), getattr(sent, name))
            assert getattr(exposure.received[sent.detector], name).all()
        if sent.guide is not None:
            assert np.array_equal(got.guide.pixels, sent.guide.pixels)
            assert exposure.received[sent.detector].guide.all()
    # 3 planes; 128 rows of 2 parts, 128 rows, and twice 128 rows of the reference output; 3 cycles
    # of a guide window of 16 rows.
    assert ledger.expected_rows == ledger.filled_rows == 3 * 128 * (2 + 1 + 2) + 3 * 16
    assert (ledger.idle, ledger.used) == (2, len(packets) - 2)


def test_dropped_packet_is_filled_with_the_offset_and_counted_in_rows(header, readouts, packets):
    lost = next(i for i, p in enumerate(packets) if apid(p) == 0x112 and head(p)["resultant"] == 1)
    exposure, ledger = decode_one(header, b"".join(packets[:lost] + packets[lost + 1 :]))
    missing = ~exposure.received["WFI18"].data
    assert (missing.sum(), ledger.missing_rows) == (8 * 128, 8)
    assert missing[1, :8].all()
    assert (exposure.readouts["WFI18"].data[missing] == 4000).all()
    assert_received_pixels_are_those_sent(exposure, readouts)


def test_numbers_of_faults_come_out_of_the_ledger(header, readouts, packets):
    rng = np.random.default_rng(11)
    damaged = damage(packets, rng, drop=7, duplicate=5, corrupt=3)
    exposure, ledger = decode_one(header, b"".join(damaged))
    assert ledger.received == len(damaged)
    assert (ledger.duplicate, ledger.n_rejected, ledger.conflicting) == (5, 3, 0)
    assert ledger.used == len(packets) - 7 - 3 - ledger.idle
    assert ledger.missing_rows > 0
    assert_received_pixels_are_those_sent(exposure, readouts)


def test_order_repetition_and_division_into_files_do_not_matter(header, packets):
    expected, _ = decode_one(header, b"".join(packets))
    shuffled = [packets[i] for i in np.random.default_rng(5).permutation(len(packets))]
    half = len(shuffled) // 2
    streams = [b"".join(shuffled[half - 40 :]), b"".join(shuffled[: half + 40])]
    exposure, ledger = decode_one(header, *streams, streams[0])
    assert_same_exposure(exposure, expected)
    assert ledger.missing_rows == 0
    assert ledger.used == len(packets) - 2
    assert ledger.conflicting == 0


def test_rest_of_a_truncated_file_completes_the_exposure(header, packets):
    data = b"".join(packets)
    cut = len(data) // 2
    expected, _ = decode_one(header, data)
    _, ledger = decode_one(header, data[:cut])
    assert ledger.missing_rows > 0
    both, ledger = decode_one(header, data[:cut], data[cut - 5000 :])
    assert ledger.missing_rows == 0
    assert_same_exposure(both, expected)


def test_later_of_two_contradicting_packets_counts_and_is_reported(header, readouts, packets):
    i = next(i for i, p in enumerate(packets) if apid(p) == 0x101 and head(p)["resultant"] == 0)
    other = changed(packets[i], payload=bytes(len(packets[i]) - HEADER.itemsize - 2))
    for late, value in ((other, 0), (packets[i], readouts[0].data[0, 0, 0])):
        early = packets[i] if late is other else other
        stream = [*packets[:i], early, *packets[i + 1 :], late]
        exposure, ledger = decode_one(header, b"".join(stream))
        assert exposure.readouts["WFI01"].data[0, 0, 0] == value
        assert (ledger.duplicate, ledger.conflicting) == (1, 1)
        assert "contradicted" in exposure.problems[0]


def test_sequence_counts_are_not_trusted(header, readouts, packets):
    renumbered = [changed(p, sequence=0) for p in packets if apid(p) != IDLE]
    exposure, ledger = decode_one(header, b"".join(renumbered))
    assert ledger.missing_rows == 0
    assert_received_pixels_are_those_sent(exposure, readouts)


def test_exposures_in_one_stream_are_kept_apart(header, readouts, packets):
    other = replace(header, key=replace(header.key, exposure=43), optical_element="F106")
    others = packetize(other, readouts, codec="none")
    mixed = [p for pair in zip(packets, others, strict=True) for p in pair]
    exposures, ledger = decode([b"".join(mixed)])
    ledger.check()
    assert [e.header for e in exposures.values()] == [header, other]
    assert ledger.counts.received == 2 * len(packets)
    alone, part = decode([b"".join(mixed)], only=other.key)
    part.check()
    assert set(alone) == {other.key}
    assert part.counts.received == len(packets) + 2
    assert part.files[0].left_out_octets == sum(map(len, packets)) - 2 * 72
    assert_same_exposure(alone[other.key], exposures[other.key])


def test_packets_of_other_kinds_are_unknown_and_of_other_formats_rejected(header, packets):
    science = next(p for p in packets if apid(p) == 0x101)
    strange = [
        changed(science, identification=identification(0x321)),
        changed(science, format_version=9),
        changed(science, sca=2),
        changed(science, codec=9),
        changed(science, first_row=0),
        changed(science, columns=1000),
        changed(science, resultant=2),
        changed(science, payload=b"short"),
        changed(science, codec=RICE, payload=b"short"),
        changed(science, exposure=1),
    ]
    _, ledger = decode_one(header, b"".join(packets + strange))
    assert ledger.unknown == 1
    assert ledger.rejected == {
        "not in our format": 3,
        "contradicts the housekeeping": 4,
        "no housekeeping for it": 1,
        "cannot be decompressed": 1,
    }
    assert ledger.missing_rows == 0


def test_one_sample_of_housekeeping_is_enough(header, packets):
    for sample in (0, 1):
        kept = [
            p
            for p in packets
            if apid(p) not in (HOUSEKEEPING, ATTITUDE) or head(p)["resultant"] == sample
        ]
        exposure, ledger = decode_one(header, b"".join(kept))
        assert exposure.header == header
        assert ledger.missing_rows == 0


def test_missing_attitude_is_nan_and_a_problem(header, packets):
    exposure, _ = decode_one(header, b"".join(p for p in packets if apid(p) != ATTITUDE))
    assert np.isnan(exposure.header.ra_v1)
    assert exposure.problems == ("no attitude was received",)
    assert replace(exposure.header, ra_v1=0, dec_v1=0, pa_v3=0) == replace(
        header, ra_v1=0, dec_v1=0, pa_v3=0
    )


def test_detector_that_fell_silent_is_all_missing(header, packets):
    kept = [p for p in packets if apid(p) not in (0x112, 0x132)]
    exposure, ledger = decode_one(header, b"".join(kept))
    assert not exposure.received["WFI18"].data.any()
    assert ledger.missing_rows == 3 * 2 * 128
    assert exposure.problems == ("WFI18: no pixels were received",)


def test_missing_row_of_the_reference_read_is_a_problem(header, packets):
    lost = next(i for i, p in enumerate(packets) if apid(p) == 0x101)
    assert head(packets[lost])["resultant"] == 0xFFFF
    exposure, _ = decode_one(header, b"".join(packets[:lost] + packets[lost + 1 :]))
    assert exposure.problems == ("WFI01: rows of the reference read missing: 1",)


def test_missing_rows_of_the_reference_output_are_a_problem(header, packets):
    lost = next(i for i, p in enumerate(packets) if apid(p) == 0x132 and head(p)["resultant"] == 1)
    exposure, _ = decode_one(header, b"".join(packets[:lost] + packets[lost + 1 :]))
    assert exposure.problems == ("WFI18: rows of the reference output missing: 8",)


def test_no_exposure_without_housekeeping_but_the_ledger_balances(packets):
    exposures, ledger = decode([b"".join(p for p in packets if apid(p) != HOUSEKEEPING)])
    ledger.check()
    assert exposures == {}
    assert ledger.counts.used == 0


def test_survey_lists_exposures_and_what_is_there_of_them(header, readouts, packets):
    data = b"noise" + b"".join(packets)
    (found,) = survey([data]).values()
    assert found.announced.header == header
    assert {d: s.window for d, s in found.announced.detectors.items()} == {
        r.detector: r.window for r in readouts
    }
    assert found.completeness == 1
    assert survey([]) == {}


def test_parts_of_an_exposure_add_up_to_what_is_there(header, packets):
    kept = [p for p in packets if apid(p) != IDLE]
    without = [p for p in kept if apid(p) not in (HOUSEKEEPING, ATTITUDE)]
    half = len(without) // 2
    halves = without[: half + 50], without[half:]
    parts = [survey([b"".join(half)])[header.key] for half in halves]
    assert [part.announced.header for part in parts] == [None, None]
    told = b"".join(p for p in kept if apid(p) in (HOUSEKEEPING, ATTITUDE))
    records = survey([told])[header.key]
    assert records.completeness == 0
    shares = [together([records, part]).completeness for part in parts]
    # Packets of the parts overlap by 50 of all.
    assert 1 < sum(shares) < 1.1
    assert together([parts[1], records, parts[0]]).completeness == 1


def test_guide_window_that_was_lost_is_told(header, packets):
    lost = next(i for i, p in enumerate(packets) if apid(p) == 0x141)
    exposure, ledger = decode_one(header, b"".join(packets[:lost] + packets[lost + 1 :]))
    assert exposure.received["WFI01"].guide.tolist() == [False, True, True]
    assert exposure.problems == ("WFI01: guide windows missing: 1",)
    assert ledger.missing_rows == 16


def test_clock_that_jumps_is_told_and_nothing_is_lost(header, readouts, packets):
    for seconds in (5, 2**31):
        late = [
            changed(p, seconds=seconds) if apid(p) == 0x101 and head(p)["resultant"] == 1 else p
            for p in packets
        ]
        exposure, ledger = decode_one(header, b"".join(late))
        assert not exposure.clock_is_sound
        assert exposure.problems == ("WFI01: the clock jumped in 256 packets",)
        assert ledger.missing_rows == 0
        assert_received_pixels_are_those_sent(exposure, readouts)
    assert decode_one(header, b"".join(packets))[0].clock_is_sound


@pytest.mark.parametrize(
    ("identifier", "resultant", "said"),
    [
        (0x112, 0xFFFF, "WFI18: the clock jumped in 16 packets"),
        (0x132, 1, "WFI18 reference output: the clock jumped in 16 packets"),
        (0x141, 2, "WFI01 guide window: the clock jumped in 1 packets"),
        (HOUSEKEEPING, 1, "housekeeping: the clock jumped in 3 packets"),
        (ATTITUDE, 0, "attitude: the clock jumped in 1 packets"),
    ],
)
def test_clock_of_every_kind_of_packet_is_checked(header, packets, identifier, resultant, said):
    late = [
        changed(p, seconds=5) if apid(p) == identifier and head(p)["resultant"] == resultant else p
        for p in packets
    ]
    exposure, _ = decode_one(header, b"".join(late))
    assert exposure.problems == (said,)
    assert not exposure.clock_is_sound


def test_clock_that_was_not_checked_is_not_sound(header, packets):
    records = [p for p in packets if apid(p) in (HOUSEKEEPING, ATTITUDE)]
    exposure, _ = decode_one(header, b"".join(records))
    assert not exposure.clock_is_sound
    assert "the clock was not checked: no packet of pixels was used" in exposure.problems
    unknown = [
        changed(p, payload=pack_exposure(replace(header, ma_table_number=999)))
        if apid(p) == HOUSEKEEPING and head(p)["sca"] == 0
        else p
        for p in packets
    ]
    exposure, _ = decode_one(header, b"".join(unknown))
    assert not exposure.clock_is_sound
    assert exposure.problems == ("the clock was not checked: MA table 999 is not known",)


def test_samples_that_contradict_each_other_are_told_and_the_first_counts(header, packets):
    other = pack_exposure(replace(header, target_ra=11.0))
    last = [
        changed(p, payload=other)
        if apid(p) == HOUSEKEEPING and head(p)["resultant"] == 1 and head(p)["sca"] == 0
        else p
        for p in packets
    ]
    for order in (last, last[::-1]):
        exposure, ledger = decode_one(header, b"".join(order))
        assert exposure.header == header
        said = "housekeeping: its samples contradict each other; the first counts"
        assert exposure.problems == (said,)
        assert ledger.conflicting == 0


def test_packet_that_cannot_be_decompressed_gives_way_to_an_earlier_one(
    header, readouts, compressed
):
    science = next(p for p in compressed if apid(p) == 0x101 and head(p)["codec"] == RICE)
    broken = changed(science, payload=payload_of(science)[:4])
    exposure, ledger = decode_one(header, b"".join([*compressed, broken]))
    assert ledger.rejected == {"cannot be decompressed": 1}
    assert (ledger.missing_rows, ledger.used) == (0, len(compressed) - ledger.idle)
    assert_received_pixels_are_those_sent(exposure, readouts)


def test_repeats_that_cannot_be_decompressed_cost_one_attempt_each(
    header, readouts, compressed, monkeypatch
):
    tried = []
    rice = CODECS[RICE]
    counted = rice._replace(decode=lambda *coded: tried.append(coded) or rice.decode(*coded))
    monkeypatch.setitem(CODECS, RICE, counted)
    science = next(p for p in compressed if apid(p) == 0x101 and head(p)["codec"] == RICE)
    whole = payload_of(science)
    broken = [changed(science, payload=whole[: 4 + i % 9] + bytes([i])) for i in range(100)]
    exposure, ledger = decode_one(header, b"".join([*compressed, *broken]))
    assert ledger.rejected == {"cannot be decompressed": 100}
    assert (ledger.missing_rows, ledger.used) == (0, len(compressed) - ledger.idle)
    assert_received_pixels_are_those_sent(exposure, readouts)
    n_coded = sum(head(p)["codec"] == RICE for p in compressed if apid(p) != IDLE)
    assert len(tried) == n_coded + 100

    # Nothing else carries its cells.
    kept = [p for p in compressed if p != science]
    exposure, ledger = decode_one(header, b"".join([*kept, *broken]))
    assert ledger.rejected == {"cannot be decompressed": 100}
    n_pixels = int(head(science)["rows"]) * int(head(science)["columns"])
    planes = exposure.received["WFI01"]
    assert sum((~getattr(planes, name)).sum() for name in PLANES) == n_pixels
    assert_received_pixels_are_those_sent(exposure, readouts)


def test_packets_of_both_codecs_complete_each_other(header, readouts, packets, compressed):
    rng = np.random.default_rng(3)
    plain = [p for p in packets if rng.random() < 0.7]
    coded = [p for p in compressed if rng.random() < 0.7 or apid(p) == HOUSEKEEPING]
    exposure, ledger = decode_one(header, b"".join(plain), b"".join(coded))
    assert ledger.conflicting == 0
    assert_received_pixels_are_those_sent(exposure, readouts)
    both = {
        name: np.stack([d.received["WFI01"].data for d in decode_pair(header, plain, coded)])
        for name in ("data",)
    }
    assert np.array_equal(exposure.received["WFI01"].data, both["data"].any(axis=0))


def decode_pair(header, plain, coded):
    records = [p for p in coded if apid(p) == HOUSEKEEPING]
    return [decode_one(header, b"".join([*records, *part]))[0] for part in (plain, coded)]


def test_ranges_name_every_packet_of_the_stream_and_what_became_of_it(header, packets):
    rng = np.random.default_rng(4)
    data = b"".join(damage(packets, rng, drop=5, duplicate=8, corrupt=4))
    _, ledger = decode([data])
    ledger.check()
    lengths = {(r["start"], r["stop"]): r["octets"] for r in ledger.ranges if r["packets"] == 1}
    assert all(stop - start == octets for (start, stop), octets in lengths.items())
    assert ledger.ranges["octets"].sum() == len(data)
    for row in ledger.ranges[ledger.ranges["fate"] == Fate.USED]:
        part = data[row["start"] : row["stop"]]
        inside = [
            part[a:b]
            for scan in find_packets(part)
            for a, b, kind in zip(scan.start, scan.stop, scan.kind, strict=True)
            if kind == 0
        ]
        same = [
            p for p in inside if apid(p) == row["apid"] and head(p)["resultant"] == row["resultant"]
        ]
        assert len(same) == row["packets"]
        assert unpack_primary(same[0]).sequence_count == row["first_count"]
        assert unpack_primary(same[-1]).sequence_count == row["last_count"]


@st.composite
def damages(draw):
    kind = draw(st.sampled_from(["cut", "flip", "insert", "repeat", "overwrite"]))
    return kind, draw(st.floats(0, 1)), draw(st.integers(1, 6000)), draw(st.integers(0, 2**32 - 1))


def apply(data: bytes, fault) -> bytes:
    kind, where, size, seed = fault
    start = int(where * len(data))
    noise = np.random.default_rng(seed).integers(0, 256, size, dtype=np.uint8).tobytes()
    part = data[start : start + size]
    middle = {
        "cut": b"",
        "flip": bytes([part[0] ^ (1 << seed % 8)]) + part[1:] if part else b"",
        "insert": noise + part,
        "repeat": part + part,
        "overwrite": noise[: len(part)],
    }[kind]
    return data[:start] + middle + data[start + size :]


@settings(max_examples=60, deadline=None)
@given(st.lists(damages(), min_size=1, max_size=5))
def test_any_damage_leaves_a_balanced_ledger_and_no_wrong_pixel(header, readouts, packets, faults):
    data = b"".join(packets)
    for fault in faults:
        data = apply(data, fault)
    exposures, ledger = decode([data])
    ledger.check()
    for exposure in exposures.values():
        assert exposure.header.key == header.key
        assert_received_pixels_are_those_sent(
            exposure, [r for r in readouts if r.detector in exposure.readouts]
        )
    housekeeping_lost = {"no housekeeping for it", "contradicts the housekeeping"}
    if not housekeeping_lost & set(ledger.counts.rejected):
        whole = sum(packet in data for packet in packets if apid(packet) != IDLE)
        assert ledger.counts.used == whole

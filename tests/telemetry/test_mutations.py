"""Streams with faults of all kinds; benchmarks/mutate_telemetry.py tries ten thousand."""

import numpy as np
import pytest
from telemetry.mutations import FAULTS, Segment, make_original, mutate, outcome

from tessella.telemetry.decode import decode

CODECS = ("none", "rice")


@pytest.fixture(scope="module")
def originals():
    return {codec: make_original(codec) for codec in CODECS}


@pytest.mark.parametrize("codec", CODECS)
def test_original_decodes_without_loss(originals, codec):
    original = originals[codec]
    stream = [Segment(octets, number) for number, octets in enumerate(original.packets)]
    result = outcome(original, stream)
    assert (result.n_fragments, result.n_lost, result.n_wrong) == (0, 0, 0)


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_one_kind_of_fault_costs_at_most_two_packets_each(originals, codec, fault):
    original = originals[codec]
    for seed in range(3):
        rng = np.random.default_rng([seed, len(fault.__name__)])
        stream = [Segment(octets, number) for number, octets in enumerate(original.packets)]
        for _ in range(5):
            fault(stream, rng)
        result = outcome(original, stream)
        assert result.n_lost <= 2 * 5
        assert result.n_wrong == 0


@pytest.mark.parametrize("codec", CODECS)
def test_mixed_faults_leave_a_balanced_ledger_and_the_untouched_pixels(originals, codec):
    # Damage that the checksum does not see is one in 65,536: in the 70 streams of these seeds
    # there is none.
    original = originals[codec]
    for seed in range(70):
        rng = np.random.default_rng([11, seed])
        n_faults = int(rng.integers(1, 20))
        result = outcome(original, mutate(original, rng, n_faults))
        assert result.n_lost <= 2 * n_faults, seed
        assert result.n_wrong == 0, seed


@pytest.mark.parametrize("codec", CODECS)
def test_shuffled_and_doubled_packets_give_the_same_bytes(originals, codec):
    packets = originals[codec].packets
    expected = decode([b"".join(packets)])[0]
    order = np.random.default_rng(3).permutation(2 * len(packets))
    for stream in (
        [packets[i] for i in order if i < len(packets)],
        [packets[i % len(packets)] for i in order],
    ):
        found = decode([b"".join(stream)])[0]
        assert list(found) == list(expected)
        for key, exposure in expected.items():
            assert found[key].header == exposure.header
            for detector, readout in exposure.readouts.items():
                for name in ("data", "amp33", "reference_read", "reference_amp33"):
                    same = getattr(found[key].readouts[detector], name)
                    assert same.tobytes() == getattr(readout, name).tobytes()


@pytest.mark.parametrize("codec", CODECS)
def test_memory_stays_below_four_times_the_stream(codec):
    original = make_original(codec, is_wide=True)
    stream = [Segment(octets, number) for number, octets in enumerate(original.packets)]
    result = outcome(original, stream, looks_at_memory=True)
    assert result.peak_octets < 4 * result.n_octets


@pytest.mark.parametrize("is_wide", [False, True])
def test_memory_of_a_stream_cut_to_an_eighth_goes_with_what_is_left_of_it(is_wide):
    original = make_original("rice", is_wide)
    stream = [Segment(octets, number) for number, octets in enumerate(original.packets)]
    outcome(original, stream[: len(stream) // 8])  # compiles
    result = outcome(original, stream[: len(stream) // 8], looks_at_memory=True)
    # Besides, one plane is written at a time: 2 octets a pixel, or 1 of flags.
    assert result.peak_octets < 3 * result.n_octets + 3 * 1280 * 128

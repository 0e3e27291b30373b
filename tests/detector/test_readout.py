"""Conversion, averaging and encoding on board, and their undoing on the ground."""

import numpy as np
import pytest

from tessella.detector.encoding import decode
from tessella.detector.readout import (
    Accumulator,
    convert,
    drift_of_channels,
    encode,
    offsets_of_columns,
)
from tessella.models import Window


def test_decoding_undoes_encoding():
    rng = np.random.default_rng(1)
    reference = rng.integers(4000, 6000, (16, 16), np.int32)
    resultant = reference + rng.integers(-1000, 50000, (16, 16), np.int32)
    sent = encode(resultant, reference, 4000)
    decoded = decode(sent[None], reference.astype(np.uint16), 4000)
    np.testing.assert_array_equal(decoded[0], resultant)


def test_difference_outside_the_range_is_clipped():
    sent = encode(np.array([0, 65535]), np.array([9000, 0]), 4000)
    assert sent.tolist() == [0, 65535]


def test_average_is_rounded_down_once():
    memory = Accumulator((1, 1))
    for value in (1, 2, 2):
        memory.add(np.full((1, 1), value, np.int32))
    assert memory.average()[0, 0] == 1
    memory.add(np.full((1, 1), 9, np.int32))
    assert memory.average()[0, 0] == 9


def test_average_of_nothing_is_refused():
    with pytest.raises(ValueError, match="at least one read"):
        Accumulator((1, 1)).average()


def test_longest_sum_of_full_pixels_fits():
    # 309 reads is the longest imaging table.
    memory = Accumulator((1, 1))
    for _ in range(309):
        memory.add(np.full((1, 1), 65535, np.int32))
    assert memory.average()[0, 0] == 65535


def test_conversion_rounds_down_by_half_a_count_on_average():
    counts = np.random.default_rng(1).uniform(100, 200, 100000)
    # Standard deviation of a uniform rounding error over sqrt(n): 0.0009.
    assert np.mean(convert(counts) - counts) == pytest.approx(-0.5, abs=0.005)


def test_drift_is_a_random_walk():
    walks = drift_of_channels(401, 0.5, np.random.default_rng(2))
    steps = np.diff(walks, axis=0)
    # 13200 steps: 0.6 % each; four times that.
    assert steps.std() == pytest.approx(0.5, rel=0.025)
    assert (walks[0] == 0).all()


def test_window_shows_the_channels_it_holds():
    drift = np.arange(33.0)
    whole = offsets_of_columns(drift, Window())
    part = offsets_of_columns(drift, Window(1536, 0, 1024, 128))
    np.testing.assert_array_equal(part, whole[1536:2560])

"""Recognition of saturation in averages of reads."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessella import flags
from tessella.detector.saturation import (
    NEVER,
    clip_at_saturation,
    first_saturated,
    flag_from,
    flag_saturated,
    grow,
)

PATTERN = ((1,), (2, 3), (4, 5, 6, 7, 8, 9), (10, 11, 12, 13, 14, 15, 16, 17), (18,))
SINGLE = ((1,), (2,), (3,), (4,), (5,))
S, D, A, L = flags.SATURATED, flags.DO_NOT_USE, flags.AD_FLOOR, flags.DROPOUT


def flagged(counts, threshold=50000.0, pattern=SINGLE, before=None):
    data = np.array(counts, np.float32).reshape(-1, 1, 1)
    resultant_dq = (
        np.zeros(data.shape, np.uint8)
        if before is None
        else np.array(before, np.uint8).reshape(data.shape)
    )
    out, dq = flag_saturated(
        data, resultant_dq, np.zeros((1, 1), np.uint32), np.full((1, 1), threshold), pattern
    )
    return out[:, 0, 0].tolist(), int(dq[0, 0])


def test_what_is_saturated_once_stays_saturated():
    assert flagged([10, 50000, 400, 60000, 1])[0] == [0, S, S, S, S]


def test_just_below_the_threshold_is_good():
    assert flagged([10, 20, 30, 40, 49999])[0] == [0] * 5


def test_counts_of_zero_are_the_floor_of_the_converter():
    assert flagged([10, 0, -3, 40, 50])[0] == [0, A | D, A | D, 0, 0]


def test_lost_resultant_neither_saturates_nor_hits_the_floor():
    assert flagged([10, 60000, 0, 40, 50], before=[0, L, L, 0, 0])[0] == [0, L, L, 0, 0]


def test_unknown_threshold_is_not_checked_and_says_so():
    assert flagged([10, 6e4, 65535, 40, 50], threshold=np.nan) == ([0] * 5, flags.NO_SAT_CHECK)


@pytest.mark.parametrize("rate", [3000.0, 4000.0, 6000.0, 9000.0, 20000.0])
def test_average_that_hides_saturated_reads_is_not_used(rate):
    reads = np.minimum(5000 + rate * np.arange(1, 19), 51000.0)
    data = [np.mean([reads[k - 1] for k in resultant]) for resultant in PATTERN]
    out, _ = flagged(data, pattern=PATTERN)
    for flag, resultant, value in zip(out, PATTERN, data, strict=True):
        hides = any(reads[k - 1] >= 50000 for k in resultant) and value < 50000
        # The dilution takes the pedestal for light; near the threshold it is too careful.
        whole = all(reads[k - 1] < 0.9 * 50000 for k in resultant)
        assert (flag & D != 0) or not hides
        assert flag == 0 or not whole


def test_average_of_a_sudden_saturation_is_not_used():
    reads = 5000 + 100.0 * np.arange(1, 19)
    reads[8:] = 51000
    data = [np.mean([reads[k - 1] for k in resultant]) for resultant in PATTERN]
    # The last of six reads is hit: their mean stays far below the threshold.
    assert data[2] < 15000
    assert flagged(data, pattern=PATTERN)[0] == [0, 0, D, S, S]


def test_lost_resultant_does_not_shelter_the_one_that_hides_saturation():
    rate = 6000.0
    reads = np.minimum(5000 + rate * np.arange(1, 19), 51000.0)
    data = [np.mean([reads[k - 1] for k in resultant]) for resultant in PATTERN]
    out, _ = flagged(data, pattern=PATTERN, before=[0, 0, 0, L, 0])
    assert out[2] == D
    assert out[4] == S


def test_full_pixel_creeps_above_its_saturation_up_to_the_ceiling():
    assert clip_at_saturation(np.array([1e6, 1e6, 10.0]), np.array([5e4, 7e4, 5e4])).tolist() == [
        51000,
        65535,
        10,
    ]


def test_number_of_resultants_must_be_that_of_the_pattern():
    with pytest.raises(ValueError, match="2 resultants, the pattern has 5"):
        flagged([10, 20])


@pytest.mark.parametrize("pattern", [PATTERN, SINGLE, ((1, 2, 3, 4), (5, 6)), ((2, 3, 4),)])
@given(seed=st.integers(0, 2**32 - 1))
def test_kernel_does_what_the_plain_formulas_do(pattern, seed):
    rng = np.random.default_rng(seed)
    data, lost, limit = random_ramps(rng, pattern, (3, 40))
    dq = rng.integers(0, 2, limit.shape).astype(np.uint32) << 10
    out, out_dq = flag_saturated(data, lost, dq, limit, pattern)
    expected, expected_dq = plain_flag_saturated(data, lost, dq, limit, pattern)
    np.testing.assert_array_equal(out, expected)
    np.testing.assert_array_equal(out_dq, expected_dq)
    rows = [
        flag_saturated(
            data[:, y : y + 1], lost[:, y : y + 1], dq[y : y + 1], limit[y : y + 1], pattern
        )
        for y in range(3)
    ]
    np.testing.assert_array_equal(np.concatenate([row[0] for row in rows], axis=1), out)


def test_saturation_grows_into_the_neighbours_from_its_resultant_on():
    dq = np.zeros((4, 6, 7), np.uint8)
    dq[2:, 3, 3] = S
    dq[1:, 5, 6] = S
    first = first_saturated(dq)
    assert first[3, 3] == 2
    assert first[5, 6] == 1
    assert (first == 4).sum() == 40
    assert grow(first, 0) is first
    grown = grow(first, 1)
    assert (grown[2:5, 2:5] == 2).all()
    assert (grown[4:, 5:] == 1).all()
    assert (grown < 4).sum() == 9 + 4
    blocks = [flag_from(dq[:, y : y + 2], grown[y : y + 2]) for y in (0, 2, 4)]
    np.testing.assert_array_equal(first_saturated(np.concatenate(blocks, axis=1)), grown)
    with pytest.raises(ValueError, match="n_pix is -1"):
        grow(first, -1)


def random_ramps(rng, pattern, shape):
    """Ramps of all rates with hits, losses, floors, NaN and unknown thresholds."""
    rate = 10 ** rng.uniform(0, 4.7, shape)
    reads = 5000 + rate * np.arange(1, pattern[-1][-1] + 1)[:, None, None]
    hit = rng.integers(0, len(reads), shape)
    reads += (np.arange(len(reads))[:, None, None] >= hit) * (rng.random(shape) < 0.3) * 5e4
    reads = np.minimum(reads, 51000.0)
    data = np.array([reads[np.array(r) - 1].mean(axis=0) for r in pattern], np.float32)
    data[rng.random(data.shape) < 0.03] = 0
    data[rng.random(data.shape) < 0.02] = np.nan
    lost = np.where(rng.random(data.shape) < 0.1, L, 0).astype(np.uint8)
    limit = np.where(rng.random(shape) < 0.05, np.nan, rng.normal(5e4, 500, shape))
    return data, lost, limit.astype(np.float32)


def plain_flag_saturated(data, resultant_dq, dq, threshold, read_pattern):
    """The rules as formulas of whole arrays, one resultant after the other."""
    unknown = ~np.isfinite(threshold)
    limit = np.where(unknown, NEVER, threshold).astype(data.dtype)
    received = (resultant_dq & flags.DROPOUT) == 0
    saturated = np.logical_or.accumulate((data >= limit) & received, axis=0)
    floor = (data <= 0) & received
    diluted = _hides_saturation(data, saturated, received, limit, read_pattern) & received
    found = (
        np.where(saturated, flags.SATURATED, 0)
        | np.where(floor, flags.AD_FLOOR | flags.DO_NOT_USE, 0)
        | np.where(diluted, flags.DO_NOT_USE, 0)
    )
    return resultant_dq | found.astype(resultant_dq.dtype), dq | np.where(
        unknown, flags.NO_SAT_CHECK, 0
    ).astype(dq.dtype)


def _hides_saturation(data, saturated, received, limit, read_pattern):
    hides = np.zeros(data.shape, bool)
    follows = saturated.copy()
    for i in range(len(data) - 2, 0, -1):
        # What a lost resultant would have shown is taken from the one after it.
        follows[i] = np.where(received[i], saturated[i], follows[i + 1])
    for i, reads in enumerate(read_pattern[:-1]):
        if len(reads) == 1:
            continue
        dilution = float(np.mean(reads)) / reads[-1]
        above = data[i] >= limit * dilution
        if i > 0:
            rises = data[i] - data[i - 1] > (limit - data[i - 1]) / len(reads)
            above |= rises & (_continued(data, read_pattern, i) < limit)
        hides[i] = above & follows[i + 1] & ~saturated[i]
    return hides


def _continued(data, read_pattern, i):
    """Continue the resultants before `i` to the last read of resultant ``i + 1`` [DN]."""
    middle = [float(np.mean(reads)) for reads in read_pattern]
    last = read_pattern[i + 1][-1]
    if i == 1:
        return data[0] * (last / middle[0])
    rate = (data[i - 1] - data[i - 2]) / (middle[i - 1] - middle[i - 2])
    return data[i - 1] + rate * (last - middle[i - 1])

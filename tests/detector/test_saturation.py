"""Recognition of saturation in averages of reads."""

import numpy as np
import pytest

from tessella import flags
from tessella.detector.saturation import clip_at_saturation, flag_saturated

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

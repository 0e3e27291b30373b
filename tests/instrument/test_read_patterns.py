"""MultiAccum tables."""

import pytest

from tessella.instrument.read_patterns import IMAGING_FRAME_TIME, read_patterns


@pytest.mark.parametrize("number", [3, 4, 5])
def test_reads_are_counted_from_one_without_gaps(number):
    pattern = read_patterns()[number]
    reads = [read for resultant in pattern.reads for read in resultant]
    assert reads == list(range(1, len(reads) + 1))
    assert tuple(map(len, pattern.reads)) == pattern.reads_per_resultant


@pytest.mark.parametrize(("number", "seconds"), [(3, 57), (5, 199)])
def test_names_tell_the_exposure_time_and_the_number_of_resultants(number, seconds):
    pattern = read_patterns()[number]
    assert pattern.exposure_time == pytest.approx(seconds, abs=IMAGING_FRAME_TIME / 2)
    assert pattern.name == f"IMG_{seconds}_{len(pattern.reads)}"

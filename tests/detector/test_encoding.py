"""Counts on board and on the ground."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tessella import flags
from tessella.detector.encoding import clipped, decode, guide_window_flags
from tessella.detector.readout import encode

COUNTS = arrays(np.int32, (2, 3), elements=st.integers(0, 65535))


@given(COUNTS, COUNTS, st.integers(0, 10000))
def test_decoding_undoes_encoding_unless_it_was_clipped(counts, reference, offset):
    sent = encode(counts, reference, offset)[None]
    decoded = decode(sent, reference.astype(np.uint16), offset)[0]
    whole = ~clipped(sent, reference)[0]
    np.testing.assert_array_equal(decoded[whole], counts[whole])
    difference = counts - reference + offset
    assert not whole[(difference < 0) | (difference > 65535)].any()


def test_absolute_counts_stay_as_they_are():
    counts = np.array([[[0, 65535]]], np.uint16)
    assert decode(counts, None, 4000).tolist() == [[[0.0, 65535.0]]]
    assert decode(counts, None, 4000).dtype == np.float32
    assert not clipped(counts, None).any()


def test_guide_window_spoils_its_columns_and_hides_itself():
    dq = guide_window_flags((4, 5), (1, 3, 2, 4))
    assert (dq[:, 1:3] & flags.GW_AFFECTED_DATA != 0).all()
    assert (dq[2:, 1:3] & flags.DO_NOT_USE != 0).all()
    assert (dq & flags.DO_NOT_USE != 0).sum() == 4
    assert not dq[:, [0, 3, 4]].any()


def test_no_guide_window_flags_nothing():
    assert not guide_window_flags((4, 5), None).any()

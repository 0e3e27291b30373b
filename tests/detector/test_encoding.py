"""Counts on board and on the ground."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tessella import flags
from tessella.detector.encoding import (
    clipped,
    decode,
    decode_block,
    guide_window_flags,
    is_guide_window,
)
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


@given(st.integers(0, 2**32 - 1), st.booleans(), st.booleans())
def test_block_is_decoded_as_the_whole_is(seed, with_reference, with_flags):
    rng = np.random.default_rng(seed)
    data = rng.choice(np.array([0, 1, 4000, 65534, 65535], np.uint16), (3, 4, 5))
    dq = rng.integers(0, 256, data.shape).astype(np.uint8) if with_flags else None
    reference = rng.integers(0, 65536, (4, 5)).astype(np.uint16) if with_reference else None
    counts, flagged = decode_block(data, dq, reference, 4000)
    np.testing.assert_array_equal(counts, decode(data, reference, 4000))
    before = 0 if dq is None else dq
    np.testing.assert_array_equal(
        flagged, before | (clipped(data, reference) * flags.DO_NOT_USE).astype(np.uint8)
    )
    some = None if reference is None else reference[1:3]
    block, block_dq = decode_block(data[:, 1:3], None if dq is None else dq[:, 1:3], some, 4000)
    np.testing.assert_array_equal(block, counts[:, 1:3])
    np.testing.assert_array_equal(block_dq, flagged[:, 1:3])


@pytest.mark.parametrize("what", ["type", "flags", "reference"])
def test_what_does_not_fit_is_refused(what):
    data = np.zeros((2, 3, 4), np.int32 if what == "type" else np.uint16)
    dq = np.zeros((2, 3, 5 if what == "flags" else 4), np.uint8)
    reference = np.zeros((3, 5 if what == "reference" else 4), np.uint16)
    with pytest.raises(ValueError, match="shape is|are int32"):
        decode_block(data, dq, reference, 4000)


@pytest.mark.parametrize("grown", [0, 1, 3])
def test_blocks_of_rows_have_the_flags_of_the_whole(grown):
    whole = guide_window_flags((9, 8), (2, 5, 3, 6), n_pix_grow=grown)
    blocks = [guide_window_flags((9, 8), (2, 5, 3, 6), y, 2, grown) for y in (0, 2, 4, 6)]
    blocks.append(guide_window_flags((9, 8), (2, 5, 3, 6), 8, n_pix_grow=grown))
    np.testing.assert_array_equal(np.concatenate(blocks), whole)
    unused = np.argwhere(whole & flags.DO_NOT_USE)
    assert unused.min(axis=0).tolist() == [max(3 - grown, 0), max(2 - grown, 0)]
    assert unused.max(axis=0).tolist() == [min(5 + grown, 8), min(4 + grown, 7)]


@pytest.mark.parametrize(
    "window", [(-999, -983, -999, -983), (0, 9, 0, 2), (0, 2, 0, 10), (3, 2, 0, 2), (2, 2, 0, 2)]
)
def test_impossible_guide_window_flags_nothing_and_is_known_as_such(window):
    assert not is_guide_window((9, 8), window)
    assert not guide_window_flags((9, 8), window).any()

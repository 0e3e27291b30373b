"""Half precision is that of NumPy, bit by bit."""

import numpy as np

from tessella.half_precision import to_half


def test_conversion_equals_numpys_over_all_exponents_and_signs():
    bits = np.arange(0, 2**32, 100_003, dtype=np.uint64).astype(np.uint32)
    edges = np.array([0, 0x33000000, 0x33000001, 0x387FFFFF, 0x38800000, 0x477FEFFF, 0x477FF000])
    bits = np.concatenate([bits, edges, edges + 0x80000000, [0x7F800000, 0xFF800000]])
    values = bits.astype(np.uint32).view(np.float32)
    is_number = ~np.isnan(values)
    with np.errstate(over="ignore"):
        expected = values[is_number].astype(np.float16)
    np.testing.assert_array_equal(
        to_half(values[is_number]).view(np.uint16), expected.view(np.uint16)
    )
    assert np.isnan(to_half(values[~is_number])).all()


def test_shape_is_kept():
    assert to_half(np.zeros((3, 4), np.float32)[:, ::2]).shape == (3, 2)

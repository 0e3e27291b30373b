"""Draws depend on what they are for, and on nothing else."""

import numpy as np
import pytest

from tessella.randomness import generator


def test_same_key_same_draws():
    a, b = (generator("read noise", 1, "WFI01", 7).standard_normal(5) for _ in range(2))
    np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    "key", [("dark", 1, "WFI01"), ("sky", 2, "WFI01"), ("sky", 1, "WFI02"), ("sky", 1)]
)
def test_other_purpose_or_key_other_draws(key):
    assert generator(*key).random() != generator("sky", 1, "WFI01").random()


def test_draws_do_not_change_from_release_to_release():
    # Fixed by numpy's SeedSequence and Philox, which promise not to change.
    assert generator("sky", 1).integers(0, 1 << 32, 2).tolist() == [888091834, 3953676348]

"""Dark current."""

import numpy as np

from tessella import flags
from tessella.detector.dark import subtract_dark


def test_slope_loses_the_dark_current_and_gains_its_flags():
    slope, dq = subtract_dark(
        np.array([1.0, 2.0, np.nan]), np.array([1, 0, 0], np.uint32),
        np.array([0.5, np.nan, 0.1], np.float32), np.array([0, flags.HOT, 0], np.uint32),
    )  # fmt: skip
    assert slope[0] == 0.5
    assert np.isnan(slope[1:]).all()
    # A slope that was not known before keeps the flags that it came with.
    assert dq.tolist() == [1, flags.HOT | flags.DO_NOT_USE, 0]

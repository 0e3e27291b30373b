"""How linearity lays out the pixels it works on: a row of one channel in one array.

The array has `WIDTH` columns, so that the compiler sees that its rows do not overlap and works on
several pixels at once. What stands in a row changes on the way; the coefficients of the
polynomial are the last rows, the highest power first.
"""

import numpy as np

from tessella.compiled import kernel
from tessella.models import CHANNEL_WIDTH

WIDTH = CHANNEL_WIDTH
KNOWN, SECOND, THIRD, RATE, RESULT, MEAN, STEP, CLOSE, WIDEST = range(9)
LOW, LOW_WHOLE, LOW_SUM, LOW_HERE, LOW_NEXT = range(9, 14)
HIGH, HIGH_WHOLE, HIGH_SUM, HIGH_HERE, HIGH_NEXT = range(14, 19)
# Before and beside these: what tells the rate, and what reads taken one by one need.
FIRST, BEFORE, LAST, T_FIRST, T_BEFORE, T_LAST, COUNT = range(9, 16)
SERIES_2, SERIES_3, SERIES_4, SHIFT, MISSING = range(14, 19)
POLYNOMIAL = 19


@kernel
def term(j: int, x: int) -> np.uint64:
    """Return where the coefficient of the power ``top - j`` stands of pixel x.

    Unsigned: the compiler need not think of places that are counted from the end.
    """
    return np.uint64(POLYNOMIAL + j) * np.uint64(WIDTH) + np.uint64(x)


@kernel
def value(pixels: np.ndarray, powers: tuple[int, ...], x: int, at: float) -> float:
    """Evaluate the polynomial of one pixel."""
    result = pixels[POLYNOMIAL * WIDTH + x]
    for j in range(1, len(powers)):
        result = result * at + pixels[term(j, x)]
    return result

"""What is gathered of resultants is what a pixel's own flags say."""

import numpy as np

from tessella import flags
from tessella.ramps.resultant_flags import UNUSABLE, gather_flags


def test_flags_are_gathered_pixel_by_pixel():
    rng = np.random.default_rng(1)
    dq = rng.choice([0, 0, 0, 1, 2, 4, 8, 12], (6, 9, 11)).astype(np.uint8)
    seen = gather_flags(dq)
    for y, x in np.ndindex(9, 11):
        own = dq[:, y, x]
        assert seen.in_any[y, x] == np.bitwise_or.reduce(own)
        assert seen.in_all[y, x] == np.bitwise_and.reduce(own)
        assert seen.n_used[y, x] == sum((bits & UNUSABLE) == 0 for bits in own)
        saturated = np.flatnonzero(own & flags.SATURATED)
        assert seen.saturated_from[y, x] == (saturated[0] if saturated.size else 6)

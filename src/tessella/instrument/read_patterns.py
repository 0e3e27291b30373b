"""MultiAccum tables: which reads are averaged into which resultant, and when they happen.

Revision F of the imaging tables (spacetelescope/romanisim, `models/parameters.py`); the
frame time is that of the same source. Spectroscopic tables: revision G of the mission's
documentation (roman-docs.stsci.edu, "Spectroscopy MultiAccum Tables").
"""

from dataclasses import dataclass, replace
from functools import cache

import numpy as np

#: Time between two reads of an imaging exposure [s].
IMAGING_FRAME_TIME = 3.16247
#: The same of a spectroscopic one [s].
SPECTROSCOPY_FRAME_TIME = 5.14116


@dataclass(frozen=True)
class ReadPattern:
    """One MultiAccum table."""

    number: int
    name: str
    #: Number of reads in each resultant; no read is skipped.
    reads_per_resultant: tuple[int, ...]
    frame_time: float = IMAGING_FRAME_TIME
    #: Only the first resultants of the table were taken.
    is_truncated: bool = False

    @property
    def reads(self) -> tuple[tuple[int, ...], ...]:
        """Reads of each resultant, counted from 1."""
        last = np.cumsum(self.reads_per_resultant).tolist()
        return tuple(
            tuple(range(end - n + 1, end + 1))
            for end, n in zip(last, self.reads_per_resultant, strict=True)
        )

    @property
    def exposure_time(self) -> float:
        """Time from the reset to the end of the last read [s]."""
        return sum(self.reads_per_resultant) * self.frame_time

    def first(self, n_resultants: int) -> "ReadPattern":
        """Return the pattern of an exposure that ended after some resultants.

        Examples
        --------
        >>> short = read_patterns()[3].first(2)
        >>> short.reads, short.is_truncated, read_patterns()[3].first(5).is_truncated
        (((1,), (2, 3)), True, False)
        """
        is_truncated = n_resultants < len(self.reads_per_resultant)
        taken = self.reads_per_resultant[:n_resultants]
        return replace(self, reads_per_resultant=taken, is_truncated=is_truncated)


_PATTERNS = (
    ReadPattern(3, "IMG_57_5", (1, 2, 6, 8, 1)),
    ReadPattern(4, "C2A_IMG_HLWAS", (1, 1, 2, 5, 8, 8, 8, 10, 1)),
    ReadPattern(5, "IMG_199_12", (1, 1, 2, 6, 6, 6, 6, 6, 8, 10, 10, 1)),
    # ASSUME: how the reads are shared out; five resultants and 100 s are published.
    ReadPattern(1034, "SP_100_6", (1, 5, 6, 6, 1), SPECTROSCOPY_FRAME_TIME),
)


@cache
def read_patterns() -> dict[int, ReadPattern]:
    """Return the known tables by number.

    Examples
    --------
    >>> read_patterns()[3].reads
    ((1,), (2, 3), (4, 5, 6, 7, 8, 9), (10, 11, 12, 13, 14, 15, 16, 17), (18,))
    """
    return {pattern.number: pattern for pattern in _PATTERNS}

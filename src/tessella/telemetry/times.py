"""Whether packets were made when their headers say: the clock held against the MA table."""

import numpy as np

from tessella.instrument.read_patterns import ReadPattern
from tessella.telemetry.clock import read_time
from tessella.telemetry.packets import AMP33, GUIDE, REFERENCE_READ, SCIENCE

#: Packets of pixels of resultants; others are sent before and after them.
_OF_RESULTANTS = (SCIENCE, AMP33)


def jumped(headers: np.ndarray, kind: int, pattern: ReadPattern, start: float) -> np.ndarray:
    """Tell which packets do not have the time at which they are sent: (n,) bool.

    Those of a resultant are sent at its end, those of the reference read and the first samples of
    records at the start of the exposure; guide windows and further samples before it is over.

    Parameters
    ----------
    headers : (n,) of `HEADER`
        All of one kind.
    kind : int
        First application identifier of the kind.
    pattern : ReadPattern
        Of the exposure.
    start : float
        Of the exposure, since the epoch of the clock [s].
    """
    ends = start + np.array([0, *(reads[-1] for reads in pattern.reads)]) * pattern.frame_time
    first = np.zeros(len(headers), int)
    last = np.full(len(headers), len(ends) - 1)
    number = headers["resultant"].astype(int)
    if kind in _OF_RESULTANTS:
        number = np.where(number == REFERENCE_READ, 0, number + 1)
        first = last = np.minimum(number, len(ends) - 1)
    elif kind != GUIDE:
        last[number == 0] = 0
    times, slack = read_time(headers), pattern.frame_time / 2
    return (times < ends[first] - slack) | (times > ends[last] + slack)

"""What may become of a packet, and ranges of packets that share it.

A range is a run of packets of one stream, exposure, application identifier and resultant with one
fate: all such packets between two octets of the stream. It is what the ledger is made of, and how
one finds the packets that a Level 1 file came from.
"""

from enum import IntEnum

import numpy as np

from tessella.telemetry import scan


class Fate(IntEnum):
    """What became of a packet or fragment; the first four are no fault."""

    USED = 0
    DUPLICATE = 1
    IDLE = 2
    UNKNOWN = 3
    FORMAT = 4
    UNANNOUNCED = 5
    MISFIT = 6
    UNREADABLE = 7
    NOT_ASKED = 8
    #: Fragments come after it, by the kinds of `scan.REASONS`.
    FRAGMENT = 9


#: Why packets and fragments are rejected.
REASONS: dict[int, str] = {
    Fate.FORMAT: "not in our format",
    Fate.UNANNOUNCED: "no housekeeping for it",
    Fate.MISFIT: "contradicts the housekeeping",
    Fate.UNREADABLE: "cannot be decompressed",
    Fate.NOT_ASKED: "of a detector that is not asked for",
    **{Fate.FRAGMENT + kind: reason for kind, reason in scan.REASONS.items()},
}
#: Names of all codes, as the ledger has them.
NAMES: dict[int, str] = {
    **{fate: fate.name.lower() for fate in (Fate.USED, Fate.DUPLICATE, Fate.IDLE, Fate.UNKNOWN)},
    **REASONS,
}
#: In place of an application identifier or resultant where there is none.
NONE = -1

RANGE = np.dtype(
    [
        ("stream", "i4"),
        ("visit_key", "u8"),
        ("exposure", "u2"),
        ("apid", "i4"),
        ("resultant", "i4"),
        ("fate", "u1"),
        #: First octet of the range's first packet, and the octet after its last packet.
        ("start", "i8"),
        ("stop", "i8"),
        ("packets", "i8"),
        #: Octets of the packets themselves.
        ("octets", "i8"),
        #: Sequence counts of the first and last packet.
        ("first_count", "u2"),
        ("last_count", "u2"),
    ]
)
_SAME = ("stream", "apid", "visit_key", "exposure", "resultant", "fate")


def condense(ranges: np.ndarray) -> np.ndarray:
    """Join ranges that follow each other among those of their stream and identifier.

    Fragments, which have no identifier, are joined only where they touch.

    Parameters
    ----------
    ranges : (n,) array of `RANGE`

    Examples
    --------
    >>> ranges = np.zeros(2, RANGE)
    >>> ranges["start"], ranges["stop"], ranges["packets"] = [0, 50], [50, 90], 1
    >>> joined = condense(ranges)
    >>> joined["start"].tolist(), joined["stop"].tolist(), joined["packets"].tolist()
    ([0], [90], [2])
    """
    if not len(ranges):
        return ranges
    of_identifier = ranges["apid"].astype(np.int64) + (ranges["stream"].astype(np.int64) << 12)
    ranges = ranges[np.lexsort((ranges["start"], of_identifier))]
    is_first = np.ones(len(ranges), bool)
    before, after = ranges[:-1], ranges[1:]
    is_first[1:] = np.any([before[name] != after[name] for name in _SAME], axis=0)
    is_first[1:] |= (after["apid"] == NONE) & (before["stop"] != after["start"])
    first = np.flatnonzero(is_first)
    last = np.append(first[1:], len(ranges)) - 1
    joined = ranges[first]
    joined["stop"], joined["last_count"] = ranges["stop"][last], ranges["last_count"][last]
    for name in ("packets", "octets"):
        joined[name] = np.add.reduceat(ranges[name], first)
    return joined

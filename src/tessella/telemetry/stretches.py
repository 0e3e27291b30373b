"""Where in a stream the packets of each exposure are, so that no more of it need be read for one.

A stretch runs from the end of a packet of another exposure to the beginning of the next one: idle
packets and fragments between two exposures belong to the stretches of both.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from tessella.models import ExposureKey
from tessella.telemetry.index import PacketIndex
from tessella.telemetry.packets import unpack_visit

#: First octet, and the octet after the last.
Stretch = tuple[int, int]

#: Octets without a packet of an exposure that are read with it: less is not worth a jump.
_GAP = 1 << 20
_RUN = np.dtype([("visit_key", "u8"), ("exposure", "u2"), ("start", "i8"), ("stop", "i8")])


def runs_of(index: PacketIndex) -> np.ndarray:
    """Return runs of neighbouring packets of one exposure, in the order of one stream.

    Parameters
    ----------
    index : PacketIndex
        Of one stream, or of a part of it.

    Returns
    -------
    runs : (n,) structured array
        Exposure, first octet of the first packet and the octet after the last one.
    """
    runs = np.zeros(len(index), _RUN)
    for name in ("visit_key", "exposure"):
        runs[name] = index.header[name]
    runs["start"], runs["stop"] = index.start, index.stop
    return _joined(runs)


def stretches(runs: Iterable[np.ndarray], n_octets: int) -> dict[ExposureKey, tuple[Stretch, ...]]:
    """Return the stretches of a stream that must be read for each exposure.

    Parameters
    ----------
    runs : iterable of arrays
        Of the parts of one stream, as `runs_of` has them.
    n_octets : int
        Length of the stream.

    Examples
    --------
    >>> stretches([], 100)
    {}
    """
    every = _joined(np.concatenate([np.zeros(0, _RUN), *runs]))
    found: dict[ExposureKey, tuple[Stretch, ...]] = {}
    begin = np.append(0, every["stop"][:-1])
    end = np.append(every["start"][1:], n_octets)
    for visit, exposure in np.unique(every[["visit_key", "exposure"]]).tolist():
        own = (every["visit_key"] == np.uint64(visit)) & (every["exposure"] == exposure)
        found[unpack_visit(visit, exposure)] = _bridged(begin[own], end[own])
    return found


def n_octets_of(own: Sequence[Stretch]) -> int:
    """Return the number of octets of some stretches."""
    return sum(stop - start for start, stop in own)


def _joined(runs: np.ndarray) -> np.ndarray:
    """Join neighbouring runs of one exposure."""
    is_first = np.ones(len(runs), bool)
    before, after = runs[:-1], runs[1:]
    is_first[1:] = np.any([before[n] != after[n] for n in ("visit_key", "exposure")], axis=0)
    first = np.flatnonzero(is_first)
    joined = runs[first]
    joined["stop"] = runs["stop"][np.append(first[1:], len(runs)) - 1] if len(runs) else 0
    return joined


def _bridged(begin: np.ndarray, end: np.ndarray) -> tuple[Stretch, ...]:
    """Join stretches of one exposure that are less than `_GAP` apart."""
    is_first = np.append(True, begin[1:] - end[:-1] > _GAP)
    is_last = np.append(is_first[1:], True)
    return tuple(zip(begin[is_first].tolist(), end[is_last].tolist(), strict=True))

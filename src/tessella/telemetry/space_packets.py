"""Space Packets of any spacecraft (CCSDS 133.0-B): splitting, counting and joining of segments.

Packets of other missions have no checksum that is known, so that a stream is believed as long as
one header leads to the next. Our own are found by their checksums: `tessella.telemetry.scan`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tessella.compiled import kernel
from tessella.telemetry.packets import COUNTS, PRIMARY_OCTETS

_CONTINUATION, _FIRST, _LAST, _ALONE = range(4)


@dataclass(frozen=True)
class PacketTable:
    """n packets of a stream, in its order."""

    #: (n,) int64: first octet of each packet, and the octet after its last.
    start: np.ndarray
    stop: np.ndarray
    #: (n,) int64: fields of the primary headers.
    is_command: np.ndarray
    has_secondary_header: np.ndarray
    apid: np.ndarray
    #: 1 first, 0 continuation, 2 last, 3 stands alone.
    sequence_flags: np.ndarray
    sequence_count: np.ndarray
    #: Octets after the last whole packet, and why they are none; 0 and empty in whole streams.
    rest: int
    reason: str

    def of(self, apid: int) -> np.ndarray:
        """Return the numbers of the packets of one identifier."""
        return np.flatnonzero(self.apid == apid)


class Gaps(NamedTuple):
    """What the sequence counts of one identifier say."""

    #: Places where counts jump ahead, and how many packets are missing there if the count has not
    #: gone round more than once.
    jumps: int
    missing: int
    #: Packets with the count of the one before.
    repeats: int


class Group(NamedTuple):
    """Segments of one larger unit of data."""

    apid: int
    #: Numbers of its packets in the table.
    packets: tuple[int, ...]
    #: Why it is not whole; empty if it is.
    reason: str


def split(data: bytes | np.ndarray) -> PacketTable:
    """Find the packets of a stream by their lengths.

    Parameters
    ----------
    data : bytes or (n,) uint8

    Examples
    --------
    >>> table = split(bytes.fromhex("07ffc005000155aa") + bytes(4))
    >>> table.apid.tolist(), table.stop.tolist(), table.rest, table.reason
    ([2047], [8], 4, 'truncated')
    """
    octets = np.frombuffer(data, np.uint8)
    n, end = _count(octets)
    start, length = np.empty(n, np.int64), np.empty(n, np.int64)
    words = np.empty((n, 2), np.int64)
    _walk(octets, start, length, words)
    rest = len(octets) - end
    reason = "truncated" if rest else ""
    if rest and octets[end] >> 5:
        reason = f"no packet header: version {octets[end] >> 5}, expected 0"
    return PacketTable(
        start,
        start + length,
        words[:, 0] >> 12 & 1,
        words[:, 0] >> 11 & 1,
        words[:, 0] & 0x7FF,
        words[:, 1] >> 14,
        words[:, 1] & (COUNTS - 1),
        rest,
        reason,
    )


@kernel
def _length(octets: np.ndarray, i: int) -> int:
    """Return the length of the packet at `i`; 0 where none is whole."""
    if len(octets) - i < PRIMARY_OCTETS or octets[i] >> 5:
        return 0
    length = (np.int64(octets[i + 4]) << 8 | octets[i + 5]) + PRIMARY_OCTETS + 1
    return length if i + length <= len(octets) else 0


@kernel
def _count(octets: np.ndarray) -> tuple[int, int]:
    """Return the number of whole packets from the start on, and where the last one ends."""
    n, i = 0, 0
    while _length(octets, i):
        i += _length(octets, i)
        n += 1
    return n, i


@kernel
def _walk(octets: np.ndarray, start: np.ndarray, length: np.ndarray, words: np.ndarray) -> None:
    i = 0
    for k in range(len(start)):
        start[k], length[k] = i, _length(octets, i)
        for j in range(2):
            words[k, j] = np.int64(octets[i + 2 * j]) << 8 | octets[i + 2 * j + 1]
        i += length[k]


def gaps(counts: np.ndarray) -> Gaps:
    """Compare the sequence counts of consecutive packets of one identifier.

    Examples
    --------
    >>> gaps(np.array([16382, 16383, 0, 0, 5]))
    Gaps(jumps=1, missing=4, repeats=1)
    """
    steps = np.diff(counts) % COUNTS
    jumps = steps[(steps != 1) & (steps != 0)]
    return Gaps(len(jumps), int((jumps - 1).sum()), int(np.count_nonzero(steps == 0)))


def groups(table: PacketTable) -> list[Group]:
    """List the groups of segments of every identifier, in the order in which they begin.

    Segments are joined only if their counts follow each other from a first to a last one.
    """
    found = [group for apid in np.unique(table.apid).tolist() for group in _groups_of(table, apid)]
    return sorted(found, key=lambda group: group.packets[0])


def _groups_of(table: PacketTable, apid: int) -> Iterator[Group]:
    own = table.of(apid)
    flags, counts = table.sequence_flags[own].tolist(), table.sequence_count[own].tolist()
    open_group: list[int] = []
    reason, last_count = "", 0
    for packet, flag, count in zip(own.tolist(), flags, counts, strict=True):
        if open_group and flag in (_FIRST, _ALONE):
            yield Group(apid, tuple(open_group), reason or "no last segment")
            open_group = []
        if flag == _ALONE:
            continue
        if not open_group:
            reason = "" if flag == _FIRST else "no first segment"
        elif count != (last_count + 1) % COUNTS:
            reason = reason or "segments are missing"
        open_group.append(packet)
        last_count = count
        if flag == _LAST:
            yield Group(apid, tuple(open_group), reason)
            open_group = []
    if open_group:
        yield Group(apid, tuple(open_group), reason or "no last segment")


def join(data: bytes, table: PacketTable, group: Group, secondary_octets: int = 0) -> bytes:
    """Put the segments of a whole group together, behind the headers of the first one.

    Parameters
    ----------
    data : bytes
        The stream that `table` is of.
    table : PacketTable
    group : Group
    secondary_octets : int
        Length of the secondary header, of which only the first is kept.

    Raises
    ------
    ValueError
        If the group is not whole.
    """
    if group.reason:
        raise ValueError(
            f"identifier {group.apid}: the group from packet {group.packets[0]} on is not whole: "
            f"{group.reason}; its segments are not joined"
        )
    first, *more = group.packets
    parts = [data[table.start[first] : table.stop[first]]]
    for packet in more:
        skipped = PRIMARY_OCTETS + secondary_octets * int(table.has_secondary_header[packet])
        parts.append(data[table.start[packet] + skipped : table.stop[packet]])
    return b"".join(parts)

"""Finding packets in a stream that may have been damaged anywhere.

A packet is what its checksum confirms. In step, one packet starts where the last one ended.
Out of step, every place where a header could start is tried. An octet is searched at most twice
and a wrong candidate costs one checksum of at most `MAX_OCTETS`, so that the time is
proportional to the length of the stream whatever is in it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tessella.compiled import kernel
from tessella.telemetry.checksum import CRC_OCTETS, crc_of
from tessella.telemetry.packets import IDLE, MAX_OCTETS, PRIMARY_OCTETS, TIME_PREAMBLE

_PACKET, _NO_HEADER, _WRONG_CHECKSUM, _WRONG_LENGTH, _TRUNCATED = range(5)
#: What octets that belong to no packet are called.
REASONS = {
    _NO_HEADER: "no header",
    _WRONG_CHECKSUM: "wrong checksum",
    _WRONG_LENGTH: "wrong length",
    _TRUNCATED: "truncated",
}
# Pieces that are found before they are handed on.
_PART = 1 << 13
_IDLE_HIGH, _IDLE_LOW = IDLE >> 8, IDLE & 0xFF


@dataclass(frozen=True)
class Scan:
    """Consecutive pieces of a stream: packets and fragments that together cover every octet."""

    #: (n,) int64: first octet of each piece, and the octet after its last.
    start: np.ndarray
    stop: np.ndarray
    #: (n,) uint8: 0 for packets, else a key of `REASONS`.
    kind: np.ndarray

    @property
    def is_packet(self) -> np.ndarray:
        """(n,) bool: pieces that are sound packets."""
        return self.kind == _PACKET

    def fragments(self) -> list[tuple[int, int, str]]:
        """List the other pieces: start, stop and reason."""
        rows = zip(self.start.tolist(), self.stop.tolist(), self.kind.tolist(), strict=True)
        return [(start, stop, REASONS[kind]) for start, stop, kind in rows if kind != _PACKET]


def find_packets(
    data: bytes | np.ndarray, at_a_time: int = _PART, start: int = 0, stop: int | None = None
) -> Iterator[Scan]:
    """Find every packet of `data` whose checksum is right, and say why the rest was rejected.

    Parameters
    ----------
    data : bytes or (n,) uint8
    at_a_time : int
        Pieces that are found before they are handed on, so that memory does not grow with `data`.
    start, stop : int
        Where to begin, and where no other piece may begin; both must lie between two pieces.
        Absent: all of `data`.

    Examples
    --------
    >>> from tessella.telemetry.packets import HEADER, SCIENCE, identification, packet
    >>> header = np.zeros(1, HEADER)
    >>> header["identification"] = identification(SCIENCE + 1)
    >>> header["time_preamble"] = TIME_PREAMBLE
    >>> (found,) = find_packets(b"noise" + packet(header, b""))
    >>> found.start.tolist(), found.stop.tolist(), found.fragments()
    ([0, 5], [5, 50], [(0, 5, 'no header')])
    """
    octets = np.frombuffer(data, np.uint8)
    position, limit = start, len(octets) if stop is None else stop
    while position < limit:
        # Room that is little beside what is left, for packets of half a kilobyte.
        room = min(at_a_time, (limit - position) // 512 + 64)
        starts, stops = np.empty(room, np.int64), np.empty(room, np.int64)
        kinds = np.empty(room, np.uint8)
        n = _scan(octets, position, limit, starts, stops, kinds)
        position = int(stops[n - 1])
        yield Scan(starts[:n].copy(), stops[:n].copy(), kinds[:n].copy())


@kernel
def _scan(
    data: np.ndarray,
    position: int,
    limit: int,
    start: np.ndarray,
    stop: np.ndarray,
    kind: np.ndarray,
) -> int:
    """Fill the arrays with pieces from `position` to before `limit`; return how many there are."""
    n = 0
    while position < limit and n < len(start):
        end, found = _packet_end(data, position), _PACKET
        if end == 0:
            end, found = _skip(data, position)
        start[n], stop[n], kind[n] = position, end, found
        position = end
        n += 1
    return n


@kernel
def _claimed_end(data: np.ndarray, position: int) -> int:
    """Return where the header at `position` says that its packet ends; 0 where it is no header."""
    if len(data) - position < PRIMARY_OCTETS or data[position] >> 4:
        return 0
    octets = (np.int64(data[position + 4]) << 8 | data[position + 5]) + PRIMARY_OCTETS + 1
    if octets <= PRIMARY_OCTETS + CRC_OCTETS or octets > MAX_OCTETS:
        return 0
    return position + octets


@kernel
def _packet_end(data: np.ndarray, position: int) -> int:
    """Return where the packet that starts at `position` ends; 0 where no sound one starts."""
    stop = _claimed_end(data, position)
    if stop == 0 or stop > len(data) or crc_of(data, position, stop) != 0:
        return 0
    return stop


@kernel
def _could_start(data: np.ndarray, i: int) -> bool:
    """Tell whether telemetry with our time code, or an idle packet, may start at `i`."""
    if i + 6 < len(data) and data[i] >> 3 == 1 and data[i + 6] == TIME_PREAMBLE:
        return True
    return i + 1 < len(data) and data[i] == _IDLE_HIGH and data[i + 1] == _IDLE_LOW


@kernel
def _next_packet(data: np.ndarray, start: int, stop: int) -> int:
    """Return where the first sound packet starts in [start, stop); `stop` where none does."""
    for i in range(start, stop):
        if _could_start(data, i) and _packet_end(data, i):
            return i
    return stop


@kernel
def _skip(data: np.ndarray, position: int) -> tuple[int, int]:
    """Return the end and reason of the fragment at `position`, where no sound packet starts.

    The length of a damaged packet is believed only if no sound packet starts inside it and
    another header, or the end of the stream, follows it.
    """
    size = len(data)
    claimed = _claimed_end(data, position)
    inside = position + 1
    if claimed:
        inside = _next_packet(data, position + 1, min(claimed, size))
        if inside < min(claimed, size):
            return inside, _WRONG_LENGTH
        if claimed > size:
            return size, _TRUNCATED
        if claimed == size or _could_start(data, claimed):
            return claimed, _WRONG_CHECKSUM
    return _next_packet(data, inside, size), _NO_HEADER

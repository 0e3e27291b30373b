"""Finding packets in a stream that may have been damaged anywhere.

A packet is what its checksum confirms. In step, one packet starts where the last one ended.
Out of step, every place where a header could start is tried. An octet is searched at most twice
and a wrong candidate costs one checksum of at most `MAX_OCTETS`, so that the time is
proportional to the length of the stream whatever is in it.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tessella.telemetry.packets import (
    CRC_OCTETS,
    IDLE,
    MAX_OCTETS,
    PRIMARY_OCTETS,
    TIME_PREAMBLE,
    crc,
    identification,
    unpack_primary,
)

# Telemetry with a secondary header that begins with our time code, or an idle packet.
_COULD_START = re.compile(
    rb"[\x08-\x0f].{5}"
    + re.escape(bytes([TIME_PREAMBLE]))
    + b"|"
    + re.escape(IDLE.to_bytes(2, "big")),
    re.DOTALL,
)


class Fragment(NamedTuple):
    """Octets that belong to no packet."""

    start: int
    stop: int
    reason: str


@dataclass(frozen=True)
class Scan:
    """What a stream is made of: packets and fragments that together cover every octet of it."""

    #: (n,) int64: first octet of each packet, and the octet after its last.
    start: np.ndarray
    stop: np.ndarray
    fragments: tuple[Fragment, ...]


def find_packets(data: bytes | memoryview) -> Scan:
    """Find every packet of `data` whose checksum is right, and say why the rest was rejected.

    Examples
    --------
    >>> from tessella.telemetry.packets import HEADER, SCIENCE, seal
    >>> header = np.zeros(1, HEADER)
    >>> header["identification"] = identification(SCIENCE + 1)
    >>> header["time_preamble"] = TIME_PREAMBLE
    >>> found = find_packets(b"noise" + seal(header, [b""])[0])
    >>> found.start.tolist(), found.stop.tolist(), found.fragments
    ([5], [50], (Fragment(start=0, stop=5, reason='no header'),))
    """
    stream = memoryview(data)
    spans: list[tuple[int, int]] = []
    fragments: list[Fragment] = []
    position = 0
    while position < len(stream):
        stop = _packet_end(stream, position)
        if stop:
            spans.append((position, stop))
        else:
            fragments.append(_skip(stream, position))
            stop = fragments[-1].stop
        position = stop
    return Scan(*_columns(spans), tuple(fragments))


def search_packets(data: bytes | memoryview, apids: Iterable[int]) -> Scan:
    """Find the packets of some kinds only, without checking the others; fragments stay unknown.

    Parameters
    ----------
    data : bytes or memoryview
    apids : iterable of int
        Kinds of packets that have a secondary header.
    """
    words = b"|".join(re.escape(identification(apid).to_bytes(2, "big")) for apid in apids)
    could_start = re.compile(
        b"(?:" + words + b").{4}" + re.escape(bytes([TIME_PREAMBLE])), re.DOTALL
    )
    stream = memoryview(data)
    spans: list[tuple[int, int]] = []
    match = could_start.search(stream)
    while match:
        stop = _packet_end(stream, match.start())
        if stop:
            spans.append((match.start(), stop))
        match = could_start.search(stream, stop or match.start() + 1)
    return Scan(*_columns(spans), ())


def _columns(spans: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    table = np.array(spans, dtype=np.int64).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def _claimed_end(stream: memoryview, position: int) -> int:
    """Return where the header at `position` says that its packet ends; 0 where it is no header."""
    if len(stream) - position < PRIMARY_OCTETS:
        return 0
    header = unpack_primary(stream, position)
    if header.version or header.is_command or header.octets <= PRIMARY_OCTETS + CRC_OCTETS:
        return 0
    return position + header.octets if header.octets <= MAX_OCTETS else 0


def _packet_end(stream: memoryview, position: int) -> int:
    """Return where the packet that starts at `position` ends; 0 where no sound one starts."""
    stop = _claimed_end(stream, position)
    sound = 0 < stop <= len(stream) and crc(stream[position:stop]) == 0
    return stop if sound else 0


def _next_packet(stream: memoryview, start: int, stop: int) -> int:
    """Return where the first sound packet starts in [start, stop); `stop` where none does."""
    match = _COULD_START.search(stream, start)
    while match and match.start() < stop:
        if _packet_end(stream, match.start()):
            return match.start()
        match = _COULD_START.search(stream, match.start() + 1)
    return stop


def _skip(stream: memoryview, position: int) -> Fragment:
    """Return the fragment that starts at `position`, where no sound packet does.

    The length of a damaged packet is believed only if no sound packet starts inside it and
    another header, or the end of the stream, follows it.
    """
    size = len(stream)
    claimed = _claimed_end(stream, position)
    inside = _next_packet(stream, position + 1, min(claimed, size)) if claimed else position + 1
    if claimed and inside < min(claimed, size):
        return Fragment(position, inside, "wrong length")
    if claimed > size:
        return Fragment(position, size, "truncated")
    if claimed == size or (claimed and _COULD_START.match(stream, claimed)):
        return Fragment(position, claimed, "wrong checksum")
    return Fragment(position, _next_packet(stream, inside, size), "no header")

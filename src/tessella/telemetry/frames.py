"""Transfer frames as ground stations deliver them: from channel access units to packets.

A unit (CADU, CCSDS 131.0-B) is a sync marker, a transfer frame and its Reed-Solomon check symbols,
all but the marker randomised. Frames are those of AOS (732.0-B): of each virtual channel they are
counted, and its packets run through their zones, from one into the next.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tessella.telemetry.checksum import CRC_OCTETS, crc
from tessella.telemetry.index import Stream, release
from tessella.telemetry.packets import PRIMARY_OCTETS
from tessella.telemetry.reed_solomon import CHECK_SYMBOLS, correct

SYNC_MARKER = bytes.fromhex("1acffc1d")
#: Virtual channel of frames that hold nothing.
IDLE_CHANNEL = 63
_HEADER_OCTETS = 6
_POINTER_OCTETS = 2
_NO_PACKET_STARTS, _ONLY_IDLE = 0x7FF, 0x7FE
_VERSION = 1
_COUNTS = 1 << 24
# Frames that are in memory at a time.
_PART = 4096


@dataclass(frozen=True)
class FrameFormat:
    """What is agreed for a link and not told by its frames."""

    #: Octets of a frame, without sync marker and check symbols.
    octets: int = 1115
    #: Codewords of Reed-Solomon a frame; 0 where there are none.
    interleaving: int = 5
    is_randomised: bool = True
    #: Octets between the header and the packets: its error control, and the insert zone.
    header_check_octets: int = 0
    insert_octets: int = 0
    #: Octets after the packets: control field, and whether a checksum ends the frame.
    control_octets: int = 0
    has_checksum: bool = False

    @property
    def coded_octets(self) -> int:
        """Octets of a frame and its check symbols."""
        return self.octets + CHECK_SYMBOLS * self.interleaving

    @property
    def zone(self) -> slice:
        """Where the packets of a frame stand."""
        start = _HEADER_OCTETS + self.header_check_octets + self.insert_octets + _POINTER_OCTETS
        return slice(start, self.octets - self.control_octets - CRC_OCTETS * self.has_checksum)


@dataclass(frozen=True)
class Channel:
    """What a virtual channel delivered."""

    #: Whole packets, one after the other.
    packets: bytes | bytearray
    n_frames: int
    #: By the count of frames, if it has not gone round more than once in a gap.
    n_lost: int
    #: Frames that came twice.
    n_repeated: int
    #: Packets of which a part was in a lost frame, or before the first one or after the last.
    n_incomplete: int


@dataclass(frozen=True)
class Link:
    """What was found in a stream of units: every octet is in a frame, a marker or stray."""

    #: By number, without the idle one.
    channels: dict[int, Channel]
    n_frames: int
    n_idle: int
    #: Number of frames by the reason why they were not used.
    rejected: dict[str, int]
    #: Octets between units.
    n_stray: int
    #: Symbols that Reed-Solomon put right.
    n_corrected: int


def randomiser(n_octets: int) -> np.ndarray:
    """Return the sequence that frames are added to, bit by bit: (n_octets,) uint8.

    Its polynomial is x^8 + x^7 + x^5 + x^3 + 1, it starts with ones, and repeats after 255 bits.

    Examples
    --------
    >>> randomiser(4).tobytes().hex()
    'ff480ec0'
    """
    register, bits = [1] * 8, []
    for _ in range(255):
        bits.append(register[0])
        register = [*register[1:], register[0] ^ register[3] ^ register[5] ^ register[7]]
    return np.packbits(np.resize(np.array(bits, np.uint8), 8 * n_octets))


def read_link(data: Stream, form: FrameFormat, is_corrected: bool = False) -> Link:
    """Take the packets of every virtual channel out of a stream of units.

    Parameters
    ----------
    data : bytes or mmap
        Some thousand frames are in memory at a time, and the packets.
    form : FrameFormat
    is_corrected : bool
        Correct errors by Reed-Solomon; frames with too many are rejected. Otherwise check symbols
        are cut off unused.

    Raises
    ------
    ValueError
        If correction is asked for and `reedsolo` is not installed.

    Examples
    --------
    >>> link = read_link(b"noise", FrameFormat())
    >>> link.n_frames, link.n_stray
    (0, 5)
    """
    rejected: Counter[str] = Counter()
    channels: dict[int, _Reader] = {}
    n_found = n_idle = n_corrected = 0
    for units in _find_units(data, form):
        n_found += len(units)
        frames, symbols = _frames_of(data, units, form, is_corrected)
        rejected["too many errors"] += int(np.count_nonzero(symbols < 0))
        n_corrected += int(symbols[symbols >= 0].sum())
        for row in frames[symbols >= 0, : form.octets]:
            frame = row.tobytes()
            reason = _fault(frame, form)
            channel = frame[1] & 0x3F
            if reason:
                rejected[reason] += 1
            elif channel == IDLE_CHANNEL:
                n_idle += 1
            else:
                channels.setdefault(channel, _Reader(form)).read(frame)
    return Link(
        {number: channels[number].channel() for number in sorted(channels)},
        n_found,
        n_idle,
        {reason: n for reason, n in rejected.items() if n},
        len(data) - (len(SYNC_MARKER) + form.coded_octets) * n_found,
        n_corrected,
    )


def _find_units(data: Stream, form: FrameFormat) -> Iterator[np.ndarray]:
    """Give where whole units start, some at a time: at a marker, in step or searched for."""
    unit = len(SYNC_MARKER) + form.coded_octets
    found = []
    position = data.find(SYNC_MARKER)
    while 0 <= position <= len(data) - unit:
        found.append(position)
        if len(found) == _PART:
            yield np.array(found)
            found = []
        position = data.find(SYNC_MARKER, position + unit)
    if found:
        yield np.array(found)


def _frames_of(
    data: Stream, units: np.ndarray, form: FrameFormat, is_corrected: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return the frames of some units, and how many symbols were corrected; -1: too many errors."""
    size = form.coded_octets
    octets = np.frombuffer(data, np.uint8)
    starts = (units + len(SYNC_MARKER)).tolist()
    frames = np.stack([octets[start : start + size] for start in starts])
    release(data)
    if form.is_randomised:
        frames ^= randomiser(size)
    if is_corrected and form.interleaving:
        corrected = correct(frames, form.interleaving)
        return corrected.frames, corrected.symbols
    return frames, np.zeros(len(frames), int)


def _fault(frame: bytes, form: FrameFormat) -> str:
    """Say why a frame cannot be used; nothing where it can."""
    if frame[0] >> 6 != _VERSION:
        return f"version {frame[0] >> 6} of transfer frames, expected {_VERSION} (AOS)"
    if form.has_checksum and crc(frame):
        return "wrong checksum"
    pointer = _pointer(frame, form)
    zone = form.zone
    if pointer < _ONLY_IDLE and pointer >= zone.stop - zone.start:
        return "first header outside of the frame"
    return ""


def _pointer(frame: bytes, form: FrameFormat) -> int:
    """Return the first octet of a frame's zone at which a packet starts."""
    start = form.zone.start
    return int.from_bytes(frame[start - _POINTER_OCTETS : start], "big") & 0x7FF


class _Reader:
    """Puts together the packets of one virtual channel, from its frames in order."""

    def __init__(self, form: FrameFormat) -> None:
        self._form = form
        self._packets = bytearray()
        #: Octets of a packet that goes on in the next frame.
        self._pending = b""
        self._last: int | None = None
        self._n_frames = self._n_lost = self._n_repeated = self._n_incomplete = 0
        # Before the first frame something may have been lost as well.
        self._is_after_gap, self._is_counted = True, False

    def read(self, frame: bytes) -> None:
        """Take the packets out of the next frame."""
        self._n_frames += 1
        count = int.from_bytes(frame[2:5], "big")
        step = 1 if self._last is None else (count - self._last) % _COUNTS
        if step == 0:
            self._n_repeated += 1
            return
        self._last = count
        if step > 1:
            self._lose(step - 1)
        zone, pointer = frame[self._form.zone], _pointer(frame, self._form)
        if pointer == _ONLY_IDLE:
            return
        starts = len(zone) if pointer == _NO_PACKET_STARTS else pointer
        if self._is_after_gap:
            # What stands before the first packet is the tail of one that began before the gap.
            self._n_incomplete += starts > 0 and not self._is_counted
            self._is_after_gap = False
        if self._pending:
            self._pending = _take(self._pending + zone[:starts], self._packets)
        if starts < len(zone):
            self._n_incomplete += bool(self._pending)
            self._pending = _take(zone[starts:], self._packets)

    def _lose(self, n_frames: int) -> None:
        """Give up the packet that went on in lost frames."""
        self._n_lost += n_frames
        self._n_incomplete += bool(self._pending)
        zone = self._form.zone
        n_octets = n_frames * (zone.stop - zone.start)
        self._is_after_gap, self._is_counted = True, _missing(self._pending) > n_octets
        self._pending = b""

    def channel(self) -> Channel:
        """Return what was delivered so far."""
        return Channel(
            self._packets,
            self._n_frames,
            self._n_lost,
            self._n_repeated,
            self._n_incomplete + bool(self._pending),
        )


def _missing(octets: bytes) -> int:
    """Return how many octets a packet still needs; 0 where that is not known."""
    if len(octets) < PRIMARY_OCTETS:
        return 0
    return PRIMARY_OCTETS + 1 + int.from_bytes(octets[4:6], "big") - len(octets)


def _take(octets: bytes, packets: bytearray) -> bytes:
    """Move the whole packets that `octets` start with to `packets`; return what is left."""
    position = 0
    while len(octets) - position >= PRIMARY_OCTETS:
        length = int.from_bytes(octets[position + 4 : position + 6], "big")
        stop = position + PRIMARY_OCTETS + 1 + length
        if stop > len(octets):
            break
        packets += octets[position:stop]
        position = stop
    return octets[position:]

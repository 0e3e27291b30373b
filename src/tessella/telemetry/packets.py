"""Space Packets: the fields of their headers, their checksum, and one packet at a time.

The primary header is that of CCSDS 133.0-B, the time code that of CCSDS 301.0-B. The layout
of the payload header is this project's own: Roman's is not public (see ``docs/level0.md``).
All of it is declared in ``packets.xml``.
"""

import struct
from typing import NamedTuple

import numpy as np

from tessella.compiled import kernel
from tessella.models import ExposureKey
from tessella.telemetry.checksum import CRC_OCTETS, crc_of
from tessella.telemetry.declaration import read_declaration

DECLARED = read_declaration()

#: First application identifiers; those of pixels are counted up by the detector's number.
SCIENCE, AMP33, GUIDE = (
    DECLARED[kind].apids().start - 1 for kind in ("science", "amp33", "guide_window")
)
ATTITUDE = DECLARED["attitude"].apids().start
HOUSEKEEPING = DECLARED["exposure_record"].apids().start
IDLE = DECLARED["idle"].apids().start
#: Kinds of packets that are ours.
KNOWN_APIDS = sorted({apid for kind in DECLARED.values() if kind.is_final for apid in kind.apids()})

#: The most octets a packet may have: a 16-bit checksum finds all two-bit errors below 4,094.
MAX_OCTETS = 4000
PRIMARY_OCTETS = DECLARED["CCSDSPacket"].dtype.itemsize
#: Preamble of the time code: an epoch of our own, 4 octets of seconds and 3 of their fraction.
TIME_PREAMBLE = 0x2F
FORMAT_VERSION = 2
#: Stands in place of a resultant's index.
REFERENCE_READ = 0xFFFF
COUNTS = 1 << 14
N_DETECTORS = 18

#: Every octet of a packet before its payload, in order.
HEADER = np.dtype(DECLARED["CCSDSPacket"].dtype.descr + DECLARED["payload_header"].dtype.descr)
OVERHEAD = HEADER.itemsize + CRC_OCTETS

#: Bits of each part of the visit key, most significant first; they fill 64 bits.
_VISIT_BITS = tuple((part.name, part.bits) for part in DECLARED["visit_key"].fields)
_PRIMARY = struct.Struct(">HHH")
_SECONDARY_HEADER = 0x0800


class Primary(NamedTuple):
    """The fields of a primary header."""

    version: int
    #: True for telecommands; telemetry has False.
    is_command: bool
    has_secondary_header: bool
    apid: int
    #: 1 first, 0 continuation, 2 last, 3 stands alone.
    sequence_flags: int
    sequence_count: int
    #: Length of the whole packet, primary header included.
    octets: int


def pack_primary(header: Primary) -> bytes:
    """Write the 6 octets of a primary header.

    Examples
    --------
    >>> pack_primary(Primary(0, False, False, IDLE, 3, 5, 72)).hex()
    '07ffc0050041'
    """
    return _PRIMARY.pack(
        header.version << 13
        | header.is_command << 12
        | header.has_secondary_header << 11
        | header.apid,
        header.sequence_flags << 14 | header.sequence_count,
        header.octets - PRIMARY_OCTETS - 1,
    )


def unpack_primary(data: bytes | memoryview, position: int = 0) -> Primary:
    """Read the primary header that starts at octet `position` of `data`.

    Raises
    ------
    ValueError
        If fewer than 6 octets are left.

    Examples
    --------
    >>> unpack_primary(bytes.fromhex("07ffc0050041")).apid == IDLE
    True
    """
    if len(data) - position < PRIMARY_OCTETS:
        raise ValueError(f"a primary header has 6 octets; {len(data) - position} are left")
    identification, sequence, length = _PRIMARY.unpack_from(data, position)
    return Primary(
        version=identification >> 13,
        is_command=bool(identification >> 12 & 1),
        has_secondary_header=bool(identification & _SECONDARY_HEADER),
        apid=identification & 0x7FF,
        sequence_flags=sequence >> 14,
        sequence_count=sequence % COUNTS,
        octets=length + PRIMARY_OCTETS + 1,
    )


class Packets(NamedTuple):
    """Packets one after the other, as they are sent."""

    #: (n_octets,) uint8
    octets: np.ndarray
    #: (n,) int64: first octet of each packet, and the octet after its last.
    start: np.ndarray
    stop: np.ndarray

    def split(self) -> list[bytes]:
        """Return each packet as octets of its own."""
        whole = self.octets.tobytes()
        return [whole[a:b] for a, b in zip(self.start.tolist(), self.stop.tolist(), strict=True)]


def seal(headers: np.ndarray, payload: np.ndarray, octets: np.ndarray) -> Packets:
    """Join headers and payloads to packets: set their lengths, append their checksums.

    Parameters
    ----------
    headers : (n,) array of `HEADER`
        Complete but for ``length``.
    payload : (n_octets,) uint8
        The payloads, one after the other.
    octets : (n,) int
        Length of each of them.

    Raises
    ------
    ValueError
        If a packet would have more than `MAX_OCTETS`, or the payloads are not as long as said.

    Examples
    --------
    >>> seal(np.zeros(1, HEADER), np.zeros(3, np.uint8), np.array([3])).stop.tolist()
    [48]
    """
    lengths = np.asarray(octets, dtype=np.int64) + OVERHEAD
    if lengths.max(initial=0) > MAX_OCTETS:
        raise ValueError(f"a packet would have {lengths.max()} octets; {MAX_OCTETS} are allowed")
    if int(lengths.sum()) - OVERHEAD * len(headers) != len(payload):
        raise ValueError(f"{len(payload)} octets of payload; {octets.sum()} were announced")
    headers = headers.copy()
    headers["length"] = lengths - PRIMARY_OCTETS - 1
    stop = lengths.cumsum()
    sealed = np.empty(int(lengths.sum()), np.uint8)
    raw = headers.view(np.uint8).reshape(len(headers), HEADER.itemsize)
    _seal(raw, payload, stop - lengths, stop, sealed)
    return Packets(sealed, stop - lengths, stop)


@kernel
def _seal(
    headers: np.ndarray,
    payload: np.ndarray,
    start: np.ndarray,
    stop: np.ndarray,
    sealed: np.ndarray,
) -> None:
    """Write header, payload and checksum of packet i to the octets [start_i, stop_i)."""
    taken = 0
    for i in range(len(start)):
        body, end = start[i] + headers.shape[1], stop[i] - 2
        sealed[start[i] : body] = headers[i]
        sealed[body:end] = payload[taken : taken + end - body]
        taken += end - body
        crc = crc_of(sealed, start[i], end)
        sealed[end], sealed[end + 1] = crc >> 8, crc & 0xFF


def packet(header: np.ndarray, payload: bytes) -> bytes:
    """Make one packet of a (1,) array of `HEADER` and a payload; errors as in `seal`.

    Examples
    --------
    >>> len(packet(np.zeros(1, HEADER), b"abc"))
    48
    """
    body = np.frombuffer(payload, np.uint8)
    return seal(header, body, np.array([len(payload)])).octets.tobytes()


def identification(apid: int) -> int:
    """Give the first 16 bits of telemetry packets of `apid` that have a secondary header."""
    return _SECONDARY_HEADER | apid


def pack_visit(key: ExposureKey) -> int:
    """Write the six numbers of a visit as one of 64 bits.

    Raises
    ------
    ValueError
        If one of them needs more bits than it has.

    Examples
    --------
    >>> unpack_visit(pack_visit(ExposureKey(5, 1, 2, 3, 4, 6, 7)), 7).visit_id
    '0000501002003004006'
    """
    packed = 0
    for name, bits in _VISIT_BITS:
        value = getattr(key, name)
        if not 0 <= value < 1 << bits:
            raise ValueError(f"{name} is {value}; a packet holds 0 to {(1 << bits) - 1}")
        packed = packed << bits | value
    return packed


def unpack_visit(packed: int, exposure: int) -> ExposureKey:
    """Read the key of an exposure from the 64 bits of its visit and its own number."""
    parts = {}
    for name, bits in reversed(_VISIT_BITS):
        packed, parts[name] = packed >> bits, packed & (1 << bits) - 1
    return ExposureKey(**parts, exposure=exposure)


def sca_number(detector: str) -> int:
    """Give the number of a detector from its name.

    Raises
    ------
    ValueError
        If there is no such detector.

    Examples
    --------
    >>> sca_number("WFI07")
    7
    """
    for number in range(1, N_DETECTORS + 1):
        if detector_name(number) == detector:
            return number
    raise ValueError(f"there is no detector {detector!r}; WFI01 to WFI18 exist")


def detector_name(sca: int) -> str:
    """Give the name of a detector from its number.

    Raises
    ------
    ValueError
        If there is no such detector.

    Examples
    --------
    >>> detector_name(7)
    'WFI07'
    """
    if not 1 <= sca <= N_DETECTORS:
        raise ValueError(f"there is no detector {sca}; 1 to {N_DETECTORS} exist")
    return f"WFI{sca:02d}"

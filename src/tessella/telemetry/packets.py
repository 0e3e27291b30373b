"""Space Packets: the fields of their headers, their checksum, and one packet at a time.

The primary header is that of CCSDS 133.0-B, the time code that of CCSDS 301.0-B. The layout
of the payload header is this project's own: Roman's is not public (see ``docs/level0.md``).
"""

import binascii
import struct
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tessella.models import ExposureKey

#: First application identifiers; those of pixels are counted up by the detector's number.
SCIENCE = 0x100
AMP33 = 0x120
ATTITUDE = 0x160
HOUSEKEEPING = 0x170
IDLE = 0x7FF

#: The most octets a packet may have: a 16-bit checksum finds all two-bit errors below 4,094.
MAX_OCTETS = 4000
PRIMARY_OCTETS = 6
CRC_OCTETS = 2
#: Preamble of the time code: an epoch of our own, 4 octets of seconds and 3 of their fraction.
TIME_PREAMBLE = 0x2F
FORMAT_VERSION = 1
#: Stands in place of a resultant's index.
REFERENCE_READ = 0xFFFF
COUNTS = 1 << 14
N_DETECTORS = 18

#: Every octet of a packet before its payload, in order.
HEADER = np.dtype(
    [
        ("identification", ">u2"),
        ("sequence", ">u2"),
        ("length", ">u2"),
        ("time_preamble", "u1"),
        ("seconds", ">u4"),
        ("fraction", "u1", (3,)),
        ("format_version", "u1"),
        ("visit", ">u8"),
        ("exposure", ">u2"),
        ("sca", "u1"),
        ("resultant", ">u2"),
        ("first_row", ">u2"),
        ("rows", ">u2"),
        ("first_column", ">u2"),
        ("columns", ">u2"),
        ("codec", "u1"),
        ("encoding_offset", ">u2"),
        ("uncompressed_octets", ">u4"),
    ]
)

#: Bits of each part of the visit key, most significant first; they fill 64 bits.
_VISIT_BITS = (
    ("program", 17),
    ("execution_plan", 7),
    ("pass_number", 10),
    ("segment", 10),
    ("observation", 10),
    ("visit", 10),
)
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


def crc(data: bytes | memoryview) -> int:
    """Compute the CRC-16/CCITT-FALSE of `data`; it is 0 for data that end in their own.

    Examples
    --------
    >>> hex(crc(b"123456789"))
    '0x29b1'
    """
    return binascii.crc_hqx(data, 0xFFFF)


def seal(headers: np.ndarray, payloads: Sequence[bytes]) -> list[bytes]:
    """Join headers and payloads to packets: set their lengths, append their checksums.

    Parameters
    ----------
    headers : (n,) array of `HEADER`
        Complete but for ``length``.
    payloads : sequence of n bytes

    Raises
    ------
    ValueError
        If a packet would have more than `MAX_OCTETS`.

    Examples
    --------
    >>> len(seal(np.zeros(1, HEADER), [b"abc"])[0])
    48
    """
    overhead = HEADER.itemsize + CRC_OCTETS
    octets = np.array([len(payload) for payload in payloads], dtype=int) + overhead
    if octets.max(initial=0) > MAX_OCTETS:
        raise ValueError(f"a packet would have {octets.max()} octets; {MAX_OCTETS} are allowed")
    headers = headers.copy()
    headers["length"] = octets - PRIMARY_OCTETS - 1
    rows = headers.view(f"V{HEADER.itemsize}").tolist()
    bodies = (row + payload for row, payload in zip(rows, payloads, strict=True))
    return [body + crc(body).to_bytes(CRC_OCTETS, "big") for body in bodies]


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

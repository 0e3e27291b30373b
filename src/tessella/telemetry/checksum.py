"""The checksum of packets and transfer frames: CRC-16/CCITT-FALSE, sixteen octets a step.

Polynomial 0x1021, start 0xFFFF, nothing reflected (CCSDS 132.0-B, 732.0-B). Table `k` holds what
an octet becomes when `k` octets of zeros follow it, so that octets are looked up side by side
(Kounavis and Berry 2008, doi:10.1109/TC.2008.85).
"""

import numpy as np

from tessella.compiled import kernel

CRC_OCTETS = 2
_POLYNOMIAL = 0x1021
_STEP = 16


def _tables() -> np.ndarray:
    """Make the (16, 256) uint16 tables."""
    register = np.arange(256, dtype=np.uint32) << 8
    for _ in range(8):
        register = (register << 1) ^ np.where(register & 0x8000, _POLYNOMIAL, 0).astype(np.uint32)
        register &= 0xFFFF
    first = register.astype(np.uint16)
    tables = [first]
    for _ in range(_STEP - 1):
        tables.append((tables[-1] << 8) ^ first[tables[-1] >> 8])
    return np.stack(tables)


_TABLES = _tables()


@kernel
def crc_of(data: np.ndarray, start: int, stop: int) -> int:
    """Compute the CRC of the octets [start, stop) of `data`, (n,) uint8."""
    t = _TABLES
    crc = np.uint32(0xFFFF)
    i = start
    while stop - i >= 16:
        high, low = data[i] ^ (crc >> np.uint32(8)), data[i + 1] ^ (crc & np.uint32(0xFF))
        one = (t[15, high] ^ t[14, low]) ^ (t[13, data[i + 2]] ^ t[12, data[i + 3]])
        two = (t[11, data[i + 4]] ^ t[10, data[i + 5]]) ^ (t[9, data[i + 6]] ^ t[8, data[i + 7]])
        three = (t[7, data[i + 8]] ^ t[6, data[i + 9]]) ^ (t[5, data[i + 10]] ^ t[4, data[i + 11]])
        four = (t[3, data[i + 12]] ^ t[2, data[i + 13]]) ^ (t[1, data[i + 14]] ^ t[0, data[i + 15]])
        crc = np.uint32((one ^ two) ^ (three ^ four))
        i += 16
    while i < stop:
        shifted = (crc << np.uint32(8)) & np.uint32(0xFFFF)
        crc = np.uint32(shifted ^ t[0, data[i] ^ (crc >> np.uint32(8))])
        i += 1
    return int(crc)


def crc(data: bytes | bytearray | memoryview) -> int:
    """Compute the CRC of `data`; it is 0 for data that end in their own.

    Examples
    --------
    >>> hex(crc(b"123456789"))
    '0x29b1'
    """
    return crc_of(np.frombuffer(data, np.uint8), 0, len(data))

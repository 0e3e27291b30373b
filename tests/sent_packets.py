"""What single packets of telemetry say, and how they are made to say something else."""

import numpy as np

from tessella.telemetry.packets import HEADER, HOUSEKEEPING, IDLE, packet, unpack_primary


def apid(sent: bytes) -> int:
    """Return the identifier of a packet."""
    return unpack_primary(sent).apid


def head(sent: bytes) -> np.void:
    """Return the fields before the payload of a packet that is not idle."""
    return np.frombuffer(sent, HEADER, 1)[0]


def payload_of(sent: bytes) -> bytes:
    """Return what stands between the header and the checksum."""
    return sent[HEADER.itemsize : -2]


def changed(sent: bytes, payload: bytes | None = None, **fields) -> bytes:
    """Return a sound packet with other fields or another payload."""
    header = np.frombuffer(sent, HEADER, 1).copy()
    for name, value in fields.items():
        header[name] = value
    return packet(header, payload_of(sent) if payload is None else payload)


def is_record_of(sent: bytes, sca: int) -> bool:
    """Tell whether a packet is housekeeping of a detector; of the exposure where `sca` is 0."""
    return apid(sent) == HOUSEKEEPING and int(head(sent)["sca"]) == sca


def is_idle(sent: bytes) -> bool:
    """Tell whether a packet is idle: it has no fields of ours then."""
    return apid(sent) == IDLE

"""What a transmission does to packets: loss, repetition, bit errors."""

from collections.abc import Sequence

import numpy as np

from tessella.telemetry.packets import N_DETECTORS, SCIENCE, unpack_primary


def damage(
    packets: Sequence[bytes],
    rng: np.random.Generator,
    drop: int = 0,
    duplicate: int = 0,
    corrupt: int = 0,
) -> list[bytes]:
    """Drop, repeat and corrupt science packets, each at most one of these.

    A repeated packet comes a second time anywhere after the first, as a retransmission does.
    In a corrupt packet one bit is flipped.

    Parameters
    ----------
    packets : sequence of bytes
    rng : numpy.random.Generator
    drop, duplicate, corrupt : int
        Numbers of packets.

    Raises
    ------
    ValueError
        If there are fewer science packets than are to be damaged.

    Examples
    --------
    >>> damage([b"no science"], np.random.default_rng(1))
    [b'no science']
    """
    science = [
        i
        for i, packet in enumerate(packets)
        if SCIENCE < unpack_primary(packet).apid <= SCIENCE + N_DETECTORS
    ]
    wanted = drop + duplicate + corrupt
    if min(drop, duplicate, corrupt) < 0 or wanted > len(science):
        raise ValueError(
            f"drop {drop} + duplicate {duplicate} + corrupt {corrupt} packets: "
            f"there are {len(science)} science packets"
        )
    victims = rng.choice(science, wanted, replace=False).tolist() if wanted else []
    dropped, corrupted = set(victims[:drop]), set(victims[drop : drop + corrupt])
    # Places in the stream as sort keys: a repetition stands at a random place after its packet.
    sent = [
        (float(i), _flip_bit(packet, rng) if i in corrupted else packet)
        for i, packet in enumerate(packets)
        if i not in dropped
    ]
    sent += [(rng.uniform(i, len(packets)), packets[i]) for i in victims[drop + corrupt :]]
    return [packet for _, packet in sorted(sent, key=lambda item: item[0])]


def _flip_bit(packet: bytes, rng: np.random.Generator) -> bytes:
    octets = bytearray(packet)
    octets[rng.integers(len(octets))] ^= 1 << int(rng.integers(8))
    return bytes(octets)

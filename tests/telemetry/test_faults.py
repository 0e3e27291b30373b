from collections import Counter

import numpy as np
import pytest

from tessella.randomness import generator
from tessella.telemetry.checksum import crc
from tessella.telemetry.encode import packetize
from tessella.telemetry.faults import damage
from tessella.telemetry.packets import unpack_primary


@pytest.fixture(scope="module")
def packets(header, readouts):
    return packetize(header, readouts)


def test_numbers_are_exact_and_only_science_packets_suffer(packets):
    damaged = damage(packets, np.random.default_rng(3), drop=5, duplicate=4, corrupt=3)
    assert len(damaged) == len(packets) - 5 + 4
    assert sum(crc(packet) != 0 for packet in damaged) == 3
    counts = Counter(packet for packet in damaged if crc(packet) == 0)
    assert sum(n == 2 for n in counts.values()) == 4
    missing = set(packets) - set(counts)
    assert len(missing) == 5 + 3
    assert {unpack_primary(packet).apid for packet in missing} <= {0x101, 0x112}


def test_same_seed_does_the_same_damage(packets):
    once, again = (
        damage(packets, generator("telemetry faults", 1), drop=5, duplicate=4, corrupt=3)
        for _ in range(2)
    )
    assert once == again


def test_nothing_asked_for_changes_nothing(packets):
    assert damage(packets, np.random.default_rng(3)) == packets


def test_more_damage_than_packets_is_refused(packets):
    with pytest.raises(ValueError, match="science packets"):
        damage(packets, np.random.default_rng(3), drop=10**6)

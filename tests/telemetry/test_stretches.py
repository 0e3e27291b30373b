"""Parts of a stream that are read for one exposure, beside a reading of all of it."""

from dataclasses import replace

import numpy as np
import pytest

from tessella.telemetry import stretches as module
from tessella.telemetry.decode import receive
from tessella.telemetry.encode import packetize
from tessella.telemetry.fates import Fate
from tessella.telemetry.inventory import take_stock
from tessella.telemetry.stretches import n_octets_of


@pytest.fixture(scope="module")
def sent(header, readouts):
    """Packets of three exposures."""
    headers = [replace(header, key=replace(header.key, exposure=n)) for n in (1, 2, 3)]
    return {one.key: packetize(one, readouts, codec="none") for one in headers}


@pytest.fixture
def stream(sent):
    """Exposures one after the other, the ends of two mixed, the first once more, and garbage."""
    rng = np.random.default_rng(2)
    one, two, three = sent.values()
    mixed = [p for pair in zip(one[-50:], two[:50], strict=True) for p in pair]
    parts = [*one[:-50], *mixed, *two[50:], *three, *one[100:120]]
    for i in rng.integers(len(parts), size=40).tolist():
        octets = bytearray(parts[i])
        octets[rng.integers(len(octets))] ^= 1
        parts[i] = bytes(octets)
    # Damage where one exposure ends and another begins.
    at = len(one) + len(two)
    parts[at - 1], parts[at] = parts[at - 1][:-9], parts[at][7:]
    return b"noise" + b"".join(parts) + b"noise"


@pytest.mark.parametrize("gap", [0, 3000, 1 << 20])
def test_stretches_hold_all_of_an_exposure_and_every_octet_is_in_one(
    sent, stream, gap, monkeypatch
):
    monkeypatch.setattr(module, "_GAP", gap)
    (found,) = take_stock([stream]).stretches
    covered = np.zeros(len(stream), bool)
    for key, own in found.items():
        for start, stop in own:
            covered[start:stop] = True
        whole, part = receive([stream], key), receive([stream], key, parts=[own])
        for reception in (whole, part):
            for _ in reception.exposures[key].detectors():
                pass
            reception.ledger().check()
        assert whole.ledger().rows == part.ledger().rows
        used = [
            [row for row in one.ledger().ranges.tolist() if row[5] in (Fate.USED, Fate.DUPLICATE)]
            for one in (whole, part)
        ]
        assert used[0] == used[1]
        inside = whole.ledger().ranges
        inside = inside[[any(a <= row["start"] < b for a, b in own) for row in inside]]
        assert set(part.ledger().ranges.tolist()) >= {
            row for row in inside.tolist() if row[5] >= Fate.FRAGMENT
        }
    assert covered.all()
    if gap < 1 << 20:
        assert all(n_octets_of(own) < 0.6 * len(stream) for own in found.values())


def test_what_lies_between_two_exposures_is_in_the_ledgers_of_both(sent):
    one, two, three = (b"".join(packets) for packets in sent.values())
    (found,) = take_stock([one + b"lost" + two + three]).stretches
    first, second, third = found.values()
    assert first == ((0, len(one) + 4),)
    assert second == ((len(one), len(one) + 4 + len(two)),)
    assert third == ((second[0][1], second[0][1] + len(three)),)

"""How complete an exposure is, before and after it is decoded: the same number."""

import numpy as np
import pytest
from sent_packets import apid, changed, head

from tessella.models import Window
from tessella.telemetry.decode import receive
from tessella.telemetry.encode import packetize
from tessella.telemetry.inventory import survey, together
from tessella.telemetry.packets import (
    ATTITUDE,
    HOUSEKEEPING,
    IDLE,
)

from .conftest import make_readout

#: Planes of rows of the whole width, and of the reference output.
N_PIXELS = 3 * 128 * (4096 + 128)


@pytest.fixture(scope="module")
def wide():
    return make_readout("WFI01", Window(0, 1024, 4096, 128))


@pytest.fixture(scope="module")
def packets(header, wide):
    return packetize(header, [wide], codec="none")


def is_pixels(sent):
    return apid(sent) not in (HOUSEKEEPING, ATTITUDE, IDLE)


def both(header, *streams, windows=None):
    """Completeness by the inventory, of the streams together and one by one, and by the decoder."""
    assembly = receive(streams, header.key, windows).exposures[header.key]
    for _ in assembly.detectors():
        pass
    parts = together(survey([stream])[header.key] for stream in streams)
    found = survey(streams)[header.key]
    said = [one.completeness_of(windows) for one in (found, parts)]
    assert said == 2 * [assembly.completeness]
    return assembly.completeness


def test_whole_rows_and_their_parts_count_once(header, wide, packets):
    whole_rows = packetize(header, [wide], codec="rice")
    assert any(head(p)["columns"] == 4096 for p in whole_rows if is_pixels(p))
    assert both(header, b"".join([*packets, *whole_rows, *packets])) == 1
    rng = np.random.default_rng(9)
    some = [
        b"".join(p for p in one if not is_pixels(p) or rng.random() < 0.5)
        for one in (packets, whole_rows)
    ]
    assert 0.6 < both(header, *some) < 0.9


def test_lost_packet_counts_by_its_pixels(header, packets):
    for identifier in (0x101, 0x121):
        lost = next(i for i, p in enumerate(packets) if apid(p) == identifier)
        rest = b"".join(packets[:lost] + packets[lost + 1 :])
        assert both(header, rest) == 1 - 1024 / N_PIXELS


def test_packets_that_contradict_the_housekeeping_do_not_count(header, packets):
    i = next(i for i, p in enumerate(packets) if apid(p) == 0x101)
    wrong = (
        {"encoding_offset": 1},
        {"first_row": 5},
        {"first_column": 100},
        {"resultant": 2},
        {"uncompressed_octets": 7},
        {"columns": 512},
    )
    for fields in wrong:
        stream = [*packets[:i], changed(packets[i], **fields), *packets[i + 1 :]]
        assert both(header, b"".join(stream)) == 1 - 1024 / N_PIXELS


def test_detectors_that_are_not_asked_for_do_not_count_and_lost_ones_do(header, readouts, packets):
    narrow = packetize(header, readouts[1:], codec="none")
    stream = b"".join([*packets, *(p for p in narrow if apid(p) != 0x132)])
    windows = {"WFI01": Window(0, 1024, 4096, 128)}
    assert both(header, stream, windows=windows) == 1
    assert both(header, stream, windows={"WFI18": Window(3968, 0, 128, 128)}) == 0.5
    # As many resultants as the others have: 2 of the 5 of the MA table, and the reference read.
    windows["WFI02"] = Window(0, 1024, 4096, 128)
    assert both(header, stream, windows=windows) == 0.5
    # As many as the MA table has, where no detector tells.
    kept = b"".join(p for p in packets if apid(p) != HOUSEKEEPING or head(p)["sca"] == 0)
    assert both(header, kept, windows=windows) == 0
    lost = survey([kept])[header.key].announced.lost(windows)
    assert {setup.n_resultants for setup in lost.values()} == {5}

from dataclasses import replace

import pytest

from tessella.errors import DataError
from tessella.telemetry.ledger import Counts, total

BALANCED = Counts(
    received=15,
    used=5,
    duplicate=4,
    rejected={"wrong checksum": 2, "truncated": 1},
    idle=2,
    unknown=1,
    expected_rows=9,
    filled_rows=7,
    missing_rows=2,
    apids={0x101: 12},
)


def test_balanced_ledger_passes():
    assert BALANCED.balances()
    BALANCED.check()


@pytest.mark.parametrize(
    "name",
    [
        *("received", "used", "duplicate", "idle", "unknown"),
        *("expected_rows", "filled_rows", "missing_rows"),
    ],
)
def test_one_packet_or_row_too_many_is_noticed_and_the_numbers_named(name):
    wrong = replace(BALANCED, **{name: getattr(BALANCED, name) + 1})
    assert not wrong.balances()
    with pytest.raises(DataError, match=str(getattr(wrong, name))):
        wrong.check()


def test_total_adds_every_count_and_balances():
    both = total([BALANCED, BALANCED])
    assert both.balances()
    assert both.rejected == {"wrong checksum": 4, "truncated": 2}
    assert both.apids == {0x101: 24}
    assert total([]) == Counts()

"""The packet ledger: what became of every packet and every row."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import Any

from tessella.errors import DataError


@dataclass(frozen=True)
class Ledger:
    """Counts of packets, and of rows.

    A *row* is the part of a detector's row, in one resultant or reference read, that one
    packet can carry: all of it up to 1,024 pixels. Rows of the reference output count too.
    """

    #: Packets and fragments found in the streams.
    received: int = 0
    #: Packets whose content was taken.
    used: int = 0
    #: Packets whose content another packet, received later, held too.
    duplicate: int = 0
    #: Packets and fragments that could not be used, by reason.
    rejected: dict[str, int] = field(default_factory=dict)
    #: Packets without content.
    idle: int = 0
    #: Packets of kinds that are not ours.
    unknown: int = 0
    #: Duplicates, among those counted above, whose content differed.
    conflicting: int = 0
    expected_rows: int = 0
    filled_rows: int = 0
    missing_rows: int = 0
    #: Sound packets by their application identifiers.
    apids: dict[int, int] = field(default_factory=dict)

    @property
    def n_rejected(self) -> int:
        """Number of rejected packets and fragments, for whatever reason."""
        return sum(self.rejected.values())

    @property
    def accounted(self) -> int:
        """Number of packets and fragments of which it is known what became of them."""
        return self.used + self.duplicate + self.n_rejected + self.idle + self.unknown

    def balances(self) -> bool:
        """Tell whether everything received, and every row expected, is accounted for.

        Examples
        --------
        >>> Ledger(received=3, used=2, idle=1).balances()
        True
        """
        rows = self.filled_rows + self.missing_rows
        return self.received == self.accounted and self.expected_rows == rows

    def check(self) -> None:
        """Raise an error that names the numbers where the ledger does not balance.

        Raises
        ------
        DataError
            If received is not used + duplicate + rejected + idle + unknown, or expected rows
            are not filled + missing rows.
        """
        if self.balances():
            return
        raise DataError(
            f"the packet ledger does not balance: received {self.received}, but used {self.used} "
            f"+ duplicate {self.duplicate} + rejected {self.n_rejected} + idle {self.idle} "
            f"+ unknown {self.unknown} = {self.accounted}; expected rows {self.expected_rows}, "
            f"but filled {self.filled_rows} + missing {self.missing_rows} "
            f"= {self.filled_rows + self.missing_rows}; packets contradict the housekeeping, "
            "or the decoder has a fault: please report it with the Level 0 files"
        )


def total(ledgers: Iterable[Ledger]) -> Ledger:
    """Add up ledgers of different exposures.

    Examples
    --------
    >>> total([Ledger(received=1, idle=1), Ledger(received=2, idle=2)]).idle
    3
    """
    ledgers = list(ledgers)
    sums: dict[str, Any] = {}
    for name in (entry.name for entry in fields(Ledger)):
        values = [getattr(ledger, name) for ledger in ledgers]
        if name in ("rejected", "apids"):
            sums[name] = dict(sum(map(Counter, values), Counter()))
        else:
            sums[name] = sum(values)
    return Ledger(**sums)

"""The packet ledger: what became of every packet and every row, and where the packets are."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from tessella.errors import DataError
from tessella.models import ExposureKey
from tessella.telemetry.fates import NAMES, NONE, REASONS, Fate


@dataclass(frozen=True)
class Counts:
    """Numbers of packets, and of rows.

    A *row* is the part of a detector's row, in one resultant or reference read, that one
    cell holds: all of it up to 1,024 pixels. Rows of the reference output count too.
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
    #: Packets, among those counted above, of which a later one held other content.
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
        >>> Counts(received=3, used=2, idle=1).balances()
        True
        """
        rows = self.filled_rows + self.missing_rows
        return self.received == self.accounted and self.expected_rows == rows

    def check(self, name: str = "the streams") -> None:
        """Raise an error that names the numbers where they do not balance.

        Raises
        ------
        DataError
            If received is not used + duplicate + rejected + idle + unknown, or expected rows
            are not filled + missing rows.
        """
        if self.balances():
            return
        raise DataError(
            f"{name}: the packet ledger does not balance: received {self.received}, but used "
            f"{self.used} + duplicate {self.duplicate} + rejected {self.n_rejected} + idle "
            f"{self.idle} + unknown {self.unknown} = {self.accounted}; expected rows "
            f"{self.expected_rows}, but filled {self.filled_rows} + missing {self.missing_rows} "
            f"= {self.filled_rows + self.missing_rows}; "
            "the decoder has a fault: please report it with the Level 0 files"
        )


class Rows(NamedTuple):
    """What became of the rows of one plane."""

    key: ExposureKey
    apid: int
    resultant: int
    expected: int
    filled: int
    missing: int


class File(NamedTuple):
    """One stream, counted when it was read."""

    name: str
    octets: int
    #: Packets and fragments, but for those of exposures that were left out.
    received: int
    #: Octets of packets of exposures that were left out, and of all between these.
    left_out_octets: int


@dataclass(frozen=True)
class Ledger:
    """What became of the packets of some files and of the rows of the exposures they hold."""

    #: (n,) of `fates.RANGE`; ``stream`` counts the files.
    ranges: np.ndarray
    rows: tuple[Rows, ...]
    files: tuple[File, ...]
    #: Number of packets of which a later one held other content.
    conflicting: int = 0
    #: By the names of exposures: what tells the packets that each was made of.
    versions: dict[str, str] = field(default_factory=dict)

    @cached_property
    def counts(self) -> Counts:
        """Of all files together."""
        return self._counts(np.ones(len(self.ranges), bool), self.files, self.rows)

    def of_file(self, number: int) -> Counts:
        """Return the numbers of one file; rows are of exposures, not of files."""
        return self._counts(self.ranges["stream"] == number, [self.files[number]], ())

    def check(self) -> None:
        """Raise an error where packets, octets or rows do not balance, in all or in one file.

        Raises
        ------
        DataError
            With the numbers, as `Counts.check` does.
        """
        self.counts.check()
        for number, file in enumerate(self.files):
            self.of_file(number).check(file.name)
            found = int(self.ranges["octets"][self.ranges["stream"] == number].sum())
            if found + file.left_out_octets != file.octets:
                raise DataError(
                    f"{file.name}: the packet ledger does not balance: the file has {file.octets} "
                    f"octets, its packets {found} and those of other exposures "
                    f"{file.left_out_octets}; please report it with the file"
                )

    def _counts(self, chosen: np.ndarray, files: Sequence[File], rows: Sequence[Rows]) -> Counts:
        ranges = self.ranges[chosen]
        by_fate = {
            fate: int(ranges["packets"][ranges["fate"] == fate].sum()) for fate in sorted(NAMES)
        }
        sound = ranges[ranges["apid"] != NONE]
        apids = {
            apid: int(sound["packets"][sound["apid"] == apid].sum())
            for apid in np.unique(sound["apid"]).tolist()
        }
        return Counts(
            received=sum(file.received for file in files),
            used=by_fate[Fate.USED],
            duplicate=by_fate[Fate.DUPLICATE],
            rejected={reason: by_fate[code] for code, reason in REASONS.items() if by_fate[code]},
            idle=by_fate[Fate.IDLE],
            unknown=by_fate[Fate.UNKNOWN],
            conflicting=self.conflicting,
            expected_rows=sum(row.expected for row in rows),
            filled_rows=sum(row.filled for row in rows),
            missing_rows=sum(row.missing for row in rows),
            apids=apids,
        )


def total(counts: Iterable[Counts]) -> Counts:
    """Add up the numbers of different exposures.

    Examples
    --------
    >>> total([Counts(received=1, idle=1), Counts(received=2, idle=2)]).idle
    3
    """
    counts = list(counts)
    sums: dict[str, Any] = {}
    for name in (entry.name for entry in fields(Counts)):
        values = [getattr(one, name) for one in counts]
        if name in ("rejected", "apids"):
            sums[name] = dict(sum(map(Counter, values), Counter()))
        else:
            sums[name] = sum(values)
    return Counts(**sums)

"""The packet ledger of an exposure as tables that can be shown."""

import numpy as np

from tessella.io.ledgers import detector_of
from tessella.run.packet_files import Listing
from tessella.telemetry.fates import NAMES, NONE
from tessella.telemetry.ledger import Counts, Ledger
from tessella.telemetry.packets import REFERENCE_READ


def list_ledger(ledger: Ledger, detector: str | None) -> list[Listing]:
    """List what became of packets and rows, and where the packets of a detector are.

    Parameters
    ----------
    ledger : Ledger
    detector : str, optional
        Name of the detector whose ranges of packets are listed; absent: none.
    """
    listings = [_files(ledger), _rows(ledger)]
    return listings if detector is None else [*listings, _ranges(ledger, detector)]


def _files(ledger: Ledger) -> Listing:
    columns = ("file", "received", "used", "duplicate", "rejected", "idle", "unknown", "reasons")
    rows = [_counts(file.name, ledger.of_file(number)) for number, file in enumerate(ledger.files)]
    if len(rows) > 1:
        rows.append(_counts("all files", ledger.counts))
    return Listing("Packets", columns, rows)


def _counts(name: str, counts: Counts) -> tuple[str, ...]:
    numbers = (counts.received, counts.used, counts.duplicate, counts.n_rejected)
    reasons = ", ".join(f"{n:,} {reason}" for reason, n in counts.rejected.items())
    shown = (f"{n:,}" for n in (*numbers, counts.idle, counts.unknown))
    return (name, *shown, reasons)


def _rows(ledger: Ledger) -> Listing:
    kinds: dict[tuple[str, str], list[int]] = {}
    for row in ledger.rows:
        numbers = kinds.setdefault((row.key.name, detector_of(row.apid)), [0, 0, 0])
        for i, n in enumerate((row.expected, row.filled, row.missing)):
            numbers[i] += n
    shown = [
        (*names, *(f"{n:,}" for n in numbers), f"{100 * numbers[1] / max(numbers[0], 1):.2f} %")
        for names, numbers in kinds.items()
    ]
    return Listing(
        "Rows", ("exposure", "detector", "expected", "filled", "missing", "complete"), shown
    )


def _ranges(ledger: Ledger, detector: str) -> Listing:
    columns = ("file", "identifier", "resultant", "fate", "first octet", "last octet", "packets")
    rows = [
        (
            ledger.files[row["stream"]].name,
            f"0x{row['apid']:03x}",
            _resultant(int(row["resultant"])),
            NAMES[int(row["fate"])],
            *(f"{int(n):,}" for n in (row["start"], row["stop"] - 1, row["packets"])),
            f"{row['first_count']}-{row['last_count']}",
        )
        for row in np.sort(ledger.ranges, order=["stream", "start"])
        if detector_of(int(row["apid"])) == detector
    ]
    return Listing(f"Packets of {detector}", (*columns, "counts"), rows)


def _resultant(number: int) -> str:
    names = {REFERENCE_READ: "reference", NONE: ""}
    return names.get(number, str(number))

"""Which calibration reference serves which exposure.

The rule is that of the mission's calibration reference system: keys must agree or be ANY,
and of the rows that do, the one with the latest useafter not after the exposure's start counts.
"""

import csv
import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from tessella.errors import DataError
from tessella.models import PlannedExposure

COLUMNS = ("reftype", "detector", "optical_element", "ma_table_number", "useafter", "file")
ANY = "ANY"


@dataclass(frozen=True)
class ReferenceRow:
    """One row of the table of references."""

    reftype: str
    #: RAD names, numbers, or ANY.
    detector: str
    optical_element: str
    ma_table_number: str
    useafter: str
    #: Path; ``{detector}`` and ``{element}`` stand for the exposure's own, in lower case.
    file: str

    def serves(self, detector: str, exposure: PlannedExposure) -> bool:
        """Tell whether the row holds for a detector of an exposure and its time has come."""
        return (
            self.detector in (ANY, detector)
            and self.optical_element in (ANY, exposure.optical_element)
            and self.ma_table_number in (ANY, str(exposure.ma_table_number))
            and datetime.fromisoformat(self.useafter) <= datetime.fromisoformat(exposure.start_time)
        )


def read_reference_table(path: str | Path) -> list[ReferenceRow]:
    """Read the table of references (tab-separated).

    Raises
    ------
    DataError
        Naming file, line and column of the first fault.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(
            f"{path}: no such file; 'references.table' names the table of calibration references"
        )
    rows = []
    with path.open(newline="") as file:
        reader = csv.DictReader((line for line in file if not line.startswith("#")), delimiter="\t")
        if tuple(reader.fieldnames or ()) != COLUMNS:
            raise DataError(f"{path}: columns are {reader.fieldnames}, expected {list(COLUMNS)}")
        for number, cells in enumerate(reader, 1):
            if None in cells or None in cells.values() or not all(cells.values()):
                raise DataError(
                    f"{path}, row {number}: expected {len(COLUMNS)} values; write ANY for any key"
                )
            _check_date(cells["useafter"], f"{path}, row {number}, column useafter")
            _check_file(cells["file"], f"{path}, row {number}, column file")
            rows.append(ReferenceRow(**cells))
    return rows


def _check_date(text: str, where: str) -> None:
    try:
        plain = datetime.fromisoformat(text).tzinfo is None
    except ValueError:
        plain = False
    if not plain:
        raise DataError(f"{where}: {text!r} is not a date in UTC such as 2028-01-01T00:00:00")


def _check_file(text: str, where: str) -> None:
    try:
        path = Path(text.format(detector="wfi01", element="f158"))
    except (KeyError, ValueError, IndexError):
        raise DataError(
            f"{where}: {text!r}: only {{detector}} and {{element}} can be filled in"
        ) from None
    if not path.is_absolute() and len(path.parts) != 2:
        raise DataError(
            f"{where}: {text!r} is neither an absolute path nor <detector state>/<file>"
        )


def select(
    rows: list[ReferenceRow], reftypes: tuple[str, ...], detector: str, exposure: PlannedExposure
) -> dict[str, str]:
    """Return the file of each reference type for one detector of one exposure.

    Raises
    ------
    DataError
        If no row serves; the message names the keys that were looked for.
    """
    files = {}
    for reftype in reftypes:
        serving = [row for row in rows if row.reftype == reftype and row.serves(detector, exposure)]
        if not serving:
            raise DataError(
                f"no {reftype} reference for {detector}, {exposure.optical_element}, "
                f"MultiAccum table {exposure.ma_table_number}, start {exposure.start_time} "
                f"({exposure.name}); add a row to the table of references"
            )
        best = max(serving, key=lambda row: datetime.fromisoformat(row.useafter))
        files[reftype] = best.file.format(detector=detector.lower(), element=exposure.element)
    return files


def selection_id(files: dict[str, str], detector: str, element: str) -> str:
    """Return a short name of a selection that changes with any of its files.

    Examples
    --------
    >>> selection_id({"dark": "a.asdf"}, "WFI01", "f158")
    'wfi01_f158_b96179bc'
    """
    digest = hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()
    return f"{detector.lower()}_{element}_{digest[:8]}"

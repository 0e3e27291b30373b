"""The exposure table, in the columns of an export of the Astronomer's Proposal Tool."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from tessella.errors import DataError
from tessella.instrument.optical_elements import (
    DARK_ELEMENT,
    DISPERSERS,
    filters,
    optical_elements,
)
from tessella.instrument.read_patterns import read_patterns
from tessella.models import (
    EXPOSURE_TYPES,
    IMAGING,
    ExposureKey,
    PlannedExposure,
)

_NUMBERS = {
    "RA": (0.0, 360.0),
    "DEC": (-90.0, 90.0),
    "PA": (-360.0, 360.0),
    "DURATION": (1.0, 1e6),
}
#: Largest number that the official file names have digits for.
_COUNTS = {
    "MA_TABLE_NUMBER": 9999,
    "PLAN": 99,
    "PASS": 999,
    "SEGMENT": 999,
    "OBSERVATION": 999,
    "VISIT": 999,
    "EXPOSURE": 9999,
}
#: Columns of the numbers of a key.
_KEY_NUMBERS = {
    "program": ("PROGRAM", 99999),
    **{
        name: (column, _COUNTS[column])
        for name, column in (
            ("execution_plan", "PLAN"),
            ("pass_number", "PASS"),
            ("segment", "SEGMENT"),
            ("observation", "OBSERVATION"),
            ("visit", "VISIT"),
            ("exposure", "EXPOSURE"),
        )
    },
}
COLUMNS = (
    "RA",
    "DEC",
    "PA",
    "BANDPASS",
    "MA_TABLE_NUMBER",
    "DURATION",
    "PLAN",
    "PASS",
    "SEGMENT",
    "OBSERVATION",
    "VISIT",
    "EXPOSURE",
)
#: Columns that a table may have: RAD's exposure type, and for flats the light of the lamp on every
#: pixel [electrons / s]; - stands for neither.
OPTIONAL_COLUMNS = ("EXPOSURE_TYPE", "LAMP_RATE")
_NOT_SAID = "-"
#: A lamp that is brighter fills every well before the second read [electrons / s].
_BRIGHTEST_LAMP = 1e5


def elements_of(exposure_type: str) -> tuple[str, ...]:
    """Return the optical elements that exposures of a type can be taken with.

    Darks are taken with any: whether light was kept out is said by their type.

    Examples
    --------
    >>> elements_of("WFI_SPECTRAL"), "F158" in elements_of("WFI_LOLO")
    (('GRISM', 'PRISM'), True)
    """
    if exposure_type in IMAGING:
        return tuple(filters())
    if exposure_type == "WFI_SPECTRAL":
        return tuple(DISPERSERS)
    if exposure_type == "WFI_FLAT":
        return tuple(element for element in optical_elements() if element != DARK_ELEMENT)
    return optical_elements()


def oddity(exposure: PlannedExposure) -> str:
    """Say why an exposure that telemetry announces cannot be processed; empty where it can.

    Examples
    --------
    >>> key = ExposureKey(1, 1, 1, 1, 1, 1, 1)
    >>> odd = PlannedExposure(key, "F158", 99, "2028-07-01T00:00:00", 1.0, 2.0, 3.0)
    >>> oddity(odd)
    'MA table 99 is not known; known are 3 4 5 1034'
    """
    for name, (column, largest) in _KEY_NUMBERS.items():
        number = getattr(exposure.key, name)
        if not 1 <= number <= largest:
            return f"{column.lower()} {number} has no file name: it is 1 to {largest} there"
    for name, column in (("ra", "RA"), ("dec", "DEC"), ("pa", "PA")):
        low, high = _NUMBERS[column]
        if not low <= getattr(exposure, name) <= high:
            found = getattr(exposure, name)
            return f"its {name} is {found:g}, which is not between {low:g} and {high:g} degrees"
    kind, element = exposure.exposure_type, exposure.optical_element
    if kind not in EXPOSURE_TYPES:
        return f"exposure type {kind!r} is not known; known are {' '.join(EXPOSURE_TYPES)}"
    if element not in elements_of(kind):
        return f"optical element {element!r} is not for {kind}, but {' '.join(elements_of(kind))}"
    if exposure.ma_table_number not in read_patterns():
        known = " ".join(map(str, read_patterns()))
        return f"MA table {exposure.ma_table_number} is not known; known are {known}"
    if datetime.fromisoformat(exposure.start_time).tzinfo is not None:
        return f"its start, {exposure.start_time}, has a time zone; it is UTC without one"
    return ""


def _usual_type(optical_element: str) -> str:
    """Return the type of an exposure of which only the optical element is said."""
    if optical_element == DARK_ELEMENT:
        return "WFI_IM_DARK"
    return "WFI_SPECTRAL" if optical_element in DISPERSERS else "WFI_IMAGE"


def read_exposures(path: str | Path, program: int, first_start: str) -> list[PlannedExposure]:
    """Read an exposure table.

    Parameters
    ----------
    path : path
        ECSV file with the columns of `COLUMNS` and any of `OPTIONAL_COLUMNS`; exposures follow
        one another, each lasting its DURATION [s]. Without a type, exposures through a disperser
        are spectral, those with the dark element are darks and all others images.
    program : int
        Program number of all of them.
    first_start : str
        Start of the first, UTC, ISO 8601.

    Raises
    ------
    DataError
        Naming file, line and column of the first fault.
    """
    lines = lines_of(Path(path), "exposures", "table of exposures")
    if not lines:
        raise DataError(f"{path}: no table; expected a line of column names: {' '.join(COLUMNS)}")
    header_line, header = lines[0][0], re.split(r"[,\s]+", lines[0][1].strip())
    missing = [name for name in COLUMNS if name not in header]
    if missing:
        raise DataError(
            f"{path}, line {header_line}: column {missing[0]} is missing; "
            f"needed are {' '.join(COLUMNS)}"
        )
    exposures: list[PlannedExposure] = []
    start = datetime.fromisoformat(first_start)
    for number, text in lines[1:]:
        cells = re.split(r"[,\s]+", text.strip())
        if len(cells) != len(header):
            raise DataError(f"{path}, line {number}: {len(cells)} values for {len(header)} columns")
        row = _check(path, number, dict(zip(header, cells, strict=True)))
        exposure = _planned(row, program, start)
        if exposure.key in {other.key for other in exposures}:
            raise DataError(
                f"{path}, line {number}: exposure {exposure.name} stands in the table twice"
            )
        exposures.append(exposure)
        start += timedelta(seconds=row["DURATION"])
    if not exposures:
        raise DataError(f"{path}: the table has no rows")
    return exposures


def lines_of(path: Path, key: str, what: str) -> list[tuple[int, str]]:
    """Return number and text of the lines of a table that are neither empty nor comments.

    Raises
    ------
    DataError
        If it is no text file; the message tells the key of the configuration and what it names.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file; '{key}' names the {what}")
    try:
        text = path.read_text().splitlines()
    except UnicodeDecodeError:
        raise DataError(f"{path}: not a text file; '{key}' names the {what}") from None
    return [
        (i, line) for i, line in enumerate(text, 1) if line.strip() and not line.startswith("#")
    ]


def _check(path: str | Path, line: int, cells: dict[str, str]) -> dict[str, Any]:
    def fault(name: str, complaint: str) -> DataError:
        return DataError(f"{path}, line {line}, column {name}: {cells[name]!r} {complaint}")

    row: dict[str, Any] = {"BANDPASS": cells["BANDPASS"].upper()}
    if row["BANDPASS"] not in optical_elements():
        raise fault("BANDPASS", f"is no optical element; known are {' '.join(optical_elements())}")
    for name, (low, high) in _NUMBERS.items():
        try:
            row[name] = float(cells[name])
        except ValueError:
            raise fault(name, "is not a number") from None
        if not low <= row[name] <= high:
            raise fault(name, f"is not between {low:g} and {high:g}")
    for name, largest in _COUNTS.items():
        if not cells[name].isdecimal() or not 1 <= int(cells[name]) <= largest:
            raise fault(name, f"is not a whole number from 1 to {largest}")
        row[name] = int(cells[name])
    if row["MA_TABLE_NUMBER"] not in read_patterns():
        numbers = " ".join(str(number) for number in read_patterns())
        raise fault("MA_TABLE_NUMBER", f"is not known; known are {numbers}")
    return row | _check_type(row["BANDPASS"], cells, fault)


def _check_type(
    element: str, cells: dict[str, str], fault: Callable[[str, str], DataError]
) -> dict[str, Any]:
    kind = cells.get("EXPOSURE_TYPE", _NOT_SAID)
    kind = _usual_type(element) if kind == _NOT_SAID else kind.upper()
    if kind not in EXPOSURE_TYPES:
        raise fault("EXPOSURE_TYPE", f"is not known; known are {' '.join(EXPOSURE_TYPES)}")
    if element not in elements_of(kind):
        raise fault("BANDPASS", f"is not for {kind}, but {' '.join(elements_of(kind))}")
    lamp = cells.get("LAMP_RATE", _NOT_SAID)
    if (kind == "WFI_FLAT") == (lamp == _NOT_SAID):
        if kind == "WFI_FLAT" and "LAMP_RATE" not in cells:
            raise fault("EXPOSURE_TYPE", "needs a column LAMP_RATE [electrons / s]")
        raise fault(
            "LAMP_RATE", f"is the light of a lamp: numbers for flats, {_NOT_SAID} elsewhere"
        )
    if lamp == _NOT_SAID:
        return {"EXPOSURE_TYPE": kind, "LAMP_RATE": 0.0}
    try:
        rate = float(lamp)
    except ValueError:
        raise fault("LAMP_RATE", "is not a number") from None
    if not 0 < rate <= _BRIGHTEST_LAMP:
        raise fault("LAMP_RATE", f"is not above 0 and at most {_BRIGHTEST_LAMP:g}")
    return {"EXPOSURE_TYPE": kind, "LAMP_RATE": rate}


def _planned(row: dict[str, Any], program: int, start: datetime) -> PlannedExposure:
    return PlannedExposure(
        key=ExposureKey(
            program,
            row["PLAN"],
            row["PASS"],
            row["SEGMENT"],
            row["OBSERVATION"],
            row["VISIT"],
            row["EXPOSURE"],
        ),
        optical_element=row["BANDPASS"],
        ma_table_number=row["MA_TABLE_NUMBER"],
        start_time=start.isoformat(timespec="microseconds"),
        ra=row["RA"],
        dec=row["DEC"],
        pa=row["PA"],
        exposure_type=row["EXPOSURE_TYPE"],
        lamp_rate=row["LAMP_RATE"],
    )

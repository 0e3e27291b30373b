"""Which calibration reference serves which exposure.

The rule is that of the mission's calibration reference system: keys must agree or be ANY,
and of the rows that do, the one with the latest useafter not after the exposure's start counts.
"""

import csv
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any

from tessella.errors import DataError
from tessella.io.atomic import replacing
from tessella.models import ALIGNED, IMAGING, PlannedExposure

ANY = "ANY"
#: Stands for what is not said.
NONE = "-"
#: Types of references that the calibration of every exposure needs; what flattens images; what
#: alignment and catalogs need. A test holds them against the recipe, which is too heavy here.
_ALWAYS = (
    "mask",
    "saturation",
    "linearity",
    "gain",
    "readnoise",
    "dark",
    "darkdecaysignal",
    "photom",
)
_OF_IMAGES = ("flat",)
_OF_STARS = ("epsf", "apcorr")
#: Types that some stage uses where the table of references has them.
OPTIONAL_TYPES = ("refpix", "integralnonlinearity", "distortion", "area")
#: Types that exposures are held against where the table has them.
CHECKED_TYPES = ("detectorstatus", "matable")


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
    #: RAD exposure type, or ANY.
    exposure_type: str = ANY
    version: str = NONE
    #: RAD pedigree, such as GROUND or SIMULATION.
    pedigree: str = NONE
    #: Of the file; NONE for files that the run makes itself.
    sha256: str = NONE

    def serves(self, detector: str, exposure: PlannedExposure) -> bool:
        """Tell whether the row holds for a detector of an exposure and its time has come."""
        return (
            self.detector in (ANY, detector)
            and self.optical_element in (ANY, exposure.optical_element)
            and self.ma_table_number in (ANY, str(exposure.ma_table_number))
            and self.exposure_type in (ANY, exposure.exposure_type)
            and datetime.fromisoformat(self.useafter) <= datetime.fromisoformat(exposure.start_time)
        )

    def file_for(self, detector: str, exposure: PlannedExposure) -> str:
        """Return the file that serves a detector of an exposure."""
        return self.file.format(detector=detector.lower(), element=exposure.element)


#: Those that a table must have, and those that it may have.
COLUMNS = tuple(field.name for field in fields(ReferenceRow) if field.default is MISSING)
OPTIONAL_COLUMNS = tuple(
    field.name for field in fields(ReferenceRow) if field.default is not MISSING
)


def reference_types(exposure_type: str, is_calibrated: bool = False) -> tuple[str, ...]:
    """List the types of references that the stages of an exposure need.

    Parameters
    ----------
    exposure_type : str
        RAD exposure type.
    is_calibrated : bool
        Whether it starts at Level 2.

    Examples
    --------
    >>> set(reference_types("WFI_IMAGE")) - set(reference_types("WFI_FLAT")) == {
    ...     "flat", "epsf", "apcorr"}
    True
    >>> reference_types("WFI_IMAGE", is_calibrated=True)
    ('epsf', 'apcorr')
    """
    of_stars = _OF_STARS if exposure_type in ALIGNED else ()
    if is_calibrated:
        return of_stars
    of_images = _OF_IMAGES if exposure_type in IMAGING else ()
    return (*_ALWAYS, *of_images, *of_stars)


def read_reference_table(path: str | Path) -> list[ReferenceRow]:
    """Read the table of references (tab-separated); columns may stand in any order.

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
        names = list(reader.fieldnames or ())
        allowed = {*COLUMNS, *OPTIONAL_COLUMNS}
        if not set(COLUMNS) <= set(names) <= allowed or len(set(names)) < len(names):
            raise DataError(
                f"{path}: columns are {names}, expected {list(COLUMNS)} and, if wanted, "
                f"{list(OPTIONAL_COLUMNS)}"
            )
        for number, cells in enumerate(reader, 1):
            if None in cells or None in cells.values() or not all(cells.values()):
                raise DataError(
                    f"{path}, row {number}: expected {len(names)} values; write ANY for any key, "
                    f"{NONE} for what is not known"
                )
            _check_date(cells["useafter"], f"{path}, row {number}, column useafter")
            _check_file(cells["file"], f"{path}, row {number}, column file")
            _check_sha256(cells.get("sha256", NONE), f"{path}, row {number}, column sha256")
            rows.append(ReferenceRow(**cells))
    return rows


def write_reference_table(
    path: str | Path, rows: Iterable[ReferenceRow], provenance: Mapping[str, Any]
) -> None:
    """Write a table of references that `read_reference_table` reads, with all columns."""
    names = [field.name for field in fields(ReferenceRow)]
    lines = ["\t".join(names)]
    lines += ["\t".join(str(getattr(row, name)) for name in names) for row in rows]
    with replacing(path, provenance) as part:
        part.write_text("\n".join(lines) + "\n")


def measured_row(
    path: Path, useafter: str, version: str, pedigree: str, sha256: str
) -> ReferenceRow:
    """Return the row of a reference file named ``<detector>_<type>[_<element>].asdf``.

    It serves exposures of its detector, a flat those of its filter, of all types and reads.

    Examples
    --------
    >>> row = measured_row(Path("/x/wfi01_flat_f158.asdf"), "2028-07-01", "1", "GROUND", "0" * 64)
    >>> row.reftype, row.detector, row.optical_element
    ('flat', 'WFI01', 'F158')
    """
    detector, reftype, *element = path.stem.split("_")
    return ReferenceRow(
        reftype=reftype,
        detector=detector.upper(),
        optical_element=element[0].upper() if element else ANY,
        ma_table_number=ANY,
        useafter=useafter,
        file=str(path),
        version=version,
        pedigree=pedigree,
        sha256=sha256,
    )


def _check_date(text: str, where: str) -> None:
    try:
        plain = datetime.fromisoformat(text).tzinfo is None
    except ValueError:
        plain = False
    if not plain:
        raise DataError(f"{where}: {text!r} is not a date in UTC such as 2028-01-01T00:00:00")


def _check_sha256(text: str, where: str) -> None:
    if text != NONE and re.fullmatch(r"[0-9a-f]{64}", text) is None:
        raise DataError(
            f"{where}: {text!r} is no SHA-256: 64 digits of 0-9a-f, as sha256sum prints them, or "
            f"{NONE} for a file that the run makes"
        )


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
    rows: list[ReferenceRow],
    reftypes: tuple[str, ...],
    detector: str,
    exposure: PlannedExposure,
    optional: tuple[str, ...] = (),
) -> dict[str, ReferenceRow]:
    """Return the row of each reference type that serves one detector of one exposure.

    Of `optional` types only those are there for which some row serves.

    Raises
    ------
    DataError
        If no row serves of another type; the message names the keys that were looked for.
    """
    chosen = {}
    for reftype in (*reftypes, *optional):
        serving = [row for row in rows if row.reftype == reftype and row.serves(detector, exposure)]
        if serving:
            chosen[reftype] = max(serving, key=_rank)
        elif reftype in reftypes:
            raise DataError(
                f"no {reftype} reference for {detector}, {exposure.optical_element}, "
                f"MultiAccum table {exposure.ma_table_number}, {exposure.exposure_type}, "
                f"start {exposure.start_time} ({exposure.name}); add a row to the table of "
                "references"
            )
    return chosen


def _rank(row: ReferenceRow) -> tuple[datetime, int]:
    """Order rows that serve: by useafter, then by how many keys are not ANY."""
    keys = (row.detector, row.optical_element, row.ma_table_number, row.exposure_type)
    return datetime.fromisoformat(row.useafter), sum(key != ANY for key in keys)


def context_of(rows: Iterable[ReferenceRow]) -> str:
    """Return a hash of rows, the same in whatever order they stand and are commented.

    The context of a selection is that of the rows that it uses: a row that is changed changes
    no other context.

    Returns
    -------
    str
        The first 16 hexadecimal digits of a SHA-256.

    Examples
    --------
    >>> rows = [ReferenceRow("dark", ANY, ANY, ANY, "2028-01-01", name) for name in ("a", "b")]
    >>> context_of(rows) == context_of(rows[::-1]) != context_of(rows[:1])
    True
    """
    lines = sorted(json.dumps(vars(row), sort_keys=True) for row in rows)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def selection_id(files: dict[str, str], context: str, detector: str, element: str) -> str:
    """Return a short name of a selection that changes with its files and the rows that name them.

    Examples
    --------
    >>> selection_id({"dark": "a.asdf"}, "0" * 16, "WFI01", "f158")
    'wfi01_f158_1f0d9cdf'
    """
    digest = hashlib.sha256(json.dumps([files, context], sort_keys=True).encode()).hexdigest()
    return f"{detector.lower()}_{element}_{digest[:8]}"

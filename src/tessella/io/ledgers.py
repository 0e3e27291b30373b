"""The packet ledger as a Parquet table, and its way back from a Level 1 file.

The table has two kinds of rows. Those with a file are ranges of packets (or fragments) that share
exposure, identifier, resultant and fate: all such packets between two octets of the file. Those
without one tell what became of the rows of a plane. What was counted while the files were read
stands apart, in the metadata, so that the two can be held against each other.
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tessella.errors import DataError
from tessella.io.atomic import replacing
from tessella.io.seals import sha256
from tessella.models import ExposureKey
from tessella.telemetry.fates import NAMES, NONE, RANGE
from tessella.telemetry.ledger import File, Ledger, Rows
from tessella.telemetry.packets import AMP33, ATTITUDE, SCIENCE, pack_visit, unpack_visit

_CODES = {name: code for code, name in NAMES.items()}
_TEXT = ("file", "exposure", "detector", "fate")
_NUMBERS = (
    *("apid", "resultant", "first_octet", "stop_octet", "packets", "octets"),
    *("first_count", "last_count", "expected_rows", "filled_rows", "missing_rows"),
)
_SCHEMA = pa.schema(
    [(name, pa.string()) for name in _TEXT] + [(name, pa.int64()) for name in _NUMBERS]
)
_ROWS = "rows"
_EXPOSURE = re.compile(r"r\d{19}_\d{4}")


def write_ledger(
    path: str | Path, ledger: Ledger, files: Sequence[str | Path], provenance: Mapping[str, Any]
) -> None:
    """Write a packet ledger.

    Parameters
    ----------
    path : path
    ledger : Ledger
    files : sequence of path
        The streams, in their order; they are called by their plain names.
    provenance : mapping
        How the file is made.
    """
    names = [Path(file).name for file in files]
    named = [file._replace(name=name) for file, name in zip(ledger.files, names, strict=True)]
    planes = pa.Table.from_pylist([_plane_row(row) for row in ledger.rows], _SCHEMA)
    whole = pa.concat_tables([_range_table(ledger.ranges, names), planes]).combine_chunks()
    about = {"files": json.dumps(named), "conflicting": str(ledger.conflicting)}
    table = whole.replace_schema_metadata(about)
    with replacing(path, provenance) as part:
        pq.write_table(table, part, compression="zstd")


def read_ledger(path: str | Path) -> Ledger:
    """Read what `write_ledger` wrote.

    Raises
    ------
    DataError
        If there is no such file or it is no ledger.
    """
    sha256(path)
    try:
        table = pq.read_table(path)
        about = table.schema.metadata
        files = tuple(File(*entry) for entry in json.loads(about[b"files"]))
        rows = table.to_pylist()
        return Ledger(
            _ranges([row for row in rows if row["fate"] != _ROWS], [file.name for file in files]),
            tuple(_rows(row) for row in rows if row["fate"] == _ROWS),
            files,
            int(about[b"conflicting"]),
        )
    except (OSError, KeyError, TypeError, ValueError, pa.ArrowException) as error:
        raise DataError(f"{path}: no readable packet ledger ({error}); decode again") from error


def find_ledger(exposure: str | Path) -> Path:
    """Return the ledger of an exposure: the file itself, or that of a Level 1 or decoded file.

    Raises
    ------
    DataError
        If there is none; what was looked for is named.
    """
    path = Path(exposure)
    if path.name.endswith("_ledger.parquet") and path.is_file():
        return path
    name = _EXPOSURE.match(path.name)
    if name:
        folders = (path.parent, path.parent.parent / "level0", path.parent / "level0")
        for folder in folders:
            found = folder / f"{name.group()}_ledger.parquet"
            if found.is_file():
                return found
    expected = f"{name.group() if name else '<exposure>'}_ledger.parquet"
    raise DataError(
        f"{path}: no {expected} there nor in ../level0; name a ledger, a Level 1 file of a run, "
        "or results/<run>/<exposure>"
    )


def detector_of(apid: int) -> str:
    """Return the detector of an application identifier; empty where it has none.

    Examples
    --------
    >>> detector_of(0x121), detector_of(0x170)
    ('WFI01', '')
    """
    number = apid % (AMP33 - SCIENCE)
    return f"WFI{number:02d}" if SCIENCE < apid < ATTITUDE and number else ""


def _range_table(ranges: np.ndarray, files: Sequence[str]) -> pa.Table:
    """Return ranges of packets as a table, column by column: there may be millions of them."""
    keys, which = np.unique(ranges[["visit_key", "exposure"]], return_inverse=True)
    exposures = [unpack_visit(int(v), int(e)).name if v or e else "" for v, e in keys.tolist()]
    apids, of_apid = np.unique(ranges["apid"], return_inverse=True)
    columns = {
        "file": np.array(files, dtype=object)[ranges["stream"]],
        "exposure": np.array(exposures, dtype=object)[which],
        "detector": np.array([detector_of(int(n)) for n in apids], dtype=object)[of_apid],
        "fate": np.array([NAMES[int(f)] for f in ranges["fate"]], dtype=object),
        **{name: _with_nulls(ranges[name]) for name in ("apid", "resultant")},
        "first_octet": ranges["start"],
        "stop_octet": ranges["stop"],
        **{name: ranges[name] for name in ("packets", "octets", "first_count", "last_count")},
    }
    return pa.table(
        [
            pa.array(columns[field.name], field.type)
            if field.name in columns
            else pa.nulls(len(ranges), field.type)
            for field in _SCHEMA
        ],
        _SCHEMA,
    )


def _with_nulls(numbers: np.ndarray) -> pa.Array:
    return pa.array(numbers.astype(np.int64), mask=numbers == NONE)


def _plane_row(rows: Rows) -> dict[str, Any]:
    return {
        "file": "",
        "exposure": rows.key.name,
        "detector": detector_of(rows.apid),
        "fate": _ROWS,
        "apid": rows.apid,
        "resultant": rows.resultant,
        "expected_rows": rows.expected,
        "filled_rows": rows.filled,
        "missing_rows": rows.missing,
    }


def key_of(name: str) -> ExposureKey:
    """Return the numbers of an exposure's name.

    Examples
    --------
    >>> key_of("r0000101002003004005_0006").visit
    5
    """
    ends = (1, 6, 8, 11, 14, 17, 20)
    parts = [name[a:b] for a, b in zip(ends[:-1], ends[1:], strict=True)]
    return ExposureKey(*map(int, [*parts, name[21:]]))


def _ranges(rows: Sequence[Mapping[str, Any]], files: Sequence[str]) -> np.ndarray:
    ranges = np.zeros(len(rows), RANGE)
    numbers = {name: number for number, name in enumerate(files)}
    for entry, row in zip(ranges, rows, strict=True):
        entry["stream"], entry["fate"] = numbers[row["file"]], _CODES[row["fate"]]
        entry["apid"] = NONE if row["apid"] is None else row["apid"]
        entry["resultant"] = NONE if row["resultant"] is None else row["resultant"]
        entry["start"], entry["stop"] = row["first_octet"], row["stop_octet"]
        for name in ("packets", "octets", "first_count", "last_count"):
            entry[name] = row[name]
        if row["exposure"]:
            key = key_of(row["exposure"])
            entry["visit_key"], entry["exposure"] = pack_visit(key), key.exposure
    return ranges


def _rows(row: Mapping[str, Any]) -> Rows:
    numbers = (row[f"{kind}_rows"] for kind in ("expected", "filled", "missing"))
    return Rows(key_of(row["exposure"]), row["apid"], row["resultant"], *numbers)

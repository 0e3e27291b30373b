"""The packet ledger as a Parquet table, and its way back from a Level 1 file.

The table has two kinds of rows. Those with a file are ranges of packets (or fragments) that share
exposure, identifier, resultant and fate: all such packets between two octets of the file. Those
without one tell what became of the rows of a plane. What was counted while the files were read
stands apart, in the metadata, so that the two can be held against each other.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
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
_SUFFIX = "_ledger.parquet"


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
    about = {
        "files": json.dumps(named),
        "conflicting": str(ledger.conflicting),
        "versions": json.dumps(ledger.versions, sort_keys=True),
    }
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
        is_row = pc.equal(table["fate"], _ROWS)
        return Ledger(
            _ranges(table.filter(pc.invert(is_row)), [file.name for file in files]),
            tuple(map(_rows, table.filter(is_row).to_pylist())),
            files,
            int(about[b"conflicting"]),
            json.loads(about[b"versions"]),
        )
    except (OSError, KeyError, TypeError, ValueError, pa.ArrowException) as error:
        raise DataError(f"{path}: no readable packet ledger ({error}); decode again") from error


@dataclass(frozen=True)
class Origin:
    """The ledger that a file came from, and what of it is its own."""

    ledger: Path
    #: None where the file holds no detector of its own.
    detector: str | None = None
    #: Of the packets that the file was made of; None where it does not say.
    version: str | None = None

    @property
    def exposure(self) -> str:
        """Name of the exposure."""
        return self.ledger.name.removesuffix(_SUFFIX)


def origin_of(exposure: str | Path) -> Origin:
    """Return where an exposure came from: a ledger itself, what a Level 1 file says, or a name.

    Raises
    ------
    DataError
        If there is no such file or ledger, or the file does not say; what was looked for is named.
    """
    path = Path(exposure)
    if path.name.endswith(_SUFFIX) and path.is_file():
        return Origin(path)
    if path.suffix == ".asdf":
        return _origin_of_product(path)
    name = _EXPOSURE.match(path.name)
    if name is None:
        raise DataError(
            f"{path}: no exposure; name a ledger, a Level 1 file of a run, or "
            "results/<run>/<exposure>"
        )
    return Origin(_beside(path, f"{name.group()}{_SUFFIX}"))


def _origin_of_product(path: Path) -> Origin:
    """Read what a Level 1 file says of the packets that it was made of."""
    # asdf takes a second to load.
    from tessella.io.asdf_files import open_roman

    with open_roman(path, with_arrays=False) as roman:
        meta = roman["meta"]
        name = str(meta.get("exposure", {}).get("sdf_log_file"))
        detector = str(meta.get("instrument", {}).get("detector"))
        version = meta.get("tessella", {}).get("telemetry", {}).get("version")
    if not name.endswith(_SUFFIX):
        raise DataError(
            f"{path}: meta.exposure.sdf_log_file is {name}, expected a packet ledger; Level 1 "
            "files that tessella made from telemetry name theirs"
        )
    return Origin(_beside(path, name), detector, version and str(version))


def _beside(path: Path, name: str) -> Path:
    for folder in (path.parent, path.parent.parent / "level0", path.parent / "level0"):
        if (folder / name).is_file():
            return folder / name
    raise DataError(
        f"{path}: no {name} there nor in ../level0; "
        "keep the file in its run, or the ledger beside it"
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


def _ranges(table: pa.Table, files: Sequence[str]) -> np.ndarray:
    """Return the ranges of a table, column by column: there may be millions of them."""
    ranges = np.zeros(len(table), RANGE)
    numbers = {name: number for number, name in enumerate(files)}
    ranges["stream"] = _coded(table["file"], lambda name: numbers[name])
    ranges["fate"] = _coded(table["fate"], lambda name: _CODES[name])
    # Fragments and idle packets are of no exposure.
    names = table["exposure"]
    ranges["visit_key"] = _coded(names, lambda name: pack_visit(key_of(name)) if name else 0)
    ranges["exposure"] = _coded(names, lambda name: key_of(name).exposure if name else 0)
    for name in ("apid", "resultant"):
        ranges[name] = table[name].fill_null(NONE).to_numpy()
    ranges["start"] = table["first_octet"].to_numpy()
    ranges["stop"] = table["stop_octet"].to_numpy()
    for name in ("packets", "octets", "first_count", "last_count"):
        ranges[name] = table[name].to_numpy()
    return ranges


def _coded(column: pa.ChunkedArray, code_of: Callable[[str], int]) -> np.ndarray:
    """Return the number of each text of a column: (n,) uint64."""
    coded = column.combine_chunks().dictionary_encode()
    codes = np.array([code_of(text) for text in coded.dictionary.to_pylist()], np.uint64)
    return codes[coded.indices.to_numpy()]


def _rows(row: Mapping[str, Any]) -> Rows:
    numbers = (row[f"{kind}_rows"] for kind in ("expected", "filled", "missing"))
    return Rows(key_of(row["exposure"]), row["apid"], row["resultant"], *numbers)

"""Tables of Gaia sources as the archive gives them, brought to one form in batches of rows."""

import gzip
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from astropy.io.registry import IORegistryError
from astropy.table import Table

from tessella.astrometry.motion import (
    PARAMETERS,
    StarCatalogue,
    covariance_of,
    gaia_dr2_errors,
)
from tessella.errors import DataError

ERRORS = tuple(f"{name}_error" for name in PARAMETERS)
CORRELATIONS = tuple(
    f"{first}_{second}_corr" for i, first in enumerate(PARAMETERS) for second in PARAMETERS[i + 1 :]
)
MAGNITUDES = ("phot_g_mean_mag", "phot_bp_mean_mag", "phot_rp_mean_mag")
#: What every table must have.
NEEDED = ("ra", "dec", "pmra", "pmdec", "parallax", "parallax_error")
#: Columns of the one form, by type; NaN where a table has no value.
SCHEMA = pa.schema(
    [
        ("source_id", pa.int64()),
        ("ref_epoch", pa.float64()),
        *((name, pa.float64()) for name in PARAMETERS),
        *((name, pa.float32()) for name in (*ERRORS, *CORRELATIONS, "ruwe", *MAGNITUDES)),
    ]
)
#: ``astrometric_params_solved`` of a position without a motion.
_POSITION_ONLY = 3
_BATCH_ROWS = 500_000
_KNOWN = {*SCHEMA.names, "astrometric_params_solved"}


def read_batches(path: str | Path, epoch: float | None) -> Iterator[pa.Table]:
    """Read a table of Gaia sources in batches: CSV (plain or gzip) and Parquet without holding it.

    FITS, ECSV and VOTable are read whole. Names of columns may have letters of either case.

    Parameters
    ----------
    path : path
    epoch : float or None
        Julian year of the positions, for tables without a column ``ref_epoch``.

    Yields
    ------
    pyarrow.Table
        Columns of `SCHEMA`. Errors of positions and motions that a table lacks follow from those
        of parallaxes (`gaia_dr2_errors`); motions of solutions with two parameters, and motions
        whose error is missing where others have one, are NaN.

    Raises
    ------
    DataError
        If it is no table, or a column is missing or there twice; it is named.
    """
    path = Path(path)
    try:
        for columns in _raw_batches(path):
            yield in_one_form(columns, epoch, path)
    except (OSError, ValueError, IORegistryError, pa.ArrowException) as error:
        reason = " ".join(str(error).split())[:200]
        raise DataError(
            f"{path}: not a readable table (FITS, ECSV, VOTable, CSV, Parquet): {reason}"
        ) from error


def _raw_batches(path: Path) -> Iterator[dict[str, np.ndarray]]:
    name = path.name.removesuffix(".gz")
    if name.endswith(".csv"):
        batches: Any = _csv_batches(path)
    elif name.endswith(".parquet"):
        file = pq.ParquetFile(path)
        wanted = list(_known(file.schema_arrow.names, path))
        batches = file.iter_batches(_BATCH_ROWS, columns=wanted)
    else:
        yield _whole(path)
        return
    for batch in batches:
        known = _known(batch.schema.names, path)
        yield {ours: _numbers(batch.column(theirs)) for theirs, ours in known.items()}


def _known(names: Iterable[str], path: Path) -> dict[str, str]:
    """Return the names of a table's columns that are used, and what we call them."""
    known = {name: name.lower() for name in names if name.lower() in _KNOWN}
    for name, ours in known.items():
        if list(known.values()).count(ours) > 1:
            raise DataError(
                f"{path}: two columns are called {name}, but for capitals; leave one out"
            )
    return known


def _csv_batches(path: Path) -> Any:
    # Files of the archive start with a description, every line of which starts with #.
    opened: Any = gzip.open if path.suffix == ".gz" else open
    n_comments, names = 0, ""
    with opened(path, "rt") as lines:
        for names in lines:
            if not names.startswith("#"):
                break
            n_comments += 1
    known = _known([name.strip(' "\n\r') for name in names.split(",")], path)
    return pa.csv.open_csv(
        path,
        pa.csv.ReadOptions(skip_rows=n_comments, block_size=1 << 26),
        convert_options=pa.csv.ConvertOptions(
            include_columns=list(known),
            column_types={
                theirs: pa.int64() if ours == "source_id" else pa.float64()
                for theirs, ours in known.items()
            },
            null_values=["", "null", "NULL", "nan", "NaN"],
        ),
    )


def _numbers(column: pa.Array) -> np.ndarray:
    if pa.types.is_integer(column.type) and not column.null_count:
        return np.asarray(column.to_numpy(zero_copy_only=False))
    return np.asarray(column.cast(pa.float64()).to_numpy(zero_copy_only=False))


def _whole(path: Path) -> dict[str, np.ndarray]:
    # Tables of the archive name units that FITS does not know; they are not looked at.
    how = {"format": "fits", "unit_parse_strict": "silent"} if ".fit" in path.name else {}
    table = Table.read(path, **how)
    return {
        ours: np.asarray(table[theirs])
        if ours == "source_id"
        else np.ma.filled(np.ma.asarray(table[theirs]).astype(float), np.nan)
        for theirs, ours in _known(table.colnames, path).items()
    }


def in_one_form(
    columns: Mapping[str, np.ndarray], epoch: float | None, origin: str | Path
) -> pa.Table:
    """Bring columns of a Gaia table to the form of `SCHEMA`; see `read_batches`."""
    missing = [name for name in NEEDED if name not in columns]
    if missing:
        raise DataError(
            f"{origin}: column {missing[0]} is missing; "
            f"a table of reference stars needs {', '.join(NEEDED)}"
        )
    if "ref_epoch" not in columns and epoch is None:
        raise DataError(
            f"{origin}: column ref_epoch is missing; give the Julian year of the positions "
            "('reference_stars.epoch', or --epoch): 2015.5 for Gaia DR2, 2016.0 for DR3"
        )
    n = len(columns["ra"])
    nothing = np.full(n, np.nan)
    values = {name: np.asarray(columns.get(name, nothing), float) for name in SCHEMA.names}
    values["source_id"] = np.asarray(columns.get("source_id", np.full(n, -1)), np.int64)
    if "ref_epoch" not in columns:
        values["ref_epoch"] = np.full(n, epoch, float)
    position, motion = gaia_dr2_errors(values["parallax_error"])
    for name, error in (
        ("ra_error", position), ("dec_error", position),
        ("pmra_error", motion), ("pmdec_error", motion),
    ):  # fmt: skip
        if name not in columns:
            values[name] = error
    solved = np.asarray(columns.get("astrometric_params_solved", nothing), float)
    unmoved = (solved == _POSITION_ONLY) | ~np.isfinite(values["pmra"] + values["pmdec"])
    # A zero or missing error stands for a motion that was filled in, not for one that is exact.
    unmoved |= ~((values["pmra_error"] > 0) & (values["pmdec_error"] > 0))
    own = [name for name in (*ERRORS, *CORRELATIONS) if name not in ("ra_error", "dec_error")]
    for name in ("pmra", "pmdec", "parallax", *(set(own) - {"ra_dec_corr"})):
        values[name] = np.where(unmoved, np.nan, values[name])
    for name in ("ra_error", "dec_error"):
        values[name] = np.where(values[name] > 0, values[name], np.nan)
    there = np.isfinite(values["ra"]) & np.isfinite(values["dec"])
    return pa.table(
        {each.name: pa.array(values[each.name][there], each.type) for each in SCHEMA}, SCHEMA
    )


def catalogue_of(table: pa.Table) -> StarCatalogue:
    """Return the stars of a table in the form of `SCHEMA`."""

    def column(name: str) -> np.ndarray:
        return np.asarray(table[name].to_numpy(), float)

    return StarCatalogue(
        epoch=column("ref_epoch"),
        ra=column("ra"),
        dec=column("dec"),
        pmra=column("pmra"),
        pmdec=column("pmdec"),
        parallax=column("parallax"),
        covariance=covariance_of(
            np.stack([column(name) for name in ERRORS]),
            np.stack([column(name) for name in CORRELATIONS]),
            column("ruwe"),
        ),
        source_id=np.asarray(table["source_id"].to_numpy()),
    )

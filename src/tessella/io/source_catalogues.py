"""Users' tables of sources for the simulator, in the columns of romanisim's catalogues."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from astropy.table import Table

from tessella.errors import DataError
from tessella.instrument.optical_elements import filters
from tessella.io.seals import sha256
from tessella.simulate import light_curves
from tessella.simulate.scene import SERSIC_RANGE, empty_rows, truth_dtype

_NEEDED = ("ra", "dec", "type", "n", "half_light_radius", "pa", "ba")
#: Given by the simulator.
_NUMBERED = ("id", "host")
#: Words that may stand in columns of text.
_WORDS = {"type": ("PSF", "SER"), "light_curve": (*light_curves.KINDS, "none")}
Rule = tuple[str, np.ndarray, Callable[[np.ndarray], np.ndarray], str]


def read_sources(path: str | Path, elements: Sequence[str], epoch_mjd: float) -> np.ndarray:
    """Read a table of sources as rows of a truth table.

    Columns are those of romanisim's catalogues: ``ra dec`` [deg], ``type`` PSF or SER, ``n
    half_light_radius`` [arcsec] ``pa`` [deg] ``ba`` of Sersic galaxies (not looked at for PSF) and
    a flux a filter [maggies]. All others of `tessella.simulate.scene.truth_dtype`, those of motion
    and light curves among them, may be there; what else there is is passed over.

    Parameters
    ----------
    path : path
        ECSV, or Parquet where the name ends so.
    elements : sequence of str
        Filters that must have a column.
    epoch_mjd : float
        Time at which positions hold (UTC) [MJD], where there is no column ``epoch_mjd``.

    Returns
    -------
    structured ndarray
        NaN as flux in filters that the table does not have.

    Raises
    ------
    DataError
        Naming the file, the column and the row (counted from 1) of the first value that cannot be.
    """
    table = _read(path)
    missing = [name for name in (*_NEEDED, *elements) if name not in table]
    if missing:
        raise DataError(
            f"{path}: column {missing[0]} is missing; sources need "
            f"{', '.join((*_NEEDED, *elements))} (fluxes in maggies)"
        )
    rows = empty_rows(len(table["ra"]), epoch_mjd)
    for name in filters():
        rows[name] = np.nan
    given = [name for name in truth_dtype().names or () if name in table]
    for name in (name for name in given if name not in _NUMBERED):
        rows[name] = _column(path, table[name], name, rows.dtype[name])
    is_star = rows["type"] == "PSF"
    # Tables have any number in what stars have no use for.
    rows["n"][is_star], rows["half_light_radius"][is_star] = -1, 0
    rows["pa"][is_star], rows["ba"][is_star] = 0, 1
    for name, concerned, is_right, expected in _rules(rows, [f for f in filters() if f in table]):
        wrong = np.flatnonzero(concerned & ~is_right(rows[name]))
        if wrong.size:
            raise _wrong(path, wrong[0], name, rows[name][wrong[0]], expected)
    return rows


def _wrong(path: str | Path, row: int, name: str, value: Any, expected: str) -> DataError:
    return DataError(
        f"{path}: row {row + 1}: column {name} is {value}, expected {expected}; "
        "correct it or take the row out"
    )


def _rules(rows: np.ndarray, elements: Sequence[str]) -> list[Rule]:
    """List what must hold of which rows, by column."""
    every = np.ones(len(rows), bool)
    galaxy, lensed = rows["type"] == "SER", rows["light_curve"] == "microlensing"
    variable = np.isin(rows["light_curve"], light_curves.KINDS)
    low, high = SERSIC_RANGE

    def between(least: float, most: float) -> Callable[[np.ndarray], np.ndarray]:
        return lambda values: (values >= least) & (values <= most)

    def positive(values: np.ndarray) -> np.ndarray:
        return (values > 0) & np.isfinite(values)

    largest = np.finfo(float).max
    finite = ("epoch_mjd", "pmra", "pmdec", "parallax", "rate_pa", "t0", "amplitude")
    return [
        ("ra", every, between(-360, 360), "degrees from 0 to 360"),
        ("dec", every, between(-90, 90), "degrees from -90 to 90"),
        ("n", galaxy, between(low, high), f"{low} to {high}"),
        ("half_light_radius", galaxy, positive, "arcsec above 0"),
        ("pa", galaxy, np.isfinite, "degrees"),
        ("ba", galaxy, lambda values: (values > 0) & (values <= 1), "above 0 and at most 1"),
        *((name, every, between(0, largest), "maggies of at least 0") for name in elements),
        ("redshift", every, between(0, 100), "0 or more"),
        *((name, every, np.isfinite, "a number") for name in finite),
        ("rate", every, between(0, largest), "arcsec / h of at least 0"),
        ("timescale", variable, positive, "days above 0"),
        ("u0", lensed, positive, "Einstein radii above 0"),
    ]


def _read(path: str | Path) -> dict[str, np.ndarray]:
    """Read the columns of a table; missing numbers are NaN."""
    if not Path(path).is_file():
        raise DataError(
            f"{path}: no such table of sources; correct its name, in a run's configuration that of "
            "'scene.catalogue'"
        )
    sha256(path)
    try:
        if str(path).endswith(".parquet"):
            table = pq.read_table(path)
            return {name: table[name].to_numpy() for name in table.column_names}
        columns = Table.read(path, format="ascii.ecsv")
    except (ValueError, OSError, pa.ArrowException) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{path}: not a readable ECSV or Parquet table: {reason}") from None
    return {name: _filled(columns[name]) for name in columns.colnames}


def _filled(column: Any) -> np.ndarray:
    values = np.ma.asarray(column)
    if values.dtype.kind == "f":
        return values.filled(np.nan)
    return values.filled("") if values.dtype.kind == "U" else np.asarray(values.data)


def _column(path: str | Path, values: np.ndarray, name: str, kind: np.dtype) -> np.ndarray:
    """Take a column as the kind that a truth table has."""
    if name in _WORDS:
        words = [v.decode() if isinstance(v, bytes) else str(v) for v in values.tolist()]
        for row, word in enumerate(words):
            if word not in _WORDS[name]:
                raise _wrong(path, row, name, repr(word), " or ".join(_WORDS[name]))
        return np.array(words, kind)
    try:
        return np.asarray(values).astype(kind)
    except (TypeError, ValueError):
        raise DataError(f"{path}: column {name} holds {values.dtype}, expected numbers") from None

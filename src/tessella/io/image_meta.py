"""Metadata of the images of a coadd as tables, one row an image: RAD's `individual_image_meta`."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from astropy.table import Table
from astropy.time import Time

from tessella.io.level2_about import Level2About

#: The tables of RAD (individual_image_meta-2.0.0), but for the one of what stands in no section.
SECTIONS = (
    "background",
    "cal_step",
    "coordinates",
    "ephemeris",
    "exposure",
    "guide_star",
    "instrument",
    "observation",
    "photometry",
    "pointing",
    "program",
    "rcs",
    "ref_file",
    "source_catalog",
    "velocity_aberration",
    "visit",
    "wcsinfo",
)
BASIC = "basic"
_BASIC_KEYWORDS = (
    "calibration_software_name",
    "calibration_software_version",
    "product_type",
    "filename",
    "file_date",
    "model_type",
    "origin",
    "prd_version",
    "sdf_software_version",
    "telescope",
)
#: Text where an image has no value; numbers are NaN there.
NONE = "None"


def tables(abouts: Sequence[Level2About]) -> dict[str, Table]:
    """Return the metadata of images as RAD's tables, in the order of the images.

    Parameters
    ----------
    abouts : sequence of Level2About

    Returns
    -------
    dict of str to Table
        By name, those alone that some image has keywords of. A column a keyword: numbers (NaN
        where an image has none), truth values, or text (``None`` where an image has none; times
        in UTC, ISO 8601; lists and nested keywords as JSON).
    """
    rows = {name: [about.meta.get(name) or {} for about in abouts] for name in SECTIONS}
    rows[BASIC] = [
        {name: about.meta[name] for name in _BASIC_KEYWORDS if name in about.meta}
        for about in abouts
    ]
    return {name: _table(found) for name, found in sorted(rows.items()) if any(found)}


def _table(rows: Sequence[Mapping[str, Any]]) -> Table:
    names = dict.fromkeys(name for row in rows for name in row)
    return Table({name: _column([_cell(row.get(name)) for row in rows]) for name in names})


def _cell(value: Any) -> str | float | int | bool | None:
    if isinstance(value, Time):
        return str(Time(value, format="isot", precision=6).isot)
    if isinstance(value, Mapping | list | tuple):
        return json.dumps(value, default=_cell)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return value.item() if isinstance(value, np.generic) else str(value)


def _column(cells: list[Any]) -> np.ndarray:
    """Give cells one type: the simplest that holds all of them."""
    for kind, holds in ((bool, _are(bool)), (int, _are(int)), (float, _are(int, float, None))):
        if holds(cells):
            return np.array([np.nan if cell is None else cell for cell in cells], kind)
    return np.array([cell if isinstance(cell, str) else str(cell) for cell in cells])


def _are(*kinds: Any) -> Any:
    """Return a test whether all cells are of some types, truth values not taken for numbers."""
    types = {type(None) if kind is None else kind for kind in kinds}

    def holds(cells: Iterable[Any]) -> bool:
        found = {type(cell) for cell in cells}
        return found <= types and found != {type(None)}

    return holds

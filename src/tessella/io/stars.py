"""Tables of stars: those that exposures are aligned with, and those measured in them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Table
from astropy.time import Time

from tessella.astrometry.alignment import Alignment
from tessella.astrometry.gwcs_model import to_v2v3
from tessella.astrometry.motion import Positions, StarCatalogue, gaia_dr2_errors, move_to_epoch
from tessella.astrometry.wcs import v2v3_to_sky
from tessella.errors import DataError
from tessella.io.atomic import replacing
from tessella.io.seals import sha256
from tessella.models import Image
from tessella.psf.fit import Stars

#: Typical motion of a field star whose own was not measured [mas / year].
# ASSUME: 10 mas a year, the width of the motions of faint stars towards NGC 188.
_UNMEASURED_MOTION = 10.0
_COLUMNS = ("ra", "dec", "pmra", "pmdec", "parallax", "position_error", "motion_error")


def read_gaia_table(path: str | Path, epoch: float) -> StarCatalogue:
    """Read a Gaia table; errors that it lacks follow from those of the parallax.

    Raises
    ------
    DataError
        If it is no table or a column is missing.
    """
    try:
        table = Table.read(path)
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"{path}: not a readable table (FITS, ECSV): {reason}") from error
    needed = ("ra", "dec", "pmra", "pmdec", "parallax", "parallax_error")
    missing = [name for name in needed if name not in table.colnames]
    if missing:
        raise DataError(
            f"{path}: column {missing[0]} is missing; "
            f"a table of reference stars needs {', '.join(needed)}"
        )
    columns = {
        name: np.ma.filled(np.ma.asarray(table[name]).astype(float), np.nan) for name in needed
    }
    position_error, motion_error = gaia_dr2_errors(columns.pop("parallax_error"))
    return StarCatalogue(
        epoch=epoch, **columns, position_error=position_error, motion_error=motion_error
    )


def write_reference_stars(
    path: str | Path, stars: StarCatalogue, provenance: Mapping[str, Any]
) -> None:
    """Write reference stars at their own epoch."""
    table = Table({name: getattr(stars, name) for name in _COLUMNS}, meta={"epoch": stars.epoch})
    with replacing(path, provenance) as part:
        table.write(part, format="ascii.ecsv")


def read_reference_stars(path: str | Path, time: Time) -> Positions:
    """Read reference stars and move them to the time of an exposure."""
    sha256(path)
    table = Table.read(path, format="ascii.ecsv")
    stars = StarCatalogue(
        float(table.meta["epoch"]), *(np.asarray(table[name], float) for name in _COLUMNS)
    )
    return move_to_epoch(stars, float(time.jyear), _UNMEASURED_MOTION)


def write_truth(path: str | Path, scene: Any, provenance: Mapping[str, Any]) -> None:
    """Write the sources of a simulated sky: a structured array, or columns by name."""
    with replacing(path, provenance) as part:
        Table(scene).write(part, format="ascii.ecsv")


def read_truth(path: str | Path) -> Table:
    """Read what `write_truth` wrote."""
    sha256(path)
    return Table.read(path, format="ascii.ecsv")


def write_stars(
    path: str | Path,
    image: Image,
    alignment: Alignment,
    stars: Stars,
    provenance: Mapping[str, Any],
) -> None:
    """Write the measured stars of an image, placed by the pointing and by the final WCS."""
    direction = to_v2v3(image.wcs, stars.x, stars.y)
    before = v2v3_to_sky(image.attitude, *direction)
    after = v2v3_to_sky(alignment.attitude, *direction)
    used = np.zeros(stars.x.size, bool)
    used[alignment.stars] = True
    table = Table(
        {
            **vars(stars),
            "ra_pointing": before[0],
            "dec_pointing": before[1],
            "ra": after[0],
            "dec": after[1],
            "is_used": used,
        }
    )
    with replacing(path, provenance) as part:
        table.write(part, format="ascii.ecsv")


def read_stars(path: str | Path) -> Table:
    """Read what `write_stars` wrote.

    Returns
    -------
    Table
        The columns of `tessella.psf.fit.Stars`, the positions [deg] by the pointing
        (``ra_pointing``, ``dec_pointing``) and by the final WCS (``ra``, ``dec``), and
        ``is_used`` for the stars that took part in the alignment.
    """
    sha256(path)
    return Table.read(path, format="ascii.ecsv")


def read_gaia_photometry(path: str | Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Read G magnitudes, BP - RP colours (NaN: not measured) and source ids of a Gaia table."""
    table = Table.read(path)
    g, bp, rp = (
        np.ma.filled(np.ma.asarray(table[f"phot_{band}_mean_mag"]).astype(float), np.nan)
        for band in ("g", "bp", "rp")
    )
    return g, bp - rp, np.asarray(table["source_id"])

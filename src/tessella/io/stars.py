"""Tables of stars: those that exposures are aligned with, and those measured in them."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from astropy.table import Table
from astropy.time import Time

from tessella.astrometry.alignment import Alignment
from tessella.astrometry.gwcs_model import to_v2v3
from tessella.astrometry.motion import (
    Positions,
    StarCatalogue,
    move_to_epoch,
    scatter_by_errors,
)
from tessella.astrometry.observatory import observatory_position
from tessella.astrometry.wcs import v2v3_to_sky
from tessella.io.atomic import replacing
from tessella.io.gaia_tables import SCHEMA, catalogue_of
from tessella.io.seals import sha256
from tessella.io.star_shards import read_stars_of
from tessella.models import Image
from tessella.psf.fit import Stars
from tessella.sky.shards import shards_near

#: Room for the motions of stars since the epoch of the catalogue [deg].
_MARGIN_DEG = 0.05
_SCATTERED = ("ra", "dec", "parallax", "pmra", "pmdec")
_REFERENCE_SCHEMA = SCHEMA.append(pa.field("status", pa.string()))


def write_reference_stars(
    path: str | Path,
    shards: Iterable[tuple[int, pa.Table]],
    scatter_seed: int | None,
    provenance: Mapping[str, Any],
) -> dict[str, int]:
    """Write the reference stars of a run at their own epoch, one row group a shard.

    Parameters
    ----------
    path : path
        Parquet file, in the form of `tessella.io.gaia_tables.SCHEMA` and with a column ``status``.
    shards : iterable of (int, pyarrow.Table)
        See `tessella.io.star_shards.read_stars_of`.
    scatter_seed : int or None
        With it the stars are scattered by their own errors, the same way in whatever run a
        shard is.
    provenance : mapping

    Returns
    -------
    dict
        How many stars have each status.
    """
    found: dict[str, int] = {}
    numbers: list[int] = []
    with replacing(path, provenance) as part, pq.ParquetWriter(part, _REFERENCE_SCHEMA) as writer:
        for shard, rows in shards:
            stars = catalogue_of(rows)
            if scatter_seed is not None:
                stars = scatter_by_errors(stars, scatter_seed, shard)
                for name in _SCATTERED:
                    column = pa.array(getattr(stars, name), pa.float64())
                    rows = rows.set_column(rows.schema.get_field_index(name), name, column)
            rows = rows.append_column("status", pa.array(stars.status, pa.string()))
            writer.write_table(rows.cast(_REFERENCE_SCHEMA), row_group_size=max(len(rows), 1))
            numbers.append(shard)
            for status, n in zip(*np.unique(stars.status, return_counts=True), strict=True):
                found[str(status)] = found.get(str(status), 0) + int(n)
        writer.add_key_value_metadata({"shards": json.dumps(numbers)})
    return found


def read_reference_stars(
    path: str | Path, time: Time, near: tuple[float, float, float] | None = None
) -> Positions:
    """Read reference stars and move them to where the telescope saw them at a time.

    Parameters
    ----------
    path : path
        What `write_reference_stars` wrote.
    time : astropy.time.Time
    near : (float, float, float), optional
        Right ascension, declination and radius of the part that is read [deg].
    """
    sha256(path)
    file = pq.ParquetFile(path)
    groups = list(range(file.num_row_groups))
    if near is not None:
        numbers = json.loads(file.metadata.metadata[b"shards"])
        wanted = set(shards_near(*near[:2], near[2] + _MARGIN_DEG).tolist())
        groups = [group for group in groups if numbers[group] in wanted]
    rows = file.read_row_groups(groups, columns=SCHEMA.names)
    if near is not None:
        rows = rows.filter(pa.array(_is_near(rows, near)))
    epoch = float(time.jyear)
    return move_to_epoch(catalogue_of(rows), epoch, observer_au=observatory_position(epoch))


def _is_near(rows: pa.Table, near: tuple[float, float, float]) -> np.ndarray:
    ra, dec = (np.radians(rows[name].to_numpy()) for name in ("ra", "dec"))
    ra0, dec0, radius = np.radians(near)
    half = np.sin((dec - dec0) / 2) ** 2 + np.cos(dec) * np.cos(dec0) * np.sin((ra - ra0) / 2) ** 2
    return half < np.sin((radius + np.radians(_MARGIN_DEG)) / 2) ** 2


def read_gaia_field(
    path: str | Path, epoch: float, ra: float, dec: float, radius_deg: float
) -> tuple[StarCatalogue, np.ndarray, np.ndarray]:
    """Read the Gaia stars of a circle [deg], their G magnitudes and BP - RP colours (NaN: none).

    Parameters
    ----------
    path, epoch
        See `tessella.io.star_shards.read_stars_of`.
    """
    wanted = shards_near(ra, dec, radius_deg + _MARGIN_DEG).tolist()
    parts = [SCHEMA.empty_table(), *(rows for _, rows in read_stars_of(path, epoch, wanted))]
    rows = pa.concat_tables(parts)
    rows = rows.filter(pa.array(_is_near(rows, (ra, dec, radius_deg))))
    g, bp, rp = (
        rows[f"phot_{band}_mean_mag"].to_numpy().astype(float) for band in ("g", "bp", "rp")
    )
    return catalogue_of(rows), g, bp - rp


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
    """Write the measured stars of an image, placed by the pointing and by the tie."""
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
        (``ra_pointing``, ``dec_pointing``) and by the tie (``ra``, ``dec``; the joint solution
        comes later), and ``is_used`` for the stars that took part in the alignment.
    """
    sha256(path)
    return Table.read(path, format="ascii.ecsv")

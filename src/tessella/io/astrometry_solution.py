"""What the joint solution of a region takes from files, and the table that it leaves.

One row an image: ``image`` (stem of its files), ``status``, ``is_added`` (whether it takes part in
coadds), ``n_stars``, ``n_references``, ``rms_mas``, ``shift_v2``, ``shift_v3`` [arcsec] and
``m11``, ``m12``, ``m21``, ``m22``: the fields of `tessella.models.WcsCorrection`.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from astropy import units as u
from astropy.table import Table
from gwcs.wcs import WCS

from tessella.astrometry.align_image import DETECTOR_RADIUS_DEG
from tessella.astrometry.joint_geometry import MeasuredImage
from tessella.astrometry.joint_solution import JointSolution
from tessella.errors import DataError
from tessella.io.asdf_files import open_roman
from tessella.io.atomic import replacing
from tessella.io.exposure_meta import read_attitude
from tessella.io.seals import sha256
from tessella.io.stars import read_reference_stars, read_stars
from tessella.io.wcs import ALIGNED
from tessella.models import WcsCorrection

_CORRECTION = tuple(field.name for field in fields(WcsCorrection))
_TOLD = ("image", "status", "is_added", "n_stars", "n_references", "rms_mas")


def image_name(path: str | Path) -> str:
    """Return the stem that all files of an image have in common.

    Examples
    --------
    >>> image_name("level2/r0000101001001001001_0001_wfi01_f158_stars.ecsv")
    'r0000101001001001001_0001_wfi01_f158'
    """
    return Path(path).stem.rpartition("_")[0]


def read_measured_image(
    stars: str | Path, wcs: str | Path, reference_stars: str | Path
) -> MeasuredImage:
    """Read what the joint solution needs of one image.

    Parameters
    ----------
    stars, wcs : path
        Measured stars and tied WCS of one image.
    reference_stars : path
        Those of the run; the ones around the image are moved to its epoch.

    Raises
    ------
    DataError
        If the two files are not of one image.
    """
    name = image_name(stars)
    if image_name(wcs) != name:
        raise DataError(f"{stars} and {wcs}: files of two images; give them in the same order")
    table = read_stars(stars)
    with open_roman(wcs) as roman:
        to_sky = roman["wcs_l2"]
        attitude = read_attitude(roman["meta"])
        start_time = roman["meta"]["exposure"]["start_time"]
    near = attitude.ra_ref, attitude.dec_ref, DETECTOR_RADIUS_DEG
    columns = {key: np.asarray(table[key], float) for key in ("x", "y", "x_err", "y_err", "flux")}
    chisq = np.asarray(table["chisq"], float)
    known = np.asarray(table["is_good"], bool) & np.isfinite(chisq)
    for values in columns.values():
        known &= np.isfinite(values)
    x, y, x_err, y_err, flux = (values[known] for values in columns.values())
    # A fit that is worse than its errors say knows the position as much worse.
    worse = np.maximum(chisq[known], 1.0)
    v2, v3, by_pixel = _directions(to_sky, x, y)
    variance = np.stack([x_err**2 * worse, y_err**2 * worse], axis=-1)
    return MeasuredImage(
        name=name,
        attitude=attitude,
        is_aligned=to_sky.name == ALIGNED,
        v2=v2,
        v3=v3,
        covariance=(by_pixel * variance[:, None]) @ by_pixel.transpose(0, 2, 1),
        flux=flux,
        references=read_reference_stars(reference_stars, start_time, near),
    )


def _directions(wcs: WCS, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return V2, V3 [arcsec] of pixels without aberration, and their derivatives [mas / pixel]."""
    to_telescope = wcs.get_transform("detector", "v2v3vacorr")
    half = np.full(x.shape, 0.5)
    by_x = np.subtract(to_telescope(x + half, y), to_telescope(x - half, y))
    by_y = np.subtract(to_telescope(x, y + half), to_telescope(x, y - half))
    v2, v3 = to_telescope(x, y)
    return v2, v3, 1000 * np.stack([by_x, by_y]).transpose(2, 1, 0)


def write_astrometry(
    path: str | Path, solution: JointSolution, provenance: Mapping[str, Any]
) -> None:
    """Write the joint solution of a region."""
    rows = [
        {
            **{name: getattr(item, name) for name in _TOLD},
            **asdict(item.correction),
        }
        for item in solution.images
    ]
    table = Table({name: [row[name] for row in rows] for name in (*_TOLD, *_CORRECTION)})
    table["rms_mas"].unit = u.mas
    table["shift_v2"].unit = table["shift_v3"].unit = u.arcsec
    table.meta = {
        "excess_scatter_mas": solution.excess_scatter_mas,
        "n_stars": solution.n_stars,
        "n_rejected": solution.n_rejected,
    }
    with replacing(path, provenance) as part:
        table.write(part, format="ascii.ecsv")


def read_astrometry(path: str | Path) -> Table:
    """Read what `write_astrometry` wrote."""
    sha256(path)
    return Table.read(path, format="ascii.ecsv")


@dataclass(frozen=True)
class SolvedRow:
    """What the table says of one image."""

    status: str
    #: Whether it takes part in coadds.
    is_added: bool
    #: Stars that took part, and their weighted residual [mas]; NaN without stars.
    n_stars: int
    rms_mas: float
    correction: WcsCorrection


def read_solved(path: str | Path) -> dict[str, SolvedRow]:
    """Read what the solution of a region says of each image, by the stem of its files.

    Raises
    ------
    DataError
        If the table does not say whether images take part in coadds.
    """
    table = read_astrometry(path)
    if "is_added" not in table.colnames:
        raise DataError(f"{path}: column is_added is missing; remove the table, to be made again")
    return {
        str(row["image"]): SolvedRow(
            str(row["status"]),
            bool(row["is_added"]),
            int(row["n_stars"]),
            float(row["rms_mas"]),
            WcsCorrection(*(float(row[name]) for name in _CORRECTION)),
        )
        for row in table
    }


def read_left_out(path: str | Path) -> dict[str, str]:
    """Read which images of a region take no part in coadds: stem of their files to status."""
    return {name: row.status for name, row in read_solved(path).items() if not row.is_added}

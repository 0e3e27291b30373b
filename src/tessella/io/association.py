"""Associations: which images a coadd is made from, in the JSON that official tools read."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tessella
from tessella.astrometry.tangent import pixel_to_sky
from tessella.io.atomic import replacing
from tessella.models import Lattice

#: What romancal 1.1.0 writes where nothing else is known.
_FIXED = {
    "asn_type": "image",
    "asn_rule": "DMS_ELPP_Base",
    "version_id": None,
    "code_version": f"tessella {tessella.__version__}",
    "degraded_status": "No known degraded exposures in association.",
    "constraints": "No constraints",
    "asn_id": "a3001",
    "asn_pool": "none",
}


def skycell_wcs_info(lattice: Lattice) -> dict[str, Any]:
    """Return where a tile lies, in the keywords of associations.

    Scales are in degrees (fact: romancal 1.1.0 `skycell/skymap.py`), as are all angles; the tangent
    point of the projection is in pixels of the tile.

    Examples
    --------
    >>> info = skycell_wcs_info(Lattice(10.0, 60.0, 2499.5, 2499.5, 0.055, 5000, 5000, "010p60"))
    >>> info["name"], round(info["ra_center"], 9), round(info["dec_center"], 9), info["orientat"]
    ('010p60', 10.0, 60.0, 0.0)
    """
    ra, dec = pixel_to_sky(lattice, (lattice.nx - 1) / 2, (lattice.ny - 1) / 2)
    return {
        "name": lattice.skycell,
        "pixel_scale": lattice.pixel_scale_arcsec / 3600,
        "ra_projection_center": lattice.ra_tangent,
        "dec_projection_center": lattice.dec_tangent,
        "x0_projection": lattice.x_tangent,
        "y0_projection": lattice.y_tangent,
        "ra_center": float(ra),
        "dec_center": float(dec),
        "nx": lattice.nx,
        "ny": lattice.ny,
        # Official tables have the difference in right ascension as the angle of the y axis.
        "orientat": float((lattice.ra_tangent - ra + 180) % 360 - 180),
        "orientat_projection_center": 0.0,
    }


def write_association(
    path: str | Path,
    members: Sequence[str | Path],
    lattice: Lattice,
    program: int,
    provenance: Mapping[str, Any],
) -> None:
    """Write the association of one tile and filter.

    Parameters
    ----------
    path : path
        ``<product>_asn.json``.
    members : sequence of paths
        Level 2 images in the order of adding; they are named from the folder of the association,
        where official tools look for them.
    lattice : Lattice
        The tile.
    program : int
    provenance : mapping
    """
    folder = Path(path).resolve().parent
    named = [os.path.relpath(Path(member).resolve(), folder) for member in members]
    content = {
        **_FIXED,
        "program": f"{program:05d}",
        "data_release_id": "p",
        "target": lattice.skycell,
        "skycell_wcs_info": skycell_wcs_info(lattice),
        "products": [
            {
                "name": Path(path).stem.removesuffix("_asn"),
                "members": [{"expname": name, "exptype": "science"} for name in named],
            }
        ],
    }
    with replacing(path, provenance) as part:
        part.write_text(json.dumps(content, indent=2) + "\n")

"""The tessellation of the sky as the tables of RAD's `skycells` reference."""

from collections.abc import Sequence

import numpy as np

from tessella.astrometry.tangent import pixel_to_sky
from tessella.sky.tessellation import (
    CELL_PITCH,
    CELL_SIZE,
    Region,
    cell_name,
    cells_of,
    lattice_of,
    regions,
)

_CORNERS = tuple(f"{axis}_corn{corner}" for corner in range(1, 5) for axis in ("ra", "dec"))
_CELL = np.dtype(
    [
        ("name", "<U16"),
        ("ra_center", "<f8"),
        ("dec_center", "<f8"),
        ("orientat", "<f4"),
        ("x_tangent", "<f8"),
        ("y_tangent", "<f8"),
        *((name, "<f8") for name in _CORNERS),
    ]
)
_REGION = np.dtype(
    [
        ("index", "<i4"),
        *(
            (name, "<f8")
            for name in ("ra_tangent", "dec_tangent", "ra_min", "ra_max", "dec_min", "dec_max")
        ),
        ("orientat", "<f4"),
        ("x_tangent", "<f8"),
        ("y_tangent", "<f8"),
        *((name, "<i4") for name in ("nx", "ny", "skycell_start", "skycell_end")),
    ]
)


def skycell_tables(chosen: Sequence[Region] | None = None) -> dict[str, np.ndarray]:
    """Return regions and cells as structured arrays, in RAD's columns.

    Parameters
    ----------
    chosen : sequence of Region, optional
        All 4,058 if it is not given: 8,045,034 cells, which take 1.3 GB.

    Returns
    -------
    dict
        ``projection_regions`` and ``skycells``. Directions are in degrees, `orientat` is the
        right ascension of the tangent point less that of the centre [deg], tangent points are in
        pixels of a cell or region.

    Examples
    --------
    >>> tables = skycell_tables(regions()[:1])
    >>> len(tables["skycells"]), str(tables["skycells"]["name"][0])
    (1985, '135p90x25y49')
    """
    chosen = regions() if chosen is None else chosen
    table = np.zeros(len(chosen), _REGION)
    cells: list[np.ndarray] = []
    n_before = 0
    for row, region in zip(table, chosen, strict=True):
        cells.append(_cells(region))
        for name in ("index", "ra_tangent", "dec_tangent", "ra_min", "ra_max"):
            row[name] = getattr(region, name)
        for name in ("dec_min", "dec_max", "nx", "ny"):
            row[name] = getattr(region, name)
        row["x_tangent"], row["y_tangent"] = (region.nx - 1) / 2, (region.ny - 1) / 2
        row["skycell_start"], row["skycell_end"] = n_before, n_before + len(cells[-1])
        n_before += len(cells[-1])
    return {"projection_regions": table, "skycells": np.concatenate(cells)}


def _cells(region: Region) -> np.ndarray:
    column, row = np.array(cells_of(region)).T
    central = lattice_of(region, 0, 0, CELL_SIZE, CELL_SIZE)
    x0, y0 = column * CELL_PITCH, row * CELL_PITCH
    middle = (CELL_SIZE - 1) / 2
    table = np.zeros(len(column), _CELL)
    table["name"] = [cell_name(region, c, r) for c, r in zip(column, row, strict=True)]
    table["x_tangent"], table["y_tangent"] = central.x_tangent - x0, central.y_tangent - y0
    ra, dec = pixel_to_sky(central, x0 + middle, y0 + middle)
    table["ra_center"], table["dec_center"] = ra, dec
    # Official tables have the difference in right ascension as the angle of the y axis.
    table["orientat"] = (region.ra_tangent - ra + 180) % 360 - 180
    for k, (right, up) in enumerate(((0, 0), (1, 0), (1, 1), (0, 1)), 1):
        x, y = x0 - 0.5 + right * CELL_SIZE, y0 - 0.5 + up * CELL_SIZE
        corner = pixel_to_sky(central, x, y)
        table[f"ra_corn{k}"], table[f"dec_corn{k}"] = corner
    return table

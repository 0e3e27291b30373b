"""The mission's tessellation of the sky: 4,058 projection regions and 8,045,034 cells, computed.

Rule of spacetelescope/skymap `skymap/skymap.py`: rings of a double pixelisation with N = 13,
each cut into regions of equal width in right ascension, and two polar caps. The cells of a
region share one tangent plane and one lattice of pixels.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import ArrayLike

from tessella.astrometry.tangent import pixel_to_sky
from tessella.models import Lattice

_N = 13
#: Side of a pixel [arcsec].
PIXEL_SCALE_ARCSEC = 0.055
#: Side of a cell, of the part of it that no other cell has, and width of its border [pixels].
CELL_SIZE = 5000
CELL_PITCH = 4800
CELL_BORDER = 100
#: Edges of the inner part of a cell, 4800 pixels wide [pixels].
INNER_LOW = CELL_BORDER - 0.5
INNER_HIGH = CELL_SIZE - CELL_BORDER - 0.5
#: Number in a cell's name of the row and column that hold the tangent point.
_CENTRAL = 50


@dataclass(frozen=True)
class Region:
    """One projection region: bounds and tangent point [deg]."""

    index: int
    ra_tangent: float
    dec_tangent: float
    #: Bounds; `ra_min` is larger than `ra_max` where the region holds RA 0.
    ra_min: float
    ra_max: float
    dec_min: float
    dec_max: float
    #: Size of the region's own grid [pixels].
    nx: int
    ny: int

    def contains(self, ra: ArrayLike, dec: ArrayLike) -> np.ndarray:
        """Tell which directions [deg] belong to the region: lower bounds do, upper ones do not."""
        # Bounds are compared, not subtracted: a direction one rounding below a bound would
        # belong to neither of two neighbours.
        ra, dec = np.asarray(ra) % 360.0 % 360.0, np.asarray(dec)
        after, before = ra >= self.ra_min, ra < self.ra_max
        across = after & before if self.ra_min < self.ra_max else after | before
        upper = dec <= 90.0 if self.dec_max >= 90.0 else dec < self.dec_max
        return across & (dec >= self.dec_min) & upper


def _declination(t: np.ndarray) -> np.ndarray:
    sine = np.where(np.abs(t) <= 0.25, 8 * t / 3, np.sign(t) * (1 - (2 - 4 * np.abs(t)) ** 2 / 3))
    return np.degrees(np.arcsin(sine))


def _even(pixels: float) -> int:
    return int(pixels / 2) * 2


def _cap(index: int, ra_tangent: float, sign: int, edge: float) -> Region:
    size = _even(2 * (90.0 - edge) * 3600 / PIXEL_SCALE_ARCSEC)
    low, high = (edge, 90.0) if sign > 0 else (-90.0, -edge)
    return Region(index, ra_tangent, 90.0 * sign, 0.0, 360.0, low, high, size, size)


@cache
def regions() -> tuple[Region, ...]:
    """Return all projection regions, from the north cap to the south cap.

    Examples
    --------
    >>> len(regions())
    4058
    """
    ring = np.arange(1, 4 * _N)
    centers = _declination((2 * _N - ring) / (4 * _N))
    edges = _declination((2 * _N - np.arange(4 * _N) - 0.5) / (4 * _N))
    counts = 8 * np.minimum(np.minimum(ring, 4 * _N - ring), _N)
    table = [_cap(0, 135.0, 1, edges[0])]
    for center, high, low, count in zip(centers, edges[:-1], edges[1:], counts, strict=True):
        width = 360.0 / count
        nearest = 0.0 if low < 0 < high else min(abs(low), abs(high))
        nx = _even(width * np.cos(np.radians(nearest)) * 3600 / PIXEL_SCALE_ARCSEC)
        ny = _even((high - low) * 3600 / PIXEL_SCALE_ARCSEC)
        for k in range(count):
            table.append(
                Region(
                    index=len(table),
                    ra_tangent=k * width,
                    dec_tangent=float(center),
                    ra_min=((k - 0.5) * width) % 360.0,
                    ra_max=(k + 0.5) * width,
                    dec_min=float(low),
                    dec_max=float(high),
                    nx=nx,
                    ny=ny,
                )
            )
    table.append(_cap(len(table), 225.0, -1, edges[0]))
    return tuple(table)


def cell_name(region: Region, column: int, row: int) -> str:
    """Return the official name of a cell; x stands before the row and y before the column.

    Examples
    --------
    >>> cell_name(regions()[0], -1, -25)
    '135p90x25y49'
    """
    sign = "p" if region.dec_tangent >= 0 else "m"
    return (
        f"{round(region.ra_tangent):03d}{sign}{round(abs(region.dec_tangent)):02d}"
        f"x{_CENTRAL + row:02d}y{_CENTRAL + column:02d}"
    )


def lattice_of(region: Region, x0: int, y0: int, nx: int, ny: int) -> Lattice:
    """Return a rectangle of a region's lattice.

    Parameters
    ----------
    region : Region
    x0, y0 : int
        First pixel, counted from the lower left pixel of the central cell.
    nx, ny : int
        Size [pixels].

    Returns
    -------
    Lattice
        Named after the cell whose inner part holds the rectangle's centre.

    Examples
    --------
    >>> lattice_of(regions()[1], 0, 0, 5000, 5000).skycell
    '000p86x50y50'
    """
    center = CELL_SIZE / 2 - 0.5
    column = int(np.floor((x0 + nx / 2 - CELL_BORDER) / CELL_PITCH))
    row = int(np.floor((y0 + ny / 2 - CELL_BORDER) / CELL_PITCH))
    return Lattice(
        ra_tangent=region.ra_tangent,
        dec_tangent=region.dec_tangent,
        x_tangent=center - x0,
        y_tangent=center - y0,
        pixel_scale_arcsec=PIXEL_SCALE_ARCSEC,
        nx=nx,
        ny=ny,
        skycell=cell_name(region, column, row),
        region=region.index,
    )


def place_of(lattice: Lattice) -> tuple[int, int]:
    """Return the first pixel (x, y) of a rectangle, from the lower left of the central cell.

    Examples
    --------
    >>> place_of(lattice_of(regions()[7], -4800, 9600, 5000, 5000))
    (-4800, 9600)
    """
    central = CELL_SIZE / 2 - 0.5
    return round(central - lattice.x_tangent), round(central - lattice.y_tangent)


def cell_lattice(region: Region, column: int, row: int) -> Lattice:
    """Return the lattice of one cell by its column and row, counted from the central cell."""
    return lattice_of(region, column * CELL_PITCH, row * CELL_PITCH, CELL_SIZE, CELL_SIZE)


def is_cell(region: Region, column: np.ndarray, row: np.ndarray) -> np.ndarray:
    """Tell which cells there are: those with a corner of their inner part in the region's bounds.

    Parameters
    ----------
    region : Region
    column, row : (n,) int
        Counted from the central cell.

    Examples
    --------
    >>> is_cell(regions()[0], np.array([-1, -1]), np.array([-25, -26]))
    array([ True, False])
    """
    origin = cell_lattice(region, 0, 0)
    inside = np.zeros(np.shape(column), bool)
    for dx in (INNER_LOW, INNER_HIGH):
        for dy in (INNER_LOW, INNER_HIGH):
            inside |= region.contains(
                *pixel_to_sky(origin, column * CELL_PITCH + dx, row * CELL_PITCH + dy)
            )
    return inside


def cells_of(region: Region) -> list[tuple[int, int]]:
    """List (column, row) of all cells of a region, in the official order.

    Examples
    --------
    >>> len(cells_of(regions()[0]))
    1985
    """
    n = max(region.nx, region.ny) // CELL_PITCH // 2 + 3
    row, column = (index.ravel() for index in np.mgrid[-n : n + 1, -n : n + 1])
    kept = is_cell(region, column, row)
    return list(zip(column[kept].tolist(), row[kept].tolist(), strict=True))

"""Which cells of the sky footprints fall on, and which cell a direction belongs to.

No table of cells is read: regions follow from the rings, cells from the lattice of a region,
where great circles, the edges of a footprint, are straight lines.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from tessella.astrometry.tangent import sky_to_pixel
from tessella.sky.region_search import expand, region_indices, regions_near
from tessella.sky.tessellation import (
    CELL_PITCH,
    CELL_SIZE,
    INNER_HIGH,
    INNER_LOW,
    PIXEL_SCALE_ARCSEC,
    Region,
    cell_lattice,
    is_cell,
    regions,
)

#: A cell may reach this far out of the bounds of its region: its diagonal, and 1 % for the
#: growth of pixels away from the tangent point [deg].
_OUTREACH_DEG = 1.01 * np.sqrt(2) * CELL_SIZE * PIXEL_SCALE_ARCSEC / 3600
#: Larger footprints are refused: their far side is not in the tangent plane of every region near.
_LARGEST_RADIUS_DEG = 20.0
#: Footprints that are held against their cells at once.
_BLOCK = 20_000


@dataclass(frozen=True)
class CellMatches:
    """Footprints and the cells they fall on, (n_matches,) each; by footprint, region, row, column.

    That is the official order of cells.
    """

    footprint: np.ndarray
    region: np.ndarray
    column: np.ndarray
    row: np.ndarray


def match_cells(ra: ArrayLike, dec: ArrayLike, margin_arcsec: float = 0.0) -> CellMatches:
    """Find all cells that footprints fall on, in every region.

    Parameters
    ----------
    ra, dec : (n, n_vertices)
        Vertices of convex polygons [deg], in order around each; their edges are great circles.
    margin_arcsec : float
        By how much footprints are grown on all sides.

    Raises
    ------
    ValueError
        If a vertex is no direction or a footprint is wider than 40 degrees.

    Examples
    --------
    >>> matches = match_cells([[0.0, 0.1, 0.1, 0.0]], [[45.0, 45.0, 45.05, 45.05]])
    >>> len(matches.region), set(matches.region.tolist())
    (4, {529})
    """
    ra, dec = np.atleast_2d(np.asarray(ra, float)), np.atleast_2d(np.asarray(dec, float))
    middle_ra, middle_dec, radius = _circles(ra, dec)
    footprint, region = regions_near(
        middle_ra, middle_dec, radius + _OUTREACH_DEG + margin_arcsec / 3600
    )
    found = [(np.zeros(0, int),) * 4]
    for index, members in _by(region):
        for start in range(0, len(members), _BLOCK):
            which = footprint[members[start : start + _BLOCK]]
            number, column, row = _cells_in(regions()[index], ra[which], dec[which], margin_arcsec)
            found.append((which[number], np.full(len(number), index), column, row))
    columns = [np.concatenate(parts) for parts in zip(*found, strict=True)]
    order = np.lexsort(columns[2:] + columns[1::-1])
    return CellMatches(*(part[order] for part in columns))


def _circles(ra: np.ndarray, dec: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return middle and radius [deg] of a circle around each footprint."""
    region_indices(ra, dec)
    a, d = np.radians(ra), np.radians(dec)
    vectors = np.stack([np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)], axis=-1)
    x, y, z = middle = vectors.mean(axis=1).T
    length = np.linalg.norm(middle, axis=0)
    # The chord keeps its precision where the cosine of a small angle loses it.
    away = vectors - (middle / np.maximum(length, 1e-9)).T[:, None]
    chord = np.linalg.norm(away, axis=-1).max(axis=1, initial=0.0)
    radius = 2 * np.degrees(np.arcsin(np.minimum(chord / 2, 1.0)))
    if (radius > _LARGEST_RADIUS_DEG).any():
        worst = int(np.argmax(radius))
        raise ValueError(
            f"footprint {worst} reaches {radius[worst]:.1f} degrees from its middle; "
            f"expected at most {_LARGEST_RADIUS_DEG:g}"
        )
    return np.degrees(np.arctan2(y, x)) % 360.0, np.degrees(np.arctan2(z, np.hypot(x, y))), radius


def _by(region: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Give every region that occurs, and where."""
    order = np.argsort(region, kind="stable")
    values, first, counts = np.unique(region[order], return_index=True, return_counts=True)
    for index, start, count in zip(values, first, counts, strict=True):
        yield int(index), order[start : start + count]


def _cells_in(
    region: Region, ra: np.ndarray, dec: np.ndarray, margin_arcsec: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return number of the footprint, column and row of the cells of one region."""
    margin = margin_arcsec / PIXEL_SCALE_ARCSEC
    x, y = sky_to_pixel(cell_lattice(region, 0, 0), ra, dec)
    ranges = []
    for position in (x, y):
        low, high = position.min(axis=1) - margin, position.max(axis=1) + margin
        first = np.floor((low - CELL_SIZE + 0.5) / CELL_PITCH).astype(int) + 1
        ranges.append((first, np.floor((high + 0.5) / CELL_PITCH).astype(int)))
    number, row = expand(*ranges[1])
    which, column = expand(ranges[0][0][number], ranges[0][1][number])
    number, row = number[which], row[which]
    middle = (CELL_SIZE - 1) / 2
    near = reaches(
        x[number],
        y[number],
        (column * CELL_PITCH + middle, row * CELL_PITCH + middle),
        (CELL_SIZE / 2, CELL_SIZE / 2),
        margin,
    )
    number, column, row = number[near], column[near], row[near]
    kept = is_cell(region, column, row)
    return number[kept], column[kept], row[kept]


def reaches(
    x: np.ndarray,
    y: np.ndarray,
    middle: tuple[ArrayLike, ArrayLike],
    half_size: tuple[float, float],
    margin: float,
) -> np.ndarray:
    """Tell which convex polygons reach a rectangle each.

    Two convex shapes are apart where they are on either side of an edge of one of them (theorem
    of the separating axis).

    Parameters
    ----------
    x, y : (n, n_vertices)
        Vertices in order around each polygon [pixels].
    middle : x and y, (n,) or scalar
        Centres of the rectangles [pixels].
    half_size : x and y
        Half their width and height [pixels].
    margin : float
        By how much the polygons are grown on all sides [pixels].

    Examples
    --------
    >>> diamond = np.array([[0.0, 5.0, 0.0, -5.0]]), np.array([[-5.0, 0.0, 5.0, 0.0]])
    >>> reaches(*diamond, (7.0, 0.0), (3.0, 3.0), 0.0), reaches(*diamond, (7.0, 7.0), (3.0, 3.0), 0)
    (array([ True]), array([False]))
    """
    shifted = [
        position - np.asarray(m)[..., None] for position, m in zip((x, y), middle, strict=True)
    ]
    near = np.ones(len(x), bool)
    for position, half in zip(shifted, half_size, strict=True):
        near &= (position.max(axis=1) + margin >= -half) & (position.min(axis=1) - margin <= half)
    x, y = shifted
    next_x, next_y = np.roll(x, -1, axis=1), np.roll(y, -1, axis=1)
    turning = np.sign((x * next_y - next_x * y).sum(axis=1))[:, None]
    normal_x, normal_y = turning * (y - next_y), turning * (next_x - x)
    length = np.hypot(normal_x, normal_y)
    furthest = np.abs(normal_x) * half_size[0] + np.abs(normal_y) * half_size[1]
    inside = furthest - normal_x * x - normal_y * y + margin * length
    return near & (inside >= 0).all(axis=1)


def primary_cell(ra: ArrayLike, dec: ArrayLike) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the one cell that each direction belongs to.

    It is the cell of the direction's region whose inner part, 99.5 < x, y <= 4899.5 in its
    pixels, holds it. Where a corner of a region points into a cell that the official rule leaves
    out, as none of the corners of that cell is in the region, the direction belongs to the next
    cell across the nearest side. That happens at the corners of the 64 regions at declinations
    of +-75.6 degrees, up to 94 pixels deep, within the border of 100 pixels that this cell has.

    Parameters
    ----------
    ra, dec : array_like
        Directions [deg].

    Returns
    -------
    region, column, row : int arrays of their shape
        Number of the region, and the cell's place counted from the region's central cell.

    Raises
    ------
    ValueError
        If a direction is none.

    Examples
    --------
    >>> [int(number) for number in primary_cell(0.0, 86.4008076)]
    [1, 0, 0]
    """
    ra, dec = np.broadcast_arrays(np.asarray(ra, float), np.asarray(dec, float))
    shape = ra.shape
    ra, dec = ra.ravel(), dec.ravel()
    region = region_indices(ra, dec)
    place = np.zeros((2, ra.size), int)
    for index, members in _by(region):
        place[:, members] = _primary_in(regions()[index], ra[members], dec[members])
    return region.reshape(shape), place[0].reshape(shape), place[1].reshape(shape)


def _primary_in(region: Region, ra: np.ndarray, dec: np.ndarray) -> np.ndarray:
    position = np.stack(sky_to_pixel(cell_lattice(region, 0, 0), ra, dec))
    place = np.ceil((position - INNER_LOW) / CELL_PITCH).astype(int) - 1
    lost = np.flatnonzero(~is_cell(region, *place))
    if lost.size:
        inner = position[:, lost] - place[:, lost] * CELL_PITCH
        depths = np.concatenate([inner - INNER_LOW, INNER_HIGH - inner])
        nearest = np.argmin(depths, axis=0)
        place[nearest % 2, lost] += np.where(nearest < 2, -1, 1)
    return place

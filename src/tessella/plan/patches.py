"""Patches: rectangles of cells on one region's lattice that one job makes."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from tessella.models import Lattice
from tessella.plan.tiles import Tile
from tessella.sky.tessellation import CELL_BORDER, CELL_PITCH, lattice_of, place_of, regions

#: Largest number of cells along a side. Patches lie on a fixed grid of that pitch: an exposure
#: that is added changes no patch it does not touch.
PATCH_CELLS = 8
#: One cell or an array of them.
Number = TypeVar("Number", int, np.ndarray)

#: Number in a cell's name of the row and column that hold the tangent point: the numbers of a
#: patch are those of its cells, divided by its side.
_CENTRAL = 50


@dataclass(frozen=True)
class PlannedPatch:
    """A rectangle of the sky's lattice that is added at once, and what it is added from."""

    grouping: str
    #: Number of the projection region.
    region: int
    #: `Lattice` of the smallest rectangle that holds the tiles, as a mapping.
    lattice: dict[str, Any]
    #: Names of the tiles that are cut from it.
    tiles: list[str]
    #: By filter, exposure and detector of all images that may reach it, in the order of adding.
    members: dict[str, list[list[str]]]


def patch_of_cell(column: Number, row: Number) -> tuple[Number, Number]:
    """Return column and row of the patch of a cell, both counted from the central cell.

    Examples
    --------
    >>> patch_of_cell(0, -3)
    (6, 5)
    """
    return (column + _CENTRAL) // PATCH_CELLS, (row + _CENTRAL) // PATCH_CELLS


def patch_name(grouping: str, lattice: Lattice) -> str:
    """Return the name of the patch that holds the centre of a rectangle.

    As in the names of cells, the number after x counts rows and the one after y columns.

    Examples
    --------
    >>> patch_name("full", lattice_of(regions()[2734], 0, 0, 5000, 5000))
    'full_2734x06y06'
    """
    x0, y0 = place_of(lattice)
    cell = (
        int((first + size / 2 - CELL_BORDER) // CELL_PITCH)
        for first, size in ((x0, lattice.nx), (y0, lattice.ny))
    )
    column, row = patch_of_cell(*cell)
    return f"{grouping}_{lattice.region:04d}x{row:02d}y{column:02d}"


def plan_patches(tiles: Iterable[Tile], order: list[tuple[str, str]]) -> dict[str, PlannedPatch]:
    """Put tiles together to patches.

    Parameters
    ----------
    tiles : iterable of Tile
        Cells, or one cutout a grouping: that is a patch of its own, whatever its size.
    order : list
        (exposure, detector) of all images in the order in which they are added.

    Returns
    -------
    dict
        Patches by name, sorted.
    """
    together: dict[str, list[Tile]] = defaultdict(list)
    for tile in tiles:
        together[patch_name(tile.grouping, tile.lattice)].append(tile)
    rank = {pair: number for number, pair in enumerate(order)}
    return {name: _patch(together[name], rank) for name in sorted(together)}


def _patch(tiles: list[Tile], rank: dict[tuple[str, str], int]) -> PlannedPatch:
    region = tiles[0].lattice.region
    places = [place_of(tile.lattice) for tile in tiles]
    x0, y0 = (min(place[axis] for place in places) for axis in (0, 1))
    x1 = max(x + tile.lattice.nx for (x, _), tile in zip(places, tiles, strict=True))
    y1 = max(y + tile.lattice.ny for (_, y), tile in zip(places, tiles, strict=True))
    pairs: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for tile in tiles:
        for element, members in tile.members.items():
            pairs[element].update(members)
    return PlannedPatch(
        grouping=tiles[0].grouping,
        region=region,
        lattice=vars(lattice_of(regions()[region], x0, y0, x1 - x0, y1 - y0)),
        tiles=[tile.name for tile in tiles],
        members={
            element: [list(pair) for pair in sorted(pairs[element], key=rank.__getitem__)]
            for element in sorted(pairs)
        },
    )

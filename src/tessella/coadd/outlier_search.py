"""The search for outliers of a patch, a block of it at a time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tessella.coadd.disagreement import (
    HALO,
    Thresholds,
    disagreeing,
    grown,
    surroundings,
)
from tessella.coadd.median_stack import COARSE, lay_rows, means, median_of_planes
from tessella.coadd.places import Places
from tessella.coadd.search_area import EDGE, Area, Box, blocks_of

#: Bytes that a block may take.
BLOCK_BYTES = 560 << 20
#: Rows of an image that are read at once.
_ROWS = 128

#: Values, errors (float32) and whether they count (bool) of rows first to stop - 1 of an image,
#: each (stop - first, nx).
ReadRows = Callable[[int, int], tuple[np.ndarray, np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class SearchInput:
    """One image of a search."""

    #: On the region's lattice.
    places: Places
    read: ReadRows
    #: Called when no rows are wanted for a while: what was kept of the file can go.
    forget: Callable[[], None] = lambda: None
    #: Sky at the image's centre [MJy / sr], and its rise with column and row [/ pixel].
    level: float = 0.0
    slope_x: float = 0.0
    slope_y: float = 0.0

    @property
    def sky(self) -> tuple[float, float, float]:
        """Level at the first pixel, and its rise with column and row."""
        ny, nx = self.places.shape
        first = self.level - self.slope_x * (nx - 1) / 2 - self.slope_y * (ny - 1) / 2
        return first, self.slope_x, self.slope_y

    @property
    def side(self) -> float:
        """Side of a square of the area of the pixel in the image's middle [coarse pixels]."""
        ny, nx = self.places.shape
        corners = self.places.corners(ny // 2, ny // 2 + 1)[:, nx // 2 : nx // 2 + 2]
        (ax, ay), (bx, by) = corners[0, 1] - corners[0, 0], corners[1, 0] - corners[0, 0]
        return float(np.sqrt(abs(ax * by - ay * bx)) / COARSE)

    @property
    def box(self) -> Box:
        """What its drops can touch."""
        x0, x1, y0, y1 = self.places.box
        low = [int(np.floor(edge / COARSE)) - 2 for edge in (x0, y0)]
        high = [int(np.ceil(edge / COARSE)) + 3 for edge in (x1, y1)]
        return low[0], high[0], low[1], high[1]


@dataclass(frozen=True)
class Found:
    """What the search of a block, or of several, found in one image."""

    #: Pixels above a threshold, counted along the rows of the image, and which one.
    pixels: np.ndarray
    kinds: np.ndarray
    #: Good pixels about which nothing could be decided.
    n_undecided: int


def search(
    inputs: Sequence[SearchInput],
    area: Area,
    thresholds: Thresholds,
    share: Callable[[int], tuple[int, int]] = lambda n: (0, n),
    n_bytes: int = BLOCK_BYTES,
) -> list[Found]:
    """Search an area, or this rank's share of it, for outliers.

    Every pixel belongs to the block that holds its centre; nothing that is found depends on the
    blocks, or on the area. Blocks are as wide as the area along the direction of most images'
    rows, so that few rows fall on two of them.

    Parameters
    ----------
    inputs : sequence of SearchInput
    area : Area
    thresholds : Thresholds
    share : callable
        First line of coarse pixels, and number of lines, to be searched, by their whole number.
    n_bytes : int
        Memory that a block may take.

    Returns
    -------
    list of Found
        One an input.
    """
    boxes = [item.box for item in inputs]
    along_x = 2 * sum(item.places.rows_run_along_x for item in inputs) >= len(inputs)
    x0, x1, y0, y1 = area.coarse
    first, count = share(y1 - y0 if along_x else x1 - x0)
    parts: list[list[Found]] = [[] for _ in inputs]
    for block in blocks_of(boxes, area.coarse, along_x, first, count, n_bytes):
        for number, part in _search_block(inputs, boxes, block, along_x, thresholds).items():
            parts[number].append(part)
    return [joined(found) for found in parts]


def joined(parts: Sequence[Found]) -> Found:
    """Put together what was found of one image in several blocks."""
    return Found(
        np.concatenate([np.empty(0, np.int64), *(part.pixels for part in parts)]),
        np.concatenate([np.empty(0, np.uint8), *(part.kinds for part in parts)]),
        sum(part.n_undecided for part in parts),
    )


def _search_block(
    inputs: Sequence[SearchInput],
    boxes: Sequence[Box],
    block: Box,
    along_x: bool,
    thresholds: Thresholds,
) -> dict[int, Found]:
    """Search one block; what is found by number of the input."""
    x0, x1, y0, y1 = block[0] - HALO, block[1] + HALO, block[2] - HALO, block[3] + HALO
    planes, size = {}, 0
    for number, box in enumerate(boxes):
        left, right, low, high = max(box[0], x0), min(box[1], x1), max(box[2], y0), min(box[3], y1)
        if left < right and low < high:
            planes[number] = size, left - x0, right - x0, low - y0, high - y0
            size += (right - left) * (high - low)
    pool = np.empty(size, np.float32)
    listed = {}
    for number, (offset, left, right, low, high) in planes.items():
        shape = high - low, right - left
        out = pool[offset : offset + shape[0] * shape[1]].reshape(shape)
        listed[number] = _lay(inputs[number], (left + x0, low + y0), out, block)
    stack, count = median_of_planes(
        pool, np.array(list(planes.values()), np.int64).reshape(-1, 5), y1 - y0, x1 - x0
    )
    del pool
    light, low_edge, high_edge = surroundings(stack, count)
    around = stack, light, low_edge, high_edge
    if not along_x:
        stack, light, low_edge, high_edge = (np.asfortranarray(array) for array in around)
        around = stack, light, low_edge, high_edge
    return {
        number: joined(
            [_decided(inputs[number].places, rows, around, (x0, y0), thresholds) for rows in parts]
        )
        for number, parts in listed.items()
    }


@dataclass(frozen=True)
class _Listed:
    """Pixels of some rows of an image whose centres lie on a block."""

    #: First of the rows.
    first: int
    values: np.ndarray
    errors: np.ndarray
    #: As `lay_rows` fills it.
    where: np.ndarray


def _lay(item: SearchInput, origin: tuple[int, int], out: np.ndarray, own: Box) -> list[_Listed]:
    """Lay an image on its plane, and list its pixels that are to be decided about."""
    places = item.places
    # Neighbours in a row of the image are neighbours in memory.
    height, width = out.shape
    along_x = item.places.rows_run_along_x
    sums = np.zeros((height, width, 2) if along_x else (width, height, 2))
    sums = sums if along_x else sums.swapaxes(0, 1)
    # Half a drop, and the corner of a coarse pixel.
    x0, y0 = COARSE * np.array(origin) - 2.0 * COARSE
    x1, y1 = COARSE * (np.array(origin) + (width, height)) + 2.0 * COARSE
    first, stop = places.rows_on(x0, x1, y0, y1)
    listed, side, sky = [], item.side, item.sky
    for start in range(first, stop, _ROWS):
        values, errors, good = item.read(start, min(start + _ROWS, stop))
        taken, where = np.empty(values.size, np.float32), np.empty((values.size, 2), np.int32)
        n = lay_rows(
            places.nodes, places.steps, start, values, good, sky, side, origin, sums, own, taken,
            where,
        )  # fmt: skip
        if n:
            found = errors.reshape(-1)[where[:n, 1]]
            listed.append(_Listed(start, taken[:n].copy(), found, where[:n].copy()))
    item.forget()
    means(sums, out)
    return listed


def _decided(
    places: Places,
    rows: _Listed,
    around: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    origin: tuple[int, int],
    thresholds: Thresholds,
) -> Found:
    nx = places.shape[1]
    limits = thresholds.signal_to_noise, thresholds.core, thresholds.gradient
    listed = rows.values, rows.errors, rows.where
    at, kinds, n_undecided = disagreeing(
        listed, places.nodes, places.steps, rows.first, nx, around, origin, limits
    )
    return Found(rows.first * nx + rows.where[at, 1].astype(np.int64), kinds, n_undecided)


def outliers_of(found: Found, places: Places, area: Area) -> np.ndarray:
    """Return the outliers of an image among what was found in all of an area.

    Returns
    -------
    ndarray of shape (n,), int32
        Pixels that lie on the area or within `EDGE` of it, counted along the rows of the image, in
        ascending order.
    """
    outliers = grown(found.pixels, found.kinds, places.shape)
    y, x = np.divmod(outliers, places.shape[1])
    inside = np.zeros(outliers.size, bool)
    for row in np.unique(y):
        here = y == row
        centers = places.centers(int(row), int(row) + 1)[0, x[here]] + 0.5
        inside[here] = (
            (centers >= [area.x0 - EDGE, area.y0 - EDGE])
            & (centers < [area.x1 + EDGE, area.y1 + EDGE])
        ).all(axis=1)
    return outliers[inside]

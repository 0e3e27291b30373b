"""The search for outliers of a patch, a block of it at a time.

Every image is read twice a block: for its plane of the stack, which waits in a scratch file, and to
be held against the stack. Memory is that of a block, whatever the number of images.

Ranks share the images of a block out, so that no two read the same pixels, and then its lines:
each hands its planes round by lines, and makes the stack of its own ones.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from tessella.coadd.disagreement import (
    HALO,
    RING,
    Thresholds,
    disagreeing,
    grown,
    with_surroundings,
)
from tessella.coadd.median_stack import COARSE, lay_rows, means, median_of_file
from tessella.coadd.places import Places
from tessella.coadd.search_area import EDGE, ROOM, Area, Box, Room, blocks_of
from tessella.parallel import exchange, gather_all, rank_of, share

#: Rows of an image that are read at once.
_ROWS = 128

#: Gives rows first to stop - 1 of an image: an object with `data` and `err` (float32) and `good`.
ReadRows = Callable[[int, int], Any]


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
    scratch: BinaryIO,
    comm: Any = None,
    room: Room = ROOM,
) -> list[Found]:
    """Search an area for outliers, all ranks together.

    Every pixel belongs to the block that holds its centre; nothing that is found depends on the
    blocks, on the area or on the ranks. Blocks are as wide as the area along the direction of most
    images' rows, so that few rows fall on two of them.

    Parameters
    ----------
    inputs : sequence of SearchInput
    area : Area
    thresholds : Thresholds
    scratch : binary file
        Open for reading and writing, of this rank alone; what it holds is lost.
    comm : communicator
        Of `tessella.parallel.world`.
    room : Room
        What a block may take.

    Returns
    -------
    list of Found
        What this rank found, one an input; all ranks' together (`joined`) are what there is.
    """
    boxes = [item.box for item in inputs]
    along_x = 2 * sum(item.places.rows_run_along_x for item in inputs) >= len(inputs)
    parts: list[list[Found]] = [[] for _ in inputs]
    rank, n_ranks = rank_of(comm)
    for block in blocks_of(boxes, area.coarse, along_x, room):
        x0, x1, y0, y1 = block
        whole = x0 - HALO, x1 + HALO, y0 - HALO, y1 + HALO
        touching = [number for number, box in enumerate(boxes) if _is_box(_common(box, whole))]
        planes = [(inputs[number], _common(boxes[number], whole)) for number in touching]
        stack = _stack(planes, whole, scratch, comm, room.planes)
        for number in touching[rank::n_ranks]:
            found = _decided(inputs[number], block, stack, thresholds)
            parts[number].append(joined(list(found)))
    return [joined(found) for found in parts]


def joined(parts: Sequence[Found]) -> Found:
    """Put together what was found of one image in several blocks."""
    return Found(
        np.concatenate([np.empty(0, np.int64), *(part.pixels for part in parts)]),
        np.concatenate([np.empty(0, np.uint8), *(part.kinds for part in parts)]),
        sum(part.n_undecided for part in parts),
    )


def _common(box: Box, other: Box) -> Box:
    x0, x1, y0, y1 = box
    return max(x0, other[0]), min(x1, other[1]), max(y0, other[2]), min(y1, other[3])


def _is_box(box: Box) -> bool:
    return box[0] < box[1] and box[2] < box[3]


def _stack(
    planes: Sequence[tuple[SearchInput, Box]],
    whole: Box,
    scratch: BinaryIO,
    comm: Any,
    n_bytes: int,
) -> np.ndarray:
    """Return the stack of images on a box `with_surroundings`, on every rank all of it."""
    x0, x1, y0, y1 = whole
    rank, n_ranks = rank_of(comm)
    # Lines of each rank, and around them what the surroundings need.
    first, n = share(y1 - y0, comm)
    low, high = max(first - RING, 0), min(first + n + RING, y1 - y0)
    lines = gather_all([(x0, x1, y0 + low, y0 + high)], comm)
    covered = []
    scratch.seek(0)
    for start in range(0, len(planes), n_ranks):
        at_once = planes[start : start + n_ranks]
        mine: list[np.ndarray | None] = [None] * n_ranks
        if rank < len(at_once):
            item, box = at_once[rank]
            plane = _plane(item, box)
            for other, wanted in enumerate(lines):
                _, _, bottom, top = _common(box, wanted)
                mine[other] = plane[bottom - box[2] : max(top, bottom) - box[2]]
        received = exchange(mine, comm)
        for (_, box), part in zip(at_once, received, strict=False):
            left, right, bottom, top = _common(box, lines[rank])
            if bottom < top:
                scratch.write(part.data)
                edges = left - x0, right - x0, bottom - y0 - low, top - y0 - low
                covered.append(edges)
    scratch.flush()
    stack, count = median_of_file(scratch, covered, high - low, x1 - x0, n_bytes)
    own = with_surroundings(stack, count)[first - low : first - low + n]
    return np.concatenate(gather_all([own], comm))


def _plane(item: SearchInput, box: Box) -> np.ndarray:
    """Return an image on the coarse grid, NaN where it does not count."""
    origin, width, height = (box[0], box[2]), box[1] - box[0], box[3] - box[2]
    # Neighbours in a row of the image are neighbours in memory.
    along_x = item.places.rows_run_along_x
    sums = np.zeros((height, width, 2) if along_x else (width, height, 2))
    sums = sums if along_x else sums.swapaxes(0, 1)
    places, sky, side = item.places, item.sky, item.side
    for start, rows in _rows_on(item, box):
        lay_rows(places.nodes, places.steps, start, rows.data, rows.good, sky, side, origin, sums)
    out = np.empty((height, width), np.float32)
    means(sums, out)
    return out


def _rows_on(item: SearchInput, box: Box) -> Iterator[tuple[int, Any]]:
    """Give the rows of an image that may touch coarse pixels, and the first of them."""
    # Half a drop, and the corner of a coarse pixel.
    x0, x1, y0, y1 = (
        COARSE * (edge + side) for edge, side in zip(box, (-2, 2, -2, 2), strict=True)
    )
    first, stop = item.places.rows_on(x0, x1, y0, y1)
    for start in range(first, stop, _ROWS):
        yield start, item.read(start, min(start + _ROWS, stop))
    item.forget()


def _decided(
    item: SearchInput,
    block: Box,
    stack: np.ndarray,
    thresholds: Thresholds,
) -> Iterator[Found]:
    """Hold the pixels of an image whose centres lie on a block against the stack."""
    places = item.places
    limits = thresholds.signal_to_noise, thresholds.core, thresholds.gradient
    for start, rows in _rows_on(item, block):
        pixels = rows.data, rows.err, rows.good
        yield Found(
            *disagreeing(*pixels, item.sky, places.nodes, places.steps, start, block, stack, limits)
        )


def outliers_of(found: Found, places: Places, area: Area) -> np.ndarray:
    """Return the outliers of an image among what was found in all of an area.

    Returns
    -------
    ndarray of shape (n,), int32
        Pixels that lie on the area or within `EDGE` of it, counted along the rows of the image, in
        ascending order.
    """
    outliers = grown(found.pixels, found.kinds, places.shape)
    centers = places.centers_of(outliers) + 0.5
    low, high = (area.x0 - EDGE, area.y0 - EDGE), (area.x1 + EDGE, area.y1 + EDGE)
    inside = ((centers >= low) & (centers < high)).all(axis=1)
    return outliers[inside]

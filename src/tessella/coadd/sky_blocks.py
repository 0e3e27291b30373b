"""The sky of an image in blocks of its region's lattice."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tessella.coadd.places import Places, along_row, row_of_nodes, stencils
from tessella.compiled import kernel

#: Side of a block [pixels of the lattice]; blocks start at multiples of it, so that they are the
#: same for all images of a region.
BLOCK = 128
#: Every fourth pixel of every fourth row is looked at: some 256 tell the median of a block to
#: 1.25 / 16 = 8 % of the noise of a pixel, and an image has thousands of blocks.
STRIDE = 4
#: A block with fewer good ones does not count.
FEWEST = 64
#: Values so many standard deviations from the median are left out, and how often.
_CLIP, _ROUNDS = 3.0, 5
#: Rows of an image that are read at once; a multiple of `STRIDE`.
_ROWS = 128

#: Values, variances (float32) and whether they count (bool) of rows first to stop - 1 of an image,
#: each (stop - first, nx).
ReadRows = Callable[[int, int], tuple[np.ndarray, np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class SkyBlocks:
    """The sky of one image; arrays (n_blocks,), in ascending order of the blocks."""

    #: Column and row of each block on the region's lattice, (n_blocks, 2) int64.
    blocks: np.ndarray
    #: Clipped median [MJy / sr], and number of pixels that it is of.
    levels: np.ndarray
    counts: np.ndarray
    #: (n_blocks, 2): mean x and y of those pixels from the centre of the image [pixels].
    centers: np.ndarray
    #: Median variance of the image's good pixels [(MJy / sr)^2]; NaN where there are none.
    variance: float
    #: Clipped median of all good pixels of an image that has no block [MJy / sr]; NaN of others,
    #: and where no pixel is good.
    alone: float = np.nan


#: Of an image without a good pixel, or of which none is to count.
NO_SKY = SkyBlocks(
    np.empty((0, 2), np.int64), np.empty(0), np.empty(0, np.int64), np.empty((0, 2)), np.nan
)


@kernel
def _places_of_samples(
    nodes: np.ndarray, steps: tuple[float, float], rows: np.ndarray, nx: int, out: np.ndarray
) -> None:
    """Fill in the blocks (column, row) of every `STRIDE`-th pixel of some rows."""
    line, centers = np.empty((nodes.shape[1], 2)), np.empty((nx, 2))
    first, weights = stencils(nodes.shape[1], steps[1], 0.5, nx)
    for j in range(rows.size):
        row_of_nodes(nodes, (rows[j] + 0.5) / steps[0], 0, nodes.shape[1], line)
        for i in range(0, nx, STRIDE):
            along_row(line, first, weights, i, i + 1, centers)
            for axis in range(2):
                out[j, i // STRIDE, axis] = int(np.floor((centers[i, axis] + 0.5) / BLOCK))


@kernel
def clipped_median(ordered: np.ndarray) -> tuple[float, int, int]:
    """Return the median of sorted values without those far from it, and which ones were kept.

    Values more than 3 standard deviations from the median are left out, up to five times. The
    standard deviation is 1.4826 times the distance from the lower quartile to the median: there is
    little light of sources below it.

    Returns
    -------
    median : float
    first, stop : int
        The range of the values that were kept.

    Examples
    --------
    >>> clipped_median(np.array([0.9, 1.0, 1.0, 1.1, 1.1, 90.0]))
    (1.0, 0, 5)
    """
    first, stop = 0, ordered.size
    middle = _middle(ordered, first, stop)
    for _ in range(_ROUNDS):
        spread = 1.4826 * (middle - ordered[first + (stop - first) // 4])
        if spread <= 0:
            break
        low = first + np.searchsorted(ordered[first:stop], middle - _CLIP * spread)
        high = first + np.searchsorted(ordered[first:stop], middle + _CLIP * spread, side="right")
        if low == first and high == stop:
            break
        first, stop = low, high
        middle = _middle(ordered, first, stop)
    return middle, first, stop


@kernel
def _middle(ordered: np.ndarray, first: int, stop: int) -> float:
    n = stop - first
    upper = ordered[first + n // 2]
    return upper if n % 2 else 0.5 * (ordered[first + n // 2 - 1] + upper)


@kernel
def _medians_of_groups(values: np.ndarray, starts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the clipped median of each group of values, and the number kept; groups are sorted."""
    n = starts.size - 1
    medians, counts = np.empty(n), np.empty(n, np.int64)
    for g in range(n):
        ordered = np.sort(values[starts[g] : starts[g + 1]])
        middle, first, stop = clipped_median(ordered)
        medians[g], counts[g] = middle, stop - first
    return medians, counts


def sky_blocks(places: Places, read: ReadRows) -> SkyBlocks:
    """Measure the sky of an image in blocks, a few rows at a time.

    Parameters
    ----------
    places : Places
        On the region's lattice.
    read : callable
        Gives values, variances and whether pixels count, of some rows.

    Returns
    -------
    SkyBlocks
        Blocks with at least `FEWEST` good pixels among every fourth of every fourth row; `NO_SKY`
        where none of those is good.
    """
    ny, nx = places.shape
    kept: list[tuple[np.ndarray, ...]] = []
    for start in range(0, ny, _ROWS):
        stop = min(start + _ROWS, ny)
        values, variances, good = (array[::STRIDE, ::STRIDE] for array in read(start, stop))
        rows = np.arange(start, stop, STRIDE)
        blocks = np.empty((*values.shape, 2), np.int64)
        _places_of_samples(places.nodes, places.steps, rows, nx, blocks)
        y, x = np.nonzero(good)
        kept.append((blocks[good], values[good], variances[good], x * STRIDE, rows[y]))
    blocks, values, variances, x, y = (np.concatenate(parts) for parts in zip(*kept, strict=True))
    if not values.size:
        return NO_SKY
    low = blocks.min(axis=0)
    width = int(blocks[:, 0].max() - low[0] + 1)
    number = (blocks[:, 1] - low[1]) * width + blocks[:, 0] - low[0]
    # Numbers of 16 bits are sorted in a fraction of the time.
    small = number.astype(np.uint16) if number.max() < 1 << 16 else number
    order = np.argsort(small, kind="stable")
    ordered = number[order]
    starts = np.flatnonzero(np.diff(ordered, prepend=-1))
    found, bounds = ordered[starts], np.append(starts, number.size)
    sizes = np.diff(bounds)
    medians, counts = _medians_of_groups(values[order].astype(np.float64), bounds)
    centers = np.stack(
        [np.add.reduceat(at[order], starts) / sizes - (n - 1) / 2 for at, n in ((x, nx), (y, ny))],
        axis=-1,
    )
    enough = sizes >= FEWEST
    alone = np.nan if enough.any() else clipped_median(np.sort(values.astype(np.float64)))[0]
    return SkyBlocks(
        blocks=np.stack([found % width, found // width], axis=-1)[enough] + low,
        levels=medians[enough],
        counts=counts[enough],
        centers=centers[enough],
        variance=float(np.median(variances)),
        alone=float(alone),
    )

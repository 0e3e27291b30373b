"""A block of a coadd: images added to its sums or taken out again, and what the sums say."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tessella.coadd.accumulate import (
    LARGEST,
    LARGEST_NOISE,
    QUANTA,
    REACH,
    Box,
    Sums,
    _add_rows,
    _fold,
)
from tessella.coadd.drizzle_kernel import room_of
from tessella.coadd.places import Places
from tessella.compiled import kernel

#: Rows of an image that are held at a time. They begin at whole multiples, so that what an image
#: gives to a pixel is added up in one order, whatever the block.
STRIP = 256
#: Arrays of a coadd.
IMAGES = ("data", "err", "var_poisson", "var_rnoise", "weight", "exposure_time")
#: Rows of an image to data [MJy / sr], its variances by photons and reading, and which are good.
ReadRows = Callable[[int, int], Any]


@dataclass(frozen=True)
class Contribution:
    """One image as it is added."""

    name: str
    places: Places
    #: Of every good pixel [(MJy / sr)^-2]; 0 adds nothing.
    weight: float
    #: [s]
    exposure_time: float
    #: Sky level at the centre of the image [MJy / sr], and its rise with column and row.
    level: float
    slope_x: float
    slope_y: float
    #: Pixels that are left out, counted along the rows, in ascending order.
    outliers: np.ndarray
    #: Number of its bit in the context.
    slot: int


def add_image(
    sums: Sums,
    terms: np.ndarray,
    item: Contribution,
    read: ReadRows,
    pixfrac: float,
    cells: np.ndarray,
    sign: int = 1,
) -> np.ndarray:
    """Add an image to a block, or take it out.

    Parameters
    ----------
    sums : Sums
        Changed in place.
    terms : ndarray of shape (ny, nx, 4), float32
        Zeros; they are zeros again afterwards.
    item : Contribution
    read : callable
        Gives rows of the image: an object with `data`, `var_poisson`, `var_rnoise` and `good`.
    pixfrac : float
        Side of the drop over the side of the pixel.
    cells : ndarray of shape (n_cells, 4), int
        First column and row, width and height of each cell, on the region's lattice.
    sign : int
        1 adds, -1 takes out what was added in the same way.

    Returns
    -------
    ndarray of shape (n_cells, 2 REACH + 1, 2 REACH + 1), int64
        Sums of products of the overlaps of sampled pixels, by offset.

    Raises
    ------
    ValueError
        If the sums or the noise of the image are larger than what the quanta can hold.
    """
    products = np.zeros((len(cells), 2 * REACH + 1, 2 * REACH + 1), np.int64)
    box, places = sums.box, item.places
    if item.weight == 0 or not box.overlaps(places.box):
        return products
    if item.weight < LARGEST_NOISE**-2:
        raise ValueError(
            f"{item.name}: the noise of its sky is {item.weight**-0.5:.3g} MJy / sr; coadds are "
            f"kept for images with less than {LARGEST_NOISE:g}"
        )
    ny, nx = places.shape
    room, margin = _extent(places, pixfrac)
    first, stop = places.rows_on(
        box.x0 - 0.5, box.x0 + box.nx - 0.5, box.y0 - 0.5, box.y0 + box.ny - 0.5
    )
    for start in range(first - first % STRIP, stop, STRIP):
        end = min(start + STRIP, ny)
        rows = read(start, end)
        data, good = _prepared(item, rows, start, (ny, nx))
        _add_rows(
            places.nodes, *places.steps, margin, start, data, rows.var_poisson, rows.var_rnoise,
            good, pixfrac, box.x0, box.y0, terms, cells, products, room,
        )  # fmt: skip
    x0, x1, y0, y1 = places.box
    largest = _fold(
        terms,
        max(0, int(y0) - box.y0 - 2),
        min(box.ny, int(y1) - box.y0 + 3),
        max(0, int(x0) - box.x0 - 2),
        min(box.nx, int(x1) - box.x0 + 3),
        item.weight,
        item.exposure_time,
        sign,
        sums.planes,
        sums.context[item.slot // 32 - sums.first_plane],
        np.uint32(1 << (item.slot % 32)),
    )
    if not 0 <= largest < LARGEST:
        raise ValueError(
            f"{item.name}: with it sums become larger than 64-bit integers hold; its values or its "
            f"weight {item.weight:.3g} cannot be right"
        )
    return products


def _extent(places: Places, pixfrac: float) -> tuple[int, float]:
    """Return how many lattice pixels a pixel touches along an axis, and a margin around boxes."""
    # Between nodes the size of a pixel changes by less than a hundredth of it.
    step_y, step_x = places.steps
    along_x = np.abs(np.diff(places.nodes, axis=1)[:-1]) / step_x
    along_y = np.abs(np.diff(places.nodes, axis=0)[:, :-1]) / step_y
    largest = room_of(1.01 * float((along_x + along_y).max()), pixfrac, 1.0)
    return largest, 2.0 + largest


def _prepared(
    item: Contribution, rows: Any, first: int, shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Return data less the sky, and which pixels count."""
    ny, nx = shape
    n = rows.data.shape[0]
    columns = np.arange(nx, dtype=np.float32) - np.float32((nx - 1) / 2)
    data = rows.data - (np.float32(item.level) + np.float32(item.slope_x) * columns)
    if item.slope_y:
        rise = item.slope_y * (np.arange(first, first + n) - (ny - 1) / 2)
        data -= rise.astype(np.float32)[:, None]
    good = rows.good.copy()
    low, high = np.searchsorted(item.outliers, [first * nx, (first + n) * nx])
    good.reshape(-1)[item.outliers[low:high] - first * nx] = False
    return data, good


def blocks_of(box: Box, first: int, count: int, rows: int, columns: int) -> list[Box]:
    """Cut rows `first` to `first + count` - 1 of a rectangle into blocks.

    Examples
    --------
    >>> [block.shape for block in blocks_of(Box(0, 0, 5, 9), 3, 6, 4, 4)]
    [(4, 4), (4, 1), (2, 4), (2, 1)]
    """
    return [
        Box(box.x0 + x, box.y0 + y, min(columns, box.nx - x), min(rows, first + count - y))
        for y in range(first, first + count, rows)
        for x in range(0, box.nx, columns)
    ]


def renumbered(context: np.ndarray, slots: Sequence[int]) -> np.ndarray:
    """Return a context whose bit k is that of the k-th of `slots`."""
    out = np.zeros((max(1, -(-len(slots) // 32)), *context.shape[1:]), np.uint32)
    if list(slots) == list(range(len(slots))):
        out[:] = context[: len(out)]
        return out
    for k, slot in enumerate(slots):
        bits = (context[slot // 32] >> np.uint32(slot % 32)) & np.uint32(1)
        out[k // 32] |= bits << np.uint32(k % 32)
    return out


def slots_in(context: np.ndarray) -> set[int]:
    """Return the slots of the inputs that count somewhere."""
    found = [int(np.bitwise_or.reduce(plane, axis=None)) for plane in context]
    return {32 * j + k for j, bits in enumerate(found) for k in range(32) if bits >> k & 1}


@kernel
def _fill_images(planes: np.ndarray, quanta: np.ndarray, images: np.ndarray) -> None:
    for y in range(planes.shape[1]):
        for x in range(planes.shape[2]):
            weight = planes[1, y, x] * quanta[1]
            known = weight if weight > 0 else np.nan
            poisson = planes[2, y, x] * quanta[2] / (known * known)
            read = planes[3, y, x] * quanta[3] / (known * known)
            images[0, y, x] = planes[0, y, x] * quanta[0] / known
            images[1, y, x] = np.sqrt(poisson + read)
            images[2, y, x], images[3, y, x] = poisson, read
            images[4, y, x], images[5, y, x] = weight, planes[4, y, x] * quanta[4]


def images_of(sums: Sums) -> dict[str, np.ndarray]:
    """Return the images of a coadd.

    Returns
    -------
    dict of str to ndarray of shape (ny, nx), float32
        `data` and `err` [MJy / sr], `var_poisson` and `var_rnoise` [(MJy / sr)^2], NaN where no
        input counts; `weight` [(MJy / sr)^-2] and `exposure_time` [s], 0 there.
    """
    images = np.empty((len(IMAGES), *sums.box.shape), np.float32)
    _fill_images(sums.planes, np.array(QUANTA), images)
    return dict(zip(IMAGES, images, strict=True))


def noise_correlation(parts: Iterable[tuple[float, np.ndarray]]) -> np.ndarray:
    """Return the correlation of the noise of two pixels by their offset.

    Drizzling gives each detector pixel to several pixels of the lattice; their noise is therefore
    correlated, and the noise of a sum of them larger than that of independent pixels would be. The
    covariance at an offset is the sum over detector pixels of the products of their overlaps with
    two lattice pixels of that offset, times the square of the weight and the variance: the weight.

    Parameters
    ----------
    parts : iterable of (float, ndarray)
        Weight of each input, and the sums of products that `add_image` gave for it.

    Returns
    -------
    ndarray of shape (2 REACH + 1, 2 REACH + 1)
        Mean covariance at offset (dy, dx) over the mean variance: 1 in the middle. 0 beyond the
        middle where there are no inputs.
    """
    total = np.zeros((2 * REACH + 1, 2 * REACH + 1))
    for weight, products in parts:
        total = total + weight * products
    middle = total[REACH, REACH]
    if middle > 0:
        return np.asarray(total / middle)
    total[REACH, REACH] = 1.0
    return total

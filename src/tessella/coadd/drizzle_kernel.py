"""Drizzling: each detector pixel is laid as a quadrilateral on the lattice and shared out by area.

Fruchter & Hook 2002, PASP 114, 144, doi:10.1086/338393 (square kernel, exact overlaps). Areas are
not found by clipping the quadrilateral with one lattice pixel after the other, but as scan
converters of outlines find the coverage of pixels: in every row of the lattice an edge has a signed
area between it and each border of columns, and differences of their sums over the four edges are
the overlaps (Green's theorem). Without a branch, that goes for many pixels side by side.

Lattice pixel (k, l) is the unit square about the point (k, l).
"""

import numpy as np

from tessella.coadd.places import FRACTION
from tessella.compiled import kernel

#: Pixels that are worked on side by side.
BATCH = 64
#: Of them, so many at a time when extremes are looked for.
_LANES = 8
#: Areas below this are rounding errors of edges that meet.
_NO_AREA = 1e-9


@kernel
def _shrunk(corner: float, middle: float, pixfrac: float) -> float:
    return np.rint((middle + pixfrac * (corner - middle)) / FRACTION) * FRACTION


@kernel
def _set_corners(
    lower: np.ndarray,
    upper: np.ndarray,
    start: int,
    n: int,
    pixfrac: float,
    scale: float,
    places: np.ndarray,
    column: np.ndarray,
    row: np.ndarray,
) -> None:
    """Fill in the corners of drops, around each, from the corner of the first pixel they touch."""
    for p in range(n):
        i = start + p
        ax, bx, cx, dx = lower[i, 0], lower[i + 1, 0], upper[i + 1, 0], upper[i, 0]
        ay, by, cy, dy = lower[i, 1], lower[i + 1, 1], upper[i + 1, 1], upper[i, 1]
        if pixfrac < 1.0:
            mx, my = 0.25 * (ax + bx + cx + dx), 0.25 * (ay + by + cy + dy)
            # Rounded again, so that nothing depends on where the lattice begins.
            ax, ay = _shrunk(ax, mx, pixfrac), _shrunk(ay, my, pixfrac)
            bx, by = _shrunk(bx, mx, pixfrac), _shrunk(by, my, pixfrac)
            cx, cy = _shrunk(cx, mx, pixfrac), _shrunk(cy, my, pixfrac)
            dx, dy = _shrunk(dx, mx, pixfrac), _shrunk(dy, my, pixfrac)
        if scale != 1.0:
            ax, ay = (ax + 0.5) / scale - 0.5, (ay + 0.5) / scale - 0.5
            bx, by = (bx + 0.5) / scale - 0.5, (by + 0.5) / scale - 0.5
            cx, cy = (cx + 0.5) / scale - 0.5, (cy + 0.5) / scale - 0.5
            dx, dy = (dx + 0.5) / scale - 0.5, (dy + 0.5) / scale - 0.5
        column[p] = np.floor(min(min(ax, bx), min(cx, dx)) + 0.5)
        row[p] = np.floor(min(min(ay, by), min(cy, dy)) + 0.5)
        ox, oy = column[p] - 0.5, row[p] - 0.5
        for k, (x, y) in enumerate(((ax, ay), (bx, by), (cx, cy), (dx, dy), (ax, ay))):
            places[k * BATCH + p] = x - ox
            places[(5 + k) * BATCH + p] = y - oy


@kernel
def overlaps(
    lower: np.ndarray,
    upper: np.ndarray,
    start: int,
    n: int,
    pixfrac: float,
    scale: float,
    places: np.ndarray,
    work: np.ndarray,
    column: np.ndarray,
    row: np.ndarray,
    area: np.ndarray,
) -> None:
    """Find the overlaps of neighbouring pixels of a row with the lattice.

    Parameters
    ----------
    lower, upper : ndarray of shape (nx + 1, 2)
        Corners of a row of pixels; pixel i has those with index i and i + 1.
    start, n : int
        First pixel and number of pixels, at most `BATCH`.
    pixfrac : float
        Side of the drop over the side of the pixel.
    scale : float
        Side of the pixels that are filled [lattice pixels].
    places, work : ndarray of shape (10 * BATCH,)
        For the kernel's own use; zeros at first.
    column, row : ndarray of shape (BATCH,), float
        Changed: the pixel of the lattice at which the areas of each pixel begin.
    area : ndarray of shape (room, room, BATCH)
        Changed: overlap with the pixel (row, column) of the lattice from there on [pixels that are
        filled]. The room must hold any pixel: `room_for`.
    """
    _set_corners(lower, upper, start, n, pixfrac, scale, places, column, row)
    room = area.shape[0]
    area[:] = 0.0
    signs = work[6 * BATCH : 7 * BATCH]
    for p in range(n):
        # Which way round the corners go tells the sign.
        ux, uy = places[2 * BATCH + p] - places[p], places[7 * BATCH + p] - places[5 * BATCH + p]
        vx, vy = places[3 * BATCH + p] - places[BATCH + p], places[8 * BATCH + p]
        signs[p] = -1.0 if ux * (vy - places[6 * BATCH + p]) < vx * uy else 1.0
    for edge in range(4):
        low_y, high_y = _bounds(places, 5 + edge, work)
        _, high_x = _bounds(places, edge, work)
        # Rows that no edge of the batch touches, and columns to the right of all, get nothing.
        first, stop = max(int(np.floor(low_y)), 0), min(int(np.ceil(high_y)), room)
        n_borders = min(max(int(np.ceil(high_x + 1e-6)) - 1, 0), room - 1)
        _set_slopes(places[edge * BATCH :], n, work)
        for r in range(first, stop):
            _add_edges(places[edge * BATCH :], n, float(r), n_borders, work, area[r])


@kernel
def _bounds(places: np.ndarray, corner: int, work: np.ndarray) -> tuple[float, float]:
    """Return the smallest and largest of a coordinate at both ends of an edge, over the batch."""
    low, high = work[7 * BATCH : 7 * BATCH + _LANES], work[8 * BATCH : 8 * BATCH + _LANES]
    start = corner * BATCH
    for lane in range(_LANES):
        low[lane] = high[lane] = places[start + lane]
    # Both ends lie one after the other.
    for k in range(start + _LANES, start + 2 * BATCH, _LANES):
        for lane in range(_LANES):
            value = places[k + lane]
            low[lane], high[lane] = min(low[lane], value), max(high[lane], value)
    smallest, largest = low[0], high[0]
    for lane in range(1, _LANES):
        smallest, largest = min(smallest, low[lane]), max(largest, high[lane])
    return smallest, largest


@kernel
def _set_slopes(places: np.ndarray, n: int, work: np.ndarray) -> None:
    for p in range(n):
        dx, dy = places[BATCH + p] - places[p], places[6 * BATCH + p] - places[5 * BATCH + p]
        work[5 * BATCH + p] = dx / (dy if dy != 0.0 else 1.0)


@kernel
def _add_edges(
    places: np.ndarray, n: int, floor: float, n_borders: int, work: np.ndarray, area: np.ndarray
) -> None:
    """Add an edge of each pixel to the areas of one row of the lattice, from `floor` to one above.

    The mean of max(x - c, 0) along a part of the edge is the share of it with x > c times the mean
    of x - c there, half the sum of what its ends have. Beyond the first `n_borders` there is
    nothing.

    The arrays are parts of few large ones: only then does the compiler see that none lies upon
    another, and works on several pixels with one instruction.
    """
    for p in range(n):
        x0, y0 = places[p], places[5 * BATCH + p]
        y1, slope = places[6 * BATCH + p], work[5 * BATCH + p]
        ya = min(max(y0, floor), floor + 1.0)
        yb = min(max(y1, floor), floor + 1.0)
        a, b = x0 + slope * (ya - y0), x0 + slope * (yb - y0)
        height = 0.5 * (yb - ya) * work[6 * BATCH + p]
        work[p], work[BATCH + p] = a, b
        work[2 * BATCH + p] = height
        work[3 * BATCH + p] = 1.0 / max(abs(b - a), 1e-30)
        work[4 * BATCH + p] = height * (a + b)
    for c in range(n_borders):
        border = c + 1.0
        here = area[c]
        for p in range(n):
            pa, pb = max(work[p] - border, 0.0), max(work[BATCH + p] - border, 0.0)
            share = min(max(pa, pb) * work[3 * BATCH + p], 1.0)
            beyond = work[2 * BATCH + p] * share * (pa + pb)
            here[p] += work[4 * BATCH + p] - beyond
            work[4 * BATCH + p] = beyond
    last = area[n_borders]
    for p in range(n):
        last[p] += work[4 * BATCH + p]


@kernel
def room_of(extent: float, pixfrac: float, scale: float) -> int:
    """Return how many lattice pixels along an axis pixels of some extent touch at most."""
    return int(np.ceil(extent * pixfrac / scale + 1e-3)) + 1


@kernel
def room_for(corners: np.ndarray, pixfrac: float, scale: float) -> int:
    """Return the number of lattice pixels, along x and y, that any pixel of these corners touches.

    `corners` may be those of every k-th pixel: the largest distance along x or y of neighbouring
    corners, twice, bounds the extent of a pixel.
    """
    largest = 0.0
    for j in range(corners.shape[0] - 1):
        for i in range(corners.shape[1] - 1):
            for axis in range(2):
                p, q = corners[j, i, axis], corners[j, i + 1, axis]
                s, t = corners[j + 1, i, axis], corners[j + 1, i + 1, axis]
                size = max(max(p, q), max(s, t)) - min(min(p, q), min(s, t))
                largest = max(largest, size)
    return room_of(largest, pixfrac, scale)


@kernel
def _drizzle_alone(
    values: np.ndarray,
    weights: np.ndarray,
    corners: np.ndarray,
    x0: int,
    y0: int,
    scale: float,
    pixfrac: float,
    mean: np.ndarray,
    weight: np.ndarray,
) -> None:
    room = room_for(corners, pixfrac, scale)
    area, places, work = np.empty((room, room, BATCH)), np.zeros(10 * BATCH), np.zeros(10 * BATCH)
    column, row = np.empty(BATCH), np.empty(BATCH)
    ny, nx = mean.shape
    for j in range(values.shape[0]):
        lower, upper = corners[j], corners[j + 1]
        for start in range(0, values.shape[1], BATCH):
            n = min(BATCH, values.shape[1] - start)
            overlaps(lower, upper, start, n, pixfrac, scale, places, work, column, row, area)
            for p in range(n):
                w, value = weights[j, start + p], values[j, start + p]
                if not w > 0:
                    continue
                x, y = int(column[p]) - x0, int(row[p]) - y0
                for r in range(max(0, -y), min(room, ny - y)):
                    for c in range(max(0, -x), min(room, nx - x)):
                        a = area[r, c, p]
                        if a > _NO_AREA:
                            mean[y + r, x + c] += a * w * value
                            weight[y + r, x + c] += a * w
    for y in range(ny):
        for x in range(nx):
            mean[y, x] = mean[y, x] / weight[y, x] if weight[y, x] > 0 else np.nan


def drizzle_alone(
    values: np.ndarray,
    weights: np.ndarray,
    corners: np.ndarray,
    box: tuple[int, int, int, int],
    scale: int = 1,
    pixfrac: float = 1.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Drizzle rows of one image on a rectangle of the lattice, or of one with larger pixels.

    Parameters
    ----------
    values : ndarray of shape (n, nx)
    weights : ndarray of shape (n, nx)
        0 (or NaN) where a pixel does not count.
    corners : ndarray of shape (n + 1, nx + 1, 2)
        `tessella.coadd.places.Places.corners`: positions on the lattice [pixels].
    box : tuple of int
        First column and the one after the last, first row and the one after the last, in pixels of
        the result.
    scale : int
        Side of the pixels of the result [lattice pixels]. Pixel (k, l) of it is made of lattice
        pixels (scale k ..., scale l ...): the phase is that of the lattice, whatever the box.
    pixfrac : float
        Side of the drop over the side of the pixel.

    Returns
    -------
    mean : ndarray of shape (y1 - y0, x1 - x0)
        Weighted mean; NaN where nothing falls.
    weight : ndarray of the same shape
        Sum of weight times overlap [pixels of the result].

    Examples
    --------
    >>> y, x = np.mgrid[:3, :3] * 2.0 - 0.5
    >>> mean, weight = drizzle_alone(
    ...     np.array([[1.0, 2.0], [3.0, 4.0]]), np.ones((2, 2)), np.stack([x, y], -1), (0, 4, 0, 4)
    ... )
    >>> mean[:, 0].tolist(), weight[0].tolist()
    ([1.0, 1.0, 3.0, 3.0], [1.0, 1.0, 1.0, 1.0])
    """
    x0, x1, y0, y1 = box
    mean, weight = np.zeros((y1 - y0, x1 - x0)), np.zeros((y1 - y0, x1 - x0))
    _drizzle_alone(
        np.asarray(values), np.asarray(weights), corners, x0, y0, float(scale), pixfrac,
        mean, weight,
    )  # fmt: skip
    return mean, weight

"""The robust stack that outliers are told from: every image alone on a coarse grid, their median.

The grid has pixels of 2 x 2 pixels of the region's lattice (0.11 arcsec, a detector pixel), the
same for all cells and patches of the region. *Coarse* coordinates count its pixels; the centre of
coarse pixel k is 2 k + 0.5 on the lattice.

An image on that grid is a *plane*. Planes wait in a scratch file for their median: memory does not
grow with the number of images.
"""

import os
from collections.abc import Sequence
from typing import BinaryIO

import numpy as np

from tessella.coadd.places import along_row, row_of_nodes, stencils
from tessella.compiled import kernel

#: Side of a coarse pixel [pixels of the lattice].
COARSE = 2
#: Share of a coarse pixel that an image must cover with good pixels to count there.
# ASSUME: 0.3. What less covers it lies to one side of it, and is off by the gradient.
LEAST_COVER = 0.3


@kernel
def lay_rows(
    nodes: np.ndarray,
    steps: tuple[float, float],
    first_row: int,
    values: np.ndarray,
    good: np.ndarray,
    sky: tuple[float, float, float],
    side: float,
    origin: tuple[int, int],
    sums: np.ndarray,
) -> None:
    """Lay rows of an image on the coarse grid.

    The drop of a pixel is a square of its area, turned to the grid (Fruchter & Hook 2002, the
    "turbo" kernel): the stack is compared with pixels, no flux is measured on it.

    Parameters
    ----------
    nodes, steps
        Of the image's `tessella.coadd.places.Places`.
    first_row : int
        Row of the image that the arrays start at.
    values, good : ndarray of shape (n, nx)
        Surface brightness; whether a pixel counts.
    sky : tuple of float
        Level at the image's first pixel, and its rise with column and row, that is taken off.
    side : float
        Side of the drop [coarse pixels].
    origin : tuple of int
        Coarse x and y of the first pixel of the plane.
    sums : ndarray of shape (height, width, 2)
        Sums of value times overlap, and of overlap; added to.
    """
    n_rows, nx = values.shape
    height, width = sums.shape[:2]
    line = np.empty((nodes.shape[1], 2))
    centers = np.empty((nx, 2))
    first_node, weights = stencils(nodes.shape[1], steps[1], 0.5, nx)
    plane = origin[0], origin[0] + width, origin[1], origin[1] + height
    half = 0.5 * side
    for j in range(n_rows):
        row_of_nodes(nodes, (first_row + j + 0.5) / steps[0], 0, nodes.shape[1], line)
        for k in range(nodes.shape[1] - 1):
            start, stop = columns_near(line, k, steps[1], nx, plane, side)
            along_row(line, first_node, weights, start, stop, centers)
            base = sky[0] + sky[2] * (first_row + j)
            for i in range(start, stop):
                if not good[j, i]:
                    continue
                value = values[j, i] - (base + sky[1] * i)
                u, v = coarse(centers[i, 0]), coarse(centers[i, 1])
                # Edges of the drop, in pixels of the plane that begin at whole numbers.
                left, right = u - half + 0.5 - origin[0], u + half + 0.5 - origin[0]
                low, high = v - half + 0.5 - origin[1], v + half + 0.5 - origin[1]
                if right <= 0 or high <= 0:
                    continue
                for b in range(max(int(np.floor(low)), 0), min(int(np.ceil(high)), height)):
                    across = min(high, b + 1.0) - max(low, float(b))
                    for a in range(max(int(np.floor(left)), 0), min(int(np.ceil(right)), width)):
                        overlap = across * (min(right, a + 1.0) - max(left, float(a)))
                        sums[b, a, 0] += overlap * value
                        sums[b, a, 1] += overlap


@kernel
def columns_near(
    line: np.ndarray,
    k: int,
    step: float,
    nx: int,
    box: tuple[int, int, int, int],
    side: float,
) -> tuple[int, int]:
    """Return the pixels of a row between its nodes k and k + 1, none where the box is far.

    The box is of coarse pixels x0, x1, y0, y1. Drops, squares of a `side`, may be turned, and a row
    may bend by a pixel of the lattice.
    """
    margin = COARSE * (side + 1.0) + 1.0
    if (
        max(line[k, 0], line[k + 1, 0]) < COARSE * box[0] - margin
        or min(line[k, 0], line[k + 1, 0]) > COARSE * box[1] + margin
        or max(line[k, 1], line[k + 1, 1]) < COARSE * box[2] - margin
        or min(line[k, 1], line[k + 1, 1]) > COARSE * box[3] + margin
    ):
        return 0, 0
    return max(int(np.ceil(k * step - 0.5)), 0), min(int(np.ceil((k + 1) * step - 0.5)), nx)


@kernel
def coarse(position: float) -> float:
    """Return a position on the lattice in coarse pixels, 0 at the centre of the first one."""
    return (position - 0.5 * (COARSE - 1)) * (1.0 / COARSE)


@kernel
def means(sums: np.ndarray, out: np.ndarray) -> None:
    """Divide sums by cover into `out`, float32; NaN where there is less than `LEAST_COVER`."""
    for y in range(out.shape[0]):
        for x in range(out.shape[1]):
            enough = sums[y, x, 1] >= LEAST_COVER
            out[y, x] = sums[y, x, 0] / sums[y, x, 1] if enough else np.nan


@kernel
def _middle(values: np.ndarray, n: int) -> float:
    """Median of the first `n` values, of two the lower one; `values` is reordered."""
    if n == 2:
        return min(values[0], values[1])
    if n > 24:
        values[:n].sort()
    else:
        for k in range(1, n):
            value, m = values[k], k
            while m > 0 and values[m - 1] > value:
                values[m] = values[m - 1]
                m -= 1
            values[m] = value
    upper = values[n // 2]
    return upper if n % 2 else 0.5 * (values[n // 2 - 1] + upper)


@kernel
def median_of_planes(
    pool: np.ndarray, planes: np.ndarray, height: int, width: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the median of planes that each cover a rectangle of a block.

    Parameters
    ----------
    pool : ndarray of shape (n,), float32
        The planes' values one after the other; NaN where an image does not count.
    planes : ndarray of shape (n_planes, 5), int64
        First value in `pool`, and x0, x1, y0, y1 in the block.
    height, width : int
        Of the block.

    Returns
    -------
    median : ndarray of shape (height, width), float32
        Of two values the lower one: of two exposures that disagree the brighter one is wrong, as
        cosmic rays only add light. NaN where fewer than two images count.
    count : ndarray of shape (height, width), uint16
        Number of images that count.

    Examples
    --------
    >>> pool = np.array([1, 5, np.nan, 3, 2, 2, 2, 2], np.float32)
    >>> planes = np.array([[0, 0, 2, 0, 2], [4, 0, 2, 0, 2]])
    >>> median_of_planes(pool, planes, 2, 2)[0].tolist()
    [[1.0, 2.0], [nan, 2.0]]
    """
    median = np.full((height, width), np.nan, np.float32)
    count = np.zeros((height, width), np.uint16)
    segment = 256
    found = np.empty((segment, max(planes.shape[0], 1)), np.float32)
    counts = np.empty(segment, np.int64)
    for y in range(height):
        for start in range(0, width, segment):
            stop = min(start + segment, width)
            counts[:] = 0
            for p in range(planes.shape[0]):
                offset, x0, x1, y0, y1 = planes[p]
                if y < y0 or y >= y1:
                    continue
                row = offset + (y - y0) * (x1 - x0) - x0
                for x in range(max(start, x0), min(stop, x1)):
                    value = pool[row + x]
                    if not np.isnan(value):
                        found[x - start, counts[x - start]] = value
                        counts[x - start] += 1
            for x in range(start, stop):
                n = counts[x - start]
                count[y, x] = min(n, 65535)
                if n >= 2:
                    median[y, x] = _middle(found[x - start], n)
    return median, count


#: x0, x1, y0, y1 of the planes in a block, in the order in which their values stand in the file.
Boxes = Sequence[tuple[int, int, int, int]]


def median_of_file(
    file: BinaryIO, boxes: Boxes, height: int, width: int, n_bytes: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the median of planes whose values stand in a file, as `median_of_planes` does.

    Parameters
    ----------
    file : binary file
        Planes one after the other, float32.
    boxes : sequence of tuple of int
        What each covers.
    height, width : int
        Of the block.
    n_bytes : int
        Of planes that are held in memory at a time; of no influence on the result.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryFile() as file:
    ...     _ = file.write(np.array([1, 5, np.nan, 3, 2, 2, 2, 2], np.float32).tobytes())
    ...     file.flush()
    ...     median_of_file(file, [(0, 2, 0, 2), (0, 2, 0, 2)], 2, 2, n_bytes=100)[0].tolist()
    [[1.0, 2.0], [nan, 2.0]]
    """
    covered = np.array(boxes, np.int64).reshape(-1, 4)
    sizes = (covered[:, 1] - covered[:, 0]) * (covered[:, 3] - covered[:, 2])
    starts = np.cumsum(sizes) - sizes
    held = max(n_bytes // 4 // max(len(covered), 1), 1)
    columns = min(width, held)
    lines = max(held // max(columns, 1), 1)
    median = np.empty((height, width), np.float32)
    count = np.empty((height, width), np.uint16)
    for y in range(0, height, lines):
        for x in range(0, width, columns):
            part = np.s_[y : min(y + lines, height), x : min(x + columns, width)]
            pool, planes = _read_part(file, covered, starts, part)
            ny, nx = median[part].shape
            median[part], count[part] = median_of_planes(pool, planes, ny, nx)
    return median, count


def _read_part(
    file: BinaryIO, covered: np.ndarray, starts: np.ndarray, part: tuple[slice, slice]
) -> tuple[np.ndarray, np.ndarray]:
    """Read what planes have in a part of the block, as `median_of_planes` wants it."""
    rows, columns = part
    x0, x1 = (np.clip(covered[:, k], columns.start, columns.stop) for k in (0, 1))
    y0, y1 = (np.clip(covered[:, k], rows.start, rows.stop) for k in (2, 3))
    sizes = (x1 - x0) * (y1 - y0)
    ends = np.cumsum(sizes)
    pool = np.empty(int(ends[-1]) if ends.size else 0, np.float32)
    for k in np.flatnonzero(sizes):
        width, n = int(covered[k, 1] - covered[k, 0]), int(x1[k] - x0[k])
        out = pool[ends[k] - sizes[k] : ends[k]].reshape(-1, n)
        start = int(starts[k] + (y0[k] - covered[k, 2]) * width + x0[k] - covered[k, 0])
        # Whole lines of a plane follow each other in the file.
        pieces = [out] if n == width else list(out)
        for number, piece in enumerate(pieces):
            raw = piece.data.cast("B")
            if os.preadv(file.fileno(), [raw], 4 * (start + number * width)) < len(raw):
                raise OSError(f"{file.name}: the scratch file of planes is cut short")
    planes = np.stack(
        [ends - sizes, x0 - columns.start, x1 - columns.start, y0 - rows.start, y1 - rows.start], 1
    )
    return pool, planes[sizes > 0]

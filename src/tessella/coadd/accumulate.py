"""Adding one image to a block of the lattice, in a way that does not depend on the block.

What an image gives to a lattice pixel is added up in the order of its own pixels, whatever the
block, and rounded once to a whole number of quanta. Whole numbers add up to the same in any order:
images can be added and taken out again, to the last bit.
"""

from dataclasses import dataclass

import numpy as np

from tessella.coadd.drizzle_kernel import BATCH, overlaps
from tessella.coadd.places import along_row, row_of_nodes, stencils
from tessella.compiled import kernel

#: Sums that are kept, and their quanta. With weights w = 1 / sigma^2 of a sky noise sigma
#: [MJy / sr] a sum of flux [1 / (MJy / sr)] is noisy by about sqrt(w): the quantum is below 1e-3 of
#: that up to a noise of 250 MJy / sr, and 2^62 quanta hold 10^5 images of 10^5 MJy / sr and noise
#: 0.03. Weight [1 / (MJy / sr)^2]; variances with squared weights [1 / (MJy / sr)^2], as large as
#: weights on the sky and up to 10^5 times that on stars; exposure time [s].
PLANES = ("flux", "weight", "var_poisson", "var_rnoise", "exposure_time")
QUANTA = (2.0**-18, 2.0**-20, 2.0**-16, 2.0**-16, 2.0**-16)
#: Largest sum [quanta]; what is beyond is refused.
LARGEST = 2**62
#: An image counts in a lattice pixel of which it covers at least this share, and to whose variance
#: it gives at least so many quanta: less than that they do not resolve, and an error must be known
#: to a part in a thousand (half a quantum of 2 x 256, and the square root).
LEAST_COVERAGE = 2.0**-10
LEAST_VARIANCE = 256
#: Largest noise of an image [MJy / sr]: within the image, where the squares of overlaps add up to
#: 0.05 at least, its variance is then as large.
LARGEST_NOISE = 3.5
#: Largest offset at which the correlation of noise is recorded [lattice pixels].
REACH = 6
#: Every how many pixels of an image, along x and y, the correlation of its noise is measured.
SAMPLE_STEP = 16
#: Unit of the sums of products of overlaps.
PRODUCT_QUANTUM = 2.0**-30


@dataclass(frozen=True)
class Box:
    """A rectangle of a region's lattice: first pixel, counted from that of the region, and size."""

    x0: int
    y0: int
    nx: int
    ny: int

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.ny, self.nx

    def overlaps(self, extent: tuple[float, float, float, float]) -> bool:
        """Tell whether an extent (x0, x1, y0, y1) [pixels] touches it."""
        low_x, high_x, low_y, high_y = extent
        return (
            low_x < self.x0 + self.nx and high_x > self.x0 - 1
            and low_y < self.y0 + self.ny and high_y > self.y0 - 1
        )  # fmt: skip


@dataclass(frozen=True)
class Sums:
    """The sums of a block; arrays (ny, nx)."""

    box: Box
    #: (5, ny, nx) int64 [quanta]: `PLANES`.
    planes: np.ndarray
    #: (n_planes, ny, nx) uint32: bit k of plane j is set where the input of slot
    #: 32 (first_plane + j) + k counts.
    context: np.ndarray
    #: Only some planes of a context need be there at a time.
    first_plane: int = 0


def empty_sums(box: Box, n_slots: int = 0) -> Sums:
    """Return sums of nothing, with room for the bits of `n_slots` inputs."""
    planes = np.zeros((len(PLANES), *box.shape), np.int64)
    return Sums(box, planes, empty_context(box, n_planes_of(n_slots)))


def empty_context(box: Box, n_planes: int) -> np.ndarray:
    """Return planes of a context in which no input counts."""
    return np.zeros((n_planes, *box.shape), np.uint32)


def n_planes_of(n_slots: int) -> int:
    """Return the number of planes that hold the bits of so many inputs."""
    return max(1, -(-n_slots // 32))


@dataclass(frozen=True)
class ImageRows:
    """Rows of an image as they are added, (n, nx) float32 each; its sky level taken off."""

    #: Row of the image that is the first.
    first: int
    #: [MJy / sr]
    data: np.ndarray
    #: [(MJy / sr)^2]
    var_poisson: np.ndarray
    var_rnoise: np.ndarray
    #: False where a pixel does not count.
    good: np.ndarray


@kernel
def _may_touch(line: np.ndarray, start: int, stop: int, box: np.ndarray) -> bool:
    """Tell whether the smallest rectangle around some nodes of two lines touches a box."""
    for axis in range(2):
        low, high = np.inf, -np.inf
        for side in range(2):
            for k in range(start, stop):
                low, high = min(low, line[side, k, axis]), max(high, line[side, k, axis])
        if low > box[axis, 1] or high < box[axis, 0]:
            return False
    return True


@kernel
def _add_rows(
    nodes: np.ndarray,
    step_y: float,
    step_x: float,
    margin: float,
    first_row: int,
    data: np.ndarray,
    var_poisson: np.ndarray,
    var_rnoise: np.ndarray,
    good: np.ndarray,
    pixfrac: float,
    x0: int,
    y0: int,
    terms: np.ndarray,
    cells: np.ndarray,
    products: np.ndarray,
    room: int,
) -> None:
    ny, nx = terms.shape[:2]
    n_columns = data.shape[1]
    box = np.array([[x0 - margin, x0 + nx + margin], [y0 - margin, y0 + ny + margin]])
    first_node, weights = stencils(nodes.shape[1], step_x, 0.0, n_columns + 1)
    line = np.empty((2, nodes.shape[1], 2))
    corners = np.empty((2, n_columns + 1, 2))
    is_known = np.zeros(2, np.bool_)
    area, places, work = np.empty((room, room, BATCH)), np.zeros(10 * BATCH), np.zeros(10 * BATCH)
    column, row = np.empty(BATCH), np.empty(BATCH)
    norm = 1.0 / (pixfrac * pixfrac)
    flat = terms.reshape(-1)
    # Columns of a batch over all rows: what they fall on stays in the processor's cache.
    for begin in range(0, n_columns, BATCH):
        n = min(BATCH, n_columns - begin)
        start, stop = first_node[begin], first_node[begin + n] + 4
        row_of_nodes(nodes, first_row / step_y, start, stop, line[0])
        is_known[0] = False
        for j in range(data.shape[0]):
            below, above = j & 1, 1 - (j & 1)
            row_of_nodes(nodes, (first_row + j + 1) / step_y, start, stop, line[above])
            is_known[above] = False
            if not _may_touch(line, start, stop, box):
                continue
            for side in range(2):
                if not is_known[side]:
                    along_row(line[side], first_node, weights, begin, begin + n + 1, corners[side])
                    is_known[side] = True
            lower, upper = corners[below], corners[above]
            overlaps(lower, upper, begin, n, pixfrac, 1.0, places, work, column, row, area)
            for p in range(n):
                i = begin + p
                x, y = int(column[p]) - x0, int(row[p]) - y0
                if not good[j, i] or x >= nx or y >= ny or x + room <= 0 or y + room <= 0:
                    continue
                if (first_row + j) % SAMPLE_STEP == 0 and i % SAMPLE_STEP == 0:
                    mx = 0.25 * (lower[i, 0] + lower[i + 1, 0] + upper[i, 0] + upper[i + 1, 0])
                    my = 0.25 * (lower[i, 1] + lower[i + 1, 1] + upper[i, 1] + upper[i + 1, 1])
                    # Of the blocks that a pixel touches, the one that holds its centre counts it.
                    if x0 - 0.5 <= mx < x0 + nx - 0.5 and y0 - 0.5 <= my < y0 + ny - 0.5:
                        _add_products(mx, my, area[:, :, p] * norm, cells, products)
                value, poisson, read = data[j, i], var_poisson[j, i], var_rnoise[j, i]
                for r in range(max(0, -y), min(room, ny - y)):
                    for c in range(max(0, -x), min(room, nx - x)):
                        a = np.float32(area[r, c, p] * norm)
                        k = ((y + r) * nx + x + c) * 4
                        flat[k] += a
                        flat[k + 1] += a * value
                        flat[k + 2] += a * a * poisson
                        flat[k + 3] += a * a * read


@kernel
def _add_products(
    x: float, y: float, area: np.ndarray, cells: np.ndarray, products: np.ndarray
) -> None:
    """Add the products of a pixel's overlaps, by their offset, to the cells that hold it."""
    room = area.shape[0]
    own = np.zeros((2 * REACH + 1, 2 * REACH + 1), np.int64)
    for r in range(room):
        for c in range(room):
            for s in range(room):
                for d in range(room):
                    if abs(s - r) <= REACH and abs(d - c) <= REACH:
                        part = np.rint(area[r, c] * area[s, d] / PRODUCT_QUANTUM)
                        own[REACH + s - r, REACH + d - c] += int(part)
    for k in range(cells.shape[0]):
        if (
            cells[k, 0] - 0.5 <= x < cells[k, 0] + cells[k, 2] - 0.5
            and cells[k, 1] - 0.5 <= y < cells[k, 1] + cells[k, 3] - 0.5
        ):
            products[k] += own


@kernel
def _fold(
    terms: np.ndarray,
    first: int,
    stop: int,
    left: int,
    right: int,
    weight: float,
    seconds: float,
    sign: int,
    planes: np.ndarray,
    context: np.ndarray,
    bit: np.uint32,
) -> int:
    """Add the terms of an image to the sums, or take them off, and clear them.

    Returns a number that is not below `LARGEST` where a sum or a term is.
    """
    w_flux, w_weight = weight / QUANTA[0], weight / QUANTA[1]
    w_poisson, w_read = weight * weight / QUANTA[2], weight * weight / QUANTA[3]
    w_seconds = seconds / QUANTA[4]
    magnitude = 0
    for y in range(first, stop):
        term, bits = terms[y], context[y]
        flux, weights, poisson = planes[0, y], planes[1, y], planes[2, y]
        read, time = planes[3, y], planes[4, y]
        for x in range(left, right):
            coverage = term[x, 0]
            v = np.int64(np.rint(w_poisson * term[x, 2]))
            r = np.int64(np.rint(w_read * term[x, 3]))
            if coverage >= LEAST_COVERAGE and v + r >= LEAST_VARIANCE:
                f = np.int64(np.rint(w_flux * term[x, 1]))
                flux[x] += sign * f
                weights[x] += sign * np.int64(np.rint(w_weight * coverage))
                poisson[x] += sign * v
                read[x] += sign * r
                time[x] += sign * np.int64(np.rint(w_seconds * coverage))
                # Bits of magnitudes: a term that no integer holds has them all.
                magnitude |= (f ^ (f >> 63)) | (v ^ (v >> 63)) | (flux[x] ^ (flux[x] >> 63))
                magnitude |= weights[x] | poisson[x] | read[x]
                if sign > 0:
                    bits[x] |= bit
                else:
                    bits[x] &= ~bit
            term[x, 0] = 0.0
            term[x, 1] = 0.0
            term[x, 2] = 0.0
            term[x, 3] = 0.0
    return magnitude

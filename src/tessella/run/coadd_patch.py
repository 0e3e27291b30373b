"""The blocks of a patch's sums, brought up to date."""

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from pathlib import Path

import numpy as np

from tessella.coadd.accumulate import Box, Sums, empty_context, empty_sums
from tessella.coadd.block_sums import STRIP, add_image, blocks_of
from tessella.errors import DataError
from tessella.io.level2_pixels import Pixels, kept_open
from tessella.io.sums import CHUNK_ROWS, SumsFile
from tessella.models import Lattice
from tessella.run.coadd_update import Change, Update, box_of

#: What rows of images cost a block beside those that fall on it: strips are read whole [pixels of
#: the lattice].
_STRIP_COST = 2 * STRIP


def share_of_blocks(
    box: Box,
    rank: int,
    n_ranks: int,
    side: int,
    row_direction: tuple[float, float] = (1.0, 0.0),
) -> list[Box]:
    """Return the blocks of a rank: ranks own neighbouring rows, whole chunks of the file.

    A block has at most `side` x `side` pixels. Of all ways to cut the rank's rows into equal blocks
    that is taken for which the fewest rows of images fall on several of them.

    Parameters
    ----------
    box : Box
        The patch.
    rank, n_ranks, side : int
    row_direction : (float, float)
        Length along x and y of a step of length 1 along the rows of the images.

    Examples
    --------
    >>> [block.shape for block in share_of_blocks(Box(0, 0, 5000, 5000), 0, 2, 3000)]
    [(1280, 5000), (1280, 5000)]
    >>> [block.shape for block in share_of_blocks(Box(0, 0, 5000, 5000), 0, 2, 3000, (0.0, 1.0))]
    [(2560, 2500), (2560, 2500)]
    """
    n_chunks = -(-box.ny // CHUNK_ROWS)
    first, stop = (min(n_chunks * k // n_ranks * CHUNK_ROWS, box.ny) for k in (rank, rank + 1))
    if first == stop:
        return []
    along_x, along_y = np.abs(row_direction)
    ways = []
    for n_x in range(1, box.nx + 1):
        columns = -(-box.nx // n_x)
        n_y = -(-(stop - first) // max(1, side * side // columns))
        rows = -(-(stop - first) // n_y)
        # An image is read in the rows that a block spans across them.
        cost = n_x * n_y * (columns * along_y + rows * along_x + _STRIP_COST)
        ways.append((cost, rows, columns))
        if columns * (stop - first) <= side * side:
            break
    _, rows, columns = min(ways)
    return blocks_of(box, first, stop - first, rows, columns)


def make_blocks(
    file: SumsFile, blocks: Iterable[Box], update: Update, pixfrac: float, tiles: Sequence[Lattice]
) -> dict[str, np.ndarray]:
    """Bring blocks of sums up to date.

    Each image is read in the rows that fall on a block, added and forgotten, and of the context
    only the plane of the image is there: memory is that of a block, whatever the number of images.
    Images must have been held against their seals, as
    `tessella.run.coadd_update.check_inputs` and `find_update` do.

    Returns
    -------
    dict of str to ndarray
        Sums of products (`add_image`) of the images that were added, by name, of these blocks.
    """
    products: dict[str, np.ndarray] = {}
    cells = np.array([(b.x0, b.y0, b.nx, b.ny) for b in map(box_of, tiles)], np.int64)
    opened = kept_open()
    for block in blocks:
        touching = [c for c in update.changes if block.overlaps(c.places.box)]
        if not touching:
            continue
        planes = empty_sums(block).planes if update.is_new else file.read_planes(block)
        terms = np.zeros((*block.shape, 4), np.float32)
        for plane, changes in groupby(sorted(touching, key=_plane), _plane):
            context = (
                empty_context(block, 1)
                if update.is_new
                else file.read_context(block, plane, plane + 1)
            )
            sums = Sums(block, planes, context, plane)
            for change in changes:
                found = _add(change, sums, terms, opened, pixfrac, cells)
                if change.sign > 0:
                    name = change.solved.name
                    products[name] = products.get(name, 0) + found
            file.write_context(block, context, plane)
        file.write_planes(block, planes)
    file.sync()
    return products


def _plane(change: Change) -> int:
    return change.slot // 32


def _add(
    change: Change,
    sums: Sums,
    terms: np.ndarray,
    opened: Callable[[Path, float], Pixels],
    pixfrac: float,
    cells: np.ndarray,
) -> np.ndarray:
    pixels = opened(change.image, change.solved.conversion)
    try:
        return add_image(sums, terms, change.contribution, pixels.rows, pixfrac, cells, change.sign)
    except ValueError as error:
        raise DataError(f"{change.image}: {error}") from error
    finally:
        pixels.forget()

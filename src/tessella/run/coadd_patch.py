"""The blocks of a patch's sums brought up to date, and the cells cut from them."""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from tessella.coadd.accumulate import Box, empty_sums
from tessella.coadd.block_sums import (
    IMAGES,
    add_image,
    blocks_of,
    images_of,
    noise_correlation,
    renumbered,
    slots_in,
)
from tessella.errors import DataError
from tessella.io.coadd_inputs import Pixels
from tessella.io.level2 import read_about
from tessella.io.level3 import write_mosaic
from tessella.io.seals import sha256
from tessella.io.sums import CHUNK_ROWS, AddedInput, SumsFile, open_sums, read_added
from tessella.models import Lattice, Mosaic
from tessella.run.coadd_update import Update, box_of

#: Images that are kept open at a time.
_OPEN = 16


def share_of_blocks(
    box: Box, rank: int, n_ranks: int, side: int, along_x: bool = True
) -> list[Box]:
    """Return the blocks of a rank: ranks own neighbouring rows, whole chunks of the file.

    A block has at most `side` x `side` pixels. It is long, up to four times `side`, in the
    direction of the images' rows, so that few of these fall on two blocks.

    Parameters
    ----------
    box : Box
        The patch.
    rank, n_ranks, side : int
    along_x : bool
        Whether rows of most images run along the lattice's x.

    Examples
    --------
    >>> [block.shape for block in share_of_blocks(Box(0, 0, 5000, 5000), 0, 2, 3000)]
    [(1280, 5000), (1280, 5000)]
    >>> [block.shape for block in share_of_blocks(Box(0, 0, 5000, 5000), 0, 2, 3000, False)]
    [(2560, 2500), (2560, 2500)]
    """
    n_chunks = -(-box.ny // CHUNK_ROWS)
    first, stop = (min(n_chunks * k // n_ranks * CHUNK_ROWS, box.ny) for k in (rank, rank + 1))
    if first == stop:
        return []
    if along_x:
        columns = _part(box.nx, 4 * side)
        rows = _part(stop - first, side * side // columns)
        # Bands of whole chunks, where these are not larger than what they are made of.
        whole = -(-rows // CHUNK_ROWS) * CHUNK_ROWS
        rows = whole if whole * columns <= side * side else rows
    else:
        rows = _part(stop - first, 4 * side)
        columns = _part(box.nx, side * side // rows)
    return blocks_of(box, first, stop - first, rows, columns)


def _part(length: int, largest: int) -> int:
    """Return the length of the fewest equal parts that are no longer than `largest`."""
    return -(-length // -(-length // max(1, largest)))


def make_blocks(
    file: SumsFile, blocks: Iterable[Box], update: Update, pixfrac: float, tiles: Sequence[Lattice]
) -> dict[str, np.ndarray]:
    """Bring blocks of sums up to date.

    Each image is read in the rows that fall on a block, added and forgotten: memory is that of a
    block, whatever the number of images. Images must have been held against their seals, as
    `tessella.run.coadd_update.place_inputs` and `find_update` do.

    Returns
    -------
    dict of str to ndarray
        Sums of products (`add_image`) of the images that were added, by name, of these blocks.
    """
    products: dict[str, np.ndarray] = {}
    cells = np.array([(b.x0, b.y0, b.nx, b.ny) for b in map(box_of, tiles)], np.int64)
    n_slots = 32 * sum(name.startswith("context_") for name in file.places)
    opened = lru_cache(_OPEN)(partial(Pixels, is_checked=True))
    for block in blocks:
        touching = [c for c in update.changes if block.overlaps(c.places.box)]
        if not touching:
            continue
        sums = empty_sums(block, n_slots) if update.is_new else file.read(block)
        terms = np.zeros((*block.shape, 4), np.float32)
        for change in touching:
            read = opened(change.image, change.solved.conversion).rows
            try:
                found = add_image(
                    sums, terms, change.contribution, read, pixfrac, cells, change.sign
                )
            except ValueError as error:
                raise DataError(f"{change.image}: {error}") from error
            if change.sign > 0:
                name = change.solved.name
                products[name] = products.get(name, 0) + found
        file.write(sums)
    file.sync()
    return products


def cut_cell(
    file: SumsFile, lattice: Lattice, number: int, held: Sequence[AddedInput], element: str
) -> Mosaic:
    """Cut a cell from the sums of its patch.

    Parameters
    ----------
    file : SumsFile
    lattice : Lattice
        Of the cell.
    number : int
        Of the cell among those of the patch.
    held : sequence of AddedInput
        What the sums hold.
    element : str
        RAD's name of the filter.

    Returns
    -------
    Mosaic
        Its members are those inputs that count somewhere in the cell; none where no input does.
    """
    strips = blocks_of(box_of(lattice), 0, lattice.ny, CHUNK_ROWS, lattice.nx)
    found = set().union(*(slots_in(file.read_context(strip)) for strip in strips))
    members = [item for item in held if item.slot in found]
    slots = [item.slot for item in members]
    context = np.empty((max(1, -(-len(slots) // 32)), *lattice.shape), np.uint32)
    images = {name: np.empty(lattice.shape, np.float32) for name in IMAGES}
    for strip in strips:
        sums = file.read(strip)
        first = strip.y0 - strips[0].y0
        rows = np.s_[first : first + strip.ny]
        context[:, rows] = renumbered(sums.context, slots)
        for name, values in images_of(sums).items():
            images[name][rows] = values
    correlation = noise_correlation((item.solved.weight, item.products[number]) for item in members)
    return Mosaic(
        lattice=lattice,
        optical_element=element,
        **images,
        context=context,
        noise_correlation=correlation,
        members=tuple(item.solved.name for item in members),
        meta={
            "sky_levels": [item.solved.level for item in members],
            "outliers": [int(item.solved.outliers.size) for item in members],
        },
    )


def write_cell(
    path: Path,
    sums: Path,
    lattice: Lattice,
    grouping: str,
    program: int,
    provenance: Mapping[str, Any],
) -> Mosaic:
    """Cut a cell from the sums of its patch and write it.

    Raises
    ------
    DataError
        If the sums are not whole, or the cell is none of their patch.
    """
    sha256(sums)
    about, held = read_added(sums)
    if vars(lattice) not in about["tiles"]:
        raise DataError(f"{sums}: {lattice.skycell} is no cell of this patch; make the sums again")
    number = about["tiles"].index(vars(lattice))
    mosaic = cut_cell(open_sums(sums), lattice, number, held, about["optical_element"])
    counted = [item for item in held if item.solved.name in mosaic.members]
    abouts = [read_about(sums.parent / item.image) for item in counted or held]
    half = [item.name for item in abouts if not item.holds_single_precision]
    mosaic.meta.update(half_precision_inputs=half, solution=about["solution"])
    write_mosaic(path, mosaic, program, grouping, abouts, about["pixfrac"], provenance)
    return mosaic

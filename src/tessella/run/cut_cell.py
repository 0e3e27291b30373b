"""The cells of a patch, cut from its sums."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from tessella.coadd.block_sums import (
    IMAGES,
    blocks_of,
    images_of,
    noise_correlation,
    renumbered,
    slots_in,
)
from tessella.errors import DataError
from tessella.io.level2 import read_about
from tessella.io.level3 import write_mosaic
from tessella.io.seals import sha256
from tessella.io.sums import CHUNK_ROWS, AddedInput, SumsFile, open_sums, read_added
from tessella.models import Lattice, Mosaic
from tessella.run.coadd_update import box_of


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
            "inputs": [
                {
                    "name": item.solved.name,
                    "sky_level": item.solved.level,
                    "weight": item.solved.weight,
                    "outliers": int(item.solved.outliers.size),
                    "undecided": item.solved.n_undecided,
                    "wcs_status": item.solved.wcs_status,
                    "n_stars": item.solved.n_stars,
                    "rms_mas": item.solved.rms_mas,
                    "wcs_correction": asdict(item.solved.correction),
                }
                for item in members
            ]
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

"""Images of a region and filter, opened one by one with the WCS of the joint solution."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from tessella.coadd.sky_blocks import SkyBlocks
from tessella.coadd.sky_levels import Skies
from tessella.errors import DataError
from tessella.io.astrometry_solution import SolvedRow, image_name, read_solved
from tessella.io.coadd_inputs import CoaddInput, open_input
from tessella.io.placed_inputs import PlacedInput
from tessella.io.seals import sha256
from tessella.models import Lattice


def open_corrected(
    images: Sequence[str | Path], wcs: Sequence[str | Path], astrometry: str | Path
) -> Iterator[tuple[CoaddInput, SolvedRow]]:
    """Open images of one filter, one by one, with the WCS that the joint solution gives them.

    Raises
    ------
    DataError
        If a file is missing or damaged, an image is not the one of its WCS or has no row in the
        solution, comes twice, or is of another filter than the first.
    """
    solved = read_solved(astrometry)
    names: set[str] = set()
    first = ""
    for image, path in zip(images, wcs, strict=True):
        name = image_name(path)
        if name not in solved:
            raise DataError(f"{astrometry}: no row of {name}; make the table again with all images")
        item = open_input(image, path, solved[name].correction)
        if item.name != name:
            raise DataError(f"{image}: it is {item.name}, its WCS is that of {name}")
        if name in names:
            raise DataError(f"{image}: {name} is there twice; give each image once")
        names.add(name)
        first = first or item.optical_element
        if item.optical_element != first:
            raise DataError(
                f"{image}: it is of {item.optical_element}, {images[0]} of {first}; a coadd needs "
                "images of one filter"
            )
        yield item, solved[name]


def pixels_of(
    item: CoaddInput,
) -> Callable[[int, int], tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Return what reads values, variances and good pixels of rows of an image."""

    def read(first: int, stop: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        rows = item.rows(first, stop)
        return rows.data, rows.var_poisson + rows.var_rnoise, rows.good

    return read


def placed_input(item: CoaddInput, solved: SolvedRow, lattice: Lattice) -> PlacedInput:
    """Place an image on the lattice of its region; its sky is not known yet: NaN, without weight.

    Raises
    ------
    DataError
        If it does not lie there: it is named.
    """
    places = item.places_on(lattice)
    return PlacedInput(
        name=item.name,
        image_sha256=sha256(item.image_path),
        wcs_sha256="" if item.wcs_path is None else sha256(item.wcs_path),
        optical_element=item.optical_element,
        shape=item.shape,
        correction=solved.correction,
        wcs_status=solved.status,
        n_stars=solved.n_stars,
        rms_mas=solved.rms_mas,
        exposure_time=item.exposure_time,
        conversion=item.conversion,
        nodes=places.nodes,
        interpolation_error=places.error,
        level=np.nan,
        slope_x=np.nan,
        slope_y=np.nan,
        weight=0.0,
        n_shared_blocks=0,
        component=-1,
    )


def with_skies(
    placed: Sequence[PlacedInput], skies: Skies, measured: Sequence[SkyBlocks]
) -> list[PlacedInput]:
    """Complete images by what is to be subtracted from them, in their order."""
    return [
        replace(
            item,
            level=float(skies.level[k]),
            slope_x=float(skies.slope_x[k]),
            slope_y=float(skies.slope_y[k]),
            weight=1 / blocks.variance if blocks.variance > 0 else 0.0,
            n_shared_blocks=int(skies.n_blocks[k]),
            component=int(skies.component[k]),
        )
        for k, (item, blocks) in enumerate(zip(placed, measured, strict=True))
    ]

"""What a solution is made from: images, their corrected WCS and their skies."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from tessella.coadd.outlier_search import SearchInput
from tessella.coadd.places import Places
from tessella.errors import DataError
from tessella.io.astrometry_solution import image_name, read_corrections
from tessella.io.coadd_inputs import CoaddInput, Pixels, open_input
from tessella.io.seals import sha256
from tessella.io.skies import Sky
from tessella.io.solution import SolvedInput
from tessella.models import Lattice, WcsCorrection

Row = TypeVar("Row")


def open_corrected(
    images: Sequence[str | Path], wcs: Sequence[str | Path], astrometry: str | Path
) -> Iterator[tuple[CoaddInput, WcsCorrection]]:
    """Open images of one filter, one by one, with the WCS that the joint solution gives them.

    Raises
    ------
    DataError
        If a file is missing or damaged, an image is not the one of its WCS or has no row in the
        solution, comes twice, or is of another filter than the first.
    """
    by_name = read_corrections(astrometry)
    before: dict[str, tuple[str | Path, str]] = {}
    for image, path in zip(images, wcs, strict=True):
        name = image_name(path)
        correction = row_of(by_name, name, astrometry)
        item = open_input(image, path, correction)
        if item.name != name:
            raise DataError(f"{image}: it is {item.name}, its WCS is that of {name}")
        check_next(before, image, name, item.optical_element)
        yield item, correction


def check_next(
    before: dict[str, tuple[str | Path, str]], image: str | Path, name: str, element: str
) -> None:
    """Check that an image is none of those before it, and of their filter; then it is one of them.

    Raises
    ------
    DataError
        If it is there twice, or of another filter than the first.
    """
    if name in before:
        raise DataError(f"{image}: {name} is there twice; give each image once")
    before[name] = image, element
    first = next(iter(before.values()))
    if element != first[1]:
        raise DataError(
            f"{image}: it is of {element}, {first[0]} of {first[1]}; a coadd needs images of one "
            "filter"
        )


def row_of(table: Mapping[str, Row], name: str, path: str | Path) -> Row:
    """Return the row of an image, or refuse the table.

    Raises
    ------
    DataError
        If there is none.
    """
    if name not in table:
        raise DataError(f"{path}: no row of {name}; make the table again with all images")
    return table[name]


def pixels_of(
    item: CoaddInput,
) -> Callable[[int, int], tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Return what reads values, variances and good pixels of rows of an image."""

    def read(first: int, stop: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        rows = item.rows(first, stop)
        return rows.data, rows.var_poisson + rows.var_rnoise, rows.good

    return read


def search_input(path: Path, conversion: float, places: Places, sky: Sky) -> SearchInput:
    """Make an image ready for the search for outliers; it keeps none of its metadata.

    Parameters
    ----------
    path : path
        Of an image that a rank of this job has opened by `open_corrected` and held against its
        seal (`solved_input`).
    conversion : float
        Surface brightness [MJy / sr] of 1 in the unit of its arrays.
    places : Places
        On the region's lattice.
    sky : Sky
    """
    pixels = Pixels(path, conversion, is_checked=True)

    def read(first: int, stop: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        rows = pixels.rows(first, stop)
        return rows.data, rows.err, rows.good

    return SearchInput(places, read, pixels.forget, sky.level, sky.slope_x, sky.slope_y)


def solved_input(
    item: CoaddInput, correction: WcsCorrection, sky: Sky, lattice: Lattice
) -> SolvedInput:
    """Put together what a solution says of one image; its outliers are not known yet."""
    return SolvedInput(
        name=item.name,
        image_sha256=sha256(item.image_path),
        wcs_sha256="" if item.wcs_path is None else sha256(item.wcs_path),
        shape=item.shape,
        correction=correction,
        level=sky.level,
        slope_x=sky.slope_x,
        slope_y=sky.slope_y,
        weight=sky.weight,
        exposure_time=item.exposure_time,
        area_ratio=item.pixel_area_sr / lattice.pixel_area_sr,
        conversion=item.conversion,
        n_undecided=0,
        outliers=np.empty(0, np.int32),
    )

"""Level 2 images with their final WCS, made ready for the lattice of a tile."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.time import Time

from tessella.coadd.resample import Input
from tessella.coadd.tile import prepare
from tessella.errors import DataError
from tessella.io.level2 import read_image
from tessella.io.wcs import read_wcs
from tessella.models import Lattice


@dataclass(frozen=True)
class AboutInputs:
    """What the inputs of a coadd have in common."""

    optical_element: str
    start_times: list[Time]
    #: Side of a lattice pixel over the side of an input pixel.
    pixel_scale_ratio: float
    #: Stems of those whose variances are official half-precision numbers.
    half_precision: list[str]


def read_inputs(
    images: Sequence[str | Path], wcs: Sequence[str | Path], lattice: Lattice
) -> tuple[list[Input], AboutInputs]:
    """Read images one by one and keep what the coadd needs of them.

    Raises
    ------
    DataError
        If the images are not all of one filter.
    """
    inputs, elements, times, half = [], {}, [], []
    for image_path, wcs_path in zip(images, wcs, strict=True):
        image, meta = read_image(image_path)
        to_sky, _ = read_wcs(wcs_path)
        to_sky.bounding_box = None
        elements[image.optical_element] = image_path
        times.append(meta["start_time"])
        stem = Path(meta["filename"]).stem.removesuffix("_cal")
        if not meta["single_precision"]:
            half.append(stem)
        inputs.append(prepare(stem, image, to_sky, meta["exposure_time"], lattice))
    if len(elements) != 1:
        raise DataError(f"a coadd needs images of one filter; there are {elements}")
    ratio = float(np.sqrt(1 / np.mean([item.area_ratio for item in inputs])))
    return inputs, AboutInputs(next(iter(elements)), times, ratio, half)

"""The images of a region and filter: where each lies on its lattice, and what its sky is.

The stage that opens them all writes it; later ones read from here what would take them the
libraries of the official formats and a WCS to find out. An HDF5 file: in the group ``inputs`` one
group an image, in the order given, with attributes of its own and the dataset ``nodes``.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

import h5py
import numpy as np

from tessella.coadd.places import Places
from tessella.errors import DataError
from tessella.io.atomic import replacing
from tessella.io.hdf5 import new_hdf5
from tessella.io.seals import sha256
from tessella.models import WcsCorrection


@dataclass(frozen=True)
class PlacedInput:
    """One image: which one it is, where its pixels lie and what is to be subtracted."""

    #: Stem of the image's file name, without ``_cal``.
    name: str
    #: SHA-256 of the files of the image and of its WCS.
    image_sha256: str
    wcs_sha256: str
    #: RAD's name of the filter.
    optical_element: str
    #: Rows and columns of the image.
    shape: tuple[int, int]
    correction: WcsCorrection
    #: What the joint solution says of it, how many stars took part, and their weighted residual
    #: [mas]; NaN without stars.
    wcs_status: str
    n_stars: int
    rms_mas: float
    #: [s]
    exposure_time: float
    #: Surface brightness of 1 DN / s [MJy / sr]; 1 for an image in MJy / sr.
    conversion: float
    #: `tessella.coadd.places.Places`: positions on the region's lattice, (n_rows, n_columns, 2),
    #: and their largest error between nodes [pixels of the lattice].
    nodes: np.ndarray
    interpolation_error: float
    #: Sky to be subtracted: level at the centre of the image [MJy / sr], and its rise with column
    #: and row [MJy / sr / pixel].
    level: float
    slope_x: float
    slope_y: float
    #: Of every good pixel: inverse variance of the empty sky [(MJy / sr)^-2]; 0 where no pixel is
    #: good. A weight that follows the light of a pixel is lower in the cores of stars and makes
    #: their fluxes too low.
    weight: float
    #: Blocks of sky that it shares with other images; images that overlap, directly or through
    #: others, have the same number.
    n_shared_blocks: int
    component: int

    @property
    def places(self) -> Places:
        """Where its pixels lie on the region's lattice."""
        return Places(self.shape, self.nodes, self.interpolation_error)


_ARRAYS = ("nodes", "outliers")
_CORRECTION = tuple(field.name for field in fields(WcsCorrection))
Item = TypeVar("Item", bound=PlacedInput)


def attributes_of(item: PlacedInput) -> dict[str, Any]:
    """Return all that is said of an input but its arrays, as numbers and texts."""
    held = {field.name: getattr(item, field.name) for field in fields(item)}
    own = {k: v for k, v in held.items() if k not in ("shape", "correction", *_ARRAYS)}
    return own | {"ny": item.shape[0], "nx": item.shape[1]} | asdict(item.correction)


def write_inputs(group: h5py.Group, inputs: Sequence[PlacedInput]) -> None:
    """Write inputs into an empty group, in their order."""
    for number, item in enumerate(inputs):
        write_input(group.create_group(f"{number:06d}"), item)


def write_input(group: h5py.Group, item: PlacedInput) -> None:
    """Write one input into an empty group."""
    group.attrs.update(attributes_of(item))
    for name in _ARRAYS:
        if hasattr(item, name):
            values = getattr(item, name)
            # An empty dataset cannot have chunks, and only chunks have checksums.
            packing = {"shuffle": True, "compression": "lzf", "fletcher32": True}
            group.create_dataset(name, data=values, **(packing if values.size else {}))


def read_inputs(group: h5py.Group, kind: type[Item]) -> tuple[Item, ...]:
    """Read what `write_inputs` wrote."""
    return tuple(read_input(group[key], kind) for key in sorted(group))


def read_input(group: h5py.Group, kind: type[Item]) -> Item:
    """Read one input."""
    held = {
        name: getattr(value, "item", lambda v=value: v)() for name, value in group.attrs.items()
    }
    own: dict[str, Any] = {f.name: held[f.name] for f in fields(kind) if f.name in held}
    own |= {name: np.asarray(group[name]) for name in _ARRAYS if name in group}
    correction = WcsCorrection(**{name: held[name] for name in _CORRECTION})
    return kind(**own, shape=(held["ny"], held["nx"]), correction=correction)


@contextmanager
def readable(path: str | Path, what: str) -> Iterator[h5py.File]:
    """Open a sealed HDF5 file; what is not as it must be inside is an error that names it.

    Raises
    ------
    DataError
        If there is no such file, it is not what its seal says or is of another kind.
    """
    sha256(path)
    try:
        with h5py.File(path, "r") as file:
            yield file
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: no readable {what} ({error}); make it again") from error


def write_placed_inputs(
    path: str | Path, inputs: Sequence[PlacedInput], provenance: Mapping[str, Any]
) -> None:
    """Write the images of a region and filter, in the order given."""
    with replacing(path, provenance) as part, new_hdf5(part) as file:
        write_inputs(file.create_group("inputs"), inputs)


def read_placed_inputs(path: str | Path) -> tuple[PlacedInput, ...]:
    """Read the images of a region and filter.

    Raises
    ------
    DataError
        If there is no such file, it is not what its seal says or is of another kind.
    """
    with readable(path, "table of placed images") as file:
        return read_inputs(file["inputs"], PlacedInput)

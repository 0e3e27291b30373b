"""The solution of a patch and filter: what is to be done to every input before it is added.

An HDF5 file: attributes of the whole, and in the group ``inputs`` one group an image, in the order
of adding, with attributes of its own and the dataset ``outliers``.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tessella.errors import DataError
from tessella.io.atomic import replacing
from tessella.io.hdf5 import new_hdf5
from tessella.io.placed_inputs import (
    PlacedInput,
    attributes_of,
    read_inputs,
    readable,
    write_inputs,
)


@dataclass(frozen=True)
class SolvedInput(PlacedInput):
    """One image of a solution."""

    #: Good pixels on the patch, or within 22 lattice pixels of it, about which nothing could be
    #: decided, because no other input covers their place.
    n_undecided: int
    #: int32: pixels that are left out, counted along the rows of the image, in ascending order.
    outliers: np.ndarray

    @property
    def id(self) -> str:
        """SHA-256 of all that is said about the input, as 64 hexadecimal digits."""
        digest = hashlib.sha256(_text(attributes_of(self)).encode())
        digest.update(np.ascontiguousarray(self.nodes, "<f8").tobytes())
        digest.update(np.ascontiguousarray(self.outliers, "<i4").tobytes())
        return digest.hexdigest()


@dataclass(frozen=True)
class Solution:
    """What is to be done to all inputs of one patch and filter.

    Examples
    --------
    >>> empty = Solution("full_2734x06y06", "F158", {"pixfrac": 1.0}, {"nx": 8}, ())
    >>> len(empty.id), empty.id == Solution("full_2734x06y06", "F184", {}, {"nx": 8}, ()).id
    (64, False)
    """

    #: Name of the patch, and RAD's of the filter.
    patch: str
    optical_element: str
    #: What the search for outliers was told.
    options: Mapping[str, Any]
    #: The patch on its region's lattice (`tessella.models.Lattice`, as a dictionary).
    lattice: Mapping[str, Any]
    #: In the order of adding.
    inputs: tuple[SolvedInput, ...]

    @property
    def id(self) -> str:
        """SHA-256 of everything in it; paths and times of writing are not in it."""
        digest = hashlib.sha256(_text(self._own()).encode())
        for item in self.inputs:
            digest.update(item.id.encode())
        return digest.hexdigest()

    def _own(self) -> dict[str, Any]:
        return {
            "patch": self.patch,
            "optical_element": self.optical_element,
            "options": _text(self.options),
            "lattice": _text(self.lattice),
        }


def solved(item: PlacedInput, outliers: np.ndarray, n_undecided: int) -> SolvedInput:
    """Complete an image by what was found in it."""
    return SolvedInput(**vars(item), outliers=outliers, n_undecided=n_undecided)


def _text(values: Mapping[str, Any]) -> str:
    """Return values as JSON, the same for equal content: Python writes floats in full."""
    return json.dumps(values, sort_keys=True, separators=(",", ":"))


def write_solution(path: str | Path, solution: Solution, provenance: Mapping[str, Any]) -> None:
    """Write a solution; equal solutions made in the same way are equal bytes.

    Raises
    ------
    DataError
        If the disk is full, may not be written to, or fails.
    ValueError
        If outliers of an input are not in ascending order, or lie beside its image.
    """
    for item in solution.inputs:
        _check_outliers(item)
    with replacing(path, provenance) as part, new_hdf5(part) as file:
        file.attrs.update(id=solution.id, provenance=_text(provenance), **solution._own())
        write_inputs(file.create_group("inputs"), solution.inputs)


def _check_outliers(item: SolvedInput) -> None:
    at = np.asarray(item.outliers, np.int64)
    ny, nx = item.shape
    if at.size and (at[0] < 0 or at[-1] >= ny * nx or (np.diff(at) <= 0).any()):
        raise ValueError(
            f"{item.name}: its outliers must be distinct pixels of {ny} x {nx}, in ascending order"
        )


def read_solution(path: str | Path) -> Solution:
    """Read what `write_solution` wrote.

    Raises
    ------
    DataError
        If there is no such file, it is of another kind, or its content is not that of its id.
    """
    with readable(path, "solution") as file:
        found = str(file.attrs["id"])
        solution = Solution(
            patch=str(file.attrs["patch"]),
            optical_element=str(file.attrs["optical_element"]),
            options=json.loads(file.attrs["options"]),
            lattice=json.loads(file.attrs["lattice"]),
            inputs=read_inputs(file["inputs"], SolvedInput),
        )
    if solution.id != found:
        raise DataError(
            f"{path}: damaged: its content has the id {solution.id}, it should be {found}; "
            "make it again"
        )
    return solution

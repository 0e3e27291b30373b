"""The sums of a patch and filter: whole numbers that inputs are added to and taken out of.

An HDF5 file. The datasets ``flux``, ``weight``, ``var_poisson``, ``var_rnoise`` and
``exposure_time``, int64, count quanta (their attribute ``quantum``, a power of two); bit k of
``context_j``, uint32, tells where the input of slot 32 j + k counts. The group ``inputs`` has what
was added of each input, in the order of adding, so that it can be taken out again. Chunks are
plain, lie at known places and begin at whole pages: ranks read and write them beside each other.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from tessella.coadd.accumulate import PLANES, QUANTA, Box, Sums
from tessella.errors import DataError
from tessella.io.placed_inputs import read_input, write_input
from tessella.io.solution import SolvedInput
from tessella.models import Lattice

#: Rows of a chunk; ranks own whole chunks.
CHUNK_ROWS = 256
#: Chunks begin at multiples of this [bytes], so that no page of the disk is of two ranks.
_ALIGNMENT = 1 << 16


@dataclass(frozen=True)
class AddedInput:
    """What was added of one input."""

    #: Number of its bit in the context.
    slot: int
    #: Its file, seen from the folder of the sums.
    image: str
    #: Its row of the solution, as it was when it was added.
    solved: SolvedInput
    #: (n_cells, 13, 13) int64: `tessella.coadd.block_sums.add_image`.
    products: np.ndarray


@dataclass(frozen=True)
class SumsFile:
    """Where the chunks of each dataset of an open file lie."""

    path: Path
    box: Box
    #: By dataset, the place of each chunk in the file [bytes].
    places: dict[str, list[int]]

    def read(self, block: Box) -> Sums:
        """Read a block."""
        return Sums(block, self.read_planes(block), self.read_context(block))

    def read_planes(self, block: Box) -> np.ndarray:
        """Read the sums of a block without its context: (5, ny, nx), int64."""
        planes = np.empty((len(PLANES), *block.shape), np.int64)
        for name, values in zip(PLANES, planes, strict=True):
            self._read(name, block, values)
        return planes

    def read_context(self, block: Box, first: int = 0, stop: int | None = None) -> np.ndarray:
        """Read which inputs count in a block: planes `first` to `stop` - 1, (n, ny, nx), uint32."""
        names = self._contexts()[first:stop]
        context = np.empty((len(names), *block.shape), np.uint32)
        for name, values in zip(names, context, strict=True):
            self._read(name, block, values)
        return context

    def write_planes(self, block: Box, planes: np.ndarray) -> None:
        """Write the sums of a block; other processes may write other blocks meanwhile."""
        self._write(block, zip(PLANES, planes, strict=True))

    def write_context(self, block: Box, context: np.ndarray, first: int = 0) -> None:
        """Write planes of the context of a block, from number `first` on."""
        names = self._contexts()[first : first + len(context)]
        self._write(block, zip(names, context, strict=True))

    def _write(self, block: Box, named: Iterable[tuple[str, np.ndarray]]) -> None:
        descriptor = os.open(self.path, os.O_RDWR)
        try:
            for name, values in named:
                for at, line in self._lines(name, block, values):
                    # A full disk takes a part of a line first, and says so at the next attempt.
                    while line:
                        n_bytes = os.pwrite(descriptor, line, at)
                        line, at = line[n_bytes:], at + n_bytes
        finally:
            os.close(descriptor)

    def sync(self) -> None:
        """Bring what was written to the disk."""
        descriptor = os.open(self.path, os.O_RDWR)
        os.fsync(descriptor)
        os.close(descriptor)

    def _contexts(self) -> list[str]:
        return sorted(name for name in self.places if name.startswith("context_"))

    def _read(self, name: str, block: Box, values: np.ndarray) -> None:
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            for at, line in self._lines(name, block, values):
                if os.preadv(descriptor, [line], at) < len(line):
                    raise DataError(f"{self.path}: truncated; remove it, and it is made anew")
        finally:
            os.close(descriptor)

    def _lines(self, name: str, block: Box, values: np.ndarray) -> Iterator[tuple[int, memoryview]]:
        """Give the place in the file and the bytes of each row of a block."""
        x = block.x0 - self.box.x0
        for row, line in enumerate(values):
            chunk, within = divmod(block.y0 - self.box.y0 + row, CHUNK_ROWS)
            at = self.places[name][chunk] + (within * self.box.nx + x) * values.itemsize
            yield at, memoryview(line).cast("B")


def create_sums(path: Path, lattice: Lattice, box: Box, about: Mapping[str, Any]) -> None:
    """Create a file of sums of nothing.

    Parameters
    ----------
    path : path
    lattice : Lattice
        Of the patch.
    box : Box
        The same on its region's lattice.
    about : mapping
        Filter, options and whatever else the sums depend on: sums are added to only where it is
        the same.
    """
    with h5py.File(
        path, "w", alignment_threshold=_ALIGNMENT, alignment_interval=_ALIGNMENT
    ) as file:
        file.attrs.update(
            about=json.dumps(about, sort_keys=True), lattice=json.dumps(vars(lattice)), **vars(box)
        )
        for name, quantum in zip(PLANES, QUANTA, strict=True):
            _new_dataset(file, name, box.shape, h5py.h5t.STD_I64LE)
            file[name].attrs["quantum"] = quantum
        _new_dataset(file, "context_000", box.shape, h5py.h5t.STD_U32LE)
        file.create_group("inputs")


def _new_dataset(file: h5py.File, name: str, shape: tuple[int, int], kind: Any) -> None:
    settings = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    settings.set_chunk((min(CHUNK_ROWS, shape[0]), shape[1]))
    settings.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    settings.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    settings.set_obj_track_times(False)
    h5py.h5d.create(file.id, name.encode(), kind, h5py.h5s.create_simple(shape), settings)


def make_room(path: Path, n_slots: int) -> None:
    """Add planes of context for so many inputs."""
    aligned = {"alignment_threshold": _ALIGNMENT, "alignment_interval": _ALIGNMENT}
    with h5py.File(path, "r+", **aligned) as file:
        shape = file["flux"].shape
        for k in range(-(-n_slots // 32)):
            name = f"context_{k:03d}"
            if name not in file:
                _new_dataset(file, name, shape, h5py.h5t.STD_U32LE)
                for y in range(0, shape[0], CHUNK_ROWS):
                    file[name][y : y + CHUNK_ROWS] = 0


def open_sums(path: Path) -> SumsFile:
    """Return where everything lies in a file of sums."""
    with h5py.File(path, "r") as file:
        box = Box(*(int(file.attrs[name]) for name in ("x0", "y0", "nx", "ny")))
        return SumsFile(path, box, {name: _chunks(file[name]) for name in file if name != "inputs"})


def _chunks(dataset: h5py.Dataset) -> list[int]:
    found = [dataset.id.get_chunk_info(k) for k in range(dataset.id.get_num_chunks())]
    return [info.byte_offset for info in sorted(found, key=lambda info: info.chunk_offset)]


def write_added(
    path: Path, solution_id: str, changes: Sequence[str], added: Sequence[AddedInput]
) -> None:
    """Replace the list of what the sums hold; `changes` tells in words what was done last."""
    with h5py.File(path, "r+") as file:
        file.attrs["solution"], file.attrs["changes"] = solution_id, json.dumps(list(changes))
        del file["inputs"]
        group = file.create_group("inputs")
        for number, item in enumerate(added):
            held = group.create_group(f"{number:06d}")
            held.attrs.update(slot=item.slot, image=item.image)
            held["products"] = item.products
            write_input(held.create_group("solved"), item.solved)


def read_added(path: Path) -> tuple[dict[str, Any], list[AddedInput]]:
    """Read what sums depend on, and what they hold.

    Raises
    ------
    DataError
        If it is no file of sums.
    """
    try:
        with h5py.File(path, "r") as file:
            about = json.loads(file.attrs["about"])
            about["solution"] = str(file.attrs["solution"])
            return about, [_added(file["inputs"][key]) for key in sorted(file["inputs"])]
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{path}: no readable sums ({error}); remove the file, and they are made anew"
        ) from error


def _added(group: h5py.Group) -> AddedInput:
    return AddedInput(
        int(group.attrs["slot"]),
        str(group.attrs["image"]),
        read_input(group["solved"], SolvedInput),
        np.asarray(group["products"]),
    )

"""What a new solution changes in the sums of a patch, and what it leaves as it is."""

import hashlib
import json
import logging
import operator
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

import tessella
from tessella import environment
from tessella.coadd.accumulate import QUANTA, REACH, Box
from tessella.coadd.block_sums import Contribution
from tessella.coadd.places import Places
from tessella.errors import DataError
from tessella.io.provenance import code_version
from tessella.io.seals import sha256
from tessella.io.solution import Solution, SolvedInput
from tessella.io.sums import AddedInput, create_sums, read_added
from tessella.models import Lattice
from tessella.sky.tessellation import place_of

log = logging.getLogger(__name__)
_PACKAGE = Path(tessella.__file__).parent
#: An image farther than this from its patch does not belong there, whatever its pointing [pixels].
_FARTHEST = 65536
#: Largest patch: 8 x 8 cells.
_LARGEST_SIDE = 8 * 4800 + 200


def box_of(lattice: Lattice) -> Box:
    """Return where a rectangle lies on its region's lattice.

    Raises
    ------
    DataError
        If it is larger than a patch may be.
    """
    if max(lattice.shape) > _LARGEST_SIDE:
        raise DataError(
            f"{lattice.skycell}: a patch of {lattice.nx} x {lattice.ny} pixels; the largest is "
            f"{_LARGEST_SIDE} x {_LARGEST_SIDE}: plan smaller ones"
        )
    return Box(*place_of(lattice), *lattice.shape[::-1])


def check_inputs(
    solution: Solution, lattice: Lattice, files: Mapping[str, Path], first: int, n: int
) -> None:
    """Check inputs `first` to `first + n - 1`: their files, their filter and where they lie.

    Raises
    ------
    DataError
        If a file is not the one that the solution was made of, an image is of another filter or
        lies elsewhere: it is named.
    """
    patch = box_of(lattice)
    for solved in solution.inputs[first : first + n]:
        image = files[solved.name]
        if sha256(image) != solved.image_sha256:
            raise DataError(
                f"{image}: it is not the file that the solution of {solved.name} was made of; "
                "make the solution again"
            )
        if solved.optical_element != solution.optical_element:
            raise DataError(
                f"{image}: an exposure in {solved.optical_element}; this coadd is of "
                f"{solution.optical_element}"
            )
        x0, x1, y0, y1 = solved.places.box
        far = max(patch.x0 - x1, x0 - patch.x0 - patch.nx, patch.y0 - y1, y0 - patch.y0 - patch.ny)
        if far > _FARTHEST:
            degrees = far * lattice.pixel_scale_arcsec / 3600
            raise DataError(
                f"{image}: it lies {degrees:.1f} degrees beside the patch that it shall be added "
                "to; its WCS or the plan is wrong"
            )


@dataclass(frozen=True)
class Change:
    """An image that is added to sums or taken out."""

    sign: int
    slot: int
    image: Path
    solved: SolvedInput
    why: str

    @cached_property
    def places(self) -> Places:
        """Where its pixels lie on the region's lattice."""
        return self.solved.places

    @property
    def contribution(self) -> Contribution:
        """The image as it is added."""
        s = self.solved
        return Contribution(
            s.name, self.places, s.weight, s.exposure_time, s.level, s.slope_x, s.slope_y,
            s.outliers, self.slot,
        )  # fmt: skip


@dataclass(frozen=True)
class Update:
    """What is to be done to sums."""

    changes: list[Change]
    #: What the sums hold afterwards, in the order of the solution, but for the products of what is
    #: added.
    held: list[AddedInput]
    #: In words, one line an image that is added again or taken out.
    told: list[str]
    #: Of the patch, what the sums depend on besides solution and pixels, and the solution's id.
    lattice: Lattice
    about: dict[str, Any]
    solution_id: str
    #: Whether the sums are made anew, and whether they are what the solution asks for already:
    #: then the file stays as it is, to the last bit.
    is_new: bool
    is_current: bool

    @property
    def row_direction(self) -> tuple[float, float]:
        """Mean length along x and y of a unit step along the rows of the images."""
        steps = [change.places.row_direction for change in self.changes]
        x, y = np.abs(steps).mean(axis=0) if steps else (1.0, 0.0)
        return float(x), float(y)

    @property
    def n_slots(self) -> int:
        """Number of bits that the context needs."""
        slots = [c.slot for c in self.changes] + [item.slot for item in self.held]
        return 1 + max(slots, default=0)


def why_again(old: AddedInput, new: SolvedInput, tolerance: Mapping[str, float]) -> str:
    """Tell why an input must be added again; an empty text where it must not.

    Parameters
    ----------
    old : AddedInput
        As it was added.
    new : SolvedInput
        As the solution has it now.
    tolerance : mapping
        ``readd_sky_sigma``, ``readd_wcs_pixels``, ``readd_outliers``.
    """
    was = old.solved
    if was.image_sha256 != new.image_sha256:
        return "another image"
    if (was.weight, was.exposure_time, was.conversion) != (
        new.weight,
        new.exposure_time,
        new.conversion,
    ):
        return f"weight {was.weight:.6g} -> {new.weight:.6g}"
    moved = float(np.abs(new.nodes - was.nodes).max())
    if moved > tolerance["readd_wcs_pixels"]:
        return f"its pixels moved by up to {moved:.3g} lattice pixels"
    half_x, half_y = (new.shape[1] - 1) / 2, (new.shape[0] - 1) / 2
    sky = abs(new.level - was.level)
    sky += half_x * abs(new.slope_x - was.slope_x) + half_y * abs(new.slope_y - was.slope_y)
    if sky * np.sqrt(new.weight) > tolerance["readd_sky_sigma"]:
        return f"its sky changed by up to {sky:.3g} MJy / sr"
    n_outliers = np.setxor1d(new.outliers, was.outliers).size
    if n_outliers > tolerance["readd_outliers"]:
        return f"{n_outliers} of its pixels are left out or taken in"
    return ""


def plan_update(
    solution: Solution,
    files: Mapping[str, Path],
    folder: Path,
    added: Sequence[AddedInput],
    tolerance: Mapping[str, float],
) -> tuple[list[Change], list[AddedInput]]:
    """Compare a solution with what sums hold.

    Parameters
    ----------
    solution : Solution
    files : mapping of str to path
        Image of each input of the solution, by name.
    folder : path
        Of the sums.
    added : sequence of AddedInput
        What the sums hold; empty for new ones.
    tolerance : mapping
        See `why_again`.

    Raises
    ------
    DataError
        If an image that must be taken out is gone or is another one now: what it added cannot be
        known any more, and the sums are to be made anew.
    """
    old = {item.solved.name: item for item in added}
    new = {item.name for item in solution.inputs}
    free = iter(sorted(set(range(len(new) + len(old))) - {item.slot for item in added}))
    changes: list[Change] = []
    held = []
    for item in added:
        if item.solved.name not in new:
            changes.append(_out(item, folder, "no longer a member"))
    for solved in solution.inputs:
        before = old.get(solved.name)
        why = "" if before is None else why_again(before, solved, tolerance)
        image = files[solved.name]
        name = os.path.relpath(image.resolve(), folder.resolve())
        if before is not None and not why:
            # The same file may lie elsewhere now.
            held.append(before if before.image == name else replace(before, image=name))
            continue
        slot = next(free) if before is None else before.slot
        if before is not None:
            changes.append(_out(before, folder, why))
        changes.append(Change(1, slot, image, solved, why or "new"))
        held.append(AddedInput(slot, name, solved, np.zeros((0, 0, 0), np.int64)))
    return changes, held


def files_of(solution: Solution, images: Sequence[Path]) -> dict[str, Path]:
    """Return the image of each input of a solution, by its name.

    Raises
    ------
    DataError
        If there are more or fewer files than inputs.
    """
    if len(images) != len(solution.inputs):
        raise DataError(
            f"{solution.patch}: a solution of {len(solution.inputs)} images, and {len(images)} "
            "images are given; make the solution again"
        )
    named = zip(solution.inputs, images, strict=True)
    return {solved.name: Path(image) for solved, image in named}


def find_update(
    sums: Path,
    solution: Solution,
    lattice: Lattice,
    tiles: Sequence[Lattice],
    files: Mapping[str, Path],
    options: Mapping[str, Any],
) -> Update:
    """Tell what is to be done to the sums of a patch, whether there are any or not.

    Parameters
    ----------
    sums : path
    solution : Solution
    lattice, tiles : Lattice
        Of the patch and of its cells.
    files : mapping of str to path
        Image of each input of the solution, by name.
    options : mapping
        Section `coadd` of the configuration.
    """
    about: dict[str, Any] = {
        "patch": solution.patch,
        "optical_element": solution.optical_element,
        "pixfrac": options["pixfrac"],
        "lattice": vars(lattice),
        "tiles": [vars(tile) for tile in tiles],
        "quanta": list(QUANTA),
        "arithmetic": arithmetic(),
    }
    about = json.loads(json.dumps(about))
    anew: list[str] = []
    old, added = _held_by(sums)
    before = old.pop("solution", "")
    if added:
        # What an image added cannot be taken out when the image is made again.
        now = {item.name: item.image_sha256 for item in solution.inputs}
        anew = [
            f"{item.solved.name}: another image"
            for item in added
            if now.get(item.solved.name, item.solved.image_sha256) != item.solved.image_sha256
        ]
        anew += [f"another {name}" for name, value in about.items() if old.get(name) != value]
        if anew:
            added = []
    changes, held = plan_update(solution, files, sums.parent, added, options)
    told = [f"{what} now: the sums are made anew" for what in anew]
    told += [
        f"{change.solved.name}: {'added' if change.sign > 0 else 'taken out'}: {change.why}"
        for change in changes
    ]
    is_same = len(held) == len(added) and all(map(operator.is_, held, added))
    is_current = bool(added) and before == solution.id and is_same
    return Update(changes, held, told, lattice, about, solution.id, not added, is_current)


def arithmetic() -> str:
    """Return a hash of all that the bits of sums depend on besides inputs and options.

    What was added by other code, other libraries or on another level of the processor might not be
    taken out again to the last bit.
    """
    made_by = environment.record()
    code = code_version((_PACKAGE / "coadd", _PACKAGE / "io/level2_pixels.py"))
    text = json.dumps([code, made_by], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _held_by(sums: Path) -> tuple[dict[str, Any], list[AddedInput]]:
    """Read what sums depend on and hold: nothing where there are none as they were written."""
    if not sums.is_file():
        return {}, []
    try:
        sha256(sums)
        return read_added(sums)
    except DataError as error:
        log.warning("%s: the sums are made anew from their inputs", error)
        return {}, []


def start_sums(part: Path, sums: Path, update: Update) -> None:
    """Begin the new file of sums: empty, or a copy of the old one."""
    if update.is_new:
        create_sums(part, update.lattice, box_of(update.lattice), update.about)
    else:
        shutil.copyfile(sums, part)


def with_products(
    held: Sequence[AddedInput], found: Sequence[Mapping[str, np.ndarray]], n_cells: int
) -> list[AddedInput]:
    """Complete what was added by the sums of products of all ranks."""
    none = np.zeros((n_cells, 2 * REACH + 1, 2 * REACH + 1), np.int64)
    return [
        item
        if item.products.size
        else replace(item, products=none + sum(part.get(item.solved.name, 0) for part in found))
        for item in held
    ]


def _out(item: AddedInput, folder: Path, why: str) -> Change:
    image = folder / item.image
    if not image.is_file() or sha256(image) != item.solved.image_sha256:
        state = "is another file now" if image.is_file() else "is gone"
        raise DataError(
            f"{image}: it was added to a coadd, must be taken out ({why}), and {state}; remove the "
            "sums of the patch, and they are made anew from its inputs"
        )
    return Change(-1, item.slot, image, item.solved, why)

"""One solution over all overlapping images: star positions in common, a small affine each.

A tie to the reference stars is as good as these, some mas; images repeat each other ten times
better. Stars measured in several images bind those to each other, and the reference stars, as
measurements among others, bind all of them to the sky.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tessella.astrometry.joint_geometry import (
    MeasuredImage,
    corrected_v2v3,
    correction_of,
    telescope_vectors,
)
from tessella.astrometry.joint_iterate import Solved, solve_robustly
from tessella.astrometry.joint_match import group_measurements
from tessella.astrometry.joint_rescue import find_displaced
from tessella.models import WcsCorrection

#: Part of the radius within which stars are matched that a solution may move an image by and keep
#: the groups that it is of.
_REGROUPED = 0.25


@dataclass(frozen=True)
class SolvedImage:
    """What the joint solution says of one image."""

    #: Stem of its files.
    image: str
    #: What happened, in words.
    status: str
    #: Whether it takes part in skies, outliers and coadds.
    is_added: bool
    #: Stars that took part, and how many of them are reference stars.
    n_stars: int
    n_references: int
    #: Residual per coordinate from the common positions, weighted as they are [mas]; NaN where
    #: nothing was solved.
    rms_mas: float
    correction: WcsCorrection


@dataclass(frozen=True)
class JointSolution:
    """All images, by name, and what else a run wants to know."""

    images: tuple[SolvedImage, ...]
    #: Scatter per axis that measurements have besides their errors [mas].
    excess_scatter_mas: float
    #: Stars in common, and measurements of them that were left out.
    n_stars: int
    n_rejected: int
    #: The last step; None where no image could be solved.
    solved: Solved | None


def solve_jointly(images: Sequence[MeasuredImage], options: Mapping[str, Any]) -> JointSolution:
    """Solve for the corrections of all images of a region together.

    Parameters
    ----------
    images : sequence of MeasuredImage
        In any order: they are taken by name.
    options : mapping
        Section ``solve`` of the configuration.

    Returns
    -------
    JointSolution
        An image with fewer stars in common than ``minimum_stars`` keeps its WCS. Images that were
        not aligned are looked for among the stars of the others; those that are not found take no
        part in coadds, unless ``unaligned`` is "keep" or no image at all was aligned.

    Raises
    ------
    ValueError
        If two images have one name.
    """
    ordered = sorted(images, key=lambda image: image.name)
    names = [image.name for image in ordered]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"joint solution: image {twice} is given twice")
    start = {image.name: np.zeros(6) for image in ordered if image.is_aligned}
    strays = [image for image in ordered if not image.is_aligned]
    placed = [image for image in ordered if image.name in start]
    solved = _solve(placed, start, options)
    # What is found may tell the place of others that overlap with it alone.
    while found := _displaced(strays, _known_stars(placed, start, solved), options):
        start |= found
        strays = [image for image in strays if image.name not in found]
        placed = [image for image in ordered if image.name in start]
        solved = _solve(placed, start, options)
        # One that then shares too few stars was no find: the others are solved without it.
        fewest = options["turn_stars"]
        lost = {n for n in found if solved is None or solved.n_stars_of(n) < fewest}
        if lost:
            start = {name: value for name, value in start.items() if name not in lost}
            placed = [image for image in ordered if image.name in start]
            solved = _solve(placed, start, options)
    unplaced = _lost(any_placed=bool(start), keep=options["unaligned"] == "keep")
    rows = tuple(
        _row(image, solved, options) if image.name in start else replace(unplaced, image=image.name)
        for image in ordered
    )
    if solved is None:
        return JointSolution(rows, 0.0, 0, 0, None)
    return JointSolution(
        rows, solved.excess_scatter_mas, solved.groups.n_stars, int((~solved.kept).sum()), solved
    )


def _solve(
    images: Sequence[MeasuredImage], start: Mapping[str, np.ndarray], options: Mapping[str, Any]
) -> Solved | None:
    """Group the measurements and solve; None without any star in common.

    Where the solution moves an image by so much that stars may have missed each other, they are
    grouped once more by what it says.
    """
    if not images:
        return None
    parameters = np.array([start[image.name] for image in images])
    radius = options["match_radius_arcsec"]
    groups = group_measurements(images, _directions(images, parameters), radius)
    if not groups.n_stars:
        return None
    solved = solve_robustly(images, groups, parameters, options)
    if np.abs(solved.parameters - parameters).max() > 1000 * _REGROUPED * radius:
        groups = group_measurements(images, _directions(images, solved.parameters), radius)
        solved = solve_robustly(images, groups, parameters, options)
    return solved


def _directions(images: Sequence[MeasuredImage], parameters: np.ndarray) -> list[np.ndarray]:
    """Return where the measurements of each image are on the sky, (n, 3) each."""
    found = []
    for image, values in zip(images, parameters, strict=True):
        moved = corrected_v2v3(correction_of(values), image.attitude, image.v2, image.v3)
        found.append(telescope_vectors(image.attitude, *moved))
    return found


def _known_stars(
    placed: Sequence[MeasuredImage], start: Mapping[str, np.ndarray], solved: Solved | None
) -> np.ndarray:
    """Return directions of all stars of images that are in place, (n, 3): also of those alone."""
    if not placed:
        return np.zeros((0, 3))
    if solved is None:
        return np.concatenate(_directions(placed, np.array([start[one.name] for one in placed])))
    groups, alone = solved.groups, []
    for k, there in enumerate(_directions(placed, solved.parameters)):
        alone.append(np.delete(there, groups.row[groups.image == k], axis=0))
    return np.concatenate([solved.star_directions(), *alone])


def _displaced(
    strays: Sequence[MeasuredImage], stars: np.ndarray, options: Mapping[str, Any]
) -> dict[str, np.ndarray]:
    """Find images that were not aligned by the stars of the others."""
    found = {}
    for image in strays:
        parameters = find_displaced(image, stars, options)
        if parameters is not None:
            found[image.name] = parameters
    return found


def _lost(any_placed: bool, keep: bool) -> SolvedImage:
    """Return what is said of images whose place no star tells."""
    if not any_placed:
        # They agree among themselves as well as the spacecraft points, and there is nothing better.
        status = "unchanged: not aligned, as no image of the region is: added as it points"
    else:
        status = "unchanged: not aligned, and not found among common stars: "
        status += "added as it points" if keep else "left out of coadds"
    return SolvedImage("", status, keep or not any_placed, 0, 0, np.nan, WcsCorrection())


def _row(image: MeasuredImage, solved: Solved | None, options: Mapping[str, Any]) -> SolvedImage:
    kept = SolvedImage(image.name, "", True, 0, 0, np.nan, WcsCorrection())
    index = solved.names.index(image.name) if solved is not None else -1
    if solved is None or not solved.is_free[index].any():
        n = solved.n_common_of(image.name) if solved is not None else 0
        status = f"unchanged: {n} stars in common, {options['minimum_stars']} are needed"
        return replace(kept, status=status)
    free = int(solved.is_free[index].sum())
    model = {6: "affine", 3: "shift and turn", 2: "shift"}[free]
    said = [f"solved: {model}"]
    if not solved.is_absolute[index]:
        said.append("without reference stars: relative to the mean of its ties")
    if not image.is_aligned:
        said.append("found among common stars: it was not aligned")
    return SolvedImage(
        image.name,
        "; ".join(said),
        True,
        solved.n_stars_of(image.name),
        solved.n_references_of(image.name),
        solved.rms_of(image.name),
        correction_of(solved.parameters[index]),
    )

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
    aligned = [image for image in ordered if image.is_aligned]
    start = {image.name: np.zeros(6) for image in aligned}
    solved = _solve(aligned, start, options)
    found = _displaced([i for i in ordered if not i.is_aligned], solved, options)
    if found:
        start |= found
        both = [image for image in ordered if image.name in start]
        solved = _solve(both, start, options)
        # One that then shares too few stars was no find: the others are solved without it.
        fewest = options["turn_stars"]
        lost = {n for n in found if solved is None or solved.n_stars_of(n) < fewest}
        if lost:
            start = {name: value for name, value in start.items() if name not in lost}
            kept = [image for image in ordered if image.name in start]
            solved = _solve(kept, start, options)
    lost = _lost(any_placed=bool(start), keep=options["unaligned"] == "keep")
    rows = tuple(
        _row(image, solved, options) if image.name in start else replace(lost, image=image.name)
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
    """Group the measurements and solve; None without any star in common."""
    if not images:
        return None
    parameters = np.array([start[image.name] for image in images])
    directions = [_directions(*pair) for pair in zip(images, parameters, strict=True)]
    groups = group_measurements(images, directions, options["match_radius_arcsec"])
    return solve_robustly(images, groups, parameters, options) if groups.n_stars else None


def _directions(image: MeasuredImage, parameters: np.ndarray) -> np.ndarray:
    moved = corrected_v2v3(correction_of(parameters), image.attitude, image.v2, image.v3)
    return telescope_vectors(image.attitude, *moved)


def _displaced(
    strays: Sequence[MeasuredImage],
    solved: Solved | None,
    options: Mapping[str, Any],
) -> dict[str, np.ndarray]:
    """Find images that were not aligned by the stars that the others have in common."""
    if solved is None or not strays:
        return {}
    stars = solved.star_directions()
    found = {}
    for image in strays:
        shift = find_displaced(image, stars, options["search_radius_arcsec"], options["turn_stars"])
        if shift is not None:
            found[image.name] = shift
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

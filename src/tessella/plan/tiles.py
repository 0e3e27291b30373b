"""Which parts of the sky's lattice are made, and which exposures fall on them."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from tessella.astrometry.tangent import sky_to_pixel
from tessella.astrometry.wcs import detector_to_v2v3, v2v3_to_sky
from tessella.errors import DataError
from tessella.instrument.siaf import detector_aperture
from tessella.models import Attitude, Lattice, PlannedExposure, Window
from tessella.sky.matching import match_cells, reaches
from tessella.sky.region_search import region_of
from tessella.sky.tessellation import cell_lattice, lattice_of, regions


@dataclass(frozen=True)
class Tile:
    """A rectangle of the sky's lattice, and the detector images that may reach it, by filter."""

    #: Name of the group of exposures that are added.
    grouping: str
    lattice: Lattice
    #: Filter to (exposure, detector) pairs in the order in which they are added.
    members: dict[str, list[tuple[str, str]]]

    @property
    def name(self) -> str:
        """Group, and official name of the sky cell that holds it."""
        return f"{self.grouping}_{self.lattice.skycell}"


@dataclass(frozen=True)
class Footprints:
    """Outlines of detector images on the sky, (n, 8) each [deg], in the order of adding."""

    images: list[tuple[str, str]]
    #: Filter of each image.
    elements: list[str]
    ra: np.ndarray
    dec: np.ndarray


@cache
def _outline(detector: str, window: Window) -> tuple[np.ndarray, np.ndarray]:
    """Return V2 and V3 [arcsec] of corners and middles of the sides of a window, in order."""
    ny, nx = window.active_shape
    x = window.x + np.array([0, 0.5, 1, 1, 1, 0.5, 0, 0]) * nx - 0.5
    y = window.y + np.array([0, 0, 0, 0.5, 1, 1, 1, 0.5]) * ny - 0.5
    return detector_to_v2v3(detector, x, y)


def outline(attitude: Attitude, detector: str, window: Window) -> tuple[np.ndarray, np.ndarray]:
    """Return right ascension and declination [deg] of the outline of a window, 8 points."""
    return v2v3_to_sky(attitude, *_outline(detector, window))


def pointing_margin(
    detectors: Iterable[Collection[str]], window: Window, radius_arcsec: float, turn_arcsec: float
) -> float:
    """Return by how much a pixel may lie beside where it is planned [arcsec].

    Parameters
    ----------
    detectors : iterable of collections of str
        Those of each exposure, which are aligned together: the error of the roll turns them
        about the mean of their reference points.
    window : Window
        The part of the detectors that is read.
    radius_arcsec, turn_arcsec : float
        Largest error of the pointing, and of the roll, that is looked for.

    Examples
    --------
    >>> round(pointing_margin([["WFI01"]], Window(), 30.0, 300.0), 2)
    30.46
    """
    farthest = 0.0
    for names in {tuple(sorted(one)) for one in detectors}:
        references = [(one.v2_ref, one.v3_ref) for one in map(detector_aperture, names)]
        corners = np.concatenate([np.transpose(_outline(name, window)) for name in names])
        arm = np.hypot(*(corners - np.mean(references, axis=0)).T).max()
        farthest = max(farthest, float(arm))
    return radius_arcsec + float(np.radians(turn_arcsec / 3600)) * farthest


def footprints(exposures: Sequence[PlannedExposure], window: Window) -> Footprints:
    """Return the outlines of all detector images of exposures, as they were planned."""
    images, elements, outlines = [], [], []
    for exposure in exposures:
        for detector, numbers in exposure.detectors.items():
            images.append((exposure.name, detector))
            elements.append(exposure.optical_element)
            outlines.append(outline(Attitude(*numbers), detector, window))
    ra, dec = np.array(outlines).reshape(-1, 2, 8).swapaxes(0, 1)
    return Footprints(images, elements, ra, dec)


def plan_tiles(
    exposures: Sequence[PlannedExposure],
    window: Window,
    cutout_pixels: int | None,
    margin_arcsec: float,
) -> list[Tile]:
    """Plan the tiles of a set of exposures, which are all added together.

    Parameters
    ----------
    exposures : sequence of PlannedExposure
        With the attitude of their detectors; without any there are no tiles.
    window : Window
        The part of the detectors that is read.
    cutout_pixels : int, optional
        Side of one square around the middle of the exposures [pixels]; None makes every
        official cell that an exposure touches, grown by the margin of its pointing.
    margin_arcsec : float
        See `pointing_margin`: no cell that a final pointing reaches is missing.

    Returns
    -------
    list of Tile
        Of the grouping `full`, by region, column and row; each has members.

    Raises
    ------
    DataError
        If the exposures lie so far apart that one square cannot hold any of them.
    """
    if not exposures:
        return []
    known = footprints(exposures, window)
    if cutout_pixels is None:
        return _cells(known, margin_arcsec)
    lattice = _cutout(known, cutout_pixels)
    near = np.flatnonzero(_reach(known, lattice, margin_arcsec))
    if not near.size:
        raise DataError(
            "no exposure falls on the planned tile; check RA, DEC and 'tile.cutout_pixels'"
        )
    return [Tile("full", lattice, _by_filter(known, near))]


def _cells(known: Footprints, margin_arcsec: float) -> list[Tile]:
    matches = match_cells(known.ra, known.dec, margin_arcsec)
    keys = np.stack([matches.region, matches.column, matches.row])
    cells, which = np.unique(keys, axis=1, return_inverse=True)
    # Footprints of a cell keep their order: a stable sort.
    order = np.argsort(which.ravel(), kind="stable")
    counts = np.bincount(which.ravel(), minlength=cells.shape[1])
    members = np.split(matches.footprint[order], np.cumsum(counts)[:-1])
    return [
        Tile("full", cell_lattice(regions()[index], column, row), _by_filter(known, images))
        for (index, column, row), images in zip(cells.T.tolist(), members, strict=True)
    ]


def _by_filter(known: Footprints, which: np.ndarray) -> dict[str, list[tuple[str, str]]]:
    members: dict[str, list[tuple[str, str]]] = {}
    for number in which.tolist():
        members.setdefault(known.elements[number], []).append(known.images[number])
    return members


def _cutout(known: Footprints, size: int) -> Lattice:
    """Return the square around the middle of all footprints, in the region of the first."""
    region = region_of(known.ra[0, 0], known.dec[0, 0])
    x, y = sky_to_pixel(cell_lattice(region, 0, 0), known.ra, known.dec)
    middle_x, middle_y = ((np.nanmin(one) + np.nanmax(one)) / 2 for one in (x, y))
    return lattice_of(region, round(middle_x - size / 2), round(middle_y - size / 2), size, size)


def _reach(known: Footprints, lattice: Lattice, margin_arcsec: float) -> np.ndarray:
    x, y = sky_to_pixel(lattice, known.ra, known.dec)
    half = lattice.nx / 2, lattice.ny / 2
    middle = half[0] - 0.5, half[1] - 0.5
    return reaches(x, y, middle, half, margin_arcsec / lattice.pixel_scale_arcsec)


def tiles_of_groups(
    tiles: Sequence[Tile], groups: Mapping[str, Collection[tuple[str, str]]]
) -> list[Tile]:
    """Return the tiles of groups: those of all images, with the images of each group.

    Parameters
    ----------
    tiles : sequence of Tile
        Of all images.
    groups : mapping
        Name of each group to its (exposure, detector) pairs.

    Returns
    -------
    list of Tile
        Group by group, in the order of `tiles`; a tile without images in a group is left out.
    """
    found = []
    for group, images in groups.items():
        for tile in tiles:
            members = {
                element: kept
                for element, pairs in tile.members.items()
                if (kept := [pair for pair in pairs if pair in images])
            }
            if members:
                found.append(Tile(group, tile.lattice, members))
    return found

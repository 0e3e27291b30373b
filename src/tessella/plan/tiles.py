"""Which part of the sky's lattice is made, and which exposures fall on it."""

from dataclasses import dataclass

import numpy as np

from tessella.astrometry.tangent import sky_to_pixel
from tessella.astrometry.wcs import detector_to_sky
from tessella.errors import DataError
from tessella.models import Attitude, Lattice, PlannedExposure, Window
from tessella.sky.tessellation import (
    CELL_SIZE,
    Region,
    cell_lattice,
    cells_touched,
    lattice_of,
    region_of,
)

#: The final pointing may differ from the planned one by this much [arcsec].
POINTING_MARGIN_ARCSEC = 5.0


@dataclass(frozen=True)
class Tile:
    """A rectangle of the sky's lattice, and the detector images that may reach it, by filter."""

    lattice: Lattice
    #: Filter to (exposure, detector) pairs in the order in which they are added.
    members: dict[str, list[tuple[str, str]]]

    @property
    def name(self) -> str:
        """Official name of the sky cell that holds it."""
        return self.lattice.skycell


def corners(attitude: Attitude, detector: str, window: Window) -> tuple[np.ndarray, np.ndarray]:
    """Return right ascension and declination [deg] of the outline of a window, 8 points."""
    ny, nx = window.active_shape
    x = window.x + np.array([0, 0.5, 1, 1, 1, 0.5, 0, 0]) * nx - 0.5
    y = window.y + np.array([0, 0, 0, 0.5, 1, 1, 1, 0.5]) * ny - 0.5
    return detector_to_sky(attitude, detector, x, y)


def _outlines(
    exposures: list[PlannedExposure], window: Window
) -> dict[tuple[str, str], tuple[np.ndarray, np.ndarray]]:
    return {
        (exposure.name, detector): corners(Attitude(*numbers), detector, window)
        for exposure in exposures
        for detector, numbers in exposure.detectors.items()
    }


def _reaches(lattice: Lattice, ra: np.ndarray, dec: np.ndarray) -> bool:
    x, y = sky_to_pixel(lattice, ra, dec)
    margin = POINTING_MARGIN_ARCSEC / lattice.pixel_scale_arcsec
    inside_x = np.nanmax(x) > -margin and np.nanmin(x) < lattice.nx + margin
    inside_y = np.nanmax(y) > -margin and np.nanmin(y) < lattice.ny + margin
    return bool(np.isfinite(x).any() and inside_x and inside_y)


def plan_tiles(
    exposures: list[PlannedExposure], window: Window, cutout_pixels: int | None
) -> list[Tile]:
    """Plan the tiles of a set of exposures.

    Parameters
    ----------
    exposures : list of PlannedExposure
        With the attitude of their detectors; without any there are no tiles.
    window : Window
        The part of the detectors that is read.
    cutout_pixels : int, optional
        Side of one square around the middle of the exposures [pixels]; None makes every
        official cell that an exposure touches.

    Raises
    ------
    DataError
        If the exposures lie so far apart that one square cannot hold any of them.
    """
    if not exposures:
        return []
    outlines = _outlines(exposures, window)
    lattices = _cells(outlines) if cutout_pixels is None else [_cutout(outlines, cutout_pixels)]
    elements = {exposure.name: exposure.optical_element for exposure in exposures}
    tiles = []
    for lattice in lattices:
        members: dict[str, list[tuple[str, str]]] = {}
        for (name, detector), outline in outlines.items():
            if _reaches(lattice, *outline):
                members.setdefault(elements[name], []).append((name, detector))
        if members:
            tiles.append(Tile(lattice, members))
    if not tiles:
        raise DataError(
            "no exposure falls on the planned tile; check RA, DEC and 'tile.cutout_pixels'"
        )
    return tiles


def _cutout(outlines: dict[tuple[str, str], tuple[np.ndarray, np.ndarray]], size: int) -> Lattice:
    region, x, y = _middle(outlines)
    return lattice_of(region, round(x - size / 2), round(y - size / 2), size, size)


def _middle(
    outlines: dict[tuple[str, str], tuple[np.ndarray, np.ndarray]],
) -> tuple[Region, float, float]:
    first_ra, first_dec = next(iter(outlines.values()))
    region = region_of(float(first_ra[0]), float(first_dec[0]))
    origin = lattice_of(region, 0, 0, CELL_SIZE, CELL_SIZE)
    pixels = [sky_to_pixel(origin, ra, dec) for ra, dec in outlines.values()]
    x, y = (np.concatenate([position[axis] for position in pixels]) for axis in (0, 1))
    return region, float(np.nanmin(x) + np.nanmax(x)) / 2, float(np.nanmin(y) + np.nanmax(y)) / 2


def _cells(outlines: dict[tuple[str, str], tuple[np.ndarray, np.ndarray]]) -> list[Lattice]:
    found: dict[tuple[int, int, int], Lattice] = {}
    for ra, dec in outlines.values():
        for region in {
            region_of(float(a), float(d)).index: region_of(float(a), float(d))
            for a, d in zip(ra, dec, strict=True)
        }.values():
            for column, row in cells_touched(region, ra, dec):
                found[region.index, column, row] = cell_lattice(region, column, row)
    return [found[key] for key in sorted(found)]

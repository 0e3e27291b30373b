"""Positions on the sky, neighbours, spatial identifiers and warnings of sources."""

import re
from collections.abc import Mapping

import numpy as np
from scipy.spatial import cKDTree

from tessella.astrometry.tangent import pixel_to_sky, sky_to_pixel
from tessella.models import Lattice
from tessella.sky.matching import primary_cell
from tessella.sky.tessellation import cell_lattice, regions
from tessella.sources.detection import Detection
from tessella.sources.stamps import stamps

#: Bits of ``warning_flags``: no coverage at the position; the segment touches pixels without
#: coverage; the windowed centroid failed and the position is the first moment.
NO_COVERAGE = 1
INCOMPLETE_SEGMENT = 2
NO_WINDOWED_CENTROID = 4

#: Side of a pixel of the virtual grid of spatial identifiers [arcsec].
_VIRTUAL_SCALE = 0.05
#: First bit of each part of a spatial identifier.
_OUTSIDE_BIT, _REGION_BIT, _CELL_Y_BIT, _CELL_X_BIT, _PIXEL_Y_BIT = 59, 46, 39, 32, 16
#: Declination step that finds the direction of north [deg].
_NORTH_STEP = 1e-4


def best_position(columns: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return the adopted position [pixels]: the windowed centroid, else the first moment."""
    good = np.isfinite(columns["x_centroid_win"]) & np.isfinite(columns["y_centroid_win"])
    x = np.where(good, columns["x_centroid_win"], columns["x_centroid"])
    return x, np.where(good, columns["y_centroid_win"], columns["y_centroid"])


def sky_positions(detection: Detection, columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Turn pixel positions, their errors and the orientation into those on the sky.

    Returns
    -------
    dict of (n,) arrays
        Right ascension and declination [deg], errors along each [arcsec on the sky], position
        angle of the major axis east of north [deg, 0 to 180].
    """
    lattice, scale = detection.lattice, detection.lattice.pixel_scale_arcsec
    found: dict[str, np.ndarray] = {}
    for kind in ("centroid", "centroid_win"):
        ra, dec = pixel_to_sky(lattice, columns[f"x_{kind}"], columns[f"y_{kind}"])
        found |= {f"ra_{kind}": ra, f"dec_{kind}": dec}
        # ASSUME: north is along +y; the error ellipse of a source is close to round.
        found[f"ra_{kind}_err"] = columns[f"x_{kind}_err"] * scale
        found[f"dec_{kind}_err"] = columns[f"y_{kind}_err"] * scale
    x, y = best_position(columns)
    found["ra"], found["dec"] = pixel_to_sky(lattice, x, y)
    north = north_direction(lattice, found["ra"], found["dec"])
    found["orientation_sky"] = (columns["orientation_pix"] - north) % 180.0
    return found


def north_direction(lattice: Lattice, ra: np.ndarray, dec: np.ndarray) -> np.ndarray:
    """Return the direction of north [deg, counter-clockwise from +x].

    Examples
    --------
    >>> field = Lattice(10.0, 60.0, 100.0, 100.0, 0.055, 200, 200)
    >>> north_direction(field, np.array([10.0]), np.array([60.0])).round(6).tolist()
    [90.0]
    """
    x0, y0 = sky_to_pixel(lattice, ra, np.asarray(dec) - _NORTH_STEP)
    x1, y1 = sky_to_pixel(lattice, ra, np.asarray(dec) + _NORTH_STEP)
    return np.degrees(np.arctan2(y1 - y0, x1 - x0))


def neighbours(detection: Detection, columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Find the nearest other source: its label, -1 where there is none, and distance [arcsec]."""
    x, y = best_position(columns)
    label = np.full(len(x), -1)
    distance = np.full(len(x), np.nan)
    known = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
    if known.size > 1:
        positions = np.column_stack((x[known], y[known]))
        apart, other = cKDTree(positions).query(positions, k=2)
        # Two sources of one position may come in either order.
        column = np.where(other[:, 0] == np.arange(known.size), 1, 0)
        rows = np.arange(known.size)
        label[known] = detection.labels[known[other[rows, column]]]
        distance[known] = apart[rows, column] * detection.lattice.pixel_scale_arcsec
    return {"nn_label": label, "nn_distance": distance}


def warnings(detection: Detection, columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Set the bits of ``warning_flags``."""
    x, y = best_position(columns)
    central = stamps(detection.snr, x, y, 0)[:, 0, 0]
    flags = np.where(np.isfinite(central), 0, NO_COVERAGE)
    flags |= np.where(np.isfinite(columns["x_centroid_win"]), 0, NO_WINDOWED_CENTROID)
    incomplete = np.isin(detection.labels, _labels_at_edges(detection))
    return {"warning_flags": flags | np.where(incomplete, INCOMPLETE_SEGMENT, 0)}


def _labels_at_edges(detection: Detection) -> np.ndarray:
    """Return the labels of segments that hold or touch a pixel without coverage or the border."""
    padded = np.pad(np.isfinite(detection.snr), 1, constant_values=False)
    y, x = np.nonzero(detection.segmentation)
    whole = np.ones(y.size, dtype=bool)
    for dy, dx in ((1, 1), (0, 1), (2, 1), (1, 0), (1, 2)):
        whole &= padded[y + dy, x + dx]
    return np.unique(detection.segmentation[y[~whole], x[~whole]])


def spatial_id(detection: Detection, columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Pack region, cell and place in the cell into one number; -1 where there is no cell.

    Bits 0-15 and 16-31 hold x and y on a virtual grid of 0.05 arcsec, 32-38 and 39-45 the
    numbers after x and y in the cell's name, 46-58 the projection region; bit 59 is set for
    sources that do not belong to this cell, so that each source of the sky is primary once.
    """
    lattice = detection.lattice
    x, y = best_position(columns)
    known = np.isfinite(x) & np.isfinite(y)
    numbers = re.search(r"x(\d+)y(\d+)$", lattice.skycell)
    if numbers is None or lattice.region < 0:
        return {"flagged_spatial_id": np.full(len(x), -1)}
    name_x, name_y = (int(number) for number in numbers.groups())
    region = regions()[lattice.region]
    # The number after x counts rows, the one after y columns (names of July 2025 and later).
    cell = cell_lattice(region, name_y - 50, name_x - 50)
    in_cell_x = np.where(known, x, 0.0) - lattice.x_tangent + cell.x_tangent
    in_cell_y = np.where(known, y, 0.0) - lattice.y_tangent + cell.y_tangent
    owner = primary_cell(*pixel_to_sky(lattice, np.where(known, x, 0), np.where(known, y, 0)))
    primary = np.all(np.stack(owner, 1) == (region.index, name_y - 50, name_x - 50), axis=1)
    identifier = (
        (~primary).astype(np.int64) << _OUTSIDE_BIT
        | lattice.region << _REGION_BIT
        | name_y << _CELL_Y_BIT
        | name_x << _CELL_X_BIT
        | _virtual_pixel(in_cell_y, lattice) << _PIXEL_Y_BIT
        | _virtual_pixel(in_cell_x, lattice)
    )
    return {"flagged_spatial_id": np.where(known, identifier, -1)}


def _virtual_pixel(position: np.ndarray, lattice: Lattice) -> np.ndarray:
    virtual = np.floor(position * lattice.pixel_scale_arcsec / _VIRTUAL_SCALE).astype(np.int64)
    return np.clip(virtual, 0, 2**16 - 1)

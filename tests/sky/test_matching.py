"""Footprints on cells, and the one cell of each direction."""

import numpy as np
import pytest

from tessella.astrometry.tangent import pixel_to_sky, sky_to_pixel
from tessella.astrometry.wcs import attitude_of
from tessella.instrument.siaf import DETECTORS
from tessella.models import Window
from tessella.plan.tiles import outline
from tessella.sky.matching import match_cells, primary_cell, reaches
from tessella.sky.region_search import region_indices
from tessella.sky.tessellation import (
    CELL_BORDER,
    CELL_PITCH,
    CELL_SIZE,
    cell_lattice,
    cells_of,
    is_cell,
    regions,
)


def pointing(ra, dec, pa=0.0):
    """Outlines of the 18 detectors."""
    outlines = [outline(attitude_of(d, ra, dec, pa), d, Window()) for d in DETECTORS]
    return np.array(outlines).swapaxes(0, 1)


def keys(matches):
    """Set of (footprint, region, column, row)."""
    columns = (matches.footprint, matches.region, matches.column, matches.row)
    return set(zip(*(column.tolist() for column in columns), strict=True))


def inside_points(ra, dec, n):
    """Directions all over convex polygons, edges and vertices too: (n_polygons, n, 3)."""
    a, d = np.radians(ra), np.radians(dec)
    vertices = np.stack([np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)], axis=-1)
    rng = np.random.default_rng(3)
    weights = rng.dirichlet(np.full(ra.shape[1], 0.3), n)
    sharing = rng.uniform(size=(n, 1))
    pairs = np.eye(ra.shape[1])[np.arange(n) % ra.shape[1]]
    on_edges = sharing * pairs + (1 - sharing) * np.roll(pairs, 1, axis=1)
    return np.concatenate([weights, on_edges]) @ vertices


def cells_holding(points):
    """All cells, in every region within reach, that hold directions (n, 3): a plain search."""
    ra = np.degrees(np.arctan2(points[:, 1], points[:, 0]))
    dec = np.degrees(np.arctan2(points[:, 2], np.hypot(points[:, 0], points[:, 1])))
    a, d = np.radians([[r.ra_tangent, r.dec_tangent] for r in regions()]).T
    tangents = np.stack([np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)], axis=1)
    found = set()
    # Regions are at most 4 degrees from their tangent point to a corner.
    for index in np.flatnonzero((tangents @ points.mean(axis=0)) > np.cos(np.radians(5.0))):
        region = regions()[index]
        x, y = sky_to_pixel(cell_lattice(region, 0, 0), ra, dec)
        for dx in (0, 1):
            for dy in (0, 1):
                column = np.floor((x + 0.5) / CELL_PITCH).astype(int) - dx
                row = np.floor((y + 0.5) / CELL_PITCH).astype(int) - dy
                held = (x + 0.5 < column * CELL_PITCH + CELL_SIZE) & (
                    y + 0.5 < row * CELL_PITCH + CELL_SIZE
                )
                held &= is_cell(region, column, row)
                found |= {
                    (int(index), *key)
                    for key in zip(column[held].tolist(), row[held].tolist(), strict=True)
                }
    return found


POINTINGS = [
    *((12.1, 85.3, 0), (0.0, 0.0, 30), (359.99, -45.0, 60), (77.0, 88.2, 45), (5.0, 90.0, 10)),
    *((200.0, -90.0, 0), (22.5, 86.3, 20), (5.625, 77.379, 0), (266.0, -29.0, 75)),
]


@pytest.mark.parametrize(("ra", "dec", "pa"), POINTINGS)
def test_cells_of_an_exposure_are_those_that_hold_its_points(ra, dec, pa):
    footprints = pointing(ra, dec, pa)
    matched = keys(match_cells(*footprints))
    points = inside_points(*footprints, 400)
    for number in range(len(DETECTORS)):
        mine = {key[1:] for key in matched if key[0] == number}
        held = cells_holding(points[number])
        assert held <= mine
        # Random points miss only cells of which a footprint has a small corner or sliver.
        assert len(mine - held) <= 3


def test_cells_are_those_that_the_polygon_overlaps_exactly():
    region = regions()[700]
    lattice = cell_lattice(region, 2, 1)

    def matched(x, y, margin=0.0):
        ra, dec = pixel_to_sky(lattice, np.array([x]), np.array([y]))
        found = match_cells(ra, dec, margin)
        return list(zip(found.column.tolist(), found.row.tolist(), strict=True))

    inner = [300.0, 4000.0, 4000.0, 300.0], [300.0, 300.0, 4000.0, 4000.0]
    assert matched(*inner) == [(2, 1)]
    # Neighbours overlap by 200 pixels, from -0.5 to 199.5 of this cell.
    assert matched([50.0, 60.0, 55.0], [2000.0, 2000.0, 2010.0]) == [(1, 1), (2, 1)]
    assert matched([199.6, 260.0, 255.0], [2000.0, 2000.0, 2010.0]) == [(2, 1)]
    assert matched([199.4, 260.0, 255.0], [2000.0, 2000.0, 2010.0]) == [(1, 1), (2, 1)]
    # 0.055 arcsec a pixel.
    assert matched([200.4, 260.0, 255.0], [2000.0, 2000.0, 2010.0], 0.055) == [(1, 1), (2, 1)]
    # The box around a triangle reaches a cell that the triangle does not.
    triangle = [150.0, 4000.0, 4000.0], [4000.0, 4000.0, 150.0]
    assert matched(*triangle) == [(2, 0), (1, 1), (2, 1)]
    backwards = [side[::-1] for side in triangle]
    assert matched(*backwards) == matched(*triangle)


def test_matches_are_in_the_official_order_of_cells():
    found = match_cells(*pointing(22.5, 86.3))
    rows = list(zip(found.footprint, found.region, found.row, found.column, strict=True))
    assert rows == sorted(rows)
    official = {cell: k for k, cell in enumerate(cells_of(regions()[1]))}
    of_first = [
        (c, r) for i, c, r in zip(found.region, found.column, found.row, strict=True) if i == 1
    ]
    assert of_first
    assert set(of_first) <= set(official)


def test_footprints_are_matched_each_for_itself():
    ra, dec = pointing(12.1, 85.3)
    together = match_cells(ra, dec)
    for number in range(len(ra)):
        alone = match_cells(ra[number], dec[number])
        mine = together.footprint == number
        for name in ("region", "column", "row"):
            np.testing.assert_array_equal(getattr(alone, name), getattr(together, name)[mine])


def test_no_footprints_have_no_cells():
    assert match_cells(np.zeros((0, 8)), np.zeros((0, 8))).region.size == 0


def test_footprint_that_is_no_field_of_view_is_refused():
    with pytest.raises(ValueError, match=r"footprint 1 reaches .* degrees from its middle"):
        match_cells([[0.0, 1.0, 0.5], [0.0, 80.0, 40.0]], [[0.0, 0.0, 1.0], [0.0, 0.0, 1.0]])


def test_polygons_reach_rectangles_whichever_way_round_they_go():
    x, y = np.array([[0.0, 4.0, 4.0, 0.0]]), np.array([[0.0, 0.0, 4.0, 4.0]])
    for a, b in ((x, y), (x[:, ::-1], y[:, ::-1])):
        assert reaches(a, b, (6.0, 2.0), (2.5, 1.0), 0.0)
        assert not reaches(a, b, (6.0, 2.0), (1.5, 1.0), 0.0)
        assert reaches(a, b, (6.0, 2.0), (1.5, 1.0), 0.6)


def assert_primary_once(ra, dec):
    """Each direction has one cell, which is official and holds it; neighbours agree."""
    region, column, row = primary_cell(ra, dec)
    np.testing.assert_array_equal(region, region_indices(ra, dec))
    for index in np.unique(region):
        mine = np.flatnonzero(region == index)
        place = np.stack([column[mine], row[mine]])
        assert is_cell(regions()[index], *place).all()
        position = np.stack(sky_to_pixel(cell_lattice(regions()[index], 0, 0), ra[mine], dec[mine]))
        naive = np.ceil((position - 99.5) / CELL_PITCH).astype(int) - 1
        moved = (naive != place).any(axis=0)
        assert not is_cell(regions()[index], *naive[:, moved]).any()
        # Where it is not the inner part that holds a direction, the border does.
        assert (np.abs(position - place * CELL_PITCH - 2499.5) <= CELL_SIZE / 2).all()
    return region, column, row


def test_every_direction_belongs_to_one_official_cell():
    rng = np.random.default_rng(4)
    n = 1_000_000
    ra, dec = rng.uniform(0, 360, n), np.degrees(np.arcsin(rng.uniform(-1, 1, n)))
    assert_primary_once(ra, dec)


def test_directions_at_edges_of_regions_belong_to_official_cells():
    bounds = np.array([[r.ra_min, r.ra_max, r.dec_min, r.dec_max] for r in regions()])
    wide = (bounds[:, 1] - bounds[:, 0]) % 360.0
    ra, dec = [], []
    for share in (0.0, 1e-9, 0.3, 0.5, 1 - 1e-9):
        across = bounds[:, 0] + share * wide
        up = bounds[:, 2] + share * (bounds[:, 3] - bounds[:, 2])
        ra += [across, across, bounds[:, 0]]
        dec += [bounds[:, 2], bounds[:, 3], up]
    nudge = np.array([-1e-10, 0.0, 1e-10])[:, None, None]
    assert_primary_once(*(values.ravel() for values in (ra + nudge, np.clip(dec + nudge, -90, 90))))


@pytest.mark.parametrize("pole", [90.0, -90.0])
def test_poles_belong_to_one_cell_whatever_their_right_ascension(pole):
    found = np.stack(primary_cell(np.linspace(-360, 720, 1000), np.full(1000, pole)))
    assert (found == found[:, :1]).all()


def test_meridian_is_no_edge_but_of_regions():
    dec = np.linspace(-90, 90, 20_001)
    for ra in (0.0, 360.0, -360.0, -0.0):
        np.testing.assert_array_equal(primary_cell(ra, dec), primary_cell(0.0, dec))


def test_edges_of_cells_belong_to_the_lower_cell():
    lattice = cell_lattice(regions()[700], 0, 0)
    # 1e-6 pixel is a hundred times what directions in degrees resolve (6e-14 deg, 4e-9 pixel).
    x = np.array([99.5, 99.5, 4899.5, 4899.5]) + np.array([-1e-6, 1e-6, -1e-6, 1e-6])
    for position in ((x, np.full(4, 2000.0)), (np.full(4, 2000.0), x)):
        region, column, row = primary_cell(*pixel_to_sky(lattice, *position))
        assert (region == 700).all()
        assert (column + row).tolist() == [-1, 0, 0, 1]


def test_corners_of_regions_in_cells_that_are_left_out_belong_to_the_next_cell():
    """Each region is asked where its bounds reach furthest into a row or column of cells.

    Bounds are straight (meridians) or curved to one side (parallels): they reach into a cell
    without a corner of it between them only at a corner of the region, or where a parallel
    is along the row, at the tangent point's meridian; the caps also a quarter turn from it.
    """
    lost = {}
    for region in regions():
        wide = (region.ra_max - region.ra_min) % 360.0 or 360.0
        turns = (0.0, 90.0, 180.0, 270.0) if wide == 360.0 else (1e-9, wide / 2, wide - 1e-9)
        start = region.ra_tangent if wide == 360.0 else region.ra_min
        ra = (start + np.array([*turns, *turns])) % 360.0
        dec = np.repeat([region.dec_min + 1e-10, region.dec_max - 1e-10], len(turns))
        lattice = cell_lattice(region, 0, 0)
        position = np.stack(sky_to_pixel(lattice, ra, dec))
        naive = np.ceil((position - 99.5) / CELL_PITCH).astype(int) - 1
        left_out = ~is_cell(region, *naive)
        if left_out.any():
            place = np.stack(primary_cell(ra[left_out], dec[left_out])[1:])
            assert is_cell(region, *place).all()
            assert (np.abs(place - naive[:, left_out]).sum(axis=0) == 1).all()
            inner = position[:, left_out] - place * CELL_PITCH
            lost[region.index] = np.abs(inner - 2499.5).max() - 2400
    assert {round(abs(regions()[index].dec_tangent), 1) for index in lost} == {75.6}
    assert len(lost) == 64
    assert 93 < max(lost.values()) < CELL_BORDER

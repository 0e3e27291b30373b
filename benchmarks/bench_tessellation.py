"""What the tessellation costs: footprints matched to cells, cells counted, images read by patches.

    python benchmarks/bench_tessellation.py [POINTINGS] [--repeat 5]

POINTINGS is a FITS table of pointings with columns ra, dec and pa [deg], such as the observing
sequence of a survey; without it its rows are not measured. It prints a table and writes
benchmarks/results/tessellation.json.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import yaml

import tessella
from tessella.astrometry.tangent import pixel_to_sky, sky_to_pixel
from tessella.astrometry.wcs import (
    attitude_of,
    detector_to_sky,
    detector_to_v2v3,
    v2v3_to_sky,
)
from tessella.coadd.accumulate import Box
from tessella.coadd.block_sums import STRIP
from tessella.coadd.places import places_of
from tessella.instrument import siaf
from tessella.models import Attitude, Window
from tessella.plan.patches import PATCH_CELLS, patch_of_cell
from tessella.plan.tiles import outline, pointing_margin
from tessella.run.coadd_patch import share_of_blocks
from tessella.sky.matching import match_cells, primary_cell
from tessella.sky.tessellation import CELL_PITCH, CELL_SIZE, cell_lattice, cells_of, regions

ROOT = Path(__file__).parents[1]
WINDOW = Window()
#: By which footprints are grown in a plan [arcsec]: errors of 30 and 300 arcsec are looked for.
MARGIN = pointing_margin([siaf.DETECTORS], WINDOW, 30.0, 300.0)
#: Position angles at which reading is counted [deg].
ANGLES = (0.0, 15.0, 30.0, 45.0)
#: Exposures at each of them.
N_POINTINGS = 300
#: Points along each side of a detector that stand for its rows.
N_GRID = 64


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pointings", nargs="?", type=Path)
    parser.add_argument("--repeat", type=int, default=5)
    args = parser.parse_args()
    rows = [row("import and match 18 detectors, a process of its own", cold, args.repeat)]
    rows.append(row("18 detectors matched to their cells", one_exposure, 20 * args.repeat))
    rows.append(row("1,000,000 directions to their primary cells", primary, args.repeat))
    rows.append(row("all cells of all 4,058 regions", all_cells, 1))
    reading = [read_by_patches(angle) for angle in ANGLES]
    if args.pointings:
        pointings = read_pointings(args.pointings)
        what = f"{len(pointings[0]):,} exposures x 18 detectors matched to their cells"
        rows.append(row(what, exposures, 1, pointings))
        reading.append(read_in_survey(*outlines(*pointings)))
    for one in (*rows, *reading):
        print("  ".join(f"{key} {value}" for key, value in one.items()))
    content = {
        "machine": {"cores": os.cpu_count(), "system": platform.platform()},
        "software": f"tessella {tessella.__version__}",
        "rows": rows,
        "reading": reading,
    }
    out = Path(__file__).parent / "results" / "tessellation.json"
    out.write_text(json.dumps(content, indent=1) + "\n")


def row(what: str, function, n_runs: int, arguments: tuple = ()) -> dict:
    """Return the medians of a function's times, and the peak of this process so far."""
    cpu, wall = [], []
    for _ in range(n_runs):
        before, started = spent(), time.perf_counter()
        function(*arguments)
        cpu.append(spent() - before)
        wall.append(time.perf_counter() - started)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    times = {"cpu_s": round(float(np.median(cpu)), 5), "wall_s": round(float(np.median(wall)), 5)}
    return {"what": what, **times, "peak_gb": round(peak, 3), "n_runs": n_runs}


def spent() -> float:
    """Return CPU seconds of this process and its children."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def cold() -> None:
    code = "import bench_tessellation as b; b.one_exposure()"
    folder = str(Path(__file__).parent)
    subprocess.run([sys.executable, "-c", code], cwd=folder, check=True)


def one_exposure() -> None:
    found = [outline(attitude_of(d, 12.1, 85.3, 20.0), d, WINDOW) for d in siaf.DETECTORS]
    match(*np.array(found).swapaxes(0, 1))


def exposures(ra, dec, pa) -> None:
    match(*outlines(ra, dec, pa))


def match(ra, dec):
    return match_cells(ra, dec, MARGIN)


def primary() -> None:
    rng = np.random.default_rng(1)
    n = 1_000_000
    primary_cell(rng.uniform(0, 360, n), np.degrees(np.arcsin(rng.uniform(-1, 1, n))))


def all_cells() -> None:
    assert sum(len(cells_of(region)) for region in regions()) == 8_045_034


def read_pointings(path: Path) -> tuple[np.ndarray, ...]:
    from astropy.table import Table

    table = Table.read(path, hdu=1)
    return tuple(np.asarray(table[name], float) for name in ("ra", "dec", "pa"))


def sides(n: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Return V2 and V3 of (18, n_points) outlines, or of grids of n x n pixels."""
    ny, nx = WINDOW.active_shape
    if n > 1:
        y, x = (np.mgrid[:n, :n].reshape(2, -1) + 0.5) * nx / n - 0.5
    else:
        x = np.array([0, 0.5, 1, 1, 1, 0.5, 0, 0]) * nx - 0.5
        y = np.array([0, 0, 0, 0.5, 1, 1, 1, 0.5]) * ny - 0.5
    return tuple(np.array([detector_to_v2v3(d, x, y) for d in siaf.DETECTORS]).swapaxes(0, 1))


def center_attitude(ra: float, dec: float, pa: float) -> Attitude:
    """Return the attitude when the centre of the instrument is at a position."""
    center = siaf.aperture(siaf.WFI_CENTER)
    return Attitude(ra, dec, pa - center.v3_ideal_y_angle, center.v2_ref, center.v3_ref)


def outlines(ra, dec, pa) -> tuple[np.ndarray, np.ndarray]:
    """Return the outlines of all detectors of exposures, (18 n, 8) right ascensions and so on."""
    v2, v3 = sides()
    found = [
        v2v3_to_sky(center_attitude(*pointing), v2, v3)
        for pointing in zip(ra, dec, pa, strict=True)
    ]
    return tuple(np.array(found).swapaxes(0, 1).reshape(2, -1, v2.shape[1]))


def read_by_patches(angle: float) -> dict:
    """Count how often images all over a patch are read, amid patches on all sides."""
    region = regions()[1500]
    lattice = cell_lattice(region, 0, 0)
    rng = np.random.default_rng(2)
    # A point of the middle patch for each pointing: PATCH_CELLS cells from row and column -2.
    pixels = (rng.uniform(-2, PATCH_CELLS - 2, (2, N_POINTINGS))) * CELL_PITCH
    pointings = [(*at, angle) for at in zip(*pixel_to_sky(lattice, *pixels), strict=True)]
    footprints = outlines(*np.array(pointings).T)
    found = match(*footprints)
    own = found.region == region.index
    patches = np.stack([found.footprint, *patch_of_cell(found.column, found.row)])[:, own]
    times_read = np.unique(patches, axis=1).shape[1] / len(footprints[0])
    return {
        "what": f"images on 8 x 8 patches, detectors turned by {angle:g} deg",
        "images_read_by_jobs": round(times_read, 3),
        "rows_read_by_jobs": round(rows_read(pointings, lattice), 3),
        "rows_read_by_blocks": round(rows_read_by_blocks(angle), 3),
        "n_images": len(footprints[0]),
    }


def rows_read(pointings, lattice) -> float:
    """Return how often a row is read where jobs read those rows alone that fall on their patch."""
    v2, v3 = sides(N_GRID)
    n_rows = 0
    for pointing in pointings:
        x, y = sky_to_pixel(lattice, *v2v3_to_sky(center_attitude(*pointing), v2, v3))
        place = patch_of_cell(np.floor((x - 99.5) / CELL_PITCH), np.floor((y - 99.5) / CELL_PITCH))
        names = (place[0] * 100 + place[1]).reshape(-1, N_GRID)
        n_rows += sum(len(np.unique(one)) for one in names)
    return n_rows / (len(pointings) * len(siaf.DETECTORS) * N_GRID)


def rows_read_by_blocks(angle: float) -> float:
    """Return how often a row of an image inside a patch is read by the blocks of one rank."""
    lattice = cell_lattice(regions()[1500], 0, 0)
    side = (PATCH_CELLS - 1) * CELL_PITCH + CELL_SIZE
    center = tuple(float(v) for v in pixel_to_sky(lattice, side / 2, side / 2))
    attitude = attitude_of("WFI01", *center, angle)
    shape = (siaf.ACTIVE_SIZE, siaf.ACTIVE_SIZE)
    places = places_of(partial(detector_to_sky, attitude, "WFI01"), shape, lattice)
    default = yaml.safe_load((ROOT / "config/default.yaml").read_text())
    block_pixels = default["coadd"]["block_pixels"]
    n_rows = 0
    for block in share_of_blocks(Box(0, 0, side, side), 0, 1, block_pixels, places.row_direction):
        # As `add_image` reads them: whole strips, over the block and half a pixel around it.
        low_x, low_y = block.x0 - 0.5, block.y0 - 0.5
        first, stop = places.rows_on(low_x, low_x + block.nx, low_y, low_y + block.ny)
        n_rows += stop - first + first % STRIP
    return n_rows / siaf.ACTIVE_SIZE


def read_in_survey(ra: np.ndarray, dec: np.ndarray) -> dict:
    """Count jobs, and how often they read an image, with bounds of regions and of the survey."""
    found = match(ra, dec)
    patches = np.stack([found.footprint, found.region, *patch_of_cell(found.column, found.row)])
    pairs = np.unique(patches, axis=1)
    cells = np.unique(np.stack([found.region, found.column, found.row]), axis=1).shape[1]
    return {
        "what": "images of the survey",
        "images_read_by_jobs": round(pairs.shape[1] / len(ra), 3),
        "images_read_by_jobs_of_cells": round(len(found.footprint) / len(ra), 3),
        "n_images": len(ra),
        "n_cells": cells,
        "n_patches": np.unique(pairs[1:], axis=1).shape[1],
    }


if __name__ == "__main__":
    main()

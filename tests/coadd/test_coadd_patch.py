"""The stage that adds images: ranks, later images, removed images, changed solutions."""

import json
import runpy
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import exposures
import h5py
import numpy as np
import pytest

from tessella.astrometry.alignment import Alignment
from tessella.astrometry.tangent import sky_to_pixel
from tessella.astrometry.wcs import attitude_of, detector_to_sky
from tessella.coadd.accumulate import PLANES
from tessella.errors import DataError
from tessella.io.astrometry_solution import SolvedRow
from tessella.io.coadd_inputs import open_input
from tessella.io.exposure_meta import exposure_meta
from tessella.io.level2 import read_meta, write_image
from tessella.io.level3 import read_mosaic
from tessella.io.region_inputs import placed_input
from tessella.io.seals import sha256
from tessella.io.solution import Solution, solved, write_solution
from tessella.io.sums import open_sums, read_added
from tessella.io.wcs import write_wcs
from tessella.models import WcsCorrection, Window
from tessella.run import coadd_update
from tessella.run.coadd_update import box_of
from tessella.run.cut_cell import write_cell
from tessella.sky.region_search import region_of
from tessella.sky.tessellation import CELL_SIZE, cell_lattice, lattice_of, regions

WINDOW = Window(1536, 1536, 256, 256)
SCRIPT = Path(__file__).parents[2] / "workflow_scripts" / "coadd_patch.py"
MPIEXEC = Path(sys.executable).with_name("mpiexec")
OPTIONS = {
    "pixfrac": 1.0, "block_pixels": 190,
    "readd_sky_sigma": 0.01, "readd_wcs_pixels": 0.01, "readd_outliers": 0,
}  # fmt: skip


SOLVED = SolvedRow("solved", True, 9, 1.0, WcsCorrection())


def exposure(folder, number, element="F158", dec=45.0):
    """A dithered image of noise, with its final WCS."""
    rng = np.random.default_rng(number)
    attitude = attitude_of("WFI01", 12.108 + number * 3e-4, dec + number * 1e-4, 0.1 * number)
    data = 1 + 0.1 * rng.standard_normal(WINDOW.active_shape)
    image = replace(exposures.make_image(data, 0.1, WINDOW, attitude), optical_element=element)
    header = replace(
        exposures.HEADER, key=replace(exposures.KEY, exposure=number), optical_element=element
    )
    meta = exposure_meta(header, "WFI01", WINDOW, exposures.PATTERN, 0)
    paths = folder / f"{number}_{element}_cal.asdf", folder / f"{number}_{element}_wcs.asdf"
    write_image(paths[0], image, *exposures.plain_border(image), meta, {}, {}, {})
    nothing = np.zeros(0, int)
    aligned = Alignment(
        attitude, False, "not aligned", 0, 0, np.nan, 0.0, 0.0, 0.0, nothing, nothing
    )
    write_wcs(paths[1], image, read_meta(paths[0]), aligned, {})
    return paths


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("coadd")
    attitude = attitude_of("WFI01", 12.1085, 45.0002, 0.0)
    ra, dec = detector_to_sky(attitude, "WFI01", 1664.0, 1664.0)
    region = region_of(float(ra), float(dec))
    x, y = sky_to_pixel(lattice_of(region, 0, 0, CELL_SIZE, CELL_SIZE), ra, dec)
    lattice = lattice_of(region, round(float(x)) - 150, round(float(y)) - 300, 300, 600)
    return folder, [exposure(folder, number) for number in (1, 2, 3, 4)], lattice


def row(paths, region, level=0.7, outliers=(5, 9000)):
    """The row of an image in a solution."""
    opened = open_input(*paths)
    rows = opened.rows(0, 248)
    variance = float(np.median((rows.var_poisson + rows.var_rnoise)[rows.good]))
    placed = placed_input(opened, SOLVED, cell_lattice(regions()[region], 0, 0))
    placed = replace(placed, level=level, slope_x=0.0, slope_y=0.0, weight=1 / variance)
    return solved(placed, np.array(outliers, np.int32), 0)


def coadded(inputs, sums, numbers, ranks=1, change=None, options=OPTIONS, rows=None):
    """Make or change sums, on one rank in this process; what was done, in words."""
    folder, paths, lattice = inputs
    chosen = [paths[k] for k in numbers]
    known, change = rows or {}, change or {}
    rows = [
        known.get(k) or row(p, lattice.region, **change.get(k, {}))
        for k, p in zip(numbers, chosen, strict=True)
    ]
    solution = folder / f"{sums.stem}_solution.h5"
    write_solution(
        solution, Solution("full_0001x06y06", "F158", {}, vars(lattice), tuple(rows)), {}
    )
    patch = {"lattice": vars(lattice), "tiles": [vars(lattice)], "grouping": "full"}
    words = [
        "--options", json.dumps(options), "--patch", json.dumps(patch), "--ranks", str(ranks),
        "--solution", str(solution), "--images", *(str(a) for a, _ in chosen),
        "--sums", str(sums),
    ]  # fmt: skip
    if ranks == 1:
        runpy.run_path(str(SCRIPT))["main"](words)
    else:
        command = [str(MPIEXEC), "-n", str(ranks), sys.executable, str(SCRIPT), *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == 0, done.stderr
    with h5py.File(sums) as file:
        return json.loads(file.attrs["changes"])


def cell(inputs, sums):
    path = inputs[0] / f"{sums.stem}_f158_coadd.asdf"
    write_cell(path, sums, inputs[2], "full", 1, {})
    return read_mosaic(path)


def check_same(inputs, one, other):
    a, b = cell(inputs, one), cell(inputs, other)
    for name in ("data", "err", "weight", "exposure_time", "context", "noise_correlation"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)
    assert a.members == b.members


@pytest.fixture(scope="module")
def alone(inputs):
    sums = inputs[0] / "alone.h5"
    coadded(inputs, sums, (0, 1, 2, 3))
    return sums


@pytest.fixture(autouse=True)
def told_by_pytest(monkeypatch):
    """The stage tells errors in its own way: not in this process."""
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)


@pytest.mark.parametrize("ranks", [2, 3])
def test_bits_do_not_depend_on_ranks_or_blocks(inputs, alone, ranks):
    if not MPIEXEC.is_file():
        pytest.skip(f"{MPIEXEC} is not here")
    sums = inputs[0] / f"ranks{ranks}.h5"
    options = {**OPTIONS, "block_pixels": 64 * ranks}
    coadded(inputs, sums, (0, 1, 2, 3), ranks, options=options)
    with h5py.File(alone) as one, h5py.File(sums) as other:
        for name in (*PLANES, "context_000"):
            np.testing.assert_array_equal(one[name], other[name], err_msg=name)
    check_same(inputs, alone, sums)


def test_coadd_is_made_of_all_inputs(inputs, alone):
    mosaic = cell(inputs, alone)
    assert len(mosaic.members) == 4
    assert np.isfinite(mosaic.data).mean() > 0.5
    # Data are 1 DN / s, of which the solution takes 0.7 MJy / sr.
    scale = open_input(*inputs[1][0]).conversion
    assert np.nanmedian(mosaic.data) == pytest.approx(scale - 0.7, abs=0.01)


def test_later_and_removed_images_leave_no_trace(inputs, alone):
    sums = inputs[0] / "later.h5"
    assert len(coadded(inputs, sums, (0, 1, 3))) == 3
    (told,) = coadded(inputs, sums, (0, 1, 2, 3))
    assert told.endswith(": added: new")
    check_same(inputs, alone, sums)
    (told,) = coadded(inputs, sums, (0, 2, 3))
    assert told.endswith(": taken out: no longer a member")
    once = inputs[0] / "once.h5"
    coadded(inputs, once, (0, 2, 3))
    check_same(inputs, once, sums)


def test_only_what_a_new_solution_changes_is_added_again(inputs, alone):
    sums = inputs[0] / "changed.h5"
    shutil.copy(alone, sums)
    change = {0: {"level": 0.8}, 1: {"level": 0.70001}, 2: {"outliers": (5, 9000, 9001)}}
    told = [line.split(": ", 1)[1] for line in coadded(inputs, sums, (0, 1, 2, 3), change=change)]
    sky, pixels = (
        "its sky changed by up to 0.1 MJy / sr",
        "1 of its pixels are left out or taken in",
    )
    assert told == [f"{done}: {why}" for why in (sky, pixels) for done in ("taken out", "added")]
    del change[1]
    once = inputs[0] / "changed_once.h5"
    coadded(inputs, once, (0, 1, 2, 3), change=change)
    check_same(inputs, once, sums)


def test_inputs_that_lie_elsewhere_now_are_found_there(inputs, tmp_path):
    folder, paths, lattice = inputs
    sums = folder / "moved.h5"
    coadded(inputs, sums, (0, 1))
    moved = []
    for pair in paths[:2]:
        moved.append(tuple(Path(shutil.copy(path, tmp_path / path.name)) for path in pair))
    assert coadded((folder, moved, lattice), sums, (0, 1)) == []
    assert all(item.image.endswith(moved[k][0].name) for k, item in enumerate(read_added(sums)[1]))
    assert all(
        (folder / item.image).samefile(moved[k][0]) for k, item in enumerate(read_added(sums)[1])
    )


def test_sums_of_other_arithmetic_are_made_anew(inputs, alone, monkeypatch):
    sums = inputs[0] / "older.h5"
    shutil.copy(alone, sums)
    with monkeypatch.context() as patch:
        patch.setattr(coadd_update, "arithmetic", lambda: "that of an older version")
        told = coadded(inputs, sums, (0, 1, 2, 3))
    assert told[0] == "another arithmetic now: the sums are made anew"
    assert len(told) == 5
    check_same(inputs, alone, sums)


def test_context_of_many_images_is_kept_by_planes(inputs):
    folder, paths, lattice = inputs
    # Forty files of four exposures, each with a name of its own.
    copies = []
    for number in range(40):
        image, wcs = paths[number % 4]
        stem = folder / f"many{number}"
        pair = Path(f"{stem}_cal.asdf"), Path(f"{stem}_wcs.asdf")
        for old, new in zip((image, wcs), pair, strict=True):
            shutil.copy(old, new)
        copies.append(pair)
    rows = {k: replace(row(p, lattice.region), name=f"many{k}") for k, p in enumerate(copies)}
    more = folder, copies, lattice
    sums = folder / "many.h5"
    coadded(more, sums, range(40), rows=rows)
    whole = open_sums(sums).read(box_of(lattice))
    assert whole.context.shape[0] == 2
    # Images of one exposure count in the same pixels.
    bits = [(whole.context[k // 32] >> np.uint32(k % 32)) & 1 for k in range(40)]
    for k in range(4, 40):
        np.testing.assert_array_equal(bits[k], bits[k % 4])
    assert bits[0].any()
    later = folder / "many_later.h5"
    coadded(more, later, [k for k in range(40) if k not in (3, 35)], rows=rows)
    coadded(more, later, range(40), rows=rows)
    np.testing.assert_array_equal(open_sums(later).read(box_of(lattice)).planes, whole.planes)


def test_stage_that_fails_leaves_the_sums_as_they_were(inputs, alone):
    folder, paths, lattice = inputs
    sums = folder / "failed.h5"
    shutil.copy(alone, sums)
    before = sha256(sums)
    damaged = exposure(folder, 8)
    content = bytearray(damaged[0].read_bytes())
    # In the pixels: only who reads them finds it.
    content[-len(content) // 2] ^= 255
    more = folder, [*paths, damaged], lattice
    whole = row(damaged, lattice.region)
    damaged[0].write_bytes(content)
    with pytest.raises(DataError, match="8_F158_cal.asdf"):
        coadded(more, sums, (0, 1, 2, 3, 4), rows={4: whole})
    assert sha256(sums) == before
    assert [path.name for path in folder.glob(".failed*")] == []


def test_image_of_another_filter_is_refused(inputs):
    folder, paths, lattice = inputs
    other = exposure(folder, 5, "F106")
    with pytest.raises(DataError, match="5_F106_cal.asdf: an exposure in F106; this coadd is of F"):
        coadded((folder, [*paths, other], lattice), folder / "other.h5", (0, 4))


def test_image_elsewhere_is_refused(inputs):
    folder, paths, lattice = inputs
    far = exposure(folder, 6, dec=5.0)
    with pytest.raises(DataError, match="6_F158_cal.asdf: it lies"):
        coadded((folder, [*paths, far], lattice), folder / "far.h5", (0, 4))
    assert not (folder / "far.h5").exists()


def test_lost_image_that_must_be_taken_out_is_named(inputs):
    folder, paths, lattice = inputs
    lost = exposure(folder, 7)
    more = folder, [*paths, lost], lattice
    coadded(more, folder / "lost.h5", (0, 4))
    lost[0].unlink()
    with pytest.raises(DataError, match="is gone; remove the sums of the patch"):
        coadded(more, folder / "lost.h5", (0, 1))

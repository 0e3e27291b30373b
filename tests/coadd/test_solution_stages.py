"""The stages that lead to a solution: the same bits on any number of ranks."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import exposures
import numpy as np
import pytest
from astropy.table import Table

from tessella.astrometry.alignment import Alignment
from tessella.astrometry.tangent import sky_to_pixel
from tessella.astrometry.wcs import attitude_of, detector_to_sky
from tessella.io.exposure_meta import exposure_meta
from tessella.io.level2 import read_meta, write_image
from tessella.io.placed_inputs import read_placed_inputs
from tessella.io.solution import read_solution
from tessella.io.wcs import write_wcs
from tessella.models import WcsCorrection, Window
from tessella.sky.region_search import region_of
from tessella.sky.tessellation import CELL_SIZE, cell_lattice, regions

WINDOW = Window(1536, 1536, 256, 256)
SCRIPTS = Path(__file__).parents[2] / "workflow_scripts"
MPIEXEC = Path(sys.executable).with_name("mpiexec")
SEARCH = {"signal_to_noise": [5.0, 4.0], "core": [0.75, 0.5], "gradient": [1.0, 0.7]}
CORRECTION = ("shift_v2", "shift_v3", "m11", "m12", "m21", "m22")
N_HITS, HIT = 40, 20.0


def exposure(folder, number, element="F158"):
    """A dithered image of noise, sky and hits, with its final WCS; its paths and hits."""
    rng = np.random.default_rng(number)
    attitude = attitude_of("WFI01", 12.108 + number * 3e-4, 45.0 + number * 1e-4, 0.1 * number)
    data = 1 + 0.1 * number + 0.1 * rng.standard_normal(WINDOW.active_shape)
    hits = rng.choice(data.size, N_HITS, replace=False)
    data.ravel()[hits] += HIT
    image = replace(exposures.make_image(data, 0.1, WINDOW, attitude), optical_element=element)
    key = replace(exposures.KEY, exposure=number)
    header = replace(exposures.HEADER, key=key, optical_element=element)
    meta = exposure_meta(header, "WFI01", WINDOW, exposures.PATTERN, 0)
    stem = folder / f"{key.name}_wfi01_{element.lower()}"
    paths = Path(f"{stem}_cal.asdf"), Path(f"{stem}_wcs.asdf")
    write_image(paths[0], image, *exposures.plain_border(image), meta, {}, {}, {})
    nothing = np.zeros(0, int)
    aligned = Alignment(
        attitude, False, "not aligned", 0, 0, np.nan, 0.0, 0.0, 0.0, nothing, nothing
    )
    write_wcs(paths[1], image, read_meta(paths[0]), aligned, {})
    return paths, hits


def run(script, *words, launcher=()):
    command = [*launcher, sys.executable, str(SCRIPTS / script), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Four images, the solution of the region, and the lattice of a patch."""
    folder = tmp_path_factory.mktemp("solution")
    made = [exposure(folder, number) for number in (1, 2, 3, 4)]
    table = Table({"image": [paths[0].stem.removesuffix("_cal") for paths, _ in made]})
    for name in ("n_stars", "n_references", "rms_mas", *CORRECTION):
        table[name] = 0.0
    table["status"] = "solved"
    table["is_added"] = True
    table["shift_v2"][2] = 1e-3
    table.write(folder / "astrometry.ecsv", format="ascii.ecsv")
    attitude = attitude_of("WFI01", 12.1085, 45.0002, 0.0)
    ra, dec = map(float, detector_to_sky(attitude, "WFI01", 1660.0, 1660.0))
    region = region_of(ra, dec).index
    whole = cell_lattice(regions()[region], 0, 0)

    x, y = (int(place) for place in sky_to_pixel(whole, ra, dec))
    middle = CELL_SIZE / 2 - 0.5
    patch = replace(
        whole, x_tangent=middle - (x - 200), y_tangent=middle - (y - 190), nx=400, ny=380
    )
    return folder, made, region, patch


def inputs_of(files):
    folder, made, _, _ = files
    paths = [paths for paths, _ in made]
    return (
        "--images", *(a for a, _ in paths), "--wcs", *(b for _, b in paths),
        "--astrometry", folder / "astrometry.ecsv",
    )  # fmt: skip


@pytest.fixture(scope="module")
def placed(files):
    path = files[0] / "inputs.h5"
    words = "--options", '{"planes": false}', "--region", files[2], *inputs_of(files)
    done = run("match_skies.py", *words, "--inputs", path)
    assert done.returncode == 0, done.stderr
    return path


def solved(files, placed, ranks, launcher=()):
    folder, _, _, patch = files
    path = folder / f"{ranks}_solution.h5"
    done = run(
        "find_outliers.py", "--options", json.dumps(SEARCH), "--patch", "full_0001x06y06",
        "--lattice", json.dumps(vars(patch)), "--ranks", ranks,
        "--images", *(paths[0] for paths, _ in files[1]), "--inputs", placed,
        "--solution", path, launcher=launcher,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return read_solution(path)


@pytest.fixture(scope="module")
def alone(files, placed):
    return solved(files, placed, 1)


def test_skies_differ_as_they_were_made(placed):
    found = read_placed_inputs(placed)
    scale = exposures.make_image(np.zeros(WINDOW.active_shape), 0.1, WINDOW).conversion_megajanskys
    levels = np.array([sky.level for sky in found]) / scale
    # Medians of some 3000 pixels of 0.1 each: 1.25 * 0.1 / sqrt(3000) * sqrt(2) = 3e-3; four times.
    np.testing.assert_allclose(np.diff(levels), 0.1, atol=0.013)
    for sky in found:
        assert 1 / sky.weight == pytest.approx((0.1 * scale) ** 2, rel=1e-3)
        assert sky.n_shared_blocks > 9
        assert sky.component == 0


def test_hits_are_outliers_and_all_is_said_of_the_inputs(files, alone):
    _, made, _, _ = files
    assert [item.name for item in alone.inputs] == [
        paths[0].stem.removesuffix("_cal") for paths, _ in made
    ]
    assert alone.inputs[2].correction == WcsCorrection(shift_v2=1e-3)
    for item, (_, hits) in zip(alone.inputs, made, strict=True):
        assert item.shape == WINDOW.active_shape
        assert len(item.image_sha256) == len(item.wcs_sha256) == 64
        # Hits of 200 sigma: all that are covered twice on the patch; noise marks next to none.
        assert set(item.outliers.tolist()) & set(hits.tolist())
        assert len(set(item.outliers.tolist()) - set(hits.tolist())) <= 2


@pytest.mark.parametrize("ranks", [2, 3, 7])
def test_bits_do_not_depend_on_the_number_of_ranks(files, placed, alone, ranks):
    if not MPIEXEC.is_file():
        pytest.skip(f"{MPIEXEC} is not here")
    assert solved(files, placed, ranks, (MPIEXEC, "-n", str(ranks))).id == alone.id


def without(files, folder, names):
    """Run both stages where some images are not to be added; the solution, and what was said."""
    table = Table.read(files[0] / "astrometry.ecsv", format="ascii.ecsv")
    table["is_added"] = [name not in names for name in table["image"]]
    table["status"] = ["lost" if name in names else "solved" for name in table["image"]]
    table.write(folder / "astrometry.ecsv", format="ascii.ecsv")
    words = [*inputs_of(files)[:-1], folder / "astrometry.ecsv", "--inputs", folder / "inputs.h5"]
    done = run("match_skies.py", "--options", '{"planes": false}', "--region", files[2], *words)
    assert done.returncode == 0, done.stderr
    return solved((folder, *files[1:]), folder / "inputs.h5", 1), done.stderr


def test_image_that_is_left_out_has_no_part_in_anything(files, alone, tmp_path):
    """All is as if it had never been there, but that it is listed, and the log says so."""
    _, made, _, _ = files
    name = made[1][0][0].stem.removesuffix("_cal")
    found, said = without(files, tmp_path, {name})
    assert f"{name}: left out: lost" in said
    gone = found.inputs[1]
    assert (gone.name, gone.weight, gone.outliers.size, gone.n_shared_blocks) == (name, 0, 0, 0)
    three = files[0], [made[k] for k in (0, 2, 3)], *files[2:]
    (tmp_path / "three").mkdir()
    expected, _ = without(three, tmp_path / "three", set())
    for one, other in zip([found.inputs[k] for k in (0, 2, 3)], expected.inputs, strict=True):
        assert (one.name, one.level, one.weight) == (other.name, other.level, other.weight)
        np.testing.assert_array_equal(one.outliers, other.outliers)
    # It had a part while it was in: among three images a median finds other pixels.
    assert any(
        not np.array_equal(one.outliers, other.outliers)
        for one, other in zip(found.inputs, alone.inputs, strict=True)
    )


def test_patch_of_which_all_images_are_left_out_has_a_solution(files, tmp_path):
    names = {paths[0].stem.removesuffix("_cal") for paths, _ in files[1]}
    found, _ = without(files, tmp_path, names)
    assert [item.weight for item in found.inputs] == [0.0] * 4
    assert not any(item.outliers.size for item in found.inputs)


def test_images_of_two_filters_are_refused(files, tmp_path):
    folder, made, region, _ = files
    (image, wcs), _ = exposure(folder, 1, "F106")
    table = Table.read(folder / "astrometry.ecsv", format="ascii.ecsv")
    table["image"][0] = image.stem.removesuffix("_cal")
    table.write(tmp_path / "astrometry.ecsv", format="ascii.ecsv")
    done = run(
        "match_skies.py", "--options", '{"planes": false}', "--region", region,
        "--images", image, made[1][0][0], "--wcs", wcs, made[1][0][1],
        "--astrometry", tmp_path / "astrometry.ecsv", "--inputs", tmp_path / "inputs.h5",
    )  # fmt: skip
    assert done.returncode != 0
    assert "images of one filter" in done.stderr.strip().splitlines()[-1]


def test_image_without_a_row_in_the_solution_is_refused(files, tmp_path):
    folder, made, region, _ = files
    table = Table.read(folder / "astrometry.ecsv", format="ascii.ecsv")[1:]
    table.write(tmp_path / "astrometry.ecsv", format="ascii.ecsv")
    (image, wcs), _ = made[0]
    done = run(
        "match_skies.py", "--options", '{"planes": false}', "--region", region, "--images", image,
        "--wcs", wcs, "--astrometry", tmp_path / "astrometry.ecsv", "--inputs", tmp_path / "i.h5",
    )  # fmt: skip
    assert done.returncode != 0
    assert "no row of r" in done.stderr.strip().splitlines()[-1]


@pytest.mark.parametrize(
    ("chosen", "told"), [((0, 4), "no image like"), ((0, 1, 0), "is there twice")]
)
def test_images_that_were_not_placed_or_come_twice_are_refused(files, placed, chosen, told):
    folder, made, _, patch = files
    images = [*(paths[0] for paths, _ in made), exposure(folder, 5)[0][0]]
    done = run(
        "find_outliers.py", "--options", json.dumps(SEARCH), "--patch", "full_0001x06y06",
        "--lattice", json.dumps(vars(patch)), "--ranks", 1,
        "--images", *(images[k] for k in chosen), "--inputs", placed,
        "--solution", folder / "refused.h5",
    )  # fmt: skip
    assert done.returncode != 0
    assert told in done.stderr.strip().splitlines()[-1]
    assert not (folder / "refused.h5").exists()

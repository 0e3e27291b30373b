"""One stage, several processes: the product has the same bits on any number of ranks."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import exposures
import numpy as np
import pytest

from tessella.astrometry.alignment import Alignment
from tessella.astrometry.wcs import attitude_of, detector_to_sky
from tessella.errors import DataError
from tessella.io.coadd_inputs import read_inputs
from tessella.io.exposure_meta import exposure_meta
from tessella.io.level2 import read_meta, write_image
from tessella.io.level3 import read_mosaic
from tessella.io.wcs import write_wcs
from tessella.models import Lattice, Window

WINDOW = Window(1536, 1536, 128, 128)
SCRIPT = Path(__file__).parents[2] / "workflow_scripts" / "coadd_tile.py"
MPIEXEC = Path(sys.executable).with_name("mpiexec")
OPTIONS = {
    "pixfrac": 1.0,
    "outlier_signal_to_noise": [5.0, 4.0],
    "outlier_derivative_scale": [1.2, 0.7],
}
ARRAYS = (
    "data",
    "err",
    "var_poisson",
    "var_rnoise",
    "weight",
    "context",
    "exposure_time",
    "noise_correlation",
)


def exposure(folder, number, element="F158"):
    """A dithered image of noise, sky and hits, with its final WCS."""
    rng = np.random.default_rng(number)
    attitude = attitude_of("WFI01", 12.108 + number * 3e-4, 45.0 + number * 1e-4, 0.1 * number)
    data = 1 + 0.1 * number + 0.1 * rng.standard_normal(WINDOW.active_shape)
    data[tuple(rng.integers(0, 120, (2, 40)))] += 20
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
    ra, dec = detector_to_sky(attitude, "WFI01", 1596.0, 1596.0)
    lattice = Lattice(float(ra), float(dec), 100.0, 95.0, 0.055, 200, 190, "000p45x50y50", 5)
    return folder, [exposure(folder, number) for number in (1, 2, 3, 4)], lattice


def coadded(inputs, ranks, launcher=()):
    folder, paths, lattice = inputs
    mosaic = folder / f"{ranks}_coadd.asdf"
    command = [
        *launcher, sys.executable, str(SCRIPT), "--options", json.dumps(OPTIONS),
        "--lattice", json.dumps(vars(lattice)),
        "--program", "1", "--ranks", str(ranks), "--images", *(str(a) for a, _ in paths), "--wcs",
        *(str(b) for _, b in paths), "--mosaic", str(mosaic),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    return done, mosaic


@pytest.fixture(scope="module")
def alone(inputs):
    done, mosaic = coadded(inputs, 1)
    assert done.returncode == 0, done.stderr
    return read_mosaic(mosaic)


@pytest.mark.parametrize("ranks", [2, 3])
def test_bits_do_not_depend_on_the_number_of_ranks(inputs, alone, ranks):
    if not MPIEXEC.is_file():
        pytest.skip(f"{MPIEXEC} is not here")
    done, mosaic = coadded(inputs, ranks, (str(MPIEXEC), "-n", str(ranks)))
    assert done.returncode == 0, done.stderr
    together = read_mosaic(mosaic)
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(together, name), getattr(alone, name), err_msg=name)


def test_coadd_is_made_of_all_inputs(alone):
    assert len(alone.members) == 4
    # Four times forty hits among 14400 pixels are left out.
    assert (alone.context[0, 80:110, 80:110] == 0b1111).mean() > 0.9
    # Skies are matched: what is left is noise of 0.1 * 0.7 in four inputs.
    assert abs(np.nanmedian(alone.data)) < 0.02
    # Hits are 14 MJy / sr; those that four inputs cover are found.
    assert np.abs(alone.data[80:110, 80:110]).max() < 1


def test_launcher_of_another_library_is_refused():
    code = "from tessella.parallel import world; world(5)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "expected 5 ranks, found a world of 1" in done.stderr.strip().splitlines()[-1]


def test_images_of_two_filters_are_refused(inputs):
    folder, paths, lattice = inputs
    other = exposure(folder, 1, "F106")
    with pytest.raises(DataError, match="one filter"):
        read_inputs([paths[0][0], other[0]], [paths[0][1], other[1]], lattice)


def test_inputs_fall_where_their_wcs_says(inputs):
    _, paths, lattice = inputs
    (item,), about = read_inputs([paths[0][0]], [paths[0][1]], lattice)
    # A detector pixel is about two lattice pixels.
    step = np.hypot(*(item.places[60, 61] - item.places[60, 60]))
    assert step == pytest.approx(2.0, abs=0.1)
    assert about.pixel_scale_ratio == pytest.approx(0.5, abs=0.03)
    assert about.optical_element == "F158"
    assert item.name == "1_F158"

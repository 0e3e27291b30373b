"""The truth of a run: what the configuration asks for, a user's sources among it."""

import json
import subprocess
import sys

import numpy as np
from astropy.table import Table
from astropy.time import Time

from tessella.io.stars import read_truth

from .conftest import ROOT, snakemake

TARGET = "results/demo/simulation/truth.ecsv"


def sources(filters):
    return Table(
        {
            "ra": [12.1, 12.11], "dec": [85.25, 85.26], "type": ["PSF", "SER"],
            "n": [-1.0, 1.0], "half_light_radius": [0.0, 0.3], "pa": [0.0, 10.0],
            "ba": [1.0, 0.5], **{name: [1e-8, 2e-8] for name in filters},
        }
    )  # fmt: skip


def test_a_users_sources_are_the_sky_where_nothing_else_is_asked_for(tmp_path):
    table = sources(["F106", "F129", "F158"])
    table.write(tmp_path / "mine.ecsv")
    scene = "scene={catalogue: mine.ecsv, reference_stars: false, stars_per_arcmin2: 0, "
    scene += "galaxies_per_arcmin2: 0, supernovae: 2}"
    words = (TARGET, "--cores", 1, "--configfile", ROOT / "config/demo.yaml", "--config", scene)
    done = snakemake(*words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    truth = read_truth(tmp_path / TARGET)
    assert truth["light_curve"].tolist() == ["supernova", "supernova", "none", "none"]
    for name in table.colnames:
        kind = truth[name].dtype
        np.testing.assert_array_equal(truth[name][-2:], np.asarray(table[name]).astype(kind))
    # The first exposure of the demo.
    start = Time("2028-07-01T00:00:00", scale="utc").mjd
    np.testing.assert_allclose(truth["epoch_mjd"], start, rtol=0, atol=1e-9)


def test_a_users_table_without_a_filter_of_the_run_is_refused_in_one_line(tmp_path):
    sources(["F106", "F158"]).write(tmp_path / "mine.ecsv")
    field = {"ra": 12.1, "dec": 85.25, "half_width_arcsec": 60.0, "reference_stars": False}
    options = {
        "field": field | {"stars_per_arcmin2": 1.0, "galaxies_per_arcmin2": 0.0},
        "filters": ["F106", "F129"], "seed": 1, "catalogue_epoch": 2015.5,
        "first_start": "2028-07-01T00:00:00", "last_start": "2028-07-01T00:00:00",
    }  # fmt: skip
    script = ROOT / "workflow_scripts/make_truth.py"
    words = ["--options", json.dumps(options), "--stars", ROOT / "data/ngc188/gaia.fits"]
    words += ["--catalogue", json.dumps([str(tmp_path / "mine.ecsv")])]
    words += ["--truth", tmp_path / "truth.ecsv"]
    command = [sys.executable, str(script), *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert f"ERROR: {tmp_path}/mine.ecsv: column F129 is missing" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "truth.ecsv").exists()

"""A calibration campaign on a small window: its exposures, its references, and their first use."""

import csv
import subprocess
import sys
from pathlib import Path

import calibration_campaign as campaign
import numpy as np
import pytest
import roman_datamodels as rdm

from tessella.detector.state import draw_maps
from tessella.io.seals import sha256

ROOT = Path(__file__).parents[2]
MEASURED = {"mask", "dark", "readnoise", "gain", "flat"}


@pytest.fixture(scope="module")
def results(campaign_run):
    """Two darks, two flats and a spectrum of the sky, from which references were measured."""
    return campaign_run / campaign.RUN


@pytest.fixture(scope="module")
def rows(results):
    with (results / "library.tsv").open(newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def test_every_exposure_has_a_level_2_file(results):
    paths = sorted((results / "level2").glob("*_cal.asdf"))
    kinds = []
    for path in paths:
        with rdm.open(path) as model:
            assert model.validate() is None
            kinds.append(model.meta.exposure.type)
            assert model.meta.cal_step.flat_field == "SKIPPED"
            assert model.meta.cal_step.ramp_fit == "COMPLETE"
            assert model.meta.statistics.good_pixel_fraction > 0.95
    assert kinds == [*2 * ["WFI_IM_DARK"], *2 * ["WFI_FLAT"], "WFI_SPECTRAL"]


def test_manifest_lists_all_products(campaign_run, results):
    command = [sys.executable, "-m", "tessella", "verify", str(results)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=campaign_run)
    assert done.returncode == 0, done.stdout
    assert "all as they were made" in done.stdout


def test_sky_through_the_grism_is_measured(results):
    (path,) = (results / "level2").glob("*_grism_cal.asdf")
    with rdm.open(path) as model:
        # 1.5 times the least zodiacal light of 0.461 electrons / s and the solid angle of the
        # pixels in the middle, 0.987 of the nominal one, at 2 electrons a DN; noise of 30,000
        # pixels of 0.05 DN / s is 3e-4, reference pixels know the drift to 0.003 DN / s.
        assert model.meta.statistics.image_median == pytest.approx(0.341, abs=0.015)


def test_library_is_the_table_with_a_row_more_for_each_measured_reference(results, rows):
    shipped = (ROOT / "config/references.tsv").read_text().splitlines()
    n_shipped = sum(1 for line in shipped if not line.startswith("#")) - 1
    measured = [row for row in rows if row["sha256"] != "-"]
    assert len(rows) == n_shipped + len(MEASURED)
    assert {row["reftype"] for row in measured} == MEASURED
    for row in measured:
        assert Path(row["file"]).is_absolute()
        assert sha256(row["file"]) == row["sha256"]
        assert (row["detector"], row["pedigree"]) == ("WFI01", "SIMULATION")
        assert row["useafter"].startswith(campaign.START)
        assert row["optical_element"] == ("F158" if row["reftype"] == "flat" else "ANY")


def test_measured_references_are_those_of_the_detector(results):
    true = draw_maps(campaign.STATE, "WFI01", campaign.WINDOW)
    with rdm.open(results / "measured/wfi01_mask.asdf") as model:
        np.testing.assert_array_equal((np.asarray(model.dq) & 1024) != 0, true.is_dead)
    with rdm.open(results / "measured/wfi01_readnoise.asdf") as model:
        noise = np.asarray(model.data)[4:-4, 4:-4]
        shared = campaign.STATE.correlated_noise_dn**2 + campaign.STATE.channel_noise_dn**2 + 1 / 12
        ratio = np.median(noise**2) / np.median(true.read_noise[4:-4, 4:-4] ** 2 + shared)
        # Two darks of 3 degrees of freedom, whose median is (1 - 2 / 54)^3; see its own tests.
        assert ratio == pytest.approx((1 - 2 / 54) ** 3, abs=0.04)


def test_measured_references_serve_later_exposures(tmp_path, results, rows):
    about = (campaign.STATE, campaign.WINDOW, 50.0)
    campaign.write_exposure(tmp_path / "later_files", 9, "WFI_FLAT", *about, called="WFI_WFSC")
    table = {"table": str(results / "library.tsv")}
    later = campaign.run_on_files(tmp_path, "later", references=table)
    (path,) = (later / "level2").glob("*_cal.asdf")
    of_type = {row["reftype"]: row for row in rows if row["sha256"] != "-"}
    with rdm.open(path) as model:
        assert model.validate() is None
        used = {Path(e["name"]).name: e["sha256"] for e in model.meta.tessella.made_from}
        for reftype, row in of_type.items():
            name = Path(row["file"]).name
            assert model.meta.ref_file[reftype] == name
            assert used[name] == row["sha256"]
        assert model.meta.cal_step.flat_field == "COMPLETE"
        data = np.asarray(model.data)[(np.asarray(model.dq) & 1) == 0]
        # 50 electrons / s at 2 a DN; the lamp knows nothing of the solid angle, 0.987 here.
        assert np.median(data) == pytest.approx(25.0, rel=0.03)

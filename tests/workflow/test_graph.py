"""What is planned: which stages, and who may know the truth."""

import numpy as np
import pytest

from tessella.astrometry.wcs import attitude_of
from tessella.instrument.read_patterns import read_patterns
from tessella.io.level1 import write_ramp
from tessella.models import ExposureHeader, ExposureKey, Ramp, Window

from .conftest import ROOT, jobs_of, listed, snakemake

SIMULATION = {"make_truth", "simulate_exposure", "packetize_exposure", "decode_telemetry"}
SIMULATION |= {"assemble_ramp"}
#: What the small Level 1 files hold of their detector.
SMALL = "window={x: 1536, y: 1536, nx: 128, ny: 128}"
#: Of a calibration campaign.
CALIBRATION = {"measure_references", "write_library"}
#: What reads Level 2 images of the sky.
FROM_LEVEL2 = {"align_exposures", "solve_astrometry", "match_skies", "find_outliers"}
FROM_LEVEL2 |= {"coadd_patch", "make_report"}
STAGES = {script.stem for script in (ROOT / "workflow_scripts").glob("*.py")}
STAGES -= CALIBRATION
# On request.
STAGES -= {"write_guide_window"}


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    work = tmp_path_factory.mktemp("demo")
    done = snakemake("-n", "--configfile", ROOT / "config/demo.yaml", cwd=work)
    assert done.returncode == 0, done.stderr
    return jobs_of(done.stdout)


def test_guide_windows_of_the_simulator_become_products(tmp_path):
    overlay = tmp_path / "guided.yaml"
    area = "{x: 1800, y: 1800, nx: 32, ny: 16}"
    overlay.write_text(f"expose: {{guide_window: {area}}}\n")
    done = snakemake("-n", "--configfile", ROOT / "config/demo.yaml", overlay, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    jobs = jobs_of(done.stdout)
    made = [job.outputs for job in jobs if job.rule == "write_guide_window"]
    exposed = {job.outputs[0] for job in jobs if job.rule == "simulate_exposure"}
    assert len(made) >= len(exposed)
    assert all(name.endswith("_gw.asdf") for (name,) in made)
    overlay.write_text(f"expose: {{guide_window: {area.replace('1800', '1')}}}\n")
    done = snakemake("-n", "--configfile", ROOT / "config/demo.yaml", overlay, cwd=tmp_path)
    assert done.returncode != 0
    assert "it leaves the window of the detector that is read" in done.stderr


@pytest.fixture(scope="module")
def level1_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("level 1")
    for number, element in enumerate(("F106", "F158"), 1):
        write_small_ramp(folder, number, element)
    (folder / "truth.ecsv").write_text("not read by a plan\n")
    return folder


def write_small_ramp(folder, exposure, element, kind="WFI_IMAGE", table=3):
    window = Window(1536, 1536, 128, 128)
    number, pattern = table, read_patterns()[table]
    n = len(pattern.reads)
    key = ExposureKey(188, 1, 1, 1, 1, 1, exposure)
    attitude = attitude_of("WFI01", 12.1, 85.25, 0.0)
    header = ExposureHeader(
        key, element, number, "2028-07-01T00:00:00", kind, 12.1, 85.25, 0.0, 12.1, 85.25, 0.0
    )
    ramp = Ramp(
        detector="WFI01",
        optical_element=element,
        window=window,
        data=np.zeros((n, *window.shape), np.uint16),
        resultant_dq=np.zeros((n, *window.shape), np.uint8),
        amp33=np.zeros((n, window.ny, 128), np.uint16),
        read_pattern=pattern.reads,
        frame_time=pattern.frame_time,
        encoding_offset=0,
        guide_window=None,
        attitude=attitude,
    )
    path = folder / f"{key.name}_wfi01_{element.lower()}_uncal.asdf"
    write_ramp(path, ramp, header, pattern, {})
    return path


def test_every_other_script_is_a_stage_of_the_demo(demo):
    assert {job.rule for job in demo} == STAGES | {"all"}


def test_truth_is_known_to_the_simulator_and_the_report_alone(demo):
    readers = {job.rule for job in demo for name in job.inputs if "truth" in name}
    readers -= {job.rule for job in demo if job.rule == "make_truth"}
    assert readers == {"simulate_exposure", "make_report"}


def test_given_level1_files_are_neither_simulated_nor_decoded(level1_folder, tmp_path):
    folder = f"level1_folder={level1_folder}"
    overlay = ROOT / "config/romanisim.yaml"
    done = snakemake("-n", "--configfile", overlay, "--config", folder, SMALL, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    jobs = jobs_of(done.stdout)
    assert {job.rule for job in jobs} == (STAGES - SIMULATION) | {"all"}
    readers = {job.rule for job in jobs for name in job.inputs if name.endswith("truth.ecsv")}
    assert readers == {"make_report"}


@pytest.mark.parametrize("profile", ["local", "slurm"])
def test_profile_is_found_by_its_bare_name_in_the_clone(profile, tmp_path):
    demo = ROOT / "config/demo.yaml"
    args = ("-n", "--profile", profile, "--configfile", demo, "--directory", tmp_path)
    done = snakemake(*args, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert listed(done.stdout) == STAGES


def refused(done, work):
    """Return the one line that says why a run was refused, before any job."""
    assert done.returncode != 0
    errors = [line for line in done.stderr.splitlines() if "ERROR" in line]
    assert len(errors) == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert not list((work / "results").rglob("*.*"))
    return errors[0]


def test_misspelt_key_is_refused_with_the_right_one(tmp_path):
    (tmp_path / "mine.yaml").write_text((ROOT / "config/demo.yaml").read_text() + "algin: {}\n")
    done = snakemake("-c1", "--configfile", "mine.yaml", cwd=tmp_path)
    line = refused(done, tmp_path)
    assert "mine.yaml" in line
    assert "'algin'" in line
    assert "did you mean 'align'" in line


def test_truncated_level1_file_is_refused_by_name(level1_folder, tmp_path):
    whole = sorted(level1_folder.glob("*.asdf"))[0]
    cut = tmp_path / "given" / whole.name
    cut.parent.mkdir()
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])
    folder = f"level1_folder={cut.parent}"
    overlay = ROOT / "config/romanisim.yaml"
    done = snakemake("-c1", "--configfile", overlay, "--config", folder, SMALL, cwd=tmp_path)
    assert cut.name in refused(done, tmp_path)


def test_level1_file_of_another_window_is_refused_before_any_job(level1_folder, tmp_path):
    folder = f"level1_folder={level1_folder}"
    overlay = ROOT / "config/romanisim.yaml"
    done = snakemake("-c1", "--configfile", overlay, "--config", folder, cwd=tmp_path)
    assert "set 'window' to the part" in refused(done, tmp_path)


def test_image_through_a_grism_is_refused_by_name(tmp_path):
    given = tmp_path / "given"
    given.mkdir()
    path = write_small_ramp(given, 1, "GRISM")
    overlay, folder = ROOT / "config/romanisim.yaml", f"level1_folder={given}"
    done = snakemake("-c1", "--configfile", overlay, "--config", folder, SMALL, cwd=tmp_path)
    line = refused(done, tmp_path)
    assert path.name in line
    assert "GRISM of an exposure of type WFI_IMAGE; expected one of F062" in line


#: One exposure of every type that is not added to tiles.
OTHERS = {
    2: ("F158", "WFI_WFSC", 3),
    3: ("GRISM", "WFI_SPECTRAL", 1034),
    4: ("PRISM", "WFI_SPECTRAL", 1034),
    5: ("DARK", "WFI_IM_DARK", 3),
    6: ("DARK", "WFI_SP_DARK", 1034),
    7: ("F106", "WFI_FLAT", 3),
}


def planned_of(folder, tmp_path, *config):
    (folder / "truth.ecsv").write_text("not read by a plan\n")
    given = (f"level1_folder={folder}", SMALL, *config)
    args = ("-n", "--configfile", ROOT / "config/romanisim.yaml", "--config", *given)
    done = snakemake(*args, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    return jobs_of(done.stdout)


def test_every_exposure_is_calibrated_and_images_alone_are_added(tmp_path):
    given = tmp_path / "given"
    given.mkdir()
    write_small_ramp(given, 1, "F158")
    for number, about in OTHERS.items():
        write_small_ramp(given, number, *about)
    jobs = planned_of(given, tmp_path)
    assert {job.rule for job in jobs} == (STAGES - SIMULATION) | {"all"}
    images = [name for job in jobs for name in job.outputs if name.endswith("_cal.asdf")]
    assert len(images) == 7
    later = [job for job in jobs if job.rule in FROM_LEVEL2]
    asked = {name for job in later for name in job.inputs if "/level2/" in name}
    assert asked
    assert all("_0001_" in name for name in asked)
    targets = next(job for job in jobs if job.rule == "all").inputs
    assert set(images) <= set(targets)


def test_run_without_images_ends_with_level2(tmp_path):
    given = tmp_path / "given"
    given.mkdir()
    for number, about in OTHERS.items():
        write_small_ramp(given, number, *about)
    jobs = planned_of(given, tmp_path)
    rules = {"make_references", "select_references", "calibrate_exposure", "write_manifest", "all"}
    assert {job.rule for job in jobs} == rules
    made = {name for job in jobs for name in job.outputs}
    assert not any("apcorr" in name or "epsf" in name or "flat_f106" in name for name in made)


def test_spectra_darks_and_flats_are_simulated_without_a_sky(tmp_path):
    demo = (ROOT / "config/exposures/demo.ecsv").read_text().split("\nRA")[0]
    columns = "RA DEC PA BANDPASS MA_TABLE_NUMBER DURATION PLAN PASS SEGMENT OBSERVATION VISIT"
    rows = (
        "12.1 85.2 0.0 GRISM 1034 200.0 1 1 1 1 1 1 - -",
        "12.1 85.2 0.0 DARK 3 100.0 1 1 1 1 1 2 WFI_IM_DARK -",
        "12.1 85.2 0.0 F158 3 100.0 1 1 1 1 1 3 WFI_FLAT 300",
    )
    header = f"{columns} EXPOSURE EXPOSURE_TYPE LAMP_RATE"
    (tmp_path / "table.ecsv").write_text("\n".join([demo, header, *rows]) + "\n")
    overlay = ("--configfile", ROOT / "config/demo.yaml", "--config", "exposures=table.ecsv")
    done = snakemake("-n", *overlay, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    rules = {job.rule for job in jobs_of(done.stdout)}
    assert "simulate_exposure" in rules
    assert not rules & {"make_truth", "cut_cell", *FROM_LEVEL2}


def test_campaign_measures_references(tmp_path):
    overlay = ROOT / "config/calibration.yaml"
    done = snakemake("-n", "--configfile", overlay, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    jobs = {job.rule: job for job in jobs_of(done.stdout)}
    assert set(jobs) >= CALIBRATION
    assert len(jobs["measure_references"].outputs) == 6
    assert "results/calibration/library.tsv" in jobs["all"].inputs


def test_campaign_without_darks_is_refused(tmp_path):
    demo = ROOT / "config/demo.yaml"
    done = snakemake(
        "-c1", "--configfile", demo, "--config", "calibration={measure: true}", cwd=tmp_path
    )
    assert done.returncode != 0
    assert "0 darks and at most 0 flats" in done.stderr
    assert "Traceback" not in done.stderr


def test_reference_stars_that_are_not_there_are_refused(tmp_path):
    (tmp_path / "mine.yaml").write_text("reference_stars: {table: gaia.fits}\n")
    demo = ROOT / "config/demo.yaml"
    done = snakemake("-c1", "--configfile", demo, "mine.yaml", cwd=tmp_path)
    assert done.returncode != 0
    assert "gaia.fits: no such file" in done.stderr
    assert "Traceback" not in done.stderr

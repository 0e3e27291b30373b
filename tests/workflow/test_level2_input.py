"""Level 2 files that are given: what is planned, and what is refused before any job."""

import json
import re

import level2_files as files
import pytest

from .conftest import ROOT, jobs_of, snakemake

WINDOW = "window={x: 256, y: 128, nx: 128, ny: 128}"
#: What is made of them.
STAGES = {
    "make_references", "align_exposures", "detect_sources",
    "measure_sources", "join_bands", "write_association", "make_report", "write_manifest",
}  # fmt: skip
#: What comes before Level 2.
BEFORE = {"make_truth", "simulate_exposure", "packetize_exposure", "decode_telemetry"}
BEFORE |= {"assemble_ramp", "calibrate_exposure", "select_references"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three exposures, one of which has another detector as well; and a dark."""
    folder = tmp_path_factory.mktemp("level 2")
    images = [files.image_of("WFI01", seed=seed) for seed in (1, 2)]
    files.write(folder, images[0], "romanisim", 1)
    path = files.write(folder, images[1], "romancal, flux", 2)
    path.rename(folder / "of my own_cal.asdf")
    files.write(folder, files.image_of("WFI02", seed=3), "romancal", 2)
    files.write(folder, files.image_of("WFI01", "F106"), "ours", 3)
    files.write(folder, files.image_of("WFI01", "F106"), "ours", 4, exposure_type="WFI_IM_DARK")
    return folder


def dry(folder, work, *options):
    config = ("--configfile", ROOT / "config/level2.yaml", "--config", f"level2_folder={folder}")
    return snakemake("-n", *config, WINDOW, *options, cwd=work)


@pytest.fixture(scope="module")
def planned(folder, tmp_path_factory):
    work = tmp_path_factory.mktemp("work")
    done = dry(folder, work)
    assert done.returncode == 0, done.stderr
    return work, jobs_of(done.stdout)


def test_given_images_enter_at_the_alignment(planned):
    rules = {re.sub(r"_\d$", "", job.rule) for job in planned[1]}
    assert rules >= STAGES
    assert not rules & BEFORE


def test_every_exposure_is_aligned_with_the_detectors_that_it_has(planned):
    made = [job.outputs for job in planned[1] if job.rule.startswith("align_exposures")]
    detectors = sorted(
        (
            re.search(r"_(\d{4})_", files_made[0])[1],
            *re.findall(r"(wfi\d\d)_f\d+_wcs", " ".join(files_made)),
        )
        for files_made in made
    )
    assert detectors == [("0001", "wfi01"), ("0002", "wfi01", "wfi02"), ("0003", "wfi01")]


def test_images_are_used_where_they_lie(planned, folder):
    text = " ".join(name for job in planned[1] for name in job.inputs)
    for name in ("of my own_cal.asdf", "0001_wfi01_f158_cal.asdf", "0002_wfi02_f158_cal.asdf"):
        assert f"{folder}/" in text
        assert name in text
    assert not [name for job in planned[1] for name in job.outputs if name.endswith("_cal.asdf")]


def test_references_are_those_of_alignment_and_catalogs_alone(planned):
    made = {name for job in planned[1] if job.rule == "make_references" for name in job.outputs}
    assert {re.search(r"_(epsf|apcorr)", name)[1] for name in made} == {"epsf", "apcorr"}


def test_what_is_no_image_is_listed_with_its_reason(planned):
    (plan,) = (planned[0] / "results").rglob("plan/*.json")
    kept = json.loads(plan.read_text().partition("\n")[2])
    (left_out,) = kept["excluded"]
    assert left_out["exposure"] == "r0000101001001001001_0004_wfi01_f106"
    assert "meta.exposure.type is WFI_IM_DARK" in left_out["reason"]
    assert "list_exclusions" in {job.rule for job in planned[1]}


def test_configured_detectors_restrict_what_is_found(folder, tmp_path):
    done = dry(folder, tmp_path, "detectors=[WFI02]")
    assert done.returncode == 0, done.stderr
    aligned = [job for job in jobs_of(done.stdout) if job.rule == "align_exposures"]
    assert len(aligned) == 1
    assert "wfi01" not in " ".join(aligned[0].outputs)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "level2_folder: no *_cal.asdf file in"),
        (("detectors=[WFI07]",), "hold no exposure of the configured detectors WFI07"),
        (("window=null",), r"expected 4096 x 4096 from (0, 0), as 'window' says"),
    ],
)
def test_folder_that_does_not_serve_is_refused_in_one_line(folder, tmp_path, options, said):
    given = folder if options else tmp_path
    done = dry(given, tmp_path, *options)
    assert done.returncode != 0
    (line,) = [line for line in done.stderr.splitlines() if "ERROR" in line]
    assert said in line
    assert "Traceback" not in done.stderr

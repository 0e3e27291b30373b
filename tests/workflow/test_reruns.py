"""What runs again after a change, a failure or a kill; every stage is a stub here."""

import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from .conftest import listed, local, snakemake

LEVEL2 = "results/small/level2/r0000101001001001001_0001_wfi01_f106_cal.asdf"


@pytest.fixture
def copy(finished, tmp_path):
    """A finished run of one's own, times of files kept."""
    return shutil.copytree(finished[0], tmp_path / "work")


def tessella(*args, cwd):
    command = [sys.executable, "-m", "tessella", *map(str, args)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def test_progress_is_one_line_a_job(finished):
    lines = finished[1].splitlines()
    jobs = [line for line in lines if "] " in line and line[2:3] == ":"]
    assert f"[{len(jobs)}/{len(jobs)}]" in jobs[-1]
    assert len(lines) < len(jobs) + 12
    assert any("left" in line for line in jobs)


def test_finished_run_has_nothing_to_do_whatever_the_number_of_ranks(stub_clone, small, finished):
    args = local(stub_clone, small)
    done = snakemake(*args, "--cores", 1, cwd=finished[0], root=stub_clone)
    assert done.returncode == 0
    assert "Nothing to be done" in done.stderr
    assert "results/small/level4" in done.stderr


def test_option_of_the_catalog_reruns_the_catalog_only(stub_clone, small, finished, tmp_path):
    changed = tmp_path / "changed.yaml"
    changed.write_text(small.read_text() + "\nmeasure: {background_box_pixels: 150}\n")
    done = snakemake("-n", *local(stub_clone, changed), cwd=finished[0], root=stub_clone)
    assert listed(done.stdout) == {
        "measure_sources",
        "join_bands",
        "make_report",
        "write_manifest",
    }


def test_lost_level2_file_is_made_again_with_what_hangs_on_it(stub_clone, small, copy):
    (copy / LEVEL2).unlink()
    done = snakemake("-n", *local(stub_clone, small), cwd=copy, root=stub_clone)
    lines = [line.split() for line in done.stdout.splitlines() if line.startswith("  ")]
    counts = {rule: sum(line[0] == rule for line in lines) for rule in listed(done.stdout)}
    assert counts == {
        "calibrate_exposure": 1,
        "align_exposures": 1,
        "solve_astrometry": 1,
        # One solution for the pointings of both filters.
        "match_skies": 2,
        "find_outliers": 2,
        "coadd_patch": 2,
        "cut_cell": 2,
        "detect_sources": 1,
        "measure_sources": 2,
        "join_bands": 1,
        "list_exclusions": 1,
        "make_report": 1,
        "write_manifest": 1,
    }


def test_failed_job_is_told_with_its_error_its_log_and_what_it_blocks(stub_clone, small, copy):
    (copy / LEVEL2).unlink()
    args = local(stub_clone, small)
    done = snakemake(*args, cwd=copy, root=stub_clone, STUB_FAILS="calibrate_exposure.py")
    assert done.returncode != 0
    said = done.stderr
    assert "FAILED calibrate_exposure r0000101001001001001_0001 f106" in said
    assert "    ERROR: level1/x_uncal.asdf: truncated; fetch it again" in said
    assert "logs/calibrate_exposure/r0000101001001001001_0001_f106.log" in said
    status = tessella("status", "results/small", cwd=copy)
    assert status.returncode == 1
    assert "blocked by calibrate_exposure: " in status.stdout
    assert "2 coadd_patch" in status.stdout
    assert "some words" not in status.stdout
    assert not (copy / LEVEL2).exists()


def test_killed_run_is_finished_by_one_command(stub_clone, small, copy, finished):
    (copy / LEVEL2).unlink()
    args = [str(arg) for arg in ("-s", stub_clone / "Snakefile", *local(stub_clone, small))]
    command = [sys.executable, "-m", "snakemake", *args]
    sleeping = {**os.environ, "STUB_SLEEPS": "calibrate_exposure"}
    with subprocess.Popen(command, cwd=copy, env=sleeping, stderr=subprocess.DEVNULL) as run:
        while not (copy / "asleep").exists() and run.poll() is None:
            time.sleep(0.1)
        busy = tessella("resume", *args, cwd=copy)
        run.send_signal(signal.SIGKILL)
    assert busy.returncode == 1
    assert f"process {run.pid}" in busy.stderr
    with subprocess.Popen(
        [sys.executable, "-m", "tessella", "resume", *args],
        cwd=copy,
        stderr=subprocess.PIPE,
        text=True,
    ) as resumed:
        assert "waiting for jobs of the killed run" in resumed.stderr.readline()
        (copy / "awake").touch()
        said = resumed.stderr.read()
    assert resumed.returncode == 0, said
    assert (copy / LEVEL2).read_text() == (finished[0] / LEVEL2).read_text()
    assert (copy / "results/small/quality/report.html").stat().st_size > 0


def test_images_of_a_patch_are_named_in_a_file_not_in_the_command(finished):
    work = finished[0]
    lists = sorted((work / "results/small/plan/inputs").glob("coadd_patch_*_images_*.txt"))
    named = [path.read_text().splitlines() for path in lists]
    assert [len(names) for names in named] == [2, 1]
    for names in named:
        assert all(name.endswith("_cal.asdf") and (work / name).is_file() for name in names)

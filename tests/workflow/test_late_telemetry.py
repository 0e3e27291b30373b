"""A folder that telemetry arrives in: what is made, what waits, what late packets make again."""

import json
import re

import numpy as np
import pytest

from tessella.io.level0 import write_level0
from tessella.models import ExposureHeader, ExposureKey, Readout, Window
from tessella.telemetry.encode import packetize

from .conftest import ROOT, jobs_of, snakemake

POINTINGS = {1: (12.108, 85.255), 2: (12.1238833, 85.2555861)}
KEYS = {n: ExposureKey(1, 1, 1, 1, 1, 1, n) for n in POINTINGS}
DAY = 86400


def a_day_later(work) -> None:
    known = work / "results/late/plan/known_exposures.json"
    entries = json.loads(known.read_text())
    for entry in entries.values():
        entry["first_seen"] -= 1.1 * DAY
    known.write_text(json.dumps(entries))


def packets_of(number: int) -> list[bytes]:
    """Packets of an exposure with little in it; what is planned follows from its header alone."""
    ra, dec = POINTINGS[number]
    pixels = np.zeros((5, 128, 128), np.uint16)
    planes = (pixels, pixels, pixels[0], pixels[0])
    header = ExposureHeader(
        *(KEYS[number], "F106", 3, f"2028-07-01T00:0{number}:00.000", "WFI_IMAGE"),
        *(ra, dec, 0.0, ra, dec, 0.0),
    )
    return packetize(header, [Readout("WFI01", Window(1792, 1792, 128, 128), *planes, 4000)])


@pytest.fixture(scope="module")
def inbox(tmp_path_factory):
    """One file with all of an exposure and the first half of another one."""
    folder = tmp_path_factory.mktemp("inbox")
    second = packets_of(2)
    write_level0(folder / "first.l0", packets_of(1) + second[: len(second) // 2], {})
    return folder


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    return tmp_path_factory.mktemp("late")


@pytest.fixture(scope="module")
def run(inbox, work, stub_clone):
    """Run Snakemake on the folder, every stage a stub."""
    overlay = work / "late.yaml"
    demo = (ROOT / "config/demo.yaml").read_text().replace("run: demo", "run: late")
    demo = demo.replace("source: simulate", "source: telemetry")
    overlay.write_text(f"{demo}\ntelemetry_folder: {inbox}\n")

    def start(*more):
        done = snakemake(*more, "--configfile", overlay, cwd=work, root=stub_clone)
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    return start


def of_exposure(jobs, number):
    """Rules of the jobs that make something of an exposure."""
    name = KEYS[number].name
    return {job.rule for job in jobs if any(name in path for path in job.outputs)}


def test_incomplete_exposure_waits_then_is_made_as_it_is_then_again_with_what_came_late(
    run, inbox, work
):
    done = run("--cores", 2)
    waiting = rf"{KEYS[2].name}: \d\d\.\d\d % of its pixels are there; held until 24 h after"
    assert re.search(waiting, done.stderr)
    made = work / "results/late/level1"
    assert [path.name[:25] for path in made.iterdir()] == [KEYS[1].name]
    assert "Nothing to be done" in run("-n").stdout

    # A day later nothing more has come.
    a_day_later(work)
    done = run("--cores", 2)
    assert "held" not in done.stderr
    assert sorted(path.name[:25] for path in made.iterdir()) == [key.name for key in KEYS.values()]

    second = packets_of(2)
    write_level0(inbox / "rest.l0", second[len(second) // 2 - 5 :], {})
    jobs = jobs_of(run("-n").stdout)
    assert {"decode_telemetry", "assemble_ramp", "calibrate_exposure"} <= of_exposure(jobs, 2)
    assert of_exposure(jobs, 1) <= {"match_skies", "find_outliers", "solve_astrometry"}
    assert {"coadd_patch", "cut_cell", "detect_sources", "join_bands"} <= {job.rule for job in jobs}
    (decode,) = (job for job in jobs if job.rule == "decode_telemetry")
    assert [path for path in decode.inputs if path.endswith(".l0")] == [
        str(inbox / name) for name in ("first.l0", "rest.l0")
    ]


def test_archived_file_takes_back_nothing(run, inbox, work):
    second = packets_of(2)
    write_level0(inbox / "rest.l0", second[len(second) // 2 :], {})
    run("--cores", 2)
    made = {path: path.stat().st_mtime_ns for path in work.glob("results/late/level*/*")}
    (inbox / "first.l0").rename(work / "first.l0")
    done = run("--cores", 2)
    for key in KEYS.values():
        assert f"{key.name}: stays as it was made: {inbox}/first.l0 (as it was," in done.stderr
    assert "decode_telemetry" not in done.stdout
    assert {path: path.stat().st_mtime_ns for path in made} == made
    (work / "first.l0").rename(inbox / "first.l0")
    done = run("-n")
    assert "Nothing to be done" in done.stdout
    assert "stays" not in done.stderr

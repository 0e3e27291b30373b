"""Whatever is killed, and whenever: one command leads to the products of an unbroken run."""

import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from finished_run import ROOT, RUN
from survival import runs, stages


@pytest.fixture
def end_well(arguments, expected, tmp_path):
    """Give the one command, and what must hold after it."""

    def end(*more):
        runs.finish(runs.resume(*arguments, *more), tmp_path)
        assert runs.products_of(tmp_path) == expected
        assert not runs.left_over(tmp_path / RUN)

    return end


def test_every_change_that_a_stage_makes(studied, tmp_path):
    found = runs.study_boundaries(studied, [tmp_path / "one", tmp_path / "two"], "few")
    assert {entry["stage"] for entry in found} == studied.commands.keys()
    assert all(kills >= 5 for entry in found for kills in entry["killed"].values())
    assert [fault for entry in found for fault in entry["faults"]] == []


@pytest.mark.parametrize(
    ("stage", "change", "group"),
    [
        ("packetize_exposure", 13, True),
        ("calibrate_exposure", 6, False),
        ("write_manifest", 8, True),
    ],
)
def test_job_killed_at_a_change(arguments, tmp_path, end_well, stage, change, group):
    environment = stages.killing(f"{stage}.py", change, tmp_path / RUN, group)
    run = runs.start(runs.snakemake(*arguments), tmp_path, environment)
    assert run.wait() != 0
    assert len(runs.left_over(tmp_path / RUN)) > 0
    end_well()


def test_killed_job_is_tried_again_in_the_same_run(arguments, expected, tmp_path):
    asleep = runs.start(runs.snakemake(*arguments, "--retries", 1), tmp_path)
    runs.wait_until(lambda: runs.jobs_of(asleep), asleep)
    victim = next(iter(runs.jobs_of(asleep).values()))
    victim.kill()
    assert asleep.wait() == 0
    assert runs.products_of(tmp_path) == expected


def test_chain_of_kills_at_changes_of_snakemake_itself(arguments, tmp_path, end_well):
    command = runs.snakemake(*arguments)
    for change in (2, 11, 40, 100):
        environment = stages.killing("-m snakemake", change, tmp_path, group=True)
        assert runs.start(command, tmp_path, environment).wait() != 0
        command = runs.resume(*arguments)
    end_well()


def test_chain_of_kills_at_random_moments(arguments, tmp_path, end_well):
    rng = random.Random(7)
    command = runs.snakemake(*arguments)
    for _ in range(5):
        run = runs.start(command, tmp_path)
        time.sleep(rng.uniform(0.2, 4))
        runs.kill(run)
        command = runs.resume(*arguments)
    end_well()


@pytest.fixture
def killed(arguments, tmp_path):
    """A run that was killed while a job was at work; its lock is there."""
    run = runs.start(runs.snakemake(*arguments), tmp_path)
    runs.wait_until(lambda: runs.jobs_of(run), run)
    runs.kill(run)
    assert list((tmp_path / ".snakemake/locks").glob("*.lock"))


@pytest.mark.parametrize("change", [1, 2])
def test_kill_while_the_lock_is_removed(killed, arguments, tmp_path, end_well, change):
    environment = stages.killing("--unlock", change, tmp_path / ".snakemake/locks", group=True)
    assert runs.start(runs.resume(*arguments), tmp_path, environment).wait() != 0
    end_well()


def test_two_that_resume_at_once_make_no_file_twice(killed, arguments, tmp_path, end_well):
    both = [runs.start(runs.resume(*arguments), tmp_path) for _ in range(2)]
    codes = [one.wait() for one in both]
    said = (tmp_path / "said").read_text()
    assert codes.count(0) <= 1 or "Nothing to be done" in said, said
    end_well()


def test_make_resume(clone, tmp_path):
    """`make demo` in a clone, killed, and `make resume`."""
    work = tmp_path / "clone"
    shutil.copytree(clone, work, symlinks=True)
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, work)
    (work / ".venv").mkdir()
    (work / ".venv/bin").symlink_to(Path(sys.executable).parent)
    (work / ".venv/ready").touch()
    run = runs.start(["make", "demo"], work)
    runs.wait_until(lambda: runs.jobs_of(run), run)
    runs.kill(run)
    assert list((work / ".snakemake/locks").glob("*.lock"))
    done = subprocess.run(["make", "resume"], cwd=work, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()[-3000:]
    verify = [sys.executable, "-m", "tessella", "verify", "results/demo"]
    assert subprocess.run(verify, cwd=work, env=os.environ, check=False).returncode == 0

"""A head process that is killed leaves jobs behind: they are found, and nothing is made twice."""

import subprocess
import sys

import pytest

from .cluster import wait_until
from .conftest import STARS

pytestmark = pytest.mark.slurm

STAGE = "make_reference_stars"
#: Goes on when the test has left a file.
ASLEEP = "while not Path('awake').exists(): time.sleep(0.1)\n"
RESUME = ("tessella", "resume")


@pytest.fixture
def orphan(work):
    """Kill a head process while its only job runs; return that job's number."""
    work.lose(STARS)
    work.behave(STAGE, ASLEEP)
    with work.start(STARS):
        wait_until(lambda: STAGE in work.executions(), 60, "the job starts")
        # Leaving the block kills Snakemake, and Snakemake alone.
    (number,) = work.cluster.jobs()
    assert work.cluster.state_of(number) == "RUNNING"
    return number


def wake(work):
    (work.folder / "awake").touch()


def test_jobs_that_ended_meanwhile_are_not_run_again(work, orphan):
    wake(work)
    work.cluster.rest()
    code, said = work.run(STARS, program=RESUME)
    assert code == 0, said
    assert work.executions() == [STAGE]


def test_jobs_that_still_run_are_waited_for(work, orphan):
    with work.start(STARS, program=RESUME) as run:
        told = f"waiting for jobs of the killed run: {orphan} ({STAGE}, running)"
        wait_until(lambda: told in run.said, 30, "resume tells the job")
        wake(work)
        assert run.end() == 0, run.said
    assert work.executions() == [STAGE]
    assert len(work.cluster.asked("%A")) == 1


def test_jobs_that_still_run_are_cancelled_where_asked(work, orphan):
    with work.start(STARS, "--cancel-jobs", program=RESUME) as run:
        wait_until(lambda: f"cancelling {orphan}" in run.said, 30, "resume tells the job")
        wait_until(lambda: work.cluster.state_of(orphan) == "CANCELLED", 30, "the job is cancelled")
        wake(work)
        assert run.end() == 0, run.said
    assert work.executions() == [STAGE] * 2


def test_pending_jobs_are_waited_for_too(work):
    work.lose(STARS)
    partition = ("scontrol", "update", "PartitionName=batch")
    work.cluster.ask(*partition, "State=DOWN")
    try:
        with work.start(STARS):
            wait_until(lambda: len(work.cluster.jobs()) == 1, 60, "the job is submitted")
        with work.start(STARS, program=RESUME) as run:
            wait_until(lambda: f"({STAGE}, pending)" in run.said, 30, "resume tells the job")
            work.cluster.ask(*partition, "State=UP")
            assert run.end() == 0, run.said
    finally:
        work.cluster.ask(*partition, "State=UP")
    assert work.executions() == [STAGE]
    assert len(work.cluster.asked("%A")) == 1


def test_run_of_another_name_works_beside_one_of_the_same_jobs(work):
    other = STARS.replace("results/small", "results/other")
    work.lose(STARS)
    work.behave(STAGE, ASLEEP)
    with work.start(STARS) as first:
        wait_until(lambda: STAGE in work.executions(), 60, "the first run's job starts")
        with work.start(other, "--config", "run=other") as second:
            wait_until(lambda: len(work.cluster.jobs()) == 2, 60, f"two jobs: {second.said}")
            wake(work)
            assert (first.end(), second.end()) == (0, 0), first.said + second.said
    assert (work.folder / other).is_file()


def test_run_beside_jobs_that_make_the_same_is_refused(work, orphan):
    unlock = [sys.executable, "-m", "snakemake", *work.arguments("--unlock")]
    subprocess.run(unlock, cwd=work.folder, env=work.cluster.environment, check=True)
    code, said = work.run(STARS)
    assert code != 0
    (line,) = (line for line in said.splitlines() if line.startswith("ERROR"))
    assert f"{orphan} ({STAGE}, running)" in line
    assert "tessella resume" in line
    assert work.executions() == [STAGE]
    wake(work)

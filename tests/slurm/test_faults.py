"""What happens when something goes wrong on the cluster: a run ends right, or says why not."""

import json
import time

import pytest

from .cluster import wait_until
from .conftest import STARS, SUMS, site

pytestmark = pytest.mark.slurm

#: Waits at its first execution, until the job is killed.
SLEEP = "time.sleep(300 if attempt == 1 else 0)\n"
#: More than the first attempt may have, less than the second.
HOARD = "ballast = b'x' * 600_000_000\ntime.sleep(5)\n"


def running(work, stage):
    """Wait until a stage is executed, and return the number of its job."""
    wait_until(lambda: stage in work.executions(), 60, f"{stage} starts")
    (number,) = (job for job, what in work.cluster.jobs().items() if stage in what)
    return number


def test_cancelled_job_is_tried_again(work):
    stars = work.lose(STARS)
    work.behave("make_reference_stars", SLEEP)
    with work.start(stars) as run:
        job = running(work, "make_reference_stars")
        work.cluster.ask("scancel", str(job))
        assert run.end() == 0, run.said
    assert f"Slurm: CANCELLED, job {job}" in run.said
    assert "trying again: make_reference_stars" in run.said
    assert work.executions() == ["make_reference_stars"] * 2
    assert f"tried again: make_reference_stars: Slurm: CANCELLED, job {job}" in work.status()


def test_job_that_takes_too_long_gets_twice_the_time(work):
    stars = work.lose(STARS)
    work.behave("make_reference_stars", SLEEP)
    with work.start(stars) as run:
        job = running(work, "make_reference_stars")
        work.cluster.ask("scontrol", "update", f"JobId={job}", "EndTime=now")
        assert run.end() == 0, run.said
    assert f"Slurm: TIMEOUT, job {job}" in run.said
    assert work.cluster.asked("%l")[1] == "10:00"


def test_job_that_takes_too_much_memory_gets_twice_as_much(work):
    stars = work.lose(STARS)
    work.behave("make_reference_stars", HOARD)
    code, said = work.run(stars)
    assert code == 0, said
    assert "Slurm: OUT_OF_MEMORY, job" in said
    assert work.cluster.asked("%m") == ["500M", "1000M"]
    assert "failed:" not in work.status()


def test_run_whose_job_never_has_enough_memory_says_so(work):
    stars = work.lose(STARS)
    work.behave("make_reference_stars", HOARD)
    code, said = work.run(stars, "--retries", "0")
    assert code != 0
    (job,) = work.cluster.asked("%A")
    error = f"Slurm: OUT_OF_MEMORY, job {job}"
    status = work.status()
    for told in (said, status):
        assert error in told
        assert "logs/make_reference_stars.log" in told
        assert f"results/slurm_logs/rule_make_reference_stars/{job}.log" in told
    assert "FAILED make_reference_stars" in said
    assert "failed: make_reference_stars" in status
    record = json.loads((work.folder / "results/small/logs/progress.json").read_text())
    assert [failure["error"] for failure in record["failures"]] == [error]


def test_job_that_fails_by_itself_is_told_by_its_own_error(work):
    stars = work.lose(STARS)
    work.behave("make_reference_stars", "sys.exit('ERROR: gaia.fits: cut; fetch it again')")
    code, said = work.run(stars, "--retries", "0")
    assert code != 0
    assert "ERROR: gaia.fits: cut; fetch it again" in said
    assert "Slurm: " not in said


@pytest.fixture
def mortal(work):
    """A cluster whose nodes may be killed: they are back when the test has ended."""
    dead = []
    yield lambda node: (work.cluster.kill_node(node), dead.append(node))
    for node in dead:
        work.cluster.start_node(node)
    wait_until(lambda: work.cluster.node_states() == {"idle"}, 60, "all nodes are back")


def nodes_of(work, job):
    return work.cluster.ask("squeue", "--noheader", f"--jobs={job}", "--format=%N")


def test_node_that_dies_under_a_job_is_told_and_costs_one_attempt(work, mortal):
    stars = work.lose(STARS)
    work.behave("make_reference_stars", SLEEP)
    with work.start(stars) as run:
        job = running(work, "make_reference_stars")
        mortal(nodes_of(work, job))
        assert run.end() == 0, run.said
    assert f"Slurm: NODE_FAIL, job {job}" in run.said
    assert work.executions() == ["make_reference_stars"] * 2


def test_node_that_dies_under_ranks_of_two_nodes_costs_one_attempt(work, mortal):
    sums = work.lose(SUMS)
    work.behave("coadd_patch", SLEEP)
    with work.start(sums) as run:
        job = running(work, "coadd_patch")
        assert nodes_of(work, job) == "n[1-2]"
        mortal("n2")
        assert run.end() == 0, run.said
    assert "trying again: coadd_patch" in run.said
    assert work.cluster.asked("%N")[-1] == "n[1,3]"
    assert work.executions() == ["coadd_patch"] * 2


def test_controller_that_is_away_for_a_while_costs_nothing(work):
    stars = work.lose(STARS)
    work.behave("make_reference_stars", "while not Path('awake').exists(): time.sleep(0.1)\n")
    with work.start(stars) as run:
        running(work, "make_reference_stars")
        work.cluster.stop_controller()
        try:
            time.sleep(60)  # more than five attempts to ask it, the executor's own limit
        finally:
            work.cluster.start_controller()
        (work.folder / "awake").touch()
        assert run.end() == 0, run.said
    assert work.executions() == ["make_reference_stars"]


def test_refused_submission_names_job_and_reason(work):
    stars = work.lose(STARS)
    (work.folder / "site.yaml").write_text(
        site(**{"default-resources": {"slurm_partition": "nowhere"}})
    )
    code, said = work.run(stars)
    assert code != 0
    assert "FAILED make_reference_stars" in said
    assert "Slurm refused the job: " in said
    assert "partition" in said
    assert work.executions() == []
    assert "Slurm refused the job: " in work.status()

from pathlib import Path

import pytest

from tessella.errors import DataError
from tessella.run.slurm_jobs import SlurmJob, cancel, how_it_ended, jobs_in, refuse_doubles

HERE = "17|RUNNING|tessella_5b|rule_fit_wildcards_r1_f158|"


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """Return a function that puts a client of Slurm first in PATH, which says what it is told."""

    def client(name, says="", complains="", code=0):
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(f"#!/bin/sh\necho '{says}'\necho '{complains}' >&2\nexit {code}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(program.parent), prepend=":")

    return client


def test_only_our_jobs_of_the_folder_are_found(slurm, tmp_path):
    others = f"18|PENDING|other|(null)|{tmp_path}\n19|RUNNING|tessella_5b|rule_fit|/elsewhere"
    slurm("squeue", f"{HERE}{tmp_path}\n{others}")
    assert jobs_in(tmp_path) == [SlurmJob("17", "RUNNING", "fit r1_f158", "tessella_5b")]


def test_folder_may_be_named_by_a_link_and_hold_a_bar(slurm, tmp_path):
    folder, link = tmp_path / "a|b", tmp_path / "link"
    folder.mkdir()
    link.symlink_to(folder)
    slurm("squeue", f"{HERE}{folder}")
    assert len(jobs_in(link)) == 1


def test_machine_without_slurm_or_without_cluster_has_no_jobs(slurm, tmp_path, monkeypatch):
    slurm("squeue", complains="squeue: fatal: Could not establish a configuration source", code=1)
    assert jobs_in(tmp_path) == []
    monkeypatch.setenv("PATH", "")
    assert jobs_in(tmp_path) == []


def test_controller_that_does_not_answer_is_not_taken_for_an_empty_queue(slurm, tmp_path):
    slurm("squeue", complains="Unable to contact slurm controller (connect failure)", code=1)
    with pytest.raises(DataError, match="Unable to contact slurm controller.*try again"):
        jobs_in(tmp_path)


def test_what_a_job_in_the_queue_makes_is_not_made_beside_it(slurm, tmp_path):
    slurm("squeue", f"{HERE}{tmp_path}")
    refuse_doubles(tmp_path, [("fit", ("r2", "f158")), ("flat", ())])
    with pytest.raises(DataError, match=r"17 \(fit r1_f158, running\).*tessella resume"):
        refuse_doubles(tmp_path, [("flat", ()), ("fit", ("r1", "f158"))])


def test_jobs_that_a_living_run_cares_for_are_left_to_its_claim(slurm, tmp_path):
    slurm("squeue", f"{HERE}{tmp_path}")
    (job,) = jobs_in(tmp_path)
    refuse_doubles(tmp_path, [("fit", ("r1", "f158"))], cared_for={job.name})


def test_order_that_slurm_does_not_take_is_an_error(slurm):
    slurm("scancel", complains="scancel: error: Access denied", code=1)
    with pytest.raises(DataError, match="Access denied: 17"):
        cancel([SlurmJob("17", "RUNNING", "fit")])


@pytest.mark.parametrize(
    "line",
    [
        "slurmstepd-n1: error: StepId=2.0 exceeded memory limit (9 > 1), being killed",
        "slurmstepd: error: Detected 1 oom-kill event(s) in StepId=3.batch.",
        "srun: error: n1: task 0: Out Of Memory",
    ],
)
def test_memory_is_named_where_only_the_log_of_slurm_tells_of_it(tmp_path, line):
    (tmp_path / "17.log").write_text(f"Building DAG\n{line}\n")
    message = "SLURM-job '17' failed, SLURM status is: 'FAILED'. Reason: Unknown."
    assert how_it_ended(message, tmp_path / "17.log") == "Slurm: OUT_OF_MEMORY, job 17"


def test_job_that_failed_by_itself_was_not_ended_by_slurm(tmp_path):
    (tmp_path / "17.log").write_text("python: MemoryError: out of memory\n")
    message = "SLURM-job '17' failed, SLURM status is: 'FAILED'. Reason: Unknown."
    assert how_it_ended(message, tmp_path / "17.log") is None
    assert how_it_ended(message, Path("nowhere")) is None
    assert how_it_ended("", None) is None


def test_lost_node_is_told():
    message = "SLURM-job '17' failed due to a node failure, SLURM status is: 'NODE_FAIL'. Failed"
    assert how_it_ended(message, None) == "Slurm: NODE_FAIL, job 17"


def test_refusal_is_told_by_its_last_line():
    message = (
        "SLURM sbatch failed. The error message was 'sbatch: error: one\nsbatch: error: Invalid "
        "account'.\n    sbatch call:\n        sbatch --job-name 'x'\n"
    )
    assert how_it_ended(message, None) == "Slurm refused the job: Invalid account"

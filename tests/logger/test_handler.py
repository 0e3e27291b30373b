"""The handler is told events as Snakemake tells them."""

import io
import logging
from types import SimpleNamespace

import pytest
from snakemake_interface_logger_plugins.common import LogEvent

from snakemake_logger_plugin_tessella import LogHandler
from snakemake_logger_plugin_tessella.handler import RESULTS_VARIABLE
from tessella.run.progress import read_record


@pytest.fixture
def told(tmp_path, monkeypatch):
    """Return a function that tells a handler events and returns what it said."""
    monkeypatch.setenv(RESULTS_VARIABLE, str(tmp_path / "results"))
    monkeypatch.setattr(logging, "raiseExceptions", False)

    def tell(*events, dryrun=False):
        settings = SimpleNamespace(
            stdout=False, dryrun=dryrun, verbose=False, printshellcmds=False, nocolor=True
        )
        handler = LogHandler(settings, None)
        handler.stream = io.StringIO()
        for event, fields in events:
            handler.emit(record(event, **fields))
        handler.close()
        return handler.stream.getvalue().splitlines()

    return tell


def record(event, message=None, created=0.0, **fields):
    made = logging.LogRecord("snakemake", logging.INFO, "", 0, message, (), None)
    made.created = created
    for name, value in fields.items():
        setattr(made, name, value)
    if event:
        made.event = event
    return made


def run_info(**stats):
    return LogEvent.RUN_INFO, {"stats": {**stats, "total": sum(stats.values())}}


def job_info(jobid, rule="fit", **fields):
    about = {"rule_name": rule, "wildcards": {"exposure": "r1"}, "output": ["o"], "log": []}
    return LogEvent.JOB_INFO, {"jobid": jobid, "reason": "Missing", **about, **fields}


def finished(jobid, created):
    return LogEvent.JOB_FINISHED, {"job_id": jobid, "created": created}


def test_each_job_is_one_line_with_its_time_and_what_is_left(told):
    events = [run_info(fit=2, all=1), job_info(1), finished(1, 30.0)]
    overview, line = told(*events)
    assert overview == "2 jobs: 2 fit"
    assert "[1/2] fit r1  30 s" in line
    assert line.endswith("about 30 s left")


def test_failed_job_is_told_with_its_first_error(told, tmp_path):
    log = tmp_path / "a b.log"
    log.write_text("words\nERROR: x.asdf: cut\n")
    failed = (LogEvent.JOB_ERROR, job_info(1, log=[str(log)])[1])
    lines = told(run_info(fit=1), job_info(1, log=[str(log)]), failed)
    assert lines[1].endswith("FAILED fit r1")
    assert lines[2:] == ["    ERROR: x.asdf: cut", f"    log: {log}"]
    kept = read_record(tmp_path / "results")
    assert (kept.state, kept.failures[0].error) == ("failed", "ERROR: x.asdf: cut")


def slurm_error(jobid, log, state, tmp_path):
    message = f"SLURM-job '17' failed, SLURM status is: '{state}'. Reason: Unknown."
    logs = [str(log), str(tmp_path / "17.log")]
    about = {**job_info(jobid, log=logs)[1], "rule_msg": message, "aux": {"external_jobid": "17"}}
    return LogEvent.JOB_ERROR, about


def test_job_that_slurm_killed_is_told_by_that_and_not_by_its_log(told, tmp_path):
    log = tmp_path / "fit.log"
    log.write_text("reads x\n")
    lines = told(run_info(fit=1), job_info(1, log=[log]), slurm_error(1, log, "TIMEOUT", tmp_path))
    said = ["    Slurm: TIMEOUT, job 17", f"    log: {log}", f"    Slurm's log: {tmp_path}/17.log"]
    assert lines[2:] == said
    (failure,) = read_record(tmp_path / "results").failures
    assert failure.error == "Slurm: TIMEOUT, job 17"


def test_attempt_that_is_followed_by_another_does_not_count_as_a_failure(told, tmp_path):
    log = tmp_path / "fit.log"
    error = slurm_error(1, log, "NODE_FAIL", tmp_path)
    again = (None, {"message": "Trying to restart job 1."})
    lines = told(run_info(fit=1), job_info(1, log=[log]), error, again, job_info(1), finished(1, 9))
    assert lines[5].endswith("trying again: fit r1")
    record = read_record(tmp_path / "results")
    assert (record.state, record.failures) == ("done", [])
    assert [attempt.error for attempt in record.retried] == ["Slurm: NODE_FAIL, job 17"]


def test_rules_that_need_each_other_are_kept(told, tmp_path):
    graph = {"links": [{"sourcerule": "dark", "targetrule": "fit"}]}
    told((LogEvent.RULEGRAPH, {"rulegraph": graph}), run_info(dark=1, fit=1))
    assert read_record(tmp_path / "results").links == [("dark", "fit")]


def test_dry_run_lists_jobs_and_keeps_nothing(told, tmp_path):
    lines = told(run_info(fit=1, all=1), job_info(1), job_info(2, "all"), dryrun=True)
    assert lines == ["1 job: 1 fit", "  fit r1  (Missing)"]
    assert read_record(tmp_path / "results") is None


def test_messages_that_say_nothing_are_left_out(told):
    said = ["Building DAG of jobs...", "Using shell: /bin/bash", None, "Disk is full"]
    assert told(*((None, {"message": message}) for message in said)) == ["Disk is full"]


def test_stale_lock_is_told_with_the_command_that_helps(told):
    (line,) = told((None, {"message": "Error: Directory cannot be locked. Please make sure"}))
    assert "tessella resume" in line


def test_event_that_is_not_understood_does_not_stop_the_run(told):
    assert told((LogEvent.JOB_FINISHED, {"job_id": 99}), (LogEvent.JOB_ERROR, {})) == []

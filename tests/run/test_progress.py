import json

import pytest

from tessella.errors import DataError
from tessella.run.progress import (
    Failure,
    Job,
    Progress,
    Record,
    blocked,
    first_error,
    read_record,
    write_record,
)


def job(rule, started=0.0, logs=()):
    return Job(rule, "x", logs, started)


def test_time_left_is_that_of_jobs_of_the_same_rule():
    progress = Progress({"slow": 2, "quick": 2})
    progress.start(1, job("slow"))
    progress.finish(1, 100.0)
    progress.start(2, job("quick", 100.0))
    progress.finish(2, 101.0)
    assert progress.seconds_left(101.0) == pytest.approx(101.0)


def test_jobs_side_by_side_shorten_the_time_left():
    progress = Progress({"a": 4})
    for number in (1, 2):
        progress.start(number, job("a"))
    for number in (1, 2):
        progress.finish(number, 10.0)
    assert progress.seconds_left(10.0) == pytest.approx(10.0)


def test_running_job_counts_with_what_is_left_of_it():
    progress = Progress({"a": 2})
    progress.start(1, job("a"))
    progress.finish(1, 10.0)
    progress.start(2, job("a", 10.0))
    assert progress.seconds_left(14.0) == pytest.approx(6.0)
    assert progress.seconds_left(99.0) == 0.0


def test_nothing_is_guessed_before_the_first_job_has_ended():
    progress = Progress({"a": 2})
    progress.start(1, job("a"))
    assert progress.seconds_left(5.0) is None


def test_job_that_succeeds_in_a_second_attempt_has_not_failed():
    progress = Progress({"a": 1})
    progress.start(1, job("a"))
    progress.fail(1, job("a"))
    progress.start(1, job("a"))
    progress.finish(1, 3.0)
    assert not progress.failed
    assert progress.n_done == 1


def test_target_rule_is_no_stage():
    progress = Progress({"a": 1})
    progress.start(7, job("all"))
    progress.finish(7, 1.0)
    assert progress.n_done == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("starts\nERROR: x.asdf: cut\nERROR: later\n", "ERROR: x.asdf: cut"),
        ("Traceback\n  File x\nValueError: no\nERROR: ValueError: no\n", "ERROR: ValueError: no"),
        ("Traceback\n  File x\nValueError: no\nand more\n", "ValueError: no"),
        ("one\ntwo\n\n", "two"),
        ("", "the log is empty"),
    ],
)
def test_first_error_is_the_line_that_says_why(tmp_path, text, said):
    (tmp_path / "job.log").write_text(text)
    assert first_error(tmp_path / "job.log") == said


def test_first_error_of_bytes_that_are_no_text(tmp_path):
    (tmp_path / "job.log").write_bytes(b"\xff\xfe\nERROR: x\n")
    assert first_error(tmp_path / "job.log") == "ERROR: x"


def test_absent_log_is_told():
    assert first_error("") == first_error("nowhere/a.log") == "no log was written"


def test_record_is_read_as_it_was_written(tmp_path):
    record = Record("failed", {"a": 2}, {"a": 1}, [Failure("a", "x", "a.log", "e")], [("a", "b")])
    assert read_record(tmp_path) is None
    write_record(tmp_path, record)
    assert read_record(tmp_path) == record
    assert json.loads((tmp_path / "logs/progress.json").read_text())["state"] == "failed"
    assert [path.name for path in (tmp_path / "logs").iterdir()] == ["progress.json"]


@pytest.mark.parametrize("content", ["", '{"state": "done"', "[]", '{"state": "done"}'])
def test_damaged_record_is_named(tmp_path, content):
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs/progress.json").write_text(content)
    with pytest.raises(DataError, match=r"progress\.json: not a readable record"):
        read_record(tmp_path)


def test_jobs_are_blocked_by_the_failed_rules_far_before_them():
    links = [("a", "b"), ("b", "c"), ("d", "c")]
    record = Record("failed", {"a": 3, "b": 3, "c": 1, "d": 1}, {"a": 2, "b": 2}, [], links)
    assert blocked(record) == {(): {"a": 1, "b": 1, "c": 1, "d": 1}}
    record.failures.append(Failure("a", "x", "a.log", "e"))
    assert blocked(record) == {("a",): {"b": 1, "c": 1}, (): {"d": 1}}

"""Runs that live are seen, runs that died are not; files are claimed by one run alone."""

import json
import os
import socket
import subprocess
import sys
import time
from contextlib import contextmanager

import psutil
import pytest

from tessella.errors import DataError
from tessella.run.claims import (
    FOLDER,
    STALE,
    Asked,
    asked_of_snakemake,
    live_claims,
    refuse_second,
    take,
)

RESULTS = "results/demo"
EVERYTHING = Asked(RESULTS)

HOLD = """
import sys
from tessella.run.claims import Asked, take
take(sys.argv[1], Asked("results/demo", tuple(sys.argv[2:])), ["level4/a", "level3/a"])
print("taken", flush=True)
input()
"""


@contextmanager
def other_run(folder, *targets):
    """Have another process claim the files of tile a."""
    command = [sys.executable, "-c", HOLD, str(folder), *targets]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as run:
        assert run.stdout.readline() == "taken\n"
        yield run
        if run.poll() is None:
            run.communicate("\n")


def write_claim(folder, age=0.0, **changes):
    """Write the claim of a run that was last touched some seconds ago."""
    kept = {"host": "elsewhere", "pid": 4, "created": 1.0, "started": 2.0, "writes": ["level4/a"]}
    kept |= {"asked": {"results": RESULTS, "targets": [], "in_part": False}} | changes
    path = folder / FOLDER / f"{kept['host']}-{kept['pid']}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(kept))
    os.utime(path, (time.time() - age, time.time() - age))
    return path


def test_second_run_is_refused_by_process_host_and_start(tmp_path):
    with other_run(tmp_path) as run:
        (claim,) = live_claims(tmp_path)
        with pytest.raises(DataError) as caught:
            refuse_second(tmp_path, EVERYTHING)
    start = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(claim.started))
    who = f"process {run.pid} on host {socket.gethostname()} works here since {start} (everything)"
    assert str(caught.value) == f"{tmp_path}: {who}; wait for it or end it"


def test_claim_goes_with_its_process(tmp_path):
    with other_run(tmp_path):
        pass
    assert list((tmp_path / FOLDER).iterdir()) == []
    assert live_claims(tmp_path) == []


@pytest.mark.parametrize(
    ("theirs", "asked", "refused"),
    [
        ((), Asked(RESULTS, ("level4/b",)), True),
        (("level4/a",), EVERYTHING, True),
        (("level4/a",), Asked(RESULTS, ("level4/a", "level4/b")), True),
        (("level4/a",), Asked(RESULTS, ("level3/a",)), True),
        (("level4/a",), Asked(RESULTS, ("all",)), True),
        (("level4/a",), Asked(RESULTS, ("level4/b",)), False),
        (("level4/a",), Asked(RESULTS, in_part=True), False),
        ((), Asked("results/other"), False),
        ((), None, False),
    ],
)
def test_runs_that_overlap_for_certain_are_refused(tmp_path, theirs, asked, refused):
    with other_run(tmp_path, *theirs):
        if not refused:
            refuse_second(tmp_path, asked)
            return
        with pytest.raises(DataError, match="wait for it or end it"):
            refuse_second(tmp_path, asked)


def test_files_of_another_run_cannot_be_claimed_and_others_can(tmp_path):
    with other_run(tmp_path, "level4/a"):
        with pytest.raises(DataError, match=r"process \d+ on host .* \(level4/a\)"):
            take(tmp_path, Asked(RESULTS, ("quality",)), ["quality", "level3/a"])
        assert len(list((tmp_path / FOLDER).iterdir())) == 1
        own = take(tmp_path, Asked(RESULTS, ("level4/b",)), ["level4/b"])
        assert {path.name for path in (tmp_path / FOLDER).iterdir()} > {own.file}
    (tmp_path / FOLDER / own.file).unlink()


def test_runs_of_other_folders_are_not_seen(tmp_path):
    (tmp_path / "here").mkdir()
    with other_run(tmp_path):
        assert live_claims(tmp_path / "here") == []


def test_killed_run_is_not_seen_and_its_claim_is_cleared(tmp_path):
    with other_run(tmp_path) as run:
        run.kill()
        while live_claims(tmp_path):  # killing takes a moment
            time.sleep(0.01)
        assert (tmp_path / FOLDER / f"{socket.gethostname()}-{run.pid}.json").exists()
        own = take(tmp_path, EVERYTHING, ["level4/a"])
        assert [path.name for path in (tmp_path / FOLDER).iterdir()] == [own.file]
    (tmp_path / FOLDER / own.file).unlink()


def test_number_of_a_dead_run_given_to_another_process_is_not_that_run(tmp_path):
    created = psutil.Process(os.getppid()).create_time()
    here = {"host": socket.gethostname(), "pid": os.getppid()}
    write_claim(tmp_path, **here, created=created - 60)
    assert live_claims(tmp_path) == []
    write_claim(tmp_path, **here, created=created)
    assert len(live_claims(tmp_path)) == 1


def test_run_of_another_host_lives_while_it_touches_its_claim(tmp_path):
    write_claim(tmp_path, age=STALE / 2)
    with pytest.raises(DataError, match="process 4 on host elsewhere"):
        refuse_second(tmp_path, EVERYTHING)
    with pytest.raises(DataError, match="process 4 on host elsewhere"):
        take(tmp_path, EVERYTHING, ["level4/a"])
    path = write_claim(tmp_path, age=STALE * 2)
    refuse_second(tmp_path, EVERYTHING)
    own = take(tmp_path, EVERYTHING, ["level4/a"])
    assert not path.exists()
    (tmp_path / FOLDER / own.file).unlink()


def test_claim_is_touched_while_its_process_lives(tmp_path, monkeypatch):
    monkeypatch.setattr("tessella.run.claims.HEARTBEAT", 0.01)
    path = tmp_path / FOLDER / take(tmp_path, EVERYTHING, []).file
    os.utime(path, (0, 0))
    until = time.monotonic() + 30
    while path.stat().st_mtime == 0 and time.monotonic() < until:
        time.sleep(0.01)
    assert path.stat().st_mtime > 0
    path.unlink()


@pytest.mark.parametrize(
    "words",
    ["-n", "--unlock", "--lint", "--summary", "--report r.html", "--dag", "--list-rules"],
)
def test_snakemake_that_runs_no_job_asks_for_nothing(words):
    assert asked_of_snakemake(words.split(), RESULTS) is None


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        ("--cores 2", EVERYTHING),
        ("--cores 2 --profile local --config run=demo", EVERYTHING),
        ("--report r.html --report-after-run", EVERYTHING),
        ("--touch", EVERYTHING),
        ("b a -c 1", Asked(RESULTS, ("a", "b"))),
        ("--until coadd_patch", Asked(RESULTS, in_part=True)),
    ],
)
def test_what_is_asked_of_snakemake_is_read_from_its_words(words, asked):
    assert asked_of_snakemake(words.split(), RESULTS) == asked


def test_damaged_claim_is_named(tmp_path):
    (tmp_path / FOLDER).mkdir(parents=True)
    for content in ("", "[]", '{"asked": 1'):
        (tmp_path / FOLDER / "host-1.json").write_text(content)
        with pytest.raises(DataError, match="host-1.json: not a readable claim"):
            live_claims(tmp_path)

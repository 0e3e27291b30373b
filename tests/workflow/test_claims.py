"""One run at a time makes a file; runs of other files and lookers-on are not in its way."""

import os
import socket
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest

from tessella.run.claims import FOLDER, live_claims

from .conftest import local, snakemake

#: Generous: a loaded machine starts a Snakemake in many seconds.
DEADLINE = 120


@pytest.fixture(scope="module")
def two_tiles(small, tmp_path_factory):
    """Whole detectors over the official cells that they touch."""
    overlay = tmp_path_factory.mktemp("two tiles") / "tiles.yaml"
    text = small.read_text().replace("window: {", "window: null # {")
    overlay.write_text(text.replace("cutout_pixels: 2560", "cutout_pixels: null"))
    return overlay


@contextmanager
def started(clone, config, *targets, cwd, sleeps):
    """Start a run that holds still at a rule until the file ``awake`` is there."""
    command = [sys.executable, "-m", "snakemake", "-s", clone / "Snakefile"]
    command = [str(word) for word in (*command, *targets, *local(clone, config))]
    environment = {**os.environ, "STUB_SLEEPS": sleeps}
    pipes = {"stderr": subprocess.PIPE, "stdout": subprocess.DEVNULL, "text": True}
    with subprocess.Popen(command, cwd=cwd, env=environment, **pipes) as run:
        yield run
        (cwd / "awake").touch()


def wait_until_asleep(run, cwd):
    until = time.monotonic() + DEADLINE
    while not (cwd / "asleep").exists():
        assert run.poll() is None, run.stderr.read()
        assert time.monotonic() < until
        time.sleep(0.1)
    (cwd / "asleep").unlink()


def ended(run, cwd):
    (cwd / "awake").touch()
    said = run.communicate(timeout=DEADLINE)[1]
    assert run.returncode == 0, said


def test_second_run_is_refused_and_lookers_on_are_not(stub_clone, small, tmp_path):
    args = local(stub_clone, small)
    with started(stub_clone, small, cwd=tmp_path, sleeps="calibrate_exposure") as run:
        wait_until_asleep(run, tmp_path)
        (claim,) = live_claims(tmp_path)
        second = snakemake(*args, "--cores", 1, cwd=tmp_path, root=stub_clone)
        looking = [
            snakemake(*args, word, cwd=tmp_path, root=stub_clone)
            for word in ("-n", "--summary", "--lint")
        ]
        ended(run, tmp_path)
    start = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(claim.started))
    who = f"process {run.pid} on host {socket.gethostname()} works here since {start}"
    assert second.returncode != 0
    assert [line for line in second.stderr.splitlines() if "ERROR" in line] == [
        f"ERROR: {tmp_path}: {who} (everything); wait for it or end it"
    ]
    assert "jobs on" not in second.stderr
    assert [done.returncode for done in looking] == [0, 0, 0]
    assert list((tmp_path / FOLDER).iterdir()) == []


def test_runs_on_disjoint_tiles_work_side_by_side(stub_clone, two_tiles, tmp_path):
    shared = snakemake(
        *local(stub_clone, two_tiles), "--until", "coadd_patch", cwd=tmp_path, root=stub_clone
    )
    assert shared.returncode == 0, shared.stderr
    listed = snakemake(
        *local(stub_clone, two_tiles), "--summary", cwd=tmp_path, root=stub_clone
    ).stdout
    catalogs = [line.split()[0] for line in listed.splitlines() if "_cat.parquet" in line]
    first, second = catalogs[:2]
    with started(stub_clone, two_tiles, first, cwd=tmp_path, sleeps="join_bands") as one:
        wait_until_asleep(one, tmp_path)
        with started(stub_clone, two_tiles, second, cwd=tmp_path, sleeps="join_bands") as two:
            wait_until_asleep(two, tmp_path)
            working = {claim.pid for claim in live_claims(tmp_path)}
            ended(two, tmp_path)
            (tmp_path / "awake").unlink()
        ended(one, tmp_path)
    assert working == {one.pid, two.pid}
    assert (tmp_path / first).read_text() == first
    assert (tmp_path / second).read_text() == second


def test_files_stay_claimed_when_another_run_of_the_folder_ends(stub_clone, two_tiles, tmp_path):
    """Snakemake's own locks of all runs go when one of them ends."""
    args = local(stub_clone, two_tiles)
    with started(stub_clone, two_tiles, cwd=tmp_path, sleeps="join_bands") as run:
        wait_until_asleep(run, tmp_path)
        for lock in (tmp_path / ".snakemake/locks").iterdir():
            lock.unlink()
        other = snakemake(
            *args, "--until", "make_report", cwd=tmp_path, root=stub_clone, STUB_FAILS="py"
        )
        assert run.poll() is None
        ended(run, tmp_path)
    assert f"process {run.pid} on host" in other.stderr
    assert "FAILED" not in other.stderr

"""Finish a run, also one that was killed: clear what it left behind, then call Snakemake."""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tessella.errors import DataError
from tessella.run.claims import live_claims
from tessella.run.processes import Process, processes_in
from tessella.run.slurm_jobs import cancel, jobs_in, listed

EXAMPLE = "tessella resume --profile local --configfile config/demo.yaml"
USAGE = "tessella resume [-h] [-d DIRECTORY] [--cancel-jobs] [ARGUMENTS OF SNAKEMAKE ...]"
#: Arguments that are not known here are Snakemake's.
TAKES_MORE = True

#: Time between two questions to Slurm [s], and to this machine.
_SLURM_PAUSE = 5
_PAUSE = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("-d", "--directory", default=".", help="working directory of the run")
    parser.add_argument(
        "--cancel-jobs",
        action="store_true",
        help="cancel the killed run's jobs in Slurm instead of waiting for them",
    )


def run(args: argparse.Namespace) -> int:
    """Wait for jobs that outlived a killed run, remove its lock, and run Snakemake.

    A Snakemake that still works in the folder is known by its claim, whatever its host; one of
    this machine that has none yet by its working directory.

    Raises
    ------
    DataError
        If one does, there is no such folder, or Slurm does not answer.
    """
    folder = Path(args.directory).resolve()
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; --directory is the working directory of a run")
    command = [sys.executable, "-m", "snakemake", "--rerun-incomplete", *args.more]
    if folder != Path.cwd():
        command += ["--directory", str(folder)]
    locked = is_locked(folder)
    if locked:
        refuse_if_running(processes_in(folder), folder)
    outlive(folder, args.cancel_jobs)
    if locked:
        subprocess.run([*command, "--unlock", "--quiet", "all"], check=True)
    os.execv(command[0], command)


def is_locked(folder: Path) -> bool:
    """Tell whether a run holds, or held when it was killed, a lock on a folder."""
    return any((folder / ".snakemake/locks").glob("*.lock"))


def refuse_if_running(alive: Sequence[Process], folder: Path) -> None:
    """Refuse to resume a run that goes on."""
    for claim in live_claims(folder):
        raise DataError(f"{folder}: {claim}; wait for it, or end it, then run this command again")
    for process in alive:
        if process.is_snakemake:
            raise DataError(
                f"{folder}: Snakemake still runs here, process {process.pid}; "
                "wait for it, or end it, then run this command again"
            )


def outlive(folder: Path, cancel_jobs: bool) -> None:
    """Wait until all jobs of a killed run have ended, so that no file is made by two."""
    jobs = jobs_in(folder)
    if jobs and cancel_jobs:
        sys.stderr.write(f"cancelling {listed(jobs)}\n")
        cancel(jobs)
    wait_for(lambda: jobs_in(folder), listed, _SLURM_PAUSE)
    wait_for(
        lambda: processes_in(folder),
        lambda found: "processes " + ", ".join(str(process.pid) for process in found),
        _PAUSE,
    )


def wait_for(find: Callable[[], Any], name: Callable[[Any], str], pause: float) -> None:
    """Wait until nothing is found any more; say what is, whenever that changes."""
    told = ""
    while found := find():
        if (now := name(found)) != told:
            sys.stderr.write(f"waiting for jobs of the killed run: {now}\n")
            told = now
        time.sleep(pause)

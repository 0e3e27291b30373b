"""Finish a run, also one that was killed: clear what it left behind, then call Snakemake."""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

from tessella.errors import DataError
from tessella.run.processes import Process, processes_in

EXAMPLE = "tessella resume --profile local --configfile config/demo.yaml"
USAGE = "tessella resume [-h] [-d DIRECTORY] [ARGUMENTS OF SNAKEMAKE ...]"
#: Arguments that are not known here are Snakemake's.
TAKES_MORE = True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("-d", "--directory", default=".", help="working directory of the run")


def run(args: argparse.Namespace) -> int:
    """Wait for jobs that outlived a killed run, remove its lock, and run Snakemake.

    Only this machine is searched for a Snakemake that still runs in the folder.

    Raises
    ------
    DataError
        If one does, or there is no such folder.
    """
    folder = Path(args.directory).resolve()
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; --directory is the working directory of a run")
    command = [sys.executable, "-m", "snakemake", *args.more]
    if folder != Path.cwd():
        command += ["--directory", str(folder)]
    if is_locked(folder):
        alive = processes_in(folder)
        for process in alive:
            if process.is_snakemake:
                raise DataError(
                    f"{folder}: Snakemake still runs here, process {process.pid}; "
                    "wait for it, or end it, then run this command again"
                )
        wait_for(alive, folder)
        subprocess.run([*command, "--unlock", "--quiet", "all"], check=True)
    os.execv(command[0], command)


def is_locked(folder: Path) -> bool:
    """Tell whether a run holds, or held when it was killed, a lock on a folder."""
    return any((folder / ".snakemake/locks").glob("*.lock"))


def wait_for(jobs: list[Process], folder: Path) -> None:
    """Wait until jobs of a killed run have ended, so that no file is made by two."""
    while jobs:
        numbers = ", ".join(str(process.pid) for process in jobs)
        sys.stderr.write(f"waiting for jobs of the killed run, processes {numbers}\n")
        time.sleep(2)
        jobs = processes_in(folder)

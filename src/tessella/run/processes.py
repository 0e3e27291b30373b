"""Which processes of a run are alive on this machine."""

from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True)
class Process:
    """A process that works in the folder of a run."""

    pid: int
    #: A Snakemake that starts jobs, and not one that a job is wrapped in.
    is_snakemake: bool


def processes_in(folder: str | Path) -> list[Process]:
    """Return the Snakemakes, and the jobs of Snakemakes, that work in a folder.

    Processes of other users that cannot be looked into are left out.
    """
    folder = Path(folder).resolve()
    own = {psutil.Process().pid, *(parent.pid for parent in psutil.Process().parents())}
    found = []
    for process in psutil.process_iter(["cwd", "cmdline"]):
        command, cwd = process.info["cmdline"] or [], process.info["cwd"]
        if process.pid in own or cwd is None or Path(cwd) != folder:
            continue
        snakemake = is_snakemake(command)
        if snakemake or any("workflow_scripts/" in word for word in command):
            found.append(Process(process.pid, snakemake and "--mode" not in command))
    return found


def is_snakemake(command: list[str]) -> bool:
    """Tell whether a command line is that of a Snakemake.

    Examples
    --------
    >>> is_snakemake(["python", "/venv/bin/snakemake", "-n"]), is_snakemake(["vi", "snakemake.md"])
    (True, False)
    """
    return any(Path(word).name == "snakemake" for word in command[:3])

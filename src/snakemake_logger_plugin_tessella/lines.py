"""What is said of an event, as lines of plain text."""

import re
import time
from collections.abc import Mapping
from typing import Any

from tessella.run.progress import Failure, Job, Progress

#: Messages of Snakemake that tell a person nothing about the run, by how they begin.
NOISE = (
    "Assuming unrestricted shared filesystem",
    "Building DAG of jobs",
    "Cleaning up SLURM log files",
    "Conda environments: ignored",
    "Config file ",
    "Creating specified working directory",
    "Execute ",
    "Exiting because a job execution failed",
    "Group jobs: inactive",
    "Job stats:",
    "No SLURM account given",
    "No account was given",
    "Number of jobs:",
    "Provided cores",
    "Provided remote nodes",
    "Provided resources",
    "Reasons:",
    "Removing output files of failed job",
    "RuleException:\nCalledProcessError",
    "Rules claiming more threads",
    "Select jobs to execute",
    "Shutting down, this might take some time",
    "Singularity containers: ignored",
    "Storing output in storage",
    "This was a dry-run",
    "Touching output file",
    "Unable to guess SLURM account",
    "Using shell",
    "Using workflow specific profile",
    "WorkflowError:\nAt least one job did not complete",
    "host: ",
)

#: Slurm's number of a job is told where one asks for it: in the queue, and when the job fails.
SUBMITTED = re.compile(r"Job \d+ has been submitted")

LOCKED = (
    "ERROR: another Snakemake works in this folder, or one was killed here. "
    "To finish a run that was killed: tessella resume, with the arguments of snakemake"
)


def is_noise(message: str) -> bool:
    """Tell whether a message of Snakemake can be left out."""
    said = message.strip()
    return not said or said.startswith(NOISE) or bool(SUBMITTED.match(said))


def duration(seconds: float) -> str:
    """Say a duration as people do.

    Examples
    --------
    >>> duration(0.4), duration(59), duration(150), duration(7300)
    ('0.4 s', '59 s', '2 min 30 s', '2 h 1 min')
    """
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def left(seconds: float | None) -> str:
    """Say how much time is left, no finer than it is known."""
    if seconds is None:
        return ""
    if seconds < 10:
        return "a few seconds left"
    if seconds < 95:
        return f"about {round(seconds / 10) * 10:.0f} s left"
    return f"about {duration(round(seconds / 60) * 60).removesuffix(' 0 s')} left"


def words(wildcards: Mapping[str, Any] | None) -> str:
    """Say the wildcards of a job by their values."""
    return " ".join(str(value) for value in (wildcards or {}).values())


def overview(planned: Mapping[str, int], cores: int | None) -> str:
    """Say what a run is going to do."""
    parts = ", ".join(f"{count} {name}" for name, count in planned.items())
    on = f" on {cores} cores" if cores else ""
    total = sum(planned.values())
    return f"{total} job{'s' if total != 1 else ''}{on}: {parts}"


def finished(progress: Progress, job: Job, seconds: float, when: float) -> str:
    """Say that a job has ended well."""
    width = len(str(progress.n_planned))
    count = f"[{progress.n_done:{width}d}/{progress.n_planned}]"
    line = f"{clock(when)} {count} {job.rule} {job.what}".rstrip() + f"  {duration(seconds)}"
    rest = left(progress.seconds_left(when)) if progress.n_done < progress.n_planned else ""
    return f"{line:<72}  {rest}".rstrip()


def failed(failure: Failure, when: float) -> list[str]:
    """Say that a job has failed, why, and where to read on."""
    lines = [f"{clock(when)} FAILED {failure.job}", f"    {failure.error}"]
    if failure.log:
        lines.append(f"    log: {failure.log}")
    if failure.slurm_log:
        lines.append(f"    Slurm's log: {failure.slurm_log}")
    return lines


def retried(failure: Failure, when: float) -> str:
    """Say that a failed job gets another attempt."""
    return f"{clock(when)} trying again: {failure.job}"


def coming(job: Job, reason: str) -> str:
    """Say that a job would run, and why."""
    first = reason.split(";")[0].strip()
    because = first if len(first) <= 100 else first[:97] + "..."
    return f"{job.rule} {job.what}".rstrip() + (f"  ({because})" if because else "")


def clock(when: float) -> str:
    """Say the time of day."""
    return time.strftime("%H:%M:%S", time.localtime(when))

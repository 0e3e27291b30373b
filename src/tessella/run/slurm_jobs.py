"""Which jobs of a run stand in Slurm's queue, and how Slurm ended one."""

import getpass
import re
import shutil
import subprocess
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tessella.errors import DataError

#: How the names of our jobs begin; ``slurm-jobname-prefix`` of the profile.
PREFIX = "tessella_"

#: Number, state, name, comment (rule and wildcards), and the folder, which may hold anything.
_FORMAT = "%i|%T|%j|%k|%Z"

#: What squeue says on a machine that has the programs of Slurm, but belongs to no cluster.
_NO_CLUSTER = "Could not establish a configuration source"

#: A controller that does not answer in this time [s] is said not to answer.
_PATIENCE = 60

_ENDED = re.compile(r"SLURM-job '(?P<number>\S+)' failed.* status is: '(?P<state>\w+)'", re.DOTALL)
_REFUSED = re.compile(r"(error message was '|failed with exception: )(?P<why>[^']+)", re.DOTALL)

#: What the daemons write into a job's log when a step took too much, with and without cgroups.
_OUT_OF_MEMORY = re.compile(r"^(slurmstepd|srun)\S*: .*(memory limit|oom.kill|out of memory)", re.I)


@dataclass(frozen=True)
class SlurmJob:
    """A job in Slurm's queue."""

    number: str
    state: str
    #: Rule and wildcards.
    what: str
    #: The same for all jobs that one Snakemake submits.
    name: str = ""

    def __str__(self) -> str:
        return f"{self.number} ({self.what}, {self.state.lower()})"


def jobs_in(folder: str | Path) -> list[SlurmJob]:
    """Return the jobs of runs in a folder that are pending or running, of whatever Snakemake.

    Raises
    ------
    DataError
        If this machine belongs to a cluster whose controller does not answer.
    """
    if shutil.which("squeue") is None:
        return []
    command = ["squeue", "--noheader", f"--user={getpass.getuser()}", f"--format={_FORMAT}"]
    code, said, complaint = _ask(command)
    if code == 0:
        return parse_queue(said, Path(folder).resolve())
    if _NO_CLUSTER in complaint:
        return []
    raise DataError(
        f"squeue: {complaint.splitlines()[-1]}: it cannot be told whether jobs of an earlier run "
        f"still work in {folder}; try again when Slurm answers"
    )


def parse_queue(said: str, folder: Path) -> list[SlurmJob]:
    """Return our jobs of a folder from what squeue says.

    Examples
    --------
    >>> parse_queue("17|RUNNING|tessella_5b|rule_flat_wildcards_r1|/data/x", Path("/data/x"))
    [SlurmJob(number='17', state='RUNNING', what='flat r1', name='tessella_5b')]
    """
    found = []
    for line in said.splitlines():
        number, state, name, comment, place = line.split("|", maxsplit=4)
        if name.startswith(PREFIX) and Path(place) == folder:
            what = comment.removeprefix("rule_").replace("_wildcards_", " ")
            found.append(SlurmJob(number, state, what, name))
    return found


def cancel(jobs: Sequence[SlurmJob]) -> None:
    """Ask Slurm to end jobs; they are gone when `jobs_in` no longer has them.

    Raises
    ------
    DataError
        If Slurm does not take the order.
    """
    code, _, complaint = _ask(["scancel", *(job.number for job in jobs)])
    if code:
        raise DataError(f"scancel: {complaint.splitlines()[-1]}: {listed(jobs)} still stand")


def refuse_doubles(
    folder: str | Path,
    planned: Iterable[tuple[str, Iterable[str]]],
    cared_for: Collection[str] = (),
) -> None:
    """Refuse to submit what a job of an earlier run, whose head has died, still makes.

    Parameters
    ----------
    folder : path
        Working folder of the runs.
    planned : iterable of tuple
        Rule and values of the wildcards of each job to come.
    cared_for : collection of str
        Names that the jobs of live runs have; what these make is claimed.

    Raises
    ------
    DataError
        Naming the jobs that make the same, if there are any.
    """
    to_come = {" ".join((rule, "_".join(values))).strip() for rule, values in planned}
    orphans = (job for job in jobs_in(folder) if job.name not in cared_for)
    jobs = [job for job in orphans if job.what in to_come]
    if jobs:
        raise DataError(
            f"{Path(folder).resolve()}: jobs of an earlier run still stand in Slurm's queue: "
            f"{listed(jobs)}; `tessella resume`, with the arguments of snakemake, waits for them, "
            "with --cancel-jobs it ends them"
        )


def listed(jobs: Sequence[SlurmJob], at_most: int = 4) -> str:
    """Name jobs, not more of them than one reads.

    Examples
    --------
    >>> listed([SlurmJob(str(n), "PENDING", "flat r1") for n in range(3)], at_most=1)
    '0 (flat r1, pending) and 2 more'
    """
    named = ", ".join(str(job) for job in jobs[:at_most])
    more = len(jobs) - at_most
    return f"{named} and {more} more" if more > 0 else named


def how_it_ended(message: str, log: str | Path | None) -> str | None:
    """Say how Slurm ended a job; None where the job failed by itself.

    Parameters
    ----------
    message : str
        What Snakemake's executor says of the failure.
    log : path, optional
        Slurm's log of the job. A step that is killed for its memory leaves a job whose state is
        only FAILED: the reason is in there.

    Examples
    --------
    >>> how_it_ended("SLURM-job '17' failed, SLURM status is: 'TIMEOUT'. Reason: x.", None)
    'Slurm: TIMEOUT, job 17'
    """
    ended = _ENDED.search(message)
    if ended is None:
        refused = _REFUSED.search(message)
        return f"Slurm refused the job: {_last_line(refused['why'])}" if refused else None
    state = ended["state"]
    if state == "FAILED":
        if not _tells_of_memory(log):
            return None
        state = "OUT_OF_MEMORY"
    return f"Slurm: {state}, job {ended['number']}"


def _tells_of_memory(log: str | Path | None) -> bool:
    if log is None or not Path(log).is_file():
        return False
    lines = Path(log).read_text(errors="replace").splitlines()
    return any(_OUT_OF_MEMORY.match(line) for line in lines)


def _last_line(text: str) -> str:
    return text.strip().splitlines()[-1].removeprefix("sbatch: error: ")


def _ask(command: list[str]) -> tuple[int, str, str]:
    """Run a client of Slurm; return its code, its answer, and its complaint."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=_PATIENCE
        )
    except subprocess.TimeoutExpired:
        return 1, "", f"no answer in {_PATIENCE} s"
    return done.returncode, done.stdout, done.stderr.strip() or f"exit code {done.returncode}"

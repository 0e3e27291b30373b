"""Which runs work in a folder, so that no two make the same files.

A run that executes jobs keeps a *claim* in its working folder: who it is and what it makes.
Snakemake's own lock decides by files as well, but names nobody, comes after the whole graph, and
is lost when any run in the folder ends.
"""

import atexit
import json
import os
import socket
import tempfile
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

import psutil

from tessella.errors import DataError
from tessella.io.atomic import replacing

#: Where claims lie below the working folder of a run.
FOLDER = ".snakemake/claims"

#: A run touches its claim this often; untouched for longer it is dead to other hosts [s].
HEARTBEAT = 10.0
STALE = 90.0

#: Two processes of one number cannot have started this close to each other [s].
_SAME_START = 2.0

#: Options with which Snakemake runs no job.
_LOOKS = (
    "archive", "cleanup_metadata", "cleanup_shadow", "conda_cleanup_envs", "conda_create_envs_only",
    "containerize", "d3dag", "dag", "delete_all_output", "delete_temp_output", "detailed_summary",
    "dryrun", "filegraph", "generate_unit_tests", "lint", "list_changes", "list_conda_envs",
    "list_input_changes", "list_params_changes", "list_rules", "list_target_rules",
    "list_untracked", "print_compilation", "rulegraph", "summary", "unlock",
)  # fmt: skip

#: Options with which it makes a part of its targets.
_PARTS = ("batch", "until", "omit_from", "allowed_rules", "target_jobs")


@dataclass(frozen=True)
class Asked:
    """What a run is asked for: files or rules; none of them is everything."""

    results: str
    targets: tuple[str, ...] = ()
    in_part: bool = False

    @property
    def everything(self) -> bool:
        """Whether all products are asked for."""
        return not self.in_part and set(self.targets) <= {"all"}


@dataclass(frozen=True)
class Claim:
    """A run, and what it makes."""

    host: str
    pid: int
    #: When its process was created, and when its claim was taken [s since the epoch].
    created: float
    started: float
    asked: Asked
    #: Files that its jobs write.
    writes: frozenset[str]
    #: What its jobs are called in Slurm's queue; empty where it does not use that.
    jobs_name: str = ""

    @property
    def file(self) -> str:
        """Name of its file."""
        return f"{self.host}-{self.pid}.json"

    def __str__(self) -> str:
        since = datetime.fromtimestamp(self.started).isoformat(" ", "seconds")
        targets = "everything" if self.asked.everything else " ".join(self.asked.targets) or "parts"
        return f"process {self.pid} on host {self.host} works here since {since} ({targets})"


def asked_of_snakemake(arguments: Sequence[str], results: str) -> Asked | None:
    """Return what a command line asks of Snakemake; None where it runs no job.

    Examples
    --------
    >>> asked_of_snakemake(["-n"], "results/demo") is None
    True
    >>> asked_of_snakemake(["--cores", "2", "--", "a.asdf"], "results/demo").targets
    ('a.asdf',)
    """
    from snakemake.cli import get_argument_parser

    args = get_argument_parser().parse_args(arguments)
    reports = args.report is not None and not args.report_after_run
    if reports or any(getattr(args, name) not in (None, False) for name in _LOOKS):
        return None
    in_part = any(getattr(args, name) for name in _PARTS)
    return Asked(results, tuple(sorted(args.targets)), in_part)


def live_claims(folder: str | Path) -> list[Claim]:
    """Return the claims of the runs that work in a folder, this process's own left out.

    A process of this host is looked for; one of another host is alive while it touches its claim.
    """
    return [claim for path, claim in _claims(Path(folder)) if _lives(path, claim)]


def refuse_second(folder: str | Path, asked: Asked | None) -> None:
    """Refuse to make what another run makes for certain, told by what both are asked for.

    None asks for nothing.

    Raises
    ------
    DataError
        Naming process, host and start of the other run.
    """
    if asked is None:
        return
    for claim in live_claims(folder):
        if _overlap(asked, claim):
            raise _refusal(folder, claim)


def take(folder: str | Path, asked: Asked, writes: Iterable[str], jobs_name: str = "") -> Claim:
    """Claim files until this process ends; remove the claims of runs that died.

    Of two runs that start at the same time at least one is refused.

    Raises
    ------
    DataError
        If another run writes one of the files, or the folder cannot be written to.
    """
    folder = Path(folder)
    now = datetime.now().timestamp()
    own = Claim(*_this_process(), now, asked, frozenset(writes), jobs_name)
    path = folder / FOLDER / own.file
    with replacing(path, None) as part:
        part.write_text(json.dumps({**asdict(own), "writes": sorted(own.writes)}))
    atexit.register(path.unlink, missing_ok=True)
    for other_path, other in _claims(folder):
        if not _lives(other_path, other):
            other_path.unlink(missing_ok=True)
        elif other.writes & own.writes:
            path.unlink()
            raise _refusal(folder, other)
    threading.Thread(target=_beat, args=(path,), daemon=True).start()
    return own


def _overlap(asked: Asked, claim: Claim) -> bool:
    theirs = claim.asked
    if asked.results != theirs.results:
        return False
    whole = asked.everything or theirs.everything
    return whole or bool({*asked.targets} & ({*theirs.targets} | claim.writes))


def _refusal(folder: str | Path, claim: Claim) -> DataError:
    return DataError(f"{Path(folder).resolve()}: {claim}; wait for it or end it")


def _claims(folder: Path) -> list[tuple[Path, Claim]]:
    """Read all claims of other processes, the longest standing first."""
    own = _this_process()
    found = []
    for path in (folder / FOLDER).glob("*.json"):
        try:
            claim = _parse(path.read_text())
        except FileNotFoundError:  # that run has just ended
            continue
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{path}: not a readable claim of a run; remove it if no Snakemake works here"
            ) from error
        if (claim.host, claim.pid, claim.created) != own:
            found.append((path, claim))
    return sorted(found, key=lambda pair: pair[1].started)


def _parse(text: str) -> Claim:
    kept = json.loads(text)
    asked = kept.pop("asked")
    asked["targets"] = tuple(asked["targets"])
    writes = frozenset(kept.pop("writes"))
    return Claim(**kept, asked=Asked(**asked), writes=writes)


def _lives(path: Path, claim: Claim) -> bool:
    if claim.host != socket.gethostname():
        return _age(path) < STALE
    try:
        process = psutil.Process(claim.pid)
        dead = process.status() == psutil.STATUS_ZOMBIE
        return not dead and abs(process.create_time() - claim.created) < _SAME_START
    except psutil.NoSuchProcess:
        return False


def _age(path: Path) -> float:
    """Return how long ago a file was touched, by the clock that the folder's file system has."""
    try:
        touched = path.stat().st_mtime
    except FileNotFoundError:
        return float("inf")
    with tempfile.TemporaryFile(dir=path.parent) as now:
        return os.fstat(now.fileno()).st_mtime - touched


def _this_process() -> tuple[str, int, float]:
    process = psutil.Process()
    return socket.gethostname(), process.pid, process.create_time()


def _beat(path: Path) -> None:
    """Touch a claim as long as it is there."""
    while True:
        try:
            os.utime(path)
        except FileNotFoundError:
            return
        except OSError:  # a shared disk that does not answer just now
            pass
        time.sleep(HEARTBEAT)

"""How far a run has come: which jobs there are, which have ended, how long the rest may take."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tessella.errors import DataError
from tessella.io.atomic import replacing
from tessella.io.disk import fault_of_disk

#: Where the record of a run lies below its folder of results.
RECORD = "logs/progress.json"

_ERROR_LINE = re.compile(r"^\s*(ERROR\b|\w*(Error|Exception)\b:)")


@dataclass(frozen=True)
class Job:
    """One job of the graph."""

    rule: str
    #: Values of the wildcards, as one reads them: ``r..._0001 f158``.
    what: str
    logs: tuple[str, ...]
    #: Seconds since the epoch.
    started: float


@dataclass(frozen=True)
class Failure:
    """A job that failed, and where to read on."""

    rule: str
    what: str
    log: str
    error: str
    #: Slurm's own log of the job; empty where it ran without.
    slurm_log: str = ""

    @property
    def job(self) -> str:
        """Rule and wildcards, as one reads them."""
        return f"{self.rule} {self.what}".rstrip()


@dataclass(frozen=True)
class Record:
    """What is kept of a run for those who ask later."""

    state: str
    #: Rule to its number of jobs, and to how many of them are done.
    planned: dict[str, int]
    done: dict[str, int]
    failures: list[Failure] = field(default_factory=list)
    #: Pairs of rules: the second needs the first.
    links: list[tuple[str, str]] = field(default_factory=list)
    #: Attempts that failed and were followed by another.
    retried: list[Failure] = field(default_factory=list)


class Progress:
    """State of a run, told event by event; times are given, never taken.

    Examples
    --------
    >>> progress = Progress({"dark": 2, "flat": 1})
    >>> progress.start(1, Job("dark", "wfi01", (), 100.0))
    >>> progress.finish(1, 110.0)[1]
    10.0
    >>> progress.n_done, progress.n_planned, progress.seconds_left(110.0)
    (1, 3, 20.0)
    """

    def __init__(self, planned: Mapping[str, int], links: Iterable[tuple[str, str]] = ()) -> None:
        self.planned = dict(planned)
        self.links = list(links)
        self.done: Counter[str] = Counter()
        self.running: dict[int, Job] = {}
        self.failed: dict[int, Failure] = {}
        self.retried: list[Failure] = []
        self._seconds: dict[str, list[float]] = {}
        self._first_start: float | None = None

    @property
    def n_planned(self) -> int:
        """Number of jobs of the run."""
        return sum(self.planned.values())

    @property
    def n_done(self) -> int:
        """Number of jobs that have ended well."""
        return self.done.total()

    def start(self, jobid: int, job: Job) -> None:
        """Note that a job has started."""
        self.running[jobid] = job
        if self._first_start is None:
            self._first_start = job.started

    def finish(self, jobid: int, when: float) -> tuple[Job | None, float]:
        """Note that a job has ended well; return it and how long it took [s]."""
        self.failed.pop(jobid, None)
        job = self.running.pop(jobid, None)
        if job is None or job.rule not in self.planned:
            return job, 0.0
        self.done[job.rule] += 1
        seconds = max(0.0, when - job.started)
        self._seconds.setdefault(job.rule, []).append(seconds)
        return job, seconds

    def fail(self, jobid: int, job: Job, killed: str | None = None, slurm_log: str = "") -> Failure:
        """Note that a job has failed; where nobody `killed` it, its log is searched for the error.

        `killed` says who ended the job, and why.
        """
        self.running.pop(jobid, None)
        log = job.logs[0] if job.logs else ""
        error = killed or first_error(log)
        self.failed[jobid] = Failure(job.rule, job.what, log, error, slurm_log)
        return self.failed[jobid]

    def retry(self, jobid: int) -> Failure | None:
        """Note that a failed job gets another attempt; return how the last one failed."""
        failure = self.failed.pop(jobid, None)
        if failure is not None:
            self.retried.append(failure)
        return failure

    def seconds_left(self, now: float) -> float | None:
        """Estimate how long the rest takes [s]; None before the first job has ended.

        A job yet to come is expected to take what others of its rule took, or else what jobs took
        on average, and as many to run side by side as did so far.
        """
        spent = sum(sum(seconds) for seconds in self._seconds.values())
        if self._first_start is None or not self.n_done:
            return None
        average = spent / self.n_done
        to_come = 0.0
        for rule, count in self.planned.items():
            known = self._seconds.get(rule)
            expected = sum(known) / len(known) if known else average
            running = [job for job in self.running.values() if job.rule == rule]
            to_come += expected * max(0, count - self.done[rule] - len(running))
            to_come += sum(max(0.0, expected - (now - job.started)) for job in running)
        ran = spent + sum(now - job.started for job in self.running.values())
        side_by_side = max(1.0, ran / max(now - self._first_start, 1e-3))
        return to_come / side_by_side

    def record(self, state: str) -> Record:
        """Return what is kept of the run; `state` is ``running``, ``done`` or ``failed``."""
        failures = list(self.failed.values())
        return Record(state, self.planned, dict(self.done), failures, self.links, self.retried)


def first_error(log: str | Path) -> str:
    """Return the first line of a log that says what went wrong, else its last line."""
    path = Path(log)
    if not log or not path.is_file():
        return (log and fault_of_disk(path.parent)) or "no log was written"
    lines = [line.strip() for line in path.read_text(errors="replace").splitlines()]
    said = [line for line in lines if line]
    errors = [line for line in said if line.startswith("ERROR")]
    errors += [line for line in said if _ERROR_LINE.match(line)]
    if errors:
        return errors[0]
    if said:
        return said[-1]
    return fault_of_disk(path.parent) or "the log is empty"


def write_record(folder: str | Path, record: Record) -> None:
    """Keep the record of a run below its folder of results."""
    with replacing(Path(folder) / RECORD, None) as part:
        part.write_text(json.dumps(asdict(record), indent=1) + "\n")


def read_record(folder: str | Path) -> Record | None:
    """Read the record of a run; None where none was kept.

    Raises
    ------
    DataError
        If it is damaged.
    """
    path = Path(folder) / RECORD
    if not path.is_file():
        return None
    try:
        kept = json.loads(path.read_text())
        failures, retried = (
            [Failure(**failure) for failure in kept.pop(key, ())] for key in ("failures", "retried")
        )
        links = [(before, after) for before, after in kept.pop("links")]
        return Record(failures=failures, links=links, retried=retried, **kept)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path}: not a readable record of a run; the next run writes it anew"
        ) from error


def blocked(record: Record) -> dict[tuple[str, ...], dict[str, int]]:
    """Return the jobs that did not start, by the failed rules that they need.

    Returns
    -------
    dict
        Failed rules to the rules behind them and how many of their jobs are left; no failed rule
        stands before jobs that had simply not been reached when the run ended.

    Examples
    --------
    >>> failure = Failure("flat", "wfi01", "flat.log", "ERROR: no light")
    >>> blocked(Record("failed", {"flat": 1, "fit": 4}, {"fit": 1}, [failure], [("flat", "fit")]))
    {('flat',): {'fit': 3}}
    """
    failed = Counter(failure.rule for failure in record.failures)
    waiting: dict[tuple[str, ...], dict[str, int]] = {}
    for rule, count in record.planned.items():
        left = count - record.done.get(rule, 0) - failed[rule]
        if left > 0:
            needed = _before(rule, record.links)
            causes = tuple(name for name in failed if name in needed)
            waiting.setdefault(causes, {})[rule] = left
    return waiting


def _before(rule: str, links: Sequence[tuple[str, str]]) -> set[str]:
    """Return all rules that a rule needs, near or far."""
    needed: set[str] = set()
    new = {rule}
    while new:
        new = {before for before, after in links if after in new} - needed
        needed |= new
    return needed

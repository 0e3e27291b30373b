"""How long a run took, from what its jobs noted."""

from typing import NamedTuple

import numpy as np


class JobTime(NamedTuple):
    """What one job cost."""

    rule: str
    #: End, as seconds since 1970, and wall and CPU time [s].
    end: float
    wall_s: float
    cpu_s: float
    #: Largest resident memory [MB].
    memory_mb: float


class RuleTime(NamedTuple):
    """What all jobs of a rule cost."""

    rule: str
    n_jobs: int
    wall_s: float
    cpu_s: float
    memory_mb: float


def busy_seconds(jobs: list[JobTime]) -> float:
    """Return the time during which at least one job ran [s]: pauses between runs do not count.

    Only the newest run of each job is known.

    Examples
    --------
    >>> busy_seconds([JobTime("a", 10, 10, 9, 1), JobTime("b", 12, 4, 4, 1)])
    12.0
    """
    total, reached = 0.0, -np.inf
    for job in sorted(jobs, key=lambda job: job.end - job.wall_s):
        total += max(0.0, job.end - max(reached, job.end - job.wall_s))
        reached = max(reached, job.end)
    return float(total)


def by_rule(jobs: list[JobTime]) -> list[RuleTime]:
    """Add up the jobs of each rule, the costliest first; memory is the largest of one job.

    Examples
    --------
    >>> by_rule([JobTime("a", 1, 1, 1, 5), JobTime("a", 2, 1, 1, 7)])
    [RuleTime(rule='a', n_jobs=2, wall_s=2, cpu_s=2, memory_mb=7)]
    """
    rules = {job.rule: [other for other in jobs if other.rule == job.rule] for job in jobs}
    found = [
        RuleTime(
            rule,
            len(own),
            sum(job.wall_s for job in own),
            sum(job.cpu_s for job in own),
            max(job.memory_mb for job in own),
        )
        for rule, own in rules.items()
    ]
    return sorted(found, key=lambda row: -row.cpu_s)

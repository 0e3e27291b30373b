"""Have Snakemake make those products of a run again that are not as they were made."""

import argparse
import os
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tessella.commands.resume import is_locked, outlive, refuse_if_running
from tessella.commands.verify import is_finished, look, say
from tessella.errors import DataError
from tessella.io.manifest import MANIFEST, origin_of
from tessella.io.runs import RUN_FILE, mark
from tessella.io.seals import read_seal
from tessella.run.claims import Asked, refuse_second
from tessella.run.processes import processes_in
from tessella.run.rebuild import time_of_change, waves
from tessella.run.survey import Finding, Survey, is_left_over

EXAMPLE = "tessella repair results/demo --profile local --configfile config/demo.yaml"
USAGE = "tessella repair [-h] [-d DIRECTORY] [--jobs JOBS] RESULTS [ARGUMENTS OF SNAKEMAKE ...]"
#: Arguments that are not known here are Snakemake's.
TAKES_MORE = True

#: So many targets fit on one command line.
_TARGETS_AT_A_TIME = 2000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument(
        "results", help="folder of the run's products, as the run's configuration names it"
    )
    parser.add_argument("-d", "--directory", default=".", help="working directory of the run")
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, help="files that are read at a time"
    )


def run(args: argparse.Namespace) -> int:
    """Find what is bad, make it again, finish the run; 0 if all is right then.

    What is unknown is only named.

    Raises
    ------
    DataError
        If there is no such run, a Snakemake still works there, or Snakemake fails.
    """
    snakemake = Snakemake(Path(args.directory).resolve(), tuple(args.more))
    folder = snakemake.directory / args.results
    snakemake.prepare(args.results)
    held, findings = look(folder, args.jobs)
    say(held, findings, sys.stdout)
    known = {finding.name for finding in findings if finding.kind != "unknown"}
    if not known and not any(is_left_over(finding.name) for finding in findings):
        return 0 if is_finished(held) else snakemake.run()
    bad = known - {RUN_FILE}
    ordered = waves(held, bad - {MANIFEST})
    targets = [[str(Path(args.results) / name) for name in wave] for wave in ordered]
    snakemake.check([target for wave in targets for target in wave])
    old = _times(held, bad)
    _remove(held, findings)
    for wave in targets:
        snakemake.run(wave)
        _spare_users(held, bad, old)
    snakemake.run()
    held, findings = look(folder, args.jobs)
    say(held, findings, sys.stdout)
    return int(any(finding.kind != "unknown" for finding in findings) or not is_finished(held))


@dataclass(frozen=True)
class Snakemake:
    """Snakemake with the arguments of a person, in the working directory of a run."""

    directory: Path
    arguments: tuple[str, ...]

    def prepare(self, results: str) -> None:
        """Wait for jobs of a killed run and remove its lock; refuse where one still runs."""
        if not self.directory.is_dir():
            raise DataError(
                f"{self.directory}: no such folder; --directory is the working directory of a run"
            )
        refuse_second(self.directory, Asked(str(Path(results))))
        refuse_if_running(processes_in(self.directory), self.directory)
        outlive(self.directory, cancel_jobs=False)
        if is_locked(self.directory):
            self._call("--unlock", "--quiet", "all")

    def check(self, targets: Sequence[str]) -> None:
        """Refuse to go on if there is no rule for a target; nothing was removed so far."""
        for start in range(0, len(targets), _TARGETS_AT_A_TIME):
            part = targets[start : start + _TARGETS_AT_A_TIME]
            self._call("--dry-run", "--quiet", "all", "--", *part, with_hooks=False)

    def run(self, targets: Sequence[str] = ()) -> int:
        """Make targets, or all there is; return 0."""
        for start in range(0, max(1, len(targets)), _TARGETS_AT_A_TIME):
            part = targets[start : start + _TARGETS_AT_A_TIME]
            self._call(*(["--", *part] if part else []), with_hooks=not part)
        return 0

    def _call(self, *more: str, with_hooks: bool = True) -> None:
        """Call it; without hooks, what the workflow says of the whole run is not shown."""
        sys.stdout.flush()
        command = [sys.executable, "-m", "snakemake", "--rerun-incomplete", *self.arguments]
        if self.directory != Path.cwd():
            command += ["--directory", str(self.directory)]
        stdout = None if with_hooks else subprocess.DEVNULL
        code = subprocess.run([*command, *more], check=False, stdout=stdout).returncode
        if code:
            raise DataError(
                f"{self.directory}: Snakemake ended with exit code {code}, see above; mend that, "
                "then run this command again: RESULTS must be as the configuration names it"
            )


def _remove(held: Survey, findings: Iterable[Finding]) -> None:
    """Remove bad products with their seals, and what killed jobs left over."""
    for finding in findings:
        path = held.run.folder / finding.name
        if finding.name == RUN_FILE:
            mark(held.run)
        elif finding.kind != "unknown":
            path.unlink(missing_ok=True)
            held.run.seal_path(finding.name).unlink(missing_ok=True)
        elif is_left_over(finding.name):
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


@dataclass
class _Times:
    """When a product was made."""

    #: Inode and time of change [ns]; None where there is no file.
    identity: tuple[int, int] | None
    #: Times of change of file and seal [ns].
    made: list[int]


def _times(held: Survey, bad: Iterable[str]) -> dict[str, _Times]:
    found = {}
    for name in {*held.origins, *bad}:
        product, seal = held.run.folder / name, held.run.seal_path(name)
        made = [path.stat().st_mtime_ns for path in (product, seal) if path.is_file()]
        found[name] = _Times(_identity(product), made)
    return found


def _identity(path: Path) -> tuple[int, int] | None:
    if not path.is_file():
        return None
    status = path.stat()
    return status.st_ino, status.st_mtime_ns


def _spare_users(held: Survey, bad: Collection[str], old: dict[str, _Times]) -> None:
    """Give what was made again with equal content a time of change that spares what comes from it.

    Other products of the same jobs were made again as well; what is bad needs no sparing.
    """
    again = {}
    for name, times in old.items():
        identity = _identity(held.run.folder / name)
        if identity not in (None, times.identity):
            again[name], times.identity = origin_of(read_seal(held.run, name)), identity
    known: dict[str, list[int]] = defaultdict(list)
    for name, origin in again.items():
        known[origin.stage] += old[name].made
    for name in sorted(again, key=lambda name: _changed(held, [name])):
        origin = again[name]
        users = {user: told for user, told in held.users.get(name, {}).items() if user not in bad}
        if {*users.values()} - {origin.whole.sha256}:
            sys.stdout.write(
                f"{name} differs from what was there: {origin.stage} has other software, options "
                "or inputs now; what comes from it is made again too\n"
            )
            continue
        inputs = _changed(held, (needed for needed, _ in origin.made_from))
        time = time_of_change(inputs, _changed(held, users), known[origin.stage])
        if time is not None:
            os.utime(held.run.folder / name, ns=(time, time))
            os.utime(held.run.seal_path(name), ns=(time, time))
            old[name].identity = _identity(held.run.folder / name)


def _changed(held: Survey, names: Iterable[str]) -> list[int]:
    """Return the times of change [ns] of those products that are there."""
    paths = (held.run.folder / name for name in names)
    return [path.stat().st_mtime_ns for path in paths if path.is_file()]

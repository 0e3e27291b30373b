"""Read all products of a run and say which are not as they were made."""

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from tessella.io.manifest import MANIFEST
from tessella.run.audit import examine
from tessella.run.survey import Finding, Survey, survey

EXAMPLE = "tessella verify results/demo"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("results", help="folder of the run's products, such as results/demo")
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, help="files that are read at a time"
    )


def run(args: argparse.Namespace) -> int:
    """Say what is wrong, a line each; 0 if nothing is and the run is finished."""
    held, findings = look(Path(args.results), args.jobs)
    say(held, findings, sys.stdout)
    if findings:
        sys.stdout.write(f"`tessella repair {args.results}` makes again what is not right\n")
    return int(bool(findings) or not is_finished(held))


def look(folder: Path, jobs: int) -> tuple[Survey, list[Finding]]:
    """Read all products of a run while showing how far it is.

    Raises
    ------
    DataError
        If the folder is not that of a run.
    """
    held = survey(folder)
    with _progress() as tell:
        return held, examine(held, jobs=max(1, jobs), tell=tell)


def is_finished(held: Survey) -> bool:
    """Tell whether a run came to its end: it has a manifest then."""
    return MANIFEST in held.files


def say(held: Survey, findings: Sequence[Finding], file: TextIO) -> None:
    """Write a line for each finding, and one for all."""
    for finding in findings:
        file.write(f"{finding.kind:<9} {finding.name}: {finding.found}\n")
    megabytes = sum(origin.whole.bytes for origin in held.origins.values()) / 1e6
    wrong = f"{len(findings)} not right" if findings else "all as they were made"
    ended = "" if is_finished(held) else f"; the run is not finished: it has no {MANIFEST}"
    file.write(f"{len(held.origins)} sealed products, {megabytes:.1f} MB; {wrong}{ended}\n")


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    """Show how much was read, where a person looks on."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

    console = Console(stderr=True)
    columns = ("verifying", BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)

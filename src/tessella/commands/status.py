"""Show what a run has made, and what is in its way."""

import argparse
import sys
from pathlib import Path
from typing import TextIO

from tessella.errors import DataError
from tessella.run.progress import read_record
from tessella.run.status import (
    SUMMARY,
    Line,
    figures,
    held_back,
    obstacles,
    places,
    read_summary,
    retries,
    stages,
    troubles,
)

EXAMPLE = "tessella status results/demo"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("results", help="folder of the run's products, such as results/demo")
    parser.add_argument("--log", metavar="SNAKEMAKE_LOG", help="Snakemake's own log, to be named")


def run(args: argparse.Namespace) -> int:
    """Show the state of a run; 0 when all there is to do is done."""
    return show(args.results, args.log, sys.stdout)


def show(results: str, log: str | None, file: TextIO) -> int:
    """Write the state of a run.

    Returns
    -------
    int
        1 if a job failed, else 0.

    Raises
    ------
    DataError
        If there is no such folder, or it is not that of a run.
    """
    from rich.console import Console

    folder = Path(results)
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; expected the results of a run: {EXAMPLE}")
    console = Console(file=file, highlight=False, soft_wrap=True)
    if not any((folder / made).exists() for made in ("plan", "logs", SUMMARY)):
        raise DataError(f"{folder}: no run has left anything here; expected such as: {EXAMPLE}")
    record, summary, bad = read_record(folder), read_summary(folder), troubles(folder)
    unfinished = record is not None and record.state != "done"
    if record is not None and unfinished:
        state = "ended with failures" if record.failures else "did not end"
        console.print(f"\nThe run {state}. Done:", style="bold")
        _table(console, stages(record))
    if summary is not None:
        console.print("\nFigures" + (" (of an earlier run)" if unfinished else ""), style="bold")
        _table(console, figures(summary))
    for trouble in bad:
        console.print(f"{trouble.outcome}: {trouble.file}: {trouble.reason}", markup=False)
    for line in held_back(folder):
        console.print(line, markup=False)
    if record is not None:
        for line in [*retries(record), *(obstacles(record) if unfinished else [])]:
            console.print(line, markup=False)
    # Not in a table, which folds: a path is there to be copied.
    for place in places(folder):
        console.print(f"{place.what}  {place.figure}", markup=False)
    if unfinished and log:
        console.print(f"log of Snakemake: {log}", markup=False)
    return int(record is not None and bool(record.failures))


def _table(console: object, lines: list[Line]) -> None:
    from rich.console import Console
    from rich.table import Table

    assert isinstance(console, Console)
    table = Table(box=None, show_header=False, pad_edge=False)
    for column in ("what", "figure", "verdict"):
        table.add_column(column, overflow="fold", no_wrap=column == "what")
    for line in lines:
        verdict = {True: "ok", False: "[bold red]out of bounds[/]", None: ""}[line.ok]
        table.add_row(line.what, line.figure, verdict)
    if lines:
        console.print(table)

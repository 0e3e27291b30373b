"""The moving line at the bottom of a terminal."""

from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn


def make_bar(stream: TextIO, total: int, plain: bool) -> Progress:
    """Return a bar of all jobs: how many are done, time passed and left, what runs."""
    bar = Progress(
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("jobs"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[left]}"),
        TextColumn("[dim]{task.fields[running]}"),
        console=Console(file=stream, no_color=plain),
        refresh_per_second=2,
        transient=True,
    )
    bar.add_task("run", total=total, left="", running="")
    return bar

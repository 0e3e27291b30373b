"""Say what differs between two runs, where, and what explains it."""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from tessella.errors import ConfigError, DataError
from tessella.io.atomic import replacing
from tessella.io.runs import RUN_FILE, Run, run_of
from tessella.io.seals import check_size, seals_of
from tessella.run.explain import Explanation, explain
from tessella.run.products import kind_of

if TYPE_CHECKING:
    from tessella.run.compare import ProductDifference

EXAMPLE = "tessella compare results/demo results/demo_new_dark --plot changes.png"
#: Exit codes.
SAME, DIFFERENT, REFUSED = 0, 1, 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("run_a", metavar="RUN_A", help="folder of the products of a run")
    parser.add_argument("run_b", metavar="RUN_B", help="folder of the products of another run")
    parser.add_argument("--details", action="store_true", help="name all products and arrays")
    parser.add_argument("--json", metavar="FILE", help="write all of it into a file")
    parser.add_argument(
        "--plot", metavar="FILE.png", help="draw the changes of fluxes and of a coadd"
    )


def run(args: argparse.Namespace) -> int:
    """Compare two runs.

    Returns
    -------
    int
        0 for the same bits, 1 for differences that something explains, 2 if a product is not
        what its seal says, or differs from the other although all that is recorded is equal.
    """
    try:
        return _compare(args)
    except (ConfigError, DataError) as error:
        sys.stderr.write(f"ERROR: {error}\n")
        return REFUSED


def _compare(args: argparse.Namespace) -> int:
    from tessella.run import compare_text as text  # loads numpy, scipy and the readers of files

    runs = _open(args.run_a), _open(args.run_b)
    seals = [{seal.name: seal for seal in seals_of(run)} for run in runs]
    for run, sealed in zip(runs, seals, strict=True):
        for seal in sealed.values():
            check_size(run, seal)
    explanation = explain(*seals)
    differences = _differences(*runs, explanation)
    lines = [f"A {runs[0].folder}", f"B {runs[1].folder}", *text.headline(explanation)]
    lines += text.causes(explanation, args.details)
    lines += text.changes(differences, explanation, args.details)
    lines += text.catalogs(differences)
    sys.stdout.write("\n".join(lines) + "\n")
    if args.json:
        content = {"a": str(runs[0].folder), "b": str(runs[1].folder), **asdict(explanation)}
        content["differences"] = [asdict(difference) for difference in differences]
        told = json.dumps(text.without_nan(content), indent=1, default=str)
        with replacing(args.json, None) as part:
            part.write_text(told + "\n")
    if args.plot:
        sys.stdout.write(_plot(args.plot, *runs, explanation.differing) + "\n")
    if explanation.unexplained:
        return REFUSED
    return SAME if explanation.same_bits else DIFFERENT


def _open(folder: str) -> Run:
    """Return the run of a folder of results.

    Raises
    ------
    DataError
        If it is not one.
    """
    path = Path(folder).resolve()
    run = run_of(path / RUN_FILE)
    if run is None or run.folder != path:
        found = f"no {RUN_FILE}, so no results of a run"
        raise DataError(f"{folder}: {found}; expected such as: {EXAMPLE}")
    return run


def _differences(a: Run, b: Run, explanation: Explanation) -> list["ProductDifference"]:
    from rich.console import Console
    from rich.progress import track

    from tessella.io.contents import read_contents
    from tessella.run.compare import compare_contents

    console = Console(stderr=True)
    shown = track(
        explanation.differing,
        "comparing",
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    return [
        compare_contents(name, read_contents(a.folder / name), read_contents(b.folder / name))
        for name in shown
    ]


def _plot(path: str, a: Run, b: Run, differing: tuple[str, ...]) -> str:
    """Draw the first catalog and the first coadd that differ; say what was drawn."""
    from tessella.io.compare_plots import write_changes
    from tessella.io.contents import read_contents
    from tessella.run.compare import difference_in_errors
    from tessella.run.compare_sources import flux_changes_by_magnitude

    first = {kind_of(name): name for name in reversed(differing)}
    catalog, coadd = first.get("catalog"), first.get("coadd")
    if catalog is None and coadd is None:
        return f"{path} is not drawn: no catalog and no coadd differs"
    fluxes, image = {}, None
    if catalog is not None:
        one, two = (read_contents(run.folder / catalog) for run in (a, b))
        fluxes = flux_changes_by_magnitude(one, two, "kron")
    if coadd is not None:
        one, two = (read_contents(run.folder / coadd) for run in (a, b))
        image = difference_in_errors(one, two)
    write_changes(path, fluxes, image, Path(coadd or "").stem)
    return f"{path} shows {' and '.join(name for name in (catalog, coadd) if name)}"

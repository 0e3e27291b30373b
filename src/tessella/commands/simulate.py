"""Simulate a product of Level 1, 2 or 3 from a table of sources, or inject sources into one."""

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tessella.errors import ConfigError

if TYPE_CHECKING:
    from tessella.detector.state import DetectorState
    from tessella.models import ExposureKey, Lattice, Window

EXAMPLE = (
    "tessella simulate level2 truth.ecsv --pointing 12.108 85.255 0 --filter F158 "
    "--detector WFI01 --seed 1 --out images"
)
#: Starts and programs that nobody asks about, as runs have them.
_START, _PROGRAM = "2028-07-01T00:00:00", 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    level1 = actions.add_parser(
        "level1",
        help="the ramp of one detector: ..._uncal.asdf",
        description="Expose one detector to a sky and write its ramp as a Level 1 file, with all "
        "signatures of the detector, and a picture.",
        epilog="example: tessella simulate level1 truth.ecsv --pointing 12.108 85.255 0 "
        "--filter F158 --window 1792 1792 512 512 --out images",
    )
    level2 = actions.add_parser(
        "level2",
        help="the calibrated image of one detector at once: ..._cal.asdf",
        description="Write the calibrated image that the exposure pipeline would make of a sky, "
        "without a ramp and its signatures, and a picture. Runs with source: level2 take it.",
        epilog=f"example: {EXAMPLE}",
    )
    level3 = actions.add_parser(
        "level3",
        help="a cell of a coadd of planned exposures at once: ..._coadd.asdf",
        description="Write the coadd that the exposures of a table would give, with the noise "
        "that drizzling correlates, and a picture.",
        epilog="example: tessella simulate level3 truth.ecsv --exposures "
        "config/exposures/demo.ecsv --filter F158 --at 11.28 85.29 --size 1000 --out coadds",
    )
    injection = actions.add_parser(
        "inject",
        help="a copy of a Level 2 image or a coadd with sources added",
        description="Add sources with the noise of their photons to a Level 2 image or a coadd, "
        "and write the copy, a table of what was added and a picture.",
        epilog="example: tessella simulate inject coadd.asdf stars.ecsv --out coadd_injected.asdf",
    )
    for action in (level1, level2):
        _add_sources(action)
        _add_exposure(action)
    _add_sources(level3)
    _add_cell(level3)
    injection.add_argument("file", metavar="FILE", help="..._cal.asdf or ..._coadd.asdf")
    _add_sources(injection)
    for action in (level1, level2, level3):
        action.add_argument("--out", metavar="FOLDER", required=True, help="where files are made")
        action.add_argument(
            "--zodiacal-factor", type=float, default=1.5, help="zodiacal light over its minimum"
        )
        action.add_argument(
            "--stray-light",
            type=float,
            default=0.1,
            help="light that reaches detectors astray, over the zodiacal light",
        )
    injection.add_argument("--out", metavar="FILE.asdf", required=True, help="the copy to write")
    for action in (level1, level2, level3, injection):
        action.add_argument("--seed", type=int, default=1, help="keys all draws, with the exposure")
        action.add_argument(
            "--state",
            metavar="FILE.yaml",
            default="config/detectors/simulated.yaml",
            help="what detectors are like",
        )


def _add_sources(action: argparse.ArgumentParser) -> None:
    action.add_argument(
        "sources",
        metavar="TABLE",
        help="truth or catalogue, ECSV or Parquet: ra dec type n half_light_radius pa ba, fluxes "
        "[maggies] in columns such as F158",
    )


def _add_exposure(action: argparse.ArgumentParser) -> None:
    action.add_argument(
        "--pointing",
        nargs=3,
        type=float,
        required=True,
        metavar=("RA", "DEC", "PA"),
        help="of the instrument's centre, and its position angle [deg]",
    )
    action.add_argument("--filter", required=True, metavar="F158", help="imaging filter")
    action.add_argument("--detector", default="WFI01", help="WFI01 to WFI18")
    action.add_argument("--ma-table", type=int, default=3, metavar="N", help="MultiAccum table")
    action.add_argument("--start", default=_START, metavar="TIME", help="UTC, ISO 8601")
    action.add_argument(
        "--key",
        nargs=7,
        type=int,
        default=[_PROGRAM, 1, 1, 1, 1, 1, 1],
        metavar=("PROGRAM", "PLAN", "PASS", "SEGMENT", "OBSERVATION", "VISIT", "EXPOSURE"),
        help="names the exposure, and keys its draws",
    )
    _add_window(action)
    action.add_argument(
        "--pointing-error",
        nargs=2,
        type=float,
        default=[0.0, 0.0],
        metavar=("ARCSEC", "ROLL"),
        help="rms of the true pointing about the one in the header, per axis and of the roll "
        "[arcsec]",
    )


def _add_cell(action: argparse.ArgumentParser) -> None:
    action.add_argument(
        "--exposures", required=True, metavar="TABLE", help="table of planned exposures, as a run's"
    )
    action.add_argument("--filter", required=True, metavar="F158", help="imaging filter")
    action.add_argument("--detectors", nargs="+", default=["WFI01"], metavar="WFI01")
    _add_window(action)
    action.add_argument(
        "--at",
        nargs=2,
        type=float,
        required=True,
        metavar=("RA", "DEC"),
        help="a place in the cell [deg]",
    )
    action.add_argument(
        "--size", type=int, metavar="PIXELS", help="only a square of this side around the place"
    )
    action.add_argument("--pixfrac", type=float, default=1.0, help="drop over pixel")


def _add_window(action: argparse.ArgumentParser) -> None:
    action.add_argument(
        "--window",
        nargs=4,
        type=int,
        default=[0, 0, 4096, 4096],
        metavar=("X", "Y", "NX", "NY"),
        help="part of the detector that is read, in multiples of 128 pixels",
    )


def run(args: argparse.Namespace) -> int:
    """Simulate or inject; say what was written."""
    if args.seed < 0:
        raise ConfigError(f"--seed: found {args.seed}, expected a whole number of at least 0")
    if args.action == "inject":
        return _inject(args)
    for name in ("zodiacal_factor", "stray_light"):
        _check_not_negative(name, getattr(args, name))
    made = _level3(args) if args.action == "level3" else _exposure(args)
    sys.stdout.write(f"{made}\n{made.with_suffix('.png')}\n")
    return 0


def _exposure(args: argparse.Namespace) -> Path:
    """Simulate one detector of one exposure."""
    element, window, state = _element(args), _window(args), _state(args)
    key = _key(args)
    ra, dec, pa = args.pointing
    _check_place("--pointing", ra, dec)
    for value in args.pointing_error:
        _check_not_negative("pointing_error", value)
    if not -360 <= pa <= 360:
        raise ConfigError(f"--pointing: found a position angle of {pa:g}, expected -360 to 360")
    from astropy.time import Time

    from tessella.run import simulate
    from tessella.simulate.observation import Conditions
    from tessella.simulate.pointing import planned_header

    header = planned_header(key, element, _ma_table(args), _start(args), ra, dec, pa)
    conditions = Conditions(
        zodiacal_factor=args.zodiacal_factor,
        pointing_error_arcsec=args.pointing_error[0],
        roll_error_arcsec=args.pointing_error[1],
        encoding_offset=4000,
        cosmic_rays=True,
        seed=args.seed,
        stray_light=args.stray_light,
    )
    shot = simulate.Shot(
        header, _detector(args.detector), window, state, conditions, _told(args), _files(args)
    )
    truth = simulate.sources_for(Path(args.sources), element, Time(header.start_time))
    make = simulate.make_level1 if args.action == "level1" else simulate.make_level2
    with _progress(f"{args.action} of {len(truth)} sources"):
        return make(Path(args.out), truth, shot)


def _level3(args: argparse.Namespace) -> Path:
    from astropy.time import Time

    from tessella.plan.exposures import read_exposures

    element, window, state = _element(args), _window(args), _state(args)
    if not 0 < args.pixfrac <= 1:
        raise ConfigError(f"--pixfrac: found {args.pixfrac}, expected above 0 and at most 1")
    lattice = _lattice(args)
    detectors = [_detector(name) for name in args.detectors]
    planned = read_exposures(args.exposures, _PROGRAM, _START)
    chosen = [one for one in planned if one.optical_element == element and one.is_aligned]
    if not chosen:
        there = " ".join(sorted({one.optical_element for one in planned}))
        raise ConfigError(f"--filter: no exposure in {element}; {args.exposures} has {there}")
    from tessella.run import simulate

    truth = simulate.sources_for(Path(args.sources), element, Time(chosen[0].start_time))
    with _progress("sources") as tell:
        return simulate.make_level3(
            Path(args.out),
            truth,
            chosen,
            detectors,
            window,
            lattice,
            state,
            args.zodiacal_factor * (1 + args.stray_light),
            args.pixfrac,
            args.seed,
            _told(args),
            [*_files(args), Path(args.exposures)],
            tell,
        )


def _inject(args: argparse.Namespace) -> int:
    source, target, state = Path(args.file), Path(args.out), _state(args)
    if target.suffix != ".asdf":
        raise ConfigError(f"--out: found {target}, expected the name of a new file ending in .asdf")
    if target.resolve() == source.resolve():
        raise ConfigError(
            f"--out: {target} is the file that sources are injected into; name a copy"
        )
    from tessella.run import simulate

    with _progress("sources") as tell:
        n, of_all = simulate.inject(
            source,
            target,
            Path(args.sources),
            state,
            args.seed,
            _told(args),
            [source, *_files(args)],
            tell,
        )
    sys.stdout.write(
        f"{target}\n{target.with_name(f'{target.stem}_injected.ecsv')}\n"
        f"{target.with_suffix('.png')}\n{n} of {of_all} sources lie on measured pixels\n"
    )
    return 0


def _told(args: argparse.Namespace) -> dict[str, Any]:
    """Return what a product depends on besides its files."""
    passed = ("command", "action", "more", "out", "sources", "file", "exposures", "state")
    return {name: value for name, value in vars(args).items() if name not in passed}


def _files(args: argparse.Namespace) -> list[Path]:
    return [Path(args.state), Path(args.sources)]


def _state(args: argparse.Namespace) -> "DetectorState":
    from tessella.config import load_state

    path = Path(args.state)
    if path.suffix != ".yaml":
        raise ConfigError(f"--state: found {path}, expected a file such as simulated.yaml")
    if not path.is_file():
        raise ConfigError(
            f"--state: {path}: no such file; give one such as config/detectors/simulated.yaml of "
            "the project, or run the command in the project's folder"
        )
    return load_state(path.parent, path.stem)


def _element(args: argparse.Namespace) -> str:
    from tessella.instrument.optical_elements import filters

    element = str(args.filter).upper()
    if element not in filters():
        raise ConfigError(f"--filter: found {args.filter!r}, expected one of {' '.join(filters())}")
    return element


def _detector(name: str) -> str:
    from tessella.instrument.siaf import DETECTORS

    if name.upper() not in DETECTORS:
        raise ConfigError(f"--detector: found {name!r}, expected WFI01 to WFI18")
    return name.upper()


def _window(args: argparse.Namespace) -> "Window":
    from tessella.models import Window

    try:
        return Window(*args.window)
    except ValueError as error:
        raise ConfigError(f"--window: {error}") from error


def _ma_table(args: argparse.Namespace) -> int:
    from tessella.instrument.read_patterns import read_patterns

    if args.ma_table not in read_patterns():
        known = " ".join(map(str, read_patterns()))
        raise ConfigError(f"--ma-table: found {args.ma_table}, expected one of {known}")
    return int(args.ma_table)


def _start(args: argparse.Namespace) -> str:
    from datetime import datetime

    try:
        start = datetime.fromisoformat(args.start)
    except ValueError as error:
        raise ConfigError(f"--start: found {args.start!r}, expected such as {_START}") from error
    if start.tzinfo is not None:
        raise ConfigError(f"--start: found {args.start!r}, expected UTC without a zone")
    return start.isoformat(timespec="microseconds")


def _key(args: argparse.Namespace) -> "ExposureKey":
    from tessella.models import ExposureKey

    limits = (99999, 99, 999, 999, 999, 999, 9999)
    for value, limit in zip(args.key, limits, strict=True):
        if not 1 <= value <= limit:
            raise ConfigError(
                f"--key: found {value}, expected numbers from 1 to {' '.join(map(str, limits))}"
            )
    return ExposureKey(*args.key)


def _check_not_negative(name: str, value: float) -> None:
    if not 0 <= value < float("inf"):
        option = name.replace("_", "-")
        raise ConfigError(f"--{option}: found {value:g}, expected a number of at least 0")


def _check_place(option: str, ra: float, dec: float) -> None:
    if not (0 <= ra < 360 and -90 <= dec <= 90):
        raise ConfigError(
            f"{option}: found {ra:g} {dec:g}, expected a right ascension from 0 to 360 and a "
            "declination from -90 to 90"
        )


def _lattice(args: argparse.Namespace) -> "Lattice":
    """Return the cell that a place belongs to, or a square around the place."""
    from tessella.astrometry.tangent import sky_to_pixel
    from tessella.sky.matching import primary_cell
    from tessella.sky.tessellation import CELL_SIZE, cell_lattice, lattice_of, regions

    ra, dec = args.at
    _check_place("--at", ra, dec)
    region, column, row = (int(values) for values in primary_cell(ra, dec))
    if args.size is None:
        return cell_lattice(regions()[region], column, row)
    if not 1 <= args.size <= CELL_SIZE:
        raise ConfigError(f"--size: found {args.size}, expected 1 to {CELL_SIZE} pixels")
    x, y = sky_to_pixel(cell_lattice(regions()[region], 0, 0), ra, dec)
    x0, y0 = (round(float(value)) - args.size // 2 for value in (x, y))
    return lattice_of(regions()[region], x0, y0, args.size, args.size)


@contextmanager
def _progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """Show how far it is, where a person looks on."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (what, BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)

"""The plan of a run: all that is known before the first job, as data for the rules.

It is a pure function of the configuration, the exposure table and the table of references;
where files are given, of what their headers say. It is kept in a file, so that the many times a
workflow is parsed cost next to nothing.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tessella.astrometry.tangent import pixel_to_sky
from tessella.config import Config, load_state
from tessella.errors import DataError
from tessella.instrument.optical_elements import filters
from tessella.io.atomic import replacing
from tessella.io.detector_status import refuse_disabled
from tessella.models import IMAGING, Lattice, PlannedExposure
from tessella.plan.exposures import elements_of, read_exposures
from tessella.plan.given import exposure_of, exposures_of_files, files_given, with_attitudes
from tessella.plan.selection import (
    CHECKED_TYPES,
    NONE,
    OPTIONAL_TYPES,
    context_of,
    read_reference_table,
    reference_types,
    select,
    selection_id,
)
from tessella.plan.tiles import plan_tiles


@dataclass(frozen=True)
class Selection:
    """The references of one detector in one kind of exposure."""

    detector: str
    element: str
    #: Reference type to path; relative paths are below the run's folder of references.
    files: dict[str, str]
    #: Hash of the rows of the table of references that chose them.
    context: str
    #: SHA-256 of the files of which the table gives it.
    sha256: dict[str, str]


@dataclass(frozen=True)
class PlannedTile:
    """A tile with its detector images, by filter, in the order in which they are added."""

    lattice: dict[str, Any]
    members: dict[str, list[list[str]]]


@dataclass(frozen=True)
class Plan:
    """All that the rules need to know."""

    exposures: dict[str, PlannedExposure]
    tiles: dict[str, PlannedTile]
    selections: dict[str, Selection]
    #: ``<exposure> <detector>`` to the name of its selection.
    selected: dict[str, str]

    @property
    def program(self) -> int:
        """Program number of the run's products: the smallest among its exposures."""
        return min(exposure.key.program for exposure in self.exposures.values())

    def lattice(self, tile: str) -> Lattice:
        """Return the lattice of a tile."""
        return Lattice(**self.tiles[tile].lattice)


def find_file(path: str, base: str | Path) -> Path:
    """Return a configured path: from the working directory, else from the workflow's folder."""
    return Path(path) if Path(path).exists() else Path(base) / path


def _key(config: Config, base: str | Path) -> str:
    """Hash of everything that the plan depends on."""
    parts: list[Any] = [config.model_dump(mode="json", include=_PLAN_SECTIONS)]
    if config.source == "simulate":
        parts.append(find_file(str(config.exposures), base).read_text())
    else:
        parts.append(
            [
                (str(file), file.stat().st_size, file.stat().st_mtime_ns)
                for file in files_given(config)
            ]
        )
    parts.append(find_file(config.references.table, base).read_text())
    sources = sorted(
        [*Path(__file__).parent.glob("*.py"), *Path(__file__).parent.parent.glob("sky/*.py")]
    )
    parts.append([source.read_text() for source in sources])
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


_PLAN_SECTIONS = {"source", "program", "first_start", "detectors", "window", "references", "tile"}


def make_plan(config: Config, base: str | Path) -> Plan:
    """Make the plan anew.

    Raises
    ------
    DataError
        If a table or a file is not as it must be; it is named.
    """
    if config.source == "simulate":
        table = find_file(str(config.exposures), base)
        exposures = with_attitudes(
            read_exposures(table, config.program, config.first_start), config
        )
    else:
        exposures = exposures_of_files(config)
    _check_exposures(exposures)
    rows = read_reference_table(find_file(config.references.table, base))
    selections: dict[str, Selection] = {}
    selected: dict[str, str] = {}
    for exposure in exposures:
        needed = reference_types(exposure.exposure_type)
        for detector in exposure.detectors:
            chosen = select(rows, needed, detector, exposure, (*OPTIONAL_TYPES, *CHECKED_TYPES))
            selection = Selection(
                detector,
                exposure.element,
                {reftype: row.file_for(detector, exposure) for reftype, row in chosen.items()},
                context_of(chosen.values()),
                {reftype: row.sha256 for reftype, row in chosen.items() if row.sha256 != NONE},
            )
            name = selection_id(selection.files, selection.context, detector, exposure.element)
            selections[name] = selection
            selected[f"{exposure.name} {detector}"] = name
    tiles = {
        tile.name: PlannedTile(
            vars(tile.lattice), {k: [list(pair) for pair in v] for k, v in tile.members.items()}
        )
        for tile in plan_tiles(
            [exposure for exposure in exposures if exposure.is_aligned],
            config.detector_window,
            config.tile.cutout_pixels,
        )
    }
    return Plan({exposure.name: exposure for exposure in exposures}, tiles, selections, selected)


def _check_exposures(exposures: list[PlannedExposure]) -> None:
    names = [exposure.name for exposure in exposures]
    for exposure in exposures:
        given = next(iter((*exposure.level1.values(), *exposure.telemetry)), exposure.name)
        allowed = elements_of(exposure.exposure_type)
        if exposure.optical_element not in allowed:
            raise DataError(
                f"{given}: optical element {exposure.optical_element} of an exposure of type "
                f"{exposure.exposure_type}; expected one of {' '.join(allowed)}; correct "
                "meta.exposure.type or leave it out"
            )
        if names.count(exposure.name) > 1:
            raise DataError(
                f"{given}: two exposures are called {exposure.name}, in different filters; "
                "process them in runs of their own"
            )


def load_plan(config: Config, base: str | Path) -> Plan:
    """Return the plan of a run, from its file where nothing it depends on has changed.

    Parameters
    ----------
    config : Config
    base : path
        Folder of the workflow, against which shipped files are named.
    """
    path = Path(config.results) / config.run / "plan" / f"{_key(config, base)}.json"
    kept = _read(path)
    if kept is None:
        plan = make_plan(config, base)
        with replacing(path, None) as part:
            part.write_text(_checked(json.dumps(asdict(plan), indent=1)))
        kept = _read(path)
        assert kept is not None
    return Plan(
        exposures={name: exposure_of(entry) for name, entry in kept["exposures"].items()},
        tiles={name: PlannedTile(**entry) for name, entry in kept["tiles"].items()},
        selections={name: Selection(**entry) for name, entry in kept["selections"].items()},
        selected=kept["selected"],
    )


def _checked(text: str) -> str:
    return f"{hashlib.sha256(text.encode()).hexdigest()}\n{text}\n"


def _read(path: Path) -> dict[str, Any] | None:
    """Read a plan; None where there is none that is as it was written, to be made anew."""
    if not path.is_file():
        return None
    found = path.read_bytes()
    text = found.partition(b"\n")[2].rstrip(b"\n").decode(errors="replace")
    return json.loads(text) if found == _checked(text).encode() else None


def check_inputs(config: Config, plan: Plan, base: str | Path) -> None:
    """Refuse what the first jobs would fail at: files that are named but absent, or not so.

    Raises
    ------
    ConfigError
        If a detector state that references are made from is not there or not as it must be.
    DataError
        If the table of reference stars or a reference of one's own is not there, a detector is
        not enabled, or the run holds too few darks and flats to measure references from.
    """
    files = {Path(file) for chosen in plan.selections.values() for file in chosen.files.values()}
    states = {path.parts[0] for path in files if not path.is_absolute()}
    if config.source == "simulate":
        states.add(config.expose.state)
    for state in sorted(states):
        load_state(find_file(config.references.states, base), state)
    for path in sorted(path for path in files if path.is_absolute()):
        if not path.is_file():
            raise DataError(f"{path}: no such file; 'references.table' names it as a reference")
    for chosen in plan.selections.values():
        status = chosen.files.get("detectorstatus")
        # Those that the run makes itself have all detectors enabled.
        if status is not None and Path(status).is_absolute():
            refuse_disabled(status, chosen.detector)
    if config.calibration.measure:
        _check_campaign(plan)
    stars = find_file(config.reference_stars.table, base)
    if not stars.is_file():
        raise DataError(f"{stars}: no such file; 'reference_stars.table' names the Gaia table")


def _check_campaign(plan: Plan) -> None:
    campaign = [one for one in plan.exposures.values() if one.is_for_calibration]
    flats = [one.optical_element for one in campaign if one.exposure_type == "WFI_FLAT"]
    n_darks = len(campaign) - len(flats)
    n_flats = max((flats.count(name) for name in filters()), default=0)
    if min(n_darks, n_flats) < 2:
        raise DataError(
            f"calibration.measure: the run holds {n_darks} darks and at most {n_flats} flats of a "
            "filter; at least two of each are needed"
        )


def middle_of_tiles(plan: Plan) -> tuple[float, float]:
    """Return right ascension and declination [deg] of the middle of all tiles.

    Without tiles, that of all images is given: they then are not for adding.

    Raises
    ------
    DataError
        If there are no images either.
    """
    directions = []
    for ra, dec in _middles(plan):
        a, d = np.radians(ra), np.radians(dec)
        directions.append((np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)))
    if not directions:
        raise DataError("no exposure of the run shows the sky as an image")
    x, y, z = np.mean(directions, axis=0)
    ra, dec = np.degrees(np.arctan2(y, x)) % 360.0, np.degrees(np.arctan2(z, np.hypot(x, y)))
    return float(ra), float(dec)


def _middles(plan: Plan) -> Iterator[tuple[float, float]]:
    """Give right ascension and declination [deg] of every tile, or else of every image."""
    for tile in plan.tiles:
        lattice = plan.lattice(tile)
        middle = pixel_to_sky(lattice, (lattice.nx - 1) / 2, (lattice.ny - 1) / 2)
        yield float(middle[0]), float(middle[1])
    if plan.tiles:
        return
    for exposure in plan.exposures.values():
        if exposure.exposure_type in IMAGING:
            for attitude in exposure.detectors.values():
                yield attitude[0], attitude[1]

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
from tessella.config import Config
from tessella.errors import DataError
from tessella.io.atomic import replacing
from tessella.io.held import Held, write_held
from tessella.models import IMAGING, Lattice, PlannedExposure, exposure_of
from tessella.plan.exposures import elements_of, read_exposures
from tessella.plan.given import exposures_of_files, files_given, with_attitudes
from tessella.plan.groupings import groups_of
from tessella.plan.inbox import Made, look, remember, seen
from tessella.plan.limits import refuse_far, refuse_large
from tessella.plan.patches import PlannedPatch, patch_name, plan_patches
from tessella.plan.quality_cuts import Exclusion, exclusions, read_quality, refuse_foreign
from tessella.plan.selection import (
    CHECKED_TYPES,
    NONE,
    OPTIONAL_TYPES,
    ReferenceRow,
    context_of,
    read_reference_table,
    reference_types,
    select,
    selection_id,
)
from tessella.plan.tiles import Tile, plan_tiles, pointing_margin, tiles_of_groups


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

    grouping: str
    #: Name of the patch that it is cut from.
    patch: str
    lattice: dict[str, Any]
    members: dict[str, list[list[str]]]


@dataclass(frozen=True)
class Plan:
    """All that the rules need to know."""

    exposures: dict[str, PlannedExposure]
    tiles: dict[str, PlannedTile]
    patches: dict[str, PlannedPatch]
    selections: dict[str, Selection]
    #: ``<exposure> <detector>`` to the name of its selection.
    selected: dict[str, str]
    #: Images that belong to a group and are not added in it.
    excluded: list[Exclusion]
    #: Exposures of telemetry that are not made, or not again, and files that are not read.
    held: list[Held]
    #: Exposures of telemetry, and what those are made of that are.
    known: dict[str, Made | None]

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
    parts: list[Any] = [config.model_dump(mode="json", include=_PLAN_SECTIONS), _searched(config)]
    if config.source == "simulate":
        parts.append(find_file(str(config.exposures), base).read_text())
    elif config.source == "telemetry":
        parts.append(seen(config).decides())
    else:
        parts.append(
            [
                (str(file), file.stat().st_size, file.stat().st_mtime_ns)
                for file in files_given(config)
            ]
        )
    parts.append(find_file(config.references.table, base).read_text())
    if config.groupings.table is not None:
        table = find_file(config.groupings.table, base)
        parts.append(table.read_text() if table.is_file() else None)
    package = Path(__file__).parents[1]
    # With what a planned exposure is: plans of before it has changed cannot be read.
    sources = sorted([*package.glob("plan/*.py"), *package.glob("sky/*.py"), package / "models.py"])
    parts.append([source.read_text() for source in sources])
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


_PLAN_SECTIONS = {
    *("source", "program", "first_start", "detectors", "window", "references", "tile"),
    *("groupings", "telemetry"),
}


def make_plan(config: Config, base: str | Path) -> Plan:
    """Make the plan anew.

    Raises
    ------
    DataError
        If a table or a file is not as it must be; it is named.
    """
    unused: list[Exclusion] = []
    held: list[Held] = []
    known: dict[str, Made | None] = {}
    if config.source == "simulate":
        table = find_file(str(config.exposures), base)
        exposures = with_attitudes(
            read_exposures(table, config.program, config.first_start), config
        )
    else:
        given = exposures_of_files(config)
        exposures, unused, held, known = given.exposures, given.excluded, given.held, given.known
    _check_exposures(exposures)
    rows = read_reference_table(find_file(config.references.table, base))
    selections: dict[str, Selection] = {}
    selected: dict[str, str] = {}
    for exposure in list(exposures):
        try:
            own = list(_selections(rows, exposure))
        except DataError as error:
            # One of many that arrive does not stop the others.
            if config.source != "telemetry" or len(exposures) == 1:
                raise
            exposures.remove(exposure)
            held.append(Held(exposure.name, str(error)))
            continue
        for name, selection in own:
            selections[name] = selection
            selected[f"{exposure.name} {selection.detector}"] = name
    tiles, excluded = _grouped_tiles([one for one in exposures if one.is_aligned], config, base)
    return Plan(
        {exposure.name: exposure for exposure in exposures},
        {tile.name: _planned(tile) for tile in tiles},
        plan_patches(tiles, [(one.name, d) for one in exposures for d in one.detectors]),
        selections,
        selected,
        [*unused, *excluded],
        held,
        known,
    )


def _selections(
    rows: list[ReferenceRow], exposure: PlannedExposure
) -> Iterator[tuple[str, Selection]]:
    """Give the selection of each detector of an exposure and its name."""
    needed = reference_types(exposure.exposure_type, bool(exposure.level2))
    optional = () if exposure.level2 else (*OPTIONAL_TYPES, *CHECKED_TYPES)
    for detector in exposure.detectors:
        chosen = select(rows, needed, detector, exposure, optional)
        selection = Selection(
            detector,
            exposure.element,
            {reftype: row.file_for(detector, exposure) for reftype, row in chosen.items()},
            context_of(chosen.values()),
            {reftype: row.sha256 for reftype, row in chosen.items() if row.sha256 != NONE},
        )
        files, context = selection.files, selection.context
        yield selection_id(files, context, detector, exposure.element), selection


def _grouped_tiles(
    images: list[PlannedExposure], config: Config, base: str | Path
) -> tuple[list[Tile], list[Exclusion]]:
    """Return the tiles of all groups, and the images that are left out of them."""
    if config.tile.linking_deg is not None:
        refuse_far(images, config.tile.linking_deg)
    margin = pointing_margin(
        (one.detectors for one in images), config.detector_window, *_searched(config)
    )
    tiles = plan_tiles(images, config.detector_window, config.tile.cutout_pixels, margin)
    cuts, table = config.groupings.cuts, config.groupings.table
    quality = {}
    if table is not None:
        quality = read_quality(find_file(table, base))
        refuse_foreign(table, quality, images)
    covered = {pair for tile in tiles for pairs in tile.members.values() for pair in pairs}
    groups, excluded = {}, []
    for name, (grouping, members) in groups_of(images, config.groupings.made).items():
        own = [cut for cut in cuts if grouping in cut.groupings]
        left_out = exclusions(name, members, own, quality, covered)
        excluded += left_out
        gone = {(one.exposure, one.detector) for one in left_out}
        groups[name] = {(one.name, d) for one in members for d in one.detectors} - gone
    grouped = tiles_of_groups(tiles, groups)
    refuse_large(grouped, config.tile.maximum_gigapixels)
    return grouped, excluded


def _searched(config: Config) -> tuple[float, float]:
    """Return the largest errors of pointing and roll that are looked for [arcsec]."""
    both = config.align, config.solve
    return (
        max(one.search_radius_arcsec for one in both),
        max(one.search_turn_arcsec for one in both),
    )


def _planned(tile: Tile) -> PlannedTile:
    return PlannedTile(
        tile.grouping,
        patch_name(tile.grouping, tile.lattice),
        vars(tile.lattice),
        {element: [list(pair) for pair in pairs] for element, pairs in tile.members.items()},
    )


def _check_exposures(exposures: list[PlannedExposure]) -> None:
    names = [exposure.name for exposure in exposures]
    for exposure in exposures:
        files = (*exposure.level2.values(), *exposure.level1.values(), *exposure.telemetry)
        given = next(iter(files), exposure.name)
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


def plan_path(config: Config, base: str | Path) -> Path:
    """Return the file in which the plan of a run is kept; its name tells what it depends on."""
    return Path(config.results) / config.run / "plan" / f"{_key(config, base)}.json"


def read_plan(path: str | Path) -> Plan:
    """Read the file of a plan.

    Raises
    ------
    DataError
        If there is no plan as it was written.
    """
    kept = _read(Path(path))
    if kept is None:
        raise DataError(f"{path}: no whole plan; start the run again, which writes it")
    return _plan_of(kept)


def load_plan(config: Config, base: str | Path, is_start: bool = True) -> Plan:
    """Return the plan of a run, from its file where nothing it depends on has changed.

    Parameters
    ----------
    config : Config
    base : path
        Folder of the workflow, against which shipped files are named.
    is_start : bool
        Look what telemetry has arrived; jobs of a run go by what was there when it started.
    """
    if is_start and config.source == "telemetry":
        look(config, files_given(config))
    path = plan_path(config, base)
    kept = _read(path)
    if kept is None:
        plan = make_plan(config, base)
        with replacing(path, None) as part:
            part.write_text(_checked(json.dumps(asdict(plan), indent=1)))
        kept = _read(path)
        assert kept is not None
    plan = _plan_of(kept)
    if is_start and config.source == "telemetry":
        remember(config, plan.known)
        write_held(Path(config.results) / config.run, plan.held)
    return plan


def _plan_of(kept: dict[str, Any]) -> Plan:
    return Plan(
        exposures={name: exposure_of(entry) for name, entry in kept["exposures"].items()},
        tiles={name: PlannedTile(**entry) for name, entry in kept["tiles"].items()},
        patches={name: PlannedPatch(**entry) for name, entry in kept["patches"].items()},
        selections={name: Selection(**entry) for name, entry in kept["selections"].items()},
        selected=kept["selected"],
        excluded=[Exclusion(**entry) for entry in kept["excluded"]],
        held=[Held(**entry) for entry in kept["held"]],
        known={name: entry and Made(**entry) for name, entry in kept["known"].items()},
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
    # Groups of a run share cells: each counts once.
    lattices = {plan.lattice(tile): None for tile in plan.tiles}
    for lattice in lattices:
        middle = pixel_to_sky(lattice, (lattice.nx - 1) / 2, (lattice.ny - 1) / 2)
        yield float(middle[0]), float(middle[1])
    if plan.tiles:
        return
    for exposure in plan.exposures.values():
        if exposure.exposure_type in IMAGING:
            for attitude in exposure.detectors.values():
                yield attitude[0], attitude[1]

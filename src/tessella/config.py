"""The configuration of a run: its sections together, read and checked.

What the values of a section mean stands in `tessella.config_sections`; values live in
`config/*.yaml`.
"""

import difflib
import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import (
    Field,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)

from tessella.config_sections import (
    Align,
    Calibrate,
    Calibration,
    Coadd,
    Detect,
    Environment,
    Exposing,
    Groupings,
    Match,
    Measure,
    Outliers,
    Packets,
    References,
    ReferenceStars,
    Report,
    Scene,
    Section,
    SkyMatch,
    Solve,
    Telemetry,
    Tile,
    WindowConfig,
)
from tessella.detector.state import DetectorState
from tessella.errors import ConfigError
from tessella.instrument.siaf import DETECTORS
from tessella.models import Window


class Config(Section):
    """The whole configuration of a run."""

    #: Name of the run: products are written below ``<results>/<run>``.
    run: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9_.-]*$")]
    results: Annotated[str, Field(min_length=1)]
    #: Where data enter: simulated, as telemetry files, or as Level 1 or Level 2 files.
    source: Literal["simulate", "telemetry", "level1", "level2"]
    level2_folder: str | None
    level1_folder: str | None
    telemetry_folder: str | None
    #: Program number and start of the first exposure (UTC, ISO 8601), where the exposure table
    #: makes them.
    program: Annotated[int, Field(ge=1, le=18445)]
    first_start: str
    exposures: str | None
    #: null takes those that are found; Level 2 files alone need not have the same in all exposures.
    detectors: Annotated[tuple[str, ...], Field(min_length=1)] | None
    #: null reads whole detectors.
    window: WindowConfig | None
    environment: Environment
    references: References
    reference_stars: ReferenceStars
    scene: Scene
    expose: Exposing
    packetize: Packets
    telemetry: Telemetry
    calibrate: Calibrate
    calibration: Calibration
    align: Align
    solve: Solve
    tile: Tile
    groupings: Groupings
    sky_match: SkyMatch
    outliers: Outliers
    coadd: Coadd
    detect: Detect
    measure: Measure
    match: Match
    report: Report

    @field_validator("first_start")
    @classmethod
    def _plain_date(cls, value: str) -> str:
        try:
            in_utc = datetime.fromisoformat(value).tzinfo is None
        except ValueError:
            in_utc = False
        if not in_utc:
            raise ValueError("it must be a date in UTC such as 2028-07-01T00:00:00, no time zone")
        return value

    @field_validator("detectors")
    @classmethod
    def _known_detectors(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        names = value or ()
        for name in names:
            if name not in DETECTORS:
                nearest = _nearest(name, DETECTORS)
                raise ValueError(f"unknown detector {name!r}{nearest}; there are WFI01 to WFI18")
            if names.count(name) > 1:
                raise ValueError(f"detector {name} stands there twice")
        return value

    @field_validator("window")
    @classmethod
    def _whole_channels(cls, value: WindowConfig | None) -> WindowConfig | None:
        if value is not None:
            Window(value.x, value.y, value.nx, value.ny)
        return value

    @model_validator(mode="after")
    def _guides_on_what_is_read(self) -> "Config":
        guide, window = self.expose.guide_window, self.detector_window
        if guide is not None and not (
            window.x <= guide.x <= guide.x + guide.nx <= window.x + window.nx
            and window.y <= guide.y <= guide.y + guide.ny <= window.y + window.ny
        ):
            raise ValueError(
                "expose.guide_window: it leaves the window of the detector that is read; "
                "move one of them"
            )
        return self

    @property
    def detector_window(self) -> Window:
        """The part of every detector that is read."""
        return Window() if self.window is None else Window(**self.window.model_dump())


def load(values: Mapping[str, Any], files: Iterable[str | Path]) -> Config:
    """Check a configuration.

    Parameters
    ----------
    values : mapping
        All values, overlays merged.
    files : iterable of paths
        The files they come from, later ones over earlier ones; faults are reported where they
        stand.

    Raises
    ------
    ConfigError
        One line a fault: file, key, what was found, what is allowed.
    """
    try:
        config = Config.model_validate(_tuples(values))
    except ValidationError as error:
        raise ConfigError(
            "\n".join(_describe(fault, list(files)) for fault in error.errors())
        ) from None
    needed = "exposures" if config.source == "simulate" else f"{config.source}_folder"
    if config.detectors is None and config.source != "level2":
        raise ConfigError(
            f"{_origin(('detectors',), list(files))}: 'detectors' is null and source "
            f"{config.source!r}; name the detectors: only Level 2 files are taken as found"
        )
    if getattr(config, needed) is None:
        raise ConfigError(
            f"{_origin(('source',), list(files))}: source is {config.source!r}, so '{needed}' must "
            f"be given, for example on the command line: --config {needed}=PATH"
        )
    return config


def load_state(folder: str | Path, name: str) -> DetectorState:
    """Read a detector state from ``<folder>/<name>.yaml``.

    Raises
    ------
    ConfigError
        Naming the file, and the key that is missing, unknown or of the wrong kind.
    """
    path = Path(folder) / f"{name}.yaml"
    if not path.is_file():
        known = sorted(other.stem for other in Path(folder).glob("*.yaml"))
        raise ConfigError(
            f"{path}: no such detector state{_nearest(name, known)}; there are {', '.join(known)}"
        )
    try:
        values = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not a YAML file: {' '.join(str(error).split())}") from None
    if not isinstance(values, Mapping):
        raise ConfigError(f"{path}: it holds no keys; see src/tessella/detector/state.py for them")
    known = list(DetectorState.__dataclass_fields__)
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise ConfigError(f"{path}: unknown key {unknown[0]!r}{_nearest(unknown[0], known)}")
    try:
        return TypeAdapter(DetectorState).validate_python(_tuples(values))
    except ValidationError as error:
        raise ConfigError("\n".join(_describe(fault, [path]) for fault in error.errors())) from None


def _tuples(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _tuples(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return tuple(_tuples(inner) for inner in value)
    # Snakemake hands on `--config window=null` as a word.
    return None if value == "null" else value


def _describe(fault: Any, files: list[str | Path]) -> str:
    location = fault["loc"]
    key = ".".join(str(part) for part in location)
    where = _origin(location, files, fault["input"])
    if fault["type"] == "extra_forbidden":
        known = _keys_beside(location)
        nearest = _nearest(str(location[-1]), known)
        return f"{where}: unknown key '{key}'{nearest}; allowed here: {', '.join(known)}"
    if fault["type"] == "missing":
        return f"{where}: key '{key}' is missing"
    message = fault["msg"].removeprefix("Value error, ")
    if not location:
        return f"{where}: {message}"
    nearest = _nearest(
        str(fault["input"]),
        fault.get("ctx", {}).get("expected", "").replace("'", "").replace(" or ", ", ").split(", "),
    )
    return f"{where}: '{key}' is {fault['input']!r}: {message}{nearest}"


def _keys_beside(location: tuple[Any, ...]) -> list[str]:
    model: Any = Config
    for part in location[:-1]:
        if isinstance(part, int):  # a place in a list, not a key
            continue
        annotation = model.model_fields[part].annotation
        candidates = [annotation, *get_args(annotation)]
        model = next(c for c in candidates if isinstance(c, type) and issubclass(c, Section))
    return list(model.model_fields)


def _origin(location: tuple[Any, ...], files: list[str | Path], value: Any = ...) -> str:
    """Name the last file that holds the key or the nearest section above it, else the first."""
    for depth in range(len(location), 0, -1):
        for file in reversed(files):
            node: Any = yaml.safe_load(Path(file).read_text()) if Path(file).is_file() else {}
            for part in location[:depth]:
                node = node.get(part, ...) if isinstance(node, Mapping) else ...
            if node is not ...:
                plain = depth == len(location) and not isinstance(value, Mapping | type(...))
                return "--config" if plain and _tuples(node) != value else str(file)
    return str(files[0]) if files else "configuration"


def _nearest(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f" (did you mean '{close[0]}'?)" if close else ""


def section(config: Section) -> str:
    """Return a section as the JSON that a stage is given."""
    return json.dumps(config.model_dump(mode="json"), sort_keys=True)

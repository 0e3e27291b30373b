"""What each value of the configuration means and may be; the values live in `config/*.yaml`."""

import difflib
import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)

from tessella.detector.state import DetectorState
from tessella.environment import CpuLevel
from tessella.errors import ConfigError
from tessella.instrument.siaf import DETECTORS
from tessella.models import Window, unread

Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
Seed = Annotated[int, Field(ge=0)]

#: Steps of the exposure pipeline that may be left out; a test holds them against the recipe,
#: which is too heavy to import where a workflow is parsed.
SkippableStep = Literal[
    "saturation", "reference_pixels", "dark_decay", "wfi18_transient", "linearity", "dark", "flat"
]

#: Which exposures are added: of a visit, segment (daily), pass, or of the whole run.
Grouping = Literal["visit", "daily", "pass", "full", "user"]


class Section(BaseModel):
    """A closed, frozen part of the configuration: no unknown key, no default."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Environment(Section):
    """What every job runs in, whatever the host: docs/reproducibility.md."""

    #: Features of the CPU that libraries may use; hosts of a level agree to the last bit.
    #: native takes all that the host has.
    cpu_level: CpuLevel


class WindowConfig(Section):
    """Part of every detector that is read, in pixels of the 4096 x 4096 frame; multiples of 128."""

    x: Count
    y: Count
    nx: Count
    ny: Count


class GuideArea(Section):
    """Part of every detector that is read many times to guide by, in pixels of the frame."""

    x: Count
    y: Count
    nx: Count
    ny: Count

    @model_validator(mode="after")
    def _is_guide_window(self) -> "GuideArea":
        unread(self.x, self.y, 1, self.ny, self.nx)
        return self


class References(Section):
    """Calibration references."""

    #: Table of all references, with useafter dates.
    table: str
    #: Folder of the detector states from which references are made.
    states: str


class ReferenceStars(Section):
    """Stars that exposures are aligned with."""

    #: Gaia table (FITS, ECSV, VOTable, CSV, Parquet), or the index of shards that
    #: `tessella build-reference-stars` made.
    table: str
    #: Epoch of the positions [Julian year], for a table that has no column ref_epoch: 2015.5 for
    #: Gaia DR2, 2016.0 for DR3. With null such a table is refused.
    epoch: Positive | None
    #: Simulated stars stand exactly where the table says: the catalogue is then scattered by
    #: its own errors, with this seed. null for a real sky.
    scatter_seed: Seed | None


class Scene(Section):
    """What the simulated sky holds."""

    seed: Seed
    #: Half the side of the square field [arcsec].
    half_width_arcsec: Positive
    #: Whether the stars of the table of reference stars stand there.
    reference_stars: bool
    #: Table of a user's sources with the columns of romanisim's catalogues (ECSV or Parquet), in
    #: the field or not; with the stars above and all numbers below 0 it is the whole sky.
    catalogue: str | None
    #: Drawn stars and galaxies per square arcminute; null draws stars fainter than V = 20.7 by the
    #: counts of the Galaxy (Bahcall & Soneira 1980), 20 degrees or more from its plane.
    stars_per_arcmin2: NotNegative | None
    galaxies_per_arcmin2: NotNegative
    #: Drawn sources that change, in the whole field: supernovae (in galaxies, if there are any),
    #: periodic stars, stars behind a lens, bodies of the solar system.
    supernovae: Count
    periodic_stars: Count
    microlensing_events: Count
    movers: Count


class Exposing(Section):
    """How simulated exposures are taken."""

    seed: Seed
    #: Rms of the error of the pointing per axis [arcsec] and of the roll [arcsec].
    pointing_error_arcsec: NotNegative
    roll_error_arcsec: NotNegative
    #: Added on board [DN].
    encoding_offset: Count
    #: Zodiacal light over its minimum; null takes that of each exposure's direction and date.
    zodiacal_factor: NotNegative | None
    #: Light that reaches the detector astray, over the zodiacal light.
    stray_light: NotNegative
    cosmic_rays: bool
    #: Name of the detector state (file in `references.states`).
    state: str
    #: Guide window of every detector, within what is read; null: none.
    guide_window: GuideArea | None


class Telemetry(Section):
    """Exposures of which packets may still arrive."""

    #: An exposure with at least this share of its pixels is complete.
    complete_fraction: Fraction
    #: One with less is held back until it is known for this long [h]; then it is made as it is.
    wait_hours: Annotated[float, Field(ge=0)]


class Packets(Section):
    """Simulated telemetry; its faults in packets of each exposure."""

    #: ``rice`` compresses (CCSDS 121.0-B), ``none`` does not.
    codec: Literal["rice", "none"]
    seed: Seed
    drop: Count
    duplicate: Count
    corrupt: Count


class Saturation(Section):
    """Search for saturated pixels."""

    #: Pixels around a saturated one that are taken to be saturated with it.
    grow_pixels: Count


class Slopes(Section):
    """Fit of ramps."""

    #: Significance of a jump [sigma]; null searches for none.
    rejection_threshold: Positive | None
    #: Whether the faint halos of snowballs are left out as well.
    expand_large_events: bool


class Persistence(Section):
    """Charge that earlier exposures of the same detector left."""

    #: Pixels with more of it are flagged PERSISTENCE.
    threshold_electrons_per_s: NotNegative
    #: Whether it is subtracted as well.
    subtract: bool
    #: Charge of a pixel that saturated.
    full_well_electrons: Positive


class Calibrate(Section):
    """Level 1 to Level 2."""

    skip: tuple[SkippableStep, ...]
    saturation: Saturation
    slopes: Slopes
    #: null takes each exposure for itself; with numbers it waits for the one before.
    persistence: Persistence | None
    #: An exposure fails when fewer of its detectors than this could be calibrated.
    minimum_detectors: Count


class Calibration(Section):
    """References measured from the darks and flats of the run."""

    #: Whether they are: at least two darks and two flats of one filter are needed.
    measure: bool
    #: Pixels with more dark current are hot [DN / s].
    hot_dn_per_s: Positive
    #: Pixels with less than this share of the median response to light are dead.
    dead_response: Annotated[float, Field(gt=0, lt=1)]
    #: Pixels whose noise is above so many times the median are not used.
    noisy_ratio: Annotated[float, Field(gt=1)]
    #: Side of the squares that get one gain each [pixels]; it divides 128.
    gain_box_pixels: Literal[16, 32, 64, 128]
    #: Of the rows that are added to the table of references.
    version: Annotated[str, Field(pattern=r"^\S+$")]
    pedigree: Annotated[str, Field(pattern=r"^(GROUND|MODEL|DUMMY|SIMULATION)$")]


class Align(Section):
    """Alignment of exposures with the reference stars."""

    #: Signal-to-noise of a star's peak.
    threshold: Positive
    #: At most this many stars are measured in an image.
    brightest: Annotated[int, Field(ge=1)]
    #: Largest error of the pointing, and of the roll, that is looked for [arcsec].
    search_radius_arcsec: Annotated[float, Field(gt=0, le=120)]
    search_turn_arcsec: Annotated[float, Field(ge=0, le=3600)]
    #: Largest distance of a pair once the shift is known [arcsec].
    match_radius_arcsec: Positive
    minimum_stars: Annotated[int, Field(ge=3)]


class Solve(Section):
    """Joint solution of all overlapping images of a region."""

    #: Largest distance of two measurements of one star [arcsec].
    match_radius_arcsec: Positive
    #: Images that were not aligned are looked for within this distance of their pointing, and of
    #: their roll [arcsec].
    search_radius_arcsec: Annotated[float, Field(gt=0, le=120)]
    search_turn_arcsec: Annotated[float, Field(ge=0, le=3600)]
    #: With fewer stars in common an image keeps its WCS; with as many it is shifted.
    minimum_stars: Annotated[int, Field(ge=2)]
    #: With as many it is shifted and turned, and with as many more it gets an affine correction.
    turn_stars: Annotated[int, Field(ge=3)]
    affine_stars: Annotated[int, Field(ge=6)]
    #: Expected rms error of scale and shear: a weak prior where stars are few.
    distortion_prior: Positive
    #: Measurements farther from the common position are left out [sigma].
    clip_sigma: Annotated[float, Field(ge=2)]
    #: Images that were not aligned and are not found either: leave_out gives them no part in skies,
    #: outliers and coadds, keep adds them as they point. Where no image of a region was aligned,
    #: all are kept.
    unaligned: Literal["leave_out", "keep"]


class Tile(Section):
    """Part of the sky that is made."""

    #: Side of one square around the middle of the exposures, on the official lattice [pixels];
    #: null makes every official cell that the exposures touch.
    cutout_pixels: Annotated[int, Field(ge=64)] | None
    #: Exposures that no steps of at most this lead to from the others are refused [deg]; null
    #: allows fields anywhere.
    linking_deg: Annotated[float, Field(gt=0, le=180)] | None
    #: Runs whose coadds hold more pixels than this, of all filters and groupings, are refused.
    maximum_gigapixels: Positive


class Cut(Section):
    """A bound on one number of an image's quality."""

    #: Column of `groupings.table`, or PA [deg] or START_MJD (UTC) of the exposure.
    column: str
    #: Images below or above are left out, and those of which the number is not known.
    minimum: float | None
    maximum: float | None
    #: Where they are left out; all of them are made.
    groupings: Annotated[tuple[Grouping, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _bounds_something(self) -> "Cut":
        if self.minimum is None and self.maximum is None:
            raise ValueError("both bounds are null, which cuts nothing; give one, or no such cut")
        if None not in (self.minimum, self.maximum) and self.minimum > self.maximum:  # type: ignore[operator]
            raise ValueError("the minimum is above the maximum, which no image can pass")
        return self


class Groupings(Section):
    """Which exposures are added together."""

    #: Each makes coadds and catalogs of its own; user is the whole run, for cuts of one's own.
    made: Annotated[tuple[Grouping, ...], Field(min_length=1)]
    #: Table of the quality of exposures or images: a column EXPOSURE, perhaps DETECTOR, and
    #: numbers.
    table: str | None
    cuts: tuple[Cut, ...]

    @field_validator("made")
    @classmethod
    def _once(cls, value: tuple[Grouping, ...]) -> tuple[Grouping, ...]:
        if len(set(value)) < len(value):
            raise ValueError("a grouping stands there twice")
        return value

    @model_validator(mode="after")
    def _cuts_of_what_is_made(self) -> "Groupings":
        for cut in self.cuts:
            for name in cut.groupings:
                if name not in self.made:
                    raise ValueError(
                        f"the cut on {cut.column} is for the grouping {name}, which is not made; "
                        f"add it to 'made' ( {', '.join(self.made)}), or take it from the cut"
                    )
        return self


class SkyMatch(Section):
    """Sky levels that make the images of a region agree."""

    #: Whether the sky of an image may be a plane; else it is one level.
    planes: bool


class Outliers(Section):
    """Search for what one image shows and the others do not: strict and loose numbers.

    A pixel is left out that is above the loose ones, and it or a neighbour above the strict ones.
    """

    #: Differences in errors of the pixel.
    signal_to_noise: tuple[Positive, Positive]
    #: Part of a point source's light that one pixel may hold more than the median of the images
    #: shows: cores of undersampled stars.
    core: tuple[NotNegative, NotNegative]
    #: Allowed difference over the range of the median among the pixels around.
    gradient: tuple[NotNegative, NotNegative]


class Coadd(Section):
    """Level 2 to Level 3."""

    #: Side of the drop over the side of the pixel.
    pixfrac: Annotated[float, Field(gt=0, le=1)]
    #: Side of the blocks that a patch is made in: of influence on memory alone [pixels].
    block_pixels: Annotated[int, Field(ge=64)]
    #: A new solution adds again what it changes by more than this: the sky level, over the noise of
    #: a pixel; the place of a pixel [lattice pixels]; the number of pixels that are left out.
    readd_sky_sigma: NotNegative
    readd_wcs_pixels: NotNegative
    readd_outliers: Count


class Detect(Section):
    """Detection on all bands together."""

    #: Side of the boxes in which the background is measured [pixels].
    background_box_pixels: Annotated[int, Field(ge=8)]
    #: Full width at half maximum of the matched kernel [pixels].
    kernel_fwhm_pixels: Positive
    #: Significance of a detected pixel of the smoothed image [sigma].
    threshold_sigma: Positive
    #: Smallest number of connected pixels.
    n_pixels: Annotated[int, Field(ge=1)]
    deblend: bool
    #: Share of a blend's flux that a peak above its saddle must have to be a source of its own.
    deblend_contrast: Fraction
    #: Peaks below this share of a bright neighbour's, falling with distance, are structure of
    #: its image and no sources; 0 keeps all.
    halo_contrast: Fraction


class Measure(Section):
    """Photometry of every band at the detections."""

    background_box_pixels: Annotated[int, Field(ge=8)]
    #: Pixels around detected sources that do not count as background.
    source_margin_pixels: Count


class Report(Section):
    """Quality of the run against truth and against the reference stars."""

    #: Truth table for Level 1 or telemetry of simulated origin; null where there is none.
    truth: str | None
    #: Number of apertures on empty sky.
    n_sky_apertures: Annotated[int, Field(ge=100)]
    #: Saturation level of the simulated detector above its pedestal [electrons], to tell which
    #: true sources cannot be measured.
    saturation_electrons: Positive


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

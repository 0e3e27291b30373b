"""What each value of a section of the configuration means and may be."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from tessella.environment import CpuLevel
from tessella.instrument.optical_elements import filters
from tessella.models import unread

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


class Match(Section):
    """Colours of bands that are made equally sharp."""

    #: RAD name of the filter to whose PSF the others are matched; null, or one that a tile was not
    #: seen in, takes the reddest of the tile.
    reference: str | None

    @field_validator("reference")
    @classmethod
    def _is_filter(cls, value: str | None) -> str | None:
        if value is not None and value not in filters():
            raise ValueError(f"{value} is no filter; expected one of {' '.join(filters())} or null")
        return value


class Report(Section):
    """Quality of the run against truth and against the reference stars."""

    #: Truth table for Level 1 or telemetry of simulated origin; null where there is none.
    truth: str | None
    #: Number of apertures on empty sky.
    n_sky_apertures: Annotated[int, Field(ge=100)]
    #: Saturation level of the simulated detector above its pedestal [electrons], to tell which
    #: true sources cannot be measured.
    saturation_electrons: Positive

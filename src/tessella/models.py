"""What the stages hand to each other: frozen dataclasses, free of files and formats.

Images are indexed ``[y, x]``, ramps ``[resultant, y, x]``. A *window* is the part of a
detector that was read; the outer four rows and columns of it are reference pixels.
"""

from collections.abc import Mapping
from dataclasses import astuple, dataclass, field
from typing import Any

import numpy as np

#: Width of the border of reference pixels on every side [pixels].
BORDER = 4
#: Side of the detector, reference pixels included [pixels].
DETECTOR_SIZE = 4096
#: Width of a readout channel [pixels]; windows start and end on channel edges.
CHANNEL_WIDTH = 128
#: Exposures that show the sky as an image.
IMAGING = ("WFI_IMAGE", "WFI_LOLO", "WFI_WFSC")
#: Those of them that are aligned with stars and added to tiles.
ALIGNED = ("WFI_IMAGE", "WFI_LOLO")
#: Exposures that see no light.
DARK_TYPES = ("WFI_IM_DARK", "WFI_SP_DARK")
#: RAD's exposure types.
EXPOSURE_TYPES = (*IMAGING, "WFI_SPECTRAL", "WFI_FLAT", "WFI_IM_DARK", "WFI_SP_DARK")


def rows_of(array: Any, first: int, stop: int) -> Any:
    """Return rows of an array, the last but one axis of which are rows; None stays None.

    Arrays on the disk (`tessella.io.disk_arrays`) have a method for it.
    """
    if array is None:
        return None
    return array.rows(first, stop) if hasattr(array, "rows") else array[..., first:stop, :]


@dataclass(frozen=True)
class Window:
    """The part of a detector that was read, in pixels of the 4096 x 4096 frame."""

    #: First column and row.
    x: int = 0
    y: int = 0
    #: Number of columns and rows, reference border included.
    nx: int = DETECTOR_SIZE
    ny: int = DETECTOR_SIZE

    def __post_init__(self) -> None:
        for name, value in (("x", self.x), ("y", self.y), ("nx", self.nx), ("ny", self.ny)):
            if value < 0 or value % CHANNEL_WIDTH:
                raise ValueError(
                    f"window: {name} is {value}, not a multiple of {CHANNEL_WIDTH} from 0 upwards"
                )
        if self.nx == 0 or self.ny == 0:
            raise ValueError("window: it has no pixels; nx and ny must be at least 128")
        if self.x + self.nx > DETECTOR_SIZE or self.y + self.ny > DETECTOR_SIZE:
            raise ValueError(
                f"window: {self.nx} x {self.ny} pixels from ({self.x}, {self.y}) "
                f"leave the {DETECTOR_SIZE} x {DETECTOR_SIZE} detector"
            )

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns, reference border included."""
        return self.ny, self.nx

    @property
    def active_shape(self) -> tuple[int, int]:
        """Rows and columns that see light; pixel (0, 0) of it is pixel (y, x) of the 4088 frame."""
        return self.ny - 2 * BORDER, self.nx - 2 * BORDER


@dataclass(frozen=True, order=True)
class ExposureKey:
    """The seven numbers that name an exposure."""

    program: int
    execution_plan: int
    pass_number: int
    segment: int
    observation: int
    visit: int
    exposure: int

    @property
    def visit_id(self) -> str:
        """The 19 digits of the visit."""
        return (
            f"{self.program:05d}{self.execution_plan:02d}{self.pass_number:03d}"
            f"{self.segment:03d}{self.observation:03d}{self.visit:03d}"
        )

    @property
    def name(self) -> str:
        """The stem of the exposure's file names.

        Examples
        --------
        >>> ExposureKey(1, 1, 1, 1, 1, 1, 1).name
        'r0000101001001001001_0001'
        """
        return f"r{self.visit_id}_{self.exposure:04d}"

    @property
    def seed(self) -> tuple[int, ...]:
        """Numbers that key random draws to this exposure."""
        return astuple(self)


@dataclass(frozen=True)
class Attitude:
    """Where one aperture points: its reference point (v2, v3) stands at (ra, dec), so rolled."""

    ra_ref: float
    dec_ref: float
    #: Position angle of the V3 axis at the reference point, east of north [deg].
    roll_ref: float
    #: Reference point in the telescope frame [arcsec].
    v2_ref: float
    v3_ref: float
    #: True over apparent distance from the reference point: differential velocity aberration.
    aberration: float = 1.0


@dataclass(frozen=True)
class PlannedExposure:
    """One exposure as it is known before any of its pixels."""

    key: ExposureKey
    optical_element: str
    ma_table_number: int
    #: UTC, ISO 8601.
    start_time: str
    #: Pointing of the centre of the instrument and its position angle [deg].
    ra: float
    dec: float
    pa: float
    #: Attitude of each detector that is used: (ra_ref, dec_ref, roll_ref, v2_ref, v3_ref).
    detectors: dict[str, tuple[float, ...]] = field(default_factory=dict)
    #: Files that hold it already: Level 2 or Level 1 by detector, or telemetry.
    level2: dict[str, str] = field(default_factory=dict)
    level1: dict[str, str] = field(default_factory=dict)
    telemetry: tuple[str, ...] = ()
    exposure_type: str = "WFI_IMAGE"
    #: Light of the lamp on every pixel of a simulated flat [electrons / s].
    lamp_rate: float = 0.0
    #: Detectors that sent a guide window.
    guided: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Stem of the file names of the exposure's products: visit, exposure."""
        return self.key.name

    @property
    def is_aligned(self) -> bool:
        """Tell whether it is aligned with stars and belongs to tiles."""
        return self.exposure_type in ALIGNED

    @property
    def is_for_calibration(self) -> bool:
        """Tell whether it is a dark or a flat."""
        return self.exposure_type in (*DARK_TYPES, "WFI_FLAT")

    @property
    def element(self) -> str:
        """Optical element as file names have it."""
        return self.optical_element.lower()


def exposure_of(entry: dict[str, Any]) -> PlannedExposure:
    """Return an exposure from what JSON made of it."""
    return PlannedExposure(
        **{
            **entry,
            "key": ExposureKey(**entry["key"]),
            "detectors": {name: tuple(numbers) for name, numbers in entry["detectors"].items()},
            "telemetry": tuple(entry["telemetry"]),
            "guided": tuple(entry["guided"]),
        }
    )


@dataclass(frozen=True)
class ExposureHeader:
    """What is known of an exposure besides its pixels."""

    key: ExposureKey
    #: RAD name, such as ``F158``.
    optical_element: str
    ma_table_number: int
    #: Start of the first science read, UTC, ISO 8601.
    start_time: str
    #: RAD exposure type.
    exposure_type: str
    #: Direction of the telescope's boresight as the spacecraft reports it [deg].
    ra_v1: float
    dec_v1: float
    pa_v3: float
    #: Where the centre of the instrument was told to point [deg].
    target_ra: float
    target_dec: float
    pa_aperture: float


@dataclass(frozen=True)
class GuideWindow:
    """A small part of a detector that is read many times during an exposure, to guide by."""

    #: First column and row in the 4096 x 4096 frame.
    x: int
    y: int
    #: (n_cycles, ny, nx) uint16, at most 1,024 pixels a cycle [DN].
    pixels: np.ndarray

    def __post_init__(self) -> None:
        _, ny, nx = self.pixels.shape
        if not 0 < nx * ny <= 1024:
            raise ValueError(f"guide window: {nx} x {ny} pixels; 1 to 1024 are allowed")
        if min(self.x, self.y) < 0 or max(self.x + nx, self.y + ny) > DETECTOR_SIZE:
            raise ValueError(
                f"guide window: {nx} x {ny} pixels from ({self.x}, {self.y}) "
                f"leave the {DETECTOR_SIZE} x {DETECTOR_SIZE} detector"
            )


def unread(x: int, y: int, n_cycles: int, ny: int, nx: int) -> GuideWindow:
    """Return a guide window whose pixels are zeros that take no memory.

    Examples
    --------
    >>> unread(10, 20, 3, 16, 32).pixels.shape
    (3, 16, 32)
    """
    return GuideWindow(x, y, np.broadcast_to(np.uint16(0), (n_cycles, ny, nx)))


@dataclass(frozen=True)
class Readout:
    """What one detector sends to the ground for one exposure, as unsigned 16-bit numbers."""

    detector: str
    window: Window
    #: (n_resultants, ny, nx): resultant - reference read + encoding offset [DN].
    data: np.ndarray
    #: (n_resultants, ny, 128): the reference output, encoded in the same way [DN].
    amp33: np.ndarray
    #: (ny, nx) and (ny, 128): the reference read, as it was measured [DN].
    reference_read: np.ndarray
    reference_amp33: np.ndarray
    #: Added on board to keep differences positive [DN].
    encoding_offset: int
    #: None where the detector has no guide window.
    guide: GuideWindow | None = None
    #: What simulated exposures left in traps, this one included
    #: (`tessella.detector.persistence_state.PersistenceState`); None without persistence.
    left: Any = None


@dataclass(frozen=True)
class Reliability:
    """What a user of an exposure that came through telemetry must know."""

    #: In words.
    problems: tuple[str, ...] = ()
    #: Share of its pixels that arrived (`tessella.telemetry.completeness`).
    completeness: float = 1.0
    #: Of the packets that it was made of, whatever their order and files (16 hexadecimal digits).
    version: str = ""
    #: False where the clock of the spacecraft jumped, or was not checked.
    clock_is_sound: bool = True

    def data_problem(self, complete_fraction: float) -> str | None:
        """Return all problems in one line; None where there are none.

        Parameters
        ----------
        complete_fraction : float
            An exposure of which a smaller share of the pixels arrived has a problem.

        Examples
        --------
        >>> Reliability(completeness=0.5).data_problem(0.9)
        'incomplete: 50.00 % of the pixels arrived'
        """
        problems = list(self.problems)
        if self.completeness < complete_fraction:
            problems.append(f"incomplete: {100 * self.completeness:.2f} % of the pixels arrived")
        return "; ".join(problems) or None


@dataclass(frozen=True)
class Ramp:
    """One detector of one exposure, or some rows of it: Level 1 with what calibration adds to it.

    Arrays of a whole detector may be ones of `tessella.io.disk_arrays`, which hold no pixels.
    """

    detector: str
    optical_element: str
    window: Window
    #: (n_resultants, ny, nx) [DN]; uint16 as stored, float32 once decoded.
    data: np.ndarray
    #: (n_resultants, ny, nx) uint8: flags of single resultants.
    resultant_dq: np.ndarray
    #: (n_resultants, ny, 128) [DN].
    amp33: np.ndarray
    #: Reads of each resultant, counted from 1.
    read_pattern: tuple[tuple[int, ...], ...]
    #: Time between reads [s].
    frame_time: float
    #: Where the telescope is believed to have pointed.
    attitude: Attitude
    #: (ny, nx) and (ny, 128) [DN]; None where no reference read was subtracted on board.
    reference_read: np.ndarray | None = None
    reference_amp33: np.ndarray | None = None
    #: (n_resultants, ny) uint8: flags of rows of the reference output; None where there are none.
    amp33_dq: np.ndarray | None = None
    #: Added on board [DN]; 0 where there is no reference read.
    encoding_offset: int = 0
    #: (ny, nx) uint32; None until the first calibration step.
    dq: np.ndarray | None = None
    #: x start, x stop, y start, y stop of the guide window in pixels of the window; or None.
    guide_window: tuple[int, int, int, int] | None = None
    #: RAD exposure type.
    exposure_type: str = "WFI_IMAGE"
    #: Row of the window at which `data` starts.
    first_row: int = 0
    #: (n, 3) int16: resultant, y, x in the window of what large events hit besides single jumps.
    large_events: np.ndarray | None = None
    #: Start of the exposure (UTC, modified Julian date); NaN where it is not known.
    start_mjd: float = np.nan
    #: What earlier exposures left (`tessella.detector.persistence_state.PersistenceState`); None
    #: where it is not known that there were any.
    persistence: Any = None

    @property
    def active_rows(self) -> slice:
        """Those of its rows that see light."""
        end = self.window.ny - BORDER - self.first_row
        n_rows = int(self.data.shape[1])
        return slice(min(max(BORDER - self.first_row, 0), n_rows), max(min(end, n_rows), 0))

    @property
    def known_dq(self) -> np.ndarray:
        """The flags `dq`, once they are gathered; it is an error to ask before."""
        if self.dq is None:
            raise ValueError(f"{self.detector}: flags are asked for before `dq_init` gathered them")
        return self.dq


@dataclass(frozen=True)
class Border:
    """The reference pixels of a ramp; mappings by side: left, right, bottom, top.

    Left and right are columns, (..., ny, 4), bottom and top rows, (..., 4, nx).
    """

    #: (n_resultants, ...) float32 absolute counts [DN], and uint8 flags of single resultants.
    counts: dict[str, np.ndarray]
    resultant_dq: dict[str, np.ndarray]
    #: uint32 flags of pixels.
    dq: dict[str, np.ndarray]
    #: (n_resultants, ny, 128) float32: reference output, absolute [DN].
    amp33: np.ndarray
    #: (n_resultants, ny) uint8: flags of its rows.
    amp33_dq: np.ndarray


@dataclass(frozen=True)
class Image:
    """A calibrated detector image of (ny, nx) active pixels; NaN where nothing was measured."""

    detector: str
    optical_element: str
    window: Window
    #: Slope [DN / s].
    data: np.ndarray
    #: uint32 flags.
    dq: np.ndarray
    #: Total uncertainty and its parts [DN / s] and [(DN / s)^2].
    err: np.ndarray
    var_poisson: np.ndarray
    var_rnoise: np.ndarray
    var_flat: np.ndarray
    #: Chi-squared of the slope fit.
    chisq: np.ndarray
    #: Slope with uniform weights minus slope with optimal weights [DN / s].
    dumo: np.ndarray
    #: (n, 3) int16: resultant, y, x of every jump that was found.
    jumps: np.ndarray
    #: Where the telescope is believed to have pointed, and the gwcs object that follows from it.
    attitude: Attitude
    wcs: Any = None
    #: Surface brightness of 1 DN / s [MJy / sr], its uncertainty, and the nominal pixel [sr].
    conversion_megajanskys: float = np.nan
    conversion_uncertainty: float = np.nan
    pixel_area_sr: float = np.nan
    #: uint16: number of resultants that the slope is made of, and the first saturated one, the
    #: number of resultants where a pixel never saturated; None in images of other origin.
    resultants_used: np.ndarray | None = None
    saturated_from: np.ndarray | None = None
    n_resultants: int = 0
    #: Charge at the end of the exposure [1000 electrons], float16, NaN where it is not known; None
    #: where persistence is not looked for.
    charge: np.ndarray | None = None
    #: Row of the active pixels at which the arrays of a block start; 0 in whole images.
    first_row: int = 0


@dataclass(frozen=True)
class Reference:
    """One calibration reference, cut to the window of the exposure."""

    #: RAD type in lower case, such as ``dark``, and the name of the file.
    reftype: str
    filename: str
    #: Numpy arrays, or arrays on the disk that give rows.
    arrays: Mapping[str, Any]
    #: Tables and numbers that are not arrays.
    values: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class WcsCorrection:
    """What a joint solution changes in the WCS of one image: a plane affine in V2V3.

    v' = v_ref + (1 + M) (v - v_ref) + s, after the velocity aberration.
    """

    #: s [arcsec].
    shift_v2: float = 0.0
    shift_v3: float = 0.0
    #: M: the matrix minus identity.
    m11: float = 0.0
    m12: float = 0.0
    m21: float = 0.0
    m22: float = 0.0


@dataclass(frozen=True)
class Lattice:
    """A rectangle of the pixel lattice of one projection region.

    The lattice lies in a tangent plane, x to the east and y to the north. Pixel (0, 0) is the
    centre of the first pixel; neighbouring rectangles of one region differ by whole pixels.
    """

    #: Tangent point of the region [deg].
    ra_tangent: float
    dec_tangent: float
    #: Tangent point in pixels of this rectangle.
    x_tangent: float
    y_tangent: float
    #: Side of a pixel at the tangent point [arcsec].
    pixel_scale_arcsec: float
    nx: int
    ny: int
    #: Official name of the sky cell that holds the rectangle's centre, and its region's number.
    skycell: str = ""
    region: int = -1

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.ny, self.nx

    @property
    def pixel_area_sr(self) -> float:
        """Solid angle of a pixel [sr]."""
        return (self.pixel_scale_arcsec * np.pi / 648000) ** 2


@dataclass(frozen=True)
class Mosaic:
    """A coadd of one tile and one filter, (ny, nx); NaN where no exposure contributes."""

    lattice: Lattice
    optical_element: str
    #: Surface brightness and its uncertainty [MJy / sr]; the parts of its variance [(MJy / sr)^2].
    data: np.ndarray
    err: np.ndarray
    var_poisson: np.ndarray
    var_rnoise: np.ndarray
    #: Sum of weights; 0 where no exposure contributes.
    weight: np.ndarray
    #: (n_planes, ny, nx) uint32: bit k of plane j is set where input 32 j + k contributes.
    context: np.ndarray
    #: Exposure time of each pixel [s].
    exposure_time: np.ndarray
    #: (2 n + 1, 2 n + 1): correlation of the noise of two pixels by their offset; 1 in the middle.
    noise_correlation: np.ndarray
    #: Stems of the input images, in the order of the context bits.
    members: tuple[str, ...] = ()
    meta: dict[str, Any] = field(default_factory=dict)

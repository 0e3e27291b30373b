"""What a Level 2 file of any origin says of itself, before any of its pixels is read.

Our own files, those of the official pipeline and those of romanisim differ in what they hold:
docs/level3.md lists it. Here they become alike, or are refused with the keyword that is at fault.
"""

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from astropy.time import Time
from gwcs.wcs import WCS

from tessella.astrometry.given_wcs import (
    agrees,
    attitude_of_wcs,
    in_official_frames,
    separation,
)
from tessella.astrometry.pixel_area import nominal_pixel_area_arcsec2
from tessella.instrument.optical_elements import optical_elements
from tessella.instrument.siaf import DETECTORS
from tessella.io.asdf_files import open_roman, plain
from tessella.io.exposure_meta import read_attitude
from tessella.io.keywords import key_of, keyword_of, number_of, refused, time_of
from tessella.models import EXPOSURE_TYPES, Attitude, ExposureKey, Window

log = logging.getLogger(__name__)
#: Parts of the variance that a file may hold; where our own keep them in single precision.
VARIANCES = ("var_poisson", "var_rnoise", "var_flat")
SINGLE = "single_precision"
#: Arrays that every file must have.
_REQUIRED = ("data", "dq", "err", "var_poisson")
_PIXEL_ARRAYS = (*_REQUIRED, "var_rnoise", "var_flat")
#: A pixel's solid angle differs from the nominal one by less than this factor.
_AREA_FACTOR = 1.5
#: Longest exposure that is believed [s]; conversions [MJy / sr] of 1 DN / s lie within the bounds.
_LONGEST, _CONVERSIONS = 1e5, (1e-3, 1e3)
#: Keywords and transformation that disagree by more are not believed [deg]; the instrument is
#: 0.8 deg wide, and simulators have its detectors elsewhere by a tenth of that.
_CONTRADICTION = 1.0
_ARCSEC2 = (math.pi / 648000) ** 2


@dataclass(frozen=True)
class Level2About:
    """All that is known of a Level 2 image besides its pixels."""

    path: Path
    #: Stem of its products: exposure, detector and optical element.
    name: str
    key: ExposureKey
    detector: str
    optical_element: str
    exposure_type: str
    ma_table_number: int
    #: UTC.
    start_time: Time
    #: [s]
    exposure_time: float
    effective_exposure_time: float
    #: Rows and columns.
    shape: tuple[int, int]
    #: Its first pixel is pixel (window.y, window.x) of the 4088 frame.
    window: Window
    #: Whether `data` is surface brightness [MJy / sr]; else it is [DN / s].
    is_surface_brightness: bool
    #: Surface brightness [MJy / sr] of 1 in the unit of its arrays, and its uncertainty (NaN: not
    #: known); 1 where they are surface brightness.
    conversion: float
    conversion_uncertainty: float
    #: Nominal pixel [sr].
    pixel_area_sr: float
    #: Type of numbers of each part of the variance that the file holds, such as float16.
    variances: dict[str, str]
    #: Of each step by its official name.
    status: dict[str, str]
    #: Where the aperture of its detector points.
    attitude: Attitude
    #: To ICRS [deg], in the frames of `tessella.astrometry.gwcs_model`.
    wcs: WCS
    #: All its metadata as plain dictionaries; without `wcs`.
    meta: dict[str, Any]

    @property
    def holds_single_precision(self) -> bool:
        """Tell whether its variances are more than official half-precision numbers."""
        return set(self.variances.values()) == {"float32"}


def read_about(path: str | Path, window: Window | None = None) -> Level2About:
    """Read what a Level 2 file says of itself; its pixels are not read.

    Parameters
    ----------
    path : path
    window : Window, optional
        The part of the detector that the file must hold. Our own files say which one it is;
        files of other origin must hold whole detectors.

    Raises
    ------
    DataError
        If the file is not whole, or a keyword or array is missing or cannot be; the message names
        file, keyword, what was found and what was expected.
    """
    with open_roman(path, with_arrays=False) as roman:
        return about_of(Path(path), roman, window)


def kind_of(path: Path, roman: Any) -> str:
    """Tell which type of exposure an open file is of, without a look at anything else."""
    kind = str(keyword_of(path, roman.get("meta"), "exposure.type"))
    if kind not in EXPOSURE_TYPES:
        expected = f"one of {' '.join(EXPOSURE_TYPES)}"
        raise refused(path, "meta.exposure.type", kind, expected)
    return kind


def about_of(path: Path, roman: Any, window: Window | None = None) -> Level2About:
    """Tell what an open file says of itself: `read_about`."""
    meta = roman.get("meta")
    if not hasattr(meta, "items"):
        raise refused(path, "meta", meta, "the metadata of a Level 2 image")
    wcs = meta.get("wcs")
    told = plain({key: value for key, value in meta.items() if key != "wcs"})
    keyword = partial(keyword_of, path, told)
    number = partial(number_of, path, told)
    detector = str(keyword("instrument.detector"))
    if detector not in DETECTORS:
        raise refused(path, "meta.instrument.detector", detector, "WFI01 to WFI18")
    element = str(keyword("instrument.optical_element"))
    if element not in optical_elements():
        expected = f"one of {' '.join(optical_elements())}"
        raise refused(path, "meta.instrument.optical_element", element, expected)
    kind = kind_of(path, roman)
    shape = _shape(path, roman)
    held = _window(path, told, shape, window)
    status = {str(k): str(v) for k, v in (told.get("cal_step") or {}).items()}
    is_bright = _is_surface_brightness(roman["data"], status)
    key = key_of(path, told)
    attitude, to_sky = _pointing(path, told, wcs, detector, held)
    conversion, uncertainty = (1.0, math.nan) if is_bright else _conversion(path, told)
    return Level2About(
        path=path,
        name=f"{key.name}_{detector.lower()}_{element.lower()}",
        key=key,
        detector=detector,
        optical_element=element,
        exposure_type=kind,
        ma_table_number=int(number("exposure.ma_table_number", -1, 10**6)),
        start_time=time_of(path, keyword("exposure.start_time")),
        exposure_time=number("exposure.exposure_time", 0, _LONGEST),
        effective_exposure_time=number("exposure.effective_exposure_time", 0, _LONGEST),
        shape=shape,
        window=held,
        is_surface_brightness=is_bright,
        conversion=conversion,
        conversion_uncertainty=uncertainty,
        pixel_area_sr=_pixel_area(path, told, detector),
        variances=_variances(roman),
        status=status,
        attitude=attitude,
        wcs=to_sky,
        meta=told,
    )


def _shape(path: Path, roman: Any) -> tuple[int, int]:
    for name in _REQUIRED:
        if name not in roman:
            raise refused(path, name, "no such array", "an image; a Level 2 file needs it")
    shape = tuple(int(n) for n in roman["data"].shape)
    if len(shape) != 2:
        raise refused(path, "data", f"{len(shape)} axes", "rows and columns")
    for name in _PIXEL_ARRAYS:
        if name in roman and tuple(roman[name].shape) != shape:
            raise refused(path, name, f"shape {tuple(roman[name].shape)}", f"{shape}, as data has")
    return shape[0], shape[1]


def _window(
    path: Path, meta: Mapping[str, Any], shape: tuple[int, int], expected: Window | None
) -> Window:
    own = (meta.get("tessella") or {}).get("window")
    held = Window() if own is None else Window(**own)
    if shape != held.active_shape:
        hint = " (without the reference pixels)" if shape == Window().shape else ""
        if own is None:
            hint += "; files of other origin must hold whole detectors"
        raise refused(path, "data", f"shape {shape}", f"{held.active_shape}{hint}")
    if expected is not None and held != expected:
        raise refused(
            path,
            "meta.tessella.window",
            f"{held.nx} x {held.ny} pixels from ({held.x}, {held.y})",
            f"{expected.nx} x {expected.ny} from ({expected.x}, {expected.y}), as 'window' says",
        )
    return held


def _is_surface_brightness(data: Any, status: Mapping[str, str]) -> bool:
    """Tell whether the unit is MJy / sr: a step says so, in older files the unit of the array."""
    unit = str(getattr(data, "unit", "")).replace(" ", "")
    return status.get("flux") == "COMPLETE" or unit == "MJy/sr"


def _conversion(path: Path, meta: Mapping[str, Any]) -> tuple[float, float]:
    name = "photometry.conversion_megajanskys"
    signed = number_of(path, meta, name, -_CONVERSIONS[1], _CONVERSIONS[1])
    if abs(signed) < _CONVERSIONS[0]:
        expected = f"{_CONVERSIONS[0]:g} to {_CONVERSIONS[1]:g} MJy / sr for 1 DN / s"
        raise refused(path, f"meta.{name}", signed, expected)
    if signed < 0:
        log.warning("%s: meta.%s is %g: its absolute value is used", path, name, signed)
    found = (meta.get("photometry") or {}).get(f"{name.split('.')[1]}_uncertainty")
    uncertainty = math.nan if found is None else abs(float(getattr(found, "value", found)))
    return abs(signed), uncertainty


def _pixel_area(path: Path, meta: Mapping[str, Any], detector: str) -> float:
    name = "photometry.pixel_area"
    nominal = nominal_pixel_area_arcsec2(detector) * _ARCSEC2
    signed = number_of(path, meta, name, -math.inf, math.inf)
    if not nominal / _AREA_FACTOR < abs(signed) < nominal * _AREA_FACTOR:
        raise refused(path, f"meta.{name}", f"{signed:g} sr", f"about {nominal:.3g} sr")
    if signed < 0:
        log.warning("%s: meta.%s is %g: its absolute value is used", path, name, signed)
    return abs(signed)


def _variances(roman: Any) -> dict[str, str]:
    single = roman.get(SINGLE) or {}
    held = {name: roman[name] for name in VARIANCES if name in roman}
    held |= {name: single[name] for name in VARIANCES if name in single}
    return {name: str(array.dtype) for name, array in held.items()}


def _pointing(
    path: Path, meta: Mapping[str, Any], wcs: Any, detector: str, window: Window
) -> tuple[Attitude, WCS]:
    """Take what keywords and transformation agree on, else what the transformation says."""
    if not isinstance(wcs, WCS):
        raise refused(path, "meta.wcs", "nothing" if wcs is None else type(wcs).__name__, "a gwcs")
    _check_box(path, wcs, window)
    try:
        said = read_attitude(meta)
    except (KeyError, TypeError, ValueError):
        said = None
    if said is not None and agrees(wcs, said, detector, window):
        return said, wcs
    attitude = attitude_of_wcs(wcs, detector, window)
    if not math.isfinite(attitude.ra_ref + attitude.dec_ref + attitude.roll_ref):
        raise refused(path, "meta.wcs", "no place on the sky for the image's middle", "one")
    # Placeholders of numbers that are not known are no directions.
    if said is not None and abs(said.dec_ref) <= 90:
        apart = separation(said, attitude)
        if apart > _CONTRADICTION:
            raise refused(
                path,
                "meta.wcs",
                f"the aperture at ({attitude.ra_ref:.4f}, {attitude.dec_ref:.4f}) deg",
                f"it within {_CONTRADICTION:g} deg of where meta.wcsinfo has it, not {apart:.2f}",
            )
    return attitude, in_official_frames(wcs, attitude, detector, window)


def _check_box(path: Path, wcs: WCS, window: Window) -> None:
    """Refuse a transformation made for an image of another size."""
    if wcs.bounding_box is None:
        return
    ny, nx = window.active_shape
    for axis, n in enumerate((nx, ny)):
        interval = wcs.bounding_box.intervals[axis]
        found = float(interval.lower), float(interval.upper)
        # romanisim's ends a pixel late.
        if abs(found[0] + 0.5) > 1 or abs(found[1] - n + 0.5) > 1:
            raise refused(
                path,
                f"meta.wcs.bounding_box, axis {axis}",
                f"{found[0]:g} to {found[1]:g}",
                f"-0.5 to {n - 0.5:g}: a transformation for the pixels that the file holds",
            )

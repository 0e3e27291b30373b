"""Steps on images: from slopes to calibrated ones, on the sky."""

from dataclasses import dataclass, replace

import numpy as np

from tessella.astrometry.gwcs_model import build_gwcs
from tessella.detector.dark import subtract_dark
from tessella.detector.flat import divide_by_flat
from tessella.detector.persistence import (
    charge_at_end,
    flag_persistence,
    subtract_persistence,
    typical_weights,
)
from tessella.detector.persistence_state import predict
from tessella.errors import DataError
from tessella.instrument.optical_elements import filters
from tessella.models import (
    Image,
    rows_of,
)
from tessella.ramps.timing import mean_times
from tessella.steps.frame import Frame, References


def correct_dark(image: Image, references: References) -> Image:
    """Subtract the dark current."""
    dark = references["dark"].arrays
    data, dq = subtract_dark(image.data, image.dq, dark["dark_slope"], dark["dq"])
    return replace(image, data=data, dq=dq)


_TYPICAL_ROWS = 64


@dataclass(frozen=True)
class Leak:
    """What earlier exposures let leak into an exposure."""

    #: (ny, nx) float32 [electrons / s] of the active pixels; NaN where it is not known.
    current: np.ndarray
    #: From the reset to the last read [s].
    exposure_time: float


def predict_leak(
    frame: Frame,
    references: References,
    threshold_electrons_per_s: float,
    subtract: bool,
    full_well_electrons: float,
) -> Leak:
    """Predict the current that earlier exposures cause in the slopes of this one."""
    ramp = frame.ramp
    exposure_time = ramp.read_pattern[-1][-1] * ramp.frame_time
    if ramp.persistence is None:
        return Leak(np.zeros(ramp.window.active_shape, np.float32), exposure_time)
    if len(ramp.read_pattern) == 1:
        edges = ramp.start_mjd + np.array([0.0, exposure_time]) / 86400
        return Leak(predict(ramp.persistence, edges), exposure_time)
    edges = ramp.start_mjd + mean_times(ramp.read_pattern, ramp.frame_time) / 86400
    # The middle rows stand for all: weights hardly depend on rate and noise.
    first = (ramp.window.ny - _TYPICAL_ROWS) // 2
    stored, gain, noise = (
        rows_of(array, first, first + _TYPICAL_ROWS)
        for array in (
            ramp.data,
            *(references[name].arrays["data"] for name in ("gain", "readnoise")),
        )
    )
    weights = typical_weights(stored, gain, noise, ramp.read_pattern, ramp.frame_time)
    return Leak(predict(ramp.persistence, edges, weights), exposure_time)


def correct_persistence(
    image: Image,
    references: References,
    measured: Leak,
    threshold_electrons_per_s: float,
    subtract: bool,
    full_well_electrons: float,
) -> Image:
    """Flag what earlier exposures left, subtract it if asked to, and note what this one leaves."""
    gain = references["gain"].arrays["data"]
    leak = measured.current[image.first_row : image.first_row + len(image.data)]
    return replace(
        image,
        data=subtract_persistence(image.data, leak, gain) if subtract else image.data,
        dq=flag_persistence(image.dq, leak, threshold_electrons_per_s),
        charge=charge_at_end(
            image.data, image.dq, gain, measured.exposure_time, full_well_electrons
        ),
    )


def assign_wcs(image: Image, references: References) -> Image:
    """Attach the transformation from pixels to the sky."""
    distortion = None
    if "distortion" in references:
        distortion = references["distortion"].values["transform"]
    wcs = build_gwcs(image.attitude, image.detector, image.window, distortion=distortion)
    return replace(image, wcs=wcs)


def calibrate_photometry(image: Image, references: References) -> Image:
    """Attach the zero point, NaN where none is known; the pixels stay in DN / s.

    Raises
    ------
    DataError
        If the reference has no row for an imaging filter.
    """
    photom = references["photom"]
    row = photom.values.get(image.optical_element, {})
    if not row and image.optical_element in filters():
        raise DataError(
            f"{photom.filename}: phot_table has no row for {image.optical_element}, it has "
            f"{', '.join(photom.values)}; list a file that has one in the table of references"
        )
    area = row.get("pixelareasr")
    if area is None and "area" in references:
        area = references["area"].values["pixelarea_steradians"]
    return replace(
        image,
        conversion_megajanskys=_number(row.get("photmjsr")),
        conversion_uncertainty=_number(row.get("uncertainty")),
        pixel_area_sr=_number(area),
    )


def _number(value: float | None) -> float:
    """Return NaN for what a reference leaves open."""
    return np.nan if value is None else float(value)


def correct_flat(image: Image, references: References) -> Image:
    """Divide by the response of each pixel."""
    flat = references["flat"].arrays
    return divide_by_flat(image, flat["data"], flat["err"], flat["dq"])

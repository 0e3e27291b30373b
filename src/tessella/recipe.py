"""The exposure pipeline as one table: what happens to a ramp, in this order, until it is an image.

Order is physics and stands here; what is skipped, and with which numbers a step works, is
configuration. The rule, the script, the configuration, the provenance, the documents and a
contract test all read `LEVEL2_STEPS`.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tessella import flags
from tessella.astrometry.gwcs_model import build_gwcs
from tessella.detector.dark import subtract_dark
from tessella.detector.dark_decay import subtract_dark_decay
from tessella.detector.encoding import decode_block, guide_window_flags
from tessella.detector.flat import divide_by_flat
from tessella.detector.integral_nonlinearity import tabulate
from tessella.detector.linearity import linearize
from tessella.detector.reference_noise import Coefficients, coefficients_of_window
from tessella.detector.reference_pixels import Drift, measure_drift, subtract_drift
from tessella.detector.reference_series import BorderPixels
from tessella.detector.saturation import first_saturated, flag_from, flag_saturated, grow
from tessella.detector.snowballs import expand_snowballs
from tessella.detector.wfi18_transient import (
    Transient,
    correct_first_resultant,
    fit_transient,
    row_residuals,
)
from tessella.models import (
    BORDER,
    CHANNEL_WIDTH,
    EXPOSURE_TYPES,
    IMAGING,
    Border,
    Image,
    Ramp,
    Reference,
    rows_of,
)
from tessella.ramps.likelihood import fit_slopes
from tessella.ramps.resultant_flags import GatheredFlags, gather_flags
from tessella.ramps.timing import difference_timing, mean_times

References = Mapping[str, Reference]
Exposure = Ramp | Image


# ASSUME: what saturates after fewer counts than this was hit; a star needs some 50,000.
_DARK_BEFORE_DN = 1e4


@dataclass(frozen=True)
class Frame:
    """What a step sees that measures something of the whole detector."""

    #: As it was stored.
    ramp: Ramp
    border: Border
    #: All of the detector, in blocks of rows from the first one on, as the steps before leave it.
    blocks: Callable[[], Iterator[Ramp]] = field(default=lambda: iter(()))
    #: Of no influence on what is measured.
    n_threads: int = 1


@dataclass(frozen=True)
class Step:
    """One row of the pipeline."""

    #: Name in configuration and documents, and the keyword of its status in `meta.cal_step`.
    name: str
    status: str
    #: ``function(exposure, references, **options)`` returns the exposure of the next step.
    function: Callable[..., Any]
    #: RAD types of the references it needs, and of those that it uses if there are any.
    references: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    #: Flags it may set.
    sets: tuple[str, ...] = ()
    #: ``rows``: works on some rows of a detector; ``image``: on the whole image, not its pixels.
    scope: str = "rows"
    #: ``measure(frame, references, **options)``: what ``function`` gets as ``measured``.
    measure: Callable[..., Any] | None = None
    #: ``look_again(image, ramp, **options)``: events because of which rows are made once more.
    look_again: Callable[..., np.ndarray] | None = None
    #: False where the next step cannot work without it.
    may_skip: bool = True
    exposure_types: tuple[str, ...] = EXPOSURE_TYPES
    #: The only detector that it is for; empty for all.
    detector: str = ""

    def serves(self, ramp: Ramp) -> bool:
        """Tell whether an exposure of a detector needs the step."""
        return ramp.exposure_type in self.exposure_types and self.detector in ("", ramp.detector)


def initialize_quality(ramp: Ramp, references: References) -> Ramp:
    """Make absolute counts of what was sent, and gather the flags that are known beforehand."""
    data, resultant_dq = decode_block(
        ramp.data, ramp.resultant_dq, ramp.reference_read, ramp.encoding_offset
    )
    n_rows, n_columns = data.shape[1:]
    guide_window = guide_window_flags(
        (ramp.window.ny, n_columns), ramp.guide_window, ramp.first_row, n_rows
    )
    return replace(
        ramp,
        data=data,
        resultant_dq=resultant_dq,
        dq=references["mask"].arrays["dq"] | guide_window,
        reference_read=None,
        encoding_offset=0,
    )


def flag_saturation(
    ramp: Ramp, references: References, grow_pixels: int, measured: np.ndarray | None
) -> Ramp:
    """Flag the resultants in which a pixel no longer counts."""
    threshold = references["saturation"].arrays
    resultant_dq, dq = flag_saturated(
        ramp.data,
        ramp.resultant_dq,
        ramp.known_dq | threshold["dq"],
        threshold["data"],
        ramp.read_pattern,
    )
    if measured is not None:
        rows = slice(ramp.first_row, ramp.first_row + ramp.data.shape[1])
        resultant_dq = flag_from(resultant_dq, measured[rows])
    return replace(ramp, resultant_dq=resultant_dq, dq=dq)


def measure_saturation(frame: Frame, references: References, grow_pixels: int) -> np.ndarray | None:
    """Find from where on charge of saturated pixels spills over, if that is asked for."""
    if not grow_pixels:
        return None
    threshold = references["saturation"].arrays["data"]
    first = []
    for block in frame.blocks():
        rows = rows_of(threshold, block.first_row, block.first_row + block.data.shape[1])
        flagged, _ = flag_saturated(
            block.data, block.resultant_dq, block.known_dq, rows, block.read_pattern
        )
        first.append(first_saturated(flagged))
    return grow(np.concatenate(first), grow_pixels)


def measure_reference_pixels(frame: Frame, references: References) -> Drift:
    """Measure the drift of the electronics on the pixels that see no light."""
    border, window = frame.border, frame.ramp.window
    coefficients = None
    if "refpix" in references:
        arrays = references["refpix"].arrays
        whole = Coefficients(*(np.asarray(arrays[name]) for name in ("gamma", "zeta", "alpha")))
        coefficients = coefficients_of_window(whole, window)
    first_channel = window.x // CHANNEL_WIDTH
    return measure_drift(_usable(border), coefficients, first_channel, frame.n_threads)


def _usable(border: Border) -> BorderPixels:
    """Return the counts of reference pixels that may be used; NaN for the others."""
    bad = flags.BAD_REF_PIXEL | flags.DO_NOT_USE
    lost = flags.DO_NOT_USE | flags.DROPOUT

    def counts(side: str) -> np.ndarray:
        values, resultant_dq, dq = border.counts[side], border.resultant_dq[side], border.dq[side]
        good = ((resultant_dq & lost) == 0) & ((dq & bad) == 0)
        return np.where(good, values, np.nan).astype(np.float32)

    # A row is lost with its reference output: they are sent together.
    row_lost = ((border.resultant_dq["left"] & lost) != 0).all(axis=2) & (
        (border.resultant_dq["right"] & lost) != 0
    ).all(axis=2)
    amp33 = np.where(row_lost[..., None], np.nan, border.amp33).astype(np.float32)
    sides = {side: counts(side) for side in ("left", "right", "bottom", "top")}
    return BorderPixels(**sides, amp33=amp33)


def correct_reference_pixels(ramp: Ramp, references: References, measured: Drift) -> Ramp:
    """Remove the drift of the electronics that the reference pixels show."""
    return replace(ramp, data=subtract_drift(ramp.data, measured, ramp.first_row))


def correct_dark_decay(ramp: Ramp, references: References) -> Ramp:
    """Subtract the electronic signal with which every exposure starts."""
    row = references["darkdecaysignal"].values[ramp.detector]
    data = subtract_dark_decay(
        ramp.data,
        row["amplitude"],
        row["time_constant"],
        ramp.read_pattern,
        ramp.detector,
        ramp.window,
        ramp.frame_time,
        ramp.first_row,
    )
    return replace(ramp, data=data)


def measure_transient(frame: Frame, references: References) -> Transient | None:
    """Measure the transient of the first resultant of WFI18; None where it cannot be told."""
    ramp = frame.ramp
    rows = [
        row_residuals(
            block.data,
            block.resultant_dq,
            block.known_dq,
            ramp.read_pattern,
            ramp.frame_time,
            ramp.window,
            block.first_row,
        )
        for block in frame.blocks()
    ]
    residual, error = (np.concatenate(values) for values in zip(*rows, strict=True))
    return fit_transient(residual, error, ramp.window, ramp.frame_time)


def correct_transient(ramp: Ramp, references: References, measured: Transient | None) -> Ramp:
    """Subtract the transient, or flag the rows that it spoils."""
    data, resultant_dq = ramp.data.copy(), ramp.resultant_dq.copy()
    data[0], resultant_dq[0] = correct_first_resultant(
        data[0],
        resultant_dq[0],
        measured,
        ramp.detector,
        ramp.window,
        ramp.frame_time,
        ramp.first_row,
    )
    return replace(ramp, data=data, resultant_dq=resultant_dq)


def tabulate_converter(frame: Frame, references: References) -> Any:
    """Prepare the tables of the converter, where they are known."""
    if "integralnonlinearity" not in references:
        return None
    arrays = references["integralnonlinearity"].arrays
    return tabulate(np.asarray(arrays["value"]), np.asarray(arrays["correction"]))


def correct_linearity(ramp: Ramp, references: References, measured: Any) -> Ramp:
    """Make the counts proportional to the charge, read by read."""
    linearity = references["linearity"].arrays
    data, resultant_dq, dq = linearize(
        ramp.data,
        ramp.resultant_dq,
        ramp.known_dq | linearity["dq"],
        linearity["coeffs"],
        measured,
        ramp.read_pattern,
        ramp.window.x,
    )
    return replace(ramp, data=data, resultant_dq=resultant_dq, dq=dq)


def fit_ramps(
    ramp: Ramp,
    references: References,
    rejection_threshold: float | None,
    expand_large_events: bool,
) -> Image:
    """Turn each pixel's ramp into a slope, leaving out what saturated, was lost or was hit."""
    active = (..., ramp.active_rows, slice(BORDER, -BORDER))
    gain, read_noise = (references[name].arrays["data"][active] for name in ("gain", "readnoise"))
    fit = fit_slopes(
        ramp.data[active],
        _with_large_events(ramp)[active],
        gain,
        read_noise,
        difference_timing(ramp.read_pattern, ramp.frame_time),
        np.array([len(reads) > 1 for reads in ramp.read_pattern]),
        rejection_threshold,
        references["dark"].arrays["dark_slope"][active],
        noise_from_neighbours=True,
    )
    seen = gather_flags(fit.resultant_dq)
    y, x = np.nonzero(seen.in_any & flags.JUMP_DET)
    i, hit = np.nonzero(fit.resultant_dq[:, y, x] & flags.JUMP_DET)
    jumps = np.stack([i, y[hit] + ramp.first_row + ramp.active_rows.start - BORDER, x[hit]], axis=1)
    single = {
        name: getattr(fit, name).astype(np.float32)
        for name in ("var_poisson", "var_rnoise", "chisq", "dumo")
    }
    return Image(
        detector=ramp.detector,
        optical_element=ramp.optical_element,
        window=ramp.window,
        data=fit.slope.astype(np.float32),
        dq=_image_flags(ramp.known_dq[active], seen, fit.slope, gain),
        err=np.sqrt(fit.var_poisson + fit.var_rnoise).astype(np.float32),
        **single,
        var_flat=np.zeros(fit.slope.shape, np.float32),
        jumps=jumps.astype(np.int16),
        resultants_used=seen.n_used,
        saturated_from=seen.saturated_from,
        n_resultants=len(fit.resultant_dq),
        attitude=ramp.attitude,
    )


def find_large_events(
    image: Image, ramp: Ramp, rejection_threshold: float | None, expand_large_events: bool
) -> np.ndarray:
    """Find what snowballs touch besides the jumps that were found, (n, 3) in the window."""
    if not expand_large_events or rejection_threshold is None:
        return np.zeros((0, 3), np.int16)
    assert image.saturated_from is not None, "slopes are fitted before this"
    n = image.n_resultants
    time = np.append(mean_times(ramp.read_pattern, ramp.frame_time), 0)
    core = image.saturated_from.copy()
    y, x = np.nonzero(core < n)
    # Stars saturate as well, and the pixels around them then jump: they were bright before.
    bright = ~(image.data[y, x] * time[core[y, x]] < _DARK_BEFORE_DN)
    core[y[bright], x[bright]] = n
    found = expand_snowballs(image.jumps, core, n)
    return found + np.array([0, BORDER, BORDER], np.int16)


def _with_large_events(ramp: Ramp) -> np.ndarray:
    """Return the flags of resultants with JUMP_DET where large events were found."""
    if ramp.large_events is None or not len(ramp.large_events):
        return ramp.resultant_dq
    resultant_dq = ramp.resultant_dq.copy()
    i, y, x = ramp.large_events.T
    resultant_dq[i, y - ramp.first_row, x] |= flags.JUMP_DET
    return resultant_dq


def _image_flags(
    dq: np.ndarray, seen: GatheredFlags, slope: np.ndarray, gain: np.ndarray
) -> np.ndarray:
    """Tell of jumps and losses in any resultant, of saturation in all of them."""
    # ASSUME: a pixel that saturates in the second resultant has no slope worth having.
    saturated = (seen.saturated_from <= 1) | ((seen.in_all & flags.SATURATED) != 0)
    return (
        dq
        | (seen.in_any & (flags.JUMP_DET | flags.DROPOUT)).astype(np.uint32)
        | np.where(saturated, flags.SATURATED, 0)
        | np.where(~np.isfinite(slope), flags.DO_NOT_USE, 0)
        | np.where(~(gain > 0), flags.NO_GAIN_VALUE | flags.DO_NOT_USE, 0)
    ).astype(np.uint32)


def correct_dark(image: Image, references: References) -> Image:
    """Subtract the dark current."""
    dark = references["dark"].arrays
    data, dq = subtract_dark(image.data, image.dq, dark["dark_slope"], dark["dq"])
    return replace(image, data=data, dq=dq)


def assign_wcs(image: Image, references: References) -> Image:
    """Attach the transformation from pixels to the sky."""
    return replace(image, wcs=build_gwcs(image.attitude, image.detector, image.window))


def calibrate_photometry(image: Image, references: References) -> Image:
    """Attach the zero point; the pixels stay in DN / s."""
    row = references["photom"].values[image.optical_element]
    return replace(
        image,
        conversion_megajanskys=float(row["photmjsr"]),
        conversion_uncertainty=float(row["uncertainty"]),
        pixel_area_sr=float(row["pixelareasr"]),
    )


def correct_flat(image: Image, references: References) -> Image:
    """Divide by the response of each pixel."""
    flat = references["flat"].arrays
    return divide_by_flat(image, flat["data"], flat["err"], flat["dq"])


LEVEL2_STEPS = (
    Step(
        "dq_init",
        "dq_init",
        initialize_quality,
        ("mask",),
        sets=("DO_NOT_USE", "GW_AFFECTED_DATA"),
        may_skip=False,
    ),
    Step(
        "saturation",
        "saturation",
        flag_saturation,
        ("saturation",),
        sets=("SATURATED", "AD_FLOOR", "DO_NOT_USE", "NO_SAT_CHECK"),
        measure=measure_saturation,
    ),
    Step(
        "reference_pixels",
        "refpix",
        correct_reference_pixels,
        optional=("refpix",),
        measure=measure_reference_pixels,
    ),
    Step("dark_decay", "dark_decay", correct_dark_decay, ("darkdecaysignal",)),
    Step(
        "wfi18_transient",
        "wfi18_transient",
        correct_transient,
        sets=("DO_NOT_USE", "WFI18_TRANSIENT"),
        measure=measure_transient,
        detector="WFI18",
    ),
    Step(
        "linearity",
        "linearity",
        correct_linearity,
        ("linearity",),
        optional=("integralnonlinearity",),
        sets=("NO_LIN_CORR", "DO_NOT_USE"),
        measure=tabulate_converter,
    ),
    Step(
        "slopes",
        "ramp_fit",
        fit_ramps,
        ("gain", "readnoise", "dark"),
        sets=("JUMP_DET", "SATURATED", "DROPOUT", "DO_NOT_USE", "NO_GAIN_VALUE"),
        look_again=find_large_events,
        may_skip=False,
    ),
    Step("dark", "dark", correct_dark, ("dark",)),
    Step("wcs", "assign_wcs", assign_wcs, scope="image", may_skip=False),
    Step("photometry", "photom", calibrate_photometry, ("photom",), scope="image", may_skip=False),
    Step(
        "flat",
        "flat_field",
        correct_flat,
        ("flat",),
        sets=("NO_FLAT_FIELD", "DO_NOT_USE"),
        exposure_types=IMAGING,
    ),
)


def level2_references(exposure_type: str = "WFI_IMAGE") -> tuple[str, ...]:
    """List the reference types that the pipeline needs for exposures of a type.

    Examples
    --------
    >>> "flat" in level2_references(), "flat" in level2_references("WFI_SPECTRAL")
    (True, False)
    """
    needed = (step for step in LEVEL2_STEPS if exposure_type in step.exposure_types)
    return tuple(dict.fromkeys(reftype for step in needed for reftype in step.references))


def optional_references() -> tuple[str, ...]:
    """List the reference types that the pipeline uses where there are any.

    Examples
    --------
    >>> optional_references()
    ('refpix', 'integralnonlinearity')
    """
    return tuple(dict.fromkeys(reftype for step in LEVEL2_STEPS for reftype in step.optional))

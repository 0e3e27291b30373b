"""The exposure pipeline as one table: what happens to a ramp, in this order, until it is an image.

Order is physics and stands here; what is skipped, and with which numbers a step works, is
configuration. The rule, the script, the configuration, the provenance, the documents and a
contract test all read `LEVEL2_STEPS`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tessella import flags
from tessella.astrometry.gwcs_model import build_gwcs
from tessella.detector.dark import subtract_dark
from tessella.detector.encoding import clipped, decode, guide_window_flags
from tessella.detector.flat import divide_by_flat
from tessella.detector.linearity import linearize
from tessella.detector.reference_pixels import subtract_reference_pixels
from tessella.detector.saturation import flag_saturated
from tessella.models import BORDER, Image, Ramp, Reference
from tessella.ramps.likelihood import fit_slopes
from tessella.ramps.timing import difference_timing

References = Mapping[str, Reference]
Exposure = Ramp | Image


@dataclass(frozen=True)
class Step:
    """One row of the pipeline."""

    #: Name in configuration and documents, and the keyword of its status in `meta.cal_step`.
    name: str
    status: str
    #: ``function(exposure, references, **options)`` returns the exposure of the next step.
    function: Callable[..., Any]
    #: RAD types of the references it needs.
    references: tuple[str, ...] = ()
    #: Flags it may set.
    sets: tuple[str, ...] = ()
    #: ``pixel``: a pixel's ramp and coefficients alone; ``frame``: needs to see all of it.
    scope: str = "pixel"
    #: False where the next step cannot work without it.
    may_skip: bool = True


def initialize_quality(ramp: Ramp, references: References) -> Ramp:
    """Make absolute counts of what was sent, and gather the flags that are known beforehand."""
    resultant_dq = np.where(clipped(ramp.data, ramp.reference_read), flags.DO_NOT_USE, 0)
    mask = references["mask"].arrays["dq"]
    return replace(
        ramp,
        data=decode(ramp.data, ramp.reference_read, ramp.encoding_offset),
        resultant_dq=ramp.resultant_dq | resultant_dq.astype(np.uint8),
        dq=mask | guide_window_flags(ramp.window.shape, ramp.guide_window),
        reference_read=None,
        encoding_offset=0,
    )


def flag_saturation(ramp: Ramp, references: References) -> Ramp:
    """Flag the resultants in which a pixel no longer counts."""
    threshold = references["saturation"].arrays
    resultant_dq, dq = flag_saturated(
        ramp.data,
        ramp.resultant_dq,
        ramp.known_dq | threshold["dq"],
        threshold["data"],
        ramp.read_pattern,
    )
    return replace(ramp, resultant_dq=resultant_dq, dq=dq)


def correct_reference_pixels(ramp: Ramp, references: References) -> Ramp:
    """Remove the drift of the readout channels that the reference pixels show."""
    usable = (ramp.resultant_dq & (flags.DO_NOT_USE | flags.DROPOUT)) == 0
    return replace(ramp, data=subtract_reference_pixels(ramp.data, usable))


def correct_linearity(ramp: Ramp, references: References) -> Ramp:
    """Make the counts proportional to the charge."""
    linearity = references["linearity"].arrays
    data, dq = linearize(
        ramp.data, ramp.resultant_dq, ramp.known_dq | linearity["dq"], linearity["coeffs"]
    )
    return replace(ramp, data=data, dq=dq)


def fit_ramps(ramp: Ramp, references: References, rejection_threshold: float | None) -> Image:
    """Turn each pixel's ramp into a slope, leaving out what saturated, was lost or was hit."""
    active = (..., slice(BORDER, -BORDER), slice(BORDER, -BORDER))
    gain, read_noise = (references[name].arrays["data"] for name in ("gain", "readnoise"))
    fit = fit_slopes(
        ramp.data[active],
        ramp.resultant_dq[active],
        gain[active],
        read_noise[active],
        difference_timing(ramp.read_pattern, ramp.frame_time),
        np.array([len(reads) > 1 for reads in ramp.read_pattern]),
        rejection_threshold,
    )
    return Image(
        detector=ramp.detector,
        optical_element=ramp.optical_element,
        window=ramp.window,
        data=fit.slope,
        dq=_image_flags(ramp.known_dq[active], fit.resultant_dq, fit.slope, gain[active]),
        err=np.sqrt(fit.var_poisson + fit.var_rnoise),
        var_poisson=fit.var_poisson,
        var_rnoise=fit.var_rnoise,
        var_flat=np.zeros_like(fit.slope),
        chisq=fit.chisq,
        dumo=fit.dumo,
        jumps=np.argwhere(fit.resultant_dq & flags.JUMP_DET).astype(np.int16),
        attitude=ramp.attitude,
    )


def _image_flags(
    dq: np.ndarray, resultant_dq: np.ndarray, slope: np.ndarray, gain: np.ndarray
) -> np.ndarray:
    """Tell of jumps and losses in any resultant, of saturation in all of them."""
    any_of = np.bitwise_or.reduce(resultant_dq, axis=0)
    all_of = np.bitwise_and.reduce(resultant_dq, axis=0)
    # ASSUME: a pixel that saturates in the second resultant has no slope worth having.
    saturated_early = (resultant_dq[: min(2, len(resultant_dq))] & flags.SATURATED).any(axis=0)
    return (
        dq
        | (any_of & (flags.JUMP_DET | flags.DROPOUT)).astype(np.uint32)
        | np.where(saturated_early | ((all_of & flags.SATURATED) != 0), flags.SATURATED, 0)
        | np.where(~np.isfinite(slope), flags.DO_NOT_USE, 0)
        | np.where(~(gain > 0), flags.NO_GAIN_VALUE | flags.DO_NOT_USE, 0)
    ).astype(np.uint32)


def correct_dark(image: Image, references: References) -> Image:
    """Subtract the dark current."""
    dark = references["dark"].arrays
    active = (slice(BORDER, -BORDER), slice(BORDER, -BORDER))
    data, dq = subtract_dark(image.data, image.dq, dark["dark_slope"][active], dark["dq"][active])
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
        ("DO_NOT_USE", "GW_AFFECTED_DATA"),
        may_skip=False,
    ),
    Step(
        "saturation",
        "saturation",
        flag_saturation,
        ("saturation",),
        ("SATURATED", "AD_FLOOR", "DO_NOT_USE", "NO_SAT_CHECK"),
    ),
    Step("reference_pixels", "refpix", correct_reference_pixels, scope="frame"),
    Step("linearity", "linearity", correct_linearity, ("linearity",), ("NO_LIN_CORR",)),
    Step(
        "slopes",
        "ramp_fit",
        fit_ramps,
        ("gain", "readnoise"),
        ("JUMP_DET", "SATURATED", "DROPOUT", "DO_NOT_USE", "NO_GAIN_VALUE"),
        may_skip=False,
    ),
    Step("dark", "dark", correct_dark, ("dark",)),
    Step("wcs", "assign_wcs", assign_wcs, scope="frame", may_skip=False),
    Step("photometry", "photom", calibrate_photometry, ("photom",), scope="frame", may_skip=False),
    Step("flat", "flat_field", correct_flat, ("flat",), ("NO_FLAT_FIELD", "DO_NOT_USE")),
)


def level2_references() -> tuple[str, ...]:
    """List the reference types that the exposure pipeline needs.

    Examples
    --------
    >>> "dark" in level2_references()
    True
    """
    return tuple(dict.fromkeys(reftype for step in LEVEL2_STEPS for reftype in step.references))


def apply(
    steps: tuple[Step, ...],
    exposure: Exposure,
    references: References,
    options: Mapping[str, Any],
    done: Callable[[Step], None] | None = None,
) -> Exposure:
    """Run the steps that are not skipped, in order.

    Parameters
    ----------
    steps : tuple of Step
        The recipe.
    exposure : Ramp or Image
        Left unchanged.
    references : mapping of str to Reference
        By RAD type in lower case.
    options : mapping
        ``skip`` lists names of steps; ``options[name]`` holds a step's own keywords.
    done : callable, optional
        Told each step that ran; None tells nobody.

    Examples
    --------
    >>> # image = apply(LEVEL2_STEPS, ramp, references, {"skip": ["flat"], "slopes": {...}})
    """
    for step in steps:
        if step.name in options["skip"]:
            continue
        exposure = step.function(exposure, references, **options.get(step.name, {}))
        if done is not None:
            done(step)
    return exposure

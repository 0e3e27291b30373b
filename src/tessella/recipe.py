"""The exposure pipeline as one table: what happens to a ramp, in this order, until it is an image.

Order is physics and stands here; what is skipped, and with which numbers a step works, is
configuration. The rule, the script, the configuration, the provenance, the documents and a
contract test all read `LEVEL2_STEPS`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tessella.models import (
    EXPOSURE_TYPES,
    IMAGING,
    Ramp,
)
from tessella.steps.image import (
    assign_wcs,
    calibrate_photometry,
    correct_dark,
    correct_flat,
    correct_persistence,
    predict_leak,
)
from tessella.steps.ramp import (
    correct_dark_decay,
    correct_linearity,
    correct_reference_pixels,
    correct_transient,
    flag_saturation,
    initialize_quality,
    measure_reference_pixels,
    measure_saturation,
    measure_transient,
    tabulate_converter,
)
from tessella.steps.slopes import find_large_events, fit_ramps


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
    #: True where it runs only if the configuration has numbers for it.
    on_request: bool = False
    exposure_types: tuple[str, ...] = EXPOSURE_TYPES
    #: The only detector that it is for; empty for all.
    detector: str = ""

    def is_asked_for(self, options: Mapping[str, Any]) -> bool:
        """Tell whether the configuration wants the step: section ``calibrate`` of it."""
        if self.on_request:
            return options.get(self.name) is not None
        return self.name not in options["skip"]

    def serves(self, ramp: Ramp) -> bool:
        """Tell whether an exposure of a detector needs the step."""
        return ramp.exposure_type in self.exposure_types and self.detector in ("", ramp.detector)


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
    Step("dark", "dark", correct_dark, ("dark",), sets=("DO_NOT_USE",)),
    Step(
        "persistence",
        "persistence",
        correct_persistence,
        ("gain", "readnoise"),
        sets=("PERSISTENCE",),
        measure=predict_leak,
        may_skip=False,
        on_request=True,
    ),
    Step(
        "wcs",
        "assign_wcs",
        assign_wcs,
        optional=("distortion",),
        scope="image",
        may_skip=False,
    ),
    Step(
        "photometry",
        "photom",
        calibrate_photometry,
        ("photom",),
        optional=("area",),
        scope="image",
        may_skip=False,
    ),
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
    ('refpix', 'integralnonlinearity', 'distortion', 'area')
    """
    return tuple(dict.fromkeys(reftype for step in LEVEL2_STEPS for reftype in step.optional))

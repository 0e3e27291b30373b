"""One detector of one exposure from its Level 1 file to its Level 2 file."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from astropy.time import Time

import tessella
from tessella import flags
from tessella.detector.persistence_state import PersistenceState, remember
from tessella.errors import DataError
from tessella.exposure_pipeline import calibrate
from tessella.io.level1 import lost_fraction, read_ramp
from tessella.io.level2 import write_image
from tessella.io.multiaccum import check_read_pattern
from tessella.io.persistence_state import read_state, write_state
from tessella.io.provenance import provenance
from tessella.io.references import read_context, read_references, read_selection
from tessella.io.seals import sha256
from tessella.io.verdict import Verdict
from tessella.models import Image, Ramp, Reference, Window
from tessella.recipe import LEVEL2_STEPS, Step, level2_references, optional_references

#: An image with fewer good pixels than this share is degraded.
_GOOD_SHARE = 0.5
_SECONDS_PER_DAY = 86400.0
#: Stands where official files name the version of the reference system.
SELECTED_BY = f"tessella {tessella.__version__}"
log = logging.getLogger(__name__)


def calibrate_detector(
    ramp_path: Path,
    selection: Path,
    image_path: Path,
    window: Window,
    options: dict[str, Any],
    n_threads: int = 1,
    earlier: Path | None = None,
    left: Path | None = None,
) -> Verdict:
    """Calibrate one detector and write its image.

    Parameters
    ----------
    ramp_path, selection : path
        Level 1 file and the file of its selected references.
    image_path : path
        Level 2 file to write.
    window : Window
        The part of the detector that the file holds.
    options : dict
        Section ``calibrate`` of the configuration.
    n_threads : int
        Of no influence on the product.
    earlier, left : path, optional
        Where `options` ask for persistence: what the exposures before this one left, None where
        there were none; and the file to write what they and this one leave.

    Returns
    -------
    Verdict
        ``failed`` where no pixel has a slope: the product is valid and all its pixels are flagged.
    """
    ramp, meta = read_ramp(ramp_path, window)
    ramp = replace(ramp, start_mjd=float(Time(meta["exposure"]["start_time"]).mjd))
    if options["persistence"] is not None:
        ramp = replace(ramp, persistence=_left_before(ramp_path, ramp, earlier))
    needed = level2_references(ramp.exposure_type)
    optional = (*optional_references(), "matable")
    references = read_references(selection, needed, window, ramp.detector, optional)
    if "matable" in references:
        check_read_pattern(ramp_path, meta, references["matable"].values)
    made = calibrate(LEVEL2_STEPS, ramp, references, options, n_threads)
    image = made.image
    status = {step.status: _status(step, ramp, made.ran) for step in LEVEL2_STEPS}
    origin = provenance(
        "calibrate_exposure",
        {"window": vars(window), **options},
        [
            ramp_path,
            selection,
            *(path for path, _ in read_selection(selection).values()),
            *([] if earlier is None else [earlier]),
        ],
        steps=[step.name for step in made.ran],
    )
    used: dict[str, Any] = {name: reference.filename for name, reference in references.items()}
    used["crds"] = {"context": read_context(selection), "version": SELECTED_BY}
    logs = [_log_line(step, references, options, earlier) for step in made.ran]
    write_image(
        image_path, image, made.border, ramp.amp33, meta, status, used, origin, logs, n_threads
    )
    if left is not None:
        write_state(left, _left_after(ramp, image, options["persistence"]), origin)
    outcome, reason = _judge(image, ramp)
    log.info("%s: %s %s", image_path.name, outcome, reason)
    return Verdict(image.detector, outcome, reason, image_path.name, sha256(image_path))


def _left_before(ramp_path: Path, ramp: Ramp, earlier: Path | None) -> PersistenceState:
    """Read what earlier exposures left; nothing, where there were none."""
    if earlier is None:
        return PersistenceState(ramp.detector, ramp.window)
    state = read_state(earlier, ramp.detector, ramp.window)
    if state.entries and not state.entries[0].end_mjd <= ramp.start_mjd:
        raise DataError(
            f"{ramp_path}: meta.exposure.start_time is MJD {ramp.start_mjd:.6f}, but the exposure "
            f"before it ({earlier.name}) ended at {state.entries[0].end_mjd:.6f}; expected one "
            "after the other: correct the times, or set calibrate.persistence to null"
        )
    return state


def _left_after(ramp: Ramp, image: Image, options: Mapping[str, Any]) -> PersistenceState:
    """Add what an exposure leaves to what those before it left."""
    assert image.charge is not None, "the step that predicts persistence has run"
    duration = ramp.read_pattern[-1][-1] * ramp.frame_time
    end = ramp.start_mjd + duration / _SECONDS_PER_DAY
    return remember(ramp.persistence, image.charge, duration, end, options["full_well_electrons"])


def _log_line(
    step: Step,
    references: Mapping[str, Reference],
    options: dict[str, Any],
    earlier: Path | None,
) -> str:
    """Say with which references and numbers a step worked."""
    names = (*step.references, *(name for name in step.optional if name in references))
    told = [references[name].filename for name in names]
    if step.on_request:
        told.append("no exposure before" if earlier is None else earlier.name)
    told += [f"{key} = {value}" for key, value in options.get(step.name, {}).items()]
    return f"{step.name}: {', '.join(told) or 'no references'}"


def _status(step: Step, ramp: Ramp, ran: Sequence[Step]) -> str:
    if step in ran:
        return "COMPLETE"
    return "SKIPPED" if step.detector in ("", ramp.detector) else "N/A"


def _judge(image: Image, ramp: Ramp) -> tuple[str, str]:
    good = float(np.mean((image.dq & flags.DO_NOT_USE) == 0))
    lost = lost_fraction(ramp)
    if good == 0:
        return "failed", "no pixel has a slope"
    if good < _GOOD_SHARE:
        return "degraded", f"only {good:.0%} of the pixels are good"
    return "ok", f"{good:.2%} of the pixels good, {lost:.3%} of the counts lost"

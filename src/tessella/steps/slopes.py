"""The step from ramps to slopes, with what hit them."""

import numpy as np

from tessella import flags
from tessella.detector.snowballs import expand_snowballs
from tessella.models import (
    BORDER,
    Image,
    Ramp,
)
from tessella.ramps.likelihood import fit_slopes
from tessella.ramps.resultant_flags import GatheredFlags, gather_flags
from tessella.ramps.timing import difference_timing, mean_times
from tessella.steps.frame import References

# ASSUME: what saturates after fewer counts than this was hit; a star needs some 50,000.
_DARK_BEFORE_DN = 1e4


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
    first_row = ramp.first_row + ramp.active_rows.start - BORDER
    jumps = np.stack([i, y[hit] + first_row, x[hit]], axis=1)
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
        first_row=first_row,
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
        | np.where(~((gain > 0) & np.isfinite(gain)), flags.NO_GAIN_VALUE | flags.DO_NOT_USE, 0)
    ).astype(np.uint32)

"""The references that darks and flats of one detector tell, measured and written."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tessella import flags
from tessella.astrometry.pixel_area import relative_pixel_area
from tessella.errors import DataError
from tessella.exposure_pipeline import calibrate
from tessella.io.level1 import read_ramp
from tessella.io.reference_plots import plot_maps
from tessella.io.references import ReferenceHeader, read_references, write_maps
from tessella.models import BORDER, DARK_TYPES, Image, Ramp, Reference, Window, rows_of
from tessella.quality.colour import binned
from tessella.recipe import LEVEL2_STEPS, Step, level2_references, optional_references
from tessella.references.measure import (
    dark_reference,
    flat_reference,
    mask_reference,
    noise_reference,
    read_noise,
    scatter_about_line,
    scatter_of_other_origin,
    usable_ramps,
)
from tessella.references.measure_gain import PhotonTransfer, Signal, signal_of
from tessella.references.running_mean import WeightedMean
from tessella.steps.frame import Frame

#: Levels of two flats of one lamp differ by less than this share.
_SAME_LIGHT = 0.1
#: Squares of residuals have long tails: a hit is what lies so many of their deviations above the
#: others, chi-squared of 3 degrees of freedom does so once in 10^10.
_SCATTER_TOO_FAR = 20.0
#: Pairs of darks that are kept to see what noise neighbours share: a small part of the light's.
_DARK_PAIRS = 3
_ACTIVE = np.s_[BORDER:-BORDER, BORDER:-BORDER]
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Exposure:
    """A calibration exposure as its file tells it, pixels unread."""

    path: Path
    selection: Path
    ramp: Ramp
    start: str

    @property
    def is_dark(self) -> bool:
        return self.ramp.exposure_type in DARK_TYPES


@dataclass(frozen=True)
class _Darks:
    """What the darks of a detector tell, (ny - 8, nx - 8) each."""

    slope: np.ndarray
    error: np.ndarray
    noise: np.ndarray
    #: What two darks each counted between their first and last resultants.
    pairs: list[tuple[Signal, Signal]]


def measure_references(
    paths: Sequence[Path],
    picture: Path,
    exposures: Iterable[tuple[Path, Path]],
    window: Window,
    options: Mapping[str, Any],
    header: ReferenceHeader,
    n_threads: int = 1,
) -> None:
    """Measure and write the references of one detector, and a picture of their maps.

    Parameters
    ----------
    paths : sequence of paths
        Named ``<detector>_<type>[_<element>].asdf``, of types mask, dark, readnoise, gain, flat.
    picture : path
        PNG file.
    exposures : iterable of pairs of paths
        Level 1 file and selection of its references of every dark and flat, in any order.
    window : Window
        The part of the detector that the files hold.
    options : mapping
        Sections ``calibrate`` and ``calibration`` of the configuration.
    header : ReferenceHeader
        What all files say of themselves.
    n_threads : int
        Of no influence on the files.

    Raises
    ------
    DataError
        If there are too few exposures that can be used, or a path asks for another type.
    """
    all_of_them = sorted(
        (_opened(*files, window) for files in exposures), key=lambda one: (one.start, one.path.name)
    )
    own = options["calibration"]
    known = _references(all_of_them[0], window)

    def reduced(one: _Exposure, image_of: Callable[[Ramp], np.ndarray]) -> tuple[Any, np.ndarray]:
        return _reduce(one, window, options["calibrate"], image_of, n_threads)

    darks = _measure_darks([one for one in all_of_them if one.is_dark], reduced, known, window)
    flats, transfer = _measure_flats(
        [one for one in all_of_them if not one.is_dark], reduced, darks, window, own
    )
    made = _arrays(darks, flats, relative_pixel_area(header.detector, window), own)
    made["readnoise"] = noise_reference(darks.noise, _whole(known["readnoise"], window))
    made["gain"] = {"data": transfer.gain.astype(np.float32)}
    for path in paths:
        name = path.stem.partition("_")[2]
        if name not in made:
            raise DataError(
                f"{path}: no such reference was measured; there are {', '.join(sorted(made))}"
            )
        reftype, _, element = name.partition("_")
        write_maps(path, reftype, made[name], window, header, element.upper() or None)
    shown = {
        "dark current [DN/s]": darks.slope,
        "noise of a read [DN]": darks.noise,
        "gain [e/DN]": transfer.gain[_ACTIVE],
        "response": next(iter(flats.values())).values,
        # Single pixels would not be seen.
        "bad in 16 x 16 pixels [%]": binned(100.0 * (made["mask"]["dq"][_ACTIVE] != 0), 16),
    }
    plot_maps(picture, header.provenance, header.detector, shown)


def _arrays(
    darks: _Darks,
    flats: Mapping[str, WeightedMean],
    pixel_area_ratio: np.ndarray,
    limits: Mapping[str, Any],
) -> dict[str, dict[str, np.ndarray]]:
    """Return the arrays of mask, dark and flats by the names of their files."""
    hot, dead = limits["hot_dn_per_s"], limits["dead_response"]
    response = next(iter(flats.values())).values
    made = {
        "dark": dark_reference(darks.slope, darks.error, hot),
        "mask": mask_reference(
            response, darks.slope, darks.noise, hot, dead, limits["noisy_ratio"]
        ),
    }
    for element, mean in flats.items():
        flat = flat_reference(mean.values, mean.error, pixel_area_ratio, dead)
        made[f"flat_{element.lower()}"] = flat
    return made


def _opened(path: Path, selection: Path, window: Window) -> _Exposure:
    ramp, meta = read_ramp(path, window)
    return _Exposure(path, selection, ramp, str(meta["exposure"]["start_time"]))


def _references(one: _Exposure, window: Window) -> dict[str, Reference]:
    needed = level2_references(one.ramp.exposure_type)
    return read_references(one.selection, needed, window, one.ramp.detector, optional_references())


def _whole(reference: Reference, window: Window) -> np.ndarray:
    return np.asarray(rows_of(reference.arrays["data"], 0, window.ny), float)


def _reduce(
    one: _Exposure,
    window: Window,
    options: Mapping[str, Any],
    image_of: Callable[[Ramp], np.ndarray],
    n_threads: int,
) -> tuple[Image, np.ndarray]:
    """Fit the slopes of an exposure, and make an image of its linear ramps, block by block.

    Returns
    -------
    image : Image
        Slopes with dark current.
    reduced : ndarray of shape (ny - 8, nx - 8)
        What `image_of` makes of (n_resultants, rows, nx) blocks; NaN where a cosmic ray hit. It
        may make several images, (n, rows, nx).
    """
    references = _references(one, window)
    # What is bad is to be found anew.
    mask = replace(references["mask"], arrays={"dq": np.zeros(window.shape, np.uint32)})
    parts: list[np.ndarray] = []

    def gather(frame: Frame, _: Any) -> None:
        parts.extend(image_of(block) for block in frame.blocks())

    # A row more in the recipe: it looks at the linear ramps and changes nothing.
    look = Step("look", "", lambda ramp, _, measured: ramp, measure=gather)
    fit = next(i for i, step in enumerate(LEVEL2_STEPS) if step.name == "slopes")
    steps = (*LEVEL2_STEPS[:fit], look, LEVEL2_STEPS[fit])
    image = calibrate(steps, one.ramp, {**references, "mask": mask}, options, n_threads).image
    reduced = np.concatenate(parts, axis=-2)[(..., *_ACTIVE)]
    log.info("%s: median %.4g DN / s", one.path.name, np.nanmedian(image.data))
    return image, np.where((image.dq & flags.JUMP_DET) != 0, np.nan, reduced)


def _look_at_dark(block: Ramp) -> np.ndarray:
    ramps = usable_ramps(block.data, block.resultant_dq)
    return np.stack([scatter_about_line(ramps, block.read_pattern), ramps[-1] - ramps[0]])


def _look_at_flat(block: Ramp) -> np.ndarray:
    ramps = usable_ramps(block.data, block.resultant_dq)
    return ramps[-1] - ramps[0]


def _signal(counts: np.ndarray, ramp: Ramp) -> Signal:
    return signal_of(counts, ramp.read_pattern, 0, len(ramp.read_pattern) - 1, ramp.frame_time)


def _measure_darks(
    darks: Sequence[_Exposure],
    reduced: Callable[..., tuple[Image, np.ndarray]],
    known: Mapping[str, Reference],
    window: Window,
) -> _Darks:
    slope = WeightedMean(window.active_shape)
    scatter = WeightedMean(window.active_shape, _SCATTER_TOO_FAR)
    others = []
    pairs: list[tuple[Signal, Signal]] = []
    waiting: dict[Any, Signal] = {}
    for one in darks:
        pattern = one.ramp.read_pattern
        image, (square, counts) = reduced(one, _look_at_dark)
        variance = np.asarray(image.var_poisson, float) + image.var_rnoise
        if not np.isfinite(image.data).any():
            raise DataError(f"{one.path}: no pixel of this dark has a slope; leave it out")
        slope.add(image.data, variance, float(1 / np.nanmedian(variance)))
        freedom = len(pattern) - 2
        typical = float(np.nanmedian(square))
        scatter.add(square, np.full(square.shape, 2 * typical**2 / freedom), freedom)
        others.append((freedom, *scatter_of_other_origin(pattern, one.ramp.frame_time)))
        signal = _signal(counts, one.ramp)
        if len(pairs) < _DARK_PAIRS and pattern in waiting:
            pairs.append((waiting.pop(pattern), signal))
        elif len(pairs) < _DARK_PAIRS:
            waiting[pattern] = signal
    freedom, rounding, photons = np.array(others).T
    noise = read_noise(
        scatter.values,
        np.average(rounding, weights=freedom),
        np.average(photons, weights=freedom),
        slope.values,
        _whole(known["gain"], window)[_ACTIVE],
    )
    return _Darks(slope.values, slope.error, noise, pairs)


def _measure_flats(
    flats: Sequence[_Exposure],
    reduced: Callable[..., tuple[Image, np.ndarray]],
    darks: _Darks,
    window: Window,
    options: Mapping[str, Any],
) -> tuple[dict[str, WeightedMean], PhotonTransfer]:
    means: dict[str, WeightedMean] = {}
    transfer = PhotonTransfer(window.active_shape, options["gain_box_pixels"])
    for pair in darks.pairs:
        transfer.add_darks(*pair)
    waiting: dict[tuple[Any, ...], tuple[float, Signal]] = {}
    for one in flats:
        ramp = one.ramp
        image, counts = reduced(one, _look_at_flat)
        light = image.data - darks.slope
        level = float(np.nanmedian(light)) if np.isfinite(light).any() else 0.0
        if not level > 0:
            raise DataError(
                f"{one.path}: this flat holds no light that can be measured; leave it out"
            )
        variance = (np.asarray(image.var_poisson, float) + image.var_rnoise) / level**2
        mean = means.setdefault(ramp.optical_element, WeightedMean(window.active_shape))
        mean.add(light / level, variance, float(1 / np.nanmedian(variance)))
        signal = _signal(counts, ramp)
        kind = (ramp.optical_element, ramp.read_pattern)
        other = waiting.pop(kind, None)
        if other is not None and abs(other[0] / level - 1) < _SAME_LIGHT:
            transfer.add(other[1], signal, darks.noise)
        else:
            waiting[kind] = level, signal
    if not transfer.n_pairs:
        raise DataError(
            f"{flats[0].path.parent}: no two flats in a row of the same filter, reads and light; "
            "take them in pairs, the gain is measured on their differences"
        )
    return means, transfer

"""What earlier exposures of a detector left in its traps, and what leaks out of them later.

A *state* holds for each earlier exposure its end and, pixel by pixel, the charge that filled
traps. Arrays are those of active pixels, as in Level 2 images. How fast traps are emptied stands
in `tessella.detector.persistence`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from tessella.detector.persistence import MEASURED_FLUENCE, mean_current
from tessella.models import Window

#: Current of a pixel below which it is forgotten: 0.07 DN in 140 s at gain 2 [electrons / s].
NEGLIGIBLE = 1e-3
#: Time after which an exposure is forgotten [s].
HORIZON_S = 14400.0

_SECONDS_PER_DAY = 86400.0


class Illumination(NamedTuple):
    """What one exposure left in the pixels that it filled."""

    #: End of the exposure.
    end_mjd: float
    #: (n,) int32: places in the flattened image, increasing.
    pixels: np.ndarray
    #: (n,) float16: charge at the end [1000 electrons]; NaN where it is not known.
    charge: np.ndarray


@dataclass(frozen=True)
class PersistenceState:
    """What earlier exposures of one detector left, the latest first.

    Examples
    --------
    >>> PersistenceState("WFI01", Window()).entries
    ()
    """

    detector: str
    window: Window
    entries: tuple[Illumination, ...] = ()


def remember(
    state: PersistenceState,
    charge: np.ndarray,
    exposure_time: float,
    end_mjd: float,
    full_well: float,
    negligible: float = NEGLIGIBLE,
    horizon_s: float = HORIZON_S,
) -> PersistenceState:
    """Return a state with one exposure more, and without what has faded.

    Parameters
    ----------
    state : PersistenceState
        Before the exposure.
    charge : ndarray of shape (ny, nx)
        What the active pixels held at its end (`persistence.charge_at_end`) [1000 electrons]; NaN
        where it is not known.
    exposure_time : float
        From the reset to the last read [s].
    end_mjd : float
        End of the exposure, later than those of `state`.
    full_well : float
        What a pixel of unknown charge holds at most [electrons].
    negligible : float
        Pixels whose current, averaged over an exposure of the same length straight afterwards,
        would be less are not kept [electrons / s].
    horizon_s : float
        Exposures that ended longer ago are not kept [s].

    Returns
    -------
    PersistenceState

    Raises
    ------
    ValueError
        If the charge does not fit the window, or the exposure does not end after those known.

    Examples
    --------
    >>> window = Window(0, 0, 128, 128)
    >>> charge = np.zeros((120, 120), np.float32)
    >>> charge[5, 5] = 70.0
    >>> state = remember(PersistenceState("WFI01", window), charge, 140.0, 61000.0, 1e5)
    >>> state.entries[0].pixels.tolist(), state.entries[0].charge.tolist()
    ([605], [70.0])
    """
    if charge.shape != state.window.active_shape:
        raise ValueError(
            f"persistence: charge of shape {charge.shape} for a window of "
            f"{state.window.active_shape} active pixels"
        )
    if state.entries and not end_mjd > state.entries[0].end_mjd:
        raise ValueError(
            f"persistence: the exposure ends at MJD {end_mjd}, not after {state.entries[0].end_mjd}"
        )
    flat = charge.ravel()
    soon = mean_current(state.detector, 0, exposure_time) * 1e3 / MEASURED_FLUENCE
    # What is not known is kept: comparisons with NaN are false.
    pixels = np.flatnonzero(~(flat < negligible / soon)).astype(np.int32)
    newest = Illumination(end_mjd, pixels, flat[pixels].astype(np.float16))
    covered = np.zeros(flat.size, np.float32)
    covered[pixels] = newest.charge
    kept = [newest] if pixels.size else []
    for entry in state.entries:
        age = (end_mjd - entry.end_mjd) * _SECONDS_PER_DAY
        if age > horizon_s:
            break
        soon = mean_current(state.detector, age, age + exposure_time) / MEASURED_FLUENCE
        left = _still_felt(entry, covered, soon, full_well, negligible)
        if left.pixels.size:
            covered[left.pixels] = np.maximum(covered[left.pixels], left.charge.astype(np.float32))
            kept.append(left)
    return replace(state, entries=tuple(kept))


def predict(
    state: PersistenceState,
    edges_mjd: Sequence[float] | np.ndarray,
    weights: Sequence[float] | np.ndarray | None = None,
) -> np.ndarray:
    """Return the current that earlier exposures cause during another one.

    Traps of a pixel are filled as high as its charge rose; a later exposure fills those up to
    its own charge anew, and those above go on releasing what the earlier one left.

    Parameters
    ----------
    state : PersistenceState
        Before the exposure.
    edges_mjd : sequence of float
        Start and end of the exposure, or the times that part it.
    weights : sequence of float, optional
        Share of each part in the mean, so that the mean is that of a fitted slope; that of its
        duration if None.

    Returns
    -------
    ndarray of shape (ny, nx), float32
        Mean current of the active pixels [electrons / s]; NaN where an earlier charge is not
        known.

    Raises
    ------
    ValueError
        If the exposure starts before one of `state` ends, its edges do not increase, or there
        is not one weight for each part.

    Examples
    --------
    >>> predict(PersistenceState("WFI01", Window(0, 0, 128, 128)), (61000.0, 61000.002)).max()
    np.float32(0.0)
    """
    edges = np.asarray(edges_mjd, float)
    share = np.diff(edges) / (edges[-1] - edges[0]) if weights is None else np.asarray(weights)
    if edges.size < 2 or not (np.diff(edges) > 0).all() or share.shape != (edges.size - 1,):
        raise ValueError(
            f"persistence: {edges.size} edges that must increase and {share.size} weights "
            "of the parts between them"
        )
    ny, nx = state.window.active_shape
    leaking, covered = np.zeros(ny * nx, np.float32), np.zeros(ny * nx, np.float32)
    for entry in state.entries:
        ages = (edges - entry.end_mjd) * _SECONDS_PER_DAY
        means = [
            mean_current(state.detector, start, end)
            for start, end in zip(ages[:-1], ages[1:], strict=True)
        ]
        # ASSUME: the current is proportional to the charge that filled the traps, and the light
        # fell when the exposure ended.
        per_unit = np.float32(float(share @ means) * 1e3 / MEASURED_FLUENCE)
        charge, below = entry.charge.astype(np.float32), covered[entry.pixels]
        leaking[entry.pixels] += per_unit * np.maximum(charge - below, 0)
        covered[entry.pixels] = np.maximum(charge, below)
    return leaking.reshape(ny, nx)


def persistence_electrons(state: PersistenceState, start_mjd: float, end_mjd: float) -> np.ndarray:
    """Return the electrons that are expected to leak out between two times.

    Parameters
    ----------
    state : PersistenceState
        Before the exposure.
    start_mjd, end_mjd : float
        Such as those of one read.

    Returns
    -------
    ndarray of shape (ny, nx), float32
        [electrons], of the active pixels; NaN where an earlier charge is not known.

    Raises
    ------
    ValueError
        As `predict`.

    Examples
    --------
    >>> state = PersistenceState("WFI01", Window(0, 0, 128, 128))
    >>> persistence_electrons(state, 61000.0, 61000.1).any()
    np.False_
    """
    duration = np.float32((end_mjd - start_mjd) * _SECONDS_PER_DAY)
    return predict(state, (start_mjd, end_mjd)) * duration


def _still_felt(
    entry: Illumination,
    covered: np.ndarray,
    soon: float,
    full_well: float,
    negligible: float,
) -> Illumination:
    """Keep the pixels of an exposure that still release charge and were not filled anew.

    `covered` is what newer exposures filled [1000 electrons], `soon` the current of an electron.
    """
    charge, below = entry.charge.astype(np.float32), covered[entry.pixels]
    known = np.isfinite(charge)
    electrons = np.where(known, charge * 1e3, full_well)
    # Where the newer charge is not known, neither is the sum, whatever is kept here.
    anew = np.isnan(below) | (known & (charge <= below))
    kept = ~anew & (electrons * soon >= negligible)
    return Illumination(entry.end_mjd, entry.pixels[kept], entry.charge[kept])

"""Persistence: charge that earlier exposures left in traps leaks out into later ones.

The current after an illumination of about 159,000 electrons was measured for each detector
(thermal vacuum test 2, 89.5 K) and fitted with two exponentials and a constant; the coefficients
are the official table `WFI_Persistence_exp_fits.ecsv` (RomanSpaceTelescope,
roman-technical-information, CC0).

A *state* holds what earlier exposures of one detector left: for each of them its end and, pixel
by pixel, the charge that filled traps. Arrays are those of active pixels, as in Level 2 images.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import NamedTuple

import numpy as np

from tessella import flags
from tessella.instrument.tables import rows
from tessella.models import Window
from tessella.ramps.timing import DifferenceTiming

#: Illumination after which the decay was measured [electrons].
MEASURED_FLUENCE = 159e3
#: Time after it of the last measurement [s].
LAST_MEASURED_S = 1770.72
#: Current of a pixel below which it is forgotten: 0.07 DN in 140 s at gain 2 [electrons / s].
NEGLIGIBLE = 1e-3
#: Time after which an exposure is forgotten [s].
HORIZON_S = 14400.0

_PERSISTENCE = flags.value("PERSISTENCE")
_SECONDS_PER_DAY = 86400.0


class Decay(NamedTuple):
    """``a exp(-b t) + d exp(-e t) + c``: current [electrons / s] at t seconds."""

    a: float
    b: float
    c: float
    d: float
    e: float


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


@cache
def measured_decay(detector: str) -> Decay:
    """Return the coefficients of a detector.

    Raises
    ------
    KeyError
        If there is no such detector.

    Examples
    --------
    >>> round(measured_decay("WFI04").a, 3)
    0.317
    """
    table = "WFI_Persistence_exp_fits.ecsv"
    for row in rows(table):
        if row["SCU"] == str(int(detector[3:])):
            return Decay(*(float(row[name]) for name in Decay._fields))
    raise KeyError(f"{table} has no detector {detector}")


def current(detector: str, age_s: np.ndarray) -> np.ndarray:
    """Return the current of a pixel after the illumination of the measurement.

    Parameters
    ----------
    detector : str
        RAD name.
    age_s : ndarray
        Time since the end of the illumination [s]; at least 0.

    Returns
    -------
    ndarray of the shape of `age_s`
        [electrons / s]

    Examples
    --------
    >>> current("WFI04", np.array([177.072, 1770.72])).round(2).tolist()
    [0.72, 0.04]
    """
    # ASSUME: the fit holds before its first measurement, at 177 s. After its last one, where its
    # constant would stay for ever, the current falls as 1 / t, as that of such detectors does
    # (romanisim, `romanisim/models/persistence.py`, after Sanchez et al. 2023).
    age = np.asarray(age_s, float)
    inside = np.minimum(age, LAST_MEASURED_S)
    a, b, c, d, e = measured_decay(detector)
    fitted = a * np.exp(-b * inside) + d * np.exp(-e * inside) + c
    return fitted * LAST_MEASURED_S / np.maximum(age, LAST_MEASURED_S)


def mean_current(detector: str, start_s: float, end_s: float) -> float:
    """Return the mean of `current` between two times [electrons / s].

    Parameters
    ----------
    detector : str
        RAD name.
    start_s, end_s : float
        Times since the end of the illumination [s].

    Raises
    ------
    ValueError
        If the times are negative or do not increase.

    Examples
    --------
    >>> round(mean_current("WFI04", 177.0, 177.1), 2)
    0.72
    """
    if not 0 <= start_s < end_s:
        raise ValueError(
            f"persistence: a mean from {start_s} s to {end_s} s after an illumination; "
            "the times must increase from 0 upwards"
        )
    return (_released(detector, end_s) - _released(detector, start_s)) / (end_s - start_s)


def remember(
    state: PersistenceState,
    slope: np.ndarray,
    dq: np.ndarray,
    gain: np.ndarray,
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
    slope : ndarray of shape (ny, nx)
        Slopes of the active pixels, not divided by the flat [DN / s]; NaN where nothing was
        measured: with SATURATED the well was full, otherwise the charge is not known.
    dq : ndarray of shape (ny, nx), uint32
        Flags of the image.
    gain : ndarray of shape (ny, nx)
        [electrons / DN]; where it is not positive the charge is not known.
    exposure_time : float
        From the reset to the last read [s].
    end_mjd : float
        End of the exposure, later than those of `state`.
    full_well : float
        Charge above which a pixel takes no more [electrons].
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
        If arrays do not fit the window, or the exposure does not end after those known.

    Examples
    --------
    >>> window = Window(0, 0, 128, 128)
    >>> slope = np.zeros((120, 120), np.float32)
    >>> slope[5, 5] = 500.0
    >>> one = np.ones(slope.shape), 140.0, 61000.0, 1e5
    >>> no_flags = np.zeros(slope.shape, np.uint32)
    >>> state = remember(PersistenceState("WFI01", window), slope, no_flags, *one)
    >>> state.entries[0].pixels.tolist(), state.entries[0].charge.tolist()
    ([605], [70.0])
    """
    shape = state.window.active_shape
    if not slope.shape == dq.shape == gain.shape == shape:
        raise ValueError(
            f"persistence: slopes of shape {slope.shape}, flags of {dq.shape} and gains of "
            f"{gain.shape} for a window of {shape} active pixels"
        )
    if state.entries and not end_mjd > state.entries[0].end_mjd:
        raise ValueError(
            f"persistence: the exposure ends at MJD {end_mjd}, not after {state.entries[0].end_mjd}"
        )
    charge = _charge_at_end(slope, dq, gain, exposure_time, full_well).ravel()
    soon = mean_current(state.detector, 0, exposure_time) * 1e3 / MEASURED_FLUENCE
    # What is not known is kept: comparisons with NaN are false.
    pixels = np.flatnonzero(~(charge * soon < negligible)).astype(np.int32)
    newest = Illumination(end_mjd, pixels, charge[pixels].astype(np.float16))
    covered = np.zeros(charge.size, np.float32)
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
    state: PersistenceState, edges_mjd: Sequence[float], weights: Sequence[float] | None = None
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


def slope_weights(timing: DifferenceTiming, rate: float, read_noise: float) -> np.ndarray:
    """Return the weight of each difference of resultants in a fitted slope, for `predict`.

    With the mean times of the resultants as edges. The current falls during an exposure, so its
    plain mean differs from what a slope shows: by up to 8 % soon after an illumination.

    Parameters
    ----------
    timing : DifferenceTiming
        Of the read pattern.
    rate : float
        Typical rate over the gain, [DN / s] / [electrons / DN].
    read_noise : float
        Typical noise of one read [DN].

    Returns
    -------
    ndarray of shape (n_resultants - 1,)
        Adds up to 1.

    Examples
    --------
    >>> from tessella.ramps.timing import difference_timing
    >>> reads = difference_timing(((1,), (2,), (3,), (4,)), 3.0)
    >>> slope_weights(reads, 0.0, 5.0).round(3).tolist()
    [0.3, 0.4, 0.3]
    """
    diagonal = rate * timing.poisson_diagonal + read_noise**2 * timing.read_diagonal
    beside = rate * timing.poisson_beside + read_noise**2 * timing.read_beside
    covariance = np.diag(diagonal) + np.diag(beside, 1) + np.diag(beside, -1)
    weights = np.linalg.solve(covariance, np.ones(diagonal.size))
    return weights / weights.sum()


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


def flag_persistence(dq: np.ndarray, prediction: np.ndarray, threshold: float) -> np.ndarray:
    """Set PERSISTENCE where the predicted current is above a threshold or not known.

    Parameters
    ----------
    dq : ndarray of shape (ny, nx), uint32
        Flags.
    prediction : ndarray of shape (ny, nx)
        Of `predict` [electrons / s].
    threshold : float
        [electrons / s]

    Returns
    -------
    ndarray of shape (ny, nx), uint32

    Examples
    --------
    >>> flag_persistence(np.zeros(3, np.uint32), np.array([0.0, 0.2, np.nan]), 0.1).tolist()
    [0, 32, 32]
    """
    return dq | np.where(prediction <= threshold, 0, _PERSISTENCE).astype(dq.dtype)


def subtract_persistence(slope: np.ndarray, prediction: np.ndarray, gain: np.ndarray) -> np.ndarray:
    """Subtract the predicted current from slopes.

    Parameters
    ----------
    slope : ndarray of shape (ny, nx)
        Slopes, not divided by the flat [DN / s].
    prediction : ndarray of shape (ny, nx)
        Of `predict` [electrons / s]; where it is NaN nothing is subtracted (`flag_persistence`
        marks these pixels).
    gain : ndarray of shape (ny, nx)
        [electrons / DN]

    Returns
    -------
    ndarray of the shape and type of `slope`
        NaN where the gain is not positive.

    Examples
    --------
    >>> subtract_persistence(np.ones(2), np.array([0.5, np.nan]), np.full(2, 2.0)).tolist()
    [0.75, 1.0]
    """
    known = np.where(np.isnan(prediction), 0, prediction)
    return (slope - known / np.where(gain > 0, gain, np.nan)).astype(slope.dtype)


def _released(detector: str, age_s: float) -> float:
    """Return the charge released until a time, the integral of `current` [electrons]."""
    a, b, c, d, e = measured_decay(detector)
    inside = min(age_s, LAST_MEASURED_S)
    fitted = a / b * -np.expm1(-b * inside) + d / e * -np.expm1(-e * inside) + c * inside
    tail = float(current(detector, np.array(LAST_MEASURED_S))) * LAST_MEASURED_S
    return float(fitted + tail * np.log(max(age_s, LAST_MEASURED_S) / LAST_MEASURED_S))


def _charge_at_end(
    slope: np.ndarray, dq: np.ndarray, gain: np.ndarray, exposure_time: float, full_well: float
) -> np.ndarray:
    """Return the charge at the end of an exposure [1000 electrons], NaN where not known."""
    with np.errstate(invalid="ignore"):
        electrons = slope * np.where(gain > 0, gain, np.nan) * exposure_time
    full = np.isnan(slope) & ((dq & flags.SATURATED) != 0)
    electrons = np.where(full, full_well, np.clip(electrons, 0, full_well))
    return (electrons / 1e3).astype(np.float32)


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

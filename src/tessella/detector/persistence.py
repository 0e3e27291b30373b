"""Persistence: charge that earlier exposures left in traps leaks out into later ones.

The current after an illumination of about 159,000 electrons was measured for each detector
(thermal vacuum test 2, 89.5 K) and fitted with two exponentials and a constant; the coefficients
are the official table `WFI_Persistence_exp_fits.ecsv` (RomanSpaceTelescope,
roman-technical-information, CC0). What earlier exposures left in which pixel is the matter of
`tessella.detector.persistence_state`.
"""

from functools import cache
from typing import NamedTuple

import numpy as np

from tessella import flags
from tessella.instrument.tables import rows
from tessella.ramps.timing import DifferenceTiming, difference_timing, mean_times

#: Illumination after which the decay was measured [electrons].
MEASURED_FLUENCE = 159e3
#: Time after it of the last measurement [s].
LAST_MEASURED_S = 1770.72

_PERSISTENCE = flags.value("PERSISTENCE")


class Decay(NamedTuple):
    """``a exp(-b t) + d exp(-e t) + c``: current [electrons / s] at t seconds."""

    a: float
    b: float
    c: float
    d: float
    e: float


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


def charge_at_end(
    slope: np.ndarray, dq: np.ndarray, gain: np.ndarray, exposure_time: float, full_well: float
) -> np.ndarray:
    """Return the charge that pixels hold at the end of an exposure.

    Parameters
    ----------
    slope : ndarray of shape (ny, nx)
        Slopes of the active pixels, not divided by the flat [DN / s]; NaN where nothing was
        measured: with SATURATED the well was full, otherwise the charge is not known.
    dq : ndarray of shape (ny, nx), uint32
        Flags of the image.
    gain : ndarray of shape (ny, nx)
        [electrons / DN]; where it is not positive the charge is not known.
    exposure_time : float
        From the reset to the last read [s].
    full_well : float
        Charge above which a pixel takes no more [electrons].

    Returns
    -------
    ndarray of shape (ny, nx), float16
        [1000 electrons]; NaN where it is not known.

    Examples
    --------
    >>> slope, dq = np.array([500.0, 9e3, np.nan]), np.array([0, 0, 1], np.uint32)
    >>> charge_at_end(slope, dq, np.ones(3), 140.0, 1e5).tolist()
    [70.0, 100.0, nan]
    """
    with np.errstate(invalid="ignore"):
        electrons = slope * np.where(gain > 0, gain, np.nan) * exposure_time
    full = np.isnan(slope) & ((dq & flags.SATURATED) != 0)
    electrons = np.where(full, full_well, np.clip(electrons, 0, full_well))
    return (electrons / 1e3).astype(np.float16)


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


def typical_weights(
    data: np.ndarray,
    gain: np.ndarray,
    read_noise: np.ndarray,
    read_pattern: tuple[tuple[int, ...], ...],
    frame_time: float,
) -> np.ndarray:
    """Return the weights of `slope_weights` for the median pixel of a ramp.

    Parameters
    ----------
    data : ndarray of shape (n_resultants, n_rows, nx)
        Counts as they were stored [DN]; of at least two resultants.
    gain, read_noise : ndarray of shape (n_rows, nx)
        [electrons / DN] and noise of one read [DN]; what is not positive is left out.
    read_pattern : tuple of tuple of int
        Reads of each resultant, counted from 1.
    frame_time : float
        Time between two reads [s].

    Returns
    -------
    ndarray of shape (n_resultants - 1,)
        NaN where no gain or noise is known.

    Examples
    --------
    >>> ramp, some = np.zeros((4, 2, 2), np.uint16), np.full((2, 2), 5.0)
    >>> typical_weights(ramp, some, some, ((1,), (2,), (3,), (4,)), 3.0).round(3).tolist()
    [0.3, 0.4, 0.3]
    """
    times = mean_times(read_pattern, frame_time)
    rise = max(float(np.median(data[-1].astype(np.float32) - data[0])), 0.0)
    typical_gain, noise = (
        float(np.median(values[values > 0])) if (values > 0).any() else np.nan
        for values in (gain, read_noise)
    )
    rate = rise / (times[-1] - times[0]) / typical_gain
    return slope_weights(difference_timing(read_pattern, frame_time), rate, noise)


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

"""Integral nonlinearity: the converter's own departure from a straight line, channel by channel.

A table gives for every raw count of the converter the correction [DN] that is added to it;
between whole counts it is linear, beyond the ends it keeps its last value (as in RAD's
``integralnonlinearity`` reference: one table for each science channel). The converter comes
last in the detector, so that its correction comes before the polynomial of the pixel
(`tessella.detector.linearity`), at the counts of single reads.
"""

from dataclasses import dataclass

import numpy as np

from tessella.compiled import kernel
from tessella.models import CHANNEL_WIDTH, DETECTOR_SIZE

#: Whole numbers that the converter can give.
N_COUNTS = 65536
_N_CHANNELS = DETECTOR_SIZE // CHANNEL_WIDTH
#: Reads reach at most this far from their mean where they are averaged through the integral [DN].
REACH = 256
#: Error that averaging through the integral may make [DN].
INTEGRAL_ERROR = 5e-4


@dataclass(frozen=True)
class ConverterTables:
    """Tables of the channels of a detector, with what makes averages over reads cheap."""

    #: (n_channels, 65536), float32: added to a raw count [DN].
    correction: np.ndarray
    #: (n_channels, 65536), float64: its integral from 0 on [DN**2].
    integral: np.ndarray
    #: (n_channels, 256), float64: evenly spaced reads around counts of each 256 DN may be
    #: replaced by the integral where their spacing is at most this [DN].
    widest_step: np.ndarray
    #: (n_channels,), float64: largest change of the correction with counts, either way.
    steepest: np.ndarray


def tabulate(value: np.ndarray, correction: np.ndarray) -> ConverterTables:
    """Prepare the correction tables of a detector.

    Parameters
    ----------
    value : ndarray of shape (n,)
        Raw counts at which the tables are given, increasing [DN].
    correction : ndarray of shape (n_channels, n)
        What is added to them, for science channels in the order of their columns [DN].

    Returns
    -------
    ConverterTables

    Raises
    ------
    ValueError
        If a number is not finite, the counts do not increase, or corrected counts do not: the
        order of counts would be lost.

    Notes
    -----
    The average of f over N reads that are h apart is replaced by that over the interval N h
    around their mean. For one read that is f(y) against the mean of f over ``y -+ h / 2``. With f
    linear between whole counts and its slope changing by at most D at each, the difference at
    a distance t is largest with a whole count at y itself: ``D (t**2 + u (1 - u)) / 2``, u being
    the fraction of t. Its mean over t is at most ``D (h**2 / 24 + min(h, 1) / 8)``.

    Examples
    --------
    >>> tables = tabulate(np.array([0.0, 65535.0]), np.array([[0.0, 65.535]]))
    >>> round(float(tables.steepest[0]), 4), tables.correction.shape
    (0.001, (1, 65536))
    """
    correction = np.atleast_2d(correction)
    if not (np.isfinite(value).all() and np.isfinite(correction).all()):
        raise ValueError("integral nonlinearity: a value or a correction is not a finite number")
    if len(value) != correction.shape[1] or not (np.diff(value) > 0).all():
        raise ValueError(
            "integral nonlinearity: the table needs increasing counts, one for each correction"
        )
    counts = np.arange(N_COUNTS)
    table = np.array([np.interp(counts, value, row) for row in correction], np.float32)
    slope = np.diff(table.astype(float), axis=1)
    if (slope <= -1).any():
        channel, count = np.argwhere(slope <= -1)[0]
        raise ValueError(
            f"integral nonlinearity: channel {channel + 1} does not increase with counts "
            f"at {count} DN when it is corrected"
        )
    integral = np.zeros(table.shape)
    np.cumsum((table[:, 1:] + table[:, :-1].astype(float)) / 2, axis=1, out=integral[:, 1:])
    return ConverterTables(table, integral, _widest_step(slope), np.abs(slope).max(axis=1))


def _widest_step(slope: np.ndarray) -> np.ndarray:
    """Solve the bound of `tabulate` for the spacing of reads, with D of the counts in reach."""
    level = np.zeros((len(slope), 1))
    bend = np.abs(np.diff(slope, axis=1, prepend=level, append=level))
    bend = bend.reshape(len(bend), -1, REACH).max(axis=2)
    around = np.pad(bend, ((0, 0), (1, 1)))
    around = np.maximum(np.maximum(around[:, :-2], around[:, 2:]), bend)
    with np.errstate(divide="ignore"):
        allowed = INTEGRAL_ERROR / around
    # h below 1: h**2 / 24 + h / 8 is at most h / 6; above: h**2 / 24 + 1 / 8.
    steps = np.where(allowed < 1 / 6, 6 * allowed, np.sqrt(24 * np.maximum(allowed - 1 / 8, 0)))
    return np.minimum(steps, 2 * REACH)


@kernel
def whole(count: float) -> float:
    """Return the whole number at or below a count, with a next one within the table; 0 for NaN."""
    inside = count if count > 0.0 else 0.0
    return np.floor(inside if inside < N_COUNTS - 2.0 else N_COUNTS - 2.0)


@kernel
def correction_between(count: float, low: float, here: float, following: float) -> float:
    """Return the correction of a raw count from those of ``low = whole(count)`` and of the next.

    NaN is taken for 0.
    """
    part = min(count - low, 1.0) if count > 0.0 else 0.0
    return here + part * (following - here)


@kernel
def integral_between(
    count: float, low: float, summed: float, here: float, following: float
) -> float:
    """Return the integral of the correction from 0 to a raw count.

    `summed` is the integral up to ``low = whole(count)``, `here` and `following` are the
    corrections there and at the next. Beyond the table the correction stays. NaN gives NaN.
    """
    beyond = count - low
    part = min(beyond, 1.0) if count > 0.0 else 0.0
    rise = following - here
    return summed + part * (here + 0.5 * part * rise) + (beyond - part) * (here + part * rise)


def apply_integral_nonlinearity(
    counts: np.ndarray, tables: ConverterTables, first_column: int = 0
) -> np.ndarray:
    """Return the raw counts that a converter shows of counts that a straight one would show.

    The exact inverse of the correction: ``raw + correction(raw)`` is `counts`.

    Parameters
    ----------
    counts : ndarray of shape (n_rows, nx)
        One read, before it is rounded [DN]; NaN stays NaN.
    tables : ConverterTables
        Of the channels of the whole detector.
    first_column : int
        Column of the detector at which the counts start [pixels].

    Returns
    -------
    ndarray of shape (n_rows, nx), float32
        [DN]

    Raises
    ------
    ValueError
        If columns lie beyond the channels of the tables.

    Examples
    --------
    >>> tables = tabulate(np.array([0.0, 65535.0]), np.array([[0.0, 65.535]]))
    >>> round(float(apply_integral_nonlinearity(np.array([[1001.0]]), tables)[0, 0]), 2)
    1000.0
    """
    check_columns(tables, first_column, counts.shape[1])
    raw = np.empty(counts.shape, np.float32)
    _invert_rows(np.ascontiguousarray(counts, np.float32), tables.correction, first_column, raw)
    return raw


def check_columns(tables: ConverterTables, first_column: int, n_columns: int) -> None:
    """Raise ValueError where columns lie beyond the channels of the tables."""
    columns = len(tables.correction) * CHANNEL_WIDTH
    if first_column < 0 or first_column + n_columns > columns:
        raise ValueError(
            f"integral nonlinearity: columns {first_column} to {first_column + n_columns} do not "
            f"lie within the {len(tables.correction)} channels of the tables"
        )


@kernel
def _invert_rows(counts: np.ndarray, table: np.ndarray, first_column: int, raw: np.ndarray) -> None:
    for y in range(counts.shape[0]):
        for x in range(counts.shape[1]):
            raw[y, x] = _invert(
                table[(first_column + x) // CHANNEL_WIDTH], np.float64(counts[y, x])
            )


@kernel
def _invert(table: np.ndarray, count: float) -> float:
    if not np.isfinite(count):
        return count
    last = N_COUNTS - 1
    if count <= table[0]:
        return count - table[0]
    if count >= last + np.float64(table[last]):
        return count - table[last]
    # Corrected counts increase: walk to the two whole numbers between which this one lies.
    i = int(whole(count - table[int(whole(count))]))
    while i + np.float64(table[i]) > count:
        i -= 1
    while i + 1 + np.float64(table[i + 1]) <= count:
        i += 1
    low = i + np.float64(table[i])
    return i + (count - low) / (1.0 + np.float64(table[i + 1]) - table[i])


def draw_integral_nonlinearity(
    amplitude_dn: float,
    period_dn: float,
    rng: np.random.Generator,
    n_channels: int = _N_CHANNELS,
) -> np.ndarray:
    """Draw a correction for each channel: waves of the counts, as converters of stages show.

    Neighbouring channels differ, which stripes an image of even light.

    Parameters
    ----------
    amplitude_dn : float
        Largest correction [DN].
    period_dn : float
        Length of the longest wave, within a fifth [DN].
    rng : numpy.random.Generator
        Gives phases, lengths and shares of the waves.
    n_channels : int
        32 of a whole detector.

    Returns
    -------
    ndarray of shape (n_channels, 65536), float32
        Correction of the counts 0, 1, 2 ... [DN], for `tabulate`.

    Raises
    ------
    ValueError
        If the amplitude is negative, or too large for the period: counts would not increase.

    Examples
    --------
    >>> table = draw_integral_nonlinearity(10.0, 8192.0, np.random.default_rng(1))
    >>> table.shape, bool(np.abs(table).max() <= 10)
    ((32, 65536), True)
    """
    # ASSUME: three waves, each half as long and up to half as high as the one before.
    orders = np.array([1.0, 2.0, 4.0])
    steepest = 2 * np.pi * len(orders) * amplitude_dn / (0.8 * period_dn) if period_dn > 0 else 1.0
    if not (amplitude_dn >= 0 and steepest < 1):
        raise ValueError(
            f"integral nonlinearity: amplitude {amplitude_dn} DN with a period of {period_dn} DN; "
            "at least 0 and less than 1/24 of the period is needed"
        )
    height = (0.5 + 0.5 * rng.random((n_channels, len(orders), 1))) / orders[:, None]
    phase = 2 * np.pi * rng.random(height.shape)
    period = period_dn * (0.8 + 0.4 * rng.random((n_channels, 1, 1))) / orders[:, None]
    table = np.empty((n_channels, N_COUNTS), np.float32)
    for channel in range(n_channels):
        waves = height[channel] * np.sin(
            2 * np.pi * np.arange(N_COUNTS) / period[channel] + phase[channel]
        )
        table[channel] = amplitude_dn * waves.sum(axis=0) / height[channel].sum()
    return table

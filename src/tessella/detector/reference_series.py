"""Reference pixels as series in read time: without offsets and trends, gaps filled.

What `tessella.detector.reference_pixels` subtracts and what `reference_noise.make_coefficients`
learns from is prepared here in one way.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import fft

from tessella.compiled import kernel
from tessella.detector.reference_noise import ROW_CLOCKS
from tessella.models import BORDER, CHANNEL_WIDTH

#: Counts further from the others than this are left out [robust standard deviations], but none
#: closer than one step of the converter [DN].
_OUTLIER_SIGMAS, _LEAST_DISTANCE_DN = 6.0, 1.0
#: Pixels from which medians of large groups are taken.
_MEDIAN_SAMPLE = 16384
#: Half width of the window that fills gaps of the reference output [clocks].
_GAP_REACH = 16


@dataclass(frozen=True)
class BorderPixels:
    """Absolute counts of reference pixels [DN], float32; NaN where a count must not be used."""

    #: First and last four columns, (n, ny, 4).
    left: np.ndarray
    right: np.ndarray
    #: First and last four rows, (n, 4, nx).
    bottom: np.ndarray
    top: np.ndarray
    #: Reference output, (n, ny, 128).
    amp33: np.ndarray


def border_pixels(
    data: np.ndarray, usable: np.ndarray, amp33: np.ndarray, amp33_usable: np.ndarray | bool = True
) -> BorderPixels:
    """Take the reference pixels out of a frame.

    Parameters
    ----------
    data : ndarray of shape (n, ny, nx)
        Counts [DN]; only the border is read.
    usable : ndarray of shape (n, ny, nx)
        False for counts that were lost and for bad reference pixels.
    amp33 : ndarray of shape (n, ny, 128)
        Reference output [DN].
    amp33_usable : ndarray of shape (n, ny, 128), or bool
        The same of the reference output.

    Returns
    -------
    BorderPixels

    Examples
    --------
    >>> ramp, amp33 = np.zeros((2, 128, 256)), np.zeros((2, 128, 128))
    >>> border = border_pixels(ramp, np.ones(ramp.shape, bool), amp33)
    >>> border.top.shape, border.right.shape
    ((2, 4, 256), (2, 128, 4))
    """

    def cut(*index: slice) -> np.ndarray:
        return np.where(usable[index], data[index], np.nan).astype(np.float32)

    every, first, last = slice(None), slice(None, BORDER), slice(-BORDER, None)
    return BorderPixels(
        left=cut(every, every, first),
        right=cut(every, every, last),
        bottom=cut(every, first),
        top=cut(every, last),
        amp33=np.where(amp33_usable, amp33, np.nan).astype(np.float32),
    )


@dataclass(frozen=True)
class References:
    """Reference pixels without offsets, in read time."""

    #: Lines of all channels (n, n_channels, 2), and whether they are known.
    trend: np.ndarray
    known: np.ndarray
    #: (n, ny, 4), trends subtracted, gaps filled; the clocks at which their columns start.
    left: np.ndarray
    right: np.ndarray
    first_clocks: tuple[int, int]
    #: (n, ny, 128), trend not yet subtracted; None where it is not used.
    amp33: np.ndarray | None

    def series(self, resultants: slice) -> list[np.ndarray]:
        """Return left, right and the reference output of some resultants over clocks."""
        series = [
            _series_of_columns(self.left[resultants], self.first_clocks[0]),
            _series_of_columns(self.right[resultants], self.first_clocks[1]),
        ]
        if self.amp33 is not None:
            counts = self.amp33[resultants]
            ny = counts.shape[1]
            ends = np.concatenate([counts[:, :BORDER], counts[:, -BORDER:]], axis=1)
            trend, known = _trends(ends[None], ny, False)
            counts = _without_trend(counts, trend[:, 0], known[:, 0], 0)
            series.append(_series_of_output(counts))
        return series


def prepare_references(
    border: BorderPixels, first_channel: int, significant: bool, with_amp33: bool = True
) -> References:
    """Remove offsets and trends from reference pixels and put them into the order of reading.

    Parameters
    ----------
    border : BorderPixels
        Counts [DN].
    first_channel : int
        Number of the first channel on the detector; odd ones are read backwards.
    significant : bool
        True leaves out slopes of channels that are within 3 of their errors.
    with_amp33 : bool
        False leaves out the reference output.

    Examples
    --------
    >>> ramp = np.ones((2, 128, 256)) * np.array([10.0, 12.0])[:, None, None]
    >>> border = border_pixels(ramp, ramp > 0, ramp[..., :128])
    >>> references = prepare_references(border, 0, False)
    >>> references.trend[:, 1, 0].tolist(), bool(references.left.any()), references.first_clocks
    ([-1.0, 1.0], False, (0, 0))
    """
    ny = border.left.shape[1]
    trend, known = _trends(_rows_in_read_time(border, first_channel), ny, significant)
    last_channel = first_channel + trend.shape[1] - 1
    left, left_clock = _columns_in_read_time(border.left, first_channel, False)
    right, right_clock = _columns_in_read_time(border.right, last_channel, True)
    return References(
        trend,
        known,
        _fill_columns(_without_trend(left, trend[:, 0], known[:, 0], left_clock)),
        _fill_columns(_without_trend(right, trend[:, -1], known[:, -1], right_clock)),
        (left_clock, right_clock),
        _without_offsets(border.amp33) if with_amp33 else None,
    )


def dark_spectra(
    data: np.ndarray, border: BorderPixels, first_channel: int = 0
) -> Iterator[tuple[int, np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    """Transform a dark exposure to what `reference_noise.make_coefficients` learns from.

    Parameters
    ----------
    data : ndarray of shape (n, ny, nx)
        Counts without light [DN]; NaN where they must not be used.
    border : BorderPixels
        Its reference pixels.
    first_channel : int
        Number of its first channel on the detector.

    Yields
    ------
    channel : int
        From 0.
    science, left, right, amp33 : ndarray of shape (n, ny * 70 + 1), complex64
        Spectra without offsets and trends [DN], unnormalised.

    Examples
    --------
    >>> dark = np.zeros((2, 128, 256))
    >>> border = border_pixels(dark, dark == 0, dark[..., :128])
    >>> [spectra[1].shape for spectra in dark_spectra(dark, border)]
    [(2, 8961), (2, 8961)]
    """
    references = prepare_references(border, first_channel, significant=False)
    trend, known = references.trend, references.known
    spectra = [fft.rfft(one, workers=1) for one in references.series(slice(None))]
    for channel in range(trend.shape[1]):
        columns = slice(channel * CHANNEL_WIDTH, (channel + 1) * CHANNEL_WIDTH)
        counts = data[..., columns].astype(np.float32)
        # The border is what predicts: its own noise must not be predicted by itself.
        counts[:, :BORDER] = counts[:, -BORDER:] = np.nan
        if channel == 0:
            counts[..., :BORDER] = np.nan
        if channel == trend.shape[1] - 1:
            counts[..., -BORDER:] = np.nan
        counts = counts[..., ::-1] if (first_channel + channel) % 2 else counts
        counts = _without_offsets(counts)
        counts = _without_trend(counts, trend[:, channel], known[:, channel], 0)
        yield channel, fft.rfft(_series_of_output(counts), workers=1), *spectra


def _rows_in_read_time(border: BorderPixels, first_channel: int) -> np.ndarray:
    """Return the reference rows without offsets, (n_channels, n, 8, 128)."""
    rows = np.concatenate([border.bottom, border.top], axis=1)
    n, n_rows, nx = rows.shape
    rows = rows.reshape(n, n_rows, nx // CHANNEL_WIDTH, CHANNEL_WIDTH)
    out = np.empty((rows.shape[2], n, n_rows, CHANNEL_WIDTH), np.float32)
    for channel in range(len(out)):
        one = rows[:, :, channel]
        one = one[..., ::-1] if (first_channel + channel) % 2 else one
        out[channel] = _without_offsets(one)
    return out


def _without_offsets(counts: np.ndarray) -> np.ndarray:
    """Subtract the mean of each pixel over the resultants (n, ...), and blank outliers.

    The model is offset of a pixel plus level of a resultant, so that a pixel that lacks some
    resultants is compared with the others in those that it has. The levels have a mean of 0 and
    come from medians: where nothing is lost they do not matter.
    """
    flat = counts.reshape(len(counts), -1).copy()
    known = np.isfinite(flat).any(axis=1)
    levels = np.zeros(len(flat))
    residual = np.empty_like(flat)
    sample = slice(None, None, flat.shape[1] // _MEDIAN_SAMPLE | 1)
    for _ in range(2):
        _centre(flat, levels, True, residual)
        levels = np.array([_median(line[sample]) for line in residual])
        levels -= levels[known].mean() if known.any() else 0
    distance = np.abs(residual[:, sample] - levels[:, None].astype(np.float32))
    limit = max(_OUTLIER_SIGMAS * 1.4826 * _median(distance), _LEAST_DISTANCE_DN)
    flat[np.abs(residual - levels[:, None].astype(np.float32)) > limit] = np.nan
    _centre(flat, levels, False, residual)
    return residual.reshape(counts.shape)


def _median(values: np.ndarray) -> float:
    """Return the median of what is finite; 0 of nothing."""
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if finite.size else 0.0


@kernel
def _centre(counts: np.ndarray, levels: np.ndarray, by_median: bool, out: np.ndarray) -> None:
    """Subtract from each pixel its mean or median over the resultants, levels taken off first.

    In float64.
    """
    n = counts.shape[0]
    kept = np.empty(n)
    for pixel in range(counts.shape[1]):
        n_kept, total = 0, 0.0
        for i in range(n):
            value = counts[i, pixel] - levels[i]
            if value == value:
                place = n_kept
                # Insertion: n is small as a rule.
                while by_median and place > 0 and kept[place - 1] > value:
                    kept[place] = kept[place - 1]
                    place -= 1
                kept[place] = value
                total += value
                n_kept += 1
        offset = np.nan
        if n_kept > 0:
            middle = (kept[(n_kept - 1) // 2] + kept[n_kept // 2]) / 2
            offset = middle if by_median else total / n_kept
        for i in range(n):
            out[i, pixel] = counts[i, pixel] - offset


def _trends(rows: np.ndarray, ny: int, significant: bool) -> tuple[np.ndarray, np.ndarray]:
    """Fit a straight line in read time to the reference rows of each channel and resultant.

    Parameters
    ----------
    rows : ndarray of shape (n_channels, n, 8, 128)
        In read time, without offsets [DN]; NaN takes no part.
    ny : int
        Rows of the frame.
    significant : bool
        True leaves out slopes within 3 of their errors.

    Returns
    -------
    trend : ndarray of shape (n, n_channels, 2)
        Level in the middle of the read [DN] and slope [DN / clock]; no slope unless rows at both
        ends are known.
    known : ndarray of shape (n, n_channels), bool
        Whether there was any row.
    """
    first = np.r_[:BORDER, ny - BORDER : ny] * ROW_CLOCKS
    middle = (ny * ROW_CLOCKS - 1) / 2
    time = (first[:, None] + np.arange(CHANNEL_WIDTH) - middle).ravel()
    counts = rows.reshape(*rows.shape[:2], -1).astype(float).swapaxes(0, 1)
    usable = np.isfinite(counts)
    counts = np.where(usable, counts, 0)
    number = usable.sum(axis=2)
    at_least_one = np.maximum(number, 1)
    mean_time = (usable * time).sum(axis=2) / at_least_one
    mean = counts.sum(axis=2) / at_least_one
    lever = np.where(usable, time - mean_time[..., None], 0)
    square = (lever**2).sum(axis=2)
    half = time.size // 2
    both_ends = usable[..., :half].any(axis=2) & usable[..., half:].any(axis=2)
    slope = np.where(both_ends, (lever * counts).sum(axis=2) / np.where(square > 0, square, 1), 0)
    if significant:
        left_over = np.where(usable, counts - mean[..., None] - slope[..., None] * lever, 0)
        variance = (left_over**2).sum(axis=2) / np.maximum(number - 2, 1)
        slope[slope**2 * square < 9 * variance] = 0
    return np.stack([mean - slope * mean_time, slope], axis=2), number > 0


def _without_trend(
    counts: np.ndarray, trend: np.ndarray, known: np.ndarray, first_clock: int
) -> np.ndarray:
    """Subtract a channel's line (n, 2) from its pixels (n, ny, m); NaN where it is unknown."""
    _, ny, width = counts.shape
    clock = np.arange(ny)[:, None] * ROW_CLOCKS + first_clock + np.arange(width)
    time = (clock - (ny * ROW_CLOCKS - 1) / 2).astype(np.float32)
    line = trend.astype(np.float32)[:, :, None, None]
    return np.where(known[:, None, None], counts - line[:, 0] - line[:, 1] * time, np.nan)


def _columns_in_read_time(
    columns: np.ndarray, channel: int, at_end: bool
) -> tuple[np.ndarray, int]:
    """Return reference columns (n, ny, 4) without offsets, and the clock of the first."""
    is_reversed = channel % 2 == 1
    columns = _without_offsets(columns)
    first_clock = CHANNEL_WIDTH - BORDER if at_end != is_reversed else 0
    return columns[..., ::-1] if is_reversed else columns, first_clock


def _fill_columns(columns: np.ndarray) -> np.ndarray:
    """Give lost pixels the mean of their row, and lost rows what lies between their neighbours."""
    out = columns.copy()
    row = np.arange(columns.shape[1])
    for counts in out:
        usable = np.isfinite(counts)
        number = usable.sum(axis=1)
        if not number.any():
            counts[...] = 0
        elif not usable.all():
            means = np.where(usable, counts, 0).sum(axis=1) / np.maximum(number, 1)
            means = np.interp(row, row[number > 0], means[number > 0])
            counts[...] = np.where(usable, counts, means[:, None])
    return out


def _series_of_columns(columns: np.ndarray, first_clock: int) -> np.ndarray:
    """Return columns (n, ny, 4) as a series over clocks whose slow part is theirs (n, clocks)."""
    n, ny, _ = columns.shape
    out = np.zeros((n, ny, ROW_CLOCKS), np.float32)
    out[..., first_clock : first_clock + BORDER] = columns * (ROW_CLOCKS / BORDER)
    return out.reshape(n, -1)


def _series_of_output(counts: np.ndarray) -> np.ndarray:
    """Return an output (n, ny, 128) in read time as a series over clocks, gaps filled."""
    n, ny, _ = counts.shape
    padded = np.full((n, ny, ROW_CLOCKS), np.nan, np.float32)
    padded[..., :CHANNEL_WIDTH] = counts
    series = padded.reshape(n, -1)
    window = np.cos(np.pi * np.arange(_GAP_REACH) / (2 * _GAP_REACH))
    for line in series:
        _fill_gaps(line, window)
    return series


@kernel
def _fill_gaps(line: np.ndarray, window: np.ndarray) -> None:
    """Fill NaN by what is near, weighted by a cosine of the distance; by 0 where nothing is.

    The idle clocks are then smoothed three times with (1, 2, 1) / 4: the low pass
    (1 + cos(2 pi f)) / 2 in frequency, without a transform.
    """
    usable = np.isfinite(line)
    known = line.copy()
    for at in range(line.size):
        if usable[at]:
            continue
        total, weight = 0.0, 0.0
        for other in range(max(0, at - window.size + 1), min(line.size, at + window.size)):
            if usable[other]:
                total += window[abs(other - at)] * known[other]
                weight += window[abs(other - at)]
        line[at] = total / weight if weight > 0 else 0.0
    pad = np.empty(ROW_CLOCKS - CHANNEL_WIDTH)
    for first in range(CHANNEL_WIDTH, line.size, ROW_CLOCKS):
        for _ in range(3):
            for k in range(pad.size):
                after = line[(first + k + 1) % line.size]
                pad[k] = (line[first + k - 1] + 2 * line[first + k] + after) / 4
            for k in range(pad.size):
                line[first + k] = pad[k]

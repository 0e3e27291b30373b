"""Splitting of segments into the sources whose light touches."""

from dataclasses import dataclass

import numpy as np

#: A source of its own rises above the saddle to its neighbour by this much [standard deviations].
_SIGNIFICANT_RISE = 3.0


def deblend(
    snr: np.ndarray, noise: np.ndarray, segmentation: np.ndarray, n_pixels: int, contrast: float
) -> np.ndarray:
    """Split segments into one source for each peak that stands out.

    Every pixel belongs to the peak that the steepest way up leads to. From the highest saddle
    between two peaks to the lowest, the two become one source unless both have, above the
    saddle, `contrast` of the segment's signal, `n_pixels` pixels and a rise of 3 standard
    deviations. This is SExtractor's tree (Bertin & Arnouts 1996, A&AS 117, 393, section 6.3,
    doi:10.1051/aas:1996164) with as many levels as there are saddles.

    Parameters
    ----------
    snr : (ny, nx) array
        Detection image; no NaN in segments.
    noise : (ny, nx) array
        Its standard deviation.
    segmentation : (ny, nx) array of int
        Labels of connected segments; 0 is sky.
    n_pixels : int
        Least number of pixels.
    contrast : float
        Least fraction of the segment's signal.

    Returns
    -------
    (ny, nx) array of int32
        Labels from 1, in the order of the segments and in each from the brightest peak on.

    Examples
    --------
    >>> snr = np.array([[5.0, 20.0, 9.0, 6.0, 11.0, 30.0, 7.0]])
    >>> deblend(snr, np.ones(snr.shape), np.ones(snr.shape, int), 1, 0.1).tolist()
    [[2, 2, 2, 1, 1, 1, 1]]
    >>> deblend(snr, np.ones(snr.shape), np.ones(snr.shape, int), 1, 0.5).tolist()
    [[1, 1, 1, 1, 1, 1, 1]]
    """
    y, x = np.nonzero(segmentation)
    if not y.size:
        return np.zeros(segmentation.shape, dtype=np.int32)
    neighbours = _neighbours(segmentation, y, x)
    value = snr[y, x].astype(float)
    peak = _highest_peak(value, neighbours)
    pixels = _Pixels(value, noise[y, x].astype(float), segmentation[y, x], peak)
    owner = _merged(pixels, _saddles(value, peak, neighbours), n_pixels, contrast)
    # Segments in order, peaks from bright to faint.
    sources = np.unique(owner)
    rank = np.empty(len(y), dtype=np.int32)
    order = sources[np.lexsort((-value[sources], pixels.segment[sources]))]
    rank[order] = np.arange(1, len(order) + 1)
    labels = np.zeros(segmentation.shape, dtype=np.int32)
    labels[y, x] = rank[owner]
    return labels


@dataclass(frozen=True)
class _Pixels:
    """Pixels of all segments, (n,): signal, noise, segment, and index of the peak above them."""

    value: np.ndarray
    noise: np.ndarray
    segment: np.ndarray
    peak: np.ndarray


def _neighbours(segmentation: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return (n, 8): index of each neighbour of the same segment, or that of the pixel itself."""
    index = np.full(np.add(segmentation.shape, 2), -1)
    index[y + 1, x + 1] = np.arange(len(y))
    own = segmentation[y, x]
    shifts = [(dy, dx) for dy in (0, 1, 2) for dx in (0, 1, 2) if (dy, dx) != (1, 1)]
    found = np.stack([index[y + dy, x + dx] for dy, dx in shifts], axis=1)
    same = (found >= 0) & (own[found] == own[:, None])
    return np.where(same, found, np.arange(len(y))[:, None])


def _highest_peak(value: np.ndarray, neighbours: np.ndarray) -> np.ndarray:
    """Return the index of the peak that the steepest way up from each pixel leads to."""
    itself = np.arange(len(value))
    best = neighbours[itself, np.argmax(value[neighbours], axis=1)]
    up = np.where(value[best] > value, best, itself)
    while not np.array_equal(further := up[up], up):
        up = further
    return up


def _saddles(
    value: np.ndarray, peak: np.ndarray, neighbours: np.ndarray
) -> list[tuple[float, int, int]]:
    """Return (height, peak, peak) of the best way between touching peaks, highest first."""
    here = np.repeat(np.arange(len(value)), neighbours.shape[1])
    there = neighbours.ravel()
    touching = peak[here] < peak[there]
    here, there = here[touching], there[touching]
    first, second = peak[here], peak[there]
    height = np.minimum(value[here], value[there])
    order = np.lexsort((-height, second, first))
    first, second, height = first[order], second[order], height[order]
    highest = np.ones(len(first), dtype=bool)
    highest[1:] = (np.diff(first) != 0) | (np.diff(second) != 0)
    first, second, height = first[highest], second[highest], height[highest]
    order = np.lexsort((second, first, -height))
    return list(
        zip(height[order].tolist(), first[order].tolist(), second[order].tolist(), strict=True)
    )


def _merged(
    pixels: _Pixels, saddles: list[tuple[float, int, int]], n_pixels: int, contrast: float
) -> np.ndarray:
    """Return, for each pixel, the index of the peak of its source."""
    total = np.bincount(pixels.segment, weights=pixels.value)
    order = np.lexsort((-pixels.value, pixels.peak))
    by_peak = pixels.value[order]
    starts = np.searchsorted(pixels.peak[order], np.arange(len(order) + 1))
    members: dict[int, list[int]] = {}
    owner = {int(peak): int(peak) for peak in np.unique(pixels.peak)}
    proven: set[int] = set()

    def stands_out(source: int, height: float) -> bool:
        if source in proven:  # above a lower saddle there is only more
            return True
        if pixels.value[source] - height < _SIGNIFICANT_RISE * pixels.noise[source]:
            return False
        parts = [by_peak[starts[peak] : starts[peak + 1]] for peak in members.get(source, [source])]
        above = np.concatenate(parts) - height
        above = above[above > 0]
        if above.size < n_pixels or above.sum() < contrast * total[pixels.segment[source]]:
            return False
        proven.add(source)
        return True

    for height, first, second in saddles:
        low, high = sorted(
            (owner[first], owner[second]), key=lambda peak: (pixels.value[peak], -peak)
        )
        if low == high or (stands_out(low, height) and stands_out(high, height)):
            continue
        joined = members.setdefault(high, [high])
        for peak in members.pop(low, [low]):
            owner[peak] = high
            joined.append(peak)
        if low in proven:
            proven.add(high)
    lookup = np.arange(len(order))
    for peak, source in owner.items():
        lookup[peak] = source
    return lookup[pixels.peak]

"""Centroids in a Gaussian window, which noise and neighbours hurt least."""

from collections.abc import Mapping

import numpy as np

from tessella.photometry.noise import correlated_variance
from tessella.sources.detection import Detection
from tessella.sources.stamps import nearest_pixel, stamps

#: Limits of the window's standard deviation [pixels]; a window is cut at three of them.
_SIGMA_LIMITS = (1.0, 10.0)
_EXTENT = 3.0
_ITERATIONS = 40
#: Steps that count as standing still, and the farthest way from the first centroid [pixels].
_TOLERANCE = 1e-4
_FARTHEST = 3.0


def windowed_centroid(
    detection: Detection, columns: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Measure the centroid of each source in a Gaussian window as wide as the source.

    The window's standard deviation is that of a Gaussian with the source's half-light radius
    in its segment (SExtractor's XWIN, Bertin & Arnouts 1996, doi:10.1051/aas:1996164). Pixels
    of other sources and pixels without data are replaced by those opposite of the centre.
    The error is that of the window's fixed point under the correlated noise.

    Parameters
    ----------
    detection : Detection
        Segments and detection image, (ny, nx).
    columns : mapping
        ``label x_centroid y_centroid`` of the sources.

    Returns
    -------
    dict of (n,) arrays
        ``x_centroid_win y_centroid_win`` and their errors [pixels]; NaN where the iteration
        does not converge within 3 pixels of the first centroid.
    """
    names = ("x_centroid_win", "y_centroid_win", "x_centroid_win_err", "y_centroid_win_err")
    found = {name: np.full(len(detection.labels), np.nan) for name in names}
    sigma = window_sigma(detection, columns["x_centroid"], columns["y_centroid"])
    half_widths = np.ceil(_EXTENT * sigma / 4).astype(int) * 4
    for half in np.unique(half_widths):
        chosen = np.flatnonzero(half_widths == half)
        x, y = columns["x_centroid"][chosen], columns["y_centroid"][chosen]
        results = _in_window(detection, detection.labels[chosen], x, y, sigma[chosen], int(half))
        for name, values in zip(names, results, strict=True):
            found[name][chosen] = values
    return found


def window_sigma(
    detection: Detection, x_centroid: np.ndarray, y_centroid: np.ndarray
) -> np.ndarray:
    """Return the standard deviation [pixels] of a Gaussian of each source's half-light radius."""
    y, x = np.nonzero(detection.segmentation)
    index = np.searchsorted(detection.labels, detection.segmentation[y, x])
    signal = np.maximum(np.nan_to_num(detection.snr[y, x], nan=0.0), 0.0).astype(float)
    radius = np.hypot(x - x_centroid[index], y - y_centroid[index])
    order = np.lexsort((radius, index))
    index, radius, signal = index[order], radius[order], signal[order]
    total = np.bincount(index, weights=signal, minlength=len(detection.labels))
    before = np.concatenate(([0.0], np.cumsum(total)[:-1]))
    inner = np.cumsum(signal) - before[index] <= 0.5 * total[index]
    n_inner = np.bincount(index[inner], minlength=len(detection.labels))
    # Half of the light lies within the area of the inner pixels and half a pixel more.
    half_light = np.sqrt((n_inner + 0.5) / np.pi)
    return np.clip(half_light / np.sqrt(2 * np.log(2)), *_SIGMA_LIMITS)


def _in_window(
    detection: Detection,
    labels: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
    sigma: np.ndarray,
    half: int,
) -> tuple[np.ndarray, ...]:
    signal = _without_neighbours(detection, labels, x, y, half)
    noise = np.nan_to_num(stamps(detection.noise, x, y, half))
    middle_x, middle_y = (np.where(np.isfinite(p), nearest_pixel(p), np.nan) for p in (x, y))
    at_x, at_y = x.copy(), y.copy()
    moved = np.full(len(x), np.inf)
    for _ in range(_ITERATIONS):
        dx, dy, window = _window(at_x, at_y, middle_x, middle_y, sigma, half)
        weighted = window * signal
        total = weighted.sum(axis=(1, 2))
        total = np.where(total > 0, total, np.nan)
        step_x = 2 * (weighted * dx).sum(axis=(1, 2)) / total
        step_y = 2 * (weighted * dy).sum(axis=(1, 2)) / total
        going = moved > _TOLERANCE
        at_x, at_y = np.where(going, at_x + step_x, at_x), np.where(going, at_y + step_y, at_y)
        moved = np.where(going, np.hypot(step_x, step_y), moved)
        if not (moved > _TOLERANCE).any():
            break
    good = (moved <= _TOLERANCE) & (np.hypot(at_x - x, at_y - y) <= _FARTHEST)
    dx, dy, window = _window(at_x, at_y, middle_x, middle_y, sigma, half)
    errors = []
    for distance in (dx, dy):
        slope = (signal * window * ((distance / sigma[:, None, None]) ** 2 - 1)).sum(axis=(1, 2))
        lever = np.nan_to_num(window * distance * noise)
        deviation = np.sqrt(correlated_variance(lever, detection.noise_correlation))
        errors.append(np.where(good & (slope < 0), deviation / np.abs(slope), np.nan))
    return np.where(good, at_x, np.nan), np.where(good, at_y, np.nan), errors[0], errors[1]


def _window(
    at_x: np.ndarray,
    at_y: np.ndarray,
    middle_x: np.ndarray,
    middle_y: np.ndarray,
    sigma: np.ndarray,
    half: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    offset = np.arange(-half, half + 1)
    dx = (middle_x - at_x)[:, None, None] + offset
    dy = (middle_y - at_y)[:, None, None] + offset[:, None]
    return dx, dy, np.exp(-0.5 * (dx**2 + dy**2) / sigma[:, None, None] ** 2)


def _without_neighbours(
    detection: Detection, labels: np.ndarray, x: np.ndarray, y: np.ndarray, half: int
) -> np.ndarray:
    """Return stamps with pixels of others or without data replaced by those opposite, or 0."""
    signal = stamps(detection.snr, x, y, half).astype(float)
    owner = stamps(detection.segmentation, x, y, half)
    own = np.isfinite(signal) & ((owner == 0) | (owner == labels[:, None, None]))
    kept = np.where(own, signal, np.nan)
    return np.nan_to_num(np.where(own, kept, kept[:, ::-1, ::-1]))

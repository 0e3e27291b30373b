"""Local background of an image: clipped medians of boxes, smoothed and interpolated.

The way of SExtractor (Bertin & Arnouts 1996, A&AS 117, 393, section 4.1.
doi:10.1051/aas:1996164), with medians throughout.
"""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import distance_transform_edt

#: A box needs this fraction of its pixels, and this many, to have a level of its own.
_MINIMUM_FRACTION = 0.2
_MINIMUM_PIXELS = 25
#: Pixels farther from the median are clipped [standard deviations].
_CLIP_SIGMA = 3.0
_CLIP_ITERATIONS = 5
#: Fraction of a normal distribution more than one standard deviation below the median.
_ONE_SIGMA_BELOW = 0.158655


@dataclass(frozen=True)
class Background:
    """The local background of an image of (ny, nx) pixels, in the unit of the image."""

    #: (ny, nx): its level; defined everywhere, 0 where the image has too few usable pixels.
    level: np.ndarray
    #: (ny, nx): robust standard deviation of single pixels around it; NaN as above.
    rms: np.ndarray
    #: Number of pixels that the level of one place rests on, NaN as above.
    n_pixels: float


def local_background(data: np.ndarray, usable: np.ndarray, box_pixels: int) -> Background:
    """Measure the local background from the usable pixels of square boxes.

    The level of a box is the median of its pixels after clipping; levels are smoothed by a
    3 x 3 median and interpolated linearly between the middles of boxes. Pixels that are not
    usable have no influence.

    Parameters
    ----------
    data : (ny, nx) array
        Image, in any unit.
    usable : (ny, nx) array of bool
        Pixels that were observed and hold no source.
    box_pixels : int
        Side of a box; an image without a usable box of this size is one box.

    Raises
    ------
    ValueError
        If the box is smaller than 2 pixels.

    Examples
    --------
    >>> image = np.full((40, 40), 5.0)
    >>> image[:, :10] = np.nan
    >>> background = local_background(image, np.isfinite(image), 20)
    >>> float(background.level[20, 30])
    5.0
    """
    if box_pixels < 2:
        raise ValueError(f"background box of {box_pixels} pixels: it must have at least 2")
    values = np.where(usable, data, np.nan).astype(np.float32)
    for ny, nx in ((box_pixels, box_pixels), values.shape):
        level, rms, counts = _clipped_boxes(values, ny, nx)
        if np.isfinite(level).any():
            break
    else:
        nothing = np.full(data.shape, np.nan, dtype=np.float32)
        return Background(np.zeros_like(nothing), nothing, np.nan)
    n_used = float(np.median(counts[np.isfinite(level)]))
    neighbours = np.prod([min(3, size) for size in level.shape])
    # The variance of the median of k normal deviates is close to pi / 2 / (k + pi / 2 - 1).
    return Background(
        _interpolated(_smoothed(level), ny, nx, data.shape),
        _interpolated(_smoothed(rms), ny, nx, data.shape),
        n_used * float(neighbours + np.pi / 2 - 1) / (np.pi / 2),
    )


def background_error(background: Background, correlation: np.ndarray) -> np.ndarray:
    """Return the standard error of the background level.

    Parameters
    ----------
    background : Background
        From `local_background`.
    correlation : (2 n + 1, 2 n + 1) array
        Correlation of the noise of two pixels by their offset.

    Returns
    -------
    (ny, nx) array
        Standard error, in the unit of the image; it counts no structure of the sky itself.

    Examples
    --------
    >>> flat = np.ones((2, 2))
    >>> round(float(background_error(Background(flat, flat, 157.08), np.ones((1, 1)))[0, 0]), 3)
    0.1
    """
    spread = np.pi / 2 * max(float(median_correlation(correlation).sum()), 0.0)
    return np.asarray(background.rms * np.sqrt(spread / background.n_pixels))


def median_correlation(correlation: np.ndarray) -> np.ndarray:
    """Return the correlation of the signs of deviates, which sets the variance of their median.

    The variance of a median of n deviates is ``pi / 2 / n^2`` times the sum of these over all pairs
    (the sign of two deviates of correlation r is correlated by ``2 / pi arcsin r``).

    Examples
    --------
    >>> float(median_correlation(np.ones((1, 1)))[0, 0])
    1.0
    """
    return 2 / np.pi * np.arcsin(np.clip(correlation, -1.0, 1.0))


def _clipped_boxes(
    values: np.ndarray, ny: int, nx: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return median, robust standard deviation (NaN if empty) and number of pixels of each box."""
    rows, columns = (-(-size // side) for size, side in zip(values.shape, (ny, nx), strict=True))
    padding = ((0, rows * ny - values.shape[0]), (0, columns * nx - values.shape[1]))
    padded = np.pad(values, padding, constant_values=np.nan)
    boxes = padded.reshape(rows, ny, columns, nx).swapaxes(1, 2).reshape(rows * columns, ny * nx)
    ordered = np.sort(boxes, axis=1)  # NaN goes to the end
    low = np.zeros(len(ordered), dtype=int)
    high = np.count_nonzero(np.isfinite(ordered), axis=1)
    enough = high >= max(_MINIMUM_PIXELS, _MINIMUM_FRACTION * min(ny * nx, values.size))
    for _ in range(_CLIP_ITERATIONS):
        median = (_ranked(ordered, (low + high - 1) // 2) + _ranked(ordered, (low + high) // 2)) / 2
        sigma = median - _ranked(ordered, low + (_ONE_SIGMA_BELOW * (high - low)).astype(int))
        low = np.count_nonzero(ordered < (median - _CLIP_SIGMA * sigma)[:, None], axis=1)
        high = np.count_nonzero(ordered <= (median + _CLIP_SIGMA * sigma)[:, None], axis=1)
    shape = (rows, columns)
    level, rms = (np.where(enough, array, np.nan).reshape(shape) for array in (median, sigma))
    return level, rms, (high - low).reshape(shape)


def _ranked(ordered: np.ndarray, rank: np.ndarray) -> np.ndarray:
    return ordered[np.arange(len(ordered)), np.clip(rank, 0, ordered.shape[1] - 1)]


def _smoothed(mesh: np.ndarray) -> np.ndarray:
    """Return the median of each box and its neighbours; boxes without any take the nearest one."""
    ny, nx = mesh.shape
    padded = np.pad(mesh, 1, constant_values=np.nan)
    around = np.stack([padded[y : y + ny, x : x + nx] for y in range(3) for x in range(3)])
    known = np.isfinite(around).any(axis=0)
    median = np.zeros(mesh.shape)
    median[known] = np.nanmedian(around[:, known], axis=0)
    nearest = distance_transform_edt(~known, return_distances=False, return_indices=True)
    return median[tuple(nearest)]


def _interpolated(mesh: np.ndarray, ny: int, nx: int, shape: tuple[int, ...]) -> np.ndarray:
    vertical = _weights(shape[0], ny, mesh.shape[0])
    horizontal = _weights(shape[1], nx, mesh.shape[1])
    return vertical @ mesh.astype(np.float32) @ horizontal.T


def _weights(size: int, side: int, n_boxes: int) -> np.ndarray:
    """Return weights (pixels, boxes) of linear interpolation, constant beyond the outer middles."""
    position = np.clip((np.arange(size) + 0.5) / side - 0.5, 0, n_boxes - 1)
    return np.maximum(0.0, 1.0 - np.abs(position[:, None] - np.arange(n_boxes))).astype(np.float32)

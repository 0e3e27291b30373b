"""Outliers: what one exposure shows and the others, at the same place, do not."""

from dataclasses import replace

import numpy as np
from scipy.ndimage import binary_dilation, map_coordinates

from tessella.coadd.resample import Input, Rows, drizzle_one

#: Lattice pixels around a band that a decision about its pixels can depend on: four detector
#: pixels (two of the derivative, one of the growth, one of the overlap) and their diagonal.
HALO = 16


def flag_outliers(
    images: list[Input],
    rows: Rows,
    pixfrac: float,
    signal_to_noise: tuple[float, float],
    derivative_scale: tuple[float, float],
) -> list[np.ndarray]:
    """Mark the pixels of each input that disagree with the median of all.

    A pixel is marked where it differs from the median by more than ``scale * derivative +
    snr * error`` for the second, looser pair of numbers, and it or one of its neighbours
    does for the first (Hack et al., DrizzlePac `drizCR`; romancal `outlier_detection`). The
    derivative allows for the undersampled cores of stars.

    Parameters
    ----------
    images : list of Input
    rows : Rows
        The part of the lattice in which the median is made; decisions hold for image pixels
        at least `HALO` lattice pixels inside.
    pixfrac : float
        Side of the drop over the side of the pixel.
    signal_to_noise, derivative_scale : tuple of float
        Strict and loose numbers.

    Returns
    -------
    list of ndarray of shape (ny, nx)
        True for outliers. Of two inputs that disagree the brighter one is wrong: cosmic rays
        only add light. With one input at a place nothing is marked there.
    """
    stack = np.array([drizzle_one(image, rows, pixfrac) for image in images])
    median = _median_or_lower(stack)
    return [_disagrees(image, median, rows, signal_to_noise, derivative_scale) for image in images]


def _median_or_lower(stack: np.ndarray) -> np.ndarray:
    """Median over the first axis, of two values the lower one; NaN where there are fewer."""
    ordered = np.sort(stack, axis=0)
    n = np.isfinite(stack).sum(axis=0)
    lower, upper = np.maximum(n - 1, 0) // 2, np.where(n == 2, 0, n // 2)
    upper = np.minimum(upper, len(stack) - 1)
    values = np.take_along_axis(ordered, np.stack([lower, upper]), axis=0).mean(axis=0)
    return np.where(n >= 2, values, np.nan)


def _disagrees(
    image: Input,
    median: np.ndarray,
    rows: Rows,
    signal_to_noise: tuple[float, float],
    derivative_scale: tuple[float, float],
) -> np.ndarray:
    expected = _sample(median, image.places - np.array([rows.left, rows.first], float))
    derivative = _largest_step(expected)
    error = np.sqrt(image.var_poisson + image.var_rnoise)
    difference = np.abs(image.data - expected)
    with np.errstate(invalid="ignore"):
        strict, loose = (
            difference > scale * derivative + snr * error
            for snr, scale in zip(signal_to_noise, derivative_scale, strict=True)
        )
    return binary_dilation(strict, np.ones((3, 3), bool)) & loose & (image.weight > 0)


def _sample(median: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Interpolate linearly; NaN where any neighbour is NaN or outside."""
    return map_coordinates(
        median, [places[..., 1], places[..., 0]], order=1, mode="constant", cval=np.nan
    )


def _largest_step(values: np.ndarray) -> np.ndarray:
    """Largest absolute difference to the four neighbours; NaN neighbours do not count."""
    padded = np.pad(values, 1, mode="edge")
    centre = padded[1:-1, 1:-1]
    neighbours = (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:])
    return np.nanmax(np.nan_to_num(np.abs([n - centre for n in neighbours])), axis=0)


def without(image: Input, outliers: np.ndarray) -> Input:
    """Return the input with its outliers left out."""
    return replace(
        image,
        weight=np.where(outliers, 0.0, image.weight),
        data=np.where(outliers, 0.0, image.data),
    )

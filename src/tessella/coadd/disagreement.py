"""Outliers: what one image shows and the others, at the same place, do not."""

from dataclasses import dataclass

import numpy as np

from tessella.coadd.median_stack import coarse
from tessella.coadd.places import along_row, row_of_nodes, stencils
from tessella.compiled import kernel

#: Coarse pixels around a block that its decisions depend on: two of the ring about the coarse
#: pixel that holds a pixel's centre, one of rounding.
HALO = 3
#: Image pixels by which outliers grow.
GROWTH = 1
#: Of two images the stack is the fainter one, which holds as little as 0.6 of a star's light
#: where they see it in different phases.
_FAINTER_OF_TWO = 1.6


@dataclass(frozen=True)
class Thresholds:
    """When a pixel disagrees: strict and loose numbers."""

    #: Differences in errors of the pixel.
    signal_to_noise: tuple[float, float]
    #: Part of the light of a point source, as the stack shows it, that one pixel may hold more
    #: than the stack does: cores of undersampled stars.
    core: tuple[float, float]
    #: Allowed difference over the range of the stack in the neighbourhood: gradients.
    gradient: tuple[float, float]


@kernel
def surroundings(
    median: np.ndarray, count: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return what the stack shows around each of its pixels.

    Parameters
    ----------
    median, count : ndarray of shape (ny, nx)
        Of `tessella.coadd.median_stack.median_of_planes`.

    Returns
    -------
    light : ndarray of shape (ny, nx), float32
        Sum of 3 x 3 pixels over the mean of the 16 around them, at least 0: the light of a point
        source there, in units of one pixel. Neighbours without a median do not count.
    low, high : ndarray of shape (ny, nx), float32
        Smallest and largest of 3 x 3 pixels. NaN where there is no median; it is the same for
        `light`.
    """
    ny, nx = median.shape
    light = np.full((ny, nx), np.nan, np.float32)
    low, high = light.copy(), light.copy()
    for y in range(ny):
        for x in range(nx):
            if np.isnan(median[y, x]):
                continue
            inner, outer, n_inner, n_outer = 0.0, 0.0, 0, 0
            smallest, largest = median[y, x], median[y, x]
            for b in range(max(y - 2, 0), min(y + 3, ny)):
                for a in range(max(x - 2, 0), min(x + 3, nx)):
                    value = median[b, a]
                    if np.isnan(value):
                        continue
                    if abs(b - y) < 2 and abs(a - x) < 2:
                        inner += value
                        n_inner += 1
                        smallest, largest = min(smallest, value), max(largest, value)
                    else:
                        outer += value
                        n_outer += 1
            base = outer / n_outer if n_outer else smallest
            total = max(inner - n_inner * base, 0.0)
            light[y, x] = total * _FAINTER_OF_TWO if count[y, x] == 2 else total
            low[y, x], high[y, x] = smallest, largest
    return light, low, high


@kernel
def disagreeing(
    listed: tuple[np.ndarray, np.ndarray, np.ndarray],
    nodes: np.ndarray,
    steps: tuple[float, float],
    first_row: int,
    nx: int,
    around: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    origin: tuple[int, int],
    thresholds: tuple[tuple[float, float], tuple[float, float], tuple[float, float]],
) -> tuple[np.ndarray, np.ndarray, int]:
    """Tell which pixels of an image disagree with the stack.

    A pixel may be above the stack by ``snr * error + max(core * light, gradient * (high -
    stack))``, and below it by ``snr * error + gradient * (stack - low)``. The form with two
    thresholds is that of DrizzlePac's `drizCR` (Hack et al.), which allows for a multiple of the
    stack's derivative on both sides: an undersampled star that falls on the middle of a pixel is
    above the stack by up to five times of that, by at most 0.75 of its light, and never below the
    faintest of the stack's pixels around it.

    Parameters
    ----------
    listed : tuple of ndarray
        Values and errors, (n,) float32, and where they are, (n, 2) int32, as
        `tessella.coadd.median_stack.lay_rows` lists them: `own` are the pixels of the stack but
        for `HALO`.
    nodes, steps, first_row, nx
        Where they are: of the image's places, row of the image that they are counted from, and its
        width.
    around : tuple of ndarray of shape (height, width)
        The stack of the block, and its `surroundings`: light, low, high.
    origin : tuple of int
        Coarse x and y of its first pixel.
    thresholds : tuple of tuple of float
        Strict and loose numbers: signal_to_noise, core, gradient.

    Returns
    -------
    found : ndarray of shape (m,), int64
        Places in the list of pixels above one of the thresholds.
    kinds : ndarray of shape (m,), uint8
        1: above the loose one, 2: above the strict one, 3: above both.
    n_undecided : int
        Pixels where there is no stack.
    """
    values, errors, where = listed
    median, light, low, high = around
    signal_to_noise, core, gradient = thresholds
    found, kinds = np.empty(values.size, np.int64), np.empty(values.size, np.uint8)
    n, n_undecided, row = 0, 0, -1
    line, center = np.empty((nodes.shape[1], 2)), np.empty((nx, 2))
    first_node, weights = stencils(nodes.shape[1], steps[1], 0.5, nx)
    least = min(signal_to_noise[0], signal_to_noise[1])
    for k in range(values.size):
        y, x = (where[k, 0] >> 16) + HALO, (where[k, 0] & 65535) + HALO
        value, error = values[k], errors[k]
        # What lies within the errors of all that is there agrees, whatever its place.
        if value - low[y, x] <= least * error and high[y, x] - value <= least * error:
            continue
        if np.isnan(median[y, x]):
            n_undecided += 1
            continue
        j, i = where[k, 1] // nx, where[k, 1] % nx
        if j != row:
            row_of_nodes(nodes, (first_row + j + 0.5) / steps[0], 0, nodes.shape[1], line)
            row = j
        along_row(line, first_node, weights, i, i + 1, center)
        u, v = coarse(center[i, 0]) - origin[0], coarse(center[i, 1]) - origin[1]
        x0, y0 = int(np.floor(u)), int(np.floor(v))
        s, t = u - x0, v - y0
        expected = (1 - t) * ((1 - s) * median[y0, x0] + s * median[y0, x0 + 1]) + t * (
            (1 - s) * median[y0 + 1, x0] + s * median[y0 + 1, x0 + 1]
        )
        if np.isnan(expected):
            expected = median[y, x]
        difference = value - expected
        kind = 0
        for m in range(2):
            if difference > 0:
                allowed = max(core[m] * light[y, x], gradient[m] * (high[y, x] - expected))
            else:
                allowed = gradient[m] * (expected - low[y, x])
            if abs(difference) > signal_to_noise[m] * error + max(allowed, 0.0):
                kind |= 2 - m
        if kind:
            found[n], kinds[n] = k, kind
            n += 1
    return found[:n].copy(), kinds[:n].copy(), n_undecided


def grown(pixels: np.ndarray, kinds: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return the pixels above the loose threshold that touch one above the strict one.

    Parameters
    ----------
    pixels : ndarray of shape (n,)
        Numbers of pixels of the image, counted along its rows.
    kinds : ndarray of shape (n,)
        As `disagreeing` gives them.
    shape : tuple of int
        Rows and columns of the image.

    Returns
    -------
    ndarray of shape (m,), int32
        In ascending order.

    Examples
    --------
    >>> grown(np.array([13, 11, 12, 25]), np.array([1, 3, 1, 1]), (4, 10)).tolist()
    [11, 12]
    """
    nx = shape[1]
    loose = np.sort(np.asarray(pixels, np.int64)[(kinds & 1) > 0])
    strict = np.asarray(pixels, np.int64)[(kinds & 2) > 0]
    touches = np.zeros(loose.size, bool)
    for dy in range(-GROWTH, GROWTH + 1):
        for dx in range(-GROWTH, GROWTH + 1):
            column = loose % nx + dx
            beside = (column >= 0) & (column < nx)
            touches |= beside & np.isin(loose + dy * nx + dx, strict)
    return loose[touches].astype(np.int32)

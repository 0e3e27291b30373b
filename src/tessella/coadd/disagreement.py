"""Outliers: what one image shows and the others, at the same place, do not."""

from dataclasses import dataclass

import numpy as np

from tessella.coadd.median_stack import coarse, columns_near
from tessella.coadd.places import along_row, row_of_nodes, stencils
from tessella.compiled import kernel

#: Coarse pixels around one that its surroundings are made of.
RING = 2
#: Coarse pixels around a block that its decisions depend on: the ring about the coarse pixel that
#: holds a pixel's centre, one of rounding.
HALO = RING + 1
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
def with_surroundings(median: np.ndarray, count: np.ndarray) -> np.ndarray:
    """Return a stack, and what it shows around each of its pixels.

    Parameters
    ----------
    median, count : ndarray of shape (ny, nx)
        Of `tessella.coadd.median_stack.median_of_planes`.

    Returns
    -------
    ndarray of shape (ny, nx, 4), float32
        The stack; its light: the sum of 3 x 3 pixels over the mean of the 16 around them, at least
        0, which is the light of a point source there, in units of one pixel; smallest and largest
        of 3 x 3 pixels. Neighbours without a median do not count. All NaN where there is none.
    """
    ny, nx = median.shape
    out = np.full((ny, nx, 4), np.nan, np.float32)
    for y in range(ny):
        for x in range(nx):
            if np.isnan(median[y, x]):
                continue
            inner, outer, n_inner, n_outer = 0.0, 0.0, 0, 0
            smallest, largest = median[y, x], median[y, x]
            for b in range(max(y - RING, 0), min(y + RING + 1, ny)):
                for a in range(max(x - RING, 0), min(x + RING + 1, nx)):
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
            out[y, x, 0] = median[y, x]
            out[y, x, 1] = total * _FAINTER_OF_TWO if count[y, x] == 2 else total
            out[y, x, 2], out[y, x, 3] = smallest, largest
    return out


@kernel
def disagreeing(
    values: np.ndarray,
    errors: np.ndarray,
    good: np.ndarray,
    sky: tuple[float, float, float],
    nodes: np.ndarray,
    steps: tuple[float, float],
    first_row: int,
    own: tuple[int, int, int, int],
    stack: np.ndarray,
    thresholds: tuple[tuple[float, float], tuple[float, float], tuple[float, float]],
) -> tuple[np.ndarray, np.ndarray, int]:
    """Tell which pixels of some rows of an image disagree with the stack of a block.

    A pixel may be above the stack by ``snr * error + max(core * light, gradient * (high -
    stack))``, and below it by ``snr * error + gradient * (stack - low)``. The form with two
    thresholds is that of DrizzlePac's `drizCR` (Hack et al.), which allows for a multiple of the
    stack's derivative on both sides: an undersampled star that falls on the middle of a pixel is
    above the stack by up to five times of that, by at most 0.75 of its light, and never below the
    faintest of the stack's pixels around it.

    Parameters
    ----------
    values, errors, good : ndarray of shape (n, nx)
        Surface brightness and its uncertainty, float32; whether a pixel counts.
    sky : tuple of float
        Level at the image's first pixel, and its rise with column and row, that is taken off.
    nodes, steps
        Of the image's `tessella.coadd.places.Places`.
    first_row : int
        Row of the image that the arrays start at.
    own : tuple of int
        Pixels whose centre lies in coarse pixels x0 <= x < x1, y0 <= y < y1 are decided.
    stack : ndarray of shape (height, width, 4)
        `with_surroundings`, of these and `HALO` around them.
    thresholds : tuple of tuple of float
        Strict and loose numbers: signal_to_noise, core, gradient.

    Returns
    -------
    found : ndarray of shape (m,), int64
        Pixels above one of the thresholds, counted along the rows of the image.
    kinds : ndarray of shape (m,), uint8
        1: above the loose one, 2: above the strict one, 3: above both.
    n_undecided : int
        Good pixels where there is no stack.
    """
    n_rows, nx = values.shape
    signal_to_noise, core, gradient = thresholds
    least = min(signal_to_noise[0], signal_to_noise[1])
    origin_x, origin_y = own[0] - HALO, own[2] - HALO
    line, centers = np.empty((nodes.shape[1], 2)), np.empty((nx, 2))
    first_node, weights = stencils(nodes.shape[1], steps[1], 0.5, nx)
    found, kinds = np.empty(values.size, np.int64), np.empty(values.size, np.uint8)
    n, n_undecided = 0, 0
    for j in range(n_rows):
        row_of_nodes(nodes, (first_row + j + 0.5) / steps[0], 0, nodes.shape[1], line)
        for k in range(nodes.shape[1] - 1):
            start, stop = columns_near(line, k, steps[1], nx, own, 0.0)
            along_row(line, first_node, weights, start, stop, centers)
            base = sky[0] + sky[2] * (first_row + j)
            for i in range(start, stop):
                u, v = coarse(centers[i, 0]), coarse(centers[i, 1])
                x, y = int(np.floor(u + 0.5)), int(np.floor(v + 0.5))
                if not (good[j, i] and own[0] <= x < own[1] and own[2] <= y < own[3]):
                    continue
                x, y = x - origin_x, y - origin_y
                value, error = np.float32(values[j, i] - (base + sky[1] * i)), errors[j, i]
                # What lies within the errors of all that is there agrees, whatever its place.
                median, light, low, high = stack[y, x]
                if value - low <= least * error and high - value <= least * error:
                    continue
                if np.isnan(median):
                    n_undecided += 1
                    continue
                u, v = u - origin_x, v - origin_y
                x0, y0 = int(np.floor(u)), int(np.floor(v))
                s, t = u - x0, v - y0
                below = (1 - s) * stack[y0, x0, 0] + s * stack[y0, x0 + 1, 0]
                above = (1 - s) * stack[y0 + 1, x0, 0] + s * stack[y0 + 1, x0 + 1, 0]
                expected = (1 - t) * below + t * above
                if np.isnan(expected):
                    expected = median
                difference = value - expected
                kind = 0
                for m in range(2):
                    if difference > 0:
                        allowed = max(core[m] * light, gradient[m] * (high - expected))
                    else:
                        allowed = gradient[m] * (expected - low)
                    if abs(difference) > signal_to_noise[m] * error + max(allowed, 0.0):
                        kind |= 2 - m
                if kind:
                    found[n], kinds[n] = (first_row + j) * nx + i, kind
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

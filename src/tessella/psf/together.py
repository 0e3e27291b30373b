"""Point sources of a coadd fitted to its pixels, those that touch together.

Noise of a coadd is correlated. With errors ``s`` of the pixels of a box and the correlation ``R``
between them, a fit minimises ``r^T R^-1 r`` for ``r = (data - model) / s``: generalised least
squares (Aitken 1936, doi:10.1017/S0370164600014346), which no unbiased linear estimate surpasses.

The errors that weigh pixels are those of a smooth model: that of the darkest pixel, and the photon
noise of the source as the PSF spreads it, as much in all as the recorded errors ``e`` tell.
Recorded ones follow the data, and weights that do make bright pixels count less: where few dithers
leave their pattern in stars, fluxes would come out too small by 3 to 8 %.

Errors of the result are those of the weights ``W`` that were used, under the recorded noise:
``N^-1 A^T W D R D W A N^-1`` with ``N = A^T W A``, the derivatives ``A`` of the model over ``s``
and ``D = e / s``.

Sources are fitted one after the other, the brightest first, each to what the others leave, round
after round until none moves that touches another. A last look gives each its error while those next
to it are unknown too.
"""

from typing import NamedTuple

import numpy as np

from tessella.compiled import kernel
from tessella.psf.coadd import OVERSAMPLE

#: Bits of a fit's flags, as photutils numbers them: pixels of the box are missing; the place is
#: outside; the flux is not positive; no convergence; no covariance; the position reached its
#: bound; no pixel of the box is known; too few of them.
INCOMPLETE, OUTSIDE, NOT_POSITIVE, NOT_CONVERGED = 1, 2, 4, 8
NO_COVARIANCE, AT_BOUND, ALL_MASKED, TOO_FEW = 16, 32, 128, 256
_EMPTY = ALL_MASKED | TOO_FEW
_NOT_FITTED = _EMPTY | NO_COVARIANCE
_STAYS = NOT_POSITIVE | AT_BOUND | NO_COVARIANCE
#: Half side of the box that is fitted [pixels].
HALF_BOX = 6
SIDE = 2 * HALF_BOX + 1
PIXELS = SIDE**2
#: Coefficients of splines that a box needs, per axis.
_HELD = OVERSAMPLE * (SIDE - 1) + 4
#: A position may be so far from where it was first [pixels].
FARTHEST = 3.0
#: Steps of one fit, and rounds over all sources.
_STEPS, _ROUNDS = 12, 8
#: Moves that count as none [pixels], or of its error where that is more, and longest step.
_TOLERANCE, _SAME_PLACE, _LONGEST = 1e-3, 0.03, 0.7
#: After so many steps each step is made shorter.
_SWINGS = 4
#: Light within so many pixels of a source that changes by less than this share of the error of a
#: pixel counts as the same.
_CORE, _SAME_LIGHT = 3.0, 0.05
#: Sources whose errors are told together with one: so many, and so near [pixels].
_BESIDE, _BESIDE_RADIUS = 3, 9.0
#: Fewer pixels are not fitted.
_FEWEST = 9
#: Determinants of normal matrices of unit diagonal that count as 0.
_SINGULAR = 1e-9


class PointSources(NamedTuple):
    """Sources and their PSFs; n is the number of sources."""

    #: (n_sets, n_y, n_x, m, m): coefficients of cubic B-splines, `tessella.psf.coadd`.
    splines: np.ndarray
    #: (n,): which set; (n, 2): node before the source along y and x; (n, 2): how far beyond it.
    sets: np.ndarray
    nodes: np.ndarray
    shares: np.ndarray
    #: (n, 2): where they are first thought to be, x and y [pixels].
    places: np.ndarray
    #: (n + 1,) and (n_neighbours,): those that reach the box of source k, nearest first, are
    #: ``neighbour[start[k] : start[k + 1]]``.
    start: np.ndarray
    neighbour: np.ndarray
    #: (n_neighbours,): how far away they are [pixels].
    distance: np.ndarray
    #: (n_pixels,): most that a source of flux 1 shows in a pixel so many pixels away, or farther.
    profile: np.ndarray


class _Box(NamedTuple):
    """The pixels around one source, and room to work in."""

    #: (2,): column and row of the middle.
    middle: np.ndarray
    #: (pixels,): what the fit is to, recorded errors, and one over those that weigh; 0 where a
    #: pixel is unknown.
    values: np.ndarray
    err: np.ndarray
    scale: np.ndarray
    #: (2,): variance of the darkest pixel, and photon variance over flux.
    variance: np.ndarray
    #: (3, side, side): what a source shows, and its derivatives by its x and y.
    image: np.ndarray
    #: (3 (1 + beside), pixels): derivatives over errors, and those times the weights.
    design: np.ndarray
    weighted: np.ndarray
    #: (held, held) and (2, held): coefficients of splines around a source, for a row of pixels.
    held: np.ndarray
    line: np.ndarray


@kernel
def _cubic(t: float, weights: np.ndarray, slopes: np.ndarray) -> None:
    """Fill in the weights of a cubic B-spline's four coefficients, and their derivatives."""
    weights[0] = (1 - t) ** 3 / 6
    weights[1] = (3 * t**3 - 6 * t**2 + 4) / 6
    weights[2] = (-3 * t**3 + 3 * t**2 + 3 * t + 1) / 6
    weights[3] = t**3 / 6
    slopes[0] = -((1 - t) ** 2) / 2
    slopes[1] = (3 * t**2 - 4 * t) / 2
    slopes[2] = (-3 * t**2 + 2 * t + 1) / 2
    slopes[3] = t**2 / 2


@kernel
def _mix(sources: PointSources, k: int, row: int, column: int, held: np.ndarray) -> None:
    """Fill in the coefficients from (row, column) of a source's stamps on, mixed of its nodes."""
    splines, node, share = sources.splines[sources.sets[k]], sources.nodes[k], sources.shares[k]
    n = splines.shape[-1]
    first, stop = max(column, 0), min(column + _HELD, n)
    held[:] = 0.0
    for b in range(2):
        for a in range(2):
            part = np.float32((share[0] if b else 1 - share[0]) * (share[1] if a else 1 - share[1]))
            if part == 0:
                continue
            stamp = splines[node[0] + b, node[1] + a]
            for r in range(max(row, 0), min(row + _HELD, n)):
                source, target = stamp[r], held[r - row]
                for c in range(first, stop):
                    target[c - column] += part * source[c]


@kernel
def _show(sources: PointSources, k: int, x: float, y: float, box: _Box) -> None:
    """Fill in what source k shows in a box from (x, y), and how that changes with its place."""
    middle = sources.splines.shape[-1] // 2
    weights_x, slopes_x = np.empty(4, np.float32), np.empty(4, np.float32)
    weights_y, slopes_y = np.empty(4, np.float32), np.empty(4, np.float32)
    at_x = middle + OVERSAMPLE * (box.middle[0] - x - HALF_BOX)
    at_y = middle + OVERSAMPLE * (box.middle[1] - y - HALF_BOX)
    first_x, first_y = int(np.floor(at_x)), int(np.floor(at_y))
    _cubic(at_x - first_x, weights_x, slopes_x)
    _cubic(at_y - first_y, weights_y, slopes_y)
    held, values, slopes = box.held, box.line[0], box.line[1]
    _mix(sources, k, first_y - 1, first_x - 1, held)
    for r in range(SIDE):
        values[:] = 0.0
        slopes[:] = 0.0
        for i in range(4):
            weight, slope, row = weights_y[i], slopes_y[i], held[OVERSAMPLE * r + i]
            for c in range(_HELD):
                values[c] += weight * row[c]
            for c in range(_HELD):
                slopes[c] += slope * row[c]
        shown, by_x, by_y = box.image[0, r], box.image[1, r], box.image[2, r]
        for c in range(SIDE):
            left = OVERSAMPLE * c
            value = along = across = np.float32(0.0)
            for i in range(4):
                value += weights_x[i] * values[left + i]
                along += slopes_x[i] * values[left + i]
                across += weights_x[i] * slopes[left + i]
            shown[c] = value
            # A source that moves to the right has the pixel more to its left.
            by_x[c], by_y[c] = -OVERSAMPLE * along, -OVERSAMPLE * across


@kernel
def _times(matrix: np.ndarray, rows: np.ndarray, out: np.ndarray) -> None:
    """Multiply each row by a symmetric matrix."""
    out[:] = 0.0
    for i in range(matrix.shape[0]):
        for k in range(rows.shape[0]):
            value = rows[k, i]
            if value != 0.0:
                for j in range(matrix.shape[1]):
                    out[k, j] += value * matrix[i, j]


@kernel
def _dot(first: np.ndarray, second: np.ndarray) -> float:
    total = 0.0
    for i in range(first.size):
        total += np.float64(first[i]) * second[i]
    return total


@kernel
def _take(data: np.ndarray, err: np.ndarray, box: _Box) -> int:
    """Fill in the pixels of a box, their errors and variances; return how many are known."""
    ny, nx = data.shape
    known, light, square, darkest = 0, 0.0, 0.0, np.inf
    for i in range(PIXELS):
        y, x = box.middle[1] - HALF_BOX + i // SIDE, box.middle[0] - HALF_BOX + i % SIDE
        box.values[i] = box.err[i] = box.scale[i] = 0.0
        inside = 0 <= y < ny and 0 <= x < nx
        if inside and np.isfinite(data[y, x]) and np.isfinite(err[y, x]) and err[y, x] > 0:
            box.values[i], box.err[i] = data[y, x], err[y, x]
            light, square = light + data[y, x], square + err[y, x] ** 2
            darkest = min(darkest, np.float64(err[y, x]) ** 2)
            known += 1
    box.variance[0] = darkest
    box.variance[1] = (square - known * darkest) / light if light > 0 else 0.0
    return known


@kernel
def _weigh(flux: float, box: _Box) -> None:
    """Set the errors that weigh pixels, for a source of some flux as it is shown."""
    shown = box.image[0].reshape(PIXELS)
    for i in range(PIXELS):
        if box.err[i] > 0:
            photons = box.variance[1] * max(flux, 0.0) * max(shown[i], np.float32(0.0))
            box.scale[i] = 1.0 / np.sqrt(box.variance[0] + photons)


@kernel
def _subtract_others(sources: PointSources, fits: np.ndarray, k: int, box: _Box) -> None:
    for m in range(sources.start[k], sources.start[k + 1]):
        j = sources.neighbour[m]
        if fits[j, 2] > 0:
            _show(sources, j, fits[j, 0], fits[j, 1], box)
            shown = box.image[0].reshape(PIXELS)
            for i in range(PIXELS):
                box.values[i] -= fits[j, 2] * shown[i]


@kernel
def _flux_of(shown: np.ndarray, inverse: np.ndarray, box: _Box) -> float:
    """Return the flux that fits best; NaN where the source shows nothing."""
    for i in range(PIXELS):
        box.design[0, i] = shown[i] * box.scale[i]
        box.design[1, i] = box.values[i] * box.scale[i]
    _times(inverse, box.design[:1], box.weighted[:1])
    return _dot(box.weighted[0], box.design[1]) / _dot(box.weighted[0], box.design[0])


@kernel
def _set_design(flux: float, box: _Box, first: int) -> None:
    """Set three rows of the design: by flux, x and y of the source that is shown."""
    shown = box.image.reshape(3, PIXELS)
    for i in range(PIXELS):
        box.design[first, i] = shown[0, i] * box.scale[i]
        box.design[first + 1, i] = flux * shown[1, i] * box.scale[i]
        box.design[first + 2, i] = flux * shown[2, i] * box.scale[i]


@kernel
def _unit_normal(box: _Box, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the normal matrix of n parameters with unit diagonal, and the root of its diagonal."""
    normal = np.empty((n, n))
    for a in range(n):
        for b in range(n):
            normal[a, b] = _dot(box.weighted[a], box.design[b])
    size = np.sqrt(np.diag(normal))
    for a in range(n):
        for b in range(n):
            normal[a, b] /= size[a] * size[b]
    return normal, size


@kernel
def _fit_one(sources: PointSources, k: int, fit: np.ndarray, inverse: np.ndarray, box: _Box) -> int:
    """Fit x, y and flux of one source to a box from which the others are subtracted."""
    residual, rhs = np.empty(PIXELS), np.empty(3)
    for step in range(_STEPS):
        _show(sources, k, fit[0], fit[1], box)
        shown = box.image[0].reshape(PIXELS)
        if step == 0:
            _weigh(0.0, box)
            _weigh(_flux_of(shown, inverse, box), box)
            fit[2] = _flux_of(shown, inverse, box)
        if not fit[2] > 0:
            return NOT_POSITIVE
        _set_design(fit[2], box, 0)
        for i in range(PIXELS):
            residual[i] = (box.values[i] - fit[2] * shown[i]) * box.scale[i]
        _times(inverse, box.design[:3], box.weighted[:3])
        normal, size = _unit_normal(box, 3)
        if not np.linalg.det(normal) > _SINGULAR:
            return NO_COVARIANCE
        for a in range(3):
            rhs[a] = _dot(box.weighted[a], residual) / size[a]
        # What swings to and fro in noise is slowed down.
        move = np.linalg.solve(normal, rhs) / (size * (1 + step // _SWINGS))
        dx = min(max(move[1], -_LONGEST), _LONGEST)
        dy = min(max(move[2], -_LONGEST), _LONGEST)
        fit[0] += dx
        fit[1] += dy
        fit[2] += move[0]
        place = sources.places[k]
        if abs(fit[0] - place[0]) > FARTHEST or abs(fit[1] - place[1]) > FARTHEST:
            return AT_BOUND
        if max(abs(dx) * size[1], abs(dy) * size[2]) < max(_SAME_PLACE, _TOLERANCE * size[1]):
            return 0
    return NOT_CONVERGED


@kernel
def _tell_errors(
    sources: PointSources,
    k: int,
    fits: np.ndarray,
    correlation: np.ndarray,
    inverse: np.ndarray,
    box: _Box,
    errors: np.ndarray,
) -> tuple[int, float]:
    """Fill in the errors of x, y and flux; return a flag and chi-squared per degree of freedom."""
    fit = fits[k]
    _show(sources, k, fit[0], fit[1], box)
    _weigh(fit[2], box)
    shown, expected = box.image[0].reshape(PIXELS), -3.0
    for i in range(PIXELS):
        box.design[1, i] = (box.values[i] - fit[2] * shown[i]) * box.scale[i]
        if box.err[i] > 0:
            # Weights that are not quite the inverse leave noise as much of chi-squared.
            expected += _dot(inverse[i], correlation[i]) * (box.err[i] * box.scale[i]) ** 2
    _times(inverse, box.design[1:2], box.weighted[:1])
    chisq = _dot(box.weighted[0], box.design[1]) / max(expected, 1.0)
    _set_design(fit[2], box, 0)
    # Light that is not there tells no place.
    n = 3 if fit[2] > 0 else 1
    own = n
    for m in range(sources.start[k], sources.start[k + 1]):
        j = sources.neighbour[m]
        distance = np.hypot(fits[j, 0] - fit[0], fits[j, 1] - fit[1])
        if fits[j, 2] > 0 and distance < _BESIDE_RADIUS and n + 3 <= box.design.shape[0]:
            _show(sources, j, fits[j, 0], fits[j, 1], box)
            _set_design(fits[j, 2], box, n)
            n += 3
    _times(inverse, box.design[:n], box.weighted[:n])
    normal, size = _unit_normal(box, n)
    if not np.linalg.det(normal) > _SINGULAR:
        return NO_COVARIANCE, chisq
    for a in range(n):
        for i in range(PIXELS):
            box.weighted[a, i] *= box.err[i] * box.scale[i]
    _times(correlation, box.weighted[:n], box.design[:n])
    spread = np.empty((n, n))
    for a in range(n):
        for b in range(n):
            spread[a, b] = _dot(box.design[a], box.weighted[b]) / (size[a] * size[b])
    bread = np.linalg.inv(normal)
    covariance = bread @ spread @ bread
    errors[2] = np.sqrt(covariance[0, 0]) / size[0]
    if own == 3:
        errors[0] = np.sqrt(covariance[1, 1]) / size[1]
        errors[1] = np.sqrt(covariance[2, 2]) / size[2]
    return 0, chisq


@kernel
def _middle_of(sources: PointSources, k: int, box: _Box) -> None:
    box.middle[0] = int(np.rint(sources.places[k, 0]))
    box.middle[1] = int(np.rint(sources.places[k, 1]))


@kernel
def _refit(
    data: np.ndarray,
    err: np.ndarray,
    sources: PointSources,
    k: int,
    fits: np.ndarray,
    inverse: np.ndarray,
    box: _Box,
) -> int:
    """Fit a source to what the others leave; return its flags."""
    _middle_of(sources, k, box)
    known = _take(data, err, box)
    if known < _FEWEST:
        return ALL_MASKED if known == 0 else TOO_FEW
    _subtract_others(sources, fits, k, box)
    flag = _fit_one(sources, k, fits[k], inverse, box)
    if flag & _STAYS:
        # What fits where the source was first thought to be.
        fits[k, :2] = sources.places[k]
        _show(sources, k, fits[k, 0], fits[k, 1], box)
        fits[k, 2] = _flux_of(box.image[0].reshape(PIXELS), inverse, box)
    return flag | (INCOMPLETE if known < PIXELS else 0)


@kernel
def _is_touched(
    err: np.ndarray, sources: PointSources, k: int, changed: np.ndarray, box: _Box
) -> bool:
    """Tell whether what others show near a source has changed by more than its noise allows."""
    _middle_of(sources, k, box)
    light, last = 0.0, sources.profile.size - 1
    for m in range(sources.start[k], sources.start[k + 1]):
        near = max(int(sources.distance[m] - _CORE), 0)
        light += changed[sources.neighbour[m]] * sources.profile[min(near, last)]
    return light > _SAME_LIGHT * err[box.middle[1], box.middle[0]]


@kernel
def fit_together(
    data: np.ndarray,
    err: np.ndarray,
    sources: PointSources,
    order: np.ndarray,
    correlation: np.ndarray,
    inverse: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Fit all sources.

    Parameters
    ----------
    data, err : ndarray of shape (ny, nx), float32
        Flux and its standard deviation in each pixel; NaN where there is no measurement.
    sources : PointSources
    order : ndarray of shape (n,)
        In which they are fitted.
    correlation, inverse : ndarray of shape (169, 169)
        Correlation between the pixels of a box, and the weights: its inverse, or nearly so.

    Returns
    -------
    fits : ndarray of shape (n, 3)
        x, y [pixels] and flux; NaN where nothing was fitted.
    errors : ndarray of shape (n, 3)
        NaN where they are unknown.
    chisq : ndarray of shape (n,)
        Per degree of freedom.
    flags : ndarray of shape (n,)

    Examples
    --------
    >>> # fits, errors, chisq, flags = fit_together(data, err, sources, order, correlation, inverse)
    """
    n, most = len(sources.places), 3 * (1 + _BESIDE)
    box = _Box(
        np.zeros(2, np.int64), np.empty(PIXELS), np.empty(PIXELS), np.empty(PIXELS), np.empty(2),
        np.empty((3, SIDE, SIDE), np.float32), np.empty((most, PIXELS), np.float32),
        np.empty((most, PIXELS), np.float32), np.empty((_HELD, _HELD), np.float32),
        np.empty((2, _HELD), np.float32),
    )  # fmt: skip
    fits, flags = np.zeros((n, 3)), np.zeros(n, np.int64)
    fits[:, :2] = sources.places
    asked, changed, before = np.ones(n, np.bool_), np.zeros(n), np.empty(3)
    for _ in range(_ROUNDS):
        changed[:] = 0.0
        for k in order:
            if asked[k]:
                before[:] = fits[k]
                flags[k] = _refit(data, err, sources, k, fits, inverse, box)
                moved = np.hypot(fits[k, 0] - before[0], fits[k, 1] - before[1])
                changed[k] = abs(fits[k, 2] - before[2]) + moved * abs(fits[k, 2])
        for k in range(n):
            asked[k] = not flags[k] & _EMPTY and _is_touched(err, sources, k, changed, box)
        if not asked.any():
            break
    errors, chisq = np.full((n, 3), np.nan), np.full(n, np.nan)
    for k in range(n):
        if flags[k] & _EMPTY:
            continue
        _middle_of(sources, k, box)
        _take(data, err, box)
        _subtract_others(sources, fits, k, box)
        flag, chisq[k] = _tell_errors(sources, k, fits, correlation, inverse, box, errors[k])
        flags[k] |= flag
    fits[(flags & _NOT_FITTED) != 0] = np.nan
    return fits, errors, chisq, flags

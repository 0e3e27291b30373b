"""Alignment of an exposure with reference stars: a shift and a turn of the telescope's attitude."""

from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial import cKDTree

from tessella.astrometry.wcs import move_reference, sky_to_v2v3
from tessella.models import Attitude

#: Width of the cells in which offsets of pairs are counted [arcsec].
_OFFSET_CELL = 0.2
#: Precision that no centroid is trusted beyond [arcsec].
_CENTROID_FLOOR = 0.001
#: Distance at which structure of a bright star's image may be taken for stars [arcsec].
_CROWD_ARCSEC = 2.5
_CLIP_SIGMA = 3.5
_ROUNDS = 6


@dataclass(frozen=True)
class Alignment:
    """Outcome of an alignment."""

    #: The corrected attitude; the one that was given where `is_aligned` is False.
    attitude: Attitude
    is_aligned: bool
    #: What happened, in words.
    status: str
    #: Numbers of pairs found and kept.
    n_matched: int
    n_used: int
    #: Residual per coordinate of the pairs that were kept [mas]; NaN without a fit.
    rms_mas: float
    #: Correction of the reference point in the telescope frame [arcsec] and of the roll [arcsec].
    shift_v2: float
    shift_v3: float
    turn_arcsec: float
    #: Indices of the stars and of the reference stars that were kept.
    stars: np.ndarray
    references: np.ndarray


def brightest_around(stars: np.ndarray, flux: np.ndarray, radius: float) -> np.ndarray:
    """Mark stars without a brighter one within `radius`.

    Structure of the point-spread function around bright stars is found as fainter peaks; it
    stands at the same offsets from all of them, and would vote for a wrong shift in concert.

    Examples
    --------
    >>> places = np.array([[0.0, 0.0], [1.0, 0.0], [9.0, 0.0]])
    >>> brightest_around(places, np.array([5.0, 1.0, 1.0]), 3.0).tolist()
    [True, False, True]
    """
    around = cKDTree(stars).query_ball_point(stars, radius)
    return np.array([flux[i] >= flux[near].max() for i, near in enumerate(around)], bool)


def find_shift(
    stars: np.ndarray, references: np.ndarray, search_radius: float
) -> tuple[np.ndarray, int]:
    """Return the offset that most pairs share, and how many do.

    Parameters
    ----------
    stars, references : ndarray of shape (n, 2)
        Positions [arcsec] in one plane.
    search_radius : float
        Largest offset [arcsec].

    Returns
    -------
    shift : ndarray of shape (2,)
        To be added to the references [arcsec].
    votes : int
        Pairs within one counting cell of it.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> sky = rng.uniform(-60, 60, (30, 2))
    >>> shift, votes = find_shift(sky + [2.5, -1.0], sky, 6.0)
    >>> shift.round(2).tolist()
    [2.5, -1.0]
    """
    near = cKDTree(references).query_ball_tree(cKDTree(stars), search_radius * np.sqrt(2))
    pairs = [stars[j] - references[i] for i, found in enumerate(near) for j in found]
    if not pairs:
        return np.zeros(2), 0
    offsets = np.array(pairs)
    tree = cKDTree(offsets)
    votes = np.array([len(found) for found in tree.query_ball_point(offsets, _OFFSET_CELL)])
    members = tree.query_ball_point(offsets[np.argmax(votes)], _OFFSET_CELL)
    return np.median(offsets[members], axis=0), len(members)


def match(
    stars: np.ndarray, references: np.ndarray, radius: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the indices of stars and references that are each other's nearest within `radius`."""
    distance, nearest = cKDTree(stars).query(references, distance_upper_bound=radius)
    found = np.flatnonzero(np.isfinite(distance))
    _, back = cKDTree(references).query(stars[nearest[found]])
    mutual = back == found
    return nearest[found[mutual]], found[mutual]


def fit_rigid(
    measured: np.ndarray, predicted: np.ndarray, sigma: np.ndarray, pivot: np.ndarray
) -> tuple[np.ndarray, float, np.ndarray]:
    """Fit a shift and a small turn about `pivot` from predicted to measured positions.

    Parameters
    ----------
    measured, predicted : ndarray of shape (n, 2)
        [arcsec]
    sigma : ndarray of shape (n,)
        Uncertainty of a difference per coordinate [arcsec].
    pivot : ndarray of shape (2,)

    Returns
    -------
    shift : ndarray of shape (2,)
        [arcsec]
    turn : float
        Counter-clockwise from the first to the second axis [radian].
    residuals : ndarray of shape (n, 2)
        What is left [arcsec].
    """
    arm = predicted - pivot
    n = len(arm)
    design = np.zeros((2 * n, 3))
    design[:n, 0] = design[n:, 1] = 1.0
    design[:n, 2], design[n:, 2] = -arm[:, 1], arm[:, 0]
    difference = (measured - predicted).T.ravel()
    weight = np.tile(1 / sigma, 2)
    solution, *_ = np.linalg.lstsq(design * weight[:, None], difference * weight, rcond=None)
    residuals = (difference - design @ solution).reshape(2, n).T
    return solution[:2], float(solution[2]), residuals


def align(
    attitude: Attitude,
    v2: np.ndarray,
    v3: np.ndarray,
    position_err: np.ndarray,
    flux: np.ndarray,
    ra: np.ndarray,
    dec: np.ndarray,
    reference_err: np.ndarray,
    search_radius_arcsec: float,
    match_radius_arcsec: float,
    minimum_stars: int,
) -> Alignment:
    """Correct an attitude so that measured stars stand where the reference stars are.

    Parameters
    ----------
    attitude : Attitude
        As the spacecraft reported it.
    v2, v3 : ndarray of shape (n_stars,)
        Measured directions in the telescope frame [arcsec].
    position_err : ndarray of shape (n_stars,)
        Their uncertainty per axis [arcsec].
    flux : ndarray of shape (n_stars,)
        In any unit: among stars close together the brightest looks for the shift.
    ra, dec : ndarray of shape (n_references,)
        Reference stars at the epoch of the exposure [deg].
    reference_err : ndarray of shape (n_references,)
        Their uncertainty per axis [arcsec].
    search_radius_arcsec : float
        Largest error of the pointing that is looked for.
    match_radius_arcsec : float
        Largest distance of a pair once the shift is known.
    minimum_stars : int
        With fewer pairs the attitude stays untouched and the status says so.

    Returns
    -------
    Alignment
    """
    measured = np.column_stack([v2, v3])
    nothing = np.zeros(0, int)
    untouched = Alignment(attitude, False, "", 0, 0, np.nan, 0.0, 0.0, 0.0, nothing, nothing)
    if min(len(v2), len(ra)) < minimum_stars:
        status = (
            f"{len(v2)} stars and {len(ra)} reference stars, {minimum_stars} of both are needed"
        )
        return replace(untouched, status=f"not aligned: {status}")
    predicted = np.column_stack(sky_to_v2v3(attitude, ra, dec))
    leading = brightest_around(measured, flux, _CROWD_ARCSEC)
    shift, _ = find_shift(measured[leading], predicted, search_radius_arcsec)
    stars, references = match(measured, predicted + shift, match_radius_arcsec)
    if len(stars) < minimum_stars:
        status = (
            f"{len(stars)} pairs within {match_radius_arcsec} arcsec, {minimum_stars} are needed"
        )
        return replace(untouched, status=f"not aligned: {status}", n_matched=len(stars))
    sigma = np.sqrt(position_err[stars] ** 2 + reference_err[references] ** 2 + _CENTROID_FLOOR**2)
    pivot = np.array([attitude.v2_ref, attitude.v3_ref])
    kept, fit = _fit_without_outliers(
        measured[stars], predicted[references], sigma, pivot, minimum_stars
    )
    shift, turn, residuals = fit
    if kept.sum() < minimum_stars:
        status = f"{kept.sum()} of {len(stars)} pairs agree, {minimum_stars} are needed"
        return replace(
            untouched,
            status=f"not aligned: {status}",
            n_matched=len(stars),
            n_used=int(kept.sum()),
        )
    return Alignment(
        attitude=_corrected(attitude, shift, turn),
        is_aligned=True,
        status="aligned",
        n_matched=len(stars),
        n_used=int(kept.sum()),
        rms_mas=float(1000 * np.sqrt(np.mean(residuals**2))),
        shift_v2=float(shift[0]),
        shift_v3=float(shift[1]),
        turn_arcsec=float(np.degrees(turn) * 3600),
        stars=stars[kept],
        references=references[kept],
    )


def _fit_without_outliers(
    measured: np.ndarray, predicted: np.ndarray, sigma: np.ndarray, pivot: np.ndarray, minimum: int
) -> tuple[np.ndarray, tuple[np.ndarray, float, np.ndarray]]:
    """Fit, leaving out pairs far from the others.

    The median pair sets the scale where errors are underestimated.
    """
    offset = measured - predicted
    distance = np.hypot(*(offset - np.median(offset, axis=0)).T) / sigma
    kept = distance <= max(_CLIP_SIGMA, 3 * float(np.median(distance)))
    for _ in range(_ROUNDS):
        if kept.sum() < minimum:
            break
        shift, turn, _ = fit_rigid(measured[kept], predicted[kept], sigma[kept], pivot)
        arm = predicted - pivot
        expected = predicted + shift + turn * np.column_stack([-arm[:, 1], arm[:, 0]])
        distance = np.hypot(*(measured - expected).T) / sigma
        now = distance <= max(_CLIP_SIGMA, 3 * float(np.median(distance[kept])))
        if (now == kept).all():
            break
        kept = now
    return kept, fit_rigid(measured[kept], predicted[kept], sigma[kept], pivot)


def _corrected(attitude: Attitude, shift: np.ndarray, turn: float) -> Attitude:
    """Return the attitude under which what was predicted at `p` stands at ``shift + turned(p)``."""
    cosine, sine = np.cos(turn), np.sin(turn)
    back = np.array([[cosine, sine], [-sine, cosine]]) @ shift
    there = move_reference(attitude, attitude.v2_ref - back[0], attitude.v3_ref - back[1])
    roll = (there.roll_ref + np.degrees(turn)) % 360.0
    return replace(attitude, ra_ref=there.ra_ref, dec_ref=there.dec_ref, roll_ref=roll)

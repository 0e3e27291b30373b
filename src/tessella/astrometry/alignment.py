"""Alignment of an exposure with reference stars: a shift and a turn of the telescope's attitude.

All detectors of an exposure share the error of its pointing, so they look for it together; once
it is known, each detector with enough stars has a fine fit of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial import cKDTree

from tessella.astrometry.pair_votes import Tie, find_tie, voters
from tessella.astrometry.rigid import (
    RigidFit,
    corrected,
    correction_between,
    fit_without_outliers,
)
from tessella.astrometry.wcs import sky_to_v2v3
from tessella.models import Attitude

#: What a shift and a turn leave of the places of the best stars, per axis [arcsec]. One effective
#: PSF serves a whole detector, and the design's coma, which differs over it, moves centroids by
#: 0.56 mas in F158 and 0.81 mas in F106; a linear transformation would leave 0.11 mas of it.
_RIGID_FLOOR = 0.0007
#: Distance at which structure of a bright star's image may be taken for stars [arcsec].
_CROWD_ARCSEC = 2.5
#: A tie that chance would make more often than this is none. The bound is a safe one: none of 383
#: fields with stars of another had a chance below 0.02.
_LARGEST_CHANCE = 1e-4
_MAS = 1e-3


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


@dataclass(frozen=True)
class DetectorStars:
    """What one detector of an exposure measured, and the reference stars on and around it."""

    #: As the spacecraft reported it.
    attitude: Attitude
    #: Measured directions in the telescope frame and their uncertainty per axis, (n,) [arcsec].
    v2: np.ndarray
    v3: np.ndarray
    position_err: np.ndarray
    #: In any unit, (n,): among stars close together the brightest looks for the shift.
    flux: np.ndarray
    #: Reference stars at the time of the exposure, (m,) [deg].
    ra: np.ndarray
    dec: np.ndarray
    #: Covariance of their offsets east and north, (m, 2, 2) [mas^2].
    covariance: np.ndarray

    @property
    def measured(self) -> np.ndarray:
        """Measured directions, (n, 2) [arcsec]."""
        return np.column_stack([self.v2, self.v3])

    def predicted(self, attitude: Attitude) -> np.ndarray:
        """Directions of the reference stars under an attitude, (m, 2) [arcsec]."""
        return np.column_stack(sky_to_v2v3(attitude, self.ra, self.dec))


@dataclass(frozen=True)
class _Pairs:
    """Stars and references that belong together, by their indices; (k,) and (k, 2)."""

    stars: np.ndarray
    references: np.ndarray
    measured: np.ndarray
    predicted: np.ndarray
    covariance: np.ndarray

    def __len__(self) -> int:
        return len(self.stars)


def match(
    stars: np.ndarray, references: np.ndarray, radius: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the indices of stars and references that are each other's nearest within `radius`."""
    if not len(stars) or not len(references):
        return np.zeros(0, int), np.zeros(0, int)
    distance, nearest = cKDTree(stars).query(references, distance_upper_bound=radius)
    found = np.flatnonzero(np.isfinite(distance))
    _, back = cKDTree(references).query(stars[nearest[found]])
    mutual = back == found
    return nearest[found[mutual]], found[mutual]


def align_exposure(
    detectors: Sequence[DetectorStars],
    search_radius_arcsec: float,
    search_turn_arcsec: float,
    match_radius_arcsec: float,
    minimum_stars: int,
) -> list[Alignment]:
    """Correct the attitudes of an exposure so that its stars stand where the reference stars are.

    Parameters
    ----------
    detectors : sequence of DetectorStars
        All detectors of one exposure.
    search_radius_arcsec, search_turn_arcsec : float
        Largest error of the pointing, and of the roll, that is looked for.
    match_radius_arcsec : float
        Largest distance of a pair once the shift is known.
    minimum_stars : int
        With fewer pairs in all detectors together the attitudes stay untouched and the status
        says so. A detector that has fewer for itself is moved as the exposure is.

    Returns
    -------
    list of Alignment
        One a detector, in their order.
    """
    n_stars, n_known = sum(len(d.v2) for d in detectors), sum(len(d.ra) for d in detectors)
    if min(n_stars, n_known) < minimum_stars:
        return _untouched(
            detectors,
            f"{n_stars} stars and {n_known} reference stars, {minimum_stars} of both are needed",
        )
    pivot = np.mean([[d.attitude.v2_ref, d.attitude.v3_ref] for d in detectors], axis=0)
    attitudes = [d.attitude for d in detectors]
    tie = _vote(detectors, pivot, search_radius_arcsec, search_turn_arcsec)
    if not tie.votes:
        return _untouched(detectors, "no shift is shared by more pairs than chance would make")
    if tie.votes < minimum_stars:
        return _untouched(
            detectors, f"{tie.votes} pairs agree on a shift, {minimum_stars} are needed"
        )
    if tie.chance > _LARGEST_CHANCE:
        said = (
            f"{tie.votes} pairs agree on a shift, by chance with a probability of {tie.chance:.0e}"
        )
        return _untouched(detectors, said)
    fit = RigidFit(tie.shift, tie.turn, np.zeros((0, 2)))
    # The last round is for the curvature of the sky, over which the first shift was long.
    for radius in (max(tie.side, match_radius_arcsec), *[match_radius_arcsec] * 2):
        attitudes = [corrected(attitude, fit, pivot) for attitude in attitudes]
        pairs = [_pairs(*pair, radius) for pair in zip(detectors, attitudes, strict=True)]
        measured, predicted, covariance = (
            np.concatenate([getattr(p, name) for p in pairs]) for name in _FITTED
        )
        kept = np.zeros(len(measured), bool)
        if len(kept) < minimum_stars:
            break
        kept, fit = fit_without_outliers(measured, predicted, covariance, pivot, minimum_stars)
    if kept.sum() < minimum_stars:
        said = f"{kept.sum()} of {kept.size} pairs agree, {minimum_stars} are needed"
        return _untouched(detectors, said, kept.size, int(kept.sum()))
    attitudes = [corrected(attitude, fit, pivot) for attitude in attitudes]
    return [
        _own(*pair, match_radius_arcsec, minimum_stars)
        for pair in zip(detectors, attitudes, strict=True)
    ]


_FITTED = ("measured", "predicted", "covariance")


def _untouched(
    detectors: Sequence[DetectorStars], why: str, n_matched: int = 0, n_used: int = 0
) -> list[Alignment]:
    none = np.zeros(0, int)
    untouched = Alignment(
        detectors[0].attitude, False, f"not aligned: {why}", n_matched, n_used,
        np.nan, 0.0, 0.0, 0.0, none, none,
    )  # fmt: skip
    return [replace(untouched, attitude=detector.attitude) for detector in detectors]


def _vote(
    detectors: Sequence[DetectorStars], pivot: np.ndarray, radius: float, turn_arcsec: float
) -> Tie:
    stars = [d.measured[voters(d.measured, d.flux, _CROWD_ARCSEC)] for d in detectors]
    predicted = [d.predicted(d.attitude) for d in detectors]
    return find_tie(stars, predicted, pivot, radius, float(np.radians(turn_arcsec / 3600)))


def _pairs(detector: DetectorStars, attitude: Attitude, radius: float) -> _Pairs:
    """Match the stars of a detector with its references under an attitude."""
    measured, predicted = detector.measured, detector.predicted(attitude)
    stars, references = match(measured, predicted, radius)
    cosine, sine = (f(np.radians(attitude.roll_ref)) for f in (np.cos, np.sin))
    # (V2, V3) of offsets east and north; that north turns over a field is nothing to errors.
    turn = np.array([[cosine, -sine], [sine, cosine]])
    known = turn @ (detector.covariance[references] * _MAS**2) @ turn.T
    own = (detector.position_err[stars] ** 2 + _RIGID_FLOOR**2)[:, None, None] * np.eye(2)
    return _Pairs(stars, references, measured[stars], predicted[references], known + own)


def _own(detector: DetectorStars, attitude: Attitude, radius: float, minimum: int) -> Alignment:
    """Fit one detector for itself, from where the exposure is known to point."""
    pairs = _pairs(detector, attitude, radius)
    pivot = np.array([attitude.v2_ref, attitude.v3_ref])
    kept = np.zeros(len(pairs), bool)
    if len(pairs) >= minimum:
        kept, fit = fit_without_outliers(
            pairs.measured, pairs.predicted, pairs.covariance, pivot, minimum
        )
    if kept.sum() >= minimum:
        attitude, status = corrected(attitude, fit, pivot), "aligned"
        rms = float(1000 * np.sqrt(np.mean(fit.residuals**2)))
    else:
        status, rms = f"aligned with the exposure: {kept.sum()} pairs of its own", np.nan
        kept[:] = False
    shift, turn = correction_between(detector.attitude, attitude)
    return Alignment(
        attitude=attitude,
        is_aligned=True,
        status=status,
        n_matched=len(pairs),
        n_used=int(kept.sum()),
        rms_mas=rms,
        shift_v2=float(shift[0]),
        shift_v3=float(shift[1]),
        turn_arcsec=turn,
        stars=pairs.stars[kept],
        references=pairs.references[kept],
    )

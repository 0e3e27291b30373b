"""Shifts and small turns of the telescope: fitted to pairs of stars, and applied to attitudes."""

from dataclasses import dataclass, replace

import numpy as np

from tessella.astrometry.pair_votes import turned
from tessella.astrometry.wcs import move_reference, sky_to_v2v3, v2v3_to_sky
from tessella.models import Attitude

_CLIP_SIGMA = 3.5
_ROUNDS = 6
#: Length along which a turn is measured [arcsec].
_ARM = 100.0


@dataclass(frozen=True)
class RigidFit:
    """A shift [arcsec] and a turn [radian] about a pivot."""

    shift: np.ndarray
    turn: float
    #: What is left of each pair, (n, 2) [arcsec].
    residuals: np.ndarray

    def of(self, places: np.ndarray, pivot: np.ndarray) -> np.ndarray:
        """Return where predicted places are measured, (n, 2)."""
        return turned(places, self.turn, pivot) + self.shift


def fit_rigid(
    measured: np.ndarray, predicted: np.ndarray, covariance: np.ndarray, pivot: np.ndarray
) -> RigidFit:
    """Fit a shift and a small turn about `pivot` from predicted to measured positions.

    Parameters
    ----------
    measured, predicted : ndarray of shape (n, 2)
        [arcsec]
    covariance : ndarray of shape (n, 2, 2)
        Of a difference [arcsec^2].
    pivot : ndarray of shape (2,)

    Returns
    -------
    RigidFit
        Generalised least squares; the turn counts from the first axis to the second.

    Examples
    --------
    >>> place = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])
    >>> there = turned(place, 1e-4, np.zeros(2)) + [0.5, -0.25]
    >>> fit = fit_rigid(there, place, np.tile(np.eye(2), (3, 1, 1)), np.zeros(2))
    >>> fit.shift.round(6).tolist(), round(fit.turn, 9)
    ([0.5, -0.25], 0.0001)
    """
    arm = predicted - pivot
    whiten = np.linalg.inv(np.linalg.cholesky(covariance))
    design = np.zeros((len(arm), 2, 3))
    design[:, 0, 0] = design[:, 1, 1] = 1.0
    design[:, 0, 2], design[:, 1, 2] = -arm[:, 1], arm[:, 0]
    difference = measured - predicted
    solution, *_ = np.linalg.lstsq(
        (whiten @ design).reshape(-1, 3), (whiten @ difference[..., None]).ravel(), rcond=None
    )
    return RigidFit(solution[:2], float(solution[2]), difference - design @ solution)


def fit_without_outliers(
    measured: np.ndarray,
    predicted: np.ndarray,
    covariance: np.ndarray,
    pivot: np.ndarray,
    minimum: int,
) -> tuple[np.ndarray, RigidFit]:
    """Fit as `fit_rigid` does, leaving out pairs far from the others.

    The median pair sets the scale where errors are underestimated.

    Returns
    -------
    kept : ndarray of shape (n,)
        True for the pairs that were used; the fit ends early once there are less than `minimum`.
    fit : RigidFit
        Its residuals are those of the pairs kept.
    """
    inverse = np.linalg.inv(covariance)

    def distance(offset: np.ndarray) -> np.ndarray:
        return np.sqrt(np.einsum("ni,nij,nj->n", offset, inverse, offset))

    offset = measured - predicted
    far = distance(offset - np.median(offset, axis=0))
    kept = far <= max(_CLIP_SIGMA, 3 * float(np.median(far)))
    for _ in range(_ROUNDS):
        if kept.sum() < minimum:
            break
        fit = fit_rigid(measured[kept], predicted[kept], covariance[kept], pivot)
        far = distance(measured - fit.of(predicted, pivot))
        now = far <= max(_CLIP_SIGMA, 3 * float(np.median(far[kept])))
        if (now == kept).all():
            break
        kept = now
    return kept, fit_rigid(measured[kept], predicted[kept], covariance[kept], pivot)


def corrected(attitude: Attitude, fit: RigidFit, pivot: np.ndarray) -> Attitude:
    """Return the attitude under which what was predicted at ``p`` stands at ``fit.of(p)``.

    It is a turn of the whole telescope: detectors keep their places to each other.

    Parameters
    ----------
    attitude : Attitude
        Of any aperture; what comes back is of the same, aberration included.
    fit : RigidFit
        In the plane of (V2, V3).
    pivot : ndarray of shape (2,)
        (V2, V3) about which the fit turns [arcsec].

    Examples
    --------
    >>> attitude = Attitude(10.0, 60.0, 30.0, 1300.0, -1000.0)
    >>> fit = RigidFit(np.array([2.0, 1.0]), 0.0, np.zeros((0, 2)))
    >>> moved = corrected(attitude, fit, np.array([1300.0, -1000.0]))
    >>> v2, v3 = sky_to_v2v3(moved, 10.0, 60.0)
    >>> round(float(v2), 4), round(float(v3), 4)
    (1302.0, -999.0)
    """
    cosine, sine = np.cos(fit.turn), np.sin(fit.turn)
    back = pivot - np.array([[cosine, sine], [-sine, cosine]]) @ fit.shift
    there = move_reference(attitude, *map(float, back))
    there = replace(
        there,
        roll_ref=(there.roll_ref + np.degrees(fit.turn)) % 360.0,
        v2_ref=float(pivot[0]),
        v3_ref=float(pivot[1]),
    )
    moved = move_reference(there, attitude.v2_ref, attitude.v3_ref)
    return replace(moved, aberration=attitude.aberration)


def correction_between(before: Attitude, after: Attitude) -> tuple[np.ndarray, float]:
    """Return the shift [arcsec] and the turn [arcsec] of an aperture from one attitude to another.

    Parameters
    ----------
    before, after : Attitude
        Of one aperture.

    Returns
    -------
    shift : ndarray of shape (2,)
        How far, in (V2, V3), what was believed to be at the reference point is from it.
    turn : float
        By how much the sky is turned there, from V2 to V3.
    """
    reference = np.array([before.v2_ref, before.v3_ref])
    places = reference + [[0.0, 0.0], [0.0, -_ARM / 2], [0.0, _ARM / 2]]
    here, low, high = np.column_stack(sky_to_v2v3(after, *v2v3_to_sky(before, *places.T)))
    arm = high - low
    return here - reference, float(np.degrees(np.arctan2(-arm[0], arm[1])) * 3600)

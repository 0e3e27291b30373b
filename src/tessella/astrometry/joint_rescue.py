"""Images that could not be aligned, found by the stars that aligned images have in common."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from tessella.astrometry.alignment import match
from tessella.astrometry.joint_geometry import ARM_ARCSEC, N_PARAMETERS, MeasuredImage
from tessella.astrometry.pair_votes import Tie, find_tie, turned, voters
from tessella.astrometry.rigid import RigidFit, fit_without_outliers
from tessella.astrometry.wcs import sky_to_v2v3

#: Distance at which structure of a bright star's image may be taken for stars [arcsec].
_CROWD_ARCSEC = 2.5
#: A place that chance would make more often than this is none.
_LARGEST_CHANCE = 1e-5
#: Error of the common stars' places, and what a shift and a turn leave of an image, per axis
#: [arcsec]: the joint solution has a finer word on both.
_FLOOR = 0.001


def find_displaced(
    image: MeasuredImage, stars: np.ndarray, options: Mapping[str, Any]
) -> np.ndarray | None:
    """Return the parameters that bring an image to where stars are known, (6,) [mas].

    The most crowded place among the offsets of pairs is good to the side of a cell; the pairs
    around it then give the shift and the turn, as they do for an exposure that is aligned.

    Parameters
    ----------
    image : MeasuredImage
        Not aligned.
    stars : ndarray of shape (n, 3)
        Directions of known stars.
    options : mapping
        Section ``solve`` of the configuration: ``search_radius_arcsec`` and
        ``search_turn_arcsec`` are the largest errors of the pointing and of the roll that are
        looked for, ``match_radius_arcsec`` the largest distance of a pair in the end, and
        ``turn_stars`` the fewest pairs that must agree.

    Returns
    -------
    ndarray or None
        A shift and a turn; None if too few pairs agree, or as many would by chance.
    """
    minimum = options["turn_stars"]
    if len(image.v2) < minimum:
        return None
    pivot = np.array([image.attitude.v2_ref, image.attitude.v3_ref])
    measured = np.column_stack([image.v2, image.v3])
    turn = float(np.radians(options["search_turn_arcsec"] / 3600))
    arm = float(np.hypot(*(measured - pivot).T).max())
    known = _known_near(image, stars, options["search_radius_arcsec"] + turn * arm)
    if len(known) < minimum:
        return None
    leading = measured[voters(measured, image.flux, _CROWD_ARCSEC)]
    tie = find_tie([leading], [known], pivot, options["search_radius_arcsec"], turn)
    if tie.votes < minimum or tie.chance > _LARGEST_CHANCE:
        return None
    fit = _inverse(tie)
    covariance = image.covariance * 1e-6 + _FLOOR**2 * np.eye(2)
    radius = options["match_radius_arcsec"]
    for reach in (max(tie.side, radius), radius, radius):
        ours, theirs = match(fit.of(measured, pivot), known, reach)
        if len(ours) < minimum:
            return None
        kept, fit = fit_without_outliers(
            known[theirs], measured[ours], covariance[ours], pivot, minimum
        )
        if kept.sum() < minimum:
            return None
    # The sense of a turn is that of `correction_of`.
    found = [*1000 * fit.shift, 1000 * ARM_ARCSEC * fit.turn]
    return np.array(found + [0.0] * (N_PARAMETERS - len(found)))


def _known_near(image: MeasuredImage, stars: np.ndarray, margin: float) -> np.ndarray:
    """Return V2 and V3 [arcsec] of stars on and around an image, as it points, (n, 2)."""
    ra = np.degrees(np.arctan2(stars[:, 1], stars[:, 0]))
    dec = np.degrees(np.arctan2(stars[:, 2], np.hypot(stars[:, 0], stars[:, 1])))
    known = np.column_stack(sky_to_v2v3(image.attitude, ra, dec))
    inside = (known > [image.v2.min() - margin, image.v3.min() - margin]) & (
        known < [image.v2.max() + margin, image.v3.max() + margin]
    )
    return np.asarray(known[inside.all(axis=1)])


def _inverse(tie: Tie) -> RigidFit:
    """Return the shift and the turn that bring an image to the stars; a tie brings them to it."""
    zero = np.zeros((1, 2))
    return RigidFit(-turned(tie.shift[None], -tie.turn, zero[0])[0], -tie.turn, zero[:0])

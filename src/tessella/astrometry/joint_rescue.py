"""Images that could not be aligned, found by the stars that aligned images have in common."""

import numpy as np

from tessella.astrometry.joint_geometry import N_PARAMETERS, MeasuredImage
from tessella.astrometry.pair_votes import find_tie, voters
from tessella.astrometry.wcs import sky_to_v2v3

#: Distance at which structure of a bright star's image may be taken for stars [arcsec].
_CROWD_ARCSEC = 2.5
#: A place that chance would make more often than this is none.
_LARGEST_CHANCE = 1e-5


def find_displaced(
    image: MeasuredImage, stars: np.ndarray, search_radius_arcsec: float, minimum: int
) -> np.ndarray | None:
    """Return the parameters that bring an image to where stars are known, (6,) [mas].

    Parameters
    ----------
    image : MeasuredImage
        Not aligned.
    stars : ndarray of shape (n, 3)
        Directions of known stars.
    search_radius_arcsec : float
        Largest error of the pointing that is looked for.
    minimum : int
        Fewest pairs that must agree.

    Returns
    -------
    ndarray or None
        A shift; None if too few pairs agree, or as many would by chance.
    """
    if len(image.v2) < minimum:
        return None
    ra = np.degrees(np.arctan2(stars[:, 1], stars[:, 0]))
    dec = np.degrees(np.arctan2(stars[:, 2], np.hypot(stars[:, 0], stars[:, 1])))
    known = np.column_stack(sky_to_v2v3(image.attitude, ra, dec))
    measured = np.column_stack([image.v2, image.v3])
    low, high = measured.min(axis=0), measured.max(axis=0)
    near = ((known > low - search_radius_arcsec) & (known < high + search_radius_arcsec)).all(
        axis=1
    )
    if near.sum() < minimum:
        return None
    leading = measured[voters(measured, image.flux, _CROWD_ARCSEC)]
    pivot = np.array([image.attitude.v2_ref, image.attitude.v3_ref])
    tie = find_tie([leading], [known[near]], pivot, search_radius_arcsec, 0.0)
    if tie.votes < minimum or tie.chance > _LARGEST_CHANCE:
        return None
    # The tie moves stars to the image; the correction moves the image to the stars.
    return np.concatenate([-1000 * tie.shift, np.zeros(N_PARAMETERS - 2)])

"""Stars of one image, measured and brought into the telescope's frame beside the references."""

from dataclasses import fields, replace
from typing import Any

import numpy as np

from tessella.astrometry.alignment import Alignment, DetectorStars
from tessella.astrometry.gwcs_model import to_v2v3
from tessella.astrometry.motion import Positions
from tessella.astrometry.pixel_area import nominal_pixel_area_arcsec2
from tessella.astrometry.wcs import sky_to_detector
from tessella.models import Image
from tessella.psf.fit import Stars

#: Radius about the reference point of a detector that holds it with room to spare [deg].
DETECTOR_RADIUS_DEG = 0.11


def without_pixels(image: Image) -> Image:
    """Return an image of which only the metadata are left: those of all detectors fit in memory."""
    values = {each.name: getattr(image, each.name) for each in fields(image)}
    empty: dict[str, Any] = {
        name: value[:0].copy() for name, value in values.items() if isinstance(value, np.ndarray)
    }
    return replace(image, **empty)


def detector_stars(
    image: Image, stars: Stars, references: Positions, margin_arcsec: float
) -> tuple[DetectorStars, np.ndarray, np.ndarray]:
    """Bring the good stars of an image beside the reference stars on and around it.

    Parameters
    ----------
    image : Image
        Level 2 image with the attitude that the spacecraft reported; its pixels are not looked at.
    stars : Stars
        Measured in it.
    references : Positions
        Reference stars at the time of the exposure.
    margin_arcsec : float
        References so far beside the image count too.

    Returns
    -------
    detector : DetectorStars
        For `tessella.astrometry.alignment.align_exposure`.
    fitted, near : ndarray of int
        Which of `stars` and of `references` they are; see `among_all`.
    """
    pixel_arcsec = np.sqrt(nominal_pixel_area_arcsec2(image.detector))
    fitted = np.flatnonzero(stars.is_good)
    # A fit that is worse than its errors say knows the position as much worse.
    position_err = (
        np.hypot(stars.x_err, stars.y_err) / np.sqrt(2) * np.sqrt(np.maximum(stars.chisq, 1))
    )
    near = _around(image, references, margin_arcsec / pixel_arcsec)
    detector = DetectorStars(
        image.attitude,
        *to_v2v3(image.wcs, stars.x[fitted], stars.y[fitted]),
        position_err[fitted] * pixel_arcsec,
        stars.flux[fitted],
        references.ra[near],
        references.dec[near],
        references.covariance[near],
    )
    return detector, fitted, near


def among_all(alignment: Alignment, fitted: np.ndarray, near: np.ndarray) -> Alignment:
    """Count the stars and references of an alignment among all that `detector_stars` was given."""
    return replace(alignment, stars=fitted[alignment.stars], references=near[alignment.references])


def _around(image: Image, references: Positions, margin: float) -> np.ndarray:
    """List the reference stars with known errors on the image or `margin` pixels beside it."""
    known = np.flatnonzero(np.isfinite(references.covariance).all(axis=(1, 2)))
    x, y = sky_to_detector(
        image.attitude, image.detector, references.ra[known], references.dec[known]
    )
    ny, nx = image.window.active_shape
    across, up = x - image.window.x, y - image.window.y
    inside = (across > -margin) & (across < nx + margin) & (up > -margin) & (up < ny + margin)
    return known[inside]

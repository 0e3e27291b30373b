"""Alignment of one image: its stars measured, matched and tied to the reference stars."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from tessella.astrometry.alignment import Alignment, align
from tessella.astrometry.gwcs_model import to_v2v3
from tessella.astrometry.motion import Positions
from tessella.astrometry.pixel_area import nominal_pixel_area_arcsec2
from tessella.astrometry.wcs import sky_to_detector
from tessella.models import Image
from tessella.psf.effective import EffectivePsf
from tessella.psf.fit import Stars, measure_stars


def align_image(
    image: Image, psf: EffectivePsf, references: Positions, options: Mapping[str, Any]
) -> tuple[Alignment, Stars]:
    """Align an image with reference stars.

    Parameters
    ----------
    image : Image
        Level 2 image with the attitude that the spacecraft reported.
    psf : EffectivePsf
        Of its detector and filter.
    references : Positions
        Reference stars at the time of the exposure.
    options : mapping
        Section ``align`` of the configuration.

    Returns
    -------
    alignment : Alignment
        Its `stars` count the measured stars.
    stars : Stars
        All measured stars, in pixels of the image.
    """
    stars = measure_stars(image, psf, options["threshold"], options["brightest"])
    pixel_arcsec = np.sqrt(nominal_pixel_area_arcsec2(image.detector))
    fitted = np.flatnonzero(stars.is_good)
    # A fit that is worse than its errors say knows the position as much worse.
    position_err = (
        np.hypot(stars.x_err, stars.y_err) / np.sqrt(2) * np.sqrt(np.maximum(stars.chisq, 1))
    )
    near = _around(image, references, options["search_radius_arcsec"] / pixel_arcsec)
    alignment = align(
        image.attitude,
        *to_v2v3(image.wcs, stars.x[fitted], stars.y[fitted]),
        position_err[fitted] * pixel_arcsec,
        stars.flux[fitted],
        references.ra[near],
        references.dec[near],
        np.sqrt(references.covariance[near, 0, 0]) / 1000,
        options["search_radius_arcsec"],
        options["match_radius_arcsec"],
        options["minimum_stars"],
    )
    return Alignment(**{**vars(alignment), "stars": fitted[alignment.stars]}), stars


def _around(image: Image, references: Positions, margin: float) -> np.ndarray:
    """List the reference stars with known errors on the image or `margin` pixels beside it."""
    x, y = sky_to_detector(image.attitude, image.detector, references.ra, references.dec)
    ny, nx = image.window.active_shape
    across, up = x - image.window.x, y - image.window.y
    inside = (across > -margin) & (across < nx + margin) & (up > -margin) & (up < ny + margin)
    return np.flatnonzero(inside & np.isfinite(references.covariance[:, 0, 0]))

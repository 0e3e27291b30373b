"""Stars of dithered exposures as they would be measured, without their images."""

from dataclasses import dataclass, replace

import numpy as np

from tessella.astrometry.joint_geometry import MeasuredImage, corrected_v2v3
from tessella.astrometry.motion import Positions
from tessella.astrometry.wcs import (
    attitude_of,
    detector_to_v2v3,
    sky_to_v2v3,
    v2v3_to_detector,
    v2v3_to_sky,
)
from tessella.models import Attitude, WcsCorrection

DETECTOR, SIDE = "WFI01", 4088
#: Side of the detector on the sky [arcsec].
SIDE_ARCSEC = 447.0
CENTRE = attitude_of(DETECTOR, 12.108, 85.255, 0.0)
#: Position error times signal-to-noise in F158 [pixels]: `tessella.psf.information` with the PSF of
#: WFI01 in bright stars.
WIDTH = 0.87
#: Errors of parallaxes in the Gaia table of NGC 188 by G magnitude [mas].
GAIA_G, GAIA_ERROR = (14.5, 15.5, 16.5, 17.5, 18.5), (0.0177, 0.0260, 0.0416, 0.0717, 0.1293)
#: Of positions and motions in units of that; years from the catalogue to the exposures.
MOTION_RATIO, YEARS = 1.7, 13.0
OPTIONS = {
    "match_radius_arcsec": 0.1,
    "search_radius_arcsec": 30.0,
    "search_turn_arcsec": 300.0,
    "minimum_stars": 4,
    "turn_stars": 6,
    "affine_stars": 12,
    "distortion_prior": 5e-5,
    "clip_sigma": 4.0,
    "unaligned": "leave_out",
}


@dataclass(frozen=True)
class Field:
    """Stars of a field: where they are, and where the catalogue believes them to be."""

    ra: np.ndarray
    dec: np.ndarray
    #: Of an exposure of each star.
    signal_to_noise: np.ndarray
    #: Catalogue of the first stars; errors per axis [mas].
    catalogue_ra: np.ndarray
    catalogue_dec: np.ndarray
    catalogue_error: np.ndarray


@dataclass(frozen=True)
class Truth:
    """How an exposure really was taken."""

    attitude: Attitude
    distortion: WcsCorrection


def draw_field(rng, n_known=75, n_faint=0, half_arcsec=300.0):
    """Draw stars so that a detector sees `n_known` of the catalogue and `n_faint` others."""
    area = (2 * half_arcsec / SIDE_ARCSEC) ** 2
    known = rng.poisson(n_known * area)
    all_of = known + rng.poisson(n_faint * area)
    v2 = CENTRE.v2_ref + rng.uniform(-half_arcsec, half_arcsec, all_of)
    v3 = CENTRE.v3_ref + rng.uniform(-half_arcsec, half_arcsec, all_of)
    ra, dec = v2v3_to_sky(CENTRE, v2, v3)
    # Star counts double in a magnitude and a half.
    g = 14.5 + 1.5 * np.log2(1 + rng.uniform(0, 1, all_of) * (2 ** (4 / 1.5) - 1))
    ratio = 1000 * 10 ** (-0.2 * (g - 16.5))
    ratio[known:] = 10 ** rng.uniform(1.5, 2.6, all_of - known)
    error = 10 ** np.interp(g[:known], GAIA_G, np.log10(GAIA_ERROR))
    error = error * np.hypot(1, MOTION_RATIO * YEARS)
    east, north = error * rng.standard_normal((2, known))
    there = (
        ra[:known] + east / 3.6e6 / np.cos(np.radians(dec[:known])),
        dec[:known] + north / 3.6e6,
    )
    return Field(ra, dec, ratio, *there, error)


def draw_exposures(
    rng, field, n=4, dither_arcsec=40.0, tie_mas=2.0, roll_arcsec=2.0, distortion=1e-5,
    wrong=0.0, turns=(0.0, 0.0, 30.0, 90.0),
):  # fmt: skip
    """Take exposures of a field; return the images, the truth, and the star of each measurement.

    Each is tied with an error, and its scale and shear are off. Of the measurements a share `wrong`
    is spoilt by up to 80 mas.
    """
    made = [
        _expose(rng, field, f"r{k:04d}", rng.uniform(-dither_arcsec, dither_arcsec, 2),
                turns[k % len(turns)], tie_mas, roll_arcsec, distortion, wrong)
        for k in range(n)
    ]  # fmt: skip
    return [list(part) for part in zip(*made, strict=True)]


def _expose(rng, field, name, dither, turn, tie_mas, roll_arcsec, distortion, wrong):
    ra, dec = v2v3_to_sky(CENTRE, CENTRE.v2_ref + dither[0], CENTRE.v3_ref + dither[1])
    true = replace(CENTRE, ra_ref=float(ra), dec_ref=float(dec), roll_ref=CENTRE.roll_ref + turn)
    off = distortion * rng.standard_normal(3)
    errors = WcsCorrection(0.0, 0.0, off[0] + off[1], off[2], off[2], off[0] - off[1])
    truth = Truth(true, errors)
    x, y = true_pixels(truth, field.ra, field.dec)
    seen = np.flatnonzero((x > 0) & (x < SIDE - 1) & (y > 0) & (y < SIDE - 1))
    sigma = WIDTH / field.signal_to_noise[seen]
    x, y = np.stack([x, y])[:, seen] + sigma * rng.standard_normal((2, seen.size))
    n_wrong = int(wrong * seen.size)
    spoilt = rng.choice(seen.size, n_wrong, replace=False)
    x[spoilt] += rng.uniform(-0.7, 0.7, n_wrong)
    shift = tie_mas / 3.6e6 * rng.standard_normal(2)
    tie = replace(
        true,
        ra_ref=true.ra_ref + shift[0] / np.cos(np.radians(true.dec_ref)),
        dec_ref=true.dec_ref + shift[1],
        roll_ref=true.roll_ref + roll_arcsec / 3600 * rng.standard_normal(),
    )
    known = np.arange(field.catalogue_ra.size)
    references = Positions(
        field.catalogue_ra, field.catalogue_dec,
        field.catalogue_error[:, None, None] ** 2 * np.eye(2), np.ones(known.size, bool), known,
    )  # fmt: skip
    image = measured_image(
        name, tie, x, y, sigma, sigma, field.signal_to_noise[seen] ** 2, references
    )
    return image, truth, seen


def measured_image(name, attitude, x, y, x_err, y_err, flux, references, is_aligned=True):
    """Turn pixels and their errors into what the joint solution takes."""
    v2, v3 = detector_to_v2v3(DETECTOR, x, y)
    right, left = detector_to_v2v3(DETECTOR, x + 0.5, y), detector_to_v2v3(DETECTOR, x - 0.5, y)
    up, down = detector_to_v2v3(DETECTOR, x, y + 0.5), detector_to_v2v3(DETECTOR, x, y - 0.5)
    by_x, by_y = 1000 * np.subtract(right, left).T, 1000 * np.subtract(up, down).T
    covariance = (
        by_x[:, :, None] * by_x[:, None] * x_err[:, None, None] ** 2
        + by_y[:, :, None] * by_y[:, None] * y_err[:, None, None] ** 2
    )
    return MeasuredImage(name, attitude, is_aligned, v2, v3, covariance, flux, references)


def true_pixels(truth, ra, dec):
    """Where stars really fall."""
    v = np.stack(sky_to_v2v3(truth.attitude, ra, dec))
    d = truth.distortion
    reference = np.array([[truth.attitude.v2_ref], [truth.attitude.v3_ref]])
    back = np.linalg.inv(np.eye(2) + [[d.m11, d.m12], [d.m21, d.m22]]) @ (v - reference)
    near = np.hypot(*back) < 600
    return np.where(
        near, v2v3_to_detector(DETECTOR, *(np.where(near, back, 0.0) + reference)), np.nan
    )


def wcs_error_mas(image, correction, truth, n=21):
    """Return the error of a corrected WCS on a grid of pixels, (2, n * n): along ra and dec."""
    x, y = (axis.ravel() for axis in np.meshgrid(*[np.linspace(0, SIDE - 1, n)] * 2))
    v2, v3 = detector_to_v2v3(DETECTOR, x, y)
    found = v2v3_to_sky(image.attitude, *corrected_v2v3(correction, image.attitude, v2, v3))
    true = v2v3_to_sky(truth.attitude, *corrected_v2v3(truth.distortion, truth.attitude, v2, v3))
    along_ra = (found[0] - true[0] + 180) % 360 - 180
    return 3.6e6 * np.stack([along_ra * np.cos(np.radians(true[1])), found[1] - true[1]])

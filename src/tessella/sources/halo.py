"""Rings, spikes and speckles of bright stars, which are no sources of their own."""

import numpy as np
from scipy.spatial import cKDTree

#: Features fade with this power of the distance from their star, and the median of the wings,
#: at 1 arcsec, has this part of their height (optical model of F106 to F184, 0.7 to 4 arcsec).
_FADING = 2.2
_MEDIAN_WING = 0.2
#: Farther from a star than this nothing is taken for its feature [arcsec].
_FARTHEST = 20.0


def without_halo_features(
    snr: np.ndarray,
    segments: np.ndarray,
    labels: np.ndarray,
    threshold_sigma: float,
    halo_contrast: float,
    pixel_scale_arcsec: float,
) -> np.ndarray:
    """Take detections for features of a bright star that could be, by their place and height.

    A feature at the distance r from a star has at most `halo_contrast` (r / 1 arcsec)^-2.2 of the
    star's peak. The peak of a star whose core has no data follows from the area in which its
    wings exceed the threshold.

    Parameters
    ----------
    snr : (ny, nx) array
        Detection image; NaN without coverage.
    segments : (ny, nx) array of int
        Connected segments before deblending; 0 is sky.
    labels : (ny, nx) array of int
        Sources after deblending, numbered from 1.
    threshold_sigma : float
        Detection threshold.
    halo_contrast : float
        Height of the highest feature 1 arcsec from a star over the star's peak; 0 keeps all.
    pixel_scale_arcsec : float
        Side of a pixel.

    Returns
    -------
    (ny, nx) array of int32
        Sources, numbered from 1; features in a star's own segment belong to the star, others to
        the sky.
    """
    n = int(labels.max(initial=0))
    if n < 2 or halo_contrast <= 0:
        return labels
    peak, x, y, segment = _peaks(snr, segments, labels, n)
    wing = threshold_sigma / (_MEDIAN_WING * halo_contrast)
    radius = np.sqrt(np.bincount(labels.ravel(), minlength=n + 1)[1:] / np.pi) * pixel_scale_arcsec
    star = np.where(_holds_missing(snr, labels, n), np.maximum(peak, wing * radius**_FADING), peak)
    becomes = np.arange(n + 1)
    places = np.column_stack((x, y)) * pixel_scale_arcsec
    tree = cKDTree(places)
    for bright in np.argsort(-star, kind="stable"):
        if becomes[bright + 1] != bright + 1:
            continue
        reach = (halo_contrast * star[bright] / threshold_sigma) ** (1 / _FADING)
        near = np.array(tree.query_ball_point(places[bright], min(reach, _FARTHEST)), dtype=int)
        near = near[(star[near] < star[bright]) & (becomes[near + 1] == near + 1)]
        distance = np.hypot(*(places[near] - places[bright]).T)
        feature = near[star[near] < halo_contrast * distance**-_FADING * star[bright]]
        becomes[feature + 1] = np.where(segment[feature] == segment[bright], bright + 1, 0)
    kept = np.unique(becomes[becomes > 0])
    rank = np.zeros(n + 1, dtype=np.int32)
    rank[kept] = np.arange(1, kept.size + 1)
    return rank[becomes[labels]]


def _peaks(
    snr: np.ndarray, segments: np.ndarray, labels: np.ndarray, n: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return height, middle and segment of each source; the middle is its highest pixels' mean."""
    y, x = np.nonzero(labels)
    own, value = labels[y, x] - 1, np.nan_to_num(snr[y, x], nan=np.inf)
    finite = np.isfinite(value)
    peak = np.full(n, -np.inf)
    np.maximum.at(peak, own[finite], value[finite])
    highest = (value >= peak[own]) & np.isfinite(peak[own])
    # Pixels without data in the core of a star lie closer to its middle than any that have.
    count = np.maximum(np.bincount(own[highest], minlength=n), 1)
    middle_x = np.bincount(own[highest], weights=x[highest], minlength=n) / count
    middle_y = np.bincount(own[highest], weights=y[highest], minlength=n) / count
    segment = np.zeros(n, dtype=segments.dtype)
    segment[own] = segments[y, x]
    return peak, middle_x, middle_y, segment


def _holds_missing(snr: np.ndarray, labels: np.ndarray, n: int) -> np.ndarray:
    return np.bincount(labels[~np.isfinite(snr)], minlength=n + 1)[1:] > 0

"""Shards of the whole sky: zones of declination one degree high, cut in right ascension.

A shard is (zone, part). Zone z holds the declinations from z - 90 to z - 89 degrees and is cut
into as many equal parts as make them at least a degree wide at its edge nearest to the equator.
"""

import numpy as np
from numpy.typing import ArrayLike

N_ZONES = 180
#: Room for the parts of a zone in the number of a shard: zone * PARTS + part.
PARTS = 1000


def n_parts(zone: ArrayLike) -> np.ndarray:
    """Return how many parts zones have.

    Examples
    --------
    >>> n_parts([0, 89, 90, 175]).tolist()
    [6, 360, 360, 31]
    """
    low = np.asarray(zone, int) - N_ZONES // 2
    nearest = np.where(low >= 0, low, -low - 1)
    return np.maximum(1, np.floor(360 * np.cos(np.radians(nearest)) + 1e-9)).astype(int)


def shard_of(ra: ArrayLike, dec: ArrayLike) -> np.ndarray:
    """Return the number of the shard of each direction [deg], zone * PARTS + part.

    Bounds are half open: a direction on an edge belongs to the shard north or east of it.

    Examples
    --------
    >>> shard_of([0.0, 359.9, 12.1], [0.0, -90.0, 85.2]).tolist()
    [90000, 5, 175001]
    """
    zone = np.clip(np.floor(np.asarray(dec, float) + 90), 0, N_ZONES - 1).astype(int)
    count = n_parts(zone)
    part = np.floor(np.asarray(ra, float) % 360.0 / 360.0 * count).astype(int)
    return zone * PARTS + np.clip(part, 0, count - 1)


def shards_near(ra: ArrayLike, dec: ArrayLike, radius_deg: float) -> np.ndarray:
    """Return the sorted numbers of all shards that circles on the sky touch.

    Parameters
    ----------
    ra, dec : ndarray of shape (n,)
        Their centres [deg].
    radius_deg : float
        Their radius, below 90.

    Returns
    -------
    ndarray of shape (n_shards,)
        No shard that a circle reaches into is missing; one that it just misses may be there.

    Examples
    --------
    >>> shards_near([0.2], [0.5], 0.3).tolist()
    [90000, 90359]
    >>> len(shards_near([0.0], [89.9], 0.3))
    6
    """
    ra, dec = np.atleast_1d(np.asarray(ra, float)), np.atleast_1d(np.asarray(dec, float))
    radius = radius_deg + 1e-9
    # The circle's half width in right ascension: sin(width) = sin(radius) / cos(dec).
    sine = np.sin(np.radians(radius)) / np.maximum(np.cos(np.radians(dec)), 1e-12)
    has_pole = np.abs(dec) + radius >= 90
    width = np.where(has_pole, 180.0, np.degrees(np.arcsin(np.minimum(sine, 1.0))) + 1e-9)
    first = np.clip(np.floor(dec - radius + 90), 0, N_ZONES - 1).astype(int)
    last = np.clip(np.floor(dec + radius + 90), 0, N_ZONES - 1).astype(int)
    found: set[int] = set()
    for zone in range(int(first.min(initial=N_ZONES)), int(last.max(initial=-1)) + 1):
        inside = (first <= zone) & (zone <= last)
        count = int(n_parts(zone))
        low = np.floor((ra[inside] - width[inside]) / 360 * count).astype(int)
        high = np.floor((ra[inside] + width[inside]) / 360 * count).astype(int)
        high = np.minimum(high, low + count - 1)
        ranges = np.unique(np.stack([low, high], axis=1), axis=0)
        parts = {part % count for a, b in ranges for part in range(a, b + 1)}
        found.update(zone * PARTS + part for part in parts)
    return np.array(sorted(found), int)

"""Which projection region directions belong to, and which ones circles reach: ring arithmetic."""

from functools import cache

import numpy as np
from numpy.typing import ArrayLike

from tessella.sky.tessellation import Region, regions


@cache
def _rings() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return lower bounds in declination [deg], first region and number of regions of all rings.

    From the north cap to the south cap, which are rings of one region.
    """
    lows = np.array([region.dec_min for region in regions()])
    first = np.flatnonzero(np.diff(lows, prepend=np.inf))
    return lows[first], first, np.diff(first, append=len(lows))


def _ring_of(dec: np.ndarray) -> np.ndarray:
    lows = _rings()[0]
    return len(lows) - np.searchsorted(lows[::-1], dec, side="right")


def region_indices(ra: ArrayLike, dec: ArrayLike) -> np.ndarray:
    """Return the numbers of the regions that directions [deg] belong to: exactly one each.

    They follow from the ring and the place in it; bounds are those of `Region`.

    Raises
    ------
    ValueError
        If a direction is none.

    Examples
    --------
    >>> region_indices([12.1, 0.0, 359.9], [85.3, 90.0, -90.0])
    array([   1,    0, 4057])
    """
    ra, dec = np.broadcast_arrays(np.asarray(ra, float), np.asarray(dec, float))
    wrong = ~np.isfinite(ra) | ~(np.abs(dec) <= 90.0)
    if wrong.any():
        raise ValueError(
            f"no region holds RA {ra[wrong][0]}, Dec {dec[wrong][0]}; RA and Dec are degrees, "
            "Dec from -90 to 90"
        )
    ring = _ring_of(dec)
    _, first, counts = _rings()
    count = counts[ring]
    width = 360.0 / count
    # A tiny negative angle becomes 360 itself.
    ra = ra % 360.0 % 360.0
    k = np.floor(ra / width + 0.5)
    # A quotient may be rounded across a bound: the bound itself decides.
    k = np.where(ra >= (k + 0.5) * width, k + 1, np.where(ra < (k - 0.5) * width, k - 1, k))
    return first[ring] + k.astype(int) % count


def region_of(ra: float, dec: float) -> Region:
    """Return the region that a direction [deg] belongs to.

    Examples
    --------
    >>> region_of(12.1, 85.3).index
    1
    """
    return regions()[int(region_indices(ra, dec))]


def regions_near(
    ra: np.ndarray, dec: np.ndarray, radius_deg: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Find the regions that circles on the sky reach.

    Parameters
    ----------
    ra, dec, radius_deg : (n,)
        Centres and radii [deg].

    Returns
    -------
    circle, region : (n_pairs,) int
        A pair for each region that a circle reaches, and some that it almost does; by circle.

    Examples
    --------
    >>> regions_near(np.array([0.0]), np.array([89.0]), np.array([1.0]))[1].tolist()
    [0, 5, 6, 7, 8, 1, 2, 3, 4]
    """
    _, first, counts = _rings()
    north, south = (_ring_of(np.clip(dec + d, -90, 90)) for d in (radius_deg, -radius_deg))
    circle, ring = expand(north, south)
    count = counts[ring]
    width = 360.0 / count
    holds_pole = np.abs(dec) + radius_deg >= 90.0
    sine = np.sin(np.radians(radius_deg)) / np.cos(np.radians(np.where(holds_pole, 0.0, dec)))
    across = np.where(holds_pole, 180.0, np.degrees(np.arcsin(np.minimum(sine, 1.0))))[circle]
    k_first = np.floor((ra[circle] - across) / width + 0.5).astype(int)
    k_last = np.floor((ra[circle] + across) / width + 0.5).astype(int)
    pair, k = expand(k_first, np.minimum(k_last, k_first + count - 1))
    return circle[pair], first[ring[pair]] + k % count[pair]


def expand(low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Write out ranges: the number of the range and the value, for each value from low to high.

    Examples
    --------
    >>> [part.tolist() for part in expand(np.array([5, 3]), np.array([6, 3]))]
    [[0, 0, 1], [5, 6, 3]]
    """
    sizes = np.maximum(high - low + 1, 0)
    number = np.repeat(np.arange(len(sizes)), sizes)
    before = np.cumsum(sizes) - sizes
    return number, low[number] + np.arange(len(number)) - before[number]

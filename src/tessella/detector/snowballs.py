"""Snowballs: round events that fill many pixels at once, with a saturated core and a faint halo.

The jump search finds the bright part of the halo; the rest of it is covered by a larger circle
(method and default numbers: stcal, `stcal/jump/jump.py`, as used for Roman; Regan 2023,
JWST-STScI-008545). Ours counts pixels, where that fits outlines: a connected area stands for the
circle of equal area, so that a long track never becomes a disc of its length.
"""

import numpy as np
from scipy.ndimage import label

from tessella.detector.cosmic_rays import PIXEL_UM

_TOUCHING = np.ones((3, 3), bool)
#: Below this expectation a halo has ended [electrons].
_HALO_END = 0.1


def expand_snowballs(
    jumps: np.ndarray,
    first_saturated: np.ndarray,
    n_resultants: int,
    min_sat_area: int = 1,
    min_jump_area: int = 6,
    expand_factor: float = 1.9,
    sat_required: bool = True,
    min_sat_radius_extend: float = 0.5,
    sat_expand: float = 2.0,
    edge_size: float = 0.0,
) -> np.ndarray:
    """Find snowballs among jumps and return what they touch besides.

    A snowball is a connected area of pixels that jump in one resultant, or saturate in it or
    the one before or after, of at least `min_jump_area` jumps and `min_sat_area` saturated
    pixels. (Before or after: it may strike in the middle of a resultant that is an average.)
    It is given a circle around its centre, in that resultant. Around a saturated core, a circle
    is given in all later resultants as well: its pixels are not to be trusted again.

    Parameters
    ----------
    jumps : ndarray of shape (n, 3), int16
        Resultant, y and x of each jump.
    first_saturated : ndarray of shape (ny, nx), unsigned int
        First resultant in which each pixel is saturated; `n_resultants` or more if in none.
    n_resultants : int
        Resultants of the ramp.
    min_sat_area, min_jump_area : int
        [pixels]
    expand_factor : float
        Radius of the circle over that of a circle of the area found.
    sat_required : bool
        False takes areas without saturated pixels too.
    min_sat_radius_extend : float
        Cores of a larger radius than this are given circles in later resultants [pixels].
    sat_expand : float
        Added to the radius of the core there [pixels].
    edge_size : float
        Areas whose centre is nearer to an edge than this may be without a core [pixels].

    Returns
    -------
    ndarray of shape (m, 3), int16
        Resultant, y and x to flag JUMP_DET, without those of `jumps`, in increasing order.

    Raises
    ------
    ValueError
        If `jumps` is not of shape (n, 3), or names places that do not exist.

    Examples
    --------
    >>> y, x = (i.ravel() for i in np.mgrid[6:9, 6:9])
    >>> jumps = np.column_stack([np.full(9, 1), y, x]).astype(np.int16)
    >>> saturated = np.full((16, 16), 4, np.uint8)
    >>> saturated[7, 7] = 1
    >>> more = expand_snowballs(jumps, saturated, 4)
    >>> np.bincount(more[:, 0]).tolist()
    [0, 28, 21, 21]
    """
    shape = (n_resultants, *first_saturated.shape)
    places = np.asarray(jumps, np.int64)
    if places.ndim != 2 or places.shape[1] != 3 or (places < 0).any() or (places >= shape).any():
        raise ValueError(
            f"snowballs: jumps of shape {places.shape}; they must be (n, 3) places "
            f"within {shape}, resultant, y and x"
        )
    cores = np.argwhere(first_saturated < n_resultants)
    since = first_saturated[cores[:, 0], cores[:, 1]].astype(np.int64)
    found = [np.zeros(0, np.int64)]
    for resultant in np.unique(places[:, 0]):
        hit = places[places[:, 0] == resultant, 1:]
        core = cores[np.abs(since - resultant) <= 1]
        if len(hit) < min_jump_area or (sat_required and edge_size <= 0 and len(core) == 0):
            continue
        for is_core, points in _areas(hit, core, shape[1:], min_jump_area):
            centre = points.mean(axis=0)
            if is_core.sum() < min_sat_area and sat_required:
                margin = min(centre.min(), *(np.array(shape[1:]) - 1 - centre))
                if margin >= edge_size:
                    continue
            radius = expand_factor * np.sqrt(len(points) / np.pi)
            found.append(_disc(shape, resultant, centre, radius))
            core_radius = np.sqrt(is_core.sum() / np.pi)
            if core_radius > min_sat_radius_extend:
                middle = points[is_core].mean(axis=0)
                for later in range(resultant, n_resultants):
                    found.append(_disc(shape, later, middle, core_radius + sat_expand))
    known = np.ravel_multi_index(tuple(places.T), shape)
    added = np.setdiff1d(np.concatenate(found), known)
    return np.column_stack(np.unravel_index(added, shape)).astype(np.int16)


def draw_snowball(
    shape: tuple[int, int],
    y: float,
    x: float,
    rng: np.random.Generator,
    core_radius: float = 3.0,
    core_electrons: float = 3e5,
    halo_electrons: float = 2e4,
    halo_scale: float = 2.0,
) -> np.ndarray:
    """Draw the electrons of one snowball: a flat disc and a halo that fades exponentially.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns.
    y, x : float
        Centre [pixels].
    rng : Generator
        Draws the Poisson numbers.
    core_radius : float
        [pixels]
    core_electrons : float
        Expectation in each pixel of the core [electrons].
    halo_electrons, halo_scale : float
        Expectation at the core's edge [electrons] and the distance over which it falls by e
        [pixels].

    Returns
    -------
    ndarray of shape `shape`, float32
        Electrons; whole numbers.

    Examples
    --------
    >>> electrons = draw_snowball((64, 64), 30.0, 30.0, np.random.default_rng(1))
    >>> bool(electrons[30, 30] > 1e5 > electrons[30, 35] > 0 == electrons[0, 0])
    True
    """
    reach = core_radius + halo_scale * np.log(max(halo_electrons / _HALO_END, 1.0))
    electrons = np.zeros(shape, np.float32)
    rows, columns = (_span(centre, reach, n) for centre, n in zip((y, x), shape, strict=True))
    distance = np.hypot(
        np.arange(rows.start, rows.stop)[:, None] - y, np.arange(columns.start, columns.stop) - x
    )
    halo = halo_electrons * np.exp(-(distance - core_radius) / halo_scale)
    expected = np.where(
        distance <= core_radius, core_electrons, np.where(distance > reach, 0, halo)
    )
    electrons[rows, columns] = rng.poisson(expected)
    return electrons


def draw_snowballs(
    shape: tuple[int, int], time_s: float, flux: float, rng: np.random.Generator
) -> np.ndarray:
    """Draw the electrons that snowballs leave in a time.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns.
    time_s : float
        [s]
    flux : float
        [1 / cm^2 / s]
    rng : Generator
        Draws number, places, sizes and electrons.

    Returns
    -------
    ndarray of shape `shape`, float32
        Electrons; whole numbers.

    Examples
    --------
    >>> draw_snowballs((64, 64), 10.0, 0.0, np.random.default_rng(1)).any()
    np.False_
    """
    electrons = np.zeros(shape, np.float32)
    area_cm2 = shape[0] * shape[1] * (PIXEL_UM * 1e-4) ** 2
    for _ in range(rng.poisson(flux * area_cm2 * time_s)):
        y, x = rng.uniform(-0.5, np.array(shape) - 0.5)
        # ASSUME: radii of cores from 1 to 5 pixels are equally frequent.
        electrons += draw_snowball(shape, y, x, rng, core_radius=rng.uniform(1, 5))
    return electrons


def _areas(
    hit: np.ndarray, core: np.ndarray, shape: tuple[int, ...], min_jump_area: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the connected areas with enough jumps: which pixels are saturated, and y and x."""
    area = np.zeros(shape, bool)
    area[hit[:, 0], hit[:, 1]] = True
    area[core[:, 0], core[:, 1]] = True
    is_core = np.zeros(shape, bool)
    is_core[core[:, 0], core[:, 1]] = True
    labels, n = label(area, _TOUCHING)
    n_hit = np.bincount(labels[hit[:, 0], hit[:, 1]], minlength=n + 1)
    points = np.unique(np.concatenate([hit, core]), axis=0)
    names = labels[points[:, 0], points[:, 1]]
    large = n_hit[names] >= min_jump_area
    points, names = points[large], names[large]
    order = np.argsort(names, kind="stable")
    splits = np.flatnonzero(np.diff(names[order])) + 1
    parts = np.split(points[order], splits) if len(points) else []
    return [(is_core[part[:, 0], part[:, 1]], part) for part in parts]


def _disc(shape: tuple[int, ...], resultant: int, centre: np.ndarray, radius: float) -> np.ndarray:
    """Return the places of a disc in the flattened ramp."""
    rows, columns = (_span(c, radius, n) for c, n in zip(centre, shape[1:], strict=True))
    y, x = np.mgrid[rows, columns]
    inside = (y - centre[0]) ** 2 + (x - centre[1]) ** 2 <= radius**2
    return (resultant * shape[1] + y[inside]) * shape[2] + x[inside]


def _span(centre: float, reach: float, size: int) -> slice:
    """Return the pixels of an axis within reach of a place."""
    start = int(np.clip(np.ceil(centre - reach), 0, size))
    return slice(start, max(start, int(np.clip(np.floor(centre + reach) + 1, 0, size))))

"""Which of two lists of positions belong together, and which stand alone."""

import numpy as np
from scipy.spatial import cKDTree

_ARCSEC = np.pi / 648000
#: A source is alone if nothing within this distance [arcsec] ...
ISOLATION_ARCSEC = 1.5
#: ... is brighter than this many magnitudes fainter than it.
ISOLATION_MAG = 2.0


def _directions(ra: np.ndarray, dec: np.ndarray) -> np.ndarray:
    a, d = np.radians(np.asarray(ra, float)), np.radians(np.asarray(dec, float))
    return np.stack([np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)], axis=-1)


def _tree(ra: np.ndarray, dec: np.ndarray) -> tuple[cKDTree, np.ndarray]:
    known = np.flatnonzero(np.isfinite(ra) & np.isfinite(dec))
    return cKDTree(_directions(ra[known], dec[known]).reshape(-1, 3)), known


def offsets_mas(
    ra: np.ndarray, dec: np.ndarray, ra_true: np.ndarray, dec_true: np.ndarray
) -> np.ndarray:
    """Return the offsets east and north of positions [deg] from others nearby [mas], (n, 2).

    Examples
    --------
    >>> one = np.ones(1)
    >>> offsets_mas(10 * one, 60 * one + 1 / 3600, 10 * one, 60 * one).round(6).tolist()
    [[0.0, 1000.0]]
    """
    ra_step = (np.asarray(ra) - ra_true + 180.0) % 360.0 - 180.0
    east = ra_step * np.cos(np.radians(dec_true))
    return np.stack([east, np.asarray(dec) - dec_true], axis=-1) * 3.6e6


def match(
    ra: np.ndarray,
    dec: np.ndarray,
    ra_other: np.ndarray,
    dec_other: np.ndarray,
    radius_arcsec: float | np.ndarray,
) -> np.ndarray:
    """Pair each position with the other one that is nearest to it, if each is the other's nearest.

    Parameters
    ----------
    ra, dec : (n,) arrays
        [deg]; NaN pairs with nothing.
    ra_other, dec_other : (m,) arrays
        [deg].
    radius_arcsec : float or (m,) array
        Largest distance; of each other position where it is an array.

    Returns
    -------
    (n,) array of int
        Index of the other position; -1 for none. No other position appears twice.

    Examples
    --------
    >>> near = np.array([10.0, 10.0]), np.array([0.0, 0.1 / 3600])
    >>> match(*near, np.array([10.0]), np.array([0.08 / 3600]), 0.2).tolist()
    [-1, 0]
    """
    pairs = np.full(len(ra), -1)
    tree, known = _tree(np.asarray(ra), np.asarray(dec))
    other_tree, other_known = _tree(np.asarray(ra_other), np.asarray(dec_other))
    if not len(known) or not len(other_known):
        return pairs
    distance, nearest = other_tree.query(tree.data)
    _, back = tree.query(other_tree.data)
    limit = np.broadcast_to(radius_arcsec, len(ra_other))[other_known][nearest]
    mutual = (back[nearest] == np.arange(len(known))) & (distance <= limit * _ARCSEC)
    pairs[known[mutual]] = other_known[nearest[mutual]]
    return pairs


def nearest_within(
    ra: np.ndarray,
    dec: np.ndarray,
    ra_other: np.ndarray,
    dec_other: np.ndarray,
    radius_arcsec: float,
) -> np.ndarray:
    """Return the index of the nearest other position within the radius, -1 for none, (n,).

    Examples
    --------
    >>> nearest_within(np.zeros(2), np.array([0.0, 1.0]), np.zeros(1), np.zeros(1), 1.0).tolist()
    [0, -1]
    """
    pairs = np.full(len(ra), -1)
    tree, known = _tree(np.asarray(ra), np.asarray(dec))
    other_tree, other_known = _tree(np.asarray(ra_other), np.asarray(dec_other))
    if len(known) and len(other_known):
        distance, nearest = other_tree.query(tree.data)
        near = distance <= radius_arcsec * _ARCSEC
        pairs[known[near]] = other_known[nearest[near]]
    return pairs


def on_paths(
    ra: np.ndarray,
    dec: np.ndarray,
    path_ra: np.ndarray,
    path_dec: np.ndarray,
    path_pa: np.ndarray,
    radius_arcsec: float,
) -> np.ndarray:
    """Tell which positions lie beside great circles, through points in directions [deg], (n,).

    Examples
    --------
    >>> east = np.array([90.0])
    >>> dec = np.array([0.0, 0.1, 0.3]) / 3600
    >>> on_paths(np.array([10.0, 11.0, 11.0]), dec, 10 + 0 * east, 0 * east, east, 0.2).tolist()
    [True, True, False]
    """
    place, point = _directions(ra, dec), _directions(path_ra, path_dec).reshape(-1, 3)
    a, d, angle = (np.radians(np.asarray(v, float)) for v in (path_ra, path_dec, path_pa))
    east = np.stack([-np.sin(a), np.cos(a), 0 * a], axis=-1)
    north = np.cross(point, east)
    # The pole of a path stands a right angle to its left.
    pole = np.sin(angle)[:, None] * north - np.cos(angle)[:, None] * east
    return np.asarray((np.abs(place @ pole.T) <= radius_arcsec * _ARCSEC).any(axis=-1))


def isolated(ra: np.ndarray, dec: np.ndarray, flux: np.ndarray) -> np.ndarray:
    """Tell which sources have no other one beside them that matters.

    Parameters
    ----------
    ra, dec : (n,) arrays
        [deg]
    flux : (n,) array
        In any linear unit, at least 0.

    Returns
    -------
    (n,) array of bool
        True where no source within 1.5 arcsec is brighter than 2 mag fainter.

    Examples
    --------
    >>> place = np.zeros(3), np.array([0.0, 1.0, 10.0]) / 3600
    >>> isolated(*place, np.array([100.0, 10.0, 1.0])).tolist()
    [True, False, True]
    """
    tree, known = _tree(np.asarray(ra), np.asarray(dec))
    alone = np.zeros(len(ra), bool)
    alone[known] = True
    pairs = tree.query_pairs(ISOLATION_ARCSEC * _ARCSEC, output_type="ndarray")
    first, second = known[pairs[:, 0]], known[pairs[:, 1]]
    faintest = 10 ** (-0.4 * ISOLATION_MAG)
    alone[first[flux[second] > faintest * flux[first]]] = False
    alone[second[flux[first] > faintest * flux[second]]] = False
    return alone

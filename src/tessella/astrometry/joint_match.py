"""Which measurements of many images are of one star."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from tessella.astrometry.joint_geometry import MeasuredImage, unit_vectors

_ARCSEC = np.pi / 648000
#: Neighbours that are looked at in one round of joining.
_N_NEIGHBOURS = 8
#: Number of measurements without a reference star, and with one that has no number of its own.
_NONE, _NAMELESS = -1, -2


@dataclass(frozen=True, eq=False)
class Groups:
    """Measurements that belong to stars, n of them, of s stars with r reference stars."""

    #: (n,): image, row among its measurements, and star of each.
    image: np.ndarray
    row: np.ndarray
    star: np.ndarray
    #: (n, 3): where each would be if the star stood where its catalogue says at that epoch, or, of
    #: stars that are in none, the mean of its measurements.
    place: np.ndarray
    #: (s, 2, 2): covariance of the reference star [mas^2]; NaN for stars that have none.
    reference_covariance: np.ndarray

    @property
    def n_stars(self) -> int:
        """Number of stars."""
        return len(self.reference_covariance)


def group_measurements(
    images: Sequence[MeasuredImage], directions: Sequence[np.ndarray], radius_arcsec: float
) -> Groups:
    """Find the stars that several images, or an image and the catalogue, have in common.

    A reference star and a measurement belong together if each is the other's nearest within the
    radius, at the epoch of the image. What lies within the radius of each other is joined, the
    nearest first; a group with two measurements of one image, or two reference stars, is crowded
    and left out.

    Parameters
    ----------
    images : sequence of MeasuredImage
    directions : sequence of ndarray of shape (n, 3)
        Where the measurements of each image are on the sky.
    radius_arcsec : float

    Returns
    -------
    Groups
        Of stars with two measurements, or one and a reference star; ordered by image, then row.
    """
    image = np.repeat(np.arange(len(images)), [len(d) for d in directions])
    row = np.concatenate([np.arange(len(d)) for d in directions] or [np.zeros(0, int)])
    where = np.concatenate([*directions, np.zeros((0, 3))])
    ids, covariance, at_epoch = _match_references(images, directions, radius_arcsec)
    group = _join(where, ids, radius_arcsec)
    usable = _unambiguous(group, image, ids)
    size = np.bincount(group, minlength=1)
    has_reference = np.zeros(size.size, bool)
    has_reference[group[ids != _NONE]] = True
    usable &= ((size >= 2) | has_reference)[group]
    # A star of the catalogue that another image sees unmatched has no place at its epoch there.
    usable &= ~has_reference[group] | (ids != _NONE)
    chosen = np.flatnonzero(usable)
    _, star = np.unique(group[chosen], return_inverse=True)
    n_stars = int(star.max()) + 1 if star.size else 0
    count = np.bincount(star, minlength=n_stars)
    middle = _sums(star, where[chosen], n_stars)
    middle = middle / np.linalg.norm(middle, axis=-1, keepdims=True)
    matched = ids[chosen] != _NONE
    place = np.where(matched[:, None], at_epoch[chosen], middle[star])
    summed = _sums(star, covariance[chosen].reshape(-1, 4), n_stars)
    mean = (summed / count[:, None]).reshape(-1, 2, 2)
    return Groups(image[chosen], row[chosen], star, place, mean)


def _match_references(
    images: Sequence[MeasuredImage], directions: Sequence[np.ndarray], radius_arcsec: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return number, covariance and place of the reference star of each measurement."""
    ids, covariances, places = [np.zeros(0, int)], [np.zeros((0, 2, 2))], [np.zeros((0, 3))]
    for image, where in zip(images, directions, strict=True):
        number = np.full(len(where), _NONE)
        covariance, place = np.full((len(where), 2, 2), np.nan), np.full((len(where), 3), np.nan)
        known = np.flatnonzero(np.isfinite(image.references.covariance).all(axis=(1, 2)))
        if len(where) and known.size:
            there = unit_vectors(image.references.ra[known], image.references.dec[known])
            _, nearest = cKDTree(there).query(where, distance_upper_bound=radius_arcsec * _ARCSEC)
            found = np.flatnonzero(nearest < known.size)
            _, back = cKDTree(where).query(there[nearest[found]])
            found = found[back == found]
            names = image.references.source_id
            own = names[known[nearest[found]]] if names.size else np.full(found.size, _NAMELESS)
            number[found] = np.where(own >= 0, own, _NAMELESS)
            covariance[found] = image.references.covariance[known[nearest[found]]]
            place[found] = there[nearest[found]]
        ids.append(number)
        covariances.append(covariance)
        places.append(place)
    return np.concatenate(ids), np.concatenate(covariances), np.concatenate(places)


def _join(where: np.ndarray, ids: np.ndarray, radius_arcsec: float) -> np.ndarray:
    """Label what lies within the radius of each other, and what is matched with one star.

    Every round joins the nearest neighbours of the groups' middles, so that the cost does not
    grow with the square of the number of exposures of a star.
    """
    n = len(where)
    _, known = np.unique(ids, return_inverse=True)
    label = np.where(ids >= 0, known, known.max(initial=0) + 1 + np.arange(n))
    _, label = np.unique(label, return_inverse=True)
    while True:
        count = np.bincount(label, minlength=1)
        middle = _sums(label, where, count.size) / np.maximum(count, 1)[:, None]
        neighbours = min(_N_NEIGHBOURS, count.size)
        _, near = cKDTree(middle).query(
            middle, k=np.arange(1, neighbours + 1), distance_upper_bound=radius_arcsec * _ARCSEC
        )
        first = np.repeat(np.arange(count.size), neighbours)
        second = near.ravel()
        pairs = (second < count.size) & (second != first)
        ones = np.ones(int(pairs.sum()), bool)
        graph = coo_array((ones, (first[pairs], second[pairs])), shape=(count.size, count.size))
        n_groups, joined = connected_components(graph, directed=False)
        label = joined[label] if n else label
        if n_groups == count.size:
            return np.asarray(label)


def _unambiguous(group: np.ndarray, image: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Mark measurements in groups with no two of one image and no two named reference stars."""
    crowded = np.zeros(int(group.max(initial=-1)) + 1, bool)
    _, first, count = np.unique(
        np.stack([group, image]), axis=1, return_index=True, return_counts=True
    )
    crowded[group[first[count > 1]]] = True
    matched = np.flatnonzero(ids >= 0)
    pairs = np.unique(np.stack([group[matched], ids[matched]]), axis=1)[0]
    several, count = np.unique(pairs, return_counts=True)
    crowded[several[count > 1]] = True
    return ~crowded[group]


def _sums(index: np.ndarray, values: np.ndarray, n: int) -> np.ndarray:
    """Add up rows of values by their index, (n, columns)."""
    return np.stack([np.bincount(index, column, n) for column in values.T], axis=-1)

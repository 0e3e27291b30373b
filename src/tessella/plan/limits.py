"""Input and output that nobody means, refused before anything is read or made."""

from collections.abc import Sequence

import numpy as np

from tessella.errors import DataError
from tessella.models import PlannedExposure
from tessella.plan.tiles import Tile

#: Detectors of an exposure are at most 0.9 degrees apart.
_FIELD_OF_VIEW_DEG = 1.0


def refuse_far(exposures: Sequence[PlannedExposure], linking_deg: float) -> None:
    """Refuse images that lie apart from the field of the others.

    Exposures belong to one field where steps from one to another of at most `linking_deg` lead
    from any to any; that of most exposures, or the first of two as large, is the run's.

    Raises
    ------
    DataError
        Naming the first image that lies elsewhere, or away from its exposure's other detectors.
    """
    if not exposures:
        return
    vectors = np.stack([_directions(exposure)[0] for exposure in exposures])
    field = fields(vectors, np.radians(linking_deg))
    main = field == np.argmax(np.bincount(field))
    apart = np.flatnonzero(~main)
    if apart.size:
        nearest = _separation_deg(vectors[main], vectors[apart[0]]).min()
        more = f", and {apart.size - 1} more lie apart" if apart.size > 1 else ""
        raise _far(
            exposures[apart[0]], 0, f"{nearest:.1f} degrees from the nearest of the other "
            f"{main.sum()} exposures{more}"
        )  # fmt: skip
    for exposure in exposures:
        directions = _directions(exposure)
        away = _separation_deg(directions, directions[0])
        if away.max() > _FIELD_OF_VIEW_DEG:
            worst = int(np.argmax(away))
            raise _far(exposure, worst, f"{away[worst]:.1f} degrees from the exposure's first")


def _far(exposure: PlannedExposure, number: int, where: str) -> DataError:
    detector, (ra, dec, *_) = list(exposure.detectors.items())[number]
    return DataError(
        f"{exposure.name} {exposure.optical_element}: {detector} at RA {ra:.4f}, Dec {dec:.4f} "
        f"lies {where}; leave the exposure out, correct its pointing, or set 'tile.linking_deg' "
        "(null for fields anywhere)"
    )


def _directions(exposure: PlannedExposure) -> np.ndarray:
    """Return unit vectors (n_detectors, 3) to the reference points of an exposure's detectors."""
    a, d = np.radians([numbers[:2] for numbers in exposure.detectors.values()]).T
    return np.stack([np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)], axis=1)


def _separation_deg(vectors: np.ndarray, other: np.ndarray) -> np.ndarray:
    chord = np.linalg.norm(vectors - other, axis=-1)
    return 2 * np.degrees(np.arcsin(np.minimum(chord / 2, 1.0)))


def fields(vectors: np.ndarray, angle: float) -> np.ndarray:
    """Return numbers of the groups of directions that are linked by steps of at most an angle.

    Parameters
    ----------
    vectors : (n, 3)
        Unit vectors.
    angle : float
        Longest step [rad].

    Returns
    -------
    (n,) int
        Fields are counted from 0 in the order of their first directions.

    Examples
    --------
    >>> fields(np.array([[1.0, 0, 0], [0, 1, 0], [0.995, 0.1, 0]]), 0.11).tolist()
    [0, 1, 0]
    """
    chord = 2 * np.sin(min(angle, np.pi) / 2)
    number = np.full(len(vectors), -1)
    for count in range(len(vectors)):
        left = np.flatnonzero(number < 0)
        if not left.size:
            break
        reached = left[:1]
        number[reached] = count
        while reached.size:
            left = np.flatnonzero(number < 0)
            reached = left[_near_any(vectors[left], vectors[reached], chord)]
            number[reached] = count
    return number


def _near_any(points: np.ndarray, others: np.ndarray, chord: float) -> np.ndarray:
    """Tell which points lie within a chord of any of the others, in blocks of bounded size."""
    near = np.zeros(len(points), bool)
    for start in range(0, len(others), 256):
        apart = np.flatnonzero(~near)
        block = others[start : start + 256]
        squared = 2 - 2 * points[apart] @ block.T
        near[apart[(squared <= chord**2 + 1e-12).any(axis=1)]] = True
    return near


def refuse_large(tiles: Sequence[Tile], maximum_gigapixels: float) -> None:
    """Refuse a plan whose coadds hold more pixels, of all filters, than is allowed.

    Raises
    ------
    DataError
        Naming the exposure that brings the tile with which the sum is too large.
    """
    total = 0
    for tile in tiles:
        total += tile.lattice.nx * tile.lattice.ny * len(tile.members)
        if total > maximum_gigapixels * 1e9:
            pairs = next(iter(tile.members.values()))
            whole = sum(one.lattice.nx * one.lattice.ny * len(one.members) for one in tiles) / 1e9
            raise DataError(
                f"{pairs[0][0]}: with {tile.name}, which it falls on, the coadds of the run hold "
                f"more than {maximum_gigapixels:g} gigapixels; all {len(tiles)} tiles together "
                f"would hold {whole:.4g}. Make it in several runs, or raise "
                "'tile.maximum_gigapixels'"
            )

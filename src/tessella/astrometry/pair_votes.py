"""Votes of pairs for the error of a pointing, and how improbable their agreement is by chance.

Every pair of a measured and a reference star votes for the offset between them. True pairs agree,
others scatter evenly: the most crowded place among the offsets is the error of the pointing if
chance alone would hardly crowd any place as much (scan statistic: Naus 1982, JASA 77, 177.
doi:10.1080/01621459.1982.10477783).
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree
from scipy.special import pdtrc

from tessella.compiled import kernel

#: Width of the cells in which offsets are counted [arcsec].
CELL = 0.125
#: Sides of the boxes of cells in which votes are added: 0.25 arcsec for measured motions, more for
#: references whose motion is not known, and for a roll between two trials.
_BOXES = (2, 4, 8)
#: Parts of the search radius that are searched for themselves as well: a pointing is rather right
#: than wrong, and few places have few accidents.
_DISCS = (1.0, 0.2, 0.04)
#: Cells around a box in which accidents are counted: clusters have more of them at small offsets.
_NEARBY = 32
#: Displacement of the outermost star by half a step of the roll [arcsec].
_SMEAR = 0.25
#: At most so many of a detector's brightest stars vote: time and memory stay bounded.
_VOTERS = 2000


@dataclass(frozen=True)
class Tie:
    """The offset that most pairs share."""

    #: To be added to the references [arcsec], after they were turned about the pivot by `turn`
    #: [radian].
    shift: np.ndarray
    turn: float
    #: Stars that voted for it, and the side of the box around it that they agree within [arcsec].
    votes: int
    side: float
    #: Probability that any place of the search gets so many votes by chance.
    chance: float


def voters(stars: np.ndarray, flux: np.ndarray, radius: float) -> np.ndarray:
    """List stars without a brighter one within `radius`, at most 2000, the brightest first.

    Structure of the point-spread function around bright stars is found as fainter peaks; it
    stands at the same offsets from all of them, and would vote for a wrong shift in concert.

    Examples
    --------
    >>> places = np.array([[0.0, 0.0], [1.0, 0.0], [9.0, 0.0]])
    >>> voters(places, np.array([5.0, 1.0, 6.0]), 3.0).tolist()
    [2, 0]
    """
    first, second = cKDTree(stars).query_pairs(radius, output_type="ndarray").T
    leads = np.ones(len(stars), bool)
    leads[first[flux[first] < flux[second]]] = False
    leads[second[flux[second] < flux[first]]] = False
    found = np.flatnonzero(leads)
    return found[np.argsort(-flux[found], kind="stable")][:_VOTERS]


def turned(places: np.ndarray, turn: float, pivot: np.ndarray) -> np.ndarray:
    """Turn places, (n, 2), about a pivot by a small angle [radian], first to second axis.

    Examples
    --------
    >>> turned(np.array([[100.0, 0.0]]), 1e-3, np.zeros(2)).tolist()
    [[100.0, 0.1]]
    """
    arm = places - pivot
    return places + turn * np.column_stack([-arm[:, 1], arm[:, 0]])


def find_tie(
    stars: Sequence[np.ndarray],
    references: Sequence[np.ndarray],
    pivot: np.ndarray,
    search_radius: float,
    search_turn: float,
) -> Tie:
    """Find the shift and the turn that most pairs share, whatever their probability.

    Parameters
    ----------
    stars, references : sequence of ndarray of shape (n, 2)
        Positions in one plane [arcsec] of each detector; pairs are made within a detector. Stars
        are in the order of `voters`: where there are many more than references, the brightest
        vote for themselves as well, since faint ones only add accidents.
    pivot : ndarray of shape (2,)
        Centre of turns [arcsec].
    search_radius : float
        Largest shift [arcsec].
    search_turn : float
        Largest turn [radian].

    Returns
    -------
    Tie
        Without any pair its votes are 0 and its chance is 1.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> sky = rng.uniform(-200, 200, (30, 2))
    >>> tie = find_tie([sky + [22.5, -11.0]], [sky], np.zeros(2), 30.0, 1e-3)
    >>> tie.votes, bool(np.abs(tie.shift - [22.5, -11.0]).max() < 0.25), tie.chance < 1e-20
    (30, True, True)
    """
    turns = _turns(stars, pivot, search_turn)
    groups, paired = [stars], zip(stars, references, strict=True)
    bright = [places[: 2 * _among(places, known)] for places, known in paired]
    if sum(map(len, bright)) < sum(map(len, stars)):
        groups.append(bright)
    n_tests = len(turns) * len(groups) * len(_BOXES) * len(_DISCS)
    best = Tie(np.zeros(2), 0.0, 0, 0.0, 1.0)
    for turn, voting in itertools.product(turns, groups):
        there = [turned(places, turn, pivot) for places in references]
        counts = _offset_counts(voting, there, search_radius)
        for place, box, votes, expected in _crowded(counts, search_radius):
            shift, side = place, box * CELL
            chance = _chance(votes, expected, box, n_tests)
            if chance < best.chance:
                # A pair of close stars meets a pair of close references more than once.
                votes = _distinct(voting, there, shift, side)
                chance = _chance(votes, expected, box, n_tests)
            if chance < best.chance:
                best = Tie(shift, turn, votes, side, chance)
    return best


def _among(stars: np.ndarray, references: np.ndarray) -> int:
    """Count the references in the rectangle that holds the stars."""
    if not len(stars):
        return 0
    inside = (references > stars.min(axis=0)) & (references < stars.max(axis=0))
    return int(inside.all(axis=1).sum())


def _turns(stars: Sequence[np.ndarray], pivot: np.ndarray, search_turn: float) -> list[float]:
    """List the trials of a turn, no turn first."""
    arms = [np.hypot(*(places - pivot).T).max() for places in stars if len(places)]
    n = int(np.ceil(search_turn * max(arms, default=0.0) / (2 * _SMEAR) - 0.5))
    if n < 1:
        return [0.0]
    steps = np.arange(1, n + 1) * search_turn / n
    return [0.0, *(float(turn) for step in steps for turn in (step, -step))]


def _offset_counts(
    stars: Sequence[np.ndarray], references: Sequence[np.ndarray], radius: float
) -> np.ndarray:
    """Count the offsets of all pairs in cells, (n, n), first axis first; 0 is in the middle."""
    half = int(np.ceil(radius / CELL))
    counts = np.zeros((2 * half, 2 * half), np.int64)
    for measured, known in zip(stars, references, strict=True):
        ordered = known[np.argsort(known[:, 0], kind="stable")]
        first = np.searchsorted(ordered[:, 0], measured[:, 0] - radius)
        stop = np.searchsorted(ordered[:, 0], measured[:, 0] + radius)
        _count(counts, measured, ordered, first, stop, radius, CELL)
    return counts


@kernel
def _count(
    counts: np.ndarray,
    stars: np.ndarray,
    references: np.ndarray,
    first: np.ndarray,
    stop: np.ndarray,
    radius: float,
    cell: float,
) -> None:
    half = counts.shape[0] // 2
    for i in range(stars.shape[0]):
        for j in range(first[i], stop[i]):
            a, b = stars[i, 0] - references[j, 0], stars[i, 1] - references[j, 1]
            if a * a + b * b < radius * radius:
                counts[int(np.floor(a / cell)) + half, int(np.floor(b / cell)) + half] += 1


def _boxed(counts: np.ndarray, box: int) -> np.ndarray:
    """Sum all squares of `box` x `box` cells; (n - box + 1, n - box + 1)."""
    total = np.zeros((counts.shape[0] + 1, counts.shape[1] + 1), np.int64)
    total[1:, 1:] = counts.cumsum(axis=0).cumsum(axis=1)
    return total[box:, box:] - total[:-box, box:] - total[box:, :-box] + total[:-box, :-box]


def _crowded(
    counts: np.ndarray, radius: float
) -> Iterator[tuple[np.ndarray, int, int, tuple[float, float]]]:
    """Give the most crowded box of each size in each disc.

    Yields its centre [arcsec], its side [cells], its votes, and what is expected: accidents in
    it, and how many such boxes the disc has.
    """
    half = counts.shape[0] // 2
    in_disc = np.pi * (radius / CELL) ** 2
    for box in _BOXES:
        votes = _boxed(counts, box)
        middle = (np.arange(votes.shape[0]) - half + box / 2) * CELL
        distance = np.hypot(middle[:, None], middle)
        for part in _DISCS:
            # The farthest box reaches beyond the disc by half of itself.
            inside = np.where(distance <= max(part * radius, box * CELL / 2), votes, -1)
            row, column = np.unravel_index(np.argmax(inside), votes.shape)
            most = int(inside[row, column])
            everywhere = (counts.sum() - most + 1) / in_disc
            nearby = counts[
                max(row - _NEARBY, 0) : row + box + _NEARBY,
                max(column - _NEARBY, 0) : column + box + _NEARBY,
            ]
            around = (nearby.sum() - most) / max(nearby.size - box**2, 1)
            n_boxes = max(in_disc * part**2 / box**2, 1.0)
            expected = (max(everywhere, around) * box**2, n_boxes)
            yield np.array([middle[row], middle[column]]), box, most, expected


def _chance(votes: int, expected: tuple[float, float], box: int, n_tests: int) -> float:
    """Bound the probability that any box of any test gets so many votes.

    Boxes overlap: a box of n x n cells is tried at n^2 places for each that is free of others,
    but a group of k votes is in at most k^2 different ones.
    """
    accidents, n_boxes = expected
    places = n_boxes * min(box, max(votes, 1)) ** 2
    # The upper tail of the Poisson distribution; scipy.stats takes half a second to load.
    tail = pdtrc(votes - 1, accidents) if votes > 0 else 1.0
    return float(min(1.0, n_tests * places * tail))


def _distinct(
    stars: Sequence[np.ndarray], references: Sequence[np.ndarray], shift: np.ndarray, side: float
) -> int:
    """Count the pairs in a box in which no star and no reference stands twice, at most."""
    count = 0
    for measured, known in zip(stars, references, strict=True):
        if not len(measured) or not len(known):
            continue
        near = cKDTree(known + shift).query_ball_point(measured, side / 2, p=np.inf)
        used = {j for found in near for j in found}
        count += min(sum(bool(found) for found in near), len(used))
    return count

"""Sky levels, and planes, that make the images of a region agree where they overlap.

Every block of the lattice has a sky of its own, the same for all images that hold it, and every
image adds a level, or a plane, to it. Least squares over all blocks and images at once (what pairs
of images have in common is what their common blocks say), sparse, with weights that fade for
blocks that disagree.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix, diags
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import splu

from tessella.coadd.sky_blocks import SkyBlocks

#: At most so many images of a block are compared; where there are more, each image keeps the
#: blocks that a hash of both gives it. The work grows with the number of images, not its square.
_MOST = 64
#: Rounds with weights that fall with the residual, and then ones in which residuals beyond so many
#: standard deviations do not count (Tukey's biweight).
_ROUGH, _FINE, _CUT = 4, 4, 6.0
#: Residuals below this share of the largest level are rounding.
_ROUNDING = 1e-9
#: Weight of slopes of zero over that of the blocks: a slope that all images share is no
#: difference of theirs, and stays in the sky.
_RIDGE = 1e-9


@dataclass(frozen=True)
class Skies:
    """What to subtract from each image; arrays (n_images,)."""

    #: At the centre of the image [MJy / sr].
    level: np.ndarray
    #: [MJy / sr / pixel of the image]
    slope_x: np.ndarray
    slope_y: np.ndarray
    #: Blocks that the image shares with others.
    n_blocks: np.ndarray
    #: Images that overlap, directly or through others, have the same number.
    component: np.ndarray


def match_skies(names: Sequence[str], measured: Sequence[SkyBlocks], planes: bool) -> Skies:
    """Return the level to subtract from each image, or the plane.

    One level of each component cannot be known from differences: the image with the lowest sky
    of its own keeps that, so that no coadd becomes negative. Images without any block have the
    level of all their good pixels, and 0 without any: those have no weight.

    Parameters
    ----------
    names : sequence of str
        Of the images; the result does not depend on their order.
    measured : sequence of SkyBlocks
    planes : bool
        Whether slopes are fitted as well.

    Raises
    ------
    ValueError
        If two images have the same name.

    Examples
    --------
    >>> blocks, there = np.array([[0, 0], [1, 0], [2, 0]]), np.zeros((3, 2))
    >>> def image(sky):
    ...     return SkyBlocks(blocks, sky + np.array([0.1, 0.0, 0.2]), np.full(3, 99), there, 1.0)
    >>> match_skies(["a", "b"], [image(0.3), image(0.5)], False).level.round(6).tolist()
    [0.4, 0.6]
    """
    if len(set(names)) < len(names):
        raise ValueError("two images have the same name")
    order = np.argsort(np.array(names, dtype=str))
    found = _in_order([names[k] for k in order], [measured[k] for k in order], planes)
    back = np.empty_like(order)
    back[order] = np.arange(len(order))
    return Skies(*(values[back] for values in vars(found).values()))


def _in_order(names: list[str], measured: list[SkyBlocks], planes: bool) -> Skies:
    n = len(names)
    own = np.nan_to_num(
        [np.median(item.levels) if item.levels.size else item.alone for item in measured]
    )
    entries = _shared(names, measured)
    component = _components(entries, n)
    terms = 3 if planes else 1
    # Slopes are fitted over the half width of an image, to be of the size of levels.
    reach = max((float(np.abs(item.centers).max(initial=1.0)) for item in measured), default=1.0)
    fitted = np.zeros((n, terms))
    if entries.image.size:
        fitted = _fit(entries, component, n, terms, reach)
    level = own.copy()
    for number in np.unique(component):
        group = np.flatnonzero(component == number)
        lowest = group[np.argmin(own[group])]
        level[group] = fitted[group, 0] + own[lowest] - fitted[lowest, 0]
    slopes = fitted[:, 1:] / reach if planes else np.zeros((n, 2))
    counts = np.bincount(entries.image, minlength=n)
    return Skies(level, slopes[:, 0], slopes[:, 1], counts, component)


@dataclass(frozen=True)
class _Entries:
    """Blocks that several images hold; arrays (n_entries,)."""

    image: np.ndarray
    #: From 0 on.
    block: np.ndarray
    level: np.ndarray
    weight: np.ndarray
    #: (n_entries, 2)
    center: np.ndarray


def _shared(names: list[str], measured: list[SkyBlocks]) -> _Entries:
    """Find what images have in common: blocks, sorted, tell who shares them."""
    n_blocks = [item.levels.size for item in measured]
    image = np.repeat(np.arange(len(names)), n_blocks)
    blocks = np.concatenate([np.empty((0, 2), np.int64), *(item.blocks for item in measured)])
    key = (blocks[:, 1] << 32) + blocks[:, 0]
    level, weight, center = (
        np.concatenate([np.empty(shape), *(getattr(item, name) for item in measured)])
        for name, shape in (("levels", 0), ("counts", 0), ("centers", (0, 2)))
    )
    # By name: an image that comes to the others leaves the choice of each of them as it was.
    own = np.repeat(np.array([_number_of(name) for name in names], np.uint64), n_blocks)
    chance = _mixed(key.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + own)
    order = np.lexsort((chance, key))
    _, first, sizes = np.unique(key[order], return_index=True, return_counts=True)
    rank = np.arange(order.size) - np.repeat(first, sizes)
    kept = order[(np.repeat(sizes, sizes) > 1) & (rank < _MOST)]
    block = np.unique(key[kept], return_inverse=True)[1]
    return _Entries(image[kept], block, level[kept], weight[kept], center[kept])


def _number_of(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big")


def _mixed(number: np.ndarray) -> np.ndarray:
    """Hash 64-bit numbers (splitmix64, Steele et al. 2014, doi:10.1145/2660193.2660195)."""
    number = (number ^ (number >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    number = (number ^ (number >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return number ^ (number >> np.uint64(31))


def _components(entries: _Entries, n: int) -> np.ndarray:
    """Return the number of each image's group; images that share a block belong to one group."""
    n_blocks = int(entries.block.max(initial=-1)) + 1
    links = csr_matrix(
        (np.ones(entries.image.size), (entries.image, n + entries.block)),
        shape=(n + n_blocks, n + n_blocks),
    )
    label = connected_components(links, directed=False)[1][:n]
    _, first, inverse = np.unique(label, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse]


def _fit(entries: _Entries, component: np.ndarray, n: int, terms: int, reach: float) -> np.ndarray:
    """Fit level and slopes (n, terms); the first image of each component has level 0."""
    size = entries.image.size
    rows = np.repeat(np.arange(size), terms)
    columns = (entries.image[:, None] * terms + np.arange(terms)).ravel()
    values = np.concatenate([np.ones((size, 1)), entries.center / reach], axis=1)[:, :terms]
    design = csr_matrix((values.ravel(), (rows, columns)), shape=(size, n * terms))
    member = csr_matrix((np.ones(size), (np.arange(size), entries.block)))
    free = np.ones(n * terms, bool)
    free[np.unique(component, return_index=True)[1] * terms] = False
    # Images that share nothing have no equation of their own.
    free &= np.repeat(np.bincount(entries.image, minlength=n) > 0, terms)
    design = design[:, np.flatnonzero(free)]
    ridge = _RIDGE * np.tile(np.arange(terms) > 0, n)[free]
    fitted, residual = np.zeros(n * terms), entries.level
    weight = entries.weight
    for step in range(1 + _ROUGH + _FINE):
        solved = _solved(design, member, entries.level, weight, ridge)
        residual = entries.level - design @ solved
        sky = (member.T @ (weight * residual)) / np.maximum(member.T @ weight, 1e-300)
        residual = np.abs(residual - sky[entries.block])
        if step == _ROUGH + _FINE:
            break
        residual = np.maximum(residual, _ROUNDING * np.abs(entries.level).max())
        weight = entries.weight * _trust(residual, entries.weight, fine=step >= _ROUGH)
    fitted[free] = solved
    return fitted.reshape(n, terms)


def _trust(residual: np.ndarray, weight: np.ndarray, fine: bool) -> np.ndarray:
    """Return factors of the weights, by the size of residuals in units of their usual one."""
    scaled = residual * np.sqrt(weight)
    usual = max(1.4826 * float(np.median(scaled)), 1e-300)
    if fine:
        # A floor keeps all images connected.
        return np.maximum(np.clip(1 - (scaled / usual / _CUT) ** 2, 0, None) ** 2, 1e-6)
    return 1 / np.maximum(scaled / usual, 1.0)


def _solved(
    design: csr_matrix,
    member: csr_matrix,
    level: np.ndarray,
    weight: np.ndarray,
    ridge: np.ndarray,
) -> np.ndarray:
    """Solve for the images' terms; the blocks' own skies are eliminated exactly."""
    weighted = diags(weight) @ design
    crossed = member.T @ weighted
    inverse = diags(1 / (member.T @ weight))
    normal = design.T @ weighted - crossed.T @ inverse @ crossed
    right = weighted.T @ level - crossed.T @ (inverse @ (member.T @ (weight * level)))
    if not normal.shape[0]:
        return np.zeros(0)
    normal = normal + diags(ridge * float(weight.sum()) / max(normal.shape[0], 1))
    return splu(normal.tocsc()).solve(right)

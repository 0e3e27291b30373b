"""The least-squares step of the joint solution: sparse normal equations, stars eliminated.

Image k measures star i at the offset d from the star's place; the image's parameters a move it by
B a, and the star stands at p::

    d + B a = p + noise of the measurement,    p = 0 + noise of the catalogue.

Stars meet only images, so their blocks (2 x 2) are inverted one by one and what is left is a system
of the images alone (Schur complement; Triggs et al. 2000, Bundle Adjustment, section 6.1.
doi:10.1007/3-540-44480-7_21), sparse where few images overlap and dense in deep fields.
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import bsr_array, csc_array, csr_array, diags_array
from scipy.sparse.linalg import splu

from tessella.astrometry.joint_geometry import N_PARAMETERS

#: Share of overlapping pairs of images above which the system of the images is no longer sparse.
_MANY_OVERLAPS = 0.25


@dataclass(frozen=True, eq=False)
class Equations:
    """n measurements of s stars in m images."""

    #: (n,)
    image: np.ndarray
    star: np.ndarray
    #: (n, 2): measured minus place [mas]; (n, 2, 6): its derivatives by the parameters.
    offset: np.ndarray
    by_parameters: np.ndarray
    #: (n, 2, 2): inverse covariance of the offset [mas^-2]; 0 leaves a measurement out.
    weight: np.ndarray
    #: (s, 2, 2): inverse covariance of the catalogue's place [mas^-2]; 0 where there is none.
    reference_weight: np.ndarray


@dataclass(frozen=True, eq=False)
class Step:
    """What solves the equations."""

    #: (m, 6) [mas]: to be added to the parameters.
    parameters: np.ndarray
    #: (s, 2): offset of the star from its place [mas].
    position: np.ndarray
    #: (s, 2, 2): covariance of that for given parameters [mas^2]; 0 for stars not measured.
    covariance: np.ndarray
    #: (n, 2): measured minus star, with the parameters added [mas].
    residual: np.ndarray


def solve(
    equations: Equations, start: np.ndarray, prior_sigma: np.ndarray, is_free: np.ndarray
) -> Step:
    """Solve for the parameters of all images and the positions of all stars together.

    Parameters
    ----------
    equations : Equations
    start : ndarray of shape (m, 6)
        Parameters so far, counted from where the prior expects them [mas].
    prior_sigma : ndarray of shape (6,)
        Width of the prior [mas]. It decides what no measurement does: a shift that all images of
        a group without reference stars share stays on average as it was.
    is_free : ndarray of shape (m, 6)
        False keeps a parameter.

    Returns
    -------
    Step

    Examples
    --------
    >>> unit, one = np.eye(2)[None], np.ones((1, 2))
    >>> moves = np.concatenate([np.eye(2), np.zeros((2, 4))], axis=1)[None]
    >>> found = solve(
    ...     Equations(np.zeros(1, int), np.zeros(1, int), one, moves, unit, unit),
    ...     np.zeros((1, 6)), np.full(6, 1e3), np.ones((1, 6), bool),
    ... )
    >>> found.parameters[0, :2].round(4).tolist()
    [-1.0, -1.0]
    """
    n_images, n_stars = len(start), len(equations.reference_weight)
    free = np.flatnonzero(is_free.ravel())
    information = _summed(equations.weight, equations.star, n_stars) + equations.reference_weight
    known = np.linalg.det(information) > 0
    inverse = np.zeros_like(information)
    inverse[known] = np.linalg.inv(information[known])

    weighted = np.einsum("nij,nip->npj", equations.weight, equations.by_parameters)
    own = np.einsum("npi,niq->npq", weighted, equations.by_parameters)
    pull = np.einsum("npi,ni->np", weighted, equations.offset)
    star_pull = _summed(
        np.einsum("nij,nj->ni", equations.weight, equations.offset), equations.star, n_stars
    )
    middle = np.einsum("sij,sj->si", inverse, star_pull)
    through_stars = np.einsum("npi,ni->np", weighted, middle[equations.star])
    right = _summed(through_stars - pull, equations.image, n_images) - start / prior_sigma**2

    blocks = _summed(own, equations.image, n_images)
    coupling = _block_matrix(
        weighted, equations.image, equations.star, (n_images, n_stars), (N_PARAMETERS, 2)
    )
    star_blocks = bsr_array(
        (inverse, np.arange(n_stars), np.arange(n_stars + 1)), shape=(2 * n_stars, 2 * n_stars)
    ).tocsr()
    diagonal = bsr_array(
        (blocks, np.arange(n_images), np.arange(n_images + 1)),
        shape=(N_PARAMETERS * n_images, N_PARAMETERS * n_images),
    ).tocsr()
    images_alone = diagonal + diags_array(np.tile(1 / prior_sigma**2, n_images))
    parameters = np.zeros(n_images * N_PARAMETERS)
    if free.size:
        own_columns = csr_array(images_alone)[free][:, free]
        bound = csr_array(coupling)[free]
        pulls = right.ravel()[free]
        if _share_of_overlaps(equations, n_images) > _MANY_OVERLAPS:
            normal = own_columns.toarray() - (bound @ star_blocks).toarray() @ bound.toarray().T
            parameters[free] = cho_solve(cho_factor(normal, lower=True), pulls)
        else:
            sparse = csc_array(own_columns - bound @ star_blocks @ bound.T)
            symmetric = {"SymmetricMode": True}
            factors = splu(
                sparse, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options=symmetric
            )
            parameters[free] = factors.solve(pulls)
    step = parameters.reshape(n_images, N_PARAMETERS)
    moved = equations.offset + np.einsum(
        "nip,np->ni", equations.by_parameters, step[equations.image]
    )
    pulled = _summed(np.einsum("nij,nj->ni", equations.weight, moved), equations.star, n_stars)
    position = np.einsum("sij,sj->si", inverse, pulled)
    return Step(step, position, inverse, moved - position[equations.star])


def _share_of_overlaps(equations: Equations, n_images: int) -> float:
    """Return the share of pairs of images, own ones included, that have a star in common."""
    used = equations.weight.any(axis=(1, 2))
    seen = csr_array(
        (np.ones(int(used.sum())), (equations.image[used], equations.star[used])),
        shape=(n_images, len(equations.reference_weight)),
    )
    return float((seen @ seen.T).nnz / max(n_images, 1) ** 2)


def _summed(values: np.ndarray, index: np.ndarray, n: int) -> np.ndarray:
    """Add up rows by their index, in order."""
    flat = values.reshape(len(values), -1)
    columns = [np.bincount(index, flat[:, i], n) for i in range(flat.shape[1])]
    return np.stack(columns, axis=-1).reshape(n, *values.shape[1:])


def _block_matrix(
    blocks: np.ndarray,
    rows: np.ndarray,
    columns: np.ndarray,
    shape: tuple[int, int],
    block: tuple[int, int],
) -> csc_array:
    """Return the sparse matrix with a block at each (row, column); no two at one place."""
    order = np.lexsort([columns, rows])
    pointer = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=shape[0]))])
    return bsr_array(
        (blocks[order], columns[order], pointer),
        shape=(shape[0] * block[0], shape[1] * block[1]),
    ).tocsr()

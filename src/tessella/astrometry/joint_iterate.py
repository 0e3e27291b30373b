"""The joint solution of measurements that were grouped: solve, test, reject, and again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from tessella.astrometry.joint_geometry import (
    ARM_ARCSEC,
    MeasuredImage,
    corrected_v2v3,
    correction_of,
    parameter_jacobian,
    sky_jacobian,
    tangent_offsets,
    telescope_vectors,
)
from tessella.astrometry.joint_match import Groups
from tessella.astrometry.joint_reject import deviations, excess_scatter, limits, worst_of_each
from tessella.astrometry.joint_solve import Equations, Step, solve

#: Widths of the prior: a shift [mas] and a turn [radian].
# ASSUME: ties are good to a tenth of an arcsecond and twenty of roll: wide enough to bind nothing
# measured, and narrow enough to outweigh the sphere's curvature where nothing measures a shift.
_SHIFT_PRIOR, _TURN_PRIOR = 100.0, 1e-4
_ROUNDS = 25
#: From this round on nothing that was left out comes back, so that the rounds end.
_LAST_RETURN = 12
#: A step below this needs no other for the curvature of the sky [mas].
_SMALL_STEP = 50.0


@dataclass(frozen=True, eq=False)
class Solved:
    """A solution of m images with n measurements of s stars."""

    names: tuple[str, ...]
    groups: Groups
    #: (m, 6) [mas], and which of them were solved for.
    parameters: np.ndarray
    is_free: np.ndarray
    #: (m,): whether reference stars bind the image's group to the sky.
    is_absolute: np.ndarray
    #: (n,): measurements that were not rejected; (n,): those that took part.
    kept: np.ndarray
    used: np.ndarray
    #: (s,): reference stars that took part.
    used_references: np.ndarray
    #: (n, 2) and (s, 2) [mas]; (s, 2, 2) [mas^2]: of the position, for given parameters.
    residual: np.ndarray
    position: np.ndarray
    position_covariance: np.ndarray
    #: (n, 2, 2): of the measurement, excess scatter included [mas^2].
    covariance: np.ndarray
    excess_scatter_mas: float

    def _of(self, name: str) -> np.ndarray:
        return self.used & (self.groups.image == self.names.index(name))

    def n_common_of(self, name: str) -> int:
        """Count the stars that an image has in common with others or the catalogue."""
        return int((self.groups.image == self.names.index(name)).sum())

    def n_stars_of(self, name: str) -> int:
        """Count the stars of an image that took part."""
        return int(self._of(name).sum())

    def n_references_of(self, name: str) -> int:
        """Count the reference stars among them."""
        return int(self.used_references[self.groups.star[self._of(name)]].sum())

    def rms_of(self, name: str) -> float:
        """Return the weighted residual of an image per coordinate [mas]; NaN without a star."""
        own = self._of(name)
        if not own.any():
            return np.nan
        weight = 2 / np.trace(self.covariance[own], axis1=1, axis2=2)
        squared = (self.residual[own] ** 2).mean(axis=1)
        return float(np.sqrt(np.average(squared, weights=weight)))

    def star_directions(self) -> np.ndarray:
        """Return the mean places of the stars, (s, 3)."""
        groups = self.groups
        summed = [np.bincount(groups.star, groups.place[:, i], groups.n_stars) for i in range(3)]
        middle = np.stack(summed, axis=-1)
        return np.asarray(middle / np.linalg.norm(middle, axis=-1, keepdims=True))


def solve_robustly(
    images: Sequence[MeasuredImage],
    groups: Groups,
    start: np.ndarray,
    options: Mapping[str, Any],
) -> Solved:
    """Solve, leaving out measurements that disagree and images with too few stars.

    Every round solves the equations, tests every measurement and every reference star against the
    others of its star, leaves out the worst of each star, takes back what fits again, and adjusts
    the scatter that errors do not explain. The number of an image's stars decides its freedom.

    Parameters
    ----------
    images : sequence of MeasuredImage
    groups : Groups
    start : ndarray of shape (m, 6)
        Parameters to start from, about which the prior stands [mas].
    options : mapping
        Section ``solve`` of the configuration.

    Returns
    -------
    Solved
    """
    rows = [np.flatnonzero(groups.image == k) for k in range(len(images))]
    has_reference = np.isfinite(groups.reference_covariance).all(axis=(1, 2))
    reference_covariance = np.where(
        has_reference[:, None, None], groups.reference_covariance, np.eye(2)
    )
    prior = np.array([_SHIFT_PRIOR] * 2 + [_TURN_PRIOR * ARM_ARCSEC * 1000]
                     + [options["distortion_prior"] * ARM_ARCSEC * 1000] * 3)  # fmt: skip
    parameters, excess = start.copy(), 0.0
    kept, kept_references = np.ones(len(groups.star), bool), has_reference.copy()
    out = np.zeros(len(images), bool)
    for turn in range(_ROUNDS):
        used, is_free, out = _freedom(groups, kept, kept_references, out, options)
        parameters = np.where(is_free, parameters, start)
        offset, by_parameters, covariance = _linearised(images, groups, rows, parameters)
        # What an image may not follow moves its stars by as much as the prior expects.
        fixed = by_parameters * np.where(is_free, 0.0, prior)[groups.image][:, None]
        covariance = covariance + fixed @ fixed.transpose(0, 2, 1) + excess**2 * np.eye(2)
        is_absolute = _bound(groups, used, kept_references, len(images), options["minimum_stars"])
        references = kept_references & is_absolute[_any_image(groups, used)]
        used &= _n_measured(groups, used, references)[groups.star] >= 2
        weight = np.where(used[:, None, None], np.linalg.inv(covariance), 0.0)
        reference_weight = np.where(
            references[:, None, None], np.linalg.inv(reference_covariance), 0.0
        )
        step = solve(
            Equations(
                groups.image, groups.star, offset, by_parameters, weight, reference_weight
            ),
            parameters - start, prior, is_free,
        )  # fmt: skip
        parameters = parameters + step.parameters
        before = kept, kept_references, excess
        if turn + 1 < _ROUNDS:
            kept, kept_references = _tested(
                groups, step, covariance, reference_covariance, used, references,
                (kept, kept_references & has_reference), options["clip_sigma"],
                turn < _LAST_RETURN,
            )  # fmt: skip
            if turn < _LAST_RETURN:
                excess = _excess(step, covariance, excess, groups, used)
        same = (kept == before[0]).all() and (kept_references == before[1]).all()
        # The rejection sees changes of the errors above a hundredth.
        settled = abs(excess - before[2]) <= 0.01 * excess
        if same and settled and np.abs(step.parameters).max(initial=0.0) < _SMALL_STEP:
            break
    return Solved(
        tuple(image.name for image in images), groups, parameters, is_free, is_absolute,
        before[0], used, references, step.residual, step.position, step.covariance, covariance,
        before[2],
    )  # fmt: skip


def _linearised(
    images: Sequence[MeasuredImage],
    groups: Groups,
    rows: Sequence[np.ndarray],
    parameters: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return offsets, their derivatives by the parameters, and their covariances."""
    n = len(groups.star)
    offset, by, covariance = np.zeros((n, 2)), np.zeros((n, 2, 6)), np.zeros((n, 2, 2))
    for image, own, at in zip(images, rows, parameters, strict=True):
        chosen = groups.row[own]
        v2, v3 = image.v2[chosen], image.v3[chosen]
        moved = corrected_v2v3(correction_of(at), image.attitude, v2, v3)
        place = groups.place[own]
        offset[own] = tangent_offsets(telescope_vectors(image.attitude, *moved), place)
        on_sky = sky_jacobian(image.attitude, *moved, place)
        by[own] = on_sky @ parameter_jacobian(image.attitude, v2, v3)
        covariance[own] = on_sky @ image.covariance[chosen] @ on_sky.transpose(0, 2, 1)
    return offset, by, covariance


def _n_measured(groups: Groups, used: np.ndarray, references: np.ndarray) -> np.ndarray:
    """Count the measurements of each star, the catalogue's included, (s,)."""
    return np.bincount(groups.star[used], minlength=groups.n_stars) + references


def _freedom(
    groups: Groups,
    kept: np.ndarray,
    references: np.ndarray,
    out: np.ndarray,
    options: Mapping[str, Any],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the measurements that take part, the free parameters, and the images left out."""
    while True:
        used = kept & ~out[groups.image]
        used &= _n_measured(groups, used, references)[groups.star] >= 2
        n_stars = np.bincount(groups.image[used], minlength=len(out))
        poor = (n_stars < options["minimum_stars"]) & ~out
        if not poor.any():
            break
        out = out | poor
    n_free = np.select(
        [out, n_stars >= options["affine_stars"], n_stars >= options["turn_stars"]], [0, 6, 3], 2
    )
    return used, np.arange(6) < n_free[:, None], out


def _bound(
    groups: Groups, used: np.ndarray, references: np.ndarray, n_images: int, minimum: int
) -> np.ndarray:
    """Tell which images hang together with at least `minimum` reference stars, (m,)."""
    ones = np.ones(int(used.sum()), bool)
    n = n_images + groups.n_stars
    graph = coo_array((ones, (groups.image[used], n_images + groups.star[used])), shape=(n, n))
    n_parts, part = connected_components(graph, directed=False)
    count = np.bincount(part[n_images:][references], minlength=n_parts)
    return np.asarray(count[part[:n_images]] >= minimum)


def _any_image(groups: Groups, used: np.ndarray) -> np.ndarray:
    """Return an image of each star, one in which its measurement takes part if there is one."""
    image = np.zeros(groups.n_stars, int)
    image[groups.star] = groups.image
    image[groups.star[used]] = groups.image[used]
    return image


def _tested(
    groups: Groups,
    step: Step,
    covariance: np.ndarray,
    reference_covariance: np.ndarray,
    used: np.ndarray,
    references: np.ndarray,
    kept: tuple[np.ndarray, np.ndarray],
    clip: float,
    may_return: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """Return which measurements and reference stars are kept in the next round."""
    n = len(groups.star)
    deviation = deviations(step.residual, covariance, step.covariance[groups.star], used)
    of_reference = deviations(-step.position, reference_covariance, step.covariance, references)
    # The catalogue is one more image.
    owner = np.concatenate([groups.image, np.full(groups.n_stars, groups.image.max() + 1)])
    star = np.concatenate([groups.star, np.arange(groups.n_stars)])
    both = np.concatenate([deviation, of_reference])
    taking_part = np.concatenate([used, references])
    was_kept = np.concatenate(kept)
    excess = both / limits(both, taking_part, owner, clip)
    worst = worst_of_each(np.where(taking_part, excess, 0.0), star)
    measured = step.covariance[star].any(axis=(1, 2))
    back = ~was_kept & measured & (excess <= 1) if may_return else np.zeros(len(both), bool)
    if may_return:
        back[n:] &= np.isfinite(groups.reference_covariance).all(axis=(1, 2))
    now = (was_kept & ~worst) | back
    return now[:n], now[n:]


def _excess(
    step: Step, covariance: np.ndarray, excess: float, groups: Groups, used: np.ndarray
) -> float:
    """Return the scatter that errors do not explain, from the measurements of this round."""
    expected = covariance[used] - step.covariance[groups.star[used]]
    redundant = np.linalg.det(expected) > 0.01 * np.linalg.det(covariance[used])
    own = covariance[used] - excess**2 * np.eye(2)
    share = expected[redundant] @ np.linalg.inv(covariance[used][redundant])
    # Residuals are smaller than errors by the share that the star took up.
    scale = np.sqrt(np.trace(share, axis1=1, axis2=2) / 2)
    return excess_scatter(step.residual[used][redundant] / scale[:, None], own[redundant])

"""The eliminated sparse system has the solution of the whole dense one."""

import numpy as np
import pytest

from tessella.astrometry import joint_solve
from tessella.astrometry.joint_solve import Equations, solve

PRIOR = np.array([1000.0, 1000.0, 20.0, 10.0, 10.0, 10.0])


def equations(rng, n_images=4, n_stars=30):
    pairs = [(k, i) for k in range(n_images) for i in range(n_stars) if rng.random() < 0.7]
    image, star = np.array(pairs).T
    n = len(image)
    root = rng.standard_normal((n, 2, 2)) + 2 * np.eye(2)
    known = np.zeros((n_stars, 2, 2))
    known[:10] = 0.25 * np.eye(2)
    return Equations(
        image, star, rng.standard_normal((n, 2)), rng.standard_normal((n, 2, 6)),
        root @ root.transpose(0, 2, 1), known,
    )  # fmt: skip


def dense(problem, start, is_free):
    """Solve by least squares of all unknowns; return parameters and positions."""
    n, m, s = len(problem.image), len(start), len(problem.reference_weight)
    rows, right = [], []
    for j in range(n):
        whiten = np.linalg.cholesky(problem.weight[j]).T
        row = np.zeros((2, 6 * m + 2 * s))
        row[:, 6 * problem.image[j] :][:, :6] = problem.by_parameters[j]
        row[:, 6 * m + 2 * problem.star[j] :][:, :2] = -np.eye(2)
        rows.append(whiten @ row)
        right.append(-whiten @ problem.offset[j])
    for i in np.flatnonzero(problem.reference_weight.any(axis=(1, 2))):
        row = np.zeros((2, 6 * m + 2 * s))
        row[:, 6 * m + 2 * i :][:, :2] = np.sqrt(problem.reference_weight[i])
        rows.append(row)
        right.append(np.zeros(2))
    prior = np.zeros((6 * m, 6 * m + 2 * s))
    prior[:, : 6 * m] = np.diag(np.tile(1 / PRIOR, m))
    rows.append(prior)
    right.append(-(start / PRIOR).ravel())
    used = np.concatenate([is_free.ravel(), np.ones(2 * s, bool)])
    found = np.zeros(6 * m + 2 * s)
    found[used] = np.linalg.lstsq(np.vstack(rows)[:, used], np.concatenate(right), rcond=None)[0]
    return found[: 6 * m].reshape(m, 6), found[6 * m :].reshape(s, 2)


@pytest.mark.parametrize("many", [0.0, 2.0])
def test_equal_to_the_dense_solution(monkeypatch, many):
    # All of these images overlap: with a limit above 1 their system counts as sparse.
    monkeypatch.setattr(joint_solve, "_MANY_OVERLAPS", many)
    rng = np.random.default_rng(2)
    problem, start = equations(rng), rng.standard_normal((4, 6))
    is_free = np.ones((4, 6), bool)
    is_free[1, 2:], is_free[2, 3:], is_free[3] = False, False, False
    found = solve(problem, start, PRIOR, is_free)
    parameters, position = dense(problem, start, is_free)
    # Condition numbers of some thousand, squared, times 1e-16.
    np.testing.assert_allclose(found.parameters, parameters, atol=1e-8)
    np.testing.assert_allclose(found.position, position, atol=1e-8)
    assert not found.parameters[3].any()
    moved = problem.offset + np.einsum(
        "nip,np->ni", problem.by_parameters, parameters[problem.image]
    )
    np.testing.assert_allclose(found.residual, moved - position[problem.star], atol=1e-8)


def test_weight_of_zero_leaves_a_measurement_out():
    rng = np.random.default_rng(3)
    problem = equations(rng)
    out = np.zeros(len(problem.star), bool)
    out[::7] = True
    problem.weight[out] = 0
    free, start = np.ones((4, 6), bool), np.zeros((4, 6))
    without = Equations(
        *(getattr(problem, name)[~out]
          for name in ("image", "star", "offset", "by_parameters", "weight")),
        problem.reference_weight,
    )  # fmt: skip
    first, second = solve(problem, start, PRIOR, free), solve(without, start, PRIOR, free)
    np.testing.assert_allclose(first.parameters, second.parameters, atol=1e-9)

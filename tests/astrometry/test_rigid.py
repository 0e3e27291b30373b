"""Shifts and turns: fitted with the errors of each pair, applied to a telescope as a whole."""

from dataclasses import replace

import numpy as np
import pytest

from tessella.astrometry.pair_votes import turned
from tessella.astrometry.rigid import (
    RigidFit,
    corrected,
    correction_between,
    fit_rigid,
    fit_without_outliers,
)
from tessella.astrometry.wcs import attitude_of, sky_to_v2v3, v2v3_to_sky

PIVOT = np.array([1300.0, -1000.0])


def test_rigid_motion_is_recovered():
    rng = np.random.default_rng(2)
    place = rng.uniform(-100, 100, (20, 2))
    moved = turned(place, 1e-4, PIVOT) + [0.3, -0.2]
    fit = fit_rigid(moved, place, np.tile(1e-4 * np.eye(2), (20, 1, 1)), PIVOT)
    np.testing.assert_allclose(fit.shift, [0.3, -0.2], atol=1e-9)
    assert fit.turn == pytest.approx(1e-4, rel=1e-6)
    np.testing.assert_allclose(fit.residuals, 0, atol=1e-10)


def test_errors_of_the_fit_are_those_of_least_squares():
    """With correlated errors that differ between stars, pulls of the shift are standard normal."""
    rng = np.random.default_rng(3)
    place = rng.uniform(-100, 100, (30, 2))
    root = rng.normal(0, 1e-3, (30, 2, 2)) * 10 ** rng.uniform(0, 1, (30, 1, 1))
    covariance = root @ root.transpose(0, 2, 1) + 1e-8 * np.eye(2)
    inverse = np.linalg.inv(covariance)
    arm = place - place.mean(axis=0)
    design = np.zeros((30, 2, 3))
    design[:, 0, 0] = design[:, 1, 1] = 1
    design[:, 0, 2], design[:, 1, 2] = -arm[:, 1], arm[:, 0]
    expected = np.linalg.inv(np.einsum("nai,nab,nbj->ij", design, inverse, design))
    pulls = []
    for _ in range(400):
        noise = np.linalg.cholesky(covariance) @ rng.standard_normal((30, 2, 1))
        fit = fit_rigid(place + noise[..., 0], place, covariance, place.mean(axis=0))
        pulls.append([*fit.shift, fit.turn] / np.sqrt(np.diag(expected)))
    # A standard deviation of 400 values is known to 3.5 %; four times that.
    np.testing.assert_allclose(np.std(pulls, axis=0), 1.0, atol=0.14)


def test_wrong_pairs_are_left_out():
    rng = np.random.default_rng(4)
    place = rng.uniform(-100, 100, (40, 2))
    moved = place + [0.05, 0.02] + 1e-3 * rng.standard_normal((40, 2))
    moved[:8] += rng.uniform(0.03, 0.1, (8, 2))
    kept, fit = fit_without_outliers(moved, place, np.tile(1e-6 * np.eye(2), (40, 1, 1)), PIVOT, 4)
    assert not kept[:8].any()
    # Two of 32 good pairs are beyond 2.6 sigma in two dimensions by expectation of one.
    assert kept[8:].sum() >= 30
    assert len(fit.residuals) == kept.sum()


@pytest.mark.parametrize("aberration", [1.0, 1.0001])
@pytest.mark.parametrize("dec", [-85.0, 0.0, 60.0])
def test_correction_moves_predictions_as_the_fit_says(dec, aberration):
    attitude = replace(attitude_of("WFI05", 40.0, dec, 70.0), aberration=aberration)
    fit = RigidFit(np.array([3.0, -2.0]), 1e-4, np.zeros((0, 2)))
    reference = np.array([attitude.v2_ref, attitude.v3_ref])
    moved = corrected(attitude, fit, PIVOT)
    sky = v2v3_to_sky(attitude, *reference)
    there = np.array(sky_to_v2v3(moved, *sky))
    # The plane is curved: 4 arcsec over 0.5 degrees from the pivot are off by 4e-5 of 4 arcsec;
    # the aberration, 1e-4, is that of the corrected place.
    np.testing.assert_allclose(there, fit.of(reference[None], PIVOT)[0], atol=1e-3)
    assert moved.aberration == aberration


def test_correction_is_told_from_two_attitudes():
    attitude = attitude_of("WFI05", 40.0, -60.0, 70.0)
    reference = np.array([attitude.v2_ref, attitude.v3_ref])
    fit = RigidFit(np.array([3.0, -2.0]), 5e-5, np.zeros((0, 2)))
    shift, turn = correction_between(attitude, corrected(attitude, fit, reference))
    np.testing.assert_allclose(shift, fit.shift, atol=1e-4)
    # The frame of V2 and V3 itself turns by sin(V3) of the shift in V2, 0.015 arcsec.
    assert turn == pytest.approx(np.degrees(5e-5) * 3600, abs=0.03)


def test_detectors_keep_their_places_to_each_other():
    first, second = (attitude_of(name, 40.0, 30.0, 10.0) for name in ("WFI01", "WFI12"))
    fit = RigidFit(np.array([20.0, -20.0]), 1e-3, np.zeros((0, 2)))
    point = v2v3_to_sky(first, 0.0, -700.0)
    np.testing.assert_allclose(point, v2v3_to_sky(second, 0.0, -700.0), atol=1e-9)
    moved = [v2v3_to_sky(corrected(one, fit, PIVOT), 0.0, -700.0) for one in (first, second)]
    np.testing.assert_allclose(*moved, atol=1e-9)

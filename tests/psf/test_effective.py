"""Effective PSFs between their samples."""

import numpy as np
import pytest

from tessella.psf.effective import EffectivePsf

AXIS = np.arange(-40, 41) / 4
PSF = EffectivePsf(np.exp(-((AXIS[:, None] - 0.2) ** 2 / 2 + AXIS**2 / 4.5)) / (2 * np.pi * 1.5), 4)


def exact(dx, dy):
    return np.exp(-((dy - 0.2) ** 2 / 2 + dx**2 / 4.5)) / (2 * np.pi * 1.5)


def test_values_are_those_of_the_sampled_function():
    dx, dy = np.random.default_rng(1).uniform(-5, 5, (2, 100))
    # Cubic spline of step h = 0.25: (5 / 384) h**4 f'''' = 5e-5 * 3 f.
    np.testing.assert_allclose(PSF.evaluate(dx, dy), exact(dx, dy), atol=2e-5)


def test_grid_is_the_same_as_points():
    dx, dy = np.linspace(-12, 12, 17), np.linspace(-3.3, 4.4, 9)
    np.testing.assert_allclose(PSF.evaluate_grid(dx, dy), PSF.evaluate(dx, dy[:, None]), atol=1e-15)
    for grid, points in zip(PSF.gradient_grid(dx, dy), PSF.gradient(dx, dy[:, None]), strict=True):
        np.testing.assert_allclose(grid, points, atol=1e-15)


def test_gradient_is_that_of_the_values():
    dx, dy = np.random.default_rng(2).uniform(-4, 4, (2, 50))
    by_x, by_y = PSF.gradient(dx, dy)
    step = 1e-4
    np.testing.assert_allclose(
        by_x, (PSF.evaluate(dx + step, dy) - PSF.evaluate(dx - step, dy)) / 2 / step, atol=1e-7
    )
    np.testing.assert_allclose(
        by_y, (PSF.evaluate(dx, dy + step) - PSF.evaluate(dx, dy - step)) / 2 / step, atol=1e-7
    )


def test_stamp_ends_in_zero():
    assert PSF.half_size == 10
    assert PSF.evaluate(10.01, 0.0) == 0
    assert not np.any(PSF.gradient(0.0, -10.01))


@pytest.mark.parametrize("shape", [(4, 4), (5, 7), (5,)])
def test_stamp_without_a_middle_is_refused(shape):
    with pytest.raises(ValueError, match="odd"):
        EffectivePsf(np.zeros(shape), 4)

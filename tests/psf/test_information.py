"""The bound of a position is what its definition says."""

import numpy as np
import pytest

from tessella.psf.effective import EffectivePsf
from tessella.psf.fit import fit_star
from tessella.psf.information import position_bound

AXIS = np.arange(-40, 41) / 8


def gaussian(sigma):
    return EffectivePsf(
        np.exp(-(AXIS[:, None] ** 2 + AXIS**2) / 2 / sigma**2) / (2 * np.pi * sigma**2), 8
    )


@pytest.mark.parametrize("sigma", [0.9, 1.1])
def test_gaussians_have_their_closed_form(sigma):
    bright, ratio = position_bound(gaussian(sigma), 0.2, -0.3, 1e9, 1e-3, 1.0, half_box=4)
    # Without sky s / (S/N): what is beyond 4 pixels is less than 1e-3 of a Gaussian.
    assert np.sqrt(bright[0, 0]) * ratio == pytest.approx(sigma, rel=0.01)
    assert np.sqrt(bright[1, 1]) * ratio == pytest.approx(sigma, rel=0.01)
    # In the sky's noise sqrt(2) s / (S/N), S/N = F / (2 sqrt(pi) s) for a variance of 1
    # (King 1983, PASP 95, 163, equation 7).
    faint, ratio = position_bound(gaussian(sigma), 0.0, 0.0, 1.0, 1.0, 0.0, half_box=4)
    assert ratio == pytest.approx(1 / (2 * np.sqrt(np.pi) * sigma), rel=0.01)
    assert np.sqrt(faint[0, 0]) * ratio == pytest.approx(np.sqrt(2) * sigma, rel=0.01)


def test_fit_reaches_it():
    rng = np.random.default_rng(5)
    psf, flux, variance = gaussian(0.9), 2000.0, 25.0
    axis = np.arange(-3, 4, dtype=float)
    model = flux * psf.evaluate_grid(axis - 0.3, axis + 0.1)
    bound, _ = position_bound(psf, 0.3, -0.1, flux, variance, 0.0)
    found = np.array(
        [
            fit_star(
                model + 5 * rng.standard_normal(model.shape), np.full(model.shape, 25.0), psf, 3, 3
            )[0][:2]
            for _ in range(400)
        ]
    )
    # 400 draws: 0.035 of a deviation, four times; the fit's own 1 % of model error is small here.
    assert found[:, 0].std() == pytest.approx(np.sqrt(bound[0, 0]), rel=0.14)
    assert found[:, 1].std() == pytest.approx(np.sqrt(bound[1, 1]), rel=0.14)

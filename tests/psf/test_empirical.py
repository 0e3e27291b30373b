"""The PSF of stars: the optical model moved to where they are, and no further than they ask."""

from dataclasses import replace

import numpy as np
import pytest

from tessella.detector.state import Blur
from tessella.psf.effective import EffectivePsf
from tessella.psf.empirical import LEAST_STARS, fit_psf
from tessella.psf.model import effective_psf, optical_psf
from tessella.psf.moments import adaptive_moments
from tessella.psf.optical_basis import PLACES, optical_basis, polynomial_terms
from tessella.psf.star_stamps import StarStamps

KERNEL = np.array([[0.21, 1.66, 0.22], [1.88, 91.59, 1.87], [0.21, 1.62, 0.20]])
KERNEL /= KERNEL.sum()
MODEL = Blur(8.0, 2.94)
#: Sky with dark current and read noise of a pixel [electrons^2], light of a star [electrons].
BACKGROUND, FLUX = 224.0, 1.5e5
HALF = 7


@pytest.fixture(scope="module")
def basis():
    return optical_basis("WFI01", "F158", MODEL, KERNEL, size_pixels=28)


def drawn(x, y, blur):
    """The optics at a place, on samples finer than those of the fit."""
    return EffectivePsf(effective_psf(optical_psf("WFI01", "F158", x, y, blur), KERNEL, 8, 24), 8)


def stars_of(psf_of, places, seed):
    """Stars with noise at random phases near places; `psf_of` gives the PSF of each."""
    rng = np.random.default_rng(seed)
    whole = np.clip(np.rint(places), HALF, 4087 - HALF).astype(int)
    at = whole + rng.uniform(-0.5, 0.5, whole.shape)
    axis = np.arange(-HALF, HALF + 1.0)
    data = np.array(
        [
            FLUX * psf_of(k).evaluate_grid(axis - dx, axis - dy) + BACKGROUND
            for k, (dx, dy) in enumerate(at - whole)
        ]
    )
    n = len(at)
    noisy = data + rng.normal(size=data.shape) * np.sqrt(data)
    guess = at + rng.normal(0, 0.1, at.shape)
    return StarStamps(
        data=noisy,
        variance=np.full(data.shape, BACKGROUND),
        signal_variance=np.ones(n),
        column=whole[:, 0] - HALF,
        row=whole[:, 1] - HALF,
        x=guess[:, 0],
        y=guess[:, 1],
        colour_nm=np.zeros(n),
        image=np.full(n, "a"),
    )


def shape_errors(psf, truth, places):
    """Relative size, e1 and e2 of a PSF less the truth, (n, 3)."""
    pairs = [
        (adaptive_moments(psf.at(*place)), adaptive_moments(true))
        for place, true in zip(places, truth, strict=True)
    ]
    return np.array([(a.size / b.size - 1, a.e1 - b.e1, a.e2 - b.e2) for a, b in pairs])


@pytest.fixture(scope="module")
def drifted(basis):
    """160 stars at eight places of a telescope out of focus that jitters more than the model."""
    places = np.random.default_rng(7).uniform(50, 4030, (8, 2))
    truth = [drawn(x, y, Blur(9.5, 2.94, 0.02)) for x, y in places]
    stars = stars_of(lambda k: truth[k % 8], np.tile(places, (20, 1)), 1)
    return stars, places, truth


def test_basis_follows_focus_and_jitter_of_the_optics(basis):
    state = np.zeros((4, 9))
    state[0], state[1], state[2] = -0.02, (12.0**2 - 8.0**2) / 110**2, (12.0**2 - 8.0**2) / 110**2
    here = basis.psf(state).at(*PLACES[1])
    expected = drawn(*PLACES[1], Blur(12.0, 2.94, -0.02))
    offsets = np.linspace(-5, 5, 41)
    seen, true = (psf.evaluate_grid(offsets, offsets) for psf in (here, expected))
    # The parabola through three states of focus, h = 0.04 apart, leaves
    # (2 pi 0.82)^3 d (h^2 - d^2) / 6 = 5e-4 of the amplitude at d = -0.02, twice that of the light;
    # spherical parts of the design raise it by half.
    assert np.abs(seen - true).max() < 1.5e-3 * true.max()
    blind = basis.psf(np.zeros((4, 9))).at(*PLACES[1]).evaluate_grid(offsets, offsets)
    assert np.abs(blind - true).max() > 4e-2 * true.max()


def test_modes_are_the_derivatives_of_the_image(basis):
    state = np.full((4, 9), 0.003)
    stamps, _ = basis.stamps(state)
    for k in range(4):
        step = np.zeros((4, 1))
        step[k] = 1e-4
        change = (basis.stamps(state + step)[0][0] - basis.stamps(state - step)[0][0]) / 2e-4
        np.testing.assert_allclose(stamps[1 + k], change, atol=1e-5 * np.abs(change).max())


def test_between_the_places_the_model_is_that_of_the_optics(basis):
    places = np.array([[1000.0, 3100.0], [3000.0, 900.0]])
    truth = [drawn(x, y, MODEL) for x, y in places]
    errors = shape_errors(basis.psf(np.zeros((4, 9))), truth, places)
    # A tenth of what bins must reach.
    assert np.abs(errors[:, 0]).max() < 1e-4
    assert np.abs(errors[:, 1:]).max() < 1e-4


def test_drifted_psf_is_found(basis, drifted):
    stars, places, truth = drifted
    fitted = fit_psf(stars, basis)
    found = fitted.quality
    assert (found.n_stars, found.n_rejected, found.order, found.free_form) == (160, 0, 0, 0.0)
    # 34,500 pixels: chi-squared per degree of freedom scatters by 0.0076.
    assert found.chisq == pytest.approx(1, abs=0.03)
    errors = shape_errors(fitted.psf, truth, places).mean(0)
    told = np.array([found.size_error / found.size, found.e1_error, found.e2_error])
    assert (np.abs(errors) < 4 * told).all()
    # 160 stars of a signal-to-noise of 350: 1 / 4400 of the size to within its factor of order 1.
    assert (told < 2 / 4400).all()
    still = shape_errors(basis.psf(np.zeros((4, 9))), truth, places).mean(0)
    assert abs(still[0]) > 8 * told[0]


def test_order_of_stars_does_not_move_a_bit(basis, drifted):
    stars = drifted[0].take(np.arange(60))
    there = fit_psf(stars, basis)
    back = fit_psf(stars.take(np.random.default_rng(2).permutation(60)), basis)
    np.testing.assert_array_equal(there.psf.stamps, back.psf.stamps)
    assert there.quality == back.quality


def test_stars_with_companions_and_cosmic_rays_do_no_harm(basis, drifted):
    stars = drifted[0]
    data = stars.data.copy()
    for k in range(0, 16):
        # A companion of a fifth of the light, two pixels away.
        data[k] += 0.2 * np.roll(stars.data[k] - BACKGROUND, 2, axis=1)
    data[16:32, 3, 4] += 2e4
    clean = fit_psf(stars.take(np.arange(32, 160)), basis)
    spoilt = fit_psf(replace(stars, data=data), basis)
    assert spoilt.quality.n_rejected >= 16
    moved = abs(spoilt.quality.size - clean.quality.size)
    assert moved < 3 * clean.quality.size_error


def test_change_over_the_detector_is_found_where_there_is_one(basis):
    coefficients = np.zeros((4, 6))
    coefficients[0, :2] = 0.01, 0.02
    truth = basis.psf(coefficients @ polynomial_terms(*PLACES.T).T)
    places = np.random.default_rng(3).uniform(20, 4060, (120, 2))
    psfs = [truth.at(*place) for place in places]
    fitted = fit_psf(stars_of(psfs.__getitem__, places, 4), basis)
    assert fitted.quality.order == 1
    errors = np.sqrt(np.diag(fitted.covariance)).reshape(4, 6)
    assert (np.abs(fitted.coefficients - coefficients)[:, :3] < 4.5 * errors[:, :3]).all()
    assert not fitted.coefficients[:, 3:].any()


def test_what_the_modes_cannot_follow_is_a_free_form(basis):
    model = basis.psf(np.zeros((4, 9)))
    axis = (np.arange(model.stamps.shape[-1]) - model.stamps.shape[-1] // 2) / 4
    peak = model.stamps[4].max()
    bump = 0.02 * peak * np.exp(-((axis[:, None] - 1) ** 2 + (axis - 1) ** 2) / (2 * 0.5**2))
    truth = replace(model, stamps=model.stamps + bump)
    places = np.random.default_rng(5).uniform(20, 4060, (120, 2))
    psfs = [truth.at(*place) for place in places]
    fitted = fit_psf(stars_of(psfs.__getitem__, places, 6), basis)
    assert 0.005 < fitted.quality.free_form < 0.03
    at = np.linspace(-2, 2, 17)
    seen, true, blind = (
        psf.at(2000.0, 2000.0).evaluate_grid(at, at) for psf in (fitted.psf, truth, model)
    )
    # Place and flux are the star's, not the PSF's: shapes are compared at their best fit.
    basis_of = np.stack([true, *EffectivePsf(truth.stamps[4], 4).gradient_grid(at, at)])
    left = [residual(values - true, basis_of) for values in (seen, blind)]
    assert left[0] < 0.25 * left[1]


def residual(difference, design):
    columns = design.reshape(len(design), -1).T
    solved = np.linalg.lstsq(columns, difference.ravel(), rcond=None)[0]
    return np.abs(difference.ravel() - columns @ solved).max()


def test_too_few_stars_are_refused(basis, drifted):
    with pytest.raises(ValueError, match=f"29 stars are left, it takes {LEAST_STARS}"):
        fit_psf(drifted[0].take(np.arange(29)), basis)


def test_stamps_larger_than_the_model_are_refused(basis, drifted):
    small = replace(basis, focus=basis.focus[..., 36:-36, 36:-36])
    small = replace(small, by_colour=basis.by_colour[..., 36:-36, 36:-36])
    with pytest.raises(ValueError, match="give smaller stamps"):
        fit_psf(drifted[0], small)

"""Coadds keep flux and surface brightness, and have the same bits however they are cut."""

from dataclasses import replace

import coadd_fields as fields
import exposures
import numpy as np
import pytest

from tessella import flags
from tessella.astrometry.tangent import pixel_to_sky
from tessella.coadd.tile import coadd_band, finish, noise_correlation, prepare
from tessella.models import Lattice, Window

SHAPE = fields.LATTICE.shape
ARRAYS = ("data", "var_poisson", "var_rnoise", "weight", "context", "exposure_time", "noise")
#: Part of the lattice that all dithers cover.
COVERED = np.s_[30:120, 30:130]


def coadd(inputs, lattice=fields.LATTICE, n_bands=1, search=fields.QUIET, pixfrac=1.0):
    edges = [lattice.ny * k // n_bands for k in range(n_bands + 1)]
    made = [
        coadd_band(inputs, lattice, first, end - first, pixfrac, *search)
        for first, end in zip(edges, edges[1:], strict=False)
    ]
    return finish(lattice, "F158", inputs, np.zeros(len(inputs)), made), made


def assert_same(first, second):
    for name in ("data", "err", "var_poisson", "var_rnoise", "weight", "context", "exposure_time"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name), err_msg=name)


def with_hits(inputs, seed=4):
    """Hits anywhere, near edges of bands and of the tile too."""
    rng = np.random.default_rng(seed)
    hit = []
    for item in inputs:
        data = item.data.copy()
        data[rng.integers(0, data.shape[0], 60), rng.integers(0, data.shape[1], 60)] += 5
        hit.append(replace(item, data=data))
    return hit


@pytest.mark.parametrize("n_bands", [2, 3, 7])
def test_bits_do_not_depend_on_the_number_of_bands(n_bands):
    inputs = with_hits(fields.dithered(flux=300.0))
    whole, _ = coadd(inputs, search=fields.SEARCH)
    cut, _ = coadd(inputs, n_bands=n_bands, search=fields.SEARCH)
    assert_same(whole, cut)
    np.testing.assert_array_equal(whole.noise_correlation, cut.noise_correlation)
    assert whole.meta["outliers"] == cut.meta["outliers"]
    assert min(whole.meta["outliers"]) > 20


@pytest.mark.parametrize(("dx", "dy"), [(0, 40), (37, 0), (25, 61)])
def test_tile_is_the_crop_of_a_larger_one(dx, dy):
    inputs = with_hits(fields.dithered(flux=300.0))
    small, _ = coadd(inputs, search=fields.SEARCH)
    ny, nx = SHAPE
    large = Lattice(30.0, 60.0, 2000.0 + dx, 1500.0 + dy, 0.055, nx + 2 * dx, ny + 2 * dy)
    whole, _ = coadd(fields.moved(inputs, dx, dy), large, search=fields.SEARCH)
    crop = np.s_[..., dy : dy + ny, dx : dx + nx]
    for name in ("data", "err", "weight", "context", "exposure_time"):
        np.testing.assert_array_equal(
            getattr(small, name), getattr(whole, name)[crop], err_msg=name
        )


def test_context_names_the_inputs_that_contribute_also_where_others_do_not_reach():
    inputs = fields.dithered(noise=False, n=3)
    # The first lies in the upper rows, the second in the lower ones only.
    inputs[0] = replace(inputs[0], places=inputs[0].places + [0, 150.0])
    inputs[1] = replace(inputs[1], places=inputs[1].places - [0, 150.0])
    whole, _ = coadd(inputs)
    for n_bands in (1, 5):
        made, _ = coadd(inputs, n_bands=n_bands)
        np.testing.assert_array_equal(made.context, whole.context)
    assert (whole.context[0, 75, 60:100] == 0b100).all()
    assert set(np.unique(whole.context[0, 140, 60:100])) == {0b101}
    assert set(np.unique(whole.context[0, 5, 60:100])) == {0b110}


def test_more_than_32_inputs_have_two_planes():
    item = fields.dithered(n=1, noise=False)[0]
    inputs = [
        replace(item, name=str(k), weight=item.weight * (k in (0, 31, 32, 39))) for k in range(40)
    ]
    made, _ = coadd(inputs)
    assert made.context.shape == (2, *SHAPE)
    assert made.context.dtype == np.uint32
    assert made.context[:, 70, 80].tolist() == [1 | 1 << 31, 1 | 1 << 7]


@pytest.mark.parametrize("pixfrac", [1.0, 0.7])
def test_constant_surface_brightness_is_kept(pixfrac):
    made, _ = coadd(fields.dithered(sky=3.7, noise=False), pixfrac=pixfrac)
    assert np.isfinite(made.data[COVERED]).all()
    np.testing.assert_allclose(made.data[np.isfinite(made.data)], 3.7, rtol=1e-5)


@pytest.mark.parametrize("pixfrac", [1.0, 0.7])
def test_flux_of_a_star_is_kept(pixfrac):
    made, _ = coadd(fields.dithered(flux=1000.0, noise=False), pixfrac=pixfrac)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    near = np.hypot(x - 80.3, y - 74.6) < 25
    # Weights are equal: the sum over a wide aperture is that of the inputs, up to single
    # precision and the sampling of a star of 0.8 detector pixels (its Fourier tail: 1e-5).
    assert made.data[near].sum() == pytest.approx(1000.0, rel=1e-3)
    # Small drops share out unevenly from pixel to pixel: a hundredth of a pixel.
    assert (made.data * x)[near].sum() / made.data[near].sum() == pytest.approx(80.3, abs=0.02)
    assert (made.data * y)[near].sum() / made.data[near].sum() == pytest.approx(74.6, abs=0.02)


def test_order_of_inputs_does_not_matter():
    inputs = with_hits(fields.dithered(flux=300.0))
    forth, _ = coadd(inputs, search=fields.SEARCH)
    back, _ = coadd(inputs[::-1], search=fields.SEARCH)
    # Sums in another order: single precision, times the number of terms.
    for name in ("data", "err", "weight", "exposure_time"):
        np.testing.assert_allclose(getattr(forth, name), getattr(back, name), rtol=1e-5, atol=1e-5)
    bits = np.array([int(f"{value:04b}"[::-1], 2) for value in range(16)], np.uint32)
    np.testing.assert_array_equal(bits[back.context[0]], forth.context[0])


def test_exposure_times_add_up():
    made, _ = coadd(fields.dithered(noise=False))
    # Four exposures of 50 s; drops of a turned image share out unevenly from pixel to pixel.
    assert made.exposure_time[COVERED].mean() == pytest.approx(200.0, rel=2e-3)
    assert (made.exposure_time[np.isnan(made.data)] == 0).all()


def test_place_without_inputs_is_unknown_and_weighs_nothing():
    inputs = [replace(item, places=item.places + [0, 60.0]) for item in fields.dithered()]
    made, _ = coadd(inputs)
    empty = made.weight == 0
    assert empty.any()
    for values in (made.data, made.err, made.var_poisson, made.var_rnoise):
        assert np.isnan(values[empty]).all()
        assert np.isfinite(values[~empty]).all()
    assert (made.context[:, empty] == 0).all()


def test_tile_beside_all_inputs_is_empty():
    made, _ = coadd(fields.moved(fields.dithered(), 1e4, 0))
    assert np.isnan(made.data).all()
    assert made.noise_correlation[6, 6] == 1
    assert made.noise_correlation.sum() == 1


def test_hole_in_one_input_is_filled_by_the_others():
    inputs = fields.dithered(sky=1.0, noise=False)
    weight = inputs[2].weight.copy()
    weight[30:50, 30:50] = 0
    inputs[2] = replace(inputs[2], weight=weight, data=np.where(weight > 0, inputs[2].data, 0.0))
    made, _ = coadd(inputs)
    np.testing.assert_allclose(made.data[COVERED], 1.0, rtol=1e-5)
    assert made.weight[COVERED].min() < 0.8 * np.median(made.weight[COVERED])


def apertures(values, radius, step=7):
    y, x = np.mgrid[-12:13, -12:13]
    inside = np.hypot(x, y) <= radius
    centres = [(a, b) for a in range(35, 115, step) for b in range(35, 125, step)]
    return inside, np.array(
        [values[a - 12 : a + 13, b - 12 : b + 13][inside].sum() for a, b in centres]
    )


@pytest.mark.parametrize("radius", [3.0, 6.0])
def test_noise_of_apertures_is_that_of_errors_and_correlation(radius):
    sums, predicted = [], []
    for seed in range(24):
        inputs = [replace(item, name=f"{item.name} {seed}") for item in fields.dithered(seed=seed)]
        made, _ = coadd(inputs)
        inside, found = apertures(made.data, radius)
        sums.append(found)
        place = np.argwhere(inside)
        reach = made.noise_correlation.shape[0] // 2
        offset = place[:, None] - place[None]
        near = np.abs(offset).max(axis=-1) <= reach
        factor = np.where(
            near, made.noise_correlation[tuple((np.clip(offset, -reach, reach) + reach).T)].T, 0
        ).sum()
        predicted.append(np.sqrt(factor * np.mean(made.err[COVERED] ** 2)))
    # 24 tiles of 156 apertures, of which about 2000 are independent: 1.6 %; 5 % is asked for.
    assert np.std(sums) == pytest.approx(np.mean(predicted), rel=0.05)


def test_white_noise_is_not_correlated():
    correlation = noise_correlation(np.random.default_rng(1).standard_normal((300, 300)))
    assert correlation[6, 6] == 1
    np.testing.assert_array_equal(correlation, correlation[::-1, ::-1])
    correlation[6, 6] = 0
    # 300 x 300 products: 1 / 300, five times.
    assert np.abs(correlation).max() < 5 / 300


def test_correlation_of_a_running_mean_is_its_overlap():
    noise = np.random.default_rng(1).standard_normal((300, 301))
    pair = (noise[:, 1:] + noise[:, :-1]) / np.sqrt(2)
    pair[40:60] = np.nan
    correlation = noise_correlation(pair)
    assert correlation[6, 7] == pytest.approx(0.5, abs=5 / 300)
    assert correlation[6, 8] == pytest.approx(0.0, abs=5 / 300)
    assert correlation[7, 6] == pytest.approx(0.0, abs=5 / 300)


def test_preparation_scales_weighs_and_leaves_out():
    window = Window(0, 0, 128, 128)
    lattice = Lattice(30.0, 60.0, 0.0, 0.0, 0.055, 300, 300)
    data = np.full(window.active_shape, 2.0)
    dq = np.zeros(data.shape, np.uint32)
    dq[5, 6], dq[7, 8] = flags.DO_NOT_USE, flags.JUMP_DET
    data[5, 6], data[9, 9] = 1e9, np.nan
    image = exposures.make_image(data, 0.2, window)
    bright = image.var_poisson.copy()
    bright[50, 50] = 100.0
    image = replace(image, dq=dq, var_poisson=bright)
    item = prepare("name", image, lambda x, y: pixel_to_sky(lattice, 2 * x, 2 * y), 57.0, lattice)
    assert item.data[0, 0] == pytest.approx(1.4)
    assert item.weight[0, 0] == pytest.approx(1 / (0.2 * 0.7) ** 2)
    # A bright source weighs as much as the sky: its own photons would bias its flux.
    assert item.weight[50, 50] == item.weight[0, 0]
    assert (item.weight[5, 6], item.data[5, 6]) == (0, 0)
    assert (item.weight[9, 9], item.data[9, 9]) == (0, 0)
    assert item.weight[7, 8] > 0
    assert item.area_ratio == pytest.approx(2.808e-13 / lattice.pixel_area_sr)


def test_image_without_a_good_pixel_weighs_nothing():
    window = Window(0, 0, 128, 128)
    lattice = Lattice(30.0, 60.0, 0.0, 0.0, 0.055, 300, 300)
    image = exposures.make_image(np.full(window.active_shape, np.nan), np.nan, window)
    item = prepare("name", image, lambda x, y: pixel_to_sky(lattice, 2 * x, 2 * y), 57.0, lattice)
    assert not item.weight.any()
    assert np.isfinite(item.data).all()

"""Sums of blocks: order, blocks, removal, flux, surface brightness, noise."""

from types import SimpleNamespace

import numpy as np
import pytest

from tessella.coadd.accumulate import QUANTA, REACH, Box, empty_sums
from tessella.coadd.block_sums import (
    Contribution,
    add_image,
    blocks_of,
    images_of,
    noise_correlation,
    renumbered,
    slots_in,
)
from tessella.coadd.places import Places
from tessella.photometry.noise import correlated_variance

AREA = Box(1000, -2000, 330, 300)
CELLS = np.array([[AREA.x0, AREA.y0, AREA.nx, AREA.ny]])
SHAPE = (310, 320)
TURNS = (0.0, 0.01, 0.5, 2.0)


def places_of(k, scale=2.0, shape=SHAPE):
    """Nodes of an image, turned and shifted, that covers the area and sticks out."""
    y, x = np.meshgrid(np.linspace(0, shape[0], 11), np.linspace(0, shape[1], 12), indexing="ij")
    u, v = scale * (x - shape[1] / 2), scale * (y - shape[0] / 2)
    if k % 2:
        u = -u
    c, s = np.cos(TURNS[k % 4]), np.sin(TURNS[k % 4])
    middle = AREA.x0 + AREA.nx / 2 + 1.37 * k, AREA.y0 + AREA.ny / 2 - 2.61 * k
    return Places(shape, np.stack([u * c - v * s + middle[0], u * s + v * c + middle[1]], -1), 0.0)


def image(k, data=None, sigma=0.1, scale=2.0, shape=SHAPE, clean=False):
    rng = np.random.default_rng(k)
    values = sigma * rng.standard_normal(shape) if data is None else data
    good = (rng.random(shape) > 0.01) | clean
    variance = np.full(shape, sigma**2 / 2, np.float32)
    rows = SimpleNamespace(
        data=np.where(good, values, 0).astype(np.float32), var_poisson=variance,
        var_rnoise=variance, good=good,
    )  # fmt: skip

    def read(first, stop):
        return SimpleNamespace(**{name: v[first:stop] for name, v in vars(rows).items()})

    outliers = np.sort(rng.choice(good.size, 0 if clean else 30, replace=False)).astype(np.int32)
    item = Contribution(
        f"image {k}", places_of(k, scale, shape), sigma**-2, 50.0 + k, 0.0, 0.0, 0.0, outliers, k
    )
    return item, read


def made(images, box=AREA, pixfrac=1.0):
    sums = empty_sums(box, 40)
    terms = np.zeros((*box.shape, 4), np.float32)
    products = {}
    for item, read in images:
        products[item.name] = add_image(sums, terms, item, read, pixfrac, CELLS)
    assert not terms.any()
    return sums, products


IMAGES = [image(k) for k in range(4)]


def test_order_does_not_matter():
    one, other = made(IMAGES)[0], made(IMAGES[::-1])[0]
    np.testing.assert_array_equal(one.planes, other.planes)
    np.testing.assert_array_equal(one.context, other.context)


@pytest.mark.parametrize("pixfrac", [1.0, 0.6])
@pytest.mark.parametrize("side", [64, 150, 333])
def test_blocks_are_crops_of_the_whole(side, pixfrac):
    whole, products = made(IMAGES, AREA, pixfrac)
    found = dict.fromkeys(products, 0)
    for block in blocks_of(AREA, 0, AREA.ny, side, side):
        sums, own = made(IMAGES, block, pixfrac)
        y, x = block.y0 - AREA.y0, block.x0 - AREA.x0
        crop = np.s_[:, y : y + block.ny, x : x + block.nx]
        np.testing.assert_array_equal(sums.planes, whole.planes[crop])
        np.testing.assert_array_equal(sums.context, whole.context[crop])
        found = {name: found[name] + own[name] for name in found}
    for name in found:
        np.testing.assert_array_equal(found[name], products[name])


def test_what_is_taken_out_was_never_there():
    sums, _ = made(IMAGES)
    item, read = IMAGES[1]
    add_image(sums, np.zeros((*AREA.shape, 4), np.float32), item, read, 1.0, CELLS, sign=-1)
    without, _ = made([IMAGES[0], *IMAGES[2:]])
    np.testing.assert_array_equal(sums.planes, without.planes)
    np.testing.assert_array_equal(sums.context, without.context)
    assert slots_in(sums.context) == {0, 2, 3}
    assert renumbered(sums.context, [0, 2, 3]).max() == 7


@pytest.mark.parametrize("pixfrac", [1.0, 0.7])
@pytest.mark.parametrize("scale", [0.6, 1.0, 2.0, 3.3])
def test_surface_brightness_is_kept_at_any_scale(scale, pixfrac):
    flat = [image(k, np.full(SHAPE, 3.7), scale=scale) for k in range(4)]
    data = images_of(made(flat, pixfrac=pixfrac)[0])["data"]
    assert np.isfinite(data).mean() > 0.1
    np.testing.assert_allclose(data[np.isfinite(data)], 3.7, rtol=1e-5)


@pytest.mark.parametrize("pixfrac", [1.0, 0.7])
def test_flux_of_a_star_is_kept(pixfrac):
    stars = []
    for k in range(4):
        x, y = np.moveaxis(places_of(k).centers(0, SHAPE[0]), -1, 0)
        r2 = (x - AREA.x0 - 150.3) ** 2 + (y - AREA.y0 - 140.8) ** 2
        # Wide enough that values at the centres of pixels are means over them to 1e-4 in sum.
        light = 1000 * np.exp(-r2 / 2 / 3.0**2) / (2 * np.pi * 3.0**2)
        stars.append(image(k, light, clean=True))
    data = images_of(made(stars, pixfrac=pixfrac)[0])["data"]
    y, x = np.mgrid[: AREA.ny, : AREA.nx]
    near = np.hypot(x - 150.3, y - 140.8) < 25
    assert data[near].sum() == pytest.approx(1000, rel=1e-3)


def test_weight_and_exposure_time_are_those_of_the_images_that_count():
    images = images_of(made([image(k, clean=True) for k in range(4)])[0])
    middle = np.s_[100:200, 100:200]
    assert np.median(images["weight"][middle]) == pytest.approx(4 * 100.0, rel=1e-5)
    assert np.median(images["exposure_time"][middle]) == pytest.approx(4 * 50 + 6, rel=1e-5)


def test_empty_block_is_unknown():
    far = Box(10**6, 0, 20, 30)
    sums, products = made(IMAGES, far)
    images = images_of(sums)
    assert np.isnan(images["data"]).all()
    assert np.isnan(images["err"]).all()
    assert not images["weight"].any()
    correlation = noise_correlation((100.0, p[0]) for p in products.values())
    assert correlation[REACH, REACH] == correlation.sum() == 1


def test_noise_of_apertures_is_predicted():
    ratios = {radius: [] for radius in (0.6, 2.0, 4.0, 8.0, 16.0)}
    for seed in range(6):
        images = [image(4 * seed + k, clean=True) for k in range(4)]
        sums, products = made(images)
        found = images_of(sums)
        correlation = noise_correlation((100.0, p[0]) for p in products.values())
        for radius, kept in ratios.items():
            n = int(radius)
            y, x = np.mgrid[-n : n + 1, -n : n + 1]
            inside = np.hypot(x, y) <= radius
            for a in range(20, 280, max(4, 2 * n)):
                for b in range(20, 310, max(4, 2 * n)):
                    part = np.s_[a - n : a + n + 1, b - n : b + n + 1]
                    variance = correlated_variance(found["err"][part] * inside, correlation)
                    kept.append(found["data"][part][inside].sum() / np.sqrt(variance))
    for radius, kept in ratios.items():
        # 6 fields; apertures side by side are independent but for their edges.
        n_independent = min(len(kept), 6 * 260 * 290 / 16)
        tolerance = 0.02 + 3 / np.sqrt(2 * n_independent)
        assert np.std(kept) == pytest.approx(1.0, abs=tolerance), radius


def test_sums_beyond_64_bits_are_refused():
    item, read = image(0, np.full(SHAPE, 1e15))
    with pytest.raises(ValueError, match="image 0: with it sums become larger"):
        made([(item, read)])


def test_noise_beyond_the_quanta_is_refused():
    with pytest.raises(ValueError, match="image 0: the noise of its sky is 1e\\+03 MJy / sr"):
        made([image(0, sigma=1000.0)])


def test_rounding_is_far_below_the_noise():
    sums = made([image(0, clean=True)])[0]
    # Noise of a sum of flux over its quantum: uniform rounding adds 1 / 12 of a quantum squared.
    noise = np.sqrt(100.0) / 2
    assert QUANTA[0] / np.sqrt(12) < 1e-4 * noise
    assert sums.planes[1].max() * QUANTA[1] == pytest.approx(100.0, rel=1e-6)


@pytest.mark.parametrize("sigma", [0.03, 1.0, 3.4])
def test_errors_are_known_wherever_an_image_counts(sigma):
    sums, _ = made([image(k, np.full(SHAPE, 3.7), sigma, clean=True) for k in range(4)])
    found = images_of(sums)
    counts = (sums.context != 0).any(axis=0)
    assert counts.mean() > 0.9
    for name in ("data", "err"):
        np.testing.assert_array_equal(np.isfinite(found[name]), counts)
    assert (found["err"][counts] > 0).all()
    # A pixel gives 256 quanta of variance at least, of which rounding of two terms takes one; its
    # flux is off by half a quantum of 1 / 262144, and its weight by half of 1 / 1048576, where the
    # least coverage is sigma / 16.
    np.testing.assert_allclose(
        found["data"][counts],
        3.7,
        rtol=2.0**-19 / (3.7 / 16 / sigma) + 2.0**-21 * 16 * sigma + 1e-6,
    )


def test_noisier_image_than_quanta_hold_is_refused():
    item, read = image(0, sigma=3.6)
    sums = empty_sums(AREA)
    with pytest.raises(ValueError, match=r"the noise of its sky is 3.6 MJy / sr"):
        add_image(sums, np.zeros((*AREA.shape, 4), np.float32), item, read, 1.0, CELLS)


@pytest.mark.parametrize("shape", [(16, 140), (140, 16)])
def test_thin_image_keeps_all_its_weight(shape):
    # Nodes lie closer along its short side.
    turned = image(2, shape=shape, clean=True)
    sums, _ = made([turned])
    pixels = shape[0] * shape[1]
    area = 4.0
    # What it covers to less than a thousandth is left out: no more than its outline.
    outline = 2 * (shape[0] + shape[1]) * 2
    weight = sums.planes[1].sum() * QUANTA[1]
    assert weight == pytest.approx(100.0 * pixels * area, abs=100.0 * outline / 1024)

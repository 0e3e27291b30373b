"""The kernel of drizzling, against the drizzle library and by hand."""

import numpy as np
import pytest
from drizzle.resample import Drizzle

from tessella.coadd.drizzle_kernel import drizzle_alone

SIZE = 90


def corners_of(n, scale, turn, mirrored):
    y, x = np.mgrid[: n + 1, : n + 1] - n / 2
    u, v = scale * x * (-1 if mirrored else 1), scale * y
    places = [
        u * np.cos(turn) - v * np.sin(turn) + 45.3,
        u * np.sin(turn) + v * np.cos(turn) + 43.7,
    ]
    return np.round(np.stack(places, axis=-1) * 2**20) / 2**20


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("pixfrac", [1.0, 0.5])
@pytest.mark.parametrize("turn", [0.0, 0.3, np.pi / 4, 2.0])
@pytest.mark.parametrize("scale", [0.4, 1.0, 2.0, 3.7])
def test_result_is_that_of_the_drizzle_library(scale, turn, pixfrac, mirrored):
    rng = np.random.default_rng(1)
    n = int(50 / scale)
    corners = corners_of(n, scale, turn, mirrored)
    values, weights = rng.normal(5, 1, (n, n)), rng.uniform(0.5, 1, (n, n))
    weights[3, 4] = 0
    mean, weight = drizzle_alone(values, weights, corners, (0, SIZE, 0, SIZE), 1, pixfrac)
    library = Drizzle(kernel="square", fillval="NaN", out_shape=(SIZE, SIZE), disable_ctx=True)
    library.add_image(
        values.astype(np.float32),
        exptime=1,
        pixmap=(corners[1:, 1:] + corners[:-1, 1:] + corners[1:, :-1] + corners[:-1, :-1]) / 4,
        weight_map=weights.astype(np.float32),
        pixfrac=pixfrac,
        pixel_scale_ratio=1 / scale,
        in_units="cps",
    )
    # The library divides weights by the area of the drop.
    drop = (scale * pixfrac) ** 2
    np.testing.assert_allclose(weight, library.out_wht * drop, atol=4e-6)
    # Single precision of sums, where the weight is not itself a rounding error of corners: 2e-7
    # of a pixel over 1e-2 of it, times differences of values of up to 8.
    known = weight > 1e-2
    assert known.sum() > 500
    np.testing.assert_allclose(mean[known], library.out_img[known], atol=1.6e-4 * drop**-0.5)


@pytest.mark.parametrize("mirrored", [False, True])
def test_areas_add_up_to_that_of_the_pixels(mirrored):
    corners = corners_of(17, 2.3, 0.7, mirrored)
    _, weight = drizzle_alone(np.ones((17, 17)), np.ones((17, 17)), corners, (0, 90, 0, 90))
    # 2^-20 of rounding along an outline of 4 x 17 x 2.3.
    assert weight.sum() == pytest.approx((17 * 2.3) ** 2, abs=160 * 2.0**-20)
    assert weight.max() == pytest.approx(1.0, abs=1e-9)


def test_part_of_the_lattice_is_the_crop_of_it():
    corners = corners_of(20, 2.0, 0.4, False)
    values = np.random.default_rng(2).normal(size=(20, 20))
    whole = drizzle_alone(values, np.ones((20, 20)), corners, (0, 90, 0, 90), 1, 0.8)
    part = drizzle_alone(values, np.ones((20, 20)), corners, (31, 60, 40, 55), 1, 0.8)
    for one, other in zip(whole, part, strict=True):
        np.testing.assert_array_equal(one[40:55, 31:60], other)


def test_larger_pixels_are_sums_of_small_ones():
    corners = corners_of(20, 2.0, 0.4, False)
    values = np.random.default_rng(2).normal(size=(20, 20))
    mean, weight = drizzle_alone(values, np.ones((20, 20)), corners, (0, 90, 0, 90))
    coarse, sums = drizzle_alone(values, np.ones((20, 20)), corners, (0, 45, 0, 45), 2)
    total = weight.reshape(45, 2, 45, 2).sum(axis=(1, 3))
    np.testing.assert_allclose(4 * sums, total, atol=1e-9)
    flux = (np.nan_to_num(mean) * weight).reshape(45, 2, 45, 2).sum(axis=(1, 3))
    np.testing.assert_allclose(np.nan_to_num(coarse * sums * 4), flux, atol=1e-8)

import numpy as np
import pytest
from catalog_fields import correlation, noise

from tessella.photometry.noise import correlated_variance, labelled_variance, variance_ratio
from tessella.randomness import generator


def test_variance_is_the_double_sum_over_all_pairs_of_pixels():
    amplitude = generator("test amplitudes").normal(size=(5, 6))
    rho = correlation()
    expected = sum(
        amplitude[y, x] * amplitude[v, u] * rho[2 + v - y, 2 + u - x]
        for y in range(5) for x in range(6) for v in range(5) for u in range(6)
        if abs(v - y) <= 2 and abs(u - x) <= 2
    )  # fmt: skip
    assert correlated_variance(amplitude, rho) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("shape", [(7, 9), (8, 6), (30, 31)])
def test_wide_correlations_give_the_double_sum_too(shape):
    amplitude = generator("test amplitudes", *shape).normal(size=(2, *shape))
    dy, dx = np.indices((13, 11)) - np.array([6, 5])[:, None, None]
    # Not symmetric in x and y, but in the offset, as every correlation is.
    rho = np.exp(-np.hypot(dy, dx) / 2) * np.cos(0.3 * dy + 0.5 * dx)
    lattice = np.zeros((2, *(2 * n for n in shape)))
    expected = np.zeros(2)
    lattice[:, : shape[0], : shape[1]] = amplitude
    for j in range(-6, 7):
        for i in range(-5, 6):
            moved = np.roll(lattice, (j, i), (1, 2))
            expected += rho[6 + j, 5 + i] * (lattice * moved).sum(axis=(1, 2))
    np.testing.assert_allclose(correlated_variance(amplitude, rho), expected, rtol=1e-10)


def test_variance_of_stacked_sums_is_that_of_each():
    amplitude = generator("test amplitudes").normal(size=(3, 7, 7))
    one_by_one = [correlated_variance(stamp, correlation()) for stamp in amplitude]
    np.testing.assert_allclose(correlated_variance(amplitude, correlation()), one_by_one)


def test_variance_of_segments_does_not_depend_on_their_surroundings():
    amplitude = np.abs(generator("test amplitudes").normal(size=(20, 20)))
    segments = np.zeros((20, 20), int)
    segments[2:6, 3:9], segments[6:9, 5:7], segments[15:, 18:] = 4, 7, 9
    expected = [
        correlated_variance(np.where(segments == label, amplitude, 0), correlation())
        for label in (4, 7, 9)
    ]
    found = labelled_variance(amplitude, segments, np.array([4, 7, 9]), correlation())
    np.testing.assert_allclose(found, expected)


def test_predicted_variance_is_that_of_drawn_sums():
    weights = np.outer([1, 2, 1], [1, 2, 3])
    image = noise((600, 600), 1.0, "sums")
    windows = np.lib.stride_tricks.sliding_window_view(image, (3, 3))[::6, ::6]
    sums = np.einsum("yxij,ij->yx", windows, weights)
    expected = variance_ratio(weights, correlation()) * np.sum(weights**2)
    # 9,801 nearly independent sums: the standard error of a variance is sqrt(2 / 9801) = 1.4 %.
    assert np.var(sums) == pytest.approx(expected, rel=0.05)

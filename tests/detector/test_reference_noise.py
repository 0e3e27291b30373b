"""Noise in read time, and what is learnt from it."""

import numpy as np
import pytest

from tessella.detector.reference_noise import (
    ROW_CLOCKS,
    Coefficients,
    coefficients_of_window,
    correlated_noise,
    frequency_bands,
    make_coefficients,
)
from tessella.models import Window


def read_time(noise, channel=0):
    """Return the series of an even channel without its padding, as rows of 128."""
    return noise[:, 128 * channel : 128 * (channel + 1)]


def power(ny, n_draws, exponent=1.0, seed=1):
    """Return the mean power of the frequencies slower than a row, [DN^2 per step]."""
    rng = np.random.default_rng(seed)
    window = Window(0, 0, 128, ny)
    total = 0.0
    for _ in range(n_draws):
        _, noise33 = correlated_noise(window, 2.0, 0.0, rng, rng, exponent)
        total = total + np.abs(np.fft.rfft(noise33.mean(axis=1))) ** 2
    return total / n_draws / ny**2 * 2


def test_root_mean_square_is_the_given_one():
    rng = np.random.default_rng(1)
    window = Window(0, 0, 128, 4096)
    draws = [correlated_noise(window, 3.0, 4.0, rng, rng)[0].astype(float) for _ in range(8)]
    measured = np.mean([np.mean(draw**2) for draw in draws])
    # Each frequency k has a power of 1 / k that scatters by itself: sqrt(sum 1/k^2) / sum 1/k.
    step = 1 / np.arange(1, 4096 * ROW_CLOCKS // 2 + 1)
    scatter = np.sqrt(np.sum(step**2)) / np.sum(step) / np.sqrt(8)
    assert measured == pytest.approx(3.0**2 + 4.0**2, rel=4 * scatter)


def test_parts_are_shared_as_they_should_be():
    window = Window(128, 0, 256, 256)
    rng = np.random.default_rng(1)
    noise, noise33 = correlated_noise(window, 2.0, 0.0, rng, rng)
    # The window starts with channel 1: it is read backwards.
    np.testing.assert_array_equal(noise[:, :128], noise33[:, ::-1])
    np.testing.assert_array_equal(noise[:, 128:], noise33)
    own, own33 = correlated_noise(window, 0.0, 2.0, rng, rng)
    series = [own[:, 127::-1], own[:, 128:], own33]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        correlation = np.corrcoef(series[one].ravel(), series[other].ravel())[0, 1]
        # 256 x 70 frequencies of power 1 / k: sqrt(sum 1/k^2) / sum 1/k is 0.12.
        assert abs(correlation) < 4 * 0.12


@pytest.mark.parametrize("exponent", [0.5, 1.0, 1.5])
def test_power_falls_with_frequency(exponent):
    n_draws = 40
    measured = power(512, n_draws, exponent)
    slow, fast = measured[4:8].mean(), measured[32:64].mean()
    step = np.arange(257.0)
    step[0] = np.inf
    expected = (step**-exponent)[4:8].mean() / (step**-exponent)[32:64].mean()
    # 4 and 32 frequencies of 40 draws, each of which scatters by itself.
    assert slow / fast == pytest.approx(expected, rel=4 * np.sqrt((1 / 4 + 1 / 32) / n_draws))


def test_window_has_the_power_of_the_detector_at_the_same_frequency():
    n_draws = 20
    short, long = power(512, n_draws), power(1024, n_draws, seed=2)
    # Two steps of the long read are one of the short one.
    pairs = long[16:64].reshape(24, 2).sum(axis=1)
    scatter = np.sqrt((1 / 24 + 1 / 48) / n_draws)
    assert short[8:32].sum() / pairs.sum() == pytest.approx(1, rel=4 * scatter + 0.03)


def test_no_noise_is_none_and_draws_repeat():
    window = Window(0, 0, 256, 128)

    def drawn(rms):
        return correlated_noise(window, rms, rms, *(np.random.default_rng(seed) for seed in (1, 2)))

    assert not any(part.any() for part in drawn(0))
    one, two = drawn(1), drawn(1)
    np.testing.assert_array_equal(one[0], two[0])
    assert one[0].dtype == one[1].dtype == np.float32


def complex_normal(rng, shape):
    return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)) / np.sqrt(2)


N_FREQUENCIES = 2001


def spectra(rng, n, signal, noises=(2.0, 2.0, 1.0), white=3.0, n_channels=2):
    """Draw a signal of some power a step, as the references and channels see it."""
    shared = np.sqrt(signal) * complex_normal(rng, (n, N_FREQUENCIES))
    seen = [shared + np.sqrt(m) * complex_normal(rng, shared.shape) for m in noises]
    for channel in range(n_channels):
        gain = 1 - 0.5 * channel
        yield (
            channel,
            gain * shared + np.sqrt(white) * complex_normal(rng, shared.shape),
            *seen,
        )


def predict(found, channel, left, right, amp33):
    return found.gamma[channel] * left + found.zeta[channel] * right + found.alpha[channel] * amp33


def test_weights_are_those_of_wiener():
    signal = np.full(N_FREQUENCIES, 4.0)
    found = make_coefficients(spectra(np.random.default_rng(1), 40, signal), 2)
    # Precisions 1/2, 1/2 and 1 of the references, and 1/4 of the signal.
    expected = np.array([0.5, 0.5, 1.0]) / (0.5 + 0.5 + 1.0 + 1 / 4.0)
    bands = frequency_bands(N_FREQUENCIES)
    wide = slice(200, None)
    # A band at step 200 has 15 steps of 40 resultants; a weight scatters by the square root of
    # what is left (3 + 0.45) over that number times the power of a reference beside the others.
    scatter = np.sqrt((3 + 0.45) / (15 * 40 * 1.0))
    assert bands[bands > 200][0] - bands[bands <= 200][-1] == 15
    for channel in range(2):
        for weights, value in zip((found.gamma, found.zeta, found.alpha), expected, strict=True):
            error = np.abs(weights[channel, wide] - value * (1 - 0.5 * channel))
            assert error.max() < 4 * scatter
            mean = weights[channel, wide].mean() / (1 - 0.5 * channel)
            # All bands together; the ridge of 1e-3 costs less than its size.
            assert abs(mean - value) < 4 * np.sqrt((12 + 0.45) / (1800 * 40)) + 1e-3


def test_what_is_predicted_lowers_the_noise_to_the_wiener_bound():
    signal = 400.0 / np.maximum(np.arange(N_FREQUENCIES), 1)
    found = make_coefficients(spectra(np.random.default_rng(1), 40, signal), 2)
    for channel, science, *seen in spectra(np.random.default_rng(2), 40, signal):
        after = np.mean(np.abs(science - predict(found, channel, *seen))[:, 1:] ** 2)
        bound = 3 + np.mean((1 - 0.5 * channel) ** 2 / (2 + 1 / signal[1:]))
        # 40 x 2000 terms that scatter by themselves; 1e-3 is called negligible of the variance,
        # and 3 weights of about 80 bands cost 3 / number each: 1e-2 at 4 steps, less beyond.
        before = np.mean(np.abs(science[:, 1:]) ** 2)
        assert after < bound * (1 + 4 / np.sqrt(40 * 2000) + 1e-2) + 1e-3 * before


@pytest.mark.parametrize("n", [2, 8])
def test_few_white_resultants_teach_next_to_nothing(n):
    nothing = np.zeros(N_FREQUENCIES)
    found = make_coefficients(spectra(np.random.default_rng(3), n, nothing), 2)
    for channel, science, *seen in spectra(np.random.default_rng(4), 40, nothing):
        after = np.mean(np.abs(science - predict(found, channel, *seen)) ** 2)
        # Bands that pass by chance are of few steps: 3 / (4 n) of at most 1 % of the steps.
        assert after < np.mean(np.abs(science) ** 2) * 1.002


def test_prediction_ends_where_nothing_is_left_to_predict():
    signal = np.where(np.arange(N_FREQUENCIES) < 300, 100.0, 0)
    found = make_coefficients(spectra(np.random.default_rng(1), 20, signal), 2)
    last = max(np.flatnonzero(w.any(axis=0)).max() for w in (found.gamma, found.zeta, found.alpha))
    # The band that holds step 300 is 25 wide; none is predicted by chance beyond its neighbour.
    assert 250 < last < 350


def test_reference_without_signal_gets_no_weight():
    rng = np.random.default_rng(1)
    signal = np.full(N_FREQUENCIES, 4.0)
    silent = [(c, s, a, b, 0 * x) for c, s, a, b, x in spectra(rng, 20, signal)]
    found = make_coefficients(silent, 2)
    assert not found.alpha.any()
    assert np.isfinite(found.gamma).all()
    assert found.gamma[0, 100:].real.min() > 0.2


def test_channel_that_is_missing_is_named():
    with pytest.raises(ValueError, match="none of channel 1"):
        make_coefficients(spectra(np.random.default_rng(1), 2, np.ones(2001), n_channels=1), 2)


def test_window_takes_the_weights_of_its_channels_at_its_frequencies():
    n = 4096 * 70 + 1
    weights = np.arange(n)[None, :] + 1e6 * np.arange(32)[:, None]
    part = coefficients_of_window(Coefficients(weights, weights, weights), Window(256, 0, 384, 512))
    assert part.alpha.shape == (3, 512 * 70 + 1)
    np.testing.assert_array_equal(part.alpha[1], 3e6 + 8 * np.arange(512 * 70 + 1))
    with pytest.raises(ValueError, match="a whole detector's is"):
        coefficients_of_window(part, Window(0, 0, 128, 128))

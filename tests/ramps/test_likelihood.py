"""Slopes: recovered without bias, with true errors, and equal to a dense least-squares fit."""

import numpy as np
import pytest

from tessella import flags
from tessella.instrument.read_patterns import read_patterns
from tessella.ramps.likelihood import fit_slopes
from tessella.ramps.timing import difference_timing

PATTERN = read_patterns()[3]
READS, FRAME = PATTERN.reads, PATTERN.frame_time
GAIN, NOISE = 2.0, 6.0
SEVERAL = np.array([len(reads) > 1 for reads in READS])
SIDE = 160
N = SIDE * SIDE


def ramps(rate, seed=1, n_pixels=N, hit_read=None, hit_electrons=0.0, reads=READS):
    """Averages of reads [DN] with photon and read noise, unrounded, (n_resultants, side, side)."""
    rng = np.random.default_rng(seed)
    n_reads = reads[-1][-1]
    electrons = np.cumsum(rng.poisson(rate * FRAME, (n_reads, n_pixels)), axis=0).astype(float)
    if hit_read is not None:
        electrons[hit_read - 1 :] += hit_electrons
    counts = 5000 + electrons / GAIN + NOISE * rng.standard_normal((n_reads, n_pixels))
    side = int(round(n_pixels**0.5))
    return np.stack([counts[[k - 1 for k in r]].mean(axis=0) for r in reads]).reshape(
        -1, side, side
    )


def fit(data, dq=None, gain=GAIN, threshold=None, noise=NOISE, several=SEVERAL):
    shape = data.shape[1:]
    dq = np.zeros(data.shape, np.uint8) if dq is None else dq
    maps = np.full(shape, gain, np.float32), np.full(shape, noise, np.float32)
    return fit_slopes(data, dq, *maps, difference_timing(READS, FRAME), several, threshold)


@pytest.mark.parametrize("rate", [0.1, 1.0, 10.0, 100.0, 1000.0])
def test_slope_and_error_are_recovered(rate):
    out = fit(ramps(rate))
    pull = (out.slope - rate / GAIN) / np.sqrt(out.var_poisson + out.var_rnoise)
    # The mean of N pulls is known to 1 / sqrt(N) = 0.006. Weights that follow the noise of their
    # own ramp bias slopes by at most the square of their relative error, that is, pulls by it once.
    relative = np.sqrt(np.mean(out.var_poisson + out.var_rnoise)) / (rate / GAIN)
    assert abs(pull.mean()) < 5 / np.sqrt(N) + min(relative, 0.1)
    assert pull.std() == pytest.approx(1, abs=0.05)
    # Unbiased in DN / s itself: 5 sigma of the mean, plus a tenth of an error.
    assert abs(out.slope.mean() - rate / GAIN) < out.slope.std() * (5 / np.sqrt(N) + 0.05)
    # Four differences, one slope: chi-squared of 3 degrees.
    assert out.chisq.mean() == pytest.approx(3, abs=5 * np.sqrt(6 / N) + 0.1)


def resultant_covariance(rate_dn):
    """Covariance of resultants [DN^2] from that of their reads."""
    times = FRAME * np.arange(1.0, READS[-1][-1] + 1)
    average = np.array([[(k in r) / len(r) for k in range(1, len(times) + 1)] for r in READS])
    reads = rate_dn / GAIN * np.minimum.outer(times, times) + NOISE**2 * np.eye(len(times))
    return average @ reads @ average.T, average @ times


def dense_fit(values, rate_dn, kept):
    """Slope, weights and chi-squared of the differences `kept`, by a dense generalised fit."""
    covariance, times = resultant_covariance(rate_dn)
    step = np.diff(np.eye(len(values)), axis=0)[kept]
    interval, difference = step @ times, step @ values
    inverse = np.linalg.inv(step @ covariance @ step.T)
    weights = (interval @ inverse) / (interval @ inverse @ interval)
    residual = difference - weights @ difference * interval
    return weights @ difference, weights @ step, residual @ inverse @ residual


def dense(values, kept=(0, 1, 2, 3), guess_from=None):
    """The fit as documented: weights by a first slope (its own by a median), errors by the last."""
    kept, guess_from = list(kept), list(guess_from or kept)
    scaled = np.diff(values) / np.diff(resultant_covariance(0.0)[1])
    first, _, _ = dense_fit(values, max(np.median(scaled[guess_from]), 0), kept)
    slope, weights, chisq = dense_fit(values, max(first, 0), kept)
    return slope, weights @ resultant_covariance(max(slope, 0))[0] @ weights, chisq


def error_of_a_jump(hit, rate_dn):
    """Error [DN] with which the best possible fit knows the height of a hit in read `hit`."""
    covariance, times = resultant_covariance(rate_dn)
    shape = np.array([np.mean([k >= hit for k in r]) for r in READS])
    step = np.diff(np.eye(len(READS)), axis=0)
    design = step @ np.column_stack([times, shape])
    return np.sqrt(
        np.linalg.inv(design.T @ np.linalg.inv(step @ covariance @ step.T) @ design)[1, 1]
    )


@pytest.mark.parametrize("rate", [0.5, 20.0, 800.0])
def test_fit_equals_a_dense_one(rate):
    data = ramps(rate, seed=3, n_pixels=9)
    out = fit(data)
    for y, x in np.ndindex(3, 3):
        slope, variance, chisq = dense(data[:, y, x])
        assert out.slope[y, x] == pytest.approx(slope, rel=1e-9, abs=1e-12)
        assert out.var_poisson[y, x] + out.var_rnoise[y, x] == pytest.approx(variance, rel=1e-9)
        assert out.chisq[y, x] == pytest.approx(chisq, rel=1e-9)


@pytest.mark.parametrize("hit", [2, 4, 18])
def test_best_single_omission_equals_a_dense_one(hit):
    data = ramps(20.0, seed=4, n_pixels=9, hit_read=hit, hit_electrons=2000.0)
    # Without resultants of several reads no two differences are left out together.
    out = fit(data, threshold=4.5, several=np.zeros(5, bool))
    every = [0, 1, 2, 3]
    for y, x in np.ndindex(3, 3):
        values = data[:, y, x]
        guess = max(np.median(np.diff(values) / np.diff(resultant_covariance(0.0)[1])), 0)
        chisq = [
            dense_fit(values, guess, [i for i in every if i != omitted])[2] for omitted in every
        ]
        best = int(np.argmin(chisq))
        slope, variance, left = dense(values, [i for i in every if i != best], guess_from=every)
        assert np.flatnonzero(out.resultant_dq[:, y, x] & flags.JUMP_DET).tolist() == [best + 1]
        assert out.slope[y, x] == pytest.approx(slope, rel=1e-9)
        assert out.var_poisson[y, x] + out.var_rnoise[y, x] == pytest.approx(variance, rel=1e-9)
        assert out.chisq[y, x] == pytest.approx(left, rel=1e-9)


def test_hit_within_a_resultant_frees_both_its_differences():
    data = ramps(20.0, seed=4, n_pixels=100, hit_read=14, hit_electrons=20000.0)
    out = fit(data, threshold=4.5)
    # Reads 10 to 17 are resultant 3; differences 2 and 3 are hit, 0 and 1 are good.
    assert ((out.resultant_dq & flags.JUMP_DET) != 0).sum(axis=0).tolist() == np.ones(
        (10, 10)
    ).tolist()
    assert (out.resultant_dq[3] == flags.JUMP_DET).all()
    slope, _, chisq = dense(data[:, 0, 0], [0, 1], guess_from=[0, 1, 2, 3])
    assert out.slope[0, 0] == pytest.approx(slope, rel=1e-9)
    assert out.chisq[0, 0] == pytest.approx(chisq, rel=1e-9)


@pytest.mark.parametrize("hit", [2, 4, 7, 10, 14, 18])
def test_jumps_of_ten_sigma_are_found_and_their_slopes_recovered(hit):
    rate = 5.0
    height = 10 * error_of_a_jump(hit, rate / GAIN)
    data = ramps(rate, seed=hit, hit_read=hit, hit_electrons=height * GAIN)
    out = fit(data, threshold=4.5)
    found = ((out.resultant_dq & flags.JUMP_DET) != 0).any(axis=0)
    assert found.mean() > 0.95
    error = np.sqrt(out.var_poisson + out.var_rnoise)
    pull = (out.slope - rate / GAIN)[found] / error[found]
    assert abs(np.median(pull)) < 0.25


@pytest.mark.parametrize("rate", [0.1, 1.0, 30.0, 1000.0])
def test_quiet_ramps_rarely_show_a_jump(rate):
    n = 300 * 300
    out = fit(ramps(rate, seed=11, n_pixels=n), threshold=4.5)
    found = ((out.resultant_dq & flags.JUMP_DET) != 0).any(axis=0).sum()
    # 2e-4 of the pixels, and three times the Poisson noise of that number.
    assert found < 2e-4 * n + 3 * np.sqrt(2e-4 * n)


@pytest.mark.parametrize("flag", [flags.DROPOUT, flags.SATURATED, flags.DO_NOT_USE])
def test_unusable_resultant_does_not_vote(flag):
    data = ramps(50.0, n_pixels=16)
    spoiled, dq = data.copy(), np.zeros(data.shape, np.uint8)
    spoiled[2] = 1e6
    dq[2] = flag
    out = fit(spoiled, dq, threshold=4.5)
    for y, x in np.ndindex(4, 4):
        slope, variance, _ = dense(data[:, y, x], [0, 3])
        assert out.slope[y, x] == pytest.approx(slope, rel=1e-9)
        assert out.var_poisson[y, x] + out.var_rnoise[y, x] == pytest.approx(variance, rel=1e-9)
    np.testing.assert_array_equal(out.resultant_dq, dq)


def test_not_a_number_in_one_resultant_does_not_vote():
    data = ramps(50.0, n_pixels=4)
    spoiled = data.copy()
    spoiled[4] = np.nan
    dq = np.zeros(data.shape, np.uint8)
    dq[4] = flags.SATURATED
    np.testing.assert_array_equal(fit(spoiled).slope, fit(data, dq).slope)


def test_without_two_neighbouring_good_resultants_nothing_is_known():
    data, dq = ramps(50.0, n_pixels=4), np.zeros((5, 2, 2), np.uint8)
    dq[[1, 3], 0, 0] = flags.DROPOUT
    out = fit(data, dq, threshold=4.5)
    for values in (out.slope, out.var_poisson, out.var_rnoise, out.chisq, out.dumo):
        assert np.isnan(values[0, 0])
        assert np.isfinite(values[1, 1])


@pytest.mark.parametrize(
    ("gain", "noise"), [(np.nan, 6.0), (0.0, 6.0), (-1.0, 6.0), (2.0, np.nan), (2.0, 0.0)]
)
def test_pixel_without_gain_or_noise_has_no_slope(gain, noise):
    assert np.isnan(fit(ramps(1.0, n_pixels=4), gain=gain, noise=noise).slope).all()


def test_uniform_slope_is_the_mean_of_the_scaled_differences():
    data = ramps(5.0, n_pixels=4)
    uniform = np.mean(
        np.diff(data, axis=0) / np.diff(resultant_covariance(0.0)[1])[:, None, None], axis=0
    )
    out = fit(data)
    np.testing.assert_allclose(out.dumo, uniform - out.slope, rtol=1e-10, atol=1e-12)


def test_threshold_that_nothing_reaches_finds_nothing():
    data = ramps(5.0, n_pixels=4, hit_read=6, hit_electrons=100.0)
    assert not fit(data, threshold=60.0).resultant_dq.any()


def test_read_pattern_of_another_length_is_refused():
    with pytest.raises(ValueError, match="4 resultants but its read pattern 5"):
        fit(ramps(1.0, n_pixels=4)[:4])


def test_inputs_stay_as_they_are():
    data, dq = ramps(5.0, n_pixels=4), np.zeros((5, 2, 2), np.uint8)
    before = data.copy()
    fit(data, dq, threshold=4.5)
    np.testing.assert_array_equal(data, before)
    assert not dq.any()

"""Drift of the readout channels, and noise that they share."""

import numpy as np
import pytest

from tessella.detector.readout import Accumulator, convert
from tessella.detector.reference_noise import (
    ROW_CLOCKS,
    Coefficients,
    correlated_noise,
    frequency_bands,
    make_coefficients,
)
from tessella.detector.reference_pixels import (
    _common_coefficients,
    measure_drift,
    subtract_drift,
)
from tessella.detector.reference_series import BorderPixels, border_pixels, dark_spectra
from tessella.models import Window

# A window of 256 rows and 4 channels.
WINDOW = Window(0, 0, 512, 256)
N = 8
WHITE, WHITE_REFERENCE = 5.0, 2.75


def exposure(seed, common=0.0, own=0.0, offsets=0.0, window=WINDOW, white=WHITE, noise_ratio=0.55):
    """Draw a dark ramp with its reference output; pixels have pedestals."""
    rng = np.random.default_rng(seed)
    ny, nx = window.shape
    sigma = np.full((ny, nx), white * noise_ratio)
    sigma[4:-4, 4:-4] = white
    pedestal, pedestal33 = rng.normal(5000, 50, (ny, nx)), rng.normal(5000, 50, (ny, 128))
    data, amp33 = np.empty((N, ny, nx), np.float32), np.empty((N, ny, 128), np.float32)
    for i in range(N):
        noise, noise33 = correlated_noise(window, common, own, rng, rng)
        levels = rng.normal(0, offsets, nx // 128 + 1)
        data[i] = pedestal + noise + sigma * rng.standard_normal((ny, nx))
        data[i] += np.repeat(levels[:-1], 128)
        amp33[i] = pedestal33 + noise33 + levels[-1]
        amp33[i] += white * noise_ratio * rng.standard_normal((ny, 128))
    return data, amp33


def border_of(data, amp33):
    return border_pixels(data, np.ones(data.shape, bool), amp33)


def variance(data):
    """Return the variance of active pixels about their mean over the resultants."""
    active = data[:, 4:-4, 4:-4].astype(float)
    return np.mean((active - active.mean(axis=0)) ** 2) * N / (N - 1)


def corrected(data, amp33, coefficients, **options):
    drift = measure_drift(border_of(data, amp33), coefficients, **options)
    return subtract_drift(data, drift, 0)


def flat_coefficients(window, gamma, zeta, alpha):
    shape = (window.nx // 128, window.ny * ROW_CLOCKS // 2 + 1)
    return Coefficients(*(np.full(shape, value, complex) for value in (gamma, zeta, alpha)))


@pytest.fixture(scope="module")
def trained():
    """Return coefficients learnt from six dark exposures with 3 DN of common noise."""

    def spectra():
        for seed in range(6):
            data, amp33 = exposure(100 + seed, common=3.0, own=0.3, offsets=2.0)
            yield from dark_spectra(data, border_of(data, amp33))

    return make_coefficients(spectra(), 4)


# Relative standard deviation of a variance: sqrt(2 / number), twice for two of them.
SAMPLING = 4 * np.sqrt(2 / (N * WINDOW.active_shape[0] * WINDOW.active_shape[1]))
# Variance that a line from 1024 reference pixels at the ends adds: 1 + 1/3 of that of their mean,
# as it is known as well as the mean at both ends and has half the variance in the middle.
LINE = 0.55**2 * (4 / 3) / 1024


@pytest.mark.parametrize("first_channel", [0, 1])
@pytest.mark.parametrize("with_coefficients", [False, True])
def test_lines_in_read_time_are_removed_exactly(first_channel, with_coefficients):
    rng = np.random.default_rng(4)
    level, slope = rng.normal(0, 3, (2, N, 4, 1, 1))
    time = (np.arange(256)[:, None] * ROW_CLOCKS + np.arange(128)) / (256 * ROW_CLOCKS)
    drift = level + slope * time
    for channel in range(4):
        if (channel + first_channel) % 2:
            drift[:, channel] = drift[:, channel, :, ::-1]
    drift = drift.swapaxes(1, 2).reshape(N, 256, 512)
    data = (1000 + drift).astype(np.float32)
    coefficients = flat_coefficients(WINDOW, 0.3, 0.3, 0.4) if with_coefficients else None
    out = corrected(data, np.full((N, 256, 128), 7.0), coefficients, first_channel=first_channel)
    # Counts of 1000 in float32 are known to 6e-5, and columns enter 140 / 4 times, with 0.6.
    expected = 1000 + drift.mean(axis=0)[None].repeat(N, 0)
    np.testing.assert_allclose(out, expected, atol=6e-5 * 35 * 0.6 if with_coefficients else 2e-4)


def test_border_alone_decides():
    data, amp33 = exposure(1, common=2.0, offsets=2.0)
    lit = data.copy()
    lit[:, 4:-4, 4:-4] += 500 * np.arange(N)[:, None, None]
    for coefficients in (None, flat_coefficients(WINDOW, 0.3, 0.3, 0.4)):
        np.testing.assert_array_equal(
            measure_drift(border_of(lit, amp33), coefficients).samples,
            measure_drift(border_of(data, amp33), coefficients).samples,
        )


@pytest.mark.parametrize("offsets", [0.0, 3.0])
@pytest.mark.parametrize("with_coefficients", [False, True])
def test_channel_offsets_go_and_white_noise_does_not_grow(offsets, with_coefficients):
    data, amp33 = exposure(1, offsets=offsets)
    quiet, _ = exposure(1)
    ours = None
    if with_coefficients:

        def spectra():
            for seed in range(6):
                dark = exposure(200 + seed, offsets=offsets)
                yield from dark_spectra(dark[0], border_of(*dark))

        ours = make_coefficients(spectra(), 4)
    after = variance(corrected(data, amp33, ours)) / variance(quiet)
    # The same draws of white noise: what the lines add, scattered as 32 lines are (a quarter),
    # three times; and 1e-3, the share that coefficients call negligible.
    assert after < 1 + 1.75 * LINE + (1e-3 if with_coefficients else 0)
    assert after < 1 + SAMPLING
    if offsets:
        # Offsets of 3 DN less the mean of the exposure: a variance of 9 with 28 degrees.
        assert variance(data) / variance(quiet) > 1 + (9 / 25) * (1 - 2 * np.sqrt(2 / 28))


def test_shared_noise_is_removed_as_far_as_the_references_tell(trained):
    data, amp33 = exposure(1, common=3.0, own=0.3, offsets=2.0)
    drift = measure_drift(border_of(data, amp33), trained)
    after = variance(subtract_drift(data, drift, 0))
    assert drift.scale.max() < 0.001
    # Wiener: what is left at a frequency of shared power C, seen with noise M, is C M / (C + M).
    # Here M is the noise of the reference output alone, so that it is an upper bound.
    clocks = 256 * ROW_CLOCKS
    step = np.arange(1, clocks // 2 + 1)
    whole = np.sum(1 / np.arange(1, 4096 * ROW_CLOCKS // 2 + 1))
    shared = 3.0**2 / whole / step
    noise = WHITE_REFERENCE**2 * 2 / clocks
    left = np.sum(shared * noise / (shared + noise))
    # Each channel's own noise stays, and half of it again is added at the ends; a tenth of what
    # Wiener leaves is granted to 48 resultants of training.
    own = 1.5 * 0.3**2 * np.sum(1 / step) / whole
    floor = WHITE**2 * (1 + LINE)
    assert after < (floor + 1.1 * left + own) * (1 + SAMPLING)
    assert after < 1.10**2 * WHITE**2
    assert variance(data) > 1.3 * WHITE**2


def test_trained_coefficients_do_no_harm_where_there_is_less_noise(trained):
    data, amp33 = exposure(1)
    # The noise of the references enters with their weights: below that of one of them alone,
    # low-passed; it is no part of the promise, but must be bounded.
    assert variance(corrected(data, amp33, trained)) < WHITE**2 * (1 + 0.55**2)


def test_without_coefficients_shared_noise_is_less_than_before():
    data, amp33 = exposure(1, common=3.0, own=0.3, offsets=2.0)
    lines_only = flat_coefficients(WINDOW, 0, 0, 0)
    before = variance(corrected(data, amp33, lines_only))
    after = variance(corrected(data, amp33, None))
    assert after < before - 0.25 * 3.0**2 * 0.5
    assert after < variance(data)


def test_slopes_that_are_noise_are_left_out():
    trend = measure_drift(border_of(*exposure(1)), None).trend
    # 32 lines; one in 370 passes 3 of its errors.
    assert np.count_nonzero(trend[..., 1]) <= 2


def test_border_does_not_learn_from_itself():
    data, amp33 = exposure(1)
    border = border_of(data, amp33)
    masked = data.copy()
    masked[:, :4] = masked[:, -4:] = masked[..., :4] = masked[..., -4:] = np.nan
    for one, other in zip(dark_spectra(data, border), dark_spectra(masked, border), strict=True):
        np.testing.assert_array_equal(one[1], other[1])


def brute_force(border, coefficients):
    """Evaluate the correction with whole transforms in double precision."""
    n, ny, _ = border.left.shape
    n_channels = border.bottom.shape[2] // 128
    time = np.arange(ny)[:, None] * ROW_CLOCKS + np.arange(ROW_CLOCKS)
    ends = np.r_[0:4, ny - 4 : ny]

    def centred(counts):
        return counts.astype(float) - counts.mean(axis=0, dtype=float)

    def lines(rows):
        x = time[ends, :128].ravel()
        return [np.polyval(np.polyfit(x, row.ravel(), 1), time) for row in rows]

    rows = centred(np.concatenate([border.bottom, border.top], axis=1))
    rows = rows.reshape(n, 8, n_channels, 128).swapaxes(1, 2)
    rows[:, 1::2] = rows[:, 1::2, :, ::-1]
    amp33 = centred(border.amp33)
    out = np.empty((n, ny, n_channels, 128))
    for i in range(n):
        trend = lines(rows[i])
        left, right, output = np.zeros((3, ny, ROW_CLOCKS))
        left[:, :4] = (centred(border.left)[i] - trend[0][:, :4]) * 35
        right[:, :4] = (centred(border.right)[i][:, ::-1] - trend[-1][:, :4]) * 35
        output[:, :128] = amp33[i] - lines(amp33[i, ends][None])[0][:, :128]
        output = interpolate_padding(output)
        spectra = [np.fft.rfft(one.ravel()) for one in (left, right, output)]
        for c in range(n_channels):
            weights = (coefficients.gamma[c], coefficients.zeta[c], coefficients.alpha[c])
            noise = np.fft.irfft(sum(w * s for w, s in zip(weights, spectra, strict=True)))
            line = (trend[c] + noise.reshape(ny, ROW_CLOCKS))[:, :128]
            out[i, :, c] = line[:, ::-1] if c % 2 else line
    return out.reshape(n, ny, -1)


def interpolate_padding(output):
    """Fill the padding as section 4.3 of the fact sheet says, with transforms."""
    series = output.ravel().copy()
    padding = (np.arange(series.size) % ROW_CLOCKS) >= 128
    window = np.sin(np.pi * np.arange(1, 32) / 32)
    filled = np.convolve(series, window, "same") / np.convolve(~padding, window, "same")
    series[padding] = filled[padding]
    low_pass = (1 + np.cos(2 * np.pi * np.arange(series.size // 2 + 1) / series.size)) / 2
    for _ in range(3):
        series[padding] = np.fft.irfft(low_pass * np.fft.rfft(series))[padding]
    return series


@pytest.mark.parametrize("highest", [256 * 70, 500])
def test_correction_is_the_published_one(highest):
    # With this seed no count is far enough from the others to be left out.
    data, amp33 = exposure(3, common=3.0, own=0.5, offsets=2.0)
    rng = np.random.default_rng(6)
    weights = rng.normal(0, 0.3, (3, 4, 256 * 70 + 1)) + 1j * rng.normal(0, 0.3, (3, 4, 17921))
    weights[..., highest + 1 :] = 0
    coefficients = Coefficients(*weights)
    drift = measure_drift(border_of(data, amp33), coefficients)
    expected = brute_force(border_of(data, amp33), coefficients)
    error = drift.rows(0, 256) - expected
    if highest == 500:
        # Straight lines between samples: at most (1 - cos(pi / 16)) of the highest frequency.
        assert drift.samples.shape[2] < 256 * ROW_CLOCKS
        assert np.abs(error).max() < 0.02 * np.abs(expected).max()
    else:
        # float32 transforms: 1e-7 of the sum of some thousand terms; and half a step.
        assert np.abs(error).max() < 2e-5 * np.abs(expected).max() + drift.scale.max()


def test_bias_of_the_integer_average_is_removed():
    rng = np.random.default_rng(8)
    reads = (1, 1, 2, 4, 8, 8)
    pedestal = rng.normal(3000, 30, (128, 512 + 128))
    data = []
    for n_reads in reads:
        memory = Accumulator(pedestal.shape)
        for _ in range(n_reads):
            memory.add(convert(pedestal + rng.standard_normal(pedestal.shape)))
        data.append(memory.average())
    data = np.array(data, np.float32)
    bias = np.array([-0.5 - 0.5 * (n - 1) / n for n in reads])

    def levels(counts):
        means = (counts[:, 4:-4, 4:508] - pedestal[4:-4, 4:508]).mean(axis=(1, 2))
        return means - means.mean()

    # 1 DN and the rounding, in 120 x 504 pixels and in the 4096 reference pixels of 4 channels.
    error = 4 * np.sqrt(1 + 1 / 12) * np.sqrt(1 / (120 * 504) + 1 / 4096)
    np.testing.assert_allclose(levels(data[..., :512]), bias - bias.mean(), atol=error)
    assert np.abs(bias - bias.mean()).max() > 3 * error
    out = corrected(data[..., :512], data[..., 512:], None)
    assert np.abs(levels(out)).max() < error


@pytest.mark.parametrize("with_coefficients", [False, True])
def test_unusable_counts_take_no_part(with_coefficients, trained):
    data, amp33 = exposure(1, common=1.0, offsets=2.0)
    coefficients = trained if with_coefficients else None
    rng = np.random.default_rng(3)
    usable, usable33 = rng.random(data.shape) > 0.05, rng.random(amp33.shape) > 0.05
    # A bad reference pixel, a lost resultant, and a lost packet of rows.
    usable[:, 2, 7] = usable[3] = usable33[3] = usable[5, :40] = usable33[5, :40] = False
    drifts = []
    for value in (0.0, 60000.0):
        damaged, damaged33 = np.where(usable, data, value), np.where(usable33, amp33, value)
        border = border_pixels(damaged, usable, damaged33, usable33)
        drift = measure_drift(border, coefficients)
        # One end does not make a slope.
        assert not drift.trend[5, :, 1].any()
        drifts.append(drift.rows(0, 256))
    np.testing.assert_array_equal(drifts[0], drifts[1])
    assert not drifts[0][3].any()
    # What is left decides nearly as well: 5 % fewer pixels; none of the others sees a step.
    whole = measure_drift(border_of(data, amp33), coefficients).rows(0, 256)
    kept = [0, 1, 2, 4, 6, 7]
    reference = whole[kept] - whole[[0, 1, 2, 4, 5, 6, 7]].mean(axis=0)
    assert np.sqrt(np.mean((drifts[0][kept] - reference) ** 2)) < 0.3


def test_offsets_are_compared_within_the_resultants_that_a_pixel_has():
    drift = np.random.default_rng(2).normal(0, 5, N)
    data = (1000 + np.arange(512) + drift[:, None, None] + np.zeros((1, 256, 1))).astype(np.float32)
    usable = np.ones(data.shape, bool)
    usable[2, :4] = usable[4, -4:] = False
    border = border_pixels(data, usable, data[..., :128])
    out = subtract_drift(data, measure_drift(border, None), 0)
    # Counts of 1500 in float32 are known to 1e-4, their differences to twice that.
    np.testing.assert_allclose(out, 1000 + np.arange(512) + drift.mean() + 0 * out, atol=4e-4)


def test_hits_on_references_do_not_count(trained):
    data, amp33 = exposure(1, common=1.0)
    hit, hit33 = data.copy(), amp33.copy()
    rng = np.random.default_rng(1)
    for array in (hit, hit33):
        array[2:, rng.integers(0, 256, 40), rng.integers(0, 128, 40)] += 3000
    hit[4, :3, 200:204] += 700
    for coefficients in (None, trained):
        clean = measure_drift(border_of(data, amp33), coefficients).rows(0, 256)
        after = measure_drift(border_of(hit, hit33), coefficients).rows(0, 256)
        # Twelve of 1024 pixels are lost in one line: 2.75 sqrt(12) / 1024 each; 40 gaps of amp33
        # are filled with what is near, wrong by its noise, of which a low pass leaves a tenth.
        assert np.sqrt(np.mean((after - clean) ** 2)) < 0.05


@pytest.mark.parametrize("with_coefficients", [False, True])
def test_neither_threads_nor_blocks_matter(with_coefficients, trained):
    data, amp33 = exposure(1, common=3.0, offsets=2.0)
    coefficients = trained if with_coefficients else None
    one = measure_drift(border_of(data, amp33), coefficients, workers=1)
    three = measure_drift(border_of(data, amp33), coefficients, workers=3)
    whole = subtract_drift(data, one, 0)
    blocks = [subtract_drift(data[:, r : r + 50], three, r) for r in range(0, 256, 50)]
    np.testing.assert_array_equal(np.concatenate(blocks, axis=1), whole)
    np.testing.assert_array_equal(data - whole, (data - whole).astype(np.float32))


def test_window_on_an_odd_channel_with_an_odd_number_of_them():
    window = Window(128, 0, 384, 256)
    data, amp33 = exposure(3, common=4.0, window=window)
    coefficients = flat_coefficients(window, 0.0, 0.0, 1.0)
    coefficients.alpha[:, 1000:] = 0
    out = corrected(data, amp33, coefficients, first_channel=1)
    wrong = corrected(data, amp33, coefficients, first_channel=0)
    # Frequencies below 1000 hold ln(1000) / 13.8 = 0.54 of 16 DN^2, and are common to all.
    assert variance(out) < variance(data) - 0.4 * 16
    assert variance(out) < variance(wrong)


def test_lost_and_single_resultants_are_left_alone():
    data, amp33 = exposure(1)
    nothing = np.zeros(data.shape, bool)
    border = border_pixels(data, nothing, amp33, False)
    for coefficients in (None, flat_coefficients(WINDOW, 0.3, 0.3, 0.4)):
        assert not measure_drift(border, coefficients).rows(0, 256).any()
    single = border_of(data[:1], amp33[:1])
    assert not measure_drift(single, None).rows(0, 256).any()


def test_border_that_reads_zero_invents_nothing():
    data, amp33 = np.zeros((N, 256, 512), np.float32), np.zeros((N, 256, 128), np.float32)
    for coefficients in (None, flat_coefficients(WINDOW, 0.3, 0.3, 0.4)):
        assert not measure_drift(border_of(data, amp33), coefficients).rows(0, 256).any()


def test_misfits_are_named():
    data, amp33 = exposure(1)
    with pytest.raises(ValueError, match=r"coefficients: their shape is \(2, 17921\)"):
        measure_drift(
            border_of(data, amp33), flat_coefficients(Window(0, 0, 256, 256), 0.0, 0.0, 0.0)
        )
    drift = measure_drift(border_of(data, amp33), None)
    with pytest.raises(ValueError, match="from row 250 is no part of"):
        subtract_drift(data[:, :10], drift, 250)


def test_border_is_cut_from_the_frame():
    data = np.arange(2 * 128 * 256, dtype=np.float32).reshape(2, 128, 256)
    usable = np.ones(data.shape, bool)
    usable[1, 127, 255] = False
    border = border_pixels(data, usable, data[..., :128])
    assert isinstance(border, BorderPixels)
    np.testing.assert_array_equal(border.left, data[..., :4])
    np.testing.assert_array_equal(border.bottom, data[:, :4])
    assert np.isnan(border.top[1, 3, 255])
    assert np.isnan(border.right[1, 127, 3])
    assert np.isnan(border.top).sum() == 1


def test_noise_of_resultants_of_few_reads_is_not_taken_for_shared():
    """Weighted frequency bands of pure noise are as rare as the test of them says."""
    rng = np.random.default_rng(17)
    sigma = WHITE_REFERENCE / np.sqrt([1, 1, 2, 4, 8, 8, 10, 12])
    n_bands = n_weighted = 0
    for _ in range(100):
        sides = rng.standard_normal((2, N, 512, 4)) * sigma[:, None, None]
        left, right = sides - sides.mean(axis=1, keepdims=True)
        weights = _common_coefficients(left, right).gamma[0]
        edges = frequency_bands(weights.size)
        values = weights[(edges[:-1] + edges[1:]) // 2]
        n_bands, n_weighted = n_bands + values.size, n_weighted + np.count_nonzero(values)
    # Three standard deviations on one side: 0.00135 of the bands, and 4.5 Poisson deviations.
    assert n_weighted < 0.00135 * n_bands + 4.5 * np.sqrt(0.00135 * n_bands) + 1

"""Drift of the readout channels."""

import numpy as np

from tessella.detector.reference_pixels import channel_levels, subtract_reference_pixels

EVERY = np.ones((4, 128, 256), bool)


def drifting(drift, sigma=0.0):
    rng = np.random.default_rng(3)
    data = (
        1000 + np.repeat(drift, 128, axis=1)[:, None, :] + sigma * rng.standard_normal(EVERY.shape)
    )
    return data.astype(np.float32)


def test_drift_is_removed_and_the_mean_level_kept():
    drift = np.array([[0.0, 4.0], [1.0, -2.0], [3.0, 0.0], [-4.0, 2.0]])
    out = subtract_reference_pixels(drifting(drift), EVERY)
    np.testing.assert_allclose(
        out, np.broadcast_to(1000 + np.repeat(drift.mean(axis=0), 128), EVERY.shape), atol=1e-3
    )
    assert out.dtype == np.float32


def test_light_on_active_pixels_does_not_matter():
    data = drifting(np.zeros((4, 2)))
    data[:, 4:-4, 4:-4] += 500 * np.arange(4)[:, None, None]
    np.testing.assert_array_equal(subtract_reference_pixels(data, EVERY), data)


def test_hit_reference_pixel_does_not_vote():
    data = drifting(np.zeros((4, 2)), sigma=3.0)
    quiet = channel_levels(data, EVERY)
    data[2, 1, 30:40] += 5000
    # Ten of 1024 pixels are lost: their share of 3 / sqrt(1024).
    np.testing.assert_allclose(channel_levels(data, EVERY), quiet, atol=0.05)


def test_level_is_known_to_its_noise():
    levels = channel_levels(drifting(np.zeros((4, 2)), sigma=4.0), EVERY)
    # 8 rows of 128 pixels: 4 / 32, four times.
    assert np.abs(levels - 1000).max() < 0.5


def test_lost_rows_leave_their_resultant_alone_and_correct_the_others():
    drift = np.array([[0.0, 1.0], [2.0, 0.0], [7.0, 0.0], [4.0, 0.0]])
    usable = EVERY.copy()
    usable[2, :4, :128] = usable[2, -4:, :128] = False
    data = drifting(drift)
    out = subtract_reference_pixels(data, usable)
    np.testing.assert_allclose(out[[0, 1, 3], :, :128], 1002, atol=1e-3)
    np.testing.assert_array_equal(out[2, :, :128], data[2, :, :128])


def test_channel_without_reference_pixels_is_unchanged():
    usable = EVERY.copy()
    usable[..., 128:] = False
    data = drifting(np.arange(8.0).reshape(4, 2))
    np.testing.assert_array_equal(
        subtract_reference_pixels(data, usable)[..., 128:], data[..., 128:]
    )


def test_border_without_signal_invents_nothing():
    data = np.zeros(EVERY.shape, np.float32)
    data[:, 4:-4, 4:-4] = 5000
    np.testing.assert_array_equal(subtract_reference_pixels(data, EVERY), data)

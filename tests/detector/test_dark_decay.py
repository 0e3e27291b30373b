"""Dark decay: what reads had added is taken from their means."""

import numpy as np
import pytest

from tessella.detector.dark_decay import dark_decay, dark_decay_of_read, subtract_dark_decay
from tessella.detector.readout_times import column_times, row_times
from tessella.models import Window

FRAME = 3.16247
READS = ((1,), (2,), (3, 4), (5, 6, 7, 8, 9), tuple(range(10, 18)))
WINDOW = Window(256, 1024, 512, 512)


def expose(amplitude, tau, detector, window, rng):
    """Return the mean errors of whole-numbered reads of 5 DN noise that show the decay."""
    pedestal = rng.normal(5000, 50, window.shape)
    resultants = []
    for reads in READS:
        total = np.zeros(window.shape)
        for read in reads:
            counts = pedestal + 5 * rng.standard_normal(window.shape)
            counts += dark_decay_of_read(read, amplitude, tau, detector, window, FRAME)
            total += np.floor(counts)
        # Rounding down costs half a count.
        resultants.append(total / len(reads) + 0.5 - pedestal)
    return np.stack(resultants).astype(np.float32)


@pytest.mark.parametrize(
    ("detector", "amplitude", "tau"), [("WFI01", 0.4, 23.0), ("WFI12", 0.7, 35.0)]
)
def test_injected_decay_is_removed(detector, amplitude, tau):
    window = Window(256, 1024, 1024, 1024)
    data = expose(amplitude, tau, detector, window, np.random.default_rng(4))
    after = subtract_dark_decay(data, amplitude, tau, READS, detector, window, FRAME)
    lit = np.s_[:, 4:-4, 4:-4]
    # The last reads are 12 frames after the first: exp(-38 / 23) = 0.19 is left of it.
    assert (np.median(data[lit], axis=(1, 2)) > 0.15 * amplitude).all()
    # The median of 1016 x 1016 pixels of 5 DN is known to 1.25 * 5 / 1016 = 0.006 DN; a third
    # of 5 %.
    left = np.abs(np.median(after[lit], axis=(1, 2)))
    assert (left < 0.05 * amplitude).all()
    assert (left < 0.1).all()


def test_factors_are_the_mean_over_reads_of_each_pixel():
    reads, tau = ((2, 3, 7),), 23.0
    time = row_times("WFI05", WINDOW, FRAME)[:, None] + column_times(WINDOW, FRAME)
    expected = np.mean(
        [0.4 * np.exp(-(time + (read - 1.5) * FRAME) / tau) for read in reads[0]], axis=0
    )
    resultants, rows, columns = dark_decay(0.4, tau, reads, "WFI05", WINDOW, FRAME)
    lit = np.s_[4:-4, 4:-4]
    # A product of four rounded factors.
    np.testing.assert_allclose(
        (resultants[0] * np.outer(rows, columns))[lit], expected[lit], rtol=1e-14
    )


def test_middle_of_the_first_read_has_the_amplitude():
    signal = dark_decay_of_read(1, 0.4, 23.0, "WFI18", Window(), FRAME)
    # Rows 2047 and 2048 are half a frame from its start but for half a guide window, 0.015 s.
    assert signal[2047:2049, 4:-4].mean() == pytest.approx(0.4, rel=1e-3)


def test_reference_pixels_do_not_show_it():
    signal = dark_decay_of_read(1, 0.4, 23.0, "WFI02", WINDOW, FRAME)
    border = np.ones(WINDOW.shape, bool)
    border[4:-4, 4:-4] = False
    assert not signal[border].any()
    assert (signal[~border] > 0).all()


def test_blocks_of_rows_give_the_same_bits():
    data = np.random.default_rng(2).normal(6000, 50, (5, *WINDOW.shape)).astype(np.float32)
    whole = subtract_dark_decay(data, 0.4, 23.0, READS, "WFI07", WINDOW, FRAME)
    for size in (1, 37, 128):
        parts = [
            subtract_dark_decay(
                data[:, first : first + size], 0.4, 23.0, READS, "WFI07", WINDOW, FRAME, first
            )
            for first in range(0, 512, size)
        ]
        np.testing.assert_array_equal(np.concatenate(parts, axis=1), whole)


def test_input_is_kept_and_nan_stays():
    data = np.full((5, 8, 512), 100, np.float32)
    data[2, 3, 100] = np.nan
    before = data.copy()
    after = subtract_dark_decay(data, 0.4, 23.0, READS, "WFI07", WINDOW, FRAME, 64)
    np.testing.assert_array_equal(data, before)
    np.testing.assert_array_equal(np.isnan(after), np.isnan(data))


@pytest.mark.parametrize(("amplitude", "tau"), [(np.nan, 23.0), (0.4, 0.0), (0.4, -1.0)])
def test_senseless_numbers_are_refused(amplitude, tau):
    with pytest.raises(ValueError, match="time constant"):
        dark_decay(amplitude, tau, READS, "WFI01", WINDOW, FRAME)


def test_block_of_another_pattern_is_refused():
    with pytest.raises(ValueError, match="read pattern has 5"):
        subtract_dark_decay(
            np.zeros((4, 8, 512), np.float32), 0.4, 23.0, READS, "WFI01", WINDOW, FRAME
        )

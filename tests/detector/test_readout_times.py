"""The clock of the readout, against one that ticks."""

import numpy as np
import pytest

from tessella.detector.readout_times import (
    GUIDE_WINDOW_STRIDE,
    IDLE_CLOCKS,
    PIXEL_TIME,
    column_times,
    row_times,
)
from tessella.models import Window

FRAME = 3.16247


def ticking_clock(channel):
    """Clocks at which one channel's pixels are read if guide windows take `None`: (4096, 128)."""
    clock, read, guide = 0, np.zeros((4096, 128)), np.zeros((4096, 128), int)
    n_guide = 0
    for row in range(4096):
        if row and row % GUIDE_WINDOW_STRIDE == 0:
            n_guide += 1
        order = range(128) if channel % 2 == 0 else range(127, -1, -1)
        for column in order:
            read[row, column] = clock
            clock += 1
        guide[row] = n_guide
        clock += IDLE_CLOCKS
    return read, guide, clock


@pytest.mark.parametrize("channel", [0, 1, 30, 31])
def test_times_are_those_of_a_ticking_clock(channel):
    read, guide, end = ticking_clock(channel)
    # The last row's idle clocks are not waited for before the last guide window.
    spare = FRAME / PIXEL_TIME - (end - IDLE_CLOCKS - 1)
    expected = PIXEL_TIME * (read + guide * spare / 16)
    window = Window(128 * channel, 0, 128, 4096)
    found = row_times("WFI03", window, FRAME, guide_window_weight=1.0)[:, None] + column_times(
        window, FRAME, guide_window_weight=1.0
    )
    # Sums of numbers up to 3 s in double precision.
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("weight", [1.0, 1.5])
def test_last_pixel_is_followed_by_one_guide_window(weight):
    rows = row_times("WFI18", Window(), FRAME, guide_window_weight=weight)
    columns = column_times(Window(), FRAME, guide_window_weight=weight)
    row = np.diff(rows).min()
    interruption = np.diff(rows).max() - row
    assert rows[-1] + columns.max() + interruption == pytest.approx(FRAME, rel=1e-12)
    # The science rows take 2.859 s, the rest is for 16 guide windows (fact 1.1); with a weight
    # of 1.5 their share is 1.5 times as large relative to that of the rows.
    assert interruption / row == pytest.approx(weight * 0.303 / 16 / (2.859 / 4096), rel=3e-3)


@pytest.mark.parametrize("detector", [f"WFI{n:02d}" for n in range(1, 19)])
def test_frame_of_the_sky_is_read_from_above_or_below(detector):
    upwards = int(detector[3:]) % 3 == 0
    times = row_times(detector, Window(), FRAME)
    assert (np.diff(times) > 0).all() == upwards
    assert (np.diff(times) < 0).all() != upwards
    interrupted = np.flatnonzero(np.abs(np.diff(times)) > 2 * np.abs(np.diff(times)).min())
    np.testing.assert_array_equal(interrupted, np.arange(1, 16) * 256 - 1)


def test_channels_turned_left_to_right_are_read_as_before():
    times = column_times(Window(), FRAME)
    np.testing.assert_array_equal(times, times[::-1])


@pytest.mark.parametrize("detector", ["WFI01", "WFI18"])
def test_windows_and_blocks_are_cut_outs_of_the_frame(detector):
    frame = row_times(detector, Window(), FRAME)
    window = Window(384, 640, 256, 512)
    np.testing.assert_array_equal(row_times(detector, window, FRAME), frame[640:1152])
    np.testing.assert_array_equal(row_times(detector, window, FRAME, 100, 7), frame[740:747])
    np.testing.assert_array_equal(
        column_times(window, FRAME), column_times(Window(), FRAME)[384:640]
    )


def test_frame_too_short_for_its_pixels_is_refused():
    with pytest.raises(ValueError, match="too short"):
        row_times("WFI01", Window(), 2.5)


def test_rows_outside_the_window_are_refused():
    with pytest.raises(ValueError, match="leave a window of 128 rows"):
        row_times("WFI01", Window(0, 0, 128, 128), FRAME, 120, 9)

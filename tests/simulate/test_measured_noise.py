"""Dark exposures are as noisy as those of the detectors in their thermal vacuum test."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tessella.config import load_state
from tessella.detector.state import draw_maps, drift_electrons
from tessella.instrument.performance import read_noise_electrons, total_noise_electrons
from tessella.instrument.read_patterns import ReadPattern
from tessella.models import BORDER, CHANNEL_WIDTH, ExposureKey, Window
from tessella.simulate.exposure import expose

STATE = replace(
    load_state(Path(__file__).parents[2] / "config" / "detectors", "simulated"),
    pixel_drift_electrons=None,
    # A large event in a small window is seen in most of its pixels.
    snowballs_per_cm2_s=0.0,
)
DETECTORS = [f"WFI{number:02d}" for number in range(1, 19)]
N_READS = 55
#: Each read is sent: as the darks were taken, 170 s from the first to the last.
PATTERN = ReadPattern(9999, "DARK", (1,) * N_READS, 170.0 / (N_READS - 1))
WINDOW = Window(1024, 1024, 256, 128)


def dark(detector, number):
    """Reads of a dark [electrons], the mean of each channel taken off as references do."""
    rate = np.zeros(WINDOW.active_shape)
    maps = draw_maps(STATE, detector, WINDOW)
    key = ExposureKey(1, 1, 1, 1, 1, 1, number)
    readout = expose(rate, maps, STATE, PATTERN, detector, key, 3, 4000, with_cosmic_rays=False)
    # What is sent is a difference from the reference read.
    reads = readout.data.astype(np.float64) + readout.reference_read - readout.encoding_offset
    channels = reads.reshape(N_READS, WINDOW.ny, -1, CHANNEL_WIDTH)
    channels -= np.median(channels, axis=(1, 3), keepdims=True)
    reads = channels.reshape(reads.shape)[:, BORDER:-BORDER, BORDER:-BORDER]
    return STATE.gain_electrons_per_dn * reads


def spread(values):
    """Standard deviation, without hot pixels."""
    low, middle, high = np.percentile(values, [15.9, 50, 84.1])
    return values[np.abs(values - middle) < 2.5 * (high - low)].std()


@pytest.mark.parametrize("detector", DETECTORS)
def test_noise_of_reads_and_of_slopes_is_the_measured_one(detector):
    one, two = dark(detector, 1), dark(detector, 2)
    # Converted counts are rounded: 1 / 12 DN^2 each.
    rounding = STATE.gain_electrons_per_dn**2 / 12
    cds = np.mean([spread(read) for read in np.diff(one, axis=0)[::6]])
    measured = np.sqrt(2) * read_noise_electrons(detector)
    assert np.sqrt(cds**2 - 2 * rounding) == pytest.approx(measured, rel=0.03)
    reads = np.arange(N_READS) - (N_READS - 1) / 2
    weights = reads / np.sum(reads**2) * (N_READS - 1)
    # Two darks: dark current differs from pixel to pixel. Of 29,760 pixels, to 0.6 %.
    total = spread(np.tensordot(weights, one - two, 1)) / np.sqrt(2)
    assert total == pytest.approx(total_noise_electrons(detector), rel=0.03)


def test_drift_is_what_noise_of_reads_and_dark_current_leave():
    assert drift_electrons(replace(STATE, pixel_drift_electrons=0.7), "WFI01") == 0.7
    steps = [drift_electrons(STATE, detector) for detector in DETECTORS]
    assert 0.1 < min(steps) <= max(steps) < 0.8

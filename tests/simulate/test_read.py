"""One read in one pass is what the modules of the detector make of it one after the other."""

from pathlib import Path

import numpy as np
import pytest

from tessella.config import load_state
from tessella.detector.converter import draw_converter
from tessella.detector.integral_nonlinearity import (
    N_COUNTS,
    apply_integral_nonlinearity,
    tabulate,
)
from tessella.detector.ipc import couple_pixels
from tessella.detector.linearity import apply_nonlinearity
from tessella.detector.readout import convert
from tessella.detector.saturation import clip_at_saturation
from tessella.detector.state import draw_maps, is_reference
from tessella.models import BORDER, Window
from tessella.simulate.read import read_pixels

STATE = load_state(Path(__file__).parents[2] / "config" / "detectors", "simulated")
WINDOW = Window(128, 256, 256, 128)
ACTIVE = np.s_[BORDER:-BORDER, BORDER:-BORDER]


@pytest.fixture(scope="module")
def told():
    rng = np.random.default_rng(3)
    maps = draw_maps(STATE, "WFI05", WINDOW)
    charge = np.zeros(WINDOW.shape, np.float32)
    # Dark to far beyond full wells.
    charge[ACTIVE] = rng.poisson(10 ** rng.uniform(0, 6, charge[ACTIVE].shape))
    added = (3 * rng.standard_normal(WINDOW.shape)).astype(np.float32)
    noise = rng.standard_normal(WINDOW.shape, np.float32)
    # Some counts are below zero, some above the converter's ceiling.
    added[60, 50:60], added[70, 50:60] = -9000, 90000
    offsets = np.repeat(np.float32([5.0, -7.0]), 128)
    table = tabulate(np.arange(N_COUNTS), draw_converter(STATE, "WFI05"))
    return charge, maps, np.array(STATE.ipc_kernel), offsets, added, noise, table


@pytest.mark.parametrize("is_straight", [True, False])
def test_read_is_what_its_parts_make(told, is_straight):
    charge, maps, kernel, offsets, added, noise, table = told
    correction = None if is_straight else table.correction
    read = read_pixels(charge, maps, kernel, offsets, added, noise, correction, True)
    shown = np.zeros_like(charge)
    shown[ACTIVE] = couple_pixels(np.minimum(charge, maps.full_well)[ACTIVE], kernel)
    counts = apply_nonlinearity(maps.pedestal + shown / maps.gain, maps.nonlinearity)
    counts = clip_at_saturation(counts, maps.saturation)
    counts += offsets + maps.read_noise * noise + added
    if not is_straight:
        counts = apply_integral_nonlinearity(counts, table, WINDOW.x)
    expected = convert(counts)
    # Single precision knows 50,000 counts to 0.004: some lie on either side of a whole number.
    differ = read != expected
    assert np.abs(read - expected).max() <= 1
    assert differ.mean() < 3e-3
    assert read.min() == 0
    assert read.max() == 65535


def test_reference_pixels_may_read_nothing(told):
    charge, maps, kernel, offsets, added, noise, _ = told
    read = read_pixels(charge, maps, kernel, offsets, added, noise, None, False)
    assert not read[is_reference(WINDOW)].any()
    assert read[ACTIVE].any()

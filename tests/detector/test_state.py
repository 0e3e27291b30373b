"""Maps of a detector."""

from dataclasses import replace

import exposures
import numpy as np
import pytest

from tessella.detector.converter import draw_converter
from tessella.detector.integral_nonlinearity import tabulate
from tessella.detector.state import draw_maps, is_reference
from tessella.models import Window


def test_window_shows_the_pixels_of_the_whole():
    large = draw_maps(exposures.STATE, "WFI01", Window(128, 0, 256, 256))
    small = draw_maps(exposures.STATE, "WFI01", Window(256, 128, 128, 128))
    inside = np.s_[132:-4, 132:-4]
    for name in (
        "gain",
        "dark",
        "pedestal",
        "saturation",
        "nonlinearity",
        "flat",
        "is_dead",
        "is_hot",
    ):
        np.testing.assert_array_equal(
            getattr(large, name)[inside], getattr(small, name)[4:-4, 4:-4]
        )


def test_detectors_and_seeds_differ(maps, state):
    assert (draw_maps(state, "WFI02", exposures.WINDOW).gain != maps.gain).mean() > 0.99
    assert (
        draw_maps(replace(state, maps_seed=5), "WFI01", exposures.WINDOW).gain != maps.gain
    ).mean() > 0.99


def test_border_sees_neither_light_nor_dark_current(maps):
    border = is_reference(exposures.WINDOW)
    assert border.sum() == 128**2 - 120**2
    assert (maps.flat[border] == 0).all()
    assert (maps.dark[border] == 0).all()
    assert not (maps.is_dead | maps.is_hot)[border].any()


def test_maps_have_the_numbers_of_the_state(maps, state):
    active = ~is_reference(exposures.WINDOW)
    # Medians of 14400 pixels: 1.25 sigma / 120, five times.
    for values, middle, scatter in (
        (maps.gain, 2.0, 0.01),
        (maps.read_noise, 6.0, 0.6),
        (maps.saturation, 52000, 1000),
        (maps.pedestal, 5000, 50),
    ):
        assert abs(np.median(values[active]) - middle) < 5 * 1.25 * scatter / 120
        assert values.dtype == np.float32
    assert (maps.dark[maps.is_hot] > 100 * np.median(maps.dark[active])).all()
    assert not (maps.is_dead & maps.is_hot).any()
    assert (maps.flat[maps.is_dead] == 0).all()


def test_reference_pixels_without_signal_have_no_noise(state):
    maps = draw_maps(replace(state, reference_pixel_noise_ratio=None), "WFI01", exposures.WINDOW)
    assert (maps.read_noise[is_reference(exposures.WINDOW)] == 0).all()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"dark_decay_s": 0.0}, "dark_decay_s is 0; it must be larger"),
        ({"correlated_noise_dn": -1.0}, "correlated_noise_dn is -1.0; it must be"),
        ({"snowballs_per_cm2_s": -1.0}, "snowballs_per_cm2_s is -1.0; it must be"),
        ({"wfi18_transient_s": (0.2, 0.0)}, r"wfi18_transient_s \(0.2, 0.0\); they must be finite"),
        ({"wfi18_transient_dn": (np.nan, 0.0)}, r"wfi18_transient_dn is \(nan, 0.0\)"),
        ({"integral_nonlinearity_period_dn": 100.0}, "period_dn is 100.0; it must be at least 24"),
    ],
)
def test_electronics_that_cannot_be_are_refused(state, changes, said):
    with pytest.raises(ValueError, match=said):
        replace(state, **changes)


def test_steepest_converter_that_is_allowed_can_be_corrected(state):
    steep = replace(state, integral_nonlinearity_dn=10.0, integral_nonlinearity_period_dn=240.0)
    tables = tabulate(np.arange(65536), draw_converter(steep, "WFI01"))
    assert 0.5 < tables.steepest.max() < 1


def test_converters_differ_and_a_straight_one_corrects_nothing(state):
    one, other = draw_converter(state, "WFI01"), draw_converter(state, "WFI02")
    assert one.shape == (32, 65536)
    assert np.abs(one).max() <= state.integral_nonlinearity_dn
    # Stripes: the channels of a detector differ by several DN at most counts.
    assert np.median(np.ptp(one, axis=0)) > state.integral_nonlinearity_dn
    assert np.abs(one - other).max() > state.integral_nonlinearity_dn / 2
    assert not draw_converter(replace(state, integral_nonlinearity_dn=0.0), "WFI01").any()

"""Maps of a detector."""

from dataclasses import replace

import exposures
import numpy as np

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

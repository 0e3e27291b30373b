"""References know the pixels as well as a calibration campaign would."""

from dataclasses import replace

import exposures
import numpy as np
import pytest

from tessella import flags
from tessella.astrometry.pixel_area import relative_pixel_area
from tessella.detector.linearity import apply_nonlinearity, linearize
from tessella.references.make import measure_flat, measure_maps, photometry_row

ACTIVE = np.s_[4:-4, 4:-4]


@pytest.fixture(scope="module")
def measured():
    maps = exposures.draw_maps(exposures.STATE, "WFI01", exposures.WINDOW)
    return maps, measure_maps(exposures.STATE, maps, "WFI01")


@pytest.mark.parametrize(
    ("reftype", "name", "error"), [("gain", "gain", 0.001), ("readnoise", "read_noise", 0.03)]
)
def test_maps_are_known_to_their_error(measured, reftype, name, error):
    maps, references = measured
    ratio = references[reftype]["data"] / getattr(maps, name)
    # 16384 pixels: 0.8 % of the error for the mean, 0.6 % for the deviation; five times.
    assert abs(ratio.mean() - 1) < 0.04 * error
    assert ratio.std() == pytest.approx(error, rel=0.03)


def test_dark_is_known_to_its_error_column(measured):
    maps, references = measured
    dark = references["dark"]
    pull = (dark["dark_slope"] - maps.dark / maps.gain) / dark["dark_slope_error"]
    assert pull[ACTIVE].std() == pytest.approx(1, rel=0.03)
    np.testing.assert_array_equal((dark["dq"] & flags.HOT) != 0, maps.is_hot)


def test_dead_pixels_are_in_the_mask(measured):
    maps, references = measured
    np.testing.assert_array_equal((references["mask"]["dq"] & flags.DEAD) != 0, maps.is_dead)


def test_linearity_undoes_the_detector_up_to_its_saturation(measured):
    maps, references = measured
    counts = 0.9 * maps.saturation[None].astype(np.float32)
    shown = apply_nonlinearity(counts, maps.nonlinearity)
    none = np.zeros(counts.shape, np.uint8)
    linear, dq = linearize(
        shown, none, np.zeros(counts.shape[1:], np.uint32), references["linearity"]["coeffs"]
    )
    # Its coefficient is known to 1 %: 0.01 * 4e-7 * 47000 = 2e-4 of the counts; five times.
    assert np.abs(linear / counts - 1).max() < 1.2e-3
    assert not dq.any()


def test_saturation_is_declared_before_pixels_stop_counting(measured):
    maps, references = measured
    assert (references["saturation"]["data"] < maps.saturation).all()


def test_flat_holds_response_gain_and_solid_angle(measured):
    maps, _ = measured
    flat = measure_flat(exposures.STATE, maps, "WFI01", "F158")
    expected = (
        maps.flat[ACTIVE] * relative_pixel_area("WFI01", exposures.WINDOW) * 2.0 / maps.gain[ACTIVE]
    )
    live = ~maps.is_dead[ACTIVE]
    pull = (flat["data"] - expected)[live] / flat["err"][live]
    assert pull.std() == pytest.approx(1, rel=0.03)
    assert (flat["data"][~live] == 0).all()
    assert (flat["dq"][~live] & flags.NO_FLAT_FIELD != 0).all()


def test_perfect_detector_has_perfect_references():
    perfect = dict.fromkeys(
        (
            "gain_scatter",
            "read_noise_scatter",
            "dark_scatter",
            "nonlinearity_per_dn",
            "flat_scatter",
        )
        + ("flat_error", "dead_pixel_fraction"),
        0.0,
    )
    state = replace(exposures.STATE, **perfect)
    maps = exposures.draw_maps(state, "WFI01", exposures.WINDOW)
    references = measure_maps(state, maps, "WFI01")
    assert (references["gain"]["data"] == 2.0).all()
    np.testing.assert_array_equal(references["dark"]["dark_slope"], maps.dark / maps.gain)
    flat = measure_flat(state, maps, "WFI01", "F158")["data"]
    np.testing.assert_allclose(flat, relative_pixel_area("WFI01", exposures.WINDOW), rtol=1e-6)


def test_zero_point_of_an_electron_is_that_of_the_table():
    row = photometry_row(exposures.STATE, "WFI01", "F158")
    jansky_per_electron = row["photmjsr"] * 1e6 * row["pixelareasr"] / 2.0
    # 26.323 of the mission's table.
    assert -2.5 * np.log10(jansky_per_electron / 3631) == pytest.approx(26.323, abs=1e-3)

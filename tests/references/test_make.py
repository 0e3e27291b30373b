"""References know the pixels as well as a calibration campaign would."""

from dataclasses import replace

import exposures
import numpy as np
import pytest

from tessella import flags
from tessella.astrometry.pixel_area import relative_pixel_area
from tessella.detector.converter import draw_converter
from tessella.detector.integral_nonlinearity import tabulate
from tessella.detector.linearity import apply_nonlinearity, apply_response, linearize
from tessella.detector.reference_noise import correlated_noise
from tessella.detector.reference_pixels import measure_drift, subtract_drift
from tessella.detector.reference_series import border_pixels
from tessella.models import Window
from tessella.references.make import (
    dark_decay_rows,
    measure_converter,
    measure_flat,
    measure_inverse_linearity,
    measure_maps,
    measure_noise_weights,
    photometry_row,
)

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
    known = getattr(maps, name)
    if reftype == "readnoise":
        # 1/f noise of 0.5 DN that all outputs share and 0.25 DN of each: new in every read.
        known = np.sqrt(known**2 + 0.5**2 + 0.25**2)
    ratio = references[reftype]["data"] / known
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
    linear, _, dq = linearize(
        shown,
        none,
        np.zeros(counts.shape[1:], np.uint32),
        references["linearity"]["coeffs"],
        None,
        ((1,),),
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


def test_inverse_linearity_undoes_linearity(measured):
    maps, references = measured
    inverse = measure_inverse_linearity(exposures.STATE, maps, "WFI01")
    assert inverse["coeffs"].dtype == np.float32
    linear = np.full(maps.window.shape, 40000.0)
    shown = apply_response(linear, inverse["coeffs"])
    polynomial = references["linearity"]["coeffs"].astype(float)
    back = sum(c * shown**power for power, c in enumerate(polynomial))
    # Five powers of b y = 4e-7 * 4e4, half again for scattered pixels: the sixth term leaves
    # 42 * 0.024**5 = 3e-7 of the counts; coefficients in single precision 6e-8 * 0.024 of them.
    np.testing.assert_allclose(back, linear, rtol=1e-6)
    assert not inverse["dq"].any()


def test_dark_decay_is_known_for_every_detector():
    rows = dark_decay_rows(exposures.STATE)
    assert sorted(rows) == [f"WFI{number:02d}" for number in range(1, 19)]
    for name, value in (("amplitude", 0.4), ("time_constant", 23.0)):
        ratio = np.array([row[name] for row in rows.values()]) / value - 1
        # Eighteen errors of 2 %: none beyond four of them, none twice; their scatter to 17 %.
        assert np.abs(ratio).max() < 0.08
        assert 0.3 < ratio.std() / 0.02 < 1.7
    off = dark_decay_rows(replace(exposures.STATE, dark_decay_dn=0.0))
    assert {row["amplitude"] for row in off.values()} == {0.0}
    assert all(row["time_constant"] > 0 for row in off.values())


def test_converter_is_known_to_its_error():
    table, true = (
        measure_converter(exposures.STATE, "WFI01"),
        draw_converter(exposures.STATE, "WFI01"),
    )
    assert (table["value"] == np.arange(65536)).all()
    # 1 % of at most 5 DN, four times; and not without error.
    error = np.abs(table["correction"] - true)
    assert 0.005 < error.max() < 4 * 0.01 * 5
    assert tabulate(table["value"], table["correction"]).steepest.max() < 0.02


def test_noise_weights_of_the_darks_quiet_another_dark():
    window = Window(0, 0, 512, 256)
    noisy = replace(
        exposures.STATE, correlated_noise_dn=20.0, channel_noise_dn=0.0, read_noise_scatter=0.0
    )
    maps = exposures.draw_maps(noisy, "WFI01", window)
    weights = measure_noise_weights(noisy, maps, "WFI01", n_exposures=6, n_reads=6)
    assert weights.alpha.shape == (4, 256 * 70 + 1)
    rng = np.random.default_rng(5)
    data, amp33 = np.empty((4, 256, 512), np.float32), np.empty((4, 256, 128), np.float32)
    for read in range(4):
        shared, shared33 = correlated_noise(window, 20.0, 0.0, rng, rng)
        data[read] = shared + maps.read_noise * rng.standard_normal(window.shape)
        amp33[read] = shared33 + 0.55 * 6 * rng.standard_normal(shared33.shape)
    border = border_pixels(data, np.ones(data.shape, bool), amp33)

    def left(coefficients):
        corrected = subtract_drift(data, measure_drift(border, coefficients, 0), 0)
        active = corrected[:, 4:-4, 4:-4]
        return ((active - active.mean(axis=0)) ** 2).mean() * 4 / 3 - 6.0**2

    # What the pixels show besides their own noise of 6 DN: with the weights less than a third.
    assert left(weights) < left(None) / 3

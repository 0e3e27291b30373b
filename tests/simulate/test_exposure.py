"""A simulated exposure: its noise, its rates and its quiet border are those that went in."""

from dataclasses import replace

import numpy as np
import pytest
from plain_detector import KERNEL, STATE, absolute

from tessella.detector.converter import draw_converter
from tessella.detector.dark_decay import dark_decay_of_read
from tessella.detector.reference_noise import correlated_noise
from tessella.detector.state import draw_maps, is_reference
from tessella.instrument.read_patterns import read_patterns
from tessella.models import ExposureKey, Window
from tessella.randomness import generator
from tessella.simulate.exposure import expose
from tessella.streams import normal_rows

WINDOW = Window(256, 128, 256, 256)
ACTIVE = np.s_[4:-4, 4:-4]
BORDER = is_reference(WINDOW)
KEY = ExposureKey(1, 1, 1, 1, 1, 1, 1)
PATTERN = read_patterns()[3]
N_ACTIVE = 248 * 248


def run(rate=0.0, state=STATE, key=KEY, detector="WFI01", cosmic_rays=False):
    light = np.broadcast_to(np.asarray(rate, float), WINDOW.active_shape)
    maps = draw_maps(state, detector, WINDOW)
    return expose(light, maps, state, PATTERN, detector, key, 7, 4000, with_cosmic_rays=cosmic_rays)


def test_noise_of_reads_is_that_of_the_maps():
    readout = run()
    last, reference = absolute(readout)[-1], readout.reference_read.astype(float)
    # 5 DN of noise and 1/12 of rounding; 61504 pixels know a deviation to 0.3 %: four times that.
    expected = np.sqrt(5.0**2 + 1 / 12)
    assert last[ACTIVE].std() == pytest.approx(expected, rel=0.012)
    assert reference[ACTIVE].std() == pytest.approx(expected, rel=0.012)
    # 4032 border pixels: 1.1 %, four times.
    assert last[BORDER].std() == pytest.approx(np.sqrt(4.0**2 + 1 / 12), rel=0.045)
    # The reference output has the border's noise.
    assert readout.reference_amp33.std() == pytest.approx(np.sqrt(4.0**2 + 1 / 12), rel=0.03)


def test_averages_are_quieter_by_the_root_of_their_reads():
    # Third resultant: 6 reads.
    deviation = absolute(run())[2][ACTIVE].std()
    assert deviation == pytest.approx(np.sqrt((25 + 1 / 12) / 6 + 1 / 12), rel=0.012)


def test_rates_come_back():
    rate = 20.0
    data = absolute(run(rate))
    for resultant, reads in zip(data, PATTERN.reads, strict=True):
        n = len(reads)
        expected = 5000 + rate / 2 * np.mean(reads) * PATTERN.frame_time - 0.5 - 0.5 * (n - 1) / n
        # Poisson noise of up to 1200 electrons and read noise, over 248 pixels a side; four times.
        noise = np.sqrt(rate * reads[-1] * PATTERN.frame_time / 4 + 25)
        assert resultant[ACTIVE].mean() == pytest.approx(
            expected, abs=4 * noise / np.sqrt(N_ACTIVE) + 1e-3
        )


def test_variance_of_counts_is_that_of_photons_shared_by_capacitance():
    rate = 100.0
    data = absolute(run(rate))
    electrons = rate * 18 * PATTERN.frame_time
    expected = electrons / 4 * (KERNEL**2).sum() + 25 + 1 / 12
    # Relative error of a variance: sqrt(2 / n) = 0.6 %, four times.
    assert data[-1][ACTIVE].var() == pytest.approx(expected, rel=0.025)


def test_border_without_signal_is_exactly_zero():
    state = replace(STATE, reference_pixel_noise_ratio=None, channel_drift_dn=3.0)
    readout = run(5.0, state)
    assert (readout.reference_read[BORDER] == 0).all()
    assert (absolute(readout)[:, BORDER] == 0).all()
    assert (readout.reference_amp33 == 0).all()
    assert (readout.amp33 == 4000).all()


def test_reference_pixels_see_no_light():
    level = absolute(run(1000.0))[-1][BORDER].mean()
    # Pedestal less half a count; 4 DN over 4032 pixels, four times.
    assert level == pytest.approx(4999.5, abs=0.25)


def test_channel_drift_is_shared_by_its_reference_pixels():
    data = absolute(run(0.0, replace(STATE, channel_drift_dn=20.0)))
    for channel in (np.s_[:128], np.s_[128:]):
        columns = data[-1][:, channel]
        light, dark = columns[4:-4].mean(), columns[np.r_[0:4, 252:256]].mean()
        # 1024 reference pixels of 4 DN: 0.13, four times.
        assert light == pytest.approx(dark, abs=0.5)
    assert abs(data[-1][:, :128].mean() - data[-1][:, 128:].mean()) > 1


def test_nonlinear_detector_falls_short_by_its_square():
    state = replace(STATE, nonlinearity_per_dn=1e-6)
    linear, bent = (
        absolute(run(1000.0))[-1][ACTIVE].mean(),
        absolute(run(1000.0, state))[-1][ACTIVE].mean(),
    )
    assert linear - bent == pytest.approx(1e-6 * (linear + 0.5) ** 2, rel=1e-3)


def test_bright_pixel_saturates_and_stays_there():
    rate = np.zeros(WINDOW.active_shape)
    rate[100, 100] = 1e7
    data = absolute(run(rate, replace(STATE, nonlinearity_per_dn=1e-6)))
    # 1.02 of the saturation level, with the noise of a read.
    assert (np.abs(data[:, 104, 104] - 1.02 * 55000) < 50).all()
    # Its neighbours see a share of a full well, not of all the light.
    assert data[-1, 104, 105] < 5000 + 0.03 * 1.5 * 55000


def test_flat_and_dead_pixels_scale_the_light():
    state = replace(STATE, dead_pixel_fraction=0.05, ipc_kernel=((0, 0, 0), (0, 1, 0), (0, 0, 0)))
    maps = draw_maps(state, "WFI01", WINDOW)
    data = absolute(run(500.0, state))
    assert maps.is_dead.sum() > 1000
    assert abs(data[-1][maps.is_dead].mean() - 4999.5) < 1


def test_cosmic_rays_raise_all_later_resultants():
    quiet, hit = absolute(run()), absolute(run(cosmic_rays=True))
    jumped = (hit[1] - quiet[1])[ACTIVE] > 200
    assert jumped.any()
    assert ((hit[4] - quiet[4])[ACTIVE][jumped] > 150).all()


def numbers_of(key=KEY, detector="WFI01", seed=7):
    return (seed, *key.seed, detector)


def test_draws_of_a_read_are_keyed_by_their_purpose():
    noise = normal_rows(generator("read noise", *numbers_of(), 0), WINDOW.shape)
    sigma = draw_maps(STATE, "WFI01", WINDOW).read_noise
    np.testing.assert_array_equal(run().reference_read, np.floor(np.float32(5000) + sigma * noise))


def test_dark_decay_is_added_to_the_pixels_that_see_light():
    decaying = replace(STATE, dark_decay_dn=50.0, dark_decay_s=23.0)
    quiet, shown = run(), run(state=decaying)
    ratio = []
    # The first resultant is read 1, the last read 18: both are single.
    for read, i in ((0, None), (1, 0), (18, 4)):
        expected = dark_decay_of_read(read, 50.0, 23.0, "WFI01", WINDOW, PATTERN.frame_time)
        planes = (quiet.reference_read, shown.reference_read) if i is None else (
            absolute(quiet)[i], absolute(shown)[i])  # fmt: skip
        added = planes[1].astype(float) - planes[0]
        # The same draws: rounding down alone comes between.
        assert (np.abs(added - expected)[ACTIVE] <= 1).all()
        assert not added[BORDER].any()
        ratio.append(added[ACTIVE].mean())
    # exp(-17 * 3.16 / 23); means of 61504 pixels rounded down know the signal to 0.002 DN.
    assert ratio[2] / ratio[1] == pytest.approx(np.exp(-17 * PATTERN.frame_time / 23), abs=2e-4)
    np.testing.assert_array_equal(quiet.amp33, shown.amp33)


def test_dark_decay_stands_in_the_resultants_of_a_dark():
    # 5 DN fading in 23 s; the window is read about 0.9 of a frame after its start.
    decaying = replace(STATE, dark_decay_dn=5.0, dark_decay_s=23.0)
    difference = absolute(run(state=decaying))[:, 4:-4, 4:-4] - absolute(run())[:, 4:-4, 4:-4]
    for resultant, reads in zip(difference, PATTERN.reads, strict=True):
        times = (np.array(reads) - 0.5) * PATTERN.frame_time
        middle = 5 * np.exp(-(times - PATTERN.frame_time) / 23).mean()
        # Rows of the window are read within one frame of that: exp(3.16 / 23) = 1.15.
        assert 0.85 * middle < resultant.mean() < 1.16 * middle


def test_converter_shows_its_integral_nonlinearity():
    bent = replace(STATE, integral_nonlinearity_dn=20.0, integral_nonlinearity_period_dn=4096.0)
    correction = draw_converter(bent, "WFI01")
    errors = []
    for rate in (0.0, 500.0, 1500.0):
        straight, shown = run(rate), run(rate, bent)
        for i in (0, 4):
            counts, raw = absolute(straight)[i], absolute(shown)[i]
            for channel in (2, 3):
                columns = np.s_[:, (channel - 2) * 128 : (channel - 1) * 128]
                lacking = (counts - raw)[columns].astype(float)
                table = correction[channel][raw[columns].astype(int)]
                # One count of rounding, and what the table changes within it: 7 % at most.
                assert (np.abs(lacking - table) <= 1.1).all()
                errors.append((lacking - table).mean())
    assert np.ptp(correction[2:4]) > 20
    # Rounding is even over the noise: 1 / sqrt(6 * 32768) DN each; the slope of the table within
    # half a count adds 0.04.
    assert np.abs(errors).max() < 0.05
    np.testing.assert_array_equal(run().amp33, run(state=bent).amp33)


def test_counts_stay_within_the_converter():
    bent = replace(STATE, integral_nonlinearity_dn=20.0, integral_nonlinearity_period_dn=4096.0)
    rate = np.zeros(WINDOW.active_shape)
    rate[50:70, 50:200] = 1e7
    full = absolute(run(rate, replace(bent, saturation_dn=64500.0)))
    assert full.max() == 65535
    empty = run(0.0, replace(bent, pedestal_dn=0.0))
    assert empty.reference_read.min() == 0
    quiet = run(5.0, replace(bent, reference_pixel_noise_ratio=None, dark_decay_dn=5.0))
    assert not quiet.reference_read[BORDER].any()


@pytest.mark.parametrize("name", ["correlated_noise_dn", "channel_noise_dn"])
def test_shared_noise_is_that_of_its_read(name):
    quiet, shown = run(), run(state=replace(STATE, **{name: 30.0}))
    purpose = name.removesuffix("_dn").replace("_", " ")
    levels = (30.0, 0.0) if name == "correlated_noise_dn" else (0.0, 30.0)
    for read, i in ((0, None), (1, 0), (18, 4)):
        rng = generator(purpose, *numbers_of(), read)
        expected, expected33 = correlated_noise(WINDOW, *levels, rng, rng)
        if i is None:
            added = shown.reference_read.astype(float) - quiet.reference_read
            added33 = shown.reference_amp33.astype(float) - quiet.reference_amp33
        else:
            added = absolute(shown)[i] - absolute(quiet)[i]
            reference = [r.reference_amp33.astype(float) for r in (quiet, shown)]
            added33 = shown.amp33[i] + reference[1] - quiet.amp33[i] - reference[0]
        # The same draws of everything else: rounding down alone comes between.
        assert (np.abs(added - expected) <= 1.001).all()
        assert (np.abs(added33 - expected33) <= 1.001).all()


FAULTS = {
    "dark_decay_dn": 5.0,
    "integral_nonlinearity_dn": 5.0,
    "correlated_noise_dn": 2.0,
    "channel_noise_dn": 2.0,
    "channel_drift_dn": 20.0,
}


@pytest.mark.parametrize("name", FAULTS)
def test_effect_that_is_switched_off_leaves_the_draws_of_the_others(name):
    faulty = replace(STATE, **FAULTS, integral_nonlinearity_period_dn=8192.0)
    every, others = run(20.0, faulty), run(20.0, replace(faulty, **{name: 0.0}))
    alone = [
        run(20.0, replace(STATE, integral_nonlinearity_period_dn=8192.0, **{name: value}))
        for value in (FAULTS[name], 0.0)
    ]
    with_it, without = (
        absolute(one)[0] - absolute(other)[0] for one, other in ((every, others), alone)
    )
    # What it adds is the same, whatever else there is: rounding down twice comes between, and the
    # converter's slope of 1 % at most of the 30 counts that the others add.
    assert np.abs(with_it - without).max() <= 2
    assert np.abs(with_it).max() > 2


def test_same_key_same_numbers():
    first, second = run(3.0, cosmic_rays=True), run(3.0, cosmic_rays=True)
    np.testing.assert_array_equal(first.data, second.data)
    np.testing.assert_array_equal(first.amp33, second.amp33)


@pytest.mark.parametrize("change", [{"key": replace(KEY, exposure=2)}, {"detector": "WFI02"}])
def test_other_exposure_other_noise(change):
    difference = absolute(run())[-1] - absolute(run(**change))[-1]
    # Independent noises of 5 DN.
    assert difference[ACTIVE].std() == pytest.approx(np.sqrt(2 * (25 + 1 / 12)), rel=0.012)


def test_shapes_and_types_are_those_of_the_telemetry():
    readout = run()
    assert readout.data.shape == (5, 256, 256)
    assert readout.amp33.shape == (5, 256, 128)
    assert readout.reference_read.shape == (256, 256)
    planes = (readout.data, readout.amp33, readout.reference_read, readout.reference_amp33)
    assert {plane.dtype for plane in planes} == {np.dtype(np.uint16)}


def test_light_that_is_missing_is_refused():
    rate = np.zeros(WINDOW.active_shape)
    rate[3, 3] = np.nan
    with pytest.raises(ValueError, match="finite"):
        run(rate)


def test_guide_window_shows_the_pixels_of_each_read_and_changes_no_other():
    area = {"x": 300, "y": 200, "nx": 24, "ny": 16}
    maps = draw_maps(STATE, "WFI01", WINDOW)
    light = np.full(WINDOW.active_shape, 20.0)
    arguments = (light, maps, STATE, PATTERN, "WFI01", KEY, 7, 4000)
    guided, alone = expose(*arguments, guide=area), expose(*arguments)
    np.testing.assert_array_equal(guided.data, alone.data)
    assert alone.guide is None
    assert (guided.guide.x, guided.guide.y) == (300, 200)
    assert guided.guide.pixels.shape == (sum(PATTERN.reads_per_resultant), 16, 24)
    # Resultants of one read: the first one and the last one.
    own = np.s_[200 - WINDOW.y :, 300 - WINDOW.x :]
    for k, cycle in ((0, 0), (-1, -1)):
        np.testing.assert_array_equal(guided.guide.pixels[cycle], guided.data[k][own][:16, :24])

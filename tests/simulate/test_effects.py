"""What the simulator lets a detector do, the pipeline undoes or flags."""

from dataclasses import replace

import exposures
import numpy as np
import pytest

from tessella import flags
from tessella.detector.persistence_state import PersistenceState, persistence_electrons
from tessella.detector.snowballs import draw_snowballs
from tessella.detector.wfi18_transient import Transient, transient_of_read
from tessella.exposure_pipeline import calibrate
from tessella.models import Window
from tessella.randomness import generator
from tessella.recipe import LEVEL2_STEPS
from tessella.simulate.earlier import add_light
from tessella.simulate.exposure import expose

PATTERN = exposures.PATTERN
N_READS = sum(PATTERN.reads_per_resultant)
SEED = 7
ACTIVE = np.s_[4:-4, 4:-4]


class Detector:
    """A window of a detector that looks at an even sky."""

    def __init__(self, window, name="WFI01", **changes):
        self.window, self.name = window, name
        self.state = replace(exposures.STATE, **changes)
        self.maps = exposures.draw_maps(self.state, name, window)
        self.references = exposures.make_references(self.state, self.maps)

    def send(self, *earlier, rate=1.0, **changes):
        state = replace(self.state, **changes)
        light = np.full(self.window.active_shape, rate)
        sent = (light, self.maps, state, PATTERN, self.name, exposures.KEY, SEED, 4000, False)
        return expose(*sent, *earlier)

    def image(self, readout, **options):
        ramp = exposures.ramp_of(readout)
        options = {**exposures.OPTIONS, "persistence": None, **options}
        return calibrate(LEVEL2_STEPS, ramp, self.references, options).image


@pytest.fixture(scope="module")
def wide():
    return Detector(Window(256, 128, 384, 384))


def test_snowballs_are_flagged_with_their_halo(wide):
    flux = 0.3
    quiet, hit = (wide.image(wide.send(snowballs_per_cm2_s=rate)) for rate in (0.0, flux))
    # The same draws as in the exposure, read by read.
    numbers = (SEED, *exposures.KEY.seed, wide.name)
    fell = np.zeros((N_READS, *wide.window.active_shape))
    for read in range(1, N_READS + 1):
        rng = generator("snowballs", *numbers, read)
        fell[read - 1] = draw_snowballs(fell.shape[1:], PATTERN.frame_time, flux, rng)
    # Resultants 2 to 4 are those in which a jump can be told from the light before and after.
    visible = slice(PATTERN.reads[0][-1], PATTERN.reads[3][0])
    electrons = fell[visible].sum(axis=0)
    others = np.delete(fell, np.r_[visible], axis=0).sum(axis=0) > 0
    good = ((quiet.dq & (flags.DO_NOT_USE | flags.JUMP_DET)) == 0) & ~others
    halo = good & (electrons > 20) & (electrons < 2e4)
    core = good & (electrons > 2e5)
    assert halo.sum() > 300
    assert core.sum() > 30
    told = (hit.dq & (flags.JUMP_DET | flags.SATURATED | flags.DO_NOT_USE)) != 0
    assert told[core].all()
    # An electron in 57 s is a sixth of the error of a slope: 20 are three errors.
    assert told[halo].mean() > 0.98
    # Capacitance carries a snowball two pixels beyond its last electron.
    untouched = good & (electrons == 0) & ~told
    assert np.median(np.abs(hit.data - quiet.data)[untouched]) == 0


def test_snowballs_that_are_switched_off_leave_all_other_draws(wide):
    with_some = wide.send(snowballs_per_cm2_s=0.3).data.astype(float)
    without = wide.send().data.astype(float)
    assert 0 < (np.abs(with_some - without) > 1).mean() < 0.2


def test_telegraph_pixels_jump_between_two_levels_and_are_flagged():
    chance, step = 0.2, 60.0
    quiet = Detector(Window(256, 128, 384, 384), telegraph_pixel_fraction=0.01)
    noisy = quiet.send(telegraph_dn=step, telegraph_chance=chance).data.astype(float)
    still = quiet.send(telegraph_dn=0.0).data.astype(float)
    told = quiet.maps.is_telegraph
    assert told.mean() == pytest.approx(0.01, rel=0.2)
    moved = (noisy - still)[:, told]
    # All other draws are the same; on board counts are rounded, on both sides.
    assert np.abs((noisy - still)[:, ~told]).max() <= 1
    assert np.abs(moved).max() <= step + 2
    # First resultant of one read, after one chance since the reference read.
    jumped = np.abs(moved[0]) > step / 2
    assert PATTERN.reads[0] == (1,)
    n = told.sum()
    assert jumped.mean() == pytest.approx(chance, abs=4 * np.sqrt(chance * (1 - chance) / n))
    image = quiet.image(quiet.send(telegraph_dn=step, telegraph_chance=chance))
    np.testing.assert_array_equal((image.dq & flags.TELEGRAPH) != 0, told[ACTIVE])


@pytest.fixture(scope="module")
def wfi18():
    # As high as the frame, so that the transient runs its course.
    return Detector(Window(512, 0, 128, 4096), "WFI18", wfi18_transient_dn=(110.0, -10.0))


def test_transient_of_wfi18_is_in_its_first_read_alone(wfi18):
    # Of resultants of one read.
    shown, quiet = wfi18.send(), wfi18.send(wfi18_transient_dn=(0.0, 0.0))
    signal = transient_of_read(
        1, Transient((110.0, -10.0), (0.23, 0.77)), "WFI18", wfi18.window, PATTERN.frame_time
    )
    added = shown.data.astype(float) - quiet.data
    # The same draws: rounding comes between, and the waves of the converter, 0.4 % of a signal.
    assert np.abs(added[0] - signal).max() < 1.5
    assert not added[1:].any()
    assert signal.max() > 90


def test_other_detectors_have_no_transient(wide):
    shown, quiet = wide.send(wfi18_transient_dn=(110.0, -10.0)), wide.send()
    np.testing.assert_array_equal(shown.data, quiet.data)


def test_transient_of_wfi18_is_removed(wfi18):
    shown, quiet = wfi18.send(), wfi18.send(wfi18_transient_dn=(0.0, 0.0))
    # A search for jumps would find the transient, and leave the first resultant out.
    slopes = {"slopes": {"rejection_threshold": None, "expand_large_events": False}}
    skipped = {"skip": ["wfi18_transient"], **slopes}
    corrected, uncorrected = wfi18.image(shown, **slopes), wfi18.image(shown, **skipped)
    plain = wfi18.image(quiet, **skipped)
    # The rows that are read first, where it is largest.
    early = np.zeros(plain.data.shape, bool)
    early[:400] = True
    good = early & ((plain.dq & (flags.DO_NOT_USE | flags.JUMP_DET)) == 0)
    duration = PATTERN.exposure_time
    left, there = (
        float(np.mean((image.data - plain.data)[good])) * duration
        for image in (corrected, uncorrected)
    )
    assert abs(there) > 10
    # Means of 60 faint pixels of 7 DN in each of some 400 rows: 0.05 DN of 60, a thousandth.
    assert abs(left) < 0.05 * abs(there)
    assert abs(left) < 0.1


@pytest.fixture(scope="module")
def lit(wide):
    nothing = PersistenceState(wide.name, wide.window)
    light = np.full(wide.window.active_shape, 1000.0)
    return add_light(nothing, light, wide.maps, PATTERN, exposures.START_MJD)


def test_what_leaks_is_what_traps_release(wide, lit):
    start = exposures.START_MJD + 80 / 86400
    shown = wide.send(lit, start, persistence_ratio=2.0).data.astype(float)
    quiet = wide.send().data.astype(float)
    times = start + np.array([0, N_READS]) * PATTERN.frame_time / 86400
    expected = 2 * persistence_electrons(lit, *times) / wide.maps.gain[ACTIVE]
    good = ~wide.maps.is_dead[ACTIVE]
    added = (shown - quiet)[-1][ACTIVE][good].mean()
    # Some 15 electrons in 140,000 pixels: 0.01 electrons, four times; nonlinearity: 0.4 %.
    assert added == pytest.approx(expected[good].mean(), abs=0.02, rel=0.006)
    assert added > 4


def test_pixels_hold_no_more_than_their_well(wide):
    nothing = PersistenceState(wide.name, wide.window)
    light = np.full(wide.window.active_shape, 1e6)
    state = add_light(nothing, light, wide.maps, PATTERN, exposures.START_MJD)
    charge = state.entries[0].charge.astype(float) * 1e3
    well = 1.5 * (wide.maps.saturation * wide.maps.gain)[ACTIVE].ravel()[state.entries[0].pixels]
    # Half precision.
    np.testing.assert_allclose(charge, well, rtol=2**-10)


def test_exposure_tells_what_it_and_those_before_it_leave(wide, lit):
    start = exposures.START_MJD + 80 / 86400
    left = wide.send(lit, start, rate=500.0, persistence_ratio=1.0).left
    duration = PATTERN.exposure_time / 86400
    ends = [exposures.START_MJD + 80 / 86400 + duration, exposures.START_MJD + duration]
    np.testing.assert_allclose([entry.end_mjd for entry in left.entries], ends, rtol=0, atol=1e-9)
    assert wide.send().left is None


@pytest.mark.parametrize("ratio", [0.0, 1.0])
def test_earlier_light_belongs_to_a_state_with_persistence(wide, lit, ratio):
    given = () if ratio else (lit, exposures.START_MJD + 1)
    with pytest.raises(ValueError, match=f"persistence_ratio is {ratio}"):
        wide.send(*given, persistence_ratio=ratio)

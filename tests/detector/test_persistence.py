"""Persistence: what one exposure leaves is predicted in the next ones, and in no other pixel."""

from itertools import pairwise

import exposures
import numpy as np
import pytest

from tessella import flags
from tessella.detector.persistence import (
    LAST_MEASURED_S,
    MEASURED_FLUENCE,
    charge_at_end,
    current,
    flag_persistence,
    mean_current,
    slope_weights,
    subtract_persistence,
)
from tessella.detector.persistence_state import (
    PersistenceState,
    persistence_electrons,
    predict,
    remember,
)
from tessella.models import Window
from tessella.ramps.timing import difference_timing

WINDOW = Window(0, 0, 512, 512)
SHAPE = WINDOW.active_shape
GAIN = np.full(SHAPE, 2.0, np.float32)
NO_FLAGS = np.zeros(SHAPE, np.uint32)
NOTHING = PersistenceState("WFI04", WINDOW)
FULL_WELL = 1.1e5
EXPOSURE_S = 139.15
DAY = 86400.0
MJD = 61000.0
DETECTORS = [f"WFI{n:02d}" for n in range(1, 19)]
MEASURED = exposures.SHARED / "data/roman/technical/FPSPerformance/WFI_Persistence_summary.ecsv"


def bright(*levels):
    """Slopes [DN / s] that give charges of these [electrons] in equal stripes."""
    charge = np.zeros(SHAPE)
    for level, stripe in zip(levels, np.array_split(np.arange(SHAPE[1]), len(levels)), strict=True):
        charge[:, stripe] = level
    return (charge / 2 / EXPOSURE_S).astype(np.float32)


def after(slope, state=NOTHING, end=MJD, dq=NO_FLAGS, gain=GAIN, **options):
    charge = charge_at_end(slope, dq, gain, EXPOSURE_S, FULL_WELL)
    return remember(state, charge, EXPOSURE_S, end, FULL_WELL, **options)


@pytest.mark.skipif(not MEASURED.exists(), reason=f"{MEASURED} is not here")
@pytest.mark.parametrize("detector", DETECTORS)
def test_decay_is_the_measured_one(detector):
    from astropy.table import Table

    table = Table.read(MEASURED)
    found = current(detector, np.array(table["time"]))
    # Noise of the measurements at late times is some 0.004 electrons / s, the fit's at early ones.
    np.testing.assert_allclose(found, table[f"SCU {int(detector[3:])}"], rtol=0.03, atol=0.006)


@pytest.mark.parametrize("detector", DETECTORS)
def test_current_falls_and_never_below_zero(detector):
    ages = np.concatenate([np.linspace(0, LAST_MEASURED_S, 500), np.geomspace(1800, 1e6, 50)])
    found = current(detector, ages)
    assert (found > 0).all()
    assert (np.diff(found) < 0).all()
    beyond = LAST_MEASURED_S * (1 + 1e-9)
    assert current(detector, np.array(beyond)) == pytest.approx(
        float(current(detector, np.array(LAST_MEASURED_S))), rel=1e-6
    )


@pytest.mark.parametrize(("start", "end"), [(0, 200), (60, 199), (1500, 2500), (3000, 3140)])
@pytest.mark.parametrize("detector", ["WFI04", "WFI05"])
def test_mean_is_that_of_the_current(detector, start, end):
    ages = start + (np.arange(20000) + 0.5) / 20000 * (end - start)
    # Midpoints: steps of 0.05 s over scales of 70 s, squared and over 24.
    assert mean_current(detector, start, end) == pytest.approx(
        current(detector, ages).mean(), rel=1e-7
    )


def test_persistence_of_a_chain_of_exposures_is_removed_and_flagged():
    rng = np.random.default_rng(11)
    n_reads, frame = 44, 3.1625
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    disc = (y - 260) ** 2 + (x - 240) ** 2 < 200**2
    sky = 0.3
    truth = np.where(disc, rng.uniform(3e4, 3e5, SHAPE), sky * EXPOSURE_S)
    slope = (rng.poisson(truth) / 2 / EXPOSURE_S).astype(np.float32)
    # What the detector did: traps filled by the charge that the well held.
    true_state = after((np.minimum(truth, FULL_WELL) / 2 / EXPOSURE_S).astype(np.float32))
    known_state = after(slope)
    start = MJD + 40 / DAY
    edges = start + np.arange(n_reads + 1) * frame / DAY
    charge = np.zeros(SHAPE)
    for first, last in zip(edges[:-1], edges[1:], strict=True):
        leaking = persistence_electrons(true_state, first, last)
        charge += rng.poisson(sky * frame + leaking)
    measured = (charge / 2 / (n_reads * frame)).astype(np.float32)
    prediction = predict(known_state, (edges[0], edges[-1]))
    corrected = subtract_persistence(measured, prediction, GAIN)
    dn = n_reads * frame
    before = np.median((measured - sky / 2)[disc]) * dn
    left = np.median((corrected - sky / 2)[disc]) * dn
    assert before > 50
    # The median of 125,000 pixels of 6.5 DN of Poisson noise is known to 0.023 DN: a fourth.
    assert abs(left) < 0.1
    assert np.median((corrected - measured)[~disc]) == 0
    flagged = flag_persistence(NO_FLAGS, prediction, 0.05)
    np.testing.assert_array_equal(flagged > 0, prediction > 0.05)
    np.testing.assert_array_equal(flagged > 0, disc)


def test_nothing_where_nothing_was_bright():
    state = after(bright(30.0))
    assert state.entries == ()
    assert not predict(state, (MJD + 0.001, MJD + 0.002)).any()


def test_current_is_proportional_to_charge_up_to_the_full_well():
    levels = [1e4, 2e4, FULL_WELL, 3 * FULL_WELL]
    found = predict(after(bright(*levels)), (MJD + 40 / DAY, MJD + 180 / DAY))
    expected = mean_current("WFI04", 40, 180) / MEASURED_FLUENCE
    columns = [stripe.mean() for stripe in np.array_split(found, 4, axis=1)]
    charges = np.array([1e4, 2e4, FULL_WELL, FULL_WELL])
    # Half precision: 2**-11. Times in days are known to 1e-6 s.
    np.testing.assert_allclose(columns, charges * expected, rtol=6e-4)


def test_weights_give_the_mean_of_a_fitted_slope():
    state, n, frame = after(bright(FULL_WELL)), 45, 3.1625
    timing = difference_timing(tuple((k,) for k in range(1, n + 1)), frame)
    edges = MJD + (40 + np.arange(n) * frame) / DAY
    charge = np.cumsum(
        [0.0] + [float(persistence_electrons(state, *pair)[0, 0]) for pair in pairwise(edges)]
    )
    # A line through equally noisy reads.
    fitted = np.polyfit(np.arange(n) * frame, charge, 1)[0]
    found = predict(state, edges, slope_weights(timing, 0.0, 5.0))[0, 0]
    # Single precision; the plain mean is another one.
    assert found == pytest.approx(fitted, rel=1e-5)
    assert predict(state, edges[[0, -1]])[0, 0] != pytest.approx(fitted, rel=1e-2)


def test_weights_of_photon_noise_alone_are_durations():
    timing = difference_timing(((1,), (3,), (4,), (8,)), 3.0)
    np.testing.assert_allclose(slope_weights(timing, 1.0, 0.0), [2 / 7, 1 / 7, 4 / 7], rtol=1e-12)


def test_traps_filled_twice_release_once():
    once = after(bright(5e4), end=MJD + 0.01)
    twice = after(bright(5e4), after(bright(5e4)), MJD + 0.01)
    edges = MJD + 0.011, MJD + 0.012
    np.testing.assert_array_equal(predict(twice, edges), predict(once, edges))
    assert len(twice.entries) == 1


def test_weaker_light_renews_only_what_it_reaches():
    state = after(bright(2e4), after(bright(8e4)), MJD + 300 / DAY)
    found = predict(state, (MJD + 400 / DAY, MJD + 500 / DAY))
    expected = (
        2e4 * mean_current("WFI04", 100, 200) + 6e4 * mean_current("WFI04", 400, 500)
    ) / MEASURED_FLUENCE
    np.testing.assert_allclose(found, expected, rtol=6e-4)


def test_stronger_light_makes_the_earlier_forgotten():
    state = after(bright(8e4), after(bright(2e4)), MJD + 300 / DAY)
    assert [entry.end_mjd for entry in state.entries] == [MJD + 300 / DAY]


def test_faded_pixels_are_dropped_and_what_is_dropped_is_negligible():
    state = first = after(bright(200.0, 2e3, 2e4, 2e5))
    sizes = [first.entries[0].pixels.size]
    dark = np.zeros(SHAPE, np.float32)
    for k in range(1, 15):
        end = MJD + k * 200 / DAY
        state = after(dark, state, end)
        sizes.append(sum(entry.pixels.size for entry in state.entries))
        edges = end + 30 / DAY, end + 160 / DAY
        lost = predict(first, edges) - predict(state, edges)
        assert (np.abs(lost) < 1e-3).all()
    assert (np.diff(sizes) <= 0).all()
    assert 0 < sizes[-1] < sizes[0]


def test_horizon_drops_whatever_it_was():
    dark = np.zeros(SHAPE, np.float32)
    state = after(bright(2e5))
    assert after(dark, state, MJD + 90 / DAY, horizon_s=100.0).entries
    assert not after(dark, state, MJD + 110 / DAY, horizon_s=100.0).entries


def test_unknown_charge_is_flagged_and_not_subtracted_and_saturation_is_a_full_well():
    slope = bright(0.0)
    slope[5, 5:7] = np.nan
    dq = NO_FLAGS.copy()
    dq[5, 5], dq[5, 6] = flags.DO_NOT_USE | flags.SATURATED, flags.DO_NOT_USE
    gain = GAIN.copy()
    gain[9, 9] = 0.0
    state = after(slope, dq=dq, gain=gain)
    later = after(bright(0.0), state, MJD + 200 / DAY)
    edges = MJD + 240 / DAY, MJD + 380 / DAY
    found = predict(later, edges)
    full = predict(after(bright(FULL_WELL)), edges)[0, 0]
    assert found[5, 5] == full
    unknown = np.isnan(found)
    assert np.argwhere(unknown).tolist() == [[5, 6], [9, 9]]
    assert np.count_nonzero(found[~unknown]) == 1
    assert np.flatnonzero(flag_persistence(NO_FLAGS, found, full / 2)).size == 3
    corrected = subtract_persistence(np.ones(SHAPE, np.float32), found, GAIN)
    assert corrected[5, 6] == 1
    assert corrected.dtype == np.float32


def test_charge_stays_unknown_when_faint_light_follows_and_is_known_after_it_faded():
    slope = bright(0.0)
    slope[5, 6] = np.nan
    state = after(bright(1e3), after(slope), MJD + 200 / DAY)
    assert np.isnan(predict(state, (MJD + 240 / DAY, MJD + 380 / DAY))[5, 6])
    state = after(bright(1e3), state, MJD + 20000 / DAY)
    assert np.isfinite(predict(state, (MJD + 20040 / DAY, MJD + 20180 / DAY))).all()


def test_states_are_small():
    rng = np.random.default_rng(1)
    slope = bright(40.0)
    stars = rng.random(SHAPE) < 0.05
    slope[stars] = 500.0
    entry = after(slope).entries[0]
    # Six bytes for each pixel that was bright.
    assert entry.pixels.nbytes + entry.charge.nbytes == 6 * stars.sum()


def test_exposures_out_of_order_and_misfits_are_refused():
    state = after(bright(1e5))
    with pytest.raises(ValueError, match="not after"):
        after(bright(1e5), state, MJD)
    with pytest.raises(ValueError, match="increase from 0"):
        predict(state, (MJD - 0.001, MJD + 0.001))
    with pytest.raises(ValueError, match="weights"):
        predict(state, (MJD, MJD + 0.001), (0.5, 0.5))
    with pytest.raises(ValueError, match="active pixels"):
        remember(state, np.zeros((3, 3)), 1.0, MJD + 1, FULL_WELL)

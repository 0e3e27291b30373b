"""Darks and flats of a simulated detector with all its faults tell what its pixels are like."""

import calibration_campaign as campaign
import exposures
import numpy as np
import pytest
import roman_datamodels as rdm
from scipy.ndimage import binary_dilation

from tessella import flags
from tessella.astrometry.pixel_area import relative_pixel_area
from tessella.detector.ipc import couple_pixels
from tessella.detector.state import draw_maps
from tessella.errors import DataError
from tessella.io.references import ReferenceHeader
from tessella.models import Window
from tessella.run.measure_references import measure_references

STATE = exposures.STATE
WINDOW = Window(256, 128, 256, 256)
ACTIVE = np.s_[4:-4, 4:-4]
TYPES = ("mask", "dark", "readnoise", "gain", "flat_f158")
LIMITS = {"hot_dn_per_s": 1.0, "dead_response": 0.5, "noisy_ratio": 3.0, "gain_box_pixels": 128}
OPTIONS = {"calibrate": exposures.OPTIONS, "calibration": LIMITS}
N_DARKS, LAMP_RATES = 5, (400.0, 400.0, 900.0, 900.0, 900.0, 900.0)
HEADER = ReferenceHeader("WFI01", campaign.START, "measured", {}, "GROUND")


@pytest.fixture(scope="module")
def taken(tmp_path_factory):
    """Folder of a campaign; its Level 1 files, flats before darks; a selection."""
    folder = tmp_path_factory.mktemp("campaign")
    selection = campaign.write_references(folder / "references", STATE, WINDOW)
    files = [
        campaign.write_exposure(folder, N_DARKS + i, "WFI_FLAT", STATE, WINDOW, rate)
        for i, rate in enumerate(LAMP_RATES)
    ]
    files += [
        campaign.write_exposure(folder, i, "WFI_IM_DARK", STATE, WINDOW, element="DARK")
        for i in range(N_DARKS)
    ]
    return folder, files, selection


def measure(folder, files, selection, n_threads=1):
    paths = {name: folder / f"wfi01_{name}.asdf" for name in TYPES}
    picture = folder / "maps.png"
    pairs = [(file, selection) for file in files]
    measure_references(list(paths.values()), picture, pairs, WINDOW, OPTIONS, HEADER, n_threads)
    return paths, picture


@pytest.fixture(scope="module")
def measured(taken):
    return measure(taken[0] / "out", *taken[1:])


def arrays(measured, reftype):
    with rdm.open(measured[0][reftype], memmap=False) as model:
        found = {name: model[name] for name in ("data", "dq", "err") if name in model}
        if reftype == "dark":
            found |= {name: model[name] for name in ("dark_slope", "dark_slope_error")}
        return {name: np.array(values) for name, values in found.items()}


@pytest.fixture(scope="module")
def true():
    return draw_maps(STATE, "WFI01", WINDOW)


def test_files_are_official_and_say_from_when_they_hold(measured):
    for path in measured[0].values():
        with rdm.open(path) as model:
            assert model.validate() is None
            assert model.meta.pedigree == "GROUND"
            assert model.meta.useafter.isot.startswith(campaign.START)
            assert dict(model.meta.tessella.window) == vars(WINDOW)
    with rdm.open(measured[0]["flat_f158"]) as model:
        assert model.meta.instrument.optical_element == "F158"
    assert measured[1].read_bytes().startswith(b"\x89PNG")


def test_dark_current_agrees_within_its_errors(measured, true):
    dark = arrays(measured, "dark")
    # Hot pixels lend 2 % of their charge to their neighbours.
    near = binary_dilation(true.is_hot, np.ones((3, 3)))[ACTIVE]
    pull = (dark["dark_slope"] - true.dark / true.gain)[ACTIVE] / dark["dark_slope_error"][ACTIVE]
    # Reference pixels of two channels know the level of a resultant to 0.1 DN, the slope of a
    # dark to 0.003 DN / s or 0.05 of its errors, less over five; 60,000 pulls know the width to
    # 0.3 %, their errors come from references that know the read noise to 3 %.
    assert abs(np.median(pull[~near])) < 0.1
    width = np.percentile(pull[~near], [16, 84])
    assert (width[1] - width[0]) / 2 == pytest.approx(1, abs=0.06)
    hot = dark["dq"] & flags.HOT != 0
    assert hot[true.is_hot].all()
    assert near[(hot & ~true.is_hot)[ACTIVE]].all()


def test_read_noise_agrees_within_its_errors(measured, true):
    found = arrays(measured, "readnoise")["data"][ACTIVE] ** 2
    # With the 1/f noise of neighbours, and a twelfth of a DN^2 of the converter.
    shared = STATE.correlated_noise_dn**2 + STATE.channel_noise_dn**2
    ratio = found / (true.read_noise[ACTIVE] ** 2 + shared + 1 / 12)
    # Five darks of 3 degrees of freedom. Medians of chi-squared: 1 - 2 / (9 n), to the third.
    freedom = 3 * N_DARKS
    # Cosmic rays that no ramp showed, and what reference pixels add: 1 % each.
    assert np.median(ratio) == pytest.approx((1 - 2 / (9 * freedom)) ** 3, abs=0.02)
    assert np.percentile(ratio, 84) - np.percentile(ratio, 16) == pytest.approx(
        2 * np.sqrt(2 / freedom), rel=0.1
    )


def test_gain_agrees_within_its_errors(measured, true):
    gain = arrays(measured, "gain")["data"]
    for y in (0, 128):
        for x in (0, 128):
            box = np.s_[y : y + 128, x : x + 128]
            # Three pairs of 15,000 pixels: 0.7 %; what neighbours share, of 180,000: 0.9 %; cosmic
            # rays that no ramp showed: 0.2 %. Three times the sum of squares.
            assert gain[box].mean() == pytest.approx(true.gain[box].mean(), rel=0.034)
            assert np.unique(gain[box]).size == 1


def test_flat_agrees_within_its_errors(measured, true):
    flat = arrays(measured, "flat_f158")
    # A pixel is seen with what it shares with its neighbours, by a lamp as by the sky.
    shown = couple_pixels(true.flat[ACTIVE].astype(float), np.array(STATE.ipc_kernel))
    response = shown / true.gain[ACTIVE]
    alive = ~true.is_dead[ACTIVE]
    expected = response / response[alive].mean() * relative_pixel_area("WFI01", WINDOW)
    pull = ((flat["data"] - expected) / flat["err"])[alive]
    # Neighbours share photons: the scatter is the square root of the kernel's sum of squares.
    assert np.std(pull) == pytest.approx(np.sqrt((np.array(STATE.ipc_kernel) ** 2).sum()), abs=0.04)
    assert abs(np.mean(pull)) < 0.03
    assert (flat["dq"][true.is_dead[ACTIVE]] & flags.NO_FLAT_FIELD != 0).all()
    assert not flat["dq"][alive].any()


def test_bad_pixels_are_found(measured, true):
    dq = arrays(measured, "mask")["dq"]
    np.testing.assert_array_equal(dq & flags.DEAD != 0, true.is_dead)
    assert (dq[true.is_hot] & flags.HOT != 0).all()
    assert (dq[dq != 0] & flags.DO_NOT_USE != 0).all()
    good = ~(true.is_dead | binary_dilation(true.is_hot, np.ones((3, 3))))
    # Noise of 15 degrees of freedom above three times the median: one in 10^9; saturated by
    # cosmic rays in all of five darks or six flats: none.
    assert not dq[good].any()


def test_same_bits_whatever_the_order_and_the_threads(measured, taken, tmp_path):
    folder, files, selection = taken
    again, _ = measure(tmp_path, files[::-1], selection, n_threads=2)
    for name, path in measured[0].items():
        assert again[name].read_bytes() == path.read_bytes()


def test_flats_without_a_pair_are_refused(taken, tmp_path):
    _, files, selection = taken
    with pytest.raises(DataError, match="no two flats in a row of the same filter, reads and ligh"):
        measure(tmp_path, [files[0], files[2], *files[-2:]], selection)


def test_reference_that_no_exposure_tells_is_refused(taken, tmp_path):
    _, files, selection = taken
    pairs = [(file, selection) for file in [*files[:2], *files[-2:]]]
    paths, picture = [tmp_path / "wfi01_flat_f106.asdf"], tmp_path / "maps.png"
    with pytest.raises(DataError, match="no such reference was measured; there are dark, flat_f"):
        measure_references(paths, picture, pairs, WINDOW, OPTIONS, HEADER)

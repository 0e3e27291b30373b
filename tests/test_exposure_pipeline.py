"""What the pipeline does with exposures that are not as they should be, and with the rare ones."""

from dataclasses import replace

import exposures
import numpy as np
import pytest

from tessella import flags
from tessella.detector.snowballs import draw_snowball
from tessella.detector.wfi18_transient import Transient, transient_of_read
from tessella.exposure_pipeline import calibrate, read_border
from tessella.models import Reference
from tessella.recipe import LEVEL2_STEPS
from tessella.steps.frame import Frame
from tessella.steps.ramp import correct_reference_pixels, measure_reference_pixels

ACTIVE = (..., slice(4, -4), slice(4, -4))


def image_of(ramp, references, **options):
    return calibrate(LEVEL2_STEPS, ramp, references, {**exposures.OPTIONS, **options}).image


def assert_nothing_is_known(image):
    assert (image.dq & flags.DO_NOT_USE != 0).all()
    assert np.isnan(image.data).all()
    assert np.isnan(image.err).all()


def test_fully_saturated_exposure_has_no_plausible_number(ramp, references):
    full = replace(
        ramp,
        data=np.full(ramp.data.shape, 65000, np.uint16),
        reference_read=None,
        reference_amp33=None,
        encoding_offset=0,
    )
    image = image_of(full, references)
    assert_nothing_is_known(image)
    received = image.dq & flags.DROPOUT == 0
    assert received.mean() > 0.9
    assert (image.dq[received] & flags.SATURATED != 0).all()
    assert not image.saturated_from[received].any()
    assert not image.resultants_used.any()


def test_lost_exposure_has_no_plausible_number(ramp, references):
    lost = replace(ramp, resultant_dq=np.full(ramp.data.shape, flags.DROPOUT, np.uint8))
    image = image_of(lost, references)
    assert_nothing_is_known(image)
    assert (image.dq & flags.DROPOUT != 0).all()


def test_dead_detector_has_no_plausible_number(ramp, references):
    dead = replace(ramp, data=np.zeros_like(ramp.data), reference_read=None, encoding_offset=0)
    assert_nothing_is_known(image_of(replace(dead, reference_amp33=None), references))


def test_single_resultant_has_no_slope(ramp, references):
    one = replace(
        ramp,
        data=ramp.data[:1],
        resultant_dq=ramp.resultant_dq[:1],
        amp33=ramp.amp33[:1],
        read_pattern=ramp.read_pattern[:1],
    )
    assert_nothing_is_known(image_of(one, references))


@pytest.mark.parametrize("n", [2, 3, 4])
def test_truncated_exposure_has_slopes_of_what_there_is(ramp, references, image_of_all, n):
    cut = replace(
        ramp,
        data=ramp.data[:n],
        resultant_dq=ramp.resultant_dq[:n],
        amp33=ramp.amp33[:n],
        read_pattern=ramp.read_pattern[:n],
    )
    image = image_of(cut, references)
    good = ((image.dq | image_of_all.dq) & (flags.DO_NOT_USE | flags.JUMP_DET)) == 0
    assert good.mean() > 0.8
    error = image.err[good].astype(float)
    pull = (image.data - image_of_all.data)[good] / error
    # The whole ramp holds the cut one: they differ by less than the cut one's own error.
    assert np.median(np.abs(pull)) < 0.75
    assert np.median(error) > np.median(image_of_all.err[good])


@pytest.fixture(scope="module")
def image_of_all(ramp, references):
    return image_of(ramp, references)


def test_part_of_a_ramp_before_saturation_is_told_apart(image_of_all, ramp):
    n = len(ramp.read_pattern)
    partly = (image_of_all.saturated_from > 1) & (image_of_all.saturated_from < n)
    assert partly.any()
    kept = partly & ((image_of_all.dq & flags.DO_NOT_USE) == 0)
    assert np.isfinite(image_of_all.data[kept]).all()
    assert (image_of_all.resultants_used[kept] < n).all()
    assert (image_of_all.dq[kept] & flags.SATURATED == 0).all()
    never = image_of_all.saturated_from == n
    assert never.mean() > 0.9


def test_noise_of_the_dark_current_is_in_the_variance(ramp, references):
    dark = references["dark"]
    raised = {**dark.arrays, "dark_slope": np.full_like(dark.arrays["dark_slope"], 50.0)}
    brighter = {**references, "dark": replace(dark, arrays=raised)}
    plain, noisy = (image_of(ramp, chosen) for chosen in (references, brighter))
    faint = np.isfinite(plain.data) & (plain.data < 2) & (plain.resultants_used == 5)
    ratio = noisy.var_poisson[faint] / plain.var_poisson[faint]
    # 50 DN / s of dark current against half a DN / s of sky.
    assert np.median(ratio) > 50


def test_rejection_threshold_of_the_configuration_is_the_one_used(ramp, references):
    def n_jumps(threshold):
        slopes = {"rejection_threshold": threshold, "expand_large_events": False}
        return len(image_of(ramp, references, slopes=slopes).jumps)

    strict, usual, none = (n_jumps(threshold) for threshold in (2.5, 4.5, None))
    assert strict > 2 * usual > 0
    assert none == 0


def test_snowball_is_left_out_with_its_halo(ramp, references):
    electrons = np.zeros(ramp.data.shape[1:])
    charge = draw_snowball((120, 120), 60, 30, np.random.default_rng(1))
    electrons[ACTIVE] = charge
    data = ramp.data.astype(float)
    data[3:] += electrons / 2.0
    hit = replace(ramp, data=np.minimum(data, 65535).astype(np.uint16))
    slopes = exposures.OPTIONS["slopes"]
    with_halo, without = (
        image_of(hit, references, slopes={**slopes, "expand_large_events": on})
        for on in (True, False)
    )
    quiet = image_of(ramp, references)
    halo = (charge > 20) & (charge < 400) & ((quiet.dq & flags.DO_NOT_USE) == 0)
    assert halo.sum() > 30
    bias = [
        np.nanmedian((image.data - quiet.data)[halo] / quiet.err[halo].astype(float))
        for image in (with_halo, without)
    ]
    assert abs(bias[0]) < 0.5 * abs(bias[1]) or abs(bias[0]) < 0.2
    assert (with_halo.dq[halo] & flags.JUMP_DET != 0).mean() > (
        without.dq[halo] & flags.JUMP_DET != 0
    ).mean()


def test_transient_of_wfi18_is_removed_there_and_nowhere_else(ramp, references):
    # Small enough not to be taken for a jump where it is not removed.
    transient = Transient((24.0, -4.0), (0.5, 2.0))
    signal = transient_of_read(1, transient, "WFI18", ramp.window, ramp.frame_time)
    data = ramp.data.astype(float)
    data[0] += signal
    shown = replace(ramp, data=np.rint(data).astype(np.uint16))
    decay = references["darkdecaysignal"].values
    assert "WFI18" in decay
    plain, corrected, elsewhere = (
        calibrate(LEVEL2_STEPS, exposure, references, exposures.OPTIONS)
        for exposure in (
            replace(ramp, detector="WFI18"),
            replace(shown, detector="WFI18"),
            shown,
        )
    )
    assert "wfi18_transient" in {step.name for step in corrected.ran}
    assert "wfi18_transient" not in {step.name for step in elsewhere.ran}
    good = (plain.image.dq & (flags.DO_NOT_USE | flags.JUMP_DET)) == 0
    left = np.nanmedian((corrected.image.data - plain.image.data)[good])
    not_removed = np.nanmedian((elsewhere.image.data - plain.image.data)[good])
    assert abs(left) < 0.1 * abs(not_removed)


def test_border_is_that_of_the_decoded_ramp(ramp, references):
    border = read_border(ramp, references)
    whole = ramp.data.astype(float) + ramp.reference_read - ramp.encoding_offset
    np.testing.assert_array_equal(border.counts["left"], whole[:, :, :4])
    np.testing.assert_array_equal(border.counts["right"], whole[:, :, -4:])
    np.testing.assert_array_equal(border.counts["bottom"], whole[:, :4])
    np.testing.assert_array_equal(border.counts["top"], whole[:, -4:])
    expected = ramp.amp33.astype(float) + ramp.reference_amp33 - ramp.encoding_offset
    np.testing.assert_array_equal(border.amp33, expected)
    assert border.dq["top"].shape == (4, 128)


def test_lost_rows_of_the_reference_output_do_not_reach_its_correction(ramp, references):
    shape = (32, 286721)
    zero, one = (np.broadcast_to(np.complex64(x), shape) for x in (0, 1))
    weights = Reference("refpix", "weights.asdf", {"gamma": zero, "zeta": zero, "alpha": one})
    given = {**references, "refpix": weights}
    amp33_dq = np.zeros(ramp.amp33.shape[:2], np.uint8)
    amp33_dq[:, 40:48] = flags.DROPOUT
    drifts = []
    for more in (0, 20):
        amp33 = np.array(ramp.amp33)
        amp33[:, 40:48, ::2] += np.uint16(more)
        lost = replace(ramp, amp33=amp33, amp33_dq=amp33_dq)
        frame = Frame(lost, read_border(lost, given))
        drifts.append(measure_reference_pixels(frame, given))
    counts = replace(ramp, data=ramp.data.astype(np.float32))
    corrected = [correct_reference_pixels(counts, given, drift).data for drift in drifts]
    np.testing.assert_array_equal(*corrected)
    assert np.isfinite(corrected[0]).all()
    whole = measure_reference_pixels(Frame(ramp, read_border(ramp, given)), given)
    assert not np.array_equal(corrected[0], correct_reference_pixels(counts, given, whole).data)

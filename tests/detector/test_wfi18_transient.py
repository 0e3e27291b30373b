"""The transient of WFI18: found among stars and cosmic rays, or its rows given up."""

from functools import cache

import numpy as np
import pytest

from tessella import flags
from tessella.detector.cosmic_rays import draw_cosmic_rays
from tessella.detector.wfi18_residuals import row_residuals
from tessella.detector.wfi18_transient import (
    WFI18_TRANSIENT,
    Transient,
    correct_first_resultant,
    fit_transient,
    transient_of_read,
)
from tessella.models import Window

FRAME = 3.16247
READS = ((1,), (2,), (3, 4), (5, 6, 7, 8, 9), tuple(range(10, 18)))
#: As high as the frame, so that the transient runs its course.
WINDOW = Window(512, 0, 512, 4096)
TRUTH = Transient((115.0, -12.0), (0.25, 0.8))
MASKED = flags.DO_NOT_USE | WFI18_TRANSIENT


@cache
def expose(transient, seed, stars=0, cosmic_rays=False, detector="WFI18"):
    """Return counts of a sky of 0.3 electrons / s at gain 2, and counts without transient."""
    rng = np.random.default_rng(seed)
    rate = np.full(WINDOW.shape, 0.3)
    y, x = rng.integers(8, 4088, stars), rng.integers(8, 504, stars)
    for dy in range(-3, 4):
        for dx in range(-3, 4):
            star = 10 ** rng.uniform(1, 4, stars) * np.exp(-(dy**2 + dx**2) / 2)
            np.add.at(rate, (y + dy, x + dx), star)
    charge, with_it, without = np.zeros(WINDOW.shape), [], []
    extra = transient_of_read(1, transient, detector, WINDOW, FRAME)
    for reads in READS:
        sums = np.zeros((2, *WINDOW.shape))
        for read in reads:
            charge += rng.poisson(rate * FRAME)
            if cosmic_rays:
                charge += draw_cosmic_rays(WINDOW.shape, FRAME, rng)
            counts = 5000 + charge / 2 + 5 * rng.standard_normal(WINDOW.shape)
            sums += counts + np.stack([extra if read == 1 else 0 * extra, 0 * extra])
        with_it.append(sums[0] / len(reads))
        without.append(sums[1] / len(reads))
    return np.stack(with_it).astype(np.float32), np.stack(without).astype(np.float32)


def measure(data, dq=None, resultant_dq=None, window=WINDOW, size=512):
    dq = np.zeros(data.shape[1:], np.uint32) if dq is None else dq
    resultant_dq = np.zeros(data.shape, np.uint8) if resultant_dq is None else resultant_dq
    parts = [
        row_residuals(data[:, rows], resultant_dq[:, rows], dq[rows], READS, FRAME, window, first)
        for first in range(0, data.shape[1], size)
        for rows in [slice(first, first + size)]
    ]
    return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])


def left_over(data, without, transient):
    no_flags = np.zeros(data.shape[1:], np.uint8)
    first, dq = correct_first_resultant(data[0], no_flags, transient, "WFI18", WINDOW, FRAME)
    assert not dq.any()
    return (first - without[0])[4:-4, 4:-4]


@pytest.mark.parametrize(("stars", "cosmic_rays"), [(0, False), (4000, True)])
def test_transient_is_removed(stars, cosmic_rays):
    data, without = expose(TRUTH, 3, stars, cosmic_rays)
    found = fit_transient(*measure(data), WINDOW, FRAME)
    before = (data[0] - without[0])[4:-4, 4:-4]
    assert before[0].mean() > 100
    left = left_over(data, without, found)
    # A row's mean of 252 pixels has an error of 0.6 DN; four numbers from some 1000 rows that
    # hold them: 0.6 sqrt(4 / 1000) = 0.04 DN.
    assert np.median(np.abs(left)) < 0.1
    for part in np.array_split(left, 32):
        assert abs(np.median(part)) < 0.15


def test_nothing_is_found_where_there_is_nothing():
    data, without = expose(Transient((0.0, 0.0), (0.25, 0.8)), 5)
    left = left_over(data, without, fit_transient(*measure(data), WINDOW, FRAME))
    # As above.
    assert np.median(np.abs(left)) < 0.1


def test_means_of_rows_do_not_depend_on_blocks():
    data, _ = expose(TRUTH, 3)
    data = data[:, :512]
    window = Window(512, 0, 512, 512)
    whole = measure(data, window=window)
    for size in (1, 100):
        np.testing.assert_array_equal(measure(data, window=window, size=size), whole)


def test_corrected_blocks_are_those_of_the_whole():
    first = np.random.default_rng(1).normal(5000, 5, (64, 512)).astype(np.float32)
    no_flags = np.zeros(first.shape, np.uint8)
    whole, _ = correct_first_resultant(first, no_flags, TRUTH, "WFI18", WINDOW, FRAME, 10)
    for row in range(0, 64, 16):
        rows = slice(row, row + 16)
        part, _ = correct_first_resultant(
            first[rows], no_flags[rows], TRUTH, "WFI18", WINDOW, FRAME, 10 + row
        )
        np.testing.assert_array_equal(part, whole[rows])


def test_what_is_flagged_is_left_out():
    data, without = expose(TRUTH, 3)
    rng = np.random.default_rng(7)
    dq = np.where(rng.random(data.shape[1:]) < 0.2, flags.DO_NOT_USE, 0).astype(np.uint32)
    kinds = np.array([0, flags.SATURATED, flags.DROPOUT, flags.DO_NOT_USE], np.uint8)
    resultant_dq = kinds[rng.choice(4, data.shape, p=[0.94, 0.02, 0.02, 0.02])]
    spoilt = data.copy()
    spoilt[(resultant_dq > 0) | (dq > 0)] = 3e4
    left = left_over(
        data, without, fit_transient(*measure(spoilt, dq, resultant_dq), WINDOW, FRAME)
    )
    # 0.8 * 0.94**5 = 0.59 of the pixels: the errors above grow by 1.3.
    assert np.median(np.abs(left)) < 0.1


def test_bright_half_and_outliers_of_a_row_do_not_count():
    rng = np.random.default_rng(12)
    window = Window(0, 0, 512, 128)
    data = rng.normal(5000, 5, (5, *window.shape)).astype(np.float32)
    data[0] += 20
    shifted = data.copy()
    # Bright pixels whose ramps are bent, and hits of the first resultant among the others.
    bright = rng.permuted(np.tile(np.arange(512) < 200, (128, 1)), axis=1)
    shifted[:, bright] += np.array([300, 0, 100, 200, 900])[:, None]
    shifted[0, ~bright & (rng.random(window.shape) < 0.03)] += 1000
    plain, plain_error = measure(data, window=window)
    residual, error = measure(shifted, window=window)
    measured = np.isfinite(plain)
    assert measured.sum() == 120
    # Means of 252 of the other 312 pixels, not all the same: some 10 / sqrt(252) = 0.6 DN.
    for found, sigma in ((plain, plain_error), (residual, error)):
        assert (np.abs(found - 20) < 5 * sigma)[measured].all()
        assert np.median(sigma[measured]) == pytest.approx(0.63, rel=0.2)


def test_lost_rows_are_not_measured():
    data, _ = expose(TRUTH, 3)
    resultant_dq = np.zeros(data.shape, np.uint8)
    resultant_dq[1, 100:164] = flags.DROPOUT
    residual, error = measure(data, resultant_dq=resultant_dq)
    lost = np.isnan(residual)
    assert lost[100:164].all()
    np.testing.assert_array_equal(lost, np.isnan(error))
    # Those and the border.
    assert lost.sum() == 64 + 8
    assert fit_transient(residual, error, WINDOW, FRAME) is not None


def test_rows_are_given_up_with_fewer_than_five_resultants():
    data = np.zeros((4, 4096, 512), np.float32)
    residual, error = measure(data)
    assert np.isnan(residual).all()
    found = fit_transient(residual, error, WINDOW, FRAME)
    assert found is None
    no_flags = np.zeros(data.shape[1:], np.uint8)
    first, dq = correct_first_resultant(data[0], no_flags, found, "WFI18", WINDOW, FRAME)
    np.testing.assert_array_equal(first, data[0])
    assert (dq[:1000] == MASKED).all()
    assert not dq[1000:].any()
    # A block knows where it is.
    _, dq = correct_first_resultant(
        data[0, :100], no_flags[:100], found, "WFI18", WINDOW, FRAME, 950
    )
    assert (dq[:50] == MASKED).all()
    assert not dq[50:].any()
    # So does a window that starts higher up.
    window = Window(512, 896, 512, 128)
    _, dq = correct_first_resultant(data[0, :128], no_flags[:128], None, "WFI18", window, FRAME)
    assert (dq[:104] == MASKED).all()
    assert not dq[104:].any()


def test_fit_that_does_not_describe_the_rows_is_none():
    rows = np.arange(4096)
    wave = 50 * np.sin(rows / 60)
    assert fit_transient(wave, np.full(4096, 0.3), WINDOW, FRAME) is None


def test_single_bright_rows_do_not_matter():
    data, without = expose(TRUTH, 3)
    residual, error = measure(data)
    residual[[20, 300, 3000]] += 500
    left = left_over(data, without, fit_transient(residual, error, WINDOW, FRAME))
    assert np.median(np.abs(left)) < 0.1


@pytest.mark.parametrize("transient", [TRUTH, None])
def test_other_detectors_are_not_touched(transient):
    first = np.ones(WINDOW.shape, np.float32)
    dq = np.zeros(WINDOW.shape, np.uint8)
    after, after_dq = correct_first_resultant(first, dq, transient, "WFI17", WINDOW, FRAME)
    assert (after == 1).all()
    assert not after_dq.any()
    assert not transient_of_read(1, TRUTH, "WFI17", WINDOW, FRAME).any()
    assert not transient_of_read(2, TRUTH, "WFI18", WINDOW, FRAME).any()


def test_reference_pixels_are_as_they_were():
    after, _ = correct_first_resultant(
        np.zeros(WINDOW.shape, np.float32),
        np.zeros(WINDOW.shape, np.uint8),
        TRUTH,
        "WFI18",
        WINDOW,
        FRAME,
    )
    border = np.ones(WINDOW.shape, bool)
    border[4:-4, 4:-4] = False
    assert not after[border].any()
    assert after[4:1000, 4:-4].all()


def test_residuals_of_another_window_are_refused():
    with pytest.raises(ValueError, match="4095 residuals"):
        fit_transient(np.zeros(4095), np.ones(4095), WINDOW, FRAME)

"""Nonlinear response and its correction, read by read."""

import numpy as np
import pytest
from numpy.polynomial import Polynomial

from tessella import flags
from tessella.detector.close_reads import LIMIT
from tessella.detector.integral_nonlinearity import (
    N_COUNTS,
    apply_integral_nonlinearity,
    draw_integral_nonlinearity,
    tabulate,
)
from tessella.detector.linearity import (
    apply_nonlinearity,
    apply_response,
    inverse_coefficients,
    linearize,
    response_coefficients,
)

COUNTS = np.arange(float(N_COUNTS))
S, D, L = flags.SATURATED, flags.DO_NOT_USE, flags.DROPOUT
#: Double precision within 0.002 DN of all reads, and 0.004 DN of single precision near 65536 DN.
CLOSE = 0.005


def pattern(*n_reads):
    ends = np.cumsum(n_reads)
    return tuple(tuple(range(b - n + 1, b + 1)) for n, b in zip(n_reads, ends, strict=True))


PATTERN = pattern(1, 1, 2, 4, 8, 8, 10, 12)
#: Reads are skipped between resultants and, once, within one.
SKIPPED = ((1,), (3, 5, 7), (8, 9, 12, 13), (20, 21, 22, 23, 24, 25, 26, 27))
SMOOTH = tabulate(COUNTS, draw_integral_nonlinearity(10.0, 4096.0, np.random.default_rng(5), 3))
ROUGH = tabulate(COUNTS, np.random.default_rng(6).uniform(-0.1, 0.1, (3, N_COUNTS)))


def corrected(measured, coefficients, resultant_dq=None, reads=None, dq=0, tables=None):
    """Correct one pixel; resultants are single reads unless told."""
    data = np.asarray(measured, np.float32).reshape(-1, 1, 1)
    before = np.zeros(data.shape, np.uint8)
    if resultant_dq is not None:
        before[:, 0, 0] = resultant_dq
    reads = pattern(*[1] * len(data)) if reads is None else reads
    linear, flagged, out = linearize(
        data, before, np.full((1, 1), dq, np.uint32), coefficients, tables, reads
    )
    return linear[:, 0, 0], flagged[:, 0, 0].tolist(), int(out[0, 0])


def quadratic(nonlinearity=4e-7, n=6):
    return inverse_coefficients(np.full((1, 1), nonlinearity), n)


@pytest.mark.parametrize("nonlinearity", [0.0, 2e-7, 4e-7, 6e-7])
def test_correction_undoes_the_effect_up_to_ninety_percent_of_saturation(nonlinearity):
    counts = np.linspace(0, 0.9 * 55000, 200)
    measured = apply_nonlinearity(counts, np.float64(nonlinearity))
    linear, _, _ = corrected(measured, quadratic(nonlinearity))
    # Requirement: 0.05 %; in single precision counts of 50000 are known to 0.004 DN.
    np.testing.assert_allclose(linear, counts, rtol=5e-4, atol=0.01)


def test_error_of_the_polynomial_is_its_first_missing_term():
    b, counts = 4e-7, 50000.0
    y = apply_nonlinearity(counts, b)
    c = inverse_coefficients(np.full((1, 1), b))[:, 0, 0]
    # Six coefficients end with y**5; the next Catalan number is 42, later ones grow by under 4.
    missing = counts - np.polynomial.polynomial.polyval(y, c)
    assert 42 * b**5 * y**6 < missing < 42 * b**5 * y**6 / (1 - 4 * b * y)


def test_response_polynomial_is_the_quadratic_loss():
    counts = np.linspace(0, 60000, 6).reshape(3, 1, 2)
    b = np.array([[2e-7, 6e-7]])
    np.testing.assert_allclose(
        apply_response(counts, response_coefficients(b)), apply_nonlinearity(counts, b), rtol=1e-14
    )


@pytest.mark.parametrize("n_reads", [(1, 1, 2, 4, 8, 8, 10, 12), (1, 24, 16, 3), (2, 6, 8, 1, 1)])
def test_ramps_come_back_read_by_read(n_reads):
    reads, b, pedestal, saturation = pattern(*n_reads), 4e-7, 5000.0, 55000.0
    last = np.array([r[-1] for r in reads])
    # Rates from none to those that fill a pixel by the end, and by the end of each resultant.
    full = (0.9 * saturation - pedestal) / last
    rate = np.concatenate([np.linspace(0, full[-1], 60), full[1:]])
    light = pedestal + rate * np.arange(1, last[-1] + 1)[:, None]
    shown = [
        np.floor(apply_integral_nonlinearity(apply_nonlinearity(read, b)[None], SMOOTH)[0])
        for read in light
    ]
    average = np.array([np.floor(np.mean([shown[k - 1] for k in r], axis=0)) for r in reads])
    expected = np.array([np.mean([light[k - 1] for k in r], axis=0) for r in reads])
    whole = np.array([light[r[-1] - 1] <= 0.9 * saturation + 1 for r in reads])
    flagged = np.where(whole, 0, S).astype(np.uint8)[:, None]
    coefficients = inverse_coefficients(np.full((1, len(rate)), b))
    data = average[:, None].astype(np.float32)
    none = np.zeros((1, len(rate)), np.uint32)
    linear, _, _ = linearize(data, flagged, none, coefficients, SMOOTH, reads)
    # Rounding down twice, in the converter and in the average: half of 2 DN, at most 2 DN.
    error = np.abs(linear[:, 0] + 1 - expected)[whole]
    assert error.max() < 5e-4 * pedestal
    assert (error / expected[whole]).max() < 5e-4
    by_average = [
        linearize(data[i : i + 1], flagged[i : i + 1], none, coefficients, SMOOTH, ((1,),))[0][0, 0]
        for i in range(len(data))
    ]
    off = (np.abs(np.array(by_average) + 1 - expected) / expected)[whole]
    # b times the variance of the reads' counts: the longest resultant decides.
    spread = np.array([b * rate**2 * (len(r) ** 2 - 1) / 12 for r in reads])[whole]
    assert off.max() > 0.5 * (spread / expected[whole]).max()
    if max(n_reads) > 20:
        assert off.max() > 1e-3


@pytest.mark.parametrize("tables", [SMOOTH, ROUGH, None])
@pytest.mark.parametrize("reads", [PATTERN, SKIPPED, pattern(30, 1, 70)])
@pytest.mark.parametrize("n_coefficients", [2, 5, 6])
def test_shortcuts_give_what_all_reads_give(tables, reads, n_coefficients):
    data, flagged, dq, coefficients = random_block(n_coefficients, reads, n_coefficients, (2, 16))
    linear, _, _ = linearize(data, flagged, dq, coefficients, tables, reads, 120)
    for y, x in np.ndindex(2, 16):
        table = np.zeros(N_COUNTS) if tables is None else tables.correction[(120 + x) // 128]
        pixel = np.s_[:, y, x]
        expected = plain(data[pixel], flagged[pixel], coefficients[pixel], table, reads)
        np.testing.assert_allclose(linear[pixel], expected, atol=CLOSE, rtol=0)


def test_solving_the_polynomial_is_as_good_as_another_polynomial_for_the_inverse():
    data, flagged, dq, coefficients = random_block(3, PATTERN, 6, (1, 40))
    linear, _, _ = linearize(data, flagged, dq, coefficients, SMOOTH, PATTERN)
    for x in range(40):
        b = float(coefficients[2, 0, x])
        pixel = np.s_[:, 0, x]
        by_inverse = plain(
            data[pixel],
            flagged[pixel],
            coefficients[pixel],
            SMOOTH.correction[0],
            PATTERN,
            Polynomial([0, 1, -b]),
        )
        # Its own error, 42 b**5 y**6, is 0.01 DN at 60000 DN and bends reads much less.
        np.testing.assert_allclose(linear[pixel], by_inverse, atol=CLOSE, rtol=0)


@pytest.mark.parametrize("tables", [SMOOTH, None])
def test_blocks_of_rows_have_the_bits_of_the_whole(tables):
    data, flagged, dq, coefficients = random_block(7, PATTERN, 5, (7, 300), spoiled=True)
    whole = linearize(data, flagged, dq, coefficients, tables, PATTERN, 50)
    for height in (1, 2, 4):
        parts = [
            linearize(
                data[:, y : y + height],
                flagged[:, y : y + height],
                dq[y : y + height],
                coefficients[:, y : y + height],
                tables,
                PATTERN,
                50,
            )
            for y in range(0, 7, height)
        ]
        for k, axis in ((0, 1), (1, 1), (2, 0)):
            joined = np.concatenate([part[k] for part in parts], axis=axis)
            assert joined.tobytes() == whole[k].tobytes()


def test_arguments_are_left_alone():
    before = random_block(8, PATTERN, 5, (2, 20), spoiled=True)
    copies = [array.copy() for array in before]
    linearize(*before, SMOOTH, PATTERN)
    for array, copy in zip(before, copies, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_saturated_resultants_keep_their_raw_value():
    linear, flagged, _ = corrected([40000, 60000], quadratic(), [0, S])
    assert linear[0] > 40500
    assert linear[1] == 60000
    assert flagged == [0, S]


@pytest.mark.parametrize("bad", [[0, np.nan, 0, 0], [0, 0, 0, 0], [0, 1, 0, np.inf]])
def test_unknown_correction_keeps_counts_and_is_flagged(bad):
    linear, flagged, dq = corrected([40000, 60000], np.reshape(bad, (4, 1, 1)), tables=SMOOTH)
    assert linear.tolist() == [40000, 60000]
    assert flagged == [0, 0]
    assert dq == flags.NO_LIN_CORR


def test_pixels_without_correction_in_the_reference_keep_their_counts():
    dq = flags.NO_LIN_CORR | flags.HOT
    linear, _, out = corrected([40000, 60000], quadratic(), dq=dq)
    assert linear.tolist() == [40000, 60000]
    assert out == dq


def test_counts_beyond_a_million_are_cut_off_and_not_used():
    wild = np.array([0, 20.0, 0]).reshape(3, 1, 1)
    linear, flagged, dq = corrected([100, 60000, -60000], wild)
    assert linear.tolist() == [2000, LIMIT, -LIMIT]
    assert flagged == [0, D, D]
    assert dq == 0


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("n", [1, 4])
def test_counts_that_are_no_numbers_are_not_used(value, n):
    data = [5000, value, 9000, 12000]
    linear, flagged, _ = corrected(data, quadratic(), reads=pattern(1, n, 4, 4), tables=SMOOTH)
    assert flagged == [0, D, 0, 0]
    np.testing.assert_array_equal(linear[1], np.float32(value))
    assert np.isfinite(linear[[0, 2, 3]]).all()


def test_polynomial_that_turns_back_over_the_reads_is_not_used():
    turning = np.array([0, 1, -1e-5]).reshape(3, 1, 1)
    linear, flagged, _ = corrected([5000, 30000, 64000, 64000], turning, reads=pattern(1, 8, 8, 8))
    assert flagged[0] == 0
    assert D in flagged[1:]
    assert np.isfinite(linear).all()


def test_lost_and_unused_resultants_say_nothing_about_the_rate():
    reads = pattern(1, 8, 8, 8, 8)
    data = np.array([6000, 14000, 27000, 39000, 50000.0])
    good, _, _ = corrected(data, quadratic(), [0, 0, 0, S, S], reads)
    for flag in (L, D):
        spoiled = data.copy()
        spoiled[3:] = [1, 65000]
        linear, _, _ = corrected(spoiled, quadratic(), [0, 0, 0, flag, flag], reads)
        np.testing.assert_array_equal(linear[:3], good[:3])


@pytest.mark.parametrize("dq", [[S, 0, S], [L, 0, D]])
def test_one_resultant_alone_is_corrected_as_if_it_were_one_read(dq):
    data, reads = [6000, 30000, 50000], pattern(1, 8, 8)
    linear, _, _ = corrected(data, quadratic(), dq, reads, tables=SMOOTH)
    alone, _, _ = corrected(data[1:2], quadratic(), tables=SMOOTH)
    # The correction is averaged over 1e-3 DN instead of taken at a place.
    assert linear[1] == pytest.approx(alone[0], abs=CLOSE)


def test_two_resultants_give_the_rate_between_them():
    reads, c = pattern(1, 20), quadratic()
    linear, _, _ = corrected([5000, 30000], c, reads=reads)
    p = Polynomial(c[:, 0, 0])
    rate = (p(30000) - p(5000)) / 10.5
    # Half of P'' times the variance of the raw counts of the reads, to third order in b.
    expected = p(30000) + p.deriv(2)(30000) / 2 * (rate / p.deriv()(30000)) ** 2 * 399 / 12
    assert linear[1] - p(30000) > 50
    assert linear[1] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"read_pattern": PATTERN[:3]}, "data: 3 resultants"),
        ({"dq": np.zeros((2, 5), np.uint32)}, "dq: rows and columns"),
        ({"resultant_dq": np.zeros((8, 1, 4), np.uint8)}, "resultant_dq: rows and columns"),
        ({"coefficients": np.ones((3, 2, 5))}, "coefficients: rows and columns"),
        ({"coefficients": np.ones((1, 2, 4))}, "at least a constant and a linear term"),
        ({"first_column": 381}, "columns 381 to 385"),
    ],
)
def test_what_does_not_fit_is_refused(changed, message):
    arguments = {
        "data": np.zeros((8, 2, 4), np.float32),
        "resultant_dq": np.zeros((8, 2, 4), np.uint8),
        "dq": np.zeros((2, 4), np.uint32),
        "coefficients": np.ones((3, 2, 4)),
        "converter": SMOOTH,
        "read_pattern": PATTERN,
    }
    with pytest.raises(ValueError, match=message):
        linearize(**{**arguments, **changed})


def random_block(seed, reads, n_coefficients, shape, spoiled=False):
    """Ramps of all rates, with what the detector shows of each read averaged."""
    rng = np.random.default_rng(seed)
    last = reads[-1][-1]
    rate = 10 ** rng.uniform(-2, np.log10(3 * 50000 / last), shape)
    light = rng.normal(5000, 300, shape) + rate * np.arange(1, last + 1)[:, None, None]
    b = rng.normal(4e-7, 5e-8, shape)
    shown = np.minimum(apply_nonlinearity(light, b), 55000)
    data = np.array([shown[np.array(r) - 1].mean(axis=0) for r in reads], np.float32)
    data += rng.normal(0, 5, data.shape).astype(np.float32)
    flagged = np.where([shown[r[-1] - 1] > 54000 for r in reads], S, 0).astype(np.uint8)
    coefficients = inverse_coefficients(b, n_coefficients).astype(np.float32)
    coefficients[0] = rng.normal(0, 20, shape)
    dq = np.zeros(shape, np.uint32)
    if spoiled:
        data[rng.random(data.shape) < 0.02] = np.nan
        flagged |= rng.choice(np.array([0, 0, 0, 0, L, D], np.uint8), data.shape)
        coefficients[:, rng.random(shape) < 0.05] = np.nan
        dq[rng.random(shape) < 0.05] |= flags.NO_LIN_CORR
    return data, flagged, dq, coefficients


def plain(data, flagged, coefficients, table, reads, inverse=None):
    """Every read of one pixel by itself, in double precision."""
    p = Polynomial(coefficients.astype(float))
    data = data.astype(float)
    used = np.flatnonzero(flagged == 0)
    middle = np.array([np.mean(r) for r in reads])
    rate = 0.0
    if len(used) > 1:
        first, end = used[0], used[-2] if len(used) > 2 else used[-1]
        rate = (p(data[end]) - p(data[first])) / (middle[end] - middle[first])
    linear = data.copy()
    for i in np.flatnonzero((flagged & S) == 0):
        goal = p(data[i]) + rate * (np.array(reads[i]) - middle[i])
        if inverse is None:
            raw = np.full(len(goal), data[i])
            for _ in range(50):
                raw -= (p(raw) - goal) / p.deriv()(raw)
        else:
            raw = inverse(goal - coefficients[0])
        raw += data[i] - raw.mean()
        linear[i] = p(raw + np.interp(raw, COUNTS, table)).mean()
    return linear

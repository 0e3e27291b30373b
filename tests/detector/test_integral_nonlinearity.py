"""Integral nonlinearity of the converter: tables, their inverse and their bounds."""

import numpy as np
import pytest

from tessella.detector.integral_nonlinearity import (
    INTEGRAL_ERROR,
    N_COUNTS,
    REACH,
    apply_integral_nonlinearity,
    correction_between,
    draw_integral_nonlinearity,
    integral_between,
    tabulate,
    whole,
)

COUNTS = np.arange(float(N_COUNTS))


def drawn(seed=1, amplitude=10.0, period=4096.0, n_channels=2):
    rng = np.random.default_rng(seed)
    return tabulate(COUNTS, draw_integral_nonlinearity(amplitude, period, rng, n_channels))


def rough(seed=1, size=0.2, n_channels=2):
    """A table that jumps from count to count by up to twice its size."""
    rng = np.random.default_rng(seed)
    return tabulate(COUNTS, rng.uniform(-size, size, (n_channels, N_COUNTS)))


@pytest.mark.parametrize("tables", [drawn(), rough(), rough(size=0.45)])
def test_correction_undoes_the_converter(tables):
    rng = np.random.default_rng(2)
    counts = rng.uniform(-20, N_COUNTS + 20, (40, 256)).astype(np.float32)
    raw = apply_integral_nonlinearity(counts, tables)
    back = np.empty_like(counts)
    for channel in range(2):
        x = slice(128 * channel, 128 * (channel + 1))
        back[:, x] = raw[:, x] + np.interp(raw[:, x], COUNTS, tables.correction[channel])
    # Single precision, 0.004 DN up to 65536 and 0.008 beyond; the correction's slope is below 1.
    np.testing.assert_allclose(back, counts, atol=0.016)


def test_channels_follow_the_columns_and_nan_stays():
    tables = drawn()
    counts = np.full((1, 256), 20000.0, np.float32)
    counts[0, 5] = np.nan
    raw = apply_integral_nonlinearity(counts, tables)
    right = apply_integral_nonlinearity(counts[:, 128:], tables, first_column=128)
    np.testing.assert_array_equal(right, raw[:, 128:])
    assert np.isnan(raw[0, 5])
    assert np.isfinite(np.delete(raw[0], 5)).all()
    assert raw[0, 0] != raw[0, 128]
    with pytest.raises(ValueError, match="columns 129 to 257"):
        apply_integral_nonlinearity(counts[:, :128], tables, first_column=129)


@pytest.mark.parametrize(
    ("value", "correction", "message"),
    [
        ([0.0, 65535.0], [[0.0, np.nan]], "not a finite number"),
        ([0.0, 0.0], [[0.0, 1.0]], "increasing counts"),
        ([0.0, 1.0, 2.0], [[0.0, 1.0]], "increasing counts"),
        ([0.0, 1000.0, 1001.0], [[0.0, 0.0, -1.5]], "channel 1 does not increase with counts"),
    ],
)
def test_impossible_tables_are_refused(value, correction, message):
    with pytest.raises(ValueError, match=message):
        tabulate(np.array(value), np.array(correction))


@pytest.mark.parametrize(("amplitude", "period"), [(-1.0, 4096.0), (200.0, 4096.0), (1.0, 0.0)])
def test_waves_that_no_converter_has_are_refused(amplitude, period):
    with pytest.raises(ValueError, match="amplitude"):
        draw_integral_nonlinearity(amplitude, period, np.random.default_rng(1))


def test_draw_is_keyed_bounded_and_differs_between_channels():
    first, again = (draw_integral_nonlinearity(10, 4096, np.random.default_rng(3)) for _ in "ab")
    np.testing.assert_array_equal(first, again)
    assert first.shape == (32, N_COUNTS)
    assert 5 < np.abs(first).max() <= 10
    assert np.ptp(first[:, 5000]) > 5


@pytest.mark.parametrize("tables", [drawn(), drawn(2, 3.0, 500.0), rough(size=0.01), rough()])
def test_integral_stands_for_reads_within_its_bound(tables):
    rng = np.random.default_rng(4)
    table, integral = tables.correction[0].astype(float), tables.integral[0]

    def corrected(y):
        i = int(whole(y))
        return correction_between(y, float(i), table[i], table[i + 1])

    def summed(y):
        i = int(whole(y))
        return integral_between(y, float(i), integral[i], table[i], table[i + 1])

    worst = 0.0
    for _ in range(3000):
        y, n = rng.uniform(-100, N_COUNTS + 100), rng.integers(2, 13)
        widest = tables.widest_step[0, int(whole(y)) // REACH]
        step = min(widest, 2 * REACH / (n - 1))
        reads = y + step * (np.arange(n) - (n - 1) / 2)
        mean = np.mean([corrected(read) for read in reads])
        np.testing.assert_allclose(mean, np.interp(reads, COUNTS, table).mean(), atol=1e-9)
        by_integral = (summed(y + n * step / 2) - summed(y - n * step / 2)) / (n * step)
        worst = max(worst, abs(by_integral - mean))
    # The ends of the integral, up to 1e6 DN**2, cancel to 1e-10 in intervals of 1e-3 DN at least.
    assert worst <= INTEGRAL_ERROR + 1e-6
    assert worst > 0.02 * INTEGRAL_ERROR


def test_correction_stays_beyond_the_table():
    table = drawn().correction[0]
    for y, end in ((-30.0, table[0]), (N_COUNTS + 30.0, table[-1])):
        i = int(whole(y))
        assert correction_between(y, float(i), table[i], table[i + 1]) == pytest.approx(end)
    assert whole(np.nan) == 0
    assert correction_between(np.nan, 0.0, table[0], table[1]) == table[0]

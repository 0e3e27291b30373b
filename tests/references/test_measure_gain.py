"""Gain by photon transfer, on flats of a known detector that are drawn here."""

import numpy as np
import pytest

from tessella.detector.ipc import couple_pixels
from tessella.instrument.read_patterns import read_patterns
from tessella.references.measure_gain import PhotonTransfer, Signal, signal_of

FRAME_TIME = 3.0
KERNEL = np.array([[0.002, 0.017, 0.002], [0.019, 0.92, 0.019], [0.002, 0.017, 0.002]])
SHAPE = (248, 376)
NOISE = 6.0


def draw_flat(rng, rate, gain, kernel, lamp=1.0, table=3):
    """First and last resultant of a flat [DN], as a signal."""
    pattern = read_patterns()[table].reads
    response = np.random.default_rng(9).normal(1, 0.01, SHAPE)
    seen = rate * lamp * response * FRAME_TIME
    read, images = 0, []
    charge = np.zeros(SHAPE)
    for reads in (pattern[0], pattern[-1]):
        total = np.zeros(SHAPE)
        for number in reads:
            charge += rng.poisson(seen * (number - read))
            read = number
            noise = NOISE * rng.standard_normal(SHAPE)
            total += couple_pixels(charge, kernel) / gain + noise
        images.append(total / len(reads))
    return signal_of(images[1] - images[0], pattern, 0, len(pattern) - 1, FRAME_TIME)


def transfer_of(n_pairs, gain, kernel, rates, lamp=1.0, box=128):
    rng = np.random.default_rng(int(1000 * np.mean(rates)))
    transfer = PhotonTransfer(SHAPE, box)
    for rate in rates:
        for _ in range(n_pairs):
            pair = draw_flat(rng, rate, gain, kernel), draw_flat(rng, rate, gain, kernel, lamp)
            transfer.add(*pair, np.full(SHAPE, NOISE))
    return transfer


@pytest.mark.parametrize("kernel", [np.eye(3)[1][:, None] * np.eye(3)[1], KERNEL / KERNEL.sum()])
@pytest.mark.parametrize("rates", [(100.0,), (300.0, 900.0)])
def test_gain_is_known_to_its_error_with_and_without_capacitance(kernel, rates):
    transfer = transfer_of(3, 2.0, kernel, rates)
    gain, error = transfer.gain, transfer.relative_error
    assert gain.shape == (256, 384)
    # What neighbours share is one number for all squares: its error is common to them.
    pull = (gain / 2.0 - 1) / error
    assert np.abs(pull).max() < 4
    assert error.max() < 0.02
    # The sum of squares of the kernel; twice the error of the correlations, which is below 0.01.
    assert transfer.shared == pytest.approx(1 / (kernel**2).sum(), abs=0.02)


def test_gain_without_the_share_of_neighbours_would_be_far_off():
    kernel = KERNEL / KERNEL.sum()
    transfer = transfer_of(3, 2.0, kernel, (300.0,))
    alone = np.mean(transfer.gain * transfer.shared)
    assert alone / 2.0 == pytest.approx(1 / (kernel**2).sum(), rel=0.01)
    assert alone > 2.3


def test_lamp_that_fades_changes_nothing():
    transfer = transfer_of(4, 1.7, KERNEL / KERNEL.sum(), (300.0,), lamp=0.93)
    assert np.abs((transfer.gain / 1.7 - 1) / transfer.relative_error).max() < 4


def test_gain_of_each_square_is_its_own():
    gain = np.where(np.arange(SHAPE[1]) < 124, 1.5, 2.5) * np.ones(SHAPE)
    transfer = transfer_of(4, gain, np.eye(3)[1][:, None] * np.eye(3)[1], (400.0,))
    found, error = transfer.gain, transfer.relative_error
    # The window's border of 4 belongs to the squares of 128: columns 4 to 127 are the first ones.
    assert np.unique(found[:, :128]).size == 2
    assert np.abs(found[:, :128] / 1.5 - 1).max() < 4 * error.max()
    assert np.abs(found[:, 128:] / 2.5 - 1).max() < 4 * error.max()


def test_hits_and_lost_pixels_take_no_part():
    kernel = np.eye(3)[1][:, None] * np.eye(3)[1]
    rng = np.random.default_rng(4)
    clean, hit = (PhotonTransfer(SHAPE, 128) for _ in range(2))
    for _ in range(3):
        one, other = (draw_flat(rng, 300.0, 2.0, kernel) for _ in range(2))
        clean.add(one, other, np.full(SHAPE, NOISE))
        counts = one.counts.copy()
        counts[::16, ::16], counts[8::16, 8::16] = 50000.0, np.nan
        hit.add(Signal(counts, *list(vars(one).values())[1:]), other, np.full(SHAPE, NOISE))
    # 0.8 % of the pixels less: the same but for their own noise.
    assert np.abs(hit.gain / clean.gain - 1).max() < 0.5 * clean.relative_error.max()
    assert (hit.relative_error > clean.relative_error).all()


def test_no_pair_gives_no_gain():
    transfer = PhotonTransfer(SHAPE, 128)
    assert np.isnan(transfer.gain).all()
    assert np.isnan(transfer.shared)
    nothing = signal_of(np.full(SHAPE, np.nan), read_patterns()[3].reads, 0, 4, FRAME_TIME)
    transfer.add(nothing, nothing, np.full(SHAPE, NOISE))
    assert transfer.n_pairs == 0

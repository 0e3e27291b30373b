"""Inter-pixel capacitance."""

import numpy as np
import pytest

from tessella.detector.ipc import couple_pixels

KERNEL = np.array([[0.001, 0.017, 0.002], [0.019, 0.92, 0.018], [0.003, 0.016, 0.004]])


def test_single_pixel_shows_the_kernel_and_not_its_mirror_image():
    charge = np.zeros((5, 5))
    charge[2, 2] = 100.0
    np.testing.assert_allclose(couple_pixels(charge, KERNEL)[1:4, 1:4], 100 * KERNEL)


def test_charge_is_kept():
    charge = np.random.default_rng(1).uniform(0, 1e4, (3, 20, 30))
    shown = couple_pixels(charge, KERNEL / KERNEL.sum())
    # At edges, what is mirrored back differs from what is lost by the kernel's asymmetry.
    np.testing.assert_allclose(shown[:, 3:-3, 3:-3].mean(), charge[:, 3:-3, 3:-3].mean(), rtol=1e-2)
    symmetric = (KERNEL + KERNEL[::-1, ::-1]) / 2
    symmetric = (symmetric + symmetric[:, ::-1]) / 2
    assert couple_pixels(charge, symmetric / symmetric.sum()).sum() == pytest.approx(
        charge.sum(), rel=1e-12
    )


def test_planes_do_not_mix():
    charge = np.zeros((2, 5, 5))
    charge[0, 2, 2] = 1.0
    assert not couple_pixels(charge, KERNEL)[1].any()

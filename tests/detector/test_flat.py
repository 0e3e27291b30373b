"""Flat field."""

import exposures
import numpy as np
import pytest

from tessella import flags
from tessella.detector.flat import divide_by_flat
from tessella.models import Window

SHAPE = (120, 120)


def divided(flat, err=0.01, dq=0, value=10.0):
    image = exposures.make_image(np.full(SHAPE, value), 0.2, Window(0, 0, 128, 128))
    maps = (
        np.full(SHAPE, flat, np.float32),
        np.full(SHAPE, err, np.float32),
        np.full(SHAPE, dq, np.uint32),
    )
    return divide_by_flat(image, *maps)


def test_error_is_the_sum_of_its_parts():
    image = divided(0.5)
    # 10 / 0.5 with 0.2 / 0.5 of noise and 0.01 / 0.5 of the flat's own.
    assert image.data[0, 0] == 20
    np.testing.assert_allclose(image.var_flat, (20 * 0.02) ** 2, rtol=1e-6)
    np.testing.assert_allclose(image.err**2, 0.4**2 + 0.4**2, rtol=1e-6)
    np.testing.assert_allclose(image.err**2, image.var_poisson + image.var_rnoise + image.var_flat)


@pytest.mark.parametrize("flat", [0.0, -1.0, np.nan, np.inf])
def test_unknown_response_keeps_the_value_and_is_flagged(flat):
    image = divided(flat, err=np.nan)
    assert image.data[0, 0] == 10
    assert image.err[0, 0] == pytest.approx(0.2)
    assert image.dq[0, 0] == flags.NO_FLAT_FIELD | flags.DO_NOT_USE


@pytest.mark.parametrize("err", [np.nan, np.inf, -0.01])
def test_unknown_error_of_the_flat_is_flagged(err):
    image = divided(0.5, err)
    assert image.data[0, 0] == 20
    assert np.isnan([image.err[0, 0], image.var_flat[0, 0]]).all()
    assert image.dq[0, 0] == flags.DO_NOT_USE


def test_flags_of_the_flat_are_passed_on():
    assert (
        divided(1.0, dq=flags.value("UNRELIABLE_FLAT")).dq == flags.value("UNRELIABLE_FLAT")
    ).all()


def test_multiplication_by_the_flat_is_undone():
    flat = np.random.default_rng(1).normal(1, 0.1, SHAPE)
    image = exposures.make_image(5 * flat, 0.1, Window(0, 0, 128, 128))
    out = divide_by_flat(image, flat, 0 * flat, np.zeros(SHAPE, np.uint32))
    np.testing.assert_allclose(out.data, 5.0, rtol=1e-14)

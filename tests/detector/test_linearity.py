"""Nonlinear response and its correction."""

import numpy as np
import pytest

from tessella import flags
from tessella.detector.linearity import apply_nonlinearity, inverse_coefficients, linearize


def corrected(measured, coefficients, resultant_dq=None):
    data = np.asarray(measured, np.float32).reshape(-1, 1, 1)
    none = np.zeros(data.shape, np.uint8) if resultant_dq is None else resultant_dq
    linear, dq = linearize(data, none, np.zeros((1, 1), np.uint32), coefficients)
    return linear[:, 0, 0], int(dq[0, 0])


@pytest.mark.parametrize("nonlinearity", [0.0, 2e-7, 4e-7, 6e-7])
def test_correction_undoes_the_effect_up_to_ninety_percent_of_saturation(nonlinearity):
    counts = np.linspace(0, 0.9 * 55000, 200)
    measured = apply_nonlinearity(counts, np.float64(nonlinearity))
    linear, _ = corrected(measured, inverse_coefficients(np.full((1, 1), nonlinearity)))
    # Requirement: 0.05 %; in single precision counts of 50000 are known to 0.004 DN.
    np.testing.assert_allclose(linear, counts, rtol=5e-4, atol=0.01)


def test_error_of_the_polynomial_is_its_first_missing_term():
    b, counts = 4e-7, 50000.0
    y = apply_nonlinearity(counts, b)
    c = inverse_coefficients(np.full((1, 1), b))[:, 0, 0]
    # Six coefficients end with y**5; the next Catalan number is 42, later ones grow by under 4.
    missing = counts - np.polynomial.polynomial.polyval(y, c)
    assert 42 * b**5 * y**6 < missing < 42 * b**5 * y**6 / (1 - 4 * b * y)


def test_saturated_resultants_keep_their_raw_value():
    dq = np.array([0, flags.SATURATED], np.uint8).reshape(2, 1, 1)
    linear, _ = corrected([40000, 60000], inverse_coefficients(np.full((1, 1), 4e-7)), dq)
    assert linear[0] > 40500
    assert linear[1] == 60000


@pytest.mark.parametrize("bad", [np.array([0, np.nan, 0, 0]), np.zeros(4)])
def test_unknown_correction_keeps_counts_and_is_flagged(bad):
    linear, dq = corrected([40000, 60000], bad.reshape(4, 1, 1))
    assert linear.tolist() == [40000, 60000]
    assert dq == flags.NO_LIN_CORR

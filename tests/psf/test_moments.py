"""Adaptive moments: those of a Gaussian are its own, and those of optics are galsim's."""

import galsim
import numpy as np
import pytest

from tessella.detector.state import Blur
from tessella.psf.effective import EffectivePsf
from tessella.psf.model import effective_psf, optical_psf
from tessella.psf.moments import adaptive_moments


def test_moments_of_a_turned_gaussian_are_its_own():
    axis = np.arange(-48, 49) / 8
    x, y = axis[None, :], axis[:, None]
    moments = np.array([[0.8, 0.1], [0.1, 0.6]])
    inverse = np.linalg.inv(moments)
    image = np.exp(-(inverse[0, 0] * x**2 + 2 * inverse[0, 1] * x * y + inverse[1, 1] * y**2) / 2)
    shape = adaptive_moments(EffectivePsf(image, 8))
    assert shape.size == pytest.approx(np.linalg.det(moments) ** 0.25, abs=1e-6)
    assert shape.e1 == pytest.approx(0.2 / 1.4, abs=1e-6)
    assert shape.e2 == pytest.approx(0.2 / 1.4, abs=1e-6)


def test_moments_of_the_optical_model_are_those_of_galsim():
    stamp = effective_psf(optical_psf("WFI07", "F129", 100.0, 3900.0, Blur(8.0, 2.94)), None, 4, 20)
    found = adaptive_moments(EffectivePsf(stamp, 4))
    theirs = galsim.hsm.FindAdaptiveMom(galsim.Image(stamp, scale=1.0))
    # galsim stops at changes of 1e-6 of the size, and cuts its window off.
    assert found.size == pytest.approx(theirs.moments_sigma / 4, rel=1e-4)
    assert found.e1 == pytest.approx(theirs.observed_e1, abs=1e-4)
    assert found.e2 == pytest.approx(theirs.observed_e2, abs=1e-4)


def test_light_that_is_not_positive_is_refused():
    with pytest.raises(ValueError, match="do not settle"):
        adaptive_moments(EffectivePsf(-np.ones((41, 41)), 4))

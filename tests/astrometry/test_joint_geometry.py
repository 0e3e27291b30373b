"""What moves on the sky when pixels, parameters and corrections do."""

import numpy as np
import pytest

from tessella.astrometry.gwcs_model import build_gwcs, with_correction
from tessella.astrometry.joint_geometry import (
    corrected_v2v3,
    correction_of,
    parameter_jacobian,
    sky_jacobian,
    tangent_offsets,
    telescope_vectors,
    unit_vectors,
)
from tessella.astrometry.wcs import attitude_of, v2v3_to_sky
from tessella.models import WcsCorrection, Window

RNG = np.random.default_rng(4)


def places(attitude, n=30):
    return np.array([[attitude.v2_ref], [attitude.v3_ref]]) + RNG.uniform(-220, 220, (2, n))


@pytest.mark.parametrize("dec", [-89.99, 0.0, 66.0])
def test_directions_are_those_of_the_wcs(dec):
    attitude = attitude_of("WFI07", 0.001, dec, 40.0)
    v2, v3 = places(attitude)
    # A double holds a direction to 1e-16 radian; some ten operations.
    np.testing.assert_allclose(
        telescope_vectors(attitude, v2, v3),
        unit_vectors(*v2v3_to_sky(attitude, v2, v3)),
        atol=2e-15,
    )


@pytest.mark.parametrize("dec", [-89.95, 0.0, 66.0])
def test_parameters_move_stars_as_their_derivatives_say(dec):
    attitude = attitude_of("WFI11", 359.999, dec, 130.0)
    v2, v3 = places(attitude)
    here = telescope_vectors(attitude, v2, v3)
    by = sky_jacobian(attitude, v2, v3, here) @ parameter_jacobian(attitude, v2, v3)
    for number in range(6):
        step = np.zeros(6)
        step[number] = 50.0
        moved = corrected_v2v3(correction_of(step), attitude, v2, v3)
        found = tangent_offsets(telescope_vectors(attitude, *moved), here)
        # 50 mas on a sphere: its square over two is 6e-6 mas; within 3 arcmin of the pole
        # directions turn on the way by 50 mas / 180 arcsec, 3e-4 of it.
        np.testing.assert_allclose(found, 50.0 * by[:, :, number], atol=1e-4 if dec > -89 else 0.02)


def test_gwcs_and_function_apply_one_correction():
    attitude = attitude_of("WFI05", 80.0, -30.0, 10.0, "2028-07-01T00:00:00")
    correction = WcsCorrection(0.31, -0.22, 2e-5, -3e-5, 1e-5, 4e-5)
    wcs = build_gwcs(attitude, "WFI05", Window())
    corrected = with_correction(wcs, correction, attitude.v2_ref, attitude.v3_ref)
    assert corrected.available_frames == ["detector", "v2v3", "v2v3vacorr", "v2v3corr", "world"]
    assert corrected.bounding_box == wcs.bounding_box
    x, y = RNG.uniform(0, 4087, (2, 50))
    true = wcs.get_transform("detector", "v2v3vacorr")(x, y)
    moved = corrected_v2v3(correction, attitude, *true)
    # Sums in another order: 1e-12 arcsec of thousands.
    np.testing.assert_allclose(
        corrected.get_transform("detector", "v2v3corr")(x, y), moved, rtol=1e-14
    )
    np.testing.assert_allclose(
        unit_vectors(*corrected(x, y)), telescope_vectors(attitude, *moved), atol=2e-15
    )
    # The SIAF's own inverse polynomial is good to a hundredth of a pixel.
    np.testing.assert_allclose(
        np.stack(corrected.invert(*corrected(x, y))), np.stack([x, y]), atol=0.01
    )


def test_correction_of_nothing_leaves_the_wcs():
    attitude = attitude_of("WFI05", 80.0, -30.0, 10.0)
    wcs = build_gwcs(attitude, "WFI05", Window())
    assert with_correction(wcs, WcsCorrection(), attitude.v2_ref, attitude.v3_ref) is wcs

"""Pixels, telescope and sky."""

import exposures
import numpy as np
import pytest

from tessella.astrometry.wcs import (
    attitude_of,
    boresight_of,
    detector_to_sky,
    detector_to_v2v3,
    move_reference,
    sky_to_detector,
    sky_to_v2v3,
    v2v3_to_detector,
    v2v3_to_sky,
)
from tessella.instrument.siaf import DETECTORS
from tessella.models import Attitude

RNG = np.random.default_rng(5)
X, Y = RNG.uniform(-0.5, 4087.5, (2, 200))


def separation_mas(ra1, dec1, ra2, dec2):
    """By the chord between unit vectors, exact for small angles."""
    a, d = np.radians([ra1, ra2]), np.radians([dec1, dec2])
    vectors = np.stack([np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)])
    return np.degrees(np.linalg.norm(vectors[:, 0] - vectors[:, 1], axis=0)) * 3.6e6


@pytest.mark.parametrize("detector", DETECTORS)
def test_pixels_come_back(detector):
    attitude = attitude_of(detector, 150.1, 2.2, 33.0)
    x, y = sky_to_detector(attitude, detector, *detector_to_sky(attitude, detector, X, Y))
    # Double precision of degrees: 360 * 2e-16 / (0.11 / 3600) pixels, some ten times.
    np.testing.assert_allclose(x, X, atol=3e-8)
    np.testing.assert_allclose(y, Y, atol=3e-8)
    x, y = v2v3_to_detector(detector, *detector_to_v2v3(detector, X, Y))
    np.testing.assert_allclose(np.stack([x, y]), np.stack([X, Y]), atol=1e-9)


@pytest.mark.parametrize("dec", [-89.9, -30.0, 0.0, 85.0, 89.99])
def test_sky_comes_back_everywhere(dec):
    attitude = attitude_of("WFI07", 359.99, dec, 200.0)
    v2, v3 = detector_to_v2v3("WFI07", X, Y)
    back = sky_to_v2v3(attitude, *v2v3_to_sky(attitude, v2, v3))
    # Towards a pole an angle is known worse: 1e-7 arcsec.
    np.testing.assert_allclose(
        np.stack(back), np.stack([v2, v3]), atol=1e-6 if abs(dec) > 89 else 1e-7
    )


@pytest.mark.parametrize("number", range(1, 19))
def test_distortion_is_that_of_an_independent_reader_of_the_siaf(number):
    path = exposures.SHARED / "tools" / "siaf_poly.npz"
    if not path.is_file():
        pytest.skip(f"{path} is not here")
    coefficients = np.load(path)
    u, v = (X - 2043.5) / 2044, (Y - 2043.5) / 2044
    powers = [(i, j) for i in range(6) for j in range(6 - i)]
    expected = [
        sum(
            c * u**i * v**j
            for (i, j), c in zip(powers, coefficients[f"{number:02d}{axis}"], strict=True)
        )
        for axis in ("v2", "v3")
    ]
    found = detector_to_v2v3(f"WFI{number:02d}", X, Y)
    # 1e-6 mas; polynomials of pysiaf refitted in units of half a detector (rounding seen: 2e-8).
    np.testing.assert_allclose(np.stack(found), np.stack(expected), atol=1e-9, rtol=0)


def test_attitude_is_that_of_romanisim():
    attitude = attitude_of("WFI01", 12.108, 85.255, 0.0)
    # Values of `meta.wcsinfo` in romanisim's files, made with its own rotations (pysiaf).
    expected = (11.279538246309537, 85.29011025031872, 59.174052590221834)
    np.testing.assert_allclose(
        (attitude.ra_ref, attitude.dec_ref, attitude.roll_ref), expected, atol=2e-11, rtol=0
    )


def test_all_detectors_share_one_boresight():
    boresights = np.array(
        [
            [b.ra_ref, b.dec_ref, b.roll_ref]
            for b in (boresight_of(attitude_of(d, 40.0, -50.0, 12.0)) for d in DETECTORS)
        ]
    )
    np.testing.assert_allclose(boresights, boresights[[0]].repeat(18, axis=0), atol=1e-11)


def test_moving_the_reference_point_moves_no_star():
    attitude = attitude_of("WFI03", 200.0, 70.0, 300.0)
    elsewhere = move_reference(attitude, -300.0, 500.0)
    v2, v3 = detector_to_v2v3("WFI03", X, Y)
    assert (
        separation_mas(*v2v3_to_sky(attitude, v2, v3), *v2v3_to_sky(elsewhere, v2, v3)).max() < 1e-6
    )


def test_reference_point_stands_where_the_attitude_says():
    attitude = Attitude(33.0, -44.0, 77.0, 1312.949, -1040.785)
    ra, dec = v2v3_to_sky(attitude, 1312.949, -1040.785)
    assert separation_mas(ra, dec, 33.0, -44.0) < 1e-6
    # Towards V3 the sky is at the position angle `roll`: east over north.
    ra, dec = v2v3_to_sky(attitude, 1312.949, -1039.785)
    angle = np.degrees(np.arctan2((ra - 33.0) * np.cos(np.radians(-44.0)), dec + 44.0))
    assert angle == pytest.approx(77.0, abs=1e-3)


def test_far_directions_have_no_pixel():
    attitude = attitude_of("WFI01", 10.0, 20.0, 0.0)
    x, y = sky_to_detector(attitude, "WFI01", np.array([190.0, 12.0]), np.array([-20.0, 20.0]))
    assert np.isnan(x).all()
    assert np.isnan(y).all()

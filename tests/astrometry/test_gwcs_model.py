"""The gwcs objects say the same as the functions."""

import io

import asdf
import numpy as np
import pytest
from astropy.modeling import models

from tessella.astrometry.gwcs_model import (
    build_gwcs,
    build_tangent_gwcs,
    distortion_model,
    to_v2v3,
    with_attitude,
)
from tessella.astrometry.tangent import pixel_to_sky
from tessella.astrometry.wcs import attitude_of, detector_to_sky, detector_to_v2v3
from tessella.models import Lattice, Window

RNG = np.random.default_rng(6)


def mas(ra1, dec1, ra2, dec2):
    return np.hypot((ra1 - ra2) * np.cos(np.radians(dec1)), dec1 - dec2) * 3.6e6


@pytest.mark.parametrize("detector", ["WFI01", "WFI06", "WFI09", "WFI12", "WFI18"])
def test_models_agree_with_the_functions(detector):
    attitude, window = attitude_of(detector, 12.108, 45.255, 20.0), Window(1536, 256, 1024, 512)
    x, y = RNG.uniform(0, 500, (2, 200))
    found = build_gwcs(attitude, detector, window)(x, y)
    expected = detector_to_sky(attitude, detector, x + 1536, y + 256)
    # 1e-6 mas: five digits below anything that is measured. Degrees in double precision: 2e-7 mas.
    assert mas(*found, *expected).max() < 1e-6


def test_border_shifts_the_origin_and_nothing_else():
    attitude, window = attitude_of("WFI02", 12.0, 45.0, 20.0), Window(128, 256, 256, 128)
    inner, outer = (
        build_gwcs(attitude, "WFI02", window),
        build_gwcs(attitude, "WFI02", window, border=4),
    )
    np.testing.assert_allclose(outer(14.0, 24.0), inner(10.0, 20.0), rtol=1e-15)
    assert inner.bounding_box.intervals[0].upper - inner.bounding_box.intervals[0].lower in (
        248,
        120,
    )


@pytest.mark.parametrize("border", [0, 4])
def test_another_attitude_changes_nothing_else(border):
    window = Window(128, 256, 512, 128)
    believed, true = (attitude_of("WFI02", 12.0, 45.0, angle) for angle in (20.0, 20.1))
    turned = with_attitude(build_gwcs(believed, "WFI02", window), true, border)
    direct = build_gwcs(true, "WFI02", window, border)
    x, y = RNG.uniform(0, 120, (2, 50))
    np.testing.assert_array_equal(turned(x, y), direct(x, y))
    assert turned.bounding_box == direct.bounding_box


def test_distortion_of_a_reference_is_kept_under_another_attitude():
    shifted = distortion_model("WFI02") | (models.Shift(3.0) & models.Shift(-1.0))
    window, attitude = Window(128, 256, 512, 128), attitude_of("WFI02", 12.0, 45.0, 20.0)
    wcs = with_attitude(build_gwcs(attitude, "WFI02", window, distortion=shifted), attitude)
    expected = detector_to_v2v3("WFI02", np.array([138.0]), np.array([276.0]))
    # Sums of polynomials in another order: 1e-12 of some thousand arcsec.
    found = to_v2v3(wcs, np.array([10.0]), np.array([20.0]))
    np.testing.assert_allclose(found, np.add(expected, [[3.0], [-1.0]]), rtol=1e-12)


def test_inverse_of_the_file_is_good_to_a_hundredth_of_a_pixel():
    wcs = build_gwcs(attitude_of("WFI05", 12.0, 45.0, 20.0), "WFI05", Window())
    x, y = RNG.uniform(0, 4087, (2, 50))
    # The SIAF's own inverse polynomial is a fit.
    np.testing.assert_allclose(np.stack(wcs.invert(*wcs(x, y))), np.stack([x, y]), atol=0.01)


def test_tangent_plane_agrees_with_the_functions():
    lattice = Lattice(250.0, -66.0, 70.5, -1200.0, 0.055, 300, 200)
    x, y = RNG.uniform(0, 200, (2, 50))
    assert mas(*build_tangent_gwcs(lattice)(x, y), *pixel_to_sky(lattice, x, y)).max() < 1e-6


def test_objects_survive_a_file():
    wcs = build_gwcs(attitude_of("WFI01", 12.0, 45.0, 20.0), "WFI01", Window(0, 0, 128, 128))
    file = io.BytesIO()
    asdf.AsdfFile({"wcs": wcs}).write_to(file)
    file.seek(0)
    with asdf.open(file) as read:
        np.testing.assert_array_equal(read["wcs"](3.0, 7.0), wcs(3.0, 7.0))

"""The gwcs objects say the same as the functions."""

import io

import asdf
import numpy as np
import pytest

from tessella.astrometry.gwcs_model import build_gwcs, build_tangent_gwcs
from tessella.astrometry.tangent import pixel_to_sky
from tessella.astrometry.wcs import attitude_of, detector_to_sky
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

"""Drizzling gives what the drizzle library gives."""

import numpy as np
import pytest

from tessella.astrometry.wcs import attitude_of, detector_to_sky
from tessella.coadd.drizzle_kernel import drizzle_alone
from tessella.coadd.places import places_of
from tessella.models import Lattice

resample = pytest.importorskip("drizzle.resample", reason="the drizzle library is not installed")
DETECTOR, N, SIZE = "WFI01", 100, 300
#: Lattice pixels about the edge of the image that are not compared: the library extrapolates
#: the corners of its outermost pixels.
EDGE = 3


def compare(turn, scale, pixfrac):
    """Return mean and weight of ours and of the library."""
    rng = np.random.default_rng(3)
    attitude = attitude_of(DETECTOR, 40.0, 10.0, turn)
    ra, dec = detector_to_sky(attitude, DETECTOR, np.array(50.0), np.array(50.0))
    middle = SIZE / 2 - 0.3
    lattice = Lattice(float(ra), float(dec), middle, middle, scale, SIZE, SIZE)
    places = places_of(lambda x, y: detector_to_sky(attitude, DETECTOR, x, y), (N, N), lattice)
    values = rng.normal(1.0, 0.3, (N, N)).astype(np.float32)
    weights = rng.uniform(0.5, 2.0, (N, N)).astype(np.float32)
    weights[rng.random((N, N)) < 0.1] = 0
    library = resample.Drizzle(kernel="square", out_shape=(SIZE, SIZE), fillval="NAN")
    library.add_image(
        values, exptime=1.0, pixmap=places.centers(0, N), weight_map=weights, pixfrac=pixfrac,
        in_units="cps",
    )  # fmt: skip
    corners, box = places.corners(0, N), (0, SIZE, 0, SIZE)
    across, along = corners[1:, 1:] - corners[:-1, :-1], corners[1:, :-1] - corners[:-1, 1:]
    area = np.abs(across[..., 0] * along[..., 1] - across[..., 1] * along[..., 0]) / 2
    # The library shares out a weight; here each lattice pixel has it that the drop covers.
    ours = drizzle_alone(values, weights / area / pixfrac**2, corners, box, 1, pixfrac)
    _, covered = drizzle_alone(values, np.ones((N, N)), corners, box)
    inner = covered > 1 - 1e-9
    for axis in (0, 1):
        for shift in (-EDGE, EDGE):
            inner &= np.roll(inner, shift, axis)
    return ours, (library.out_img, library.out_wht), inner


@pytest.mark.parametrize("pixfrac", [1.0, 0.7])
@pytest.mark.parametrize(("turn", "scale"), [(0.0, 0.055), (33.0, 0.055), (71.0, 0.09)])
def test_means_and_weights_are_those_of_the_library(turn, scale, pixfrac):
    (mean, weight), (peer_mean, peer_weight), inner = compare(turn, scale, pixfrac)
    assert inner.sum() > 5000
    # The library adds in single precision: some ten terms of 6e-8 each, and takes corners half-way
    # between centres, which the curvature over one pixel leaves 1e-7 pixel off.
    np.testing.assert_allclose(weight[inner], peer_weight[inner], atol=1e-5)
    known = inner & (peer_weight > 1e-3)
    np.testing.assert_allclose(mean[known], peer_mean[known], atol=1e-3)
    assert np.median(np.abs(mean[known] - peer_mean[known])) < 1e-6

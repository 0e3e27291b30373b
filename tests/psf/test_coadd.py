"""The PSF of a coadd is what drizzling makes of stars, and the mean of those of its images."""

import itertools

import numpy as np
import pytest

from tessella.astrometry.wcs import attitude_of
from tessella.coadd.drizzle_kernel import drizzle_alone
from tessella.coadd.views import View
from tessella.models import Lattice, Window
from tessella.psf.coadd import HALF_PIXELS, OVERSAMPLE, CoaddPsf, coadd_psf, on_lattice
from tessella.psf.effective import EffectivePsf

AXIS = np.arange(-80, 81) / 4
#: Of an elongated star, 0.9 by 0.7 pixels of the detector.
PSF = EffectivePsf(
    np.exp(-(AXIS[:, None] ** 2 / 0.9**2 + AXIS**2 / 0.7**2) / 2) / (2 * np.pi * 0.9 * 0.7), 4
)
LATTICE = Lattice(12.0, 85.0, 100.5, -200.5, 0.055, 400, 300)


def turned(degrees, scale=1.96):
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return scale * turn


@pytest.mark.parametrize(("degrees", "pixfrac"), [(0.0, 1.0), (33.0, 1.0), (33.0, 0.6)])
def test_stamp_is_the_mean_of_drizzled_stars(degrees, pixfrac):
    per_pixel, half, n = turned(degrees), 12, 12
    stamp = on_lattice(PSF, per_pixel, pixfrac, 1, half)
    pixel, total = np.arange(-12, 13.0), np.zeros_like(stamp)
    edge = np.arange(-12, 14.0) - 0.5
    corner_x, corner_y = np.meshgrid(edge, edge)
    steps = (np.arange(n) + 0.5) / n - 0.5
    for x, y in itertools.product(steps, steps):
        # A star in the middle of a lattice pixel falls on any place of a detector's pixel.
        shown = PSF.evaluate_grid(pixel - x, pixel - y)
        corners = np.stack([corner_x - x, corner_y - y], -1) @ per_pixel.T
        box = (-half, half + 1, -half, half + 1)
        mean, _ = drizzle_alone(shown, np.ones_like(shown), corners, box, 1, pixfrac)
        total += np.nan_to_num(mean) / np.linalg.det(per_pixel) / n**2
    if pixfrac == 1.0:
        np.testing.assert_allclose(total, stamp, atol=2e-3 * stamp.max())
    assert stamp.sum() == pytest.approx(1.0, abs=2e-3)
    y, x = np.indices(stamp.shape) - half
    along = np.linalg.inv(per_pixel)
    u, v = along[0, 0] * x + along[0, 1] * y, along[1, 0] * x + along[1, 1] * y
    # Second moments add up: the star's, the drop's, and those of the pixel of the lattice.
    pixel = (along[0] ** 2).sum() / 12, (along[1] ** 2).sum() / 12
    for axis, sigma, of_pixel in ((u, 0.7, pixel[0]), (v, 0.9, pixel[1])):
        expected = sigma**2 + pixfrac**2 / 12 + of_pixel
        assert (stamp * axis**2).sum() == pytest.approx(expected, rel=0.01)


def test_images_count_with_their_weights_where_they_are_seen():
    size = 2 * OVERSAMPLE * HALF_PIXELS + 1
    drawn = np.stack([np.full((size, size), value) for value in (1.0, 3.0)])
    which = np.array([np.zeros((2, 2)), np.ones((2, 2))], int)
    nodes = np.array([0.0, 10.0])
    psf = CoaddPsf(nodes, nodes, drawn, which, np.array([1.0, 3.0]))
    for members, value in (((True, True), 2.5), ((True, False), 1.0), ((False, True), 3.0)):
        assert np.unique(psf.mean(np.array(members))) == pytest.approx([value])
        assert np.unique(psf.at(4.0, 5.0, np.array(members)).stamp) == pytest.approx([value])
    assert np.isnan(psf.mean(np.zeros(2, bool))).all()
    with pytest.raises(ValueError, match="no image counts"):
        psf.at(4.0, 5.0, np.zeros(2, bool))


def test_nodes_are_mixed_by_their_distance():
    size = 2 * OVERSAMPLE * HALF_PIXELS + 1
    drawn = np.stack([np.full((size, size), value) for value in (0.0, 1.0)])
    which = np.array([[[0, 1], [0, 1]]])
    nodes = np.array([0.0, 10.0])
    psf = CoaddPsf(nodes, nodes, drawn, which, np.ones(1))
    assert psf.at(2.5, 9.0, np.ones(1, bool)).stamp[0, 0] == pytest.approx(0.25)


def test_images_are_turned_as_they_lie():
    views = [
        View("WFI01", Window(), attitude_of("WFI01", 12.0, 85.0, pa, "2028-07-01T00:00:00"))
        for pa in (0.0, 90.0)
    ]
    psf = coadd_psf(LATTICE, views, {"WFI01": PSF}, 1.0)
    y, x = np.indices(psf.drawn.shape[1:])

    def shape(members):
        stamp = psf.at(100.0, 100.0, np.array(members)).stamp
        dx, dy = x - x.mean(), y - y.mean()
        return (stamp * dx**2).sum(), (stamp * dy**2).sum()

    first, second, both = shape((True, False)), shape((False, True)), shape((True, True))
    # A quarter of a turn swaps the axes; the pixels of the detector are not quite square.
    assert first[0] == pytest.approx(second[1], rel=0.02)
    assert abs(first[0] / first[1] - 1) > 0.2
    assert both[0] == pytest.approx((first[0] + second[0]) / 2, rel=1e-6)


def test_detector_without_a_psf_is_named():
    view = View("WFI02", Window(), attitude_of("WFI02", 12.0, 85.0, 0.0))
    with pytest.raises(KeyError, match="WFI02"):
        coadd_psf(LATTICE, [view], {"WFI01": PSF}, 1.0)

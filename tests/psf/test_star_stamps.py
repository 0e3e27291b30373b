"""Which stars show the PSF, and what is cut out of an image around them."""

from types import SimpleNamespace

import numpy as np
import pytest

from tessella import flags
from tessella.models import Window
from tessella.psf.fit import Stars
from tessella.psf.star_stamps import Selection, cut_stamps, join, phase_coverage

SIDE, SKY, PER_UNIT, READ = 248, 1.5, 0.01, 0.002


def image(window=None):
    """An image of even sky without noise, whose variance is that of its photons and of reading."""
    data = np.full((SIDE, SIDE), SKY)
    return SimpleNamespace(
        data=data,
        dq=np.zeros((SIDE, SIDE), np.uint32),
        var_poisson=PER_UNIT * data,
        err=np.sqrt(PER_UNIT * data + READ),
        window=window or Window(256, 128, 256, 256),
    )


def stars(x, y, flux=None, ratio=500.0, is_good=True):
    n = len(x)
    flux = np.full(n, 100.0) if flux is None else np.asarray(flux, float)
    return Stars(
        x=np.asarray(x, float),
        y=np.asarray(y, float),
        x_err=np.full(n, 1e-3),
        y_err=np.full(n, 1e-3),
        flux=flux,
        flux_err=flux / ratio,
        chisq=np.ones(n),
        is_good=np.full(n, is_good),
    )


def test_stars_are_placed_on_the_detector_and_carry_the_variance_without_their_light():
    shown = image()
    shown.data[99:102, 49:52] += 1000.0
    shown.var_poisson = PER_UNIT * shown.data
    shown.err = np.sqrt(shown.var_poisson + READ)
    shown.dq[95, 53] = flags.HOT | flags.DO_NOT_USE
    cut, rejected = cut_stamps(shown, stars([50.3], [99.8]), "a", Selection(clear_pixels=3))
    assert (cut.x[0], cut.y[0]) == pytest.approx((306.3, 227.8))
    assert (cut.column[0], cut.row[0]) == (299, 221)
    assert cut.signal_variance[0] == pytest.approx(PER_UNIT)
    left_out = ~np.isfinite(cut.variance[0])
    assert np.argwhere(left_out).tolist() == [[2, 10]]
    np.testing.assert_allclose(cut.variance[0][~left_out], PER_UNIT * SKY + READ)
    assert not any(rejected.values())


def test_each_reason_is_told():
    shown = image()
    shown.dq[60, 64] = flags.JUMP_DET
    shown.dq[60, 106] = flags.JUMP_DET
    x, y = [3, 60, 100, 150, 158, 200, 30], [100, 60, 60, 100, 100, 200, 200]
    flux = [100, 100, 100, 100, 2, 1, 100]
    found = stars(x, y, flux, ratio=np.array([500, 500, 500, 500, 500, 20, 500.0]))
    colours = np.array([0, 0, 0, 0, 0, 0, np.nan])
    cut, rejected = cut_stamps(shown, found, "a", None, colours)
    # The star of 2 units is too near to one of 100; the jump at a distance of 6 does no harm.
    assert rejected == {
        "not measured": 0,
        "signal-to-noise": 1,
        "edge": 1,
        "flags": 1,
        "neighbour": 2,
        "colour": 1,
    }
    assert (cut.x - 256).tolist() == [100.0]


def test_order_of_images_and_stars_does_not_matter():
    shown = image()
    one = cut_stamps(shown, stars([50, 120], [50, 120]), "a")[0]
    other = cut_stamps(shown, stars([80, 20, 80], [160, 60, 60]), "b")[0]
    there, back = join([one, other]), join([other.take(np.array([2, 0, 1])), one])
    np.testing.assert_array_equal(there.x, back.x)
    np.testing.assert_array_equal(there.image, back.image)
    assert len(there) == 5


def test_phases_that_repeat_are_seen():
    rng = np.random.default_rng(4)
    x, y = rng.uniform(0, 4000, (2, 400))
    assert phase_coverage(x, y)[1] > 1e-3
    # Dithers by whole pixels of stars that stand on one half of them.
    assert phase_coverage(np.floor(x) + rng.uniform(0, 0.5, 400), y)[1] < 1e-6
    assert np.isnan(phase_coverage(x[:19], y[:19])).all()

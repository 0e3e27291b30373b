"""An image finds its place by its own stars."""

from dataclasses import replace

import exposures
import numpy as np
import pytest

from tessella.astrometry.align_image import among_all, detector_stars, without_pixels
from tessella.astrometry.alignment import align_exposure
from tessella.astrometry.motion import Positions
from tessella.astrometry.wcs import attitude_of, detector_to_sky, sky_to_detector
from tessella.models import Window
from tessella.psf.effective import EffectivePsf
from tessella.psf.fit import measure_stars

WINDOW = Window(1536, 1536, 512, 512)
AXIS = np.arange(-32, 33) / 4
PSF = EffectivePsf(np.exp(-(AXIS[:, None] ** 2 + AXIS**2) / 2 / 0.6**2) / (2 * np.pi * 0.6**2), 4)
TRUE = attitude_of("WFI01", 12.108, 85.255, 0.0)


def align_image(image, references):
    """Measure the stars of an image and align it alone."""
    stars = measure_stars(image, PSF, 12.0, 500)
    detector, *among = detector_stars(without_pixels(image), stars, references, 33.0)
    [found] = align_exposure([detector], 30.0, 300.0, 0.2, 4)
    return among_all(found, *among), stars


def exposure(n=40):
    """An image whose attitude is wrong by 0.5 arcsec and 20 of roll; references as Gaia's."""
    rng = np.random.default_rng(3)
    x, y = rng.uniform(15, 488, (2, n))
    data = 1 + 0.3 * rng.standard_normal(WINDOW.active_shape)
    rows, columns = np.arange(504.0), np.arange(504.0)
    for a, b, flux in zip(x, y, rng.uniform(50, 500, n), strict=True):
        data += flux * PSF.evaluate_grid(columns - a, rows - b)
    ra, dec = detector_to_sky(TRUE, "WFI01", x + 1536, y + 1536)
    covariance = np.broadcast_to(0.3**2 * np.eye(2), (n, 2, 2)).copy()
    covariance[0] = np.nan
    believed = replace(TRUE, dec_ref=TRUE.dec_ref + 0.5 / 3600, roll_ref=TRUE.roll_ref + 20 / 3600)
    image = exposures.make_image(data, 0.3, WINDOW, believed)
    return image, Positions(ra, dec, covariance, np.ones(n, bool))


def test_pointing_error_is_corrected_to_a_milliarcsecond():
    image, references = exposure()
    alignment, stars = align_image(image, references)
    assert alignment.is_aligned
    x, y = np.array([1600.0, 2000.0]), np.array([1600.0, 1900.0])
    back = sky_to_detector(TRUE, "WFI01", *detector_to_sky(alignment.attitude, "WFI01", x, y))
    # Thirty stars of about 0.01 pixel: 0.002 pixels of 110 mas, five times.
    np.testing.assert_allclose(np.stack(back), np.stack([x, y]), atol=0.01)
    # Stars are counted among all that were measured; the reference of unknown error took no part.
    chosen = alignment.stars
    used = detector_to_sky(
        alignment.attitude, "WFI01", stars.x[chosen] + 1536, stars.y[chosen] + 1536
    )
    distance = np.abs(used[0][:, None] - references.ra) * np.cos(np.radians(85.255)) + np.abs(
        used[1][:, None] - references.dec
    )
    assert distance.min(axis=1).max() * 3600 < 0.01
    assert 0 not in distance.argmin(axis=1)
    assert alignment.n_used < 40


def test_image_without_stars_keeps_its_pointing():
    image, references = exposure(n=2)
    alignment, _ = align_image(image, references)
    assert not alignment.is_aligned
    assert alignment.attitude == image.attitude
    assert "not aligned" in alignment.status


@pytest.mark.parametrize("n", [0])
def test_no_reference_stars_is_no_error(n):
    image, references = exposure()
    none = Positions(
        *(getattr(references, name)[:n] for name in ("ra", "dec", "covariance", "is_moved"))
    )
    assert not align_image(image, none)[0].is_aligned

"""A coadd made at once has the light, the errors and the noise of a processed one."""

from dataclasses import replace

import numpy as np
import pytest
from coadd_cells import HEADERS, LATTICE, SIDE, STATE, at_once, planned, processed

from tessella.astrometry.tangent import pixel_to_sky, sky_to_pixel
from tessella.astrometry.wcs import attitude_of
from tessella.photometry.noise import correlated_variance
from tessella.simulate.level3 import simulate_mosaic
from tessella.simulate.scene import truth_dtype

SCALES = (1, 2, 4, 8, 16, 32)


@pytest.fixture(scope="module")
def blank():
    none = np.zeros(0, truth_dtype())
    return at_once(none), *processed(none)


def sums_of_boxes(data, scale):
    n = SIDE // scale * scale
    return data[:n, :n].reshape(n // scale, scale, n // scale, scale).sum(axis=(1, 3))


@pytest.mark.parametrize("scale", SCALES)
def test_noise_agrees_on_every_scale(blank, scale):
    mosaic, images, _ = blank
    assert np.isfinite(mosaic.data).all()
    spread = []
    for data in (mosaic.data, images["data"]):
        values = sums_of_boxes(data.astype(float), scale)
        spread.append(values.std())
    n = (SIDE // scale) ** 2
    # Sums beside each other share pixels of the detector, which at 1 and 2 leaves a tenth of them
    # independent: deviations are known to 1 / sqrt(2 n f) of themselves, their ratio to sqrt(2) of
    # that. One percent more: medians stand for the pixels' own gain and response.
    independent = n * min(1.0, scale**2 / 10)
    assert spread[0] / spread[1] == pytest.approx(1.0, abs=0.01 + 3 / np.sqrt(independent))


def test_errors_weights_times_and_correlation_agree(blank):
    mosaic, images, correlation = blank
    for name in ("err", "var_poisson", "var_rnoise", "weight", "exposure_time"):
        ratio = np.median(getattr(mosaic, name) / images[name])
        assert ratio == pytest.approx(1.0, abs=0.01), name
    assert np.abs(mosaic.exposure_time - images["exposure_time"]).max() < 0.01
    assert np.abs(mosaic.noise_correlation - correlation).max() < 0.003
    assert mosaic.members == tuple(header.key.name for header in HEADERS)


def test_noise_is_what_the_recorded_correlation_says(blank):
    mosaic, _, _ = blank
    for scale in (4, 16):
        values = sums_of_boxes(mosaic.data.astype(float), scale)
        told = correlated_variance(
            np.full((scale, scale), np.median(mosaic.err)), mosaic.noise_correlation
        )
        # Capacitance makes the sum of photon noise what it was before, but less in single pixels
        # than errors say: here 0.7 of the variance is that of reading.
        assert values.std() / np.sqrt(told) == pytest.approx(1.0, abs=0.05)


def test_star_and_galaxy_have_the_light_that_a_processed_coadd_shows():
    truth = np.zeros(2, truth_dtype())
    places = np.array([420.3, 780.7]), np.array([560.2, 510.9])
    truth["ra"], truth["dec"] = pixel_to_sky(LATTICE, *places)
    truth["type"], truth["n"], truth["ba"] = ["PSF", "SER"], [-1, 1.5], [1, 0.6]
    truth["half_light_radius"], truth["pa"], truth["F158"] = [0, 0.3], [0, 35.0], [2e-7, 4e-7]
    made, (images, _) = at_once(truth), processed(truth)
    for x0, y0 in zip(*sky_to_pixel(LATTICE, truth["ra"], truth["dec"]), strict=True):
        y, x = np.mgrid[:SIDE, :SIDE]
        radius = np.hypot(x - x0, y - y0)
        found = []
        for data in (made.data, images["data"]):
            light = data - np.median(data[radius > 200])
            near = radius < 30
            flux = light[near].sum()
            core = light[radius < 4].sum()
            center = (light * x)[near].sum() / flux - x0, (light * y)[near].sum() / flux - y0
            found.append((flux, core, *center))
        (flux, core, *center), (flux_2, core_2, *center_2) = found
        # Photon noise of 7,000 and of 14,000 electrons / s in three exposures is 0.1 %; the flat
        # (0.2 % a pixel) and linear interpolation between nodes of the optics leave as much.
        assert flux == pytest.approx(flux_2, rel=0.005)
        # In a circle of two detector pixels it matters where three dithers fell.
        assert core == pytest.approx(core_2, rel=0.02)
        assert center == pytest.approx(center_2, abs=0.05)


def test_result_does_not_depend_on_the_order_or_on_images_elsewhere():
    none = np.zeros(0, truth_dtype())
    small = replace(LATTICE, nx=128, ny=128)
    images = [planned(header) for header in HEADERS]
    far = replace(images[0], name="far", attitude=attitude_of("WFI01", 12.9, 85.255, 0.0))
    one = simulate_mosaic(none, images, small, "F158", STATE, 1.5, 1.0, 3)
    two = simulate_mosaic(none, [far, *images[::-1]], small, "F158", STATE, 1.5, 1.0, 3)
    assert np.array_equal(one.data, two.data)
    assert np.array_equal(one.err, two.err)
    assert set(two.members) == set(one.members)


def test_sources_make_their_own_noise():
    truth = np.zeros(1, truth_dtype())
    truth["ra"], truth["dec"] = pixel_to_sky(LATTICE, 64.0, 64.0)
    truth["type"], truth["n"], truth["ba"], truth["F158"] = "PSF", -1, 1, 3e-7
    small = replace(LATTICE, nx=128, ny=128)
    images = [planned(header) for header in HEADERS]
    bare = simulate_mosaic(truth[:0], images, small, "F158", STATE, 1.5, 1.0, 3)
    lit = simulate_mosaic(truth, images, small, "F158", STATE, 1.5, 1.0, 3)
    assert lit.var_poisson[64, 64] > 100 * bare.var_poisson[64, 64]
    assert lit.var_poisson[5, 5] == pytest.approx(bare.var_poisson[5, 5], rel=0.1)

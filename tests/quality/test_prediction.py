import numpy as np
import pytest
from catalog_fields import SCALE, TO_NJY, band, measured_field, mosaic, noise

from tessella.models import Lattice
from tessella.photometry.apertures import circular_flux
from tessella.quality.figures import robust_sd
from tessella.quality.prediction import (
    covered,
    deepest_aperture,
    distance_to_border,
    exposures_at,
    predicted_error,
    saturation_flux,
)  # fmt: skip
from tessella.quality.samples import NANOJANSKY_PER_MAGGY, Sky, place_truth, truth_of_tile
from tessella.quality.sky_apertures import depth_abmag, empty_places, sky_pulls
from tessella.sources.detection import Detection


def empty_band(n: int = 400, sigma: float = 1.0, err: float = 1.0):
    image = mosaic(noise((n, n), sigma, "empty"), err)
    blank = np.zeros((n, n), np.float32)
    detection = Detection(
        image.lattice, blank.astype(np.int32), blank, blank + 1, image.noise_correlation
    )
    return image, band(image, detection)


def test_predicted_error_is_the_scatter_of_empty_apertures():
    _, sky = empty_band()
    x, y = empty_places(np.zeros((400, 400), bool), deepest_aperture(sky)[0] / SCALE, 500, "test")
    pulls, error = sky_pulls(sky, x, y)
    # Standard error of the robust spread of 500: 1.17 / sqrt(500) = 0.05.
    assert robust_sd(pulls) == pytest.approx(1, abs=0.16)
    np.testing.assert_allclose(error, predicted_error(sky, x, y), rtol=0.02)


def test_errors_that_are_too_small_show_in_the_pulls():
    _, sky = empty_band(err=0.5)
    x, y = empty_places(np.zeros((400, 400), bool), deepest_aperture(sky)[0] / SCALE, 500, "test")
    assert robust_sd(sky_pulls(sky, x, y)[0]) == pytest.approx(2, abs=0.32)


def test_saturated_cores_are_covered_and_have_an_error():
    data = noise((200, 200), 1.0, "core")
    data[95:106, 95:106] = np.nan
    image = mosaic(data)
    blank = np.zeros((200, 200), np.float32)
    detection = Detection(
        image.lattice, blank.astype(np.int32), blank, blank + 1, image.noise_correlation
    )
    centre = np.array([100.0])
    assert covered(image).all()
    assert distance_to_border(covered(image), centre, centre)[0] == 100
    assert np.isfinite(predicted_error(band(image, detection), centre, centre))[0]


def test_empty_places_touch_neither_sources_nor_each_other():
    occupied = np.zeros((300, 300), bool)
    occupied[:150] = True
    x, y = empty_places(occupied, 4.0, 500, "test")
    assert 100 < len(x) < 500
    assert (y - 4 > 150).all()
    distance = np.hypot(x[:, None] - x, y[:, None] - y) + 1e9 * np.eye(len(x))
    assert distance.min() > 8


def test_exposures_are_counted_over_all_planes():
    context = np.zeros((2, 50, 50), np.uint32)
    context[0], context[1, :25] = 0b101, 0b1
    image = mosaic(np.zeros((50, 50)), context=context)
    place = np.array([10.0, 10.0, -5.0]), np.array([40.0, 10.0, 10.0])
    assert exposures_at(image, *place).tolist() == [2, 3, 0]


def test_a_star_at_the_saturation_flux_just_fills_a_pixel():
    flux = saturation_flux(3e10, 9.5, 0.4, 1e5)
    assert flux * 3e10 * 9.5 * 0.4 == pytest.approx(1e5)


def test_depth_is_where_five_sigma_stands():
    magnitude = depth_abmag(np.array([20.0]))
    assert NANOJANSKY_PER_MAGGY * 10 ** (-0.4 * magnitude) == pytest.approx([100.0])


def test_predicted_signal_to_noise_is_that_of_the_measurement():
    x, y, mosaics, _, first = measured_field(400, 45, 100.0, 1)
    lattice: Lattice = mosaics[0].lattice
    from tessella.astrometry.tangent import pixel_to_sky

    ra, dec = pixel_to_sky(lattice, x, y)
    yes = np.ones(len(x), bool)
    maggies = np.full(len(x), 100.0 * TO_NJY / NANOJANSKY_PER_MAGGY)
    nowhere = np.full(len(x), np.nan)
    sky = Sky(ra, dec, yes, np.zeros(len(x)), yes, nowhere, {"F158": maggies})
    known = truth_of_tile(sky, {"F158": place_truth(sky, mosaics[0], first, np.inf)})
    radius, energy = deepest_aperture(first)
    flux, error = circular_flux(first, x, y, radius / SCALE)
    np.testing.assert_allclose(known.bands["F158"].error, error / energy, rtol=0.05)
    # n = 49 stars: the mean of their fluxes is good to a seventh of the error of one.
    assert np.mean(flux / energy) == pytest.approx(
        100.0 * TO_NJY, abs=float(4 * error[0] / energy / 7)
    )

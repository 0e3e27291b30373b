import dataclasses

import catalog_fields as fields
import numpy as np
import pytest
from photutils.aperture import CircularAperture, aperture_photometry

from tessella.measurements import measure_band, measure_detection
from tessella.photometry.apertures import (
    APERTURES,
    best_aperture,
    circular_apertures,
    circular_flux,
)
from tessella.photometry.band import EncircledEnergy
from tessella.sources.detection import Detection


def at(x, y):
    return {"x_centroid": x, "y_centroid": y, "x_centroid_win": x, "y_centroid_win": y}


def empty_detection(image) -> Detection:
    ones = np.ones(image.data.shape, np.float32)
    return Detection(image.lattice, np.zeros(ones.shape, np.int32), 0 * ones, ones, np.ones((1, 1)))


@pytest.fixture(scope="module")
def star_field():
    return fields.measured_field(700, 34, 500.0)


def test_errors_of_every_aperture_are_those_of_drawn_noise():
    # 1,000 positions on each of which all five apertures lie; the standard error of a standard
    # deviation is 1 / sqrt(2 n) = 2.2 %. The largest are 59 pixels wide, on a pitch of 40: about
    # 700 independent ones, 2.7 %.
    pulls = {digits: [] for digits in APERTURES}
    for key in range(4):
        image = fields.mosaic(fields.noise((700, 700), 1.0, "sky", key) + 5.0)
        band = fields.band(image, empty_detection(image))
        x, y = fields.grid((700, 700), 40, "sky", key)
        for digits, radius in APERTURES.items():
            flux, err = circular_flux(band, x, y, radius / fields.SCALE)
            pulls[digits].append(flux / err)
    for digits, values in pulls.items():
        assert 0.95 < np.std(np.concatenate(values)) < 1.05, digits


def test_sums_are_those_of_an_independent_implementation(star_field):
    x, y, _, _, band = star_field
    for radius in (1.8, 7.3):
        table = aperture_photometry(band.data, CircularAperture(np.column_stack((x, y)), radius))
        flux, _ = circular_flux(band, x, y, radius)
        # float32 sums of some 170 pixels
        np.testing.assert_allclose(flux, table["aperture_sum"], rtol=1e-4)


def test_star_flux_is_unbiased_and_its_error_is_true(star_field):
    x, _, _, detection, band = star_field
    detected, _ = measure_detection(detection)
    columns, _ = measure_band(band, detected)
    assert len(detection.labels) == x.size
    true = 500.0 * fields.TO_NJY
    ratio, error = columns["tessella_star_flux"] / true, columns["tessella_star_flux_err"] / true
    # 361 stars: the mean is known to 1 / 19 of the scatter, the scatter to 3.7 %.
    assert abs(np.mean(ratio) - 1) < 3 * np.std(ratio) / np.sqrt(x.size) + 0.002
    assert 0.88 < np.std((ratio - 1) / error) < 1.12
    assert not columns["is_extended"].mean() > 0.05


def test_pixel_without_data_makes_the_flux_unknown_not_wrong(star_field):
    x, y, _, _, band = star_field
    data = band.data.copy()
    data[round(y[0]), round(x[0]) + 10] = np.nan
    holed = dataclasses.replace(band, data=data)
    columns = circular_apertures(holed, at(x[:2], y[:2]))
    assert np.isfinite(columns["aper04_flux"]).all()
    assert np.isnan(columns["aper08_flux"]).tolist() == [True, False]
    assert np.isnan(columns["aper08_flux_err"]).tolist() == [True, False]


def test_aperture_over_the_border_is_unknown(star_field):
    band = star_field[-1]
    columns = circular_apertures(band, at(np.array([1.0, np.nan]), np.array([50.0, 50.0])))
    assert np.isnan(columns["aper02_flux"]).all()
    assert np.isnan(columns["aper02_flux_err"]).all()


def test_annulus_error_is_true(star_field):
    _, _, _, detection, band = star_field
    detected, _ = measure_detection(detection)
    columns, _ = measure_band(band, detected)
    pull = columns["aper_bkg_flux"] / columns["aper_bkg_flux_err"]
    # Neighbouring annuli share pixels: about 60 are independent; the background took its part.
    assert 0.7 < np.std(pull) < 1.3


def with_stars_of(band, sigma_arcsec):
    radii = np.array(list(APERTURES.values()))
    energy = EncircledEnergy(radii, 1 - np.exp(-0.5 * (radii / sigma_arcsec) ** 2))
    return dataclasses.replace(band, encircled_energy=energy)


def test_best_aperture_is_wider_for_wider_stars(star_field):
    band = star_field[-1]
    assert best_aperture(band) == "02"
    assert best_aperture(with_stars_of(band, 0.3)) == "04"


def test_aperture_smaller_than_the_detector_can_tell_is_never_the_best(star_field):
    # Within 0.1 arcsec, less than one detector pixel, all the light and the least noise.
    assert best_aperture(with_stars_of(star_field[-1], 0.02)) == "02"

import catalog_fields as fields
import numpy as np
import pytest
from photutils.detection import DAOStarFinder
from scipy.spatial import cKDTree

from tessella.measurements import measure_band, measure_detection
from tessella.photometry.profiles import compactness


@pytest.fixture(scope="module")
def bright_field():
    _, _, _, detection, band = fields.measured_field(700, 45, 3000.0)
    detected, _ = measure_detection(detection)
    columns, _ = measure_band(band, detected)
    return band, detected, columns


def test_segment_and_kron_errors_are_true(bright_field):
    _, _, columns = bright_field
    true = 3000.0 * fields.TO_NJY
    # The Kron ellipse holds 98 % of a Gaussian: 1 - exp(-(2.5 x 1.4)^2 / 2) = 0.998.
    assert np.mean(columns["kron_flux"]) == pytest.approx(true, rel=0.01)
    pull = (columns["kron_flux"] - columns["kron_flux"].mean()) / columns["kron_flux_err"]
    # 196 sources: the standard error of a standard deviation is 5 %.
    assert 0.85 < np.std(pull) < 1.15
    pull = (columns["segment_flux"] - columns["segment_flux"].mean()) / columns["segment_flux_err"]
    assert 0.8 < np.std(pull) < 1.2


def test_half_of_a_gaussian_lies_within_1_18_sigma(bright_field):
    _, _, columns = bright_field
    expected = np.sqrt(2 * np.log(2)) * fields.SEEN_SIGMA * fields.SCALE
    assert np.median(columns["fluxfrac_radius_50"]) == pytest.approx(expected, rel=0.02)


def test_magnitude_belongs_to_the_flux(bright_field):
    _, _, columns = bright_field
    expected = -2.5 * np.log10(columns["kron_flux"] * 1e-9 / 3631)
    # 31.4 is the usual rounding of -2.5 log10(1e-9 / 3631) = 31.40.
    np.testing.assert_allclose(columns["kron_abmag"], expected, atol=1e-3)


def test_compactness_is_that_of_an_independent_implementation(bright_field):
    band, detected, columns = bright_field
    places = np.column_stack(
        (np.round(detected["x_centroid_win"]), np.round(detected["y_centroid_win"]))
    )
    finder = DAOStarFinder(
        0.0, 2.0, xycoords=places.astype(int), sharpness_range=None, roundness_range=None,
    )  # fmt: skip
    other = finder(band.data)
    other_places = np.column_stack((other["x_centroid"], other["y_centroid"]))
    apart, order = cKDTree(other_places).query(places)
    assert apart.max() < 1.5
    np.testing.assert_allclose(columns["sharpness"], other["sharpness"][order], rtol=1e-3)
    np.testing.assert_allclose(columns["roundness1"], other["roundness1"][order], atol=1e-3)


def test_missing_pixel_leaves_compactness_unknown(bright_field):
    band = bright_field[0]
    at = {"x_centroid": np.array([1.0]), "y_centroid": np.array([60.0])}
    columns = compactness(band, at | {f"{name}_win": value for name, value in at.items()})
    assert np.isnan(columns["sharpness"]).all()
    assert np.isnan(columns["roundness1"]).all()

"""PSF fits: fluxes, places and errors of stars alone and in pairs, and what cannot be fitted."""

from dataclasses import replace

import catalog_fields as fields
import numpy as np
import pytest

from tessella.photometry.psf_fit import fit_point_sources
from tessella.psf import together

SHAPE = (600, 600)


def columns_of(x, y):
    return {"x_centroid_win": x, "y_centroid_win": y, "x_centroid": x, "y_centroid": y}


def band_of(image, **changes):
    """One band with an empty detection: places are given."""
    mosaic = fields.mosaic(image, **changes)
    detection = fields.detect([mosaic], **(fields.DETECTION_OPTIONS | {"threshold_sigma": 1e9}))
    return fields.band(mosaic, detection)


def measured(x, y, flux, *key, moved=0.3, **changes):
    image = fields.noise(SHAPE, 1.0, *key) + fields.stars(SHAPE, x, y, flux)
    rng = fields.generator("first guesses", *key)
    first = np.stack([x, y]) + rng.uniform(-moved, moved, (2, x.size))
    return fit_point_sources(band_of(image, **changes), columns_of(*first))


@pytest.mark.parametrize("flux", [60.0, 300.0, 30000.0])
def test_fluxes_and_places_scatter_as_their_errors_say(flux):
    x, y = fields.grid(SHAPE, 25, f"alone {flux}")
    found = measured(x, y, np.full(x.size, flux), "alone", str(flux))
    to_flux = fields.TO_NJY
    # A place that swings to and fro in noise may not settle where S / N is 7.
    good = found["psf_flags"] == 0
    assert good.mean() > (0.98 if flux < 100 else 0.999)
    pulls = {
        name: ((found[name] - truth) / found[f"{name}_err"])[good]
        for name, truth in (("psf_flux", flux * to_flux), ("x_psf", x), ("y_psf", y))
    }
    n = good.sum()
    errors = np.median(found["psf_flux_err"])
    for pull in pulls.values():
        # 484 stars: a mean to 0.045, a deviation to 0.032; the background takes 3e-4. Of faint
        # stars the place follows the noise, which lifts the flux by half of its error over S / N.
        lift = 1.0 / 10 if flux < 100 else 0.0
        assert abs(pull.mean()) < 4 / np.sqrt(n) + lift + 3e-4 * flux * to_flux / errors
        assert pull.std() == pytest.approx(1.0, abs=4 / np.sqrt(2 * n) + 0.03)
    assert np.median(found["psf_gof"]) == pytest.approx(1.0, abs=0.15)


def test_weights_of_correlated_noise_are_better_than_those_of_white_noise():
    x, y = fields.grid(SHAPE, 25, "weights")
    image = fields.noise(SHAPE, 1.0, "weights") + fields.stars(SHAPE, x, y, np.full(x.size, 300.0))
    band = band_of(image)
    found = fit_point_sources(band, columns_of(x, y))
    white = fit_point_sources(replace(band, noise_correlation=np.ones((1, 1))), columns_of(x, y))
    # The same 484 stars: the ratio of their scatters is known to a percent or so.
    assert found["psf_flux"].std() < white["psf_flux"].std()


@pytest.mark.parametrize("distance", [3.5, 6.0])
@pytest.mark.parametrize("ratio", [1.0, 10.0])
def test_pairs_are_fitted_together(distance, ratio):
    x, y = fields.grid(SHAPE, 40, f"pairs {distance} {ratio}")
    rng = fields.generator("pairs", str(distance))
    angle = rng.uniform(0, 2 * np.pi, x.size)
    flux = 3000.0
    both_x = np.concatenate([x, x + distance * np.cos(angle)])
    both_y = np.concatenate([y, y + distance * np.sin(angle)])
    fluxes = np.repeat([flux, flux / ratio], x.size)
    found = measured(both_x, both_y, fluxes, "pairs", str(distance), str(ratio), moved=0.5)
    assert np.isfinite(found["psf_flux_err"]).all()
    pull = (found["psf_flux"] / fields.TO_NJY - fluxes) / (found["psf_flux_err"] / fields.TO_NJY)
    # 2 x 169 stars; pairs as near as the FWHM are told from each other to a percent.
    assert abs(np.median(pull)) < 0.3
    assert 1.4826 * np.median(np.abs(pull - np.median(pull))) == pytest.approx(1.0, abs=0.25)
    bias = np.median(found["psf_flux"] / fields.TO_NJY / fluxes) - 1
    assert abs(bias) < 0.02


def test_neighbours_do_not_depend_on_the_order_of_the_table():
    x, y = fields.grid(SHAPE, 30, "order")
    x = np.concatenate([x, x + 4.0])
    y = np.concatenate([y, y + 1.0])
    image = fields.noise(SHAPE, 1.0, "order") + fields.stars(SHAPE, x, y, np.full(x.size, 500.0))
    band, turned = band_of(image), np.arange(x.size)[::-1]
    first = fit_point_sources(band, columns_of(x, y))
    second = fit_point_sources(band, columns_of(x[turned], y[turned]))
    np.testing.assert_allclose(second["psf_flux"][turned], first["psf_flux"], rtol=1e-5)


def test_what_cannot_be_fitted_says_why():
    image = fields.noise(SHAPE, 1.0, "bad")
    places = np.array([100.0, 200.0, 300.0, 400.0, -50.0, np.nan, 500.0])
    image += fields.stars(SHAPE, places[:4], places[:4], np.array([500.0, 500.0, -500.0, 500.0]))
    image[190:211, 190:211] = np.nan
    image[395:400, 390:410] = np.nan
    band = band_of(image)
    context = band.context.copy()
    context[:, 490:511, 490:511] = 0
    found = fit_point_sources(replace(band, context=context), columns_of(places, places))
    flags = found["psf_flags"].tolist()
    assert flags[0] == 0
    assert flags[1] == together.INCOMPLETE | together.ALL_MASKED or flags[1] == together.ALL_MASKED
    assert flags[2] & together.NOT_POSITIVE
    assert found["psf_flux"][2] < 0
    assert np.isfinite(found["psf_flux_err"][2])
    assert flags[3] & together.INCOMPLETE
    assert flags[4] == flags[5] == together.OUTSIDE
    assert flags[6] == together.ALL_MASKED
    failed = np.array([1, 4, 5, 6])
    assert np.isnan(found["psf_flux"][failed]).all()
    assert np.isnan(found["x_psf"][failed]).all()
    np.testing.assert_array_equal(np.flatnonzero(found["failed"]), failed)


def test_no_source_is_no_fit():
    band = band_of(fields.noise(SHAPE, 1.0, "empty"))
    found = fit_point_sources(band, columns_of(np.zeros(0), np.zeros(0)))
    assert all(values.shape == (0,) for values in found.values())


def test_band_without_a_psf_is_refused():
    band = replace(band_of(fields.noise(SHAPE, 1.0, "none")), psf=None)
    with pytest.raises(ValueError, match="PSF"):
        fit_point_sources(band, columns_of(np.zeros(1), np.zeros(1)))

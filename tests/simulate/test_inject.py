"""Injected sources have the flux, the place and the noise that they were given."""

from dataclasses import replace

import coadd_cells as coadds
import exposures
import numpy as np
import pytest

from tessella import flags
from tessella.astrometry.pixel_area import nominal_pixel_area_arcsec2
from tessella.astrometry.tangent import pixel_to_sky
from tessella.astrometry.wcs import detector_to_sky
from tessella.coadd.views import View
from tessella.models import Window
from tessella.photometry.noise import correlated_variance
from tessella.psf.encircled import encircled_energy
from tessella.psf.model import optical_psf
from tessella.randomness import generator
from tessella.references.make import photometry_row
from tessella.simulate.image import electrons_per_maggy
from tessella.simulate.inject import inject_into_image, inject_into_mosaic, with_light
from tessella.simulate.scene import empty_rows

WINDOW = Window(1920, 1920, 256, 256)
STATE = exposures.STATE
RATE = 1e4


def stars(ra, dec, rate=RATE):
    rows = empty_rows(np.size(ra), 61953.0)
    rows["ra"], rows["dec"], rows["n"], rows["type"], rows["ba"] = ra, dec, -1, "PSF", 1
    rows["F158"] = rate / electrons_per_maggy("WFI01", "F158")
    return rows


def blank_image():
    n = WINDOW.active_shape[0]
    row = photometry_row(STATE, "WFI01", "F158")
    return exposures.make_image(
        np.full((n, n), 0.2),
        0.1,
        WINDOW,
        conversion_megajanskys=row["photmjsr"],
        pixel_area_sr=row["pixelareasr"],
    )


def within(radius_arcsec, pixel_arcsec=0.11):
    """Share of a star's light within a circle; capacitance included."""
    optics = optical_psf("WFI01", "F158", 2043.5, 2043.5, STATE.blur)
    radii = np.array([radius_arcsec])
    return float(
        encircled_energy(optics, np.array(STATE.ipc_kernel), radii, 1.0, 0.055, pixel_arcsec)[0]
    )


def test_flux_of_a_bright_star_in_an_image_is_recovered():
    image = blank_image()
    x0, y0 = 122.3, 130.6
    ra, dec = detector_to_sky(image.attitude, "WFI01", 1920 + x0, 1920 + y0)
    changed, placed = inject_into_image(image, stars(ra, dec), 3, STATE, (1,))
    assert placed.x[0] == pytest.approx(x0, abs=1e-6)
    assert placed.is_measured.tolist() == [True]
    y, x = np.mgrid[: image.data.shape[0], : image.data.shape[1]]
    near = np.hypot(x - x0, y - y0) < 20
    flux = np.nansum((changed.data - image.data)[near]) * image.conversion_megajanskys
    # In electrons / s: the gain, and the whole of a nominal pixel.
    electrons = flux / image.conversion_megajanskys * STATE.gain_electrons_per_dn
    share = within(20 * 0.11)
    # 500,000 photons: 0.14 %. The drop of coadds moves no light at 2.2".
    assert electrons == pytest.approx(RATE * share, rel=0.005)
    added = changed.var_poisson - image.var_poisson
    seconds = (changed.data - image.data)[near].sum() / added[near].sum() / 2
    assert 50 < seconds < 56
    assert changed.err == pytest.approx(
        np.sqrt(changed.var_poisson + image.var_rnoise + image.var_flat)
    )


def test_noise_of_injected_light_is_that_of_its_photons():
    image = blank_image()
    ra, dec = detector_to_sky(image.attitude, "WFI01", 1920 + 122.3, 1920 + 130.6)
    many = [inject_into_image(image, stars(ra, dec), 3, STATE, (1, k))[0] for k in range(6)]
    data = np.stack([changed.data for changed in many])
    added = many[0].var_poisson - image.var_poisson
    near = added > 0.01 * added.max()
    n = near.sum() * (len(many) - 1)
    ratio = data.var(axis=0, ddof=1)[near] / added[near]
    assert ratio.mean() == pytest.approx(1.0, abs=4 * np.sqrt(2 / n))


def test_what_saturates_is_flagged_and_what_lies_elsewhere_is_told():
    image = blank_image()
    ra, dec = detector_to_sky(
        image.attitude, "WFI01", 1920 + np.array([122.0, 9e2]), np.full(2, 2042.0)
    )
    changed, placed = inject_into_image(image, stars(ra, dec, 3e6), 3, STATE, (1,))
    bad = (changed.dq & flags.SATURATED) != 0
    assert bad[122, 122]
    assert np.isnan(changed.data[bad]).all()
    assert placed.is_measured.tolist() == [False, False]
    assert np.isfinite(changed.data[~bad]).all()


def views():
    return [
        View("WFI01", coadds.WINDOW, coadds.planned(header).attitude, 1.0)
        for header in coadds.HEADERS
    ]


@pytest.fixture(scope="module")
def cell():
    """A star, and a cell without it, with it simulated, and with it injected."""
    x0, y0 = coadds.LATTICE.x_tangent - 400, coadds.LATTICE.y_tangent - 400
    small = replace(coadds.LATTICE, nx=256, ny=256, x_tangent=x0, y_tangent=y0)
    images = [coadds.planned(header) for header in coadds.HEADERS]
    truth = stars(*pixel_to_sky(small, 128.4, 120.7))
    bare, lit = (
        coadds.simulate_mosaic(rows, images, small, "F158", coadds.STATE, 1.5, 1.0, 3)
        for rows in (truth[:0], truth)
    )
    changed = inject_into_mosaic(bare, views(), truth, 3, 1.0, coadds.STATE, (1,))
    return truth, bare, lit, *changed


def test_flux_of_a_bright_star_in_a_coadd_is_recovered(cell):
    truth, bare, _, changed, placed = cell
    assert placed.is_measured.tolist() == [True]
    y, x = np.mgrid[:256, :256]
    near = np.hypot(x - 128.4, y - 120.7) < 40
    flux = (changed.data - bare.data)[near].sum(dtype=float) * bare.lattice.pixel_area_sr
    share = within(40 * 0.055, np.sqrt(nominal_pixel_area_arcsec2("WFI01")))
    # A maggy is 3631e-6 MJy; 0.5 % is promised, 0.1 % the noise of the photons.
    assert flux == pytest.approx(float(truth["F158"][0]) * 3631e-6 * share, rel=0.005)


def test_noise_of_light_in_a_coadd_is_correlated_and_in_all_that_of_its_photons(cell):
    _, bare, _, changed, _ = cell
    near = np.s_[80:161, 88:169]
    light = np.maximum(changed.data - bare.data, 0)[near].astype(float)
    added = np.maximum(changed.var_poisson - bare.var_poisson, 0)[near].astype(float)
    told = correlated_variance(np.sqrt(added), bare.noise_correlation)
    # 53.8 s of each of three exposures count photons.
    share = within(40 * 0.055, np.sqrt(nominal_pixel_area_arcsec2("WFI01")))
    error = np.sqrt(told) / light.sum()
    assert error * np.sqrt(RATE * share * 3 * 53.8) == pytest.approx(1, abs=0.06)
    none, shape = np.zeros_like(light), bare.noise_correlation
    sums = [
        with_light(none, none, light, added, shape, generator("test", k))[0].sum()
        for k in range(400)
    ]
    # 400 numbers tell their deviation to 3.5 %.
    assert np.std(sums, ddof=1) / np.sqrt(told) == pytest.approx(1, abs=0.12)


def test_variance_of_an_injected_star_is_that_of_a_simulated_one(cell):
    _, bare, lit, injected, _ = cell
    near = np.s_[85:157, 92:165]
    # Where a slope has more photons it is weighed otherwise, and its read noise is larger.
    total = [(m.err[near] ** 2 - bare.err[near] ** 2).sum() for m in (lit, injected)]
    assert total[1] == pytest.approx(total[0], rel=0.03)


def test_views_must_be_those_of_the_members():
    mosaic = coadds.simulate_mosaic(
        empty_rows(0, 61953.0),
        [coadds.planned(coadds.HEADERS[0])],
        replace(coadds.LATTICE, nx=64, ny=64),
        "F158",
        coadds.STATE,
        1.5,
        1.0,
        3,
    )
    with pytest.raises(ValueError, match="one for each"):
        inject_into_mosaic(mosaic, views(), stars(12.0, 85.0), 3, 1.0, coadds.STATE, (1,))

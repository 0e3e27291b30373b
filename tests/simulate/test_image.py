"""Light on pixels: flux, place, shape and orientation."""

import galsim
import galsim.roman
import numpy as np
import pytest

from tessella.detector.state import Blur
from tessella.instrument.optical_elements import filters
from tessella.models import Window
from tessella.psf.model import (
    NOMINAL_PIXEL_ARCSEC,
    effective_wavelength_nm,
    optical_psf,
    wavelength_spread_nm,
)
from tessella.simulate.image import (
    EDGE_RATE,
    Sources,
    electrons_per_maggy,
    rate_image,
    red_share,
    sky_rate,
)

WINDOW = Window(1920, 1920, 256, 256)
BLUR = Blur(8.0, 2.94)
#: North up, east left, 0.11 arcsec pixels.
JACOBIAN = np.array([[-1, 0], [0, 1]]) / NOMINAL_PIXEL_ARCSEC


def draw(rows, element="F158", jacobian=JACOBIAN):
    x, y, rate, sersic, radius, pa, ba = np.array(rows, float).T
    sources = Sources(x, y, rate, sersic, radius, pa, ba)
    return rate_image(sources, jacobian, WINDOW, "WFI01", element, BLUR)


def coloured(red_share, element):
    one = np.ones(1)
    place = 124 * one
    sources = Sources(place, place, 1e4 * one, -one, 0 * one, 0 * one, one, red_share * one)
    return rate_image(sources, JACOBIAN, WINDOW, "WFI01", element, BLUR)


def size(image):
    """Root mean square radius within 3 pixels of the middle of 31 x 31."""
    y, x = np.indices(image.shape) - 15.0
    near = np.hypot(x, y) < 3
    return np.sqrt((image * (x**2 + y**2))[near].sum() / image[near].sum())


@pytest.mark.parametrize("element", ["F106", "F146"])
def test_two_wavelengths_stand_for_the_band_and_red_stars_are_larger(element):
    box = np.s_[109:140, 109:140]
    blue, flat, red = (coloured(share, element)[box] for share in (0.0, 0.5, 1.0))
    assert size(blue) < size(flat) < size(red)
    # The whole band, as many photons at every wavelength.
    bandpass = galsim.roman.getBandpasses(AB_zeropoint=False)[filters()[element].letter_name]
    wavelengths = np.linspace(bandpass.blue_limit, bandpass.red_limit, 15)
    images = []
    for wavelength in wavelengths:
        optics = optical_psf("WFI01", element, WINDOW.x + 124, WINDOW.y + 124, BLUR, wavelength)
        drawn = galsim.Image(31, 31, xmin=109, ymin=109, scale=NOMINAL_PIXEL_ARCSEC, dtype=float)
        (optics * 1e4).drawImage(drawn, center=galsim.PositionD(124, 124))
        images.append(drawn.array)
    whole = np.average(images, axis=0, weights=bandpass(wavelengths))
    np.testing.assert_allclose(flat, whole, atol=1e-2 * whole.max())
    assert size(flat) == pytest.approx(size(whole), rel=5e-3)


def test_colour_is_told_by_the_filter_next_to_it():
    maggies = np.array([[1.0, 1.0, 9.0], [1.0, 2.0, 9.0], [2.0, 1.0, 9.0], [1.0, 0.0, 9.0]])
    shares = red_share(maggies, ["F129", "F158", "F213"], "F129")
    # f_nu flat: photons fall with wavelength, by the relative spread of the band.
    spread = wavelength_spread_nm("F129") / effective_wavelength_nm("F129")
    assert shares[0] == pytest.approx(0.5 - 0.5 * spread)
    assert shares[2] < shares[0] < shares[1]
    assert shares[3] == 0.5
    assert red_share(maggies[:, :1], ["F129"], "F129").tolist() == [0.5] * 4


def star(x, y, rate):
    return (x, y, rate, -1, 0, 0, 1)


def moments(image):
    y, x = np.indices(image.shape)
    total = image.sum()
    mx, my = (image * x).sum() / total, (image * y).sum() / total
    dx, dy = x - mx, y - my
    return (
        mx,
        my,
        (image * dx * dx).sum() / total,
        (image * dy * dy).sum() / total,
        (image * dx * dy).sum() / total,
    )


@pytest.mark.parametrize("element", ["F106", "F158"])
def test_faint_star_agrees_with_a_drawing_of_its_own(element):
    x, y, rate = 120.37, 130.81, 100.0
    image = draw([star(x, y, rate)], element)
    optics = optical_psf("WFI01", element, WINDOW.x + x, WINDOW.y + y, BLUR)
    drawn = galsim.Image(248, 248, xmin=0, ymin=0, scale=NOMINAL_PIXEL_ARCSEC, dtype=float)
    (optics * rate).drawImage(drawn, center=galsim.PositionD(x, y))
    box = np.s_[111:151, 101:141]
    # Cubic spline and bilinear optics: 1e-3 of the peak each.
    np.testing.assert_allclose(image[box], drawn.array[box], atol=2e-3 * drawn.array.max())
    assert image[box].sum() == pytest.approx(drawn.array[box].sum(), rel=1e-3)


def test_faint_and_bright_stars_have_the_same_image():
    faint, bright = draw([star(124.2, 123.6, 500.0)]), draw([star(124.2, 123.6, 5e4)])
    box = np.s_[104:144, 104:144]
    # The bright star takes the optics of the nearest node, not the mean of four: 5e-3 of the peak.
    np.testing.assert_allclose(faint[box] * 100, bright[box], atol=5e-3 * bright.max())
    assert faint[box].sum() * 100 == pytest.approx(bright[box].sum(), rel=2e-3)


def test_light_outside_a_stamp_is_below_the_limit():
    rate = 500.0
    full = draw([star(124, 124, 100 * rate)]) / 100
    lost = full - draw([star(124, 124, rate)])
    lost[84:165, 84:165] = 0
    # Spikes are brighter than the mean at their radius by up to ten.
    assert 0 < np.median(lost[lost > 0]) < EDGE_RATE
    assert lost.max() < 20 * EDGE_RATE


def test_star_off_the_window_lights_its_edge():
    image = draw([star(-5.0, 100.0, 1000.0)])
    assert image[100, 0] > image[100, 10] > 0


def test_star_far_away_leaves_nothing():
    assert draw([star(-500.0, 100.0, 10.0), star(100.0, 900.0, 1e5)]).sum() == 0


def test_galaxy_keeps_its_flux_and_place():
    image = draw([(124.3, 120.8, 200.0, 1.0, 0.3, 30.0, 0.6)])
    mx, my, *_ = moments(image[60:190, 60:190])
    # 1.8 % of the light of the optics and 0.1 % of the disk lie outside the stamp.
    assert image.sum() == pytest.approx(200.0, rel=0.03)
    assert (mx + 60, my + 60) == (pytest.approx(124.3, abs=0.2), pytest.approx(120.8, abs=0.2))


@pytest.mark.parametrize(("pa", "sign"), [(45.0, -1), (135.0, 1)])
def test_position_angle_turns_from_north_to_east(pa, sign):
    # North is +y and east is -x: at 45 degrees the galaxy points to smaller x and larger y.
    image = draw([(124, 124, 500.0, 1.0, 0.8, pa, 0.3)])
    xy = moments(image[84:165, 84:165])[4]
    assert np.sign(xy) == sign


def test_north_south_galaxy_is_tall():
    _, _, xx, yy, xy = moments(draw([(124, 124, 500.0, 1.0, 0.8, 0.0, 0.3)])[84:165, 84:165])
    assert yy > 2 * xx
    assert abs(xy) < 0.1 * yy


@pytest.mark.parametrize("element", ["F062", "F158", "F213"])
@pytest.mark.parametrize(("sersic", "radius"), [(1.0, 0.06), (1.0, 0.3), (4.0, 0.5)])
def test_galaxy_agrees_with_a_drawing_of_its_own(element, sersic, radius):
    x, y, rate, pa, ba = 120.37, 131.81, 200.0, 30.0, 0.6
    image = draw([(x, y, rate, sersic, radius, pa, ba)], element)
    profile = galsim.Sersic(n=sersic, half_light_radius=radius)
    profile = profile.shear(q=ba, beta=(90 - pa) * galsim.degrees)
    profile = profile.transform(*JACOBIAN.ravel()).withFlux(rate)
    optics = optical_psf("WFI01", element, WINDOW.x + x, WINDOW.y + y, BLUR)
    seen = galsim.Convolve(profile, optics.dilate(1 / NOMINAL_PIXEL_ARCSEC))
    drawn = galsim.Image(248, 248, xmin=0, ymin=0, scale=1.0, dtype=float)
    seen.drawImage(drawn, center=galsim.PositionD(x, y))
    # Bilinear optics: 1e-3 of the peak. Of a profile of index 4 a part is folded in.
    np.testing.assert_allclose(image, drawn.array, atol=1.5e-3 * drawn.array.max())
    box = np.s_[112:152, 101:141]
    assert image[box].sum() == pytest.approx(drawn.array[box].sum(), rel=3e-3)


def test_galaxies_of_any_index_size_and_brightness_are_drawn():
    rows = [
        (124, 124, rate, sersic, radius, 10.0, 0.5)
        for rate in (1e-4, 1.0, 1e5)
        for sersic in (0.5, 2.53, 6.2)
        for radius in (0.01, 1.0, 5.0)
    ]
    for row in rows:
        image = draw([row])
        assert np.isfinite(image).all()
        assert 0.2 * row[2] < image.sum() < 1.001 * row[2]


@pytest.mark.parametrize("axis_ratio", [1.0, 0.5])
def test_half_of_a_galaxy_lies_within_its_half_light_ellipse(axis_ratio):
    # Large against the core of the optics: 1.1 arcsec is 10 pixels. North up, so pa 0 is along y.
    image = draw([(124, 124, 500.0, 1.0, 1.1, 0.0, axis_ratio)])
    y, x = np.indices(image.shape)
    radius = np.hypot((x - 124) / np.sqrt(axis_ratio), (y - 124) * np.sqrt(axis_ratio))
    inside = image[radius < 10].sum() / 500.0
    # The wings of the optics carry 8 % of the light beyond 1.1 arcsec and blur the core by 0.1.
    assert inside == pytest.approx(0.5 * 0.92, abs=0.04)


def test_sources_add_up():
    a, b = star(100.2, 90.1, 50.0), (140.0, 150.0, 80.0, 2.5, 0.4, 20.0, 0.7)
    np.testing.assert_allclose(draw([a, b]), draw([a]) + draw([b]), atol=1e-12)


def test_sky_scales_with_zodiacal_light_and_area():
    entry = filters()["F213"]
    assert sky_rate("F213", 2.0, 0.5) == pytest.approx(
        0.5 * (2 * entry.zodiacal_rate + entry.thermal_rate)
    )


def test_zero_point_gives_one_electron():
    from tessella.instrument.optical_elements import ab_zero_point

    rate = electrons_per_maggy("WFI05", "F129") * 10 ** (-0.4 * ab_zero_point("WFI05", "F129"))
    assert rate == pytest.approx(1.0)

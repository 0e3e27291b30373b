"""An image made at once is the calibrated image of the same sky, but for signatures."""

from dataclasses import replace

import exposures
import numpy as np
import pytest

from tessella import flags
from tessella.astrometry.wcs import detector_to_sky
from tessella.detector.state import draw_maps
from tessella.exposure_pipeline import calibrate
from tessella.models import Window
from tessella.recipe import LEVEL2_STEPS
from tessella.simulate.image import electrons_per_maggy
from tessella.simulate.level2 import simulate_image
from tessella.simulate.observation import Conditions, observe
from tessella.simulate.pointing import planned_header, true_attitude
from tessella.simulate.scene import empty_rows

WINDOW = Window(1792, 1792, 512, 512)
CONDITIONS = Conditions(1.5, 0.3, 20.0, 4000, cosmic_rays=False, seed=5, stray_light=0.0)
HEADER = planned_header(exposures.KEY, "F158", 3, "2028-07-01T00:00:00", 12.108, 85.255, 0.0)
#: Of the stars [electrons / s]: the last one saturates in the third resultant.
RATES = np.array([300.0, 1e3, 3e3, 1e4, 3e4])
N = 504


def star_places():
    """Columns and rows, far from each other and from the edges."""
    return np.array([60.3, 160.8, 260.1, 360.4, 440.6]), np.array([100.2, 400.7, 250.4, 110.9, 420])


def truth():
    attitude = true_attitude("WFI01", HEADER, 0.3, 20.0, 5)
    x, y = star_places()
    rows = empty_rows(len(RATES), 61953.0)
    rows["ra"], rows["dec"] = detector_to_sky(attitude, "WFI01", 1792 + x, 1792 + y)
    rows["n"], rows["type"], rows["ba"] = -1, "PSF", 1
    rows["F158"] = RATES / electrons_per_maggy("WFI01", "F158")
    return rows


#: [DN / s]
SKY_SCATTER = 0.004


def both(state):
    """Level 1 through the pipeline, and Level 2 at once."""
    maps = draw_maps(state, "WFI01", WINDOW)
    references = exposures.make_references(state, maps)
    readout = observe(truth(), HEADER, "WFI01", WINDOW, state, CONDITIONS)
    options = {**exposures.OPTIONS, "persistence": None}
    long = calibrate(LEVEL2_STEPS, exposures.ramp_of(readout), references, options).image
    return long, simulate_image(truth(), HEADER, "WFI01", WINDOW, state, CONDITIONS, references)


@pytest.fixture(scope="module")
def images():
    return both(exposures.STATE)


def blank(image):
    """Good pixels at least 100 pixels away from every star."""
    y, x = np.mgrid[:N, :N]
    good = (image.dq & flags.DO_NOT_USE) == 0
    for x0, y0 in zip(*star_places(), strict=True):
        good &= np.hypot(x - x0, y - y0) > 100
    return good


def test_sky_and_its_noise_agree(images):
    long, short = images
    good = blank(long) & blank(short)
    n = int(good.sum())
    assert n > 1e5
    sd = [float(image.data[good].std()) for image in images]
    # The mean of each is known to sd / sqrt(n), 0.0005; 1/f noise and what the reference pixels
    # leave of it and add make that of the long way scatter by 0.004 (six seeds).
    assert long.data[good].mean() == pytest.approx(short.data[good].mean(), abs=4 * SKY_SCATTER)
    # A standard deviation of n numbers is known to 1 / sqrt(2 n) of itself, 0.2 %, and four times
    # that is allowed; 1/f noise, 0.56 DN beside 6 of reading, is in the long way alone but for
    # what references take for read noise; reading is three quarters of the variance, and what
    # the reference pixels take off changes it by less than 1 %.
    assert sd[0] / sd[1] == pytest.approx(1.0, abs=0.01 + 4 * np.sqrt(1 / n))


def test_errors_are_reported_alike(images):
    long, short = images
    good = blank(long) & blank(short)
    for name in ("err", "var_poisson", "var_rnoise", "var_flat"):
        values = [np.mean(getattr(image, name)[good], dtype=float) for image in images]
        # Jumps that are found in noise (7e-6 of differences) and the long way's rounding; that of
        # the flat goes with the square of the sky, which is 0.2 DN / s.
        scatter = 2 * 4 * SKY_SCATTER / 0.2 if name == "var_flat" else 0.0
        assert values[0] == pytest.approx(values[1], rel=0.01 + scatter), name


def test_fluxes_of_stars_agree(images):
    long, short = images
    for x, y, rate in zip(*star_places(), RATES, strict=True):
        box = np.s_[round(y) - 7 : round(y) + 8, round(x) - 7 : round(x) + 8]
        flux = [float(np.nansum(image.data[box])) for image in images]
        variance = sum(float(np.nansum(image.err[box] ** 2)) for image in images)
        # 0.3 % is what linearity (known to 1 % of itself) leaves in the cores of bright stars.
        assert abs(flux[0] - flux[1]) < 4 * np.sqrt(variance) + 0.003 * flux[1], rate


def test_saturated_resultants_are_left_out_in_both(images):
    long, short = images
    assert (short.saturated_from < 5).sum() > 3
    # A pixel that comes near a threshold may cross it by its noise in one of them alone.
    assert np.abs(long.saturated_from.astype(int) - short.saturated_from).sum() <= 2
    assert np.array_equal(long.saturated_from <= 2, short.saturated_from <= 2)


def test_pulls_of_errors_are_one():
    """Without capacitance, which makes photon noise smaller than the pipeline says."""
    identity = ((0.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 0.0))
    state = replace(exposures.STATE, ipc_kernel=identity, flat_error=0.0, dark_scatter=0.0)
    maps = draw_maps(state, "WFI01", WINDOW)
    references = exposures.make_references(state, maps)
    image = simulate_image(truth()[:0], HEADER, "WFI01", WINDOW, state, CONDITIONS, references)
    good = (image.dq & flags.DO_NOT_USE) == 0
    pull = (image.data[good] - np.median(image.data)) / image.err[good]
    # Read noise is known to 3 % of each pixel: 1.0015 is expected of its part.
    assert pull.std() == pytest.approx(1.001, abs=4 / np.sqrt(2 * good.sum()) + 0.002)
    assert abs(pull.mean()) < 0.02


def test_draws_are_keyed_by_exposure_and_detector():
    small = Window(1792, 1792, 128, 128)
    references = exposures.make_references(
        exposures.STATE, draw_maps(exposures.STATE, "WFI01", small)
    )
    second = replace(HEADER, key=replace(HEADER.key, exposure=2))
    made = [
        simulate_image(
            truth()[:0], header, "WFI01", small, exposures.STATE, CONDITIONS, references
        ).data
        for header in (HEADER, HEADER, second)
    ]
    assert np.array_equal(made[0], made[1], equal_nan=True)
    assert not np.array_equal(made[0], made[2], equal_nan=True)

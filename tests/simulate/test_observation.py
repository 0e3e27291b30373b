"""A star of known flux and place appears with that flux in that pixel."""

from dataclasses import replace

import numpy as np
import pytest
from plain_detector import STATE, absolute

from tessella.astrometry.wcs import detector_to_sky
from tessella.detector.persistence_state import PersistenceState
from tessella.models import ExposureKey, Window
from tessella.simulate.image import electrons_per_maggy
from tessella.simulate.observation import Conditions, observe, pixels_per_arcsec
from tessella.simulate.pointing import planned_header, true_attitude
from tessella.simulate.scene import empty_rows, truth_dtype

WINDOW = Window(1920, 1920, 128, 128)
CONDITIONS = Conditions(
    zodiacal_factor=1.5,
    pointing_error_arcsec=0.3,
    roll_error_arcsec=20.0,
    encoding_offset=4000,
    cosmic_rays=False,
    seed=5,
    stray_light=0.0,
)
HEADER = planned_header(
    ExposureKey(1, 1, 1, 1, 1, 1, 1), "F158", 3, "2027-03-01T00:00:00", 12.0, 85.0, 0.0
)


def test_star_is_found_where_the_true_pointing_puts_it():
    attitude = true_attitude("WFI01", HEADER, 0.3, 20.0, 5)
    truth = np.zeros(1, truth_dtype())
    ra, dec = detector_to_sky(attitude, "WFI01", 1920 + 60.0, 1920 + 50.0)
    truth["ra"], truth["dec"], truth["n"], truth["type"], truth["ba"] = ra, dec, -1, "PSF", 1
    rate = 1000.0
    truth["F158"] = rate / electrons_per_maggy("WFI01", "F158")
    data = absolute(observe(truth, HEADER, "WFI01", WINDOW, STATE, CONDITIONS))
    time = 17 * 3.16247
    slope = (data[-1] - data[0])[4:-4, 4:-4] * 2 / time
    box = slope[35:66, 45:76] - np.median(slope)
    assert np.unravel_index(box.argmax(), box.shape) == (15, 15)
    # 93 % of the light lies in 31 pixels; noise of 961 pixels: 0.3 electron / s each, 10 in all.
    assert box.sum() == pytest.approx(930, rel=0.1)


def brightest_pixel(truth):
    """Where the image of an exposure is brightest, x and y, and how bright [electrons / s]."""
    data = absolute(observe(truth, HEADER, "WFI01", WINDOW, STATE, CONDITIONS))
    slope = (data[-1] - data[0])[4:-4, 4:-4] * 2 / (17 * 3.16247)
    slope = slope - np.median(slope)
    y, x = np.unravel_index(slope.argmax(), slope.shape)
    return x, y, slope.max()


def test_exposures_see_sources_as_they_are_at_their_time():
    attitude = true_attitude("WFI01", HEADER, 0.3, 20.0, 5)
    truth = empty_rows(1, 61465.0)
    truth["ra"], truth["dec"] = detector_to_sky(attitude, "WFI01", 1920 + 60.0, 1920 + 50.0)
    truth["F158"] = 300 / electrons_per_maggy("WFI01", "F158")
    peak = brightest_pixel(truth)
    assert peak[:2] == (60, 50)
    # A lens magnifies it ten times; a supernova has not begun.
    truth["light_curve"], truth["t0"] = "microlensing", 61465.0
    truth["timescale"], truth["u0"] = 20.0, 0.1
    assert brightest_pixel(truth)[2] == pytest.approx(10 * peak[2], rel=0.05)
    truth["light_curve"], truth["t0"] = "supernova", 61665.0
    assert brightest_pixel(truth)[2] < 0.05 * peak[2]
    # 36 arcsec / h for six minutes, 3.6 arcsec, to the west: some 33 pixels.
    truth["light_curve"], truth["rate"], truth["rate_pa"] = "none", 36.0, 270.0
    truth["epoch_mjd"] = 61465.0 - 6 / 1440
    x, y, _ = brightest_pixel(truth)
    assert np.hypot(x - 60, y - 50) == pytest.approx(33, abs=6)


def test_local_scale_is_that_of_the_detector():
    attitude = true_attitude("WFI01", HEADER, 0.0, 0.0, 5)
    matrix = pixels_per_arcsec(attitude, "WFI01", WINDOW)
    # Nominal pixel of 0.10932 x 0.10640 arcsec with distortion.
    assert 1 / np.sqrt(abs(np.linalg.det(matrix))) == pytest.approx(0.109, rel=0.02)
    # East is left of north, as on the sky.
    assert np.linalg.det(matrix) < 0


def test_star_is_left_in_the_traps_and_leaks_into_the_next_exposure():
    attitude = true_attitude("WFI01", HEADER, 0.3, 20.0, 5)
    truth = np.zeros(1, truth_dtype())
    ra, dec = detector_to_sky(attitude, "WFI01", 1920 + 60.0, 1920 + 50.0)
    truth["ra"], truth["dec"], truth["n"], truth["type"], truth["ba"] = ra, dec, -1, "PSF", 1
    truth["F158"] = 1e5 / electrons_per_maggy("WFI01", "F158")
    leaking = replace(STATE, persistence_ratio=1.0)
    nothing = PersistenceState("WFI01", WINDOW)
    left = observe(truth, HEADER, "WFI01", WINDOW, leaking, CONDITIONS, nothing).left
    (entry,) = left.entries
    # 18 reads of 3.16 s after the start.
    assert (entry.end_mjd - 61465.0) * 86400 == pytest.approx(56.92, abs=0.01)
    # The middle pixel is full, as others are.
    assert entry.charge[entry.pixels == 50 * 120 + 60] == entry.charge.max()
    second = replace(HEADER, start_time="2027-03-01T00:02:00")
    none = truth[:0]
    quiet = observe(none, second, "WFI01", WINDOW, STATE, CONDITIONS)
    shown = observe(none, second, "WFI01", WINDOW, leaking, CONDITIONS, left)
    added = (shown.data[-1].astype(float) - quiet.data[-1])[4:-4, 4:-4]
    y, x = np.nonzero(added > 4)
    assert len(y) > 5
    assert np.hypot(y - 50, x - 60).max() < 20

"""Images move from read to read as they are told to, and the exposure's own stays where it is."""

from dataclasses import replace

import numpy as np
import pytest
from plain_detector import STATE, absolute

from tessella.astrometry.wcs import detector_to_sky
from tessella.detector.state import draw_maps
from tessella.instrument.read_patterns import read_patterns
from tessella.models import ExposureKey, Window
from tessella.simulate.charge import Charge
from tessella.simulate.image import electrons_per_maggy
from tessella.simulate.observation import Conditions, observe, pixels_per_arcsec
from tessella.simulate.pointing import planned_header, true_attitude
from tessella.simulate.read_jitter import ReadJitter, draw_read_jitter
from tessella.simulate.scene import empty_rows

WINDOW = Window(1920, 1920, 128, 128)
KEY = ExposureKey(1, 1, 1, 1, 1, 1, 1)
HEADER = planned_header(KEY, "F158", 3, "2027-03-01T00:00:00", 12.0, 85.0, 0.0)
CONDITIONS = Conditions(1.5, 0.0, 0.0, 4000, False, 5, 0.0)
RMS_MAS = 30.0


def centroid(image):
    """Centre of light within 2 pixels of (60, 60), from there."""
    box = image[58:63, 58:63] - np.median(image)
    y, x = np.indices(box.shape) - 2.0
    return np.array([(box * x).sum(), (box * y).sum()]) / box.sum()


def no_light(dx, dy):
    return np.zeros((1, 1))


def test_image_of_each_read_stands_where_the_jitter_puts_it():
    attitude = true_attitude("WFI01", HEADER, 0.0, 0.0, 5)
    truth = empty_rows(1, 61465.0)
    truth["ra"], truth["dec"] = detector_to_sky(attitude, "WFI01", 1980.0, 1980.0)
    truth["type"], truth["n"], truth["ba"] = "PSF", -1, 1
    truth["F158"] = 8000.0 / electrons_per_maggy("WFI01", "F158")
    state = replace(STATE, read_jitter_mas=RMS_MAS)

    def charge_of_resultants(with_jitter):
        chosen = state if with_jitter else STATE
        return absolute(observe(truth, HEADER, "WFI01", WINDOW, chosen, CONDITIONS))[:, 4:-4, 4:-4]

    jacobian = pixels_per_arcsec(attitude, "WFI01", WINDOW)
    pattern = read_patterns()[3]
    jitter = draw_read_jitter(
        no_light, sum(pattern.reads_per_resultant), RMS_MAS / 1000, jacobian,
        CONDITIONS.seed, KEY,
    )  # fmt: skip
    np.testing.assert_allclose(jitter.shifts.mean(axis=0), 0, atol=1e-12)
    # What the mean of the reads of a resultant holds: the shifts of all reads up to each of them.
    path = np.cumsum(jitter.shifts, axis=0)
    mean_path = np.array([path[np.array(reads) - 1].mean(axis=0) for reads in pattern.reads])
    times = np.array([np.mean(reads) for reads in pattern.reads])
    expected = np.diff(mean_path, axis=0) / np.diff(times)[:, None]
    assert np.abs(expected).max() > 0.1

    def places(with_jitter):
        steps = np.diff(charge_of_resultants(with_jitter).astype(float), axis=0)
        return np.array([centroid(step) for step in steps])

    # Of a move of the whole image a box of 5 x 5 pixels shows 0.7 to 1: light moves out of it. Each
    # step holds 4e4 electrons at least: their centre is known to 0.7 / 200 pixels.
    seen = places(True) - places(False)
    shown = (seen * expected).sum() / (expected**2).sum()
    assert 0.65 < shown < 1.05
    np.testing.assert_allclose(seen, shown * expected, atol=0.03)


def test_charge_gathers_what_the_light_of_each_read_is():
    window = Window(1920, 1920, 128, 128)
    maps = draw_maps(STATE, "WFI01", window)
    even = np.ones(window.active_shape)
    jitter = ReadJitter(np.array([[0.5, 1.0], [-0.5, -1.0]]), 40 * even, 10 * even)
    charge = Charge(100 * even, maps, STATE, 3.0, (1, "WFI01"), False, None, np.nan, jitter)
    charge.gather(1)
    first = charge.electrons[4:-4, 4:-4].copy()
    charge.gather(2)
    second = charge.electrons[4:-4, 4:-4] - first
    for gathered, rate in ((first, 130.0), (second, 70.0)):
        # 14,400 pixels: means to five of their errors.
        assert gathered.mean() == pytest.approx(3 * rate, abs=5 * np.sqrt(3 * rate / first.size))


def test_all_detectors_move_alike_and_exposures_do_not():
    def shifts(key, n_reads=10):
        return draw_read_jitter(no_light, n_reads, 0.01, 9 * np.eye(2), 1, key).shifts

    other = replace(KEY, exposure=2)
    np.testing.assert_array_equal(shifts(KEY), shifts(KEY))
    assert not np.allclose(shifts(KEY), shifts(other))
    assert shifts(KEY, 4000).std() == pytest.approx(0.09, rel=0.05)

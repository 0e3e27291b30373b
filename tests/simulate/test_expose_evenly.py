"""Lamps, spectra of the sky and darks: light without sources."""

from dataclasses import replace

import numpy as np
import pytest
from plain_detector import STATE, absolute

from tessella.astrometry.pixel_area import nominal_pixel_area_arcsec2, relative_pixel_area
from tessella.instrument.read_patterns import SPECTROSCOPY_FRAME_TIME, read_patterns
from tessella.models import ExposureKey, Window
from tessella.psf.model import NOMINAL_PIXEL_ARCSEC
from tessella.simulate.image import sky_rate
from tessella.simulate.observation import Conditions, expose_evenly
from tessella.simulate.pointing import planned_header

WINDOW = Window(1920, 1920, 128, 128)
CONDITIONS = Conditions(
    zodiacal_factor=1.5,
    pointing_error_arcsec=0.0,
    roll_error_arcsec=0.0,
    encoding_offset=4000,
    cosmic_rays=False,
    seed=5,
    stray_light=0.0,
)


def rate_of(kind, element="F158", table=3, lamp=0.0, state=STATE):
    """Electrons per second of each active pixel between the first and the last resultant."""
    key = ExposureKey(1, 1, 1, 1, 1, 1, 1)
    header = planned_header(key, element, table, "2027-03-01T00:00:00", 12.0, 85.0, 0.0, kind)
    assert header.exposure_type == kind
    data = absolute(expose_evenly(header, lamp, "WFI01", WINDOW, state, CONDITIONS))
    pattern = read_patterns()[table]
    time = (pattern.reads[-1][-1] - pattern.reads[0][0]) * pattern.frame_time
    return (data[-1].astype(float) - data[0])[4:-4, 4:-4] * state.gain_electrons_per_dn / time


def test_dark_counts_nothing():
    rate = rate_of("WFI_IM_DARK", "DARK", state=replace(STATE, read_noise_electrons=0.0))
    assert not rate.any()


def test_lamp_shines_evenly_whatever_the_solid_angle():
    rate = rate_of("WFI_FLAT", lamp=300.0)
    # Photons of 54 s at 300 a second, and two reads of 10 electrons: 2.4 a second in each of
    # 14,400 pixels, less what they share; four errors of the mean.
    sigma = np.sqrt(300 * 53.8 + 200) / 53.8
    assert rate.mean() == pytest.approx(300, abs=4 * sigma / 120)
    assert rate.std() == pytest.approx(sigma, rel=0.15)


def test_response_of_each_pixel_shows_in_a_flat():
    state = replace(STATE, flat_scatter=0.2, ipc_kernel=((0, 0, 0), (0, 1, 0), (0, 0, 0)))
    rate = rate_of("WFI_FLAT", lamp=500.0, state=state)
    assert rate.std() / rate.mean() == pytest.approx(0.2, rel=0.05)


@pytest.mark.parametrize(("element", "least"), [("GRISM", 0.461), ("PRISM", 0.865)])
def test_spectra_show_the_sky_through_the_disperser(element, least):
    area = nominal_pixel_area_arcsec2("WFI01") / NOMINAL_PIXEL_ARCSEC**2
    expected = 1.5 * least * area * relative_pixel_area("WFI01", WINDOW).mean()
    assert sky_rate(element, 1.5) == pytest.approx(1.5 * least)
    rate = rate_of("WFI_SPECTRAL", element, 1034)
    # Two reads of 10 electrons and photons in 90 s: 0.18 a second in each of 14,400 pixels.
    assert rate.mean() == pytest.approx(expected, abs=4 * 0.18 / 120)


def test_spectra_have_a_frame_time_of_their_own():
    pattern = read_patterns()[1034]
    assert pattern.frame_time == SPECTROSCOPY_FRAME_TIME == 5.14116
    assert len(pattern.reads) == 5
    assert pattern.exposure_time == pytest.approx(100, abs=SPECTROSCOPY_FRAME_TIME / 2)


def test_image_of_the_sky_needs_sources():
    with pytest.raises(ValueError, match="WFI_IMAGE shows sources"):
        rate_of("WFI_IMAGE")

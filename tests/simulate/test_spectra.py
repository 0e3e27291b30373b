"""Spectra through filters: black bodies and redshifted galaxies have the colours of their kind."""

import galsim.roman
import numpy as np
import pytest

from tessella.instrument.optical_elements import ab_zero_point, effective_areas, filters
from tessella.simulate.spectra import (
    TEMPLATES,
    galaxy_maggies,
    galaxy_spectrum,
    stellar_maggies,
)


def test_effective_areas_belong_to_the_zero_points():
    wavelength, area = effective_areas()
    for name in filters():
        # Electrons a second of 3631 Jy: h in J s, area in m2.
        rate = 3631e-26 / 6.62607e-34 * np.sum(area[name] / wavelength) * 0.005
        assert 2.5 * np.log10(rate) == pytest.approx(ab_zero_point("WFI01", name), abs=0.01)


def test_colours_are_those_of_photons_counted_with_galsim():
    # An independent integration over galsim's own bandpasses of the same mission.
    temperature = 4000.0
    bandpasses = galsim.roman.getBandpasses(AB_zeropoint=True)
    planck = galsim.SED(
        lambda nm: (nm / 1000) ** -5 / np.expm1(14387.77 / (nm / 1000 * temperature)),
        wave_type="nm",
        flux_type="flambda",
    )
    mags = {
        name: planck.calculateMagnitude(bandpasses[entry.letter_name])
        for name, entry in filters().items()
    }
    ours = stellar_maggies(np.array([20.0]), np.array([temperature]), 1.577)
    for name in filters():
        ours_mag = -2.5 * np.log10(ours[name][0] / ours["F158"][0])
        # The two tables of bandpasses are a few years apart.
        assert ours_mag == pytest.approx(mags[name] - mags["F158"], abs=0.02)


def test_magnitude_of_a_galaxy_is_that_asked_for():
    redshift = np.linspace(0, 5, 21)
    for template in range(len(TEMPLATES)):
        fluxes = galaxy_maggies(np.full(21, 22.5), "F129", redshift, np.full(21, template))
        np.testing.assert_allclose(fluxes["F129"], 1e-9, rtol=1e-12)


def test_break_at_4000_angstrom_halves_old_light():
    light = galaxy_spectrum(np.array([0.38, 0.42]), 0.0, 0.0)
    planck = np.array([0.38, 0.42]) ** -3 / np.expm1(14387.77 / (np.array([0.38, 0.42]) * 4500))
    assert (light / planck)[1] / (light / planck)[0] == pytest.approx(2, rel=0.03)


def test_lyman_limit_makes_dropouts():
    one = np.ones(1)
    young = len(TEMPLATES) - 1
    fluxes = galaxy_maggies(24 * one, "F158", 9 * one, np.array([young]))
    # At redshift 9 the limit lies at 0.912 um, Lyman alpha at 1.216.
    assert fluxes["F062"][0] == 0
    # Below that the forest of lines leaves exp(-5) at 1 um (Madau 1995).
    assert 1e-4 < fluxes["F106"][0] / fluxes["F158"][0] < 1e-2
    with pytest.raises(ValueError, match=r"no light of redshift 9.0 reaches F062"):
        galaxy_maggies(24 * one, "F062", 9 * one, np.array([young]))


def test_no_sources_have_no_fluxes():
    assert galaxy_maggies(np.zeros(0), "F158", np.zeros(0), np.zeros(0, int))["F158"].shape == (0,)


def test_many_spectra_are_those_of_each_alone():
    temperature = np.linspace(3000, 9000, 5000)
    many = stellar_maggies(np.full(5000, 20.0), temperature, 0.6)["F213"]
    alone = stellar_maggies(np.full(1, 20.0), temperature[-1:], 0.6)["F213"]
    assert many[-1] == pytest.approx(alone[0], rel=1e-12)

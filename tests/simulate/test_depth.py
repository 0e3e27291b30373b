"""How deep an exposure of 57 s goes, beside the mission's table of limiting magnitudes.

The table (AB_mag_limiting_sensitivity.ecsv) says 5 sigma, a point source, twice the least zodiacal
light, and no more. Its numbers are those of an aperture 0.2 arcsec in radius with 12 electrons of
noise a pixel besides photons, all filters within 8 % (F062: 13.6 electrons): so it is compared with
photometry in that aperture. The simulator's is 18 reads of MultiAccum table 3 on WFI01.
"""

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from tessella.config import load_state
from tessella.instrument.optical_elements import ab_zero_point, filters
from tessella.instrument.performance import read_noise_electrons
from tessella.instrument.read_patterns import read_patterns
from tessella.instrument.tables import rows
from tessella.psf.model import NOMINAL_PIXEL_ARCSEC, effective_psf, optical_psf
from tessella.ramps.timing import difference_timing
from tessella.simulate.image import sky_rate

STATE = load_state(Path(__file__).parents[2] / "config/detectors", "simulated")
OVERSAMPLE = 8
TABLE = {
    row["filter"]: float(row["fifty_seven_sec_point"])
    for row in rows("AB_mag_limiting_sensitivity.ecsv")
}
#: Deeper than the table by up to so much [mag]. In F062 the table's image must be wider than that
#: of galsim.roman's optics: 0.72 of its light within 0.2 arcsec instead of 0.82.
WITHIN = {name: 0.1 for name in filters()} | {"F062": 0.2}


@cache
def stamp(element):
    """Share of a star's light by place, in pixels of 1 / 8."""
    optics = optical_psf("WFI01", element, 2043.5, 2043.5, STATE.blur)
    return effective_psf(optics, np.array(STATE.ipc_kernel), OVERSAMPLE, 16)


def variance(rate):
    """Variance of a pixel's best slope at a rate of light, [(electrons / s)^2]."""
    pattern = read_patterns()[3]
    timing = difference_timing(pattern.reads, pattern.frame_time)

    def tridiagonal(diagonal, beside):
        return np.diag(diagonal) + np.diag(beside, 1) + np.diag(beside, -1)

    covariance = rate * tridiagonal(timing.poisson_diagonal, timing.poisson_beside)
    read = tridiagonal(timing.read_diagonal, timing.read_beside)
    covariance = covariance + read_noise_electrons("WFI01") ** 2 * read
    return 1 / np.linalg.inv(covariance).sum()


def magnitude(element, rate):
    return ab_zero_point("WFI01", element) - 2.5 * np.log10(rate)


def aperture_depth(element, radius_arcsec=0.2):
    """5 sigma in an aperture, the photons of the source included, of all of its light."""
    light = stamp(element)
    y, x = np.indices(light.shape) - light.shape[0] // 2
    radius = radius_arcsec / NOMINAL_PIXEL_ARCSEC
    share = light[np.hypot(x, y) < radius * OVERSAMPLE].sum() / OVERSAMPLE**2
    n_pixels, rate = np.pi * radius**2, 1.0
    below = sky_rate(element, 2.0) + STATE.dark_electrons_per_s
    for _ in range(30):
        rate = 5 * np.sqrt(n_pixels * variance(below + rate * share / n_pixels)) / share
    return magnitude(element, rate)


def optimal_depth(element):
    """5 sigma of the best fit of the PSF to a star in the middle of a pixel."""
    light = stamp(element)
    middle = light.shape[0] // 2 % OVERSAMPLE
    share = light[middle::OVERSAMPLE, middle::OVERSAMPLE].ravel()
    below, rate = sky_rate(element, 2.0) + STATE.dark_electrons_per_s, 1.0
    grid = np.geomspace(below, below + 100, 60)
    known = np.array([variance(value) for value in grid])
    for _ in range(30):
        noise = np.interp(below + rate * share, grid, known)
        rate = 5 / np.sqrt(np.sum(share**2 / noise))
    return magnitude(element, rate)


@pytest.mark.parametrize("element", filters())
def test_depth_of_57_seconds_is_that_of_the_official_table(element):
    deeper = aperture_depth(element) - TABLE[element]
    assert -0.1 < deeper < WITHIN[element]


def test_fits_of_the_psf_go_deeper_than_apertures():
    # By a quarter of a magnitude to nearly half of one: a fit weighs pixels by the light they show.
    gain = {element: optimal_depth(element) - aperture_depth(element) for element in filters()}
    assert min(gain.values()) > 0.2
    assert max(gain.values()) < 0.5

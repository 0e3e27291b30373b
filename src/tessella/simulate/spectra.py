"""Fluxes of smooth spectra through the filters: stars by temperature, galaxies by redshift.

Stars shine as black bodies. Galaxies are mixtures of old light (a black body of 4500 K with half
of the light below the 4000 angstrom break) and young light (a power law of slope -2 in wavelength,
that of unreddened starbursts: Meurer et al. 1999, ApJ 521, 64. doi:10.1086/307523), behind dust
(Calzetti et al. 2000, ApJ 533, 682. doi:10.1086/308692) and the hydrogen between galaxies (Madau
1995, ApJ 441, 18. doi:10.1086/175332). Nothing shines below the Lyman limit.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np

from tessella.instrument.optical_elements import effective_areas, filters

#: h c / k [um K].
_SECOND_RADIATION_CONSTANT = 14387.77
_LYMAN_LIMIT_UM, _LYMAN_ALPHA_UM = 0.0912, 0.1216
#: Where galaxies' mixtures are told [um].
_MIXTURE_UM = 0.55
#: Spectra at a time, so that memory does not grow with their number.
_ROWS = 4096


@dataclass(frozen=True)
class GalaxyTemplate:
    """What a kind of galaxy is made of."""

    name: str
    #: Share of young light at 0.55 um before the dust.
    young: float
    #: Colour excess E(B - V) of the stars [mag].
    reddening: float


# ASSUME: four kinds from old to young; the strength of the break of old galaxies is about 2.
TEMPLATES = (
    GalaxyTemplate("elliptical", 0.0, 0.0),
    GalaxyTemplate("early spiral", 0.3, 0.1),
    GalaxyTemplate("late spiral", 0.6, 0.15),
    GalaxyTemplate("starburst", 0.95, 0.2),
)


def black_body(wavelength_um: float | np.ndarray, temperature_k: float | np.ndarray) -> np.ndarray:
    """Return Planck's spectrum by frequency, in a unit of its own.

    Examples
    --------
    >>> ratio = black_body(1.0, 5000.0) / black_body(2.0, 5000.0)
    >>> round(float(ratio), 3)
    1.534
    """
    x = _SECOND_RADIATION_CONSTANT / (np.asarray(wavelength_um) * temperature_k)
    return np.asarray(np.asarray(wavelength_um, float) ** -3 / np.expm1(x))


def stellar_maggies(
    mag: np.ndarray, temperature_k: np.ndarray, pivot_um: float | np.ndarray
) -> dict[str, np.ndarray]:
    """Return fluxes of black bodies in every filter.

    Parameters
    ----------
    mag : ndarray of shape (n,)
        AB magnitude at the pivot.
    temperature_k : ndarray of shape (n,)
        [K]
    pivot_um : float or ndarray of shape (n,)
        [um]

    Returns
    -------
    dict of ndarray of shape (n,)
        [maggies] by filter, counted in photons.

    Examples
    --------
    >>> fluxes = stellar_maggies(np.array([20.0]), np.array([5772.0]), 1.577)
    >>> float(-2.5 * np.log10(fluxes["F158"][0]).round(3)), bool(fluxes["F106"] > fluxes["F213"])
    (20.0, True)
    """
    temperature = np.asarray(temperature_k, float)
    at_pivot = black_body(pivot_um, temperature)
    scale = 10 ** (-0.4 * np.asarray(mag, float)) / at_pivot

    def spectrum(rows: slice, wavelength: np.ndarray) -> np.ndarray:
        return scale[rows, None] * black_body(wavelength, temperature[rows, None])

    return _through_filters(spectrum, len(temperature))


def galaxy_maggies(
    mag: np.ndarray, optical_element: str, redshift: np.ndarray, template: np.ndarray
) -> dict[str, np.ndarray]:
    """Return fluxes of redshifted galaxies in every filter.

    Parameters
    ----------
    mag : ndarray of shape (n,)
        AB magnitude in one filter.
    optical_element : str
        That filter.
    redshift : ndarray of shape (n,)
    template : ndarray of int, shape (n,)
        Numbers in `TEMPLATES`.

    Returns
    -------
    dict of ndarray of shape (n,)
        [maggies] by filter; 0 where all light of the filter left beyond the Lyman limit.

    Raises
    ------
    ValueError
        If no light reaches the filter that the magnitude is told in.

    Examples
    --------
    >>> one = np.ones(1)
    >>> old = galaxy_maggies(22 * one, "F158", one, np.array([0]))
    >>> young = galaxy_maggies(22 * one, "F158", one, np.array([3]))
    >>> bool(old["F062"] < young["F062"])
    True
    """
    shift = 1 + np.asarray(redshift, float)
    young = np.array([kind.young for kind in TEMPLATES])[template]
    reddening = np.array([kind.reddening for kind in TEMPLATES])[template]

    def spectrum(rows: slice, wavelength: np.ndarray) -> np.ndarray:
        emitted = wavelength / shift[rows, None]
        light = galaxy_spectrum(emitted, young[rows, None], reddening[rows, None])
        return light * _between_galaxies(wavelength, emitted)

    relative = _through_filters(spectrum, len(shift))
    told = relative[optical_element]
    if (told <= 0).any():
        redshift_of_first = float(shift[np.flatnonzero(told <= 0)[0]] - 1)
        raise ValueError(f"no light of redshift {redshift_of_first} reaches {optical_element}")
    scale = 10 ** (-0.4 * np.asarray(mag, float)) / told
    return {name: flux * scale for name, flux in relative.items()}


def galaxy_spectrum(
    wavelength_um: np.ndarray, young: np.ndarray, reddening: np.ndarray
) -> np.ndarray:
    """Return a galaxy's spectrum by frequency as it leaves it, 1 at 0.55 um without dust.

    Parameters
    ----------
    wavelength_um : ndarray
        Of emission [um].
    young : ndarray
        Share of young light at 0.55 um.
    reddening : ndarray
        E(B - V) [mag].

    Examples
    --------
    >>> round(float(galaxy_spectrum(np.array(0.55), 0.3, 0.0)), 6)
    1.0
    >>> float(galaxy_spectrum(np.array(0.08), 0.3, 0.0))
    0.0
    """
    old = black_body(wavelength_um, 4500.0) / black_body(_MIXTURE_UM, 4500.0)
    # The break is 0.02 um wide.
    old = old * (1 - 0.5 / (1 + np.exp((wavelength_um - 0.4) / 0.005)))
    light = young + (1 - young) * old
    dimmed = light * 10 ** (-0.4 * reddening * dust_curve(wavelength_um))
    return np.where(wavelength_um > _LYMAN_LIMIT_UM, dimmed, 0.0)


def dust_curve(wavelength_um: np.ndarray) -> np.ndarray:
    """Return the attenuation by dust over E(B - V): Calzetti et al. 2000, equation 4.

    Examples
    --------
    >>> dust_curve(np.array([0.55, 0.15])).round(1).tolist()
    [4.0, 10.3]
    """
    inverse = 1 / np.clip(wavelength_um, 0.12, 2.2)
    red = 2.659 * (-1.857 + 1.040 * inverse) + 4.05
    blue = 2.659 * (-2.156 + 1.509 * inverse - 0.198 * inverse**2 + 0.011 * inverse**3) + 4.05
    # The fit ends at 0.12 and 2.2 um and stays there.
    return np.where(inverse < 1 / 0.63, red, blue)


def _between_galaxies(observed_um: np.ndarray, emitted_um: np.ndarray) -> np.ndarray:
    """Share of the light that the forest of Lyman alpha lines leaves (Madau 1995, equation 12)."""
    depth = 0.0036 * (observed_um / _LYMAN_ALPHA_UM) ** 3.46
    return np.where(emitted_um < _LYMAN_ALPHA_UM, np.exp(-depth), 1.0)


@cache
def _photon_weights() -> tuple[np.ndarray, np.ndarray]:
    """Wavelengths (m,) and the weight of each in the AB flux of each filter, (m, n_filters)."""
    wavelength, area = effective_areas()
    weights = np.stack([area[name] / wavelength for name in filters()], axis=1)
    return wavelength, weights / weights.sum(axis=0)


def _through_filters(
    spectrum: Callable[[slice, np.ndarray], np.ndarray], n: int
) -> dict[str, np.ndarray]:
    """Weigh n spectra, given by frequency (rows, m), with the photons of each filter."""
    wavelength, weights = _photon_weights()
    parts = [
        spectrum(slice(first, first + _ROWS), wavelength) @ weights for first in range(0, n, _ROWS)
    ]
    means = np.concatenate([np.zeros((0, weights.shape[1])), *parts])
    return {name: means[:, k] for k, name in enumerate(filters())}

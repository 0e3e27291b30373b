"""Light on a detector: the rate image of stars, galaxies and sky before the detector's effects."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import galsim
import numpy as np

from tessella.detector.state import Blur
from tessella.instrument.optical_elements import DISPERSERS, ab_zero_point, filters
from tessella.models import Window
from tessella.psf.model import effective_wavelength_nm, optical_psf, wavelength_spread_nm
from tessella.simulate.drawing import Galaxy, Optics, add_galaxy, add_stars

#: Light of the wings that a stamp may leave out, per pixel at its edge [electrons / s].
EDGE_RATE = 1e-3
#: Share of a star's light in a pixel r pixels away is about this over r cubed: diffraction and
#: aberrations leave 0.7 / r of the light outside r.
_WING = 0.115
#: Largest distance between the places at which the optics are computed [pixels].
_NODE_SPACING = 1024


@dataclass(frozen=True)
class Sources:
    """What shines on a window; arrays have the shape (n,)."""

    #: Position in active pixels of the window, 0-based.
    x: np.ndarray
    y: np.ndarray
    #: All of its light [electrons / s].
    rate: np.ndarray
    #: Sersic index; negative for stars.
    sersic: np.ndarray
    #: Radius that holds half of the light, of the circle of equal area [arcsec].
    half_light_radius: np.ndarray
    #: Position angle of the major axis, east of north [deg], and axis ratio.
    pa: np.ndarray
    ba: np.ndarray
    #: From `red_share`, for images that depend on colour; None takes all light at the effective
    #: wavelength of the filter.
    red_share: np.ndarray | None = None


def red_share(maggies: np.ndarray, elements: Sequence[str], optical_element: str) -> np.ndarray:
    """Return which part of each source's light stands at the longer of a filter's two wavelengths.

    The light of a filter is drawn at two wavelengths, one `wavelength_spread_nm` below and one
    above the effective one: the Gauss quadrature of the band. A source whose photons go with
    wavelength to some power, which two filters tell, has its mean wavelength and, for a flat
    spectrum, its spread.

    Parameters
    ----------
    maggies : ndarray of shape (n, n_elements)
        Fluxes, f_nu.
    elements : sequence of str
        RAD names of their filters.
    optical_element : str
        That of the image; its flux and that of the filter next in wavelength tell the slope.

    Returns
    -------
    ndarray of shape (n,)
        From 0 to 1; 0.5, that of equally many photons at all wavelengths, where there is one
        filter only or a flux is not above 0.

    Examples
    --------
    >>> red_share(np.array([[1.0, 1.0], [1.0, 4.0]]), ["F129", "F158"], "F158").round(3).tolist()
    [0.463, 0.717]
    """
    wavelengths = np.array([effective_wavelength_nm(element) for element in elements])
    here = effective_wavelength_nm(optical_element)
    distance = np.abs(np.log(wavelengths / here))
    others = distance > 0
    shares = np.full(len(maggies), 0.5)
    if not others.any():
        return shares
    other = int(np.argmin(np.where(others, distance, np.inf)))
    at, beside = maggies[:, list(elements).index(optical_element)], maggies[:, other]
    known = (at > 0) & (beside > 0)
    # As many photons per wavelength as f_nu over wavelength says.
    slope = np.log(beside[known] / at[known]) / np.log(wavelengths[other] / here) - 1
    shares[known] += 0.5 * slope * wavelength_spread_nm(optical_element) / here
    return np.clip(shares, 0.0, 1.0)


def electrons_per_maggy(detector: str, optical_element: str) -> float:
    """Return the electrons per second of a source of AB magnitude 0.

    Examples
    --------
    >>> round(electrons_per_maggy("WFI01", "F158") / 1e10, 2)
    3.38
    """
    return 10 ** (0.4 * ab_zero_point(detector, optical_element))


def sky_rate(
    optical_element: str, zodiacal_factor: float, pixel_area_ratio: float | np.ndarray = 1.0
) -> float | np.ndarray:
    """Return the light of the sky and of the telescope in a pixel [electrons / s].

    Parameters
    ----------
    optical_element : str
        RAD name of a filter or disperser; all other elements let no light through.
    zodiacal_factor : float
        Zodiacal light over its minimum.
    pixel_area_ratio : float or ndarray of shape (ny, nx)
        Area of a pixel on the sky over the nominal (0.11 arcsec) squared.

    Examples
    --------
    >>> round(sky_rate("F158", 1.5), 3)
    0.414
    """
    if optical_element in filters():
        entry = filters()[optical_element]
        rate = zodiacal_factor * entry.zodiacal_rate + entry.thermal_rate
    else:
        # ASSUME: no light of the telescope: a disperser keeps out what lies beyond 2 um.
        rate = zodiacal_factor * DISPERSERS.get(optical_element, 0.0)
    return rate * pixel_area_ratio


def rate_image(
    sources: Sources,
    jacobian: np.ndarray,
    window: Window,
    detector: str,
    optical_element: str,
    blur: Blur,
) -> np.ndarray:
    """Draw stars and galaxies through the optics onto the pixels of a window.

    Stamps grow with brightness until the light of a source at their edge is below `EDGE_RATE`.
    What the optics throw outside is lost, not put back, so that the light inside any radius is
    theirs (0.02 of a faint star lies beyond its stamp, thinner than a thousandth of the sky).

    Parameters
    ----------
    sources : Sources
        n sources; those outside the window still light up its edge.
    jacobian : ndarray of shape (2, 2) or (n, 2, 2)
        ``d(x, y) / d(east, north)`` [pixels / arcsec], for the shapes of galaxies.
    window : Window
        Part of the detector.
    detector, optical_element : str
        RAD names.
    blur : Blur
        Jitter, diffusion of charge and defocus.

    Returns
    -------
    ndarray of shape (ny - 8, nx - 8)
        [electrons / s] for a response of 1; no sky.

    Examples
    --------
    >>> one = np.ones(1)
    >>> star = Sources(60 * one, 60 * one, 100 * one, -one, 0 * one, 0 * one, one)
    >>> image = rate_image(star, np.eye(2), Window(0, 0, 128, 128), "WFI01", "F158", Blur(8, 3))
    >>> bool(95 < image.sum() < 100)
    True
    """
    image = np.zeros(window.active_shape)
    half = np.cbrt(_WING * sources.rate / EDGE_RATE)
    stars = sources.sersic < 0
    jacobians = np.broadcast_to(jacobian, (len(sources.x), 2, 2))
    for wavelength_nm, rate in _light_by_wavelength(sources, optical_element):
        optics = _optics(window, detector, optical_element, blur, wavelength_nm)
        add_stars(image, optics, *(array[stars] for array in (sources.x, sources.y, rate, half)))
        for i in np.flatnonzero(~stars & (rate > 0)):
            galaxy = Galaxy(
                float(sources.x[i]),
                float(sources.y[i]),
                float(rate[i]),
                float(sources.sersic[i]),
                _ellipse(sources, int(i), jacobians[i]),
            )
            add_galaxy(image, optics, galaxy, float(half[i]), EDGE_RATE)
    return image


def _light_by_wavelength(
    sources: Sources, optical_element: str
) -> Iterator[tuple[float, np.ndarray]]:
    """Yield the wavelengths at which light is drawn [nm], and the light there [electrons / s]."""
    middle = effective_wavelength_nm(optical_element)
    if sources.red_share is None:
        yield middle, sources.rate
        return
    spread = wavelength_spread_nm(optical_element)
    yield middle - spread, sources.rate * (1 - sources.red_share)
    yield middle + spread, sources.rate * sources.red_share


def _optics(
    window: Window, detector: str, element: str, blur: Blur, wavelength_nm: float
) -> Optics:
    ny, nx = window.active_shape
    node_x = np.linspace(0, nx - 1, 1 + -(-nx // _NODE_SPACING))
    node_y = np.linspace(0, ny - 1, 1 + -(-ny // _NODE_SPACING))

    def at(j: int, i: int) -> galsim.GSObject:
        place = window.x + float(node_x[i]), window.y + float(node_y[j])
        return optical_psf(detector, element, *place, blur, wavelength_nm)

    return Optics(node_x, node_y, at, wavelength_nm / 1000)


def _ellipse(sources: Sources, i: int, jacobian: np.ndarray) -> np.ndarray:
    """Return what takes the unit circle to the galaxy's half-light ellipse on the detector."""
    # Angles from x (east) towards y (north); position angles go the other way round.
    angle = np.radians(90 - float(sources.pa[i]))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    ratio = np.sqrt(float(sources.ba[i]))
    axes = float(sources.half_light_radius[i]) * np.array([1 / ratio, ratio])
    return np.asarray(jacobian, float) @ (turn * axes) @ turn.T

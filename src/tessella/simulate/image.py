"""Light on a detector: the rate image of stars, galaxies and sky before the detector's effects."""

from dataclasses import dataclass

import galsim
import numpy as np

from tessella.instrument.optical_elements import DISPERSERS, ab_zero_point, filters
from tessella.models import Window
from tessella.psf.effective import EffectivePsf
from tessella.psf.model import NOMINAL_PIXEL_ARCSEC, effective_psf, optical_psf

#: Light of the wings that a stamp may leave out, per pixel at its edge [electrons / s].
EDGE_RATE = 1e-3
#: Share of a star's light in a pixel r pixels away is about this over r cubed: diffraction and
#: aberrations leave 0.7 / r of the light outside r.
_WING = 0.115
#: Half side of the stamps of faint stars [pixels], and samples in a pixel of their common drawing.
_FAINT_HALF = 40
_OVERSAMPLE = 4
#: Largest half side of any stamp [pixels]; the model optics end there.
_LARGEST_HALF = 220
#: Largest distance between the places at which the optics are computed [pixels].
_NODE_SPACING = 1024
#: A galaxy's stamp reaches so many half-light radii, on top of the wings of a point source.
_RADII_IN_STAMP = 8


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


@dataclass(frozen=True)
class _Optics:
    """The optics at the nodes of a window: drawings for faint stars, objects for the others."""

    node_x: np.ndarray
    node_y: np.ndarray
    objects: list[list[galsim.GSObject]]
    drawings: list[list[EffectivePsf]]

    def weights(self, x: float, y: float) -> list[tuple[int, int, float]]:
        """Rows, columns and bilinear weights of the nodes around a position."""
        (i, u), (j, v) = _between(self.node_x, x), _between(self.node_y, y)
        corners = [
            (j + b, i + a, (v if b else 1 - v) * (u if a else 1 - u))
            for b in (0, 1)
            for a in (0, 1)
        ]
        return [corner for corner in corners if corner[2] > 0]

    def nearest(self, x: float, y: float) -> galsim.GSObject:
        """Return the optics of the nearest node."""
        return self.objects[np.abs(self.node_y - y).argmin()][np.abs(self.node_x - x).argmin()]


def _between(nodes: np.ndarray, value: float) -> tuple[int, float]:
    i = int(np.clip(np.searchsorted(nodes, value) - 1, 0, len(nodes) - 2))
    return i, float(np.clip((value - nodes[i]) / (nodes[i + 1] - nodes[i]), 0, 1))


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
    jitter_mas: float,
    charge_diffusion_um: float,
) -> np.ndarray:
    """Draw stars and galaxies through the optics onto the pixels of a window.

    Stamps grow with brightness until the light of a source at their edge is below `EDGE_RATE`;
    what lies outside is lost, not put back, so that the light inside any radius is that of the
    optics (0.02 of a faint star lies beyond its stamp, thinner than a thousandth of the sky).

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
    jitter_mas, charge_diffusion_um : float
        As in `tessella.psf.model.optical_psf`.

    Returns
    -------
    ndarray of shape (ny - 8, nx - 8)
        [electrons / s] for a response of 1; no sky.

    Examples
    --------
    >>> one = np.ones(1)
    >>> star = Sources(60 * one, 60 * one, 100 * one, -one, 0 * one, 0 * one, one)
    >>> image = rate_image(star, np.eye(2), Window(0, 0, 128, 128), "WFI01", "F158", 8.0, 2.94)
    >>> bool(95 < image.sum() < 100)
    True
    """
    image = np.zeros(window.active_shape)
    jacobians = np.broadcast_to(jacobian, (len(sources.x), 2, 2))
    optics = _optics(window, detector, optical_element, jitter_mas, charge_diffusion_um)
    for i in range(len(sources.x)):
        x, y, rate = float(sources.x[i]), float(sources.y[i]), float(sources.rate[i])
        half = (_WING * rate / EDGE_RATE) ** (1 / 3)
        if sources.sersic[i] >= 0:
            galaxy = _galaxy(sources, i, jacobians[i])
            blurred = galsim.Convolve(galaxy, _in_pixels(optics.nearest(x, y)))
            radius = sources.half_light_radius[i] / NOMINAL_PIXEL_ARCSEC
            _draw(image, blurred * rate, x, y, max(half, _RADII_IN_STAMP * radius))
        elif half > _FAINT_HALF:
            _draw(image, _in_pixels(optics.nearest(x, y)) * rate, x, y, half)
        else:
            _add_faint_star(image, optics, x, y, rate)
    return image


def _optics(
    window: Window, detector: str, element: str, jitter_mas: float, charge_diffusion_um: float
) -> _Optics:
    ny, nx = window.active_shape
    node_x = np.linspace(0, nx - 1, 1 + -(-nx // _NODE_SPACING))
    node_y = np.linspace(0, ny - 1, 1 + -(-ny // _NODE_SPACING))
    objects = [
        [
            optical_psf(
                detector,
                element,
                window.x + float(x),
                window.y + float(y),
                jitter_mas,
                charge_diffusion_um,
            )
            for x in node_x
        ]
        for y in node_y
    ]
    drawings = [
        [
            EffectivePsf(effective_psf(o, None, _OVERSAMPLE, 2 * _FAINT_HALF + 2), _OVERSAMPLE)
            for o in row
        ]
        for row in objects
    ]
    return _Optics(node_x, node_y, objects, drawings)


def _in_pixels(optics: galsim.GSObject) -> galsim.GSObject:
    """Express an image in pixels instead of arcseconds."""
    return optics.dilate(1 / NOMINAL_PIXEL_ARCSEC)


def _galaxy(sources: Sources, i: int, jacobian: np.ndarray) -> galsim.GSObject:
    """Return a galaxy of flux 1 on the detector [pixels]."""
    radius = float(sources.half_light_radius[i])
    round_galaxy = galsim.Sersic(n=float(sources.sersic[i]), half_light_radius=radius)
    # galsim counts angles from x (east) towards y (north); position angles go the other way round.
    angle = (90 - float(sources.pa[i])) * galsim.degrees
    sheared = round_galaxy.shear(q=float(sources.ba[i]), beta=angle)
    (a, b), (c, d) = np.asarray(jacobian, float)
    return sheared.transform(a, b, c, d).withFlux(1.0)


def _draw(image: np.ndarray, profile: galsim.GSObject, x: float, y: float, half: float) -> None:
    """Add a profile, in pixels, to an image [y, x]."""
    size = 2 * int(np.ceil(min(half, _LARGEST_HALF))) + 1
    column, row = round(x), round(y)
    corner = galsim.PositionI(column - size // 2, row - size // 2)
    stamp_bounds = galsim.BoundsI(corner.x, corner.x + size - 1, corner.y, corner.y + size - 1)
    overlap = stamp_bounds & galsim.BoundsI(0, image.shape[1] - 1, 0, image.shape[0] - 1)
    if not overlap.isDefined():
        return
    stamp = galsim.Image(stamp_bounds, dtype=float, scale=1.0)
    profile.drawImage(stamp, center=galsim.PositionD(x, y), method="auto")
    image[overlap.ymin : overlap.ymax + 1, overlap.xmin : overlap.xmax + 1] += stamp[overlap].array


def _add_faint_star(image: np.ndarray, optics: _Optics, x: float, y: float, rate: float) -> None:
    columns = np.arange(
        max(0, round(x) - _FAINT_HALF), min(image.shape[1], round(x) + _FAINT_HALF + 1)
    )
    rows = np.arange(
        max(0, round(y) - _FAINT_HALF), min(image.shape[0], round(y) + _FAINT_HALF + 1)
    )
    if columns.size == 0 or rows.size == 0:
        return
    place = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    for j, i, weight in optics.weights(x, y):
        image[place] += rate * weight * optics.drawings[j][i].evaluate_grid(columns - x, rows - y)

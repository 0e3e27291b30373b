"""Many sources drawn fast: stars from a spline, galaxies from the product of two spectra.

Optics change over a detector. They are known at the nodes of a grid, as `Optics` gives them, and a
source takes the mean of the four nodes around it, weighted bilinearly.

A star is the cubic spline through an oversampled effective PSF. All pixels of a stamp have the same
phase between its samples, so that two passes of four weights each make the stamp. Its core and its
wings come from two drawings, the wings more coarsely.

A galaxy is its own spectrum, a Sersic profile's that depends on one radius in the plane of
frequencies, times that of optics and pixel, up to where the telescope passes light. Frequencies
beyond those of the pixels are folded back, as sampling at the pixels' centres does, and one Fourier
transform makes the stamp. Optics end where the stamp does; what of the profile would lie outside is
folded in, and stamps are so large that it is less than a limit at their edges.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

import galsim
import numpy as np
from scipy import fft
from scipy.ndimage import spline_filter
from scipy.special import gamma

from tessella.compiled import kernel
from tessella.psf.model import NOMINAL_PIXEL_ARCSEC, effective_psf

#: Half sides of what the two drawings of a star hold [pixels], and their samples in a pixel.
CORE_HALF, CORE_SAMPLES = 40, 4
WING_HALF, WING_SAMPLES = 220, 2
#: Sides of the stamps of galaxies [pixels].
_SIDES = (64, 128, 256, 512)
#: Sersic indices are rounded to multiples of this: one spectrum serves many galaxies.
SERSIC_STEP = 0.05
#: Samples of the spectrum of a Sersic profile: their distance and the last [1 / half-light radius].
_SPECTRUM_STEP, _SPECTRUM_END = 0.005, 400.0
#: Diameter of the primary mirror [m].
_MIRROR_M = 2.36


@dataclass(frozen=True)
class Optics:
    """The optics at the nodes of a grid on a window."""

    #: Columns and rows of the nodes [pixels], ascending, two of each at least.
    x: np.ndarray
    y: np.ndarray
    #: Gives the image of a point source at node (row, column), before the pixel [arcsec].
    at: Callable[[int, int], galsim.GSObject]
    #: Effective wavelength [um].
    wavelength_um: float
    _spectra: dict[tuple[int, int, int], np.ndarray] = field(default_factory=dict, repr=False)

    @cached_property
    def cores(self) -> np.ndarray:
        """Spline coefficients of the middle of each node's effective PSF, (ny, nx, n, n)."""
        return self._drawn(CORE_SAMPLES, CORE_HALF)

    @cached_property
    def wings(self) -> np.ndarray:
        """The same of all of it, with fewer samples."""
        return self._drawn(WING_SAMPLES, WING_HALF)

    def _drawn(self, samples: int, half: int) -> np.ndarray:
        def one(j: int, i: int) -> np.ndarray:
            drawn = effective_psf(self.at(j, i), None, samples, 2 * half + 4)
            return spline_filter(drawn, 3, mode="mirror").astype(np.float32)

        return np.array([[one(j, i) for i in range(self.x.size)] for j in range(self.y.size)])

    @cached_property
    def cutoff(self) -> float:
        """Frequency beyond which the telescope passes no light [radian / pixel]."""
        finest_arcsec = np.degrees(self.wavelength_um * 1e-6 / _MIRROR_M) * 3600
        return float(2 * np.pi * NOMINAL_PIXEL_ARCSEC / finest_arcsec)

    @cached_property
    def folds(self) -> int:
        """How many times finer than the pixels the light must be sampled to be known."""
        return int(np.ceil(self.cutoff / np.pi))

    def spectrum(self, j: int, i: int, side: int) -> np.ndarray:
        """Return the spectrum of what of a node's optics and pixel falls on a stamp of some side.

        Returns
        -------
        ndarray of shape (folds * side, folds * side), complex64
            Frequencies in the order of `numpy.fft.fftfreq`.
        """
        known = self._spectra.get((j, i, side))
        if known is None:
            n = self.folds * side
            light = galsim.Convolve(self.at(j, i), galsim.Pixel(NOMINAL_PIXEL_ARCSEC))
            # The source stands right of and above the middle of an even image.
            drawn = light.drawImage(
                nx=n, ny=n, scale=NOMINAL_PIXEL_ARCSEC / self.folds, offset=(0.5, 0.5),
                method="no_pixel", dtype=float,
            )  # fmt: skip
            known = fft.fft2(np.fft.ifftshift(drawn.array), workers=1).astype(np.complex64)
            self._spectra[j, i, side] = known
        return known


def _between(nodes: np.ndarray, values: Any) -> tuple[Any, Any]:
    """Return the node before each value, and how far between it and the next one it lies."""
    first = np.clip(np.searchsorted(nodes, values) - 1, 0, nodes.size - 2)
    share = (values - nodes[first]) / (nodes[first + 1] - nodes[first])
    return first, np.clip(share, 0.0, 1.0)


def add_stars(
    image: np.ndarray,
    optics: Optics,
    x: np.ndarray,
    y: np.ndarray,
    rate: np.ndarray,
    half: np.ndarray,
) -> None:
    """Add stars to an image.

    Parameters
    ----------
    image : ndarray of shape (ny, nx), float64
        Changed in place.
    optics : Optics
    x, y, rate : ndarray of shape (n,)
        Place in the image [pixels], and light.
    half : ndarray of shape (n,)
        Half side of the stamp [pixels]; `CORE_HALF` at least and `WING_HALF` at most is drawn.
    """
    (i, u), (j, v) = _between(optics.x, x), _between(optics.y, y)
    nodes, shares = np.stack([j, i], axis=-1), np.stack([v, u], axis=-1)
    places = np.stack([x, y, rate], axis=-1)
    none = np.zeros(len(x), np.int64)
    core = np.full(len(x), CORE_HALF)
    _add_stamps(image, optics.cores, CORE_SAMPLES, places, nodes, shares, core, none - 1)
    far = np.clip(np.ceil(half), CORE_HALF, WING_HALF).astype(np.int64)
    wide = far > CORE_HALF
    if wide.any():
        told = places[wide], nodes[wide], shares[wide], far[wide], core[wide]
        _add_stamps(image, optics.wings, WING_SAMPLES, *told)


@kernel
def _add_stamps(
    image: np.ndarray,
    drawings: np.ndarray,
    samples: int,
    places: np.ndarray,
    nodes: np.ndarray,
    shares: np.ndarray,
    half: np.ndarray,
    hole: np.ndarray,
) -> None:
    """Add stamps to an image, without the pixels within `hole` of their middle on both axes."""
    ny, nx = image.shape
    middle = drawings.shape[2] // 2
    across, up = np.empty(4, np.float32), np.empty(4, np.float32)
    line = np.empty(drawings.shape[3], np.float32)
    for n in range(places.shape[0]):
        x, y, rate = places[n]
        column, row, reach = int(np.rint(x)), int(np.rint(y)), half[n]
        left, right = max(column - reach, 0), min(column + reach, nx - 1)
        low, high = max(row - reach, 0), min(row + reach, ny - 1)
        if left > right or low > high:
            continue
        first_x = _cubic(samples * (column - x), across)
        first_y = _cubic(samples * (row - y), up)
        start = middle + samples * (left - column) + first_x
        stop = middle + samples * (right - column) + first_x + 4
        for r in range(low, high + 1):
            line[start:stop] = 0.0
            for b in range(2):
                for a in range(2):
                    along_y = shares[n, 0] if b else 1.0 - shares[n, 0]
                    along_x = shares[n, 1] if a else 1.0 - shares[n, 1]
                    share = np.float32(along_y * along_x * rate)
                    if share == 0.0:
                        continue
                    drawing = drawings[nodes[n, 0] + b, nodes[n, 1] + a]
                    at = middle + samples * (r - row) + first_y
                    for k in range(4):
                        weight, held = share * up[k], drawing[at + k]
                        for c in range(start, stop):
                            line[c] += weight * held[c]
            is_beside = abs(r - row) > hole[n]
            for c in range(left, right + 1):
                if is_beside or abs(c - column) > hole[n]:
                    at = start + samples * (c - left)
                    value = np.float32(0.0)
                    for k in range(4):
                        value += across[k] * line[at + k]
                    image[r, c] += value


@kernel
def _cubic(offset: float, weights: np.ndarray) -> int:
    """Fill in the weights of a cubic B-spline's four coefficients; return where they begin."""
    base = int(np.floor(offset))
    t = offset - base
    weights[0] = (1 - t) ** 3 / 6
    weights[1] = (3 * t**3 - 6 * t**2 + 4) / 6
    weights[2] = (-3 * t**3 + 3 * t**2 + 3 * t + 1) / 6
    weights[3] = t**3 / 6
    return base - 1


@dataclass(frozen=True)
class Galaxy:
    """A Sersic profile on a detector."""

    #: Place [pixels] and light.
    x: float
    y: float
    rate: float
    sersic: float
    #: (2, 2): takes a circle of radius 1 to the ellipse that holds half of the light [pixels].
    shape: np.ndarray


def add_galaxy(image: np.ndarray, optics: Optics, galaxy: Galaxy, half: float, edge: float) -> None:
    """Add a galaxy to an image.

    Parameters
    ----------
    image : ndarray of shape (ny, nx), float64
        Changed in place.
    optics : Optics
    galaxy : Galaxy
    half : float
        Half side of a stamp that holds a star as bright [pixels].
    edge : float
        Light in a pixel that the profile may have at the edge of the stamp.
    """
    side = _side_of(galaxy, half, edge)
    column, row = round(galaxy.x), round(galaxy.y)
    left, low = column - side // 2, row - side // 2
    x0, x1 = max(left, 0), min(left + side, image.shape[1])
    y0, y1 = max(low, 0), min(low + side, image.shape[0])
    if x0 >= x1 or y0 >= y1:
        return
    (i, u), (j, v) = _between(optics.x, galaxy.x), _between(optics.y, galaxy.y)
    corners = [(b, a) for b in (0, 1) for a in (0, 1)]
    lights: Any = tuple(optics.spectrum(int(j) + b, int(i) + a, side) for b, a in corners)
    shares: Any = tuple(float((v if b else 1 - v) * (u if a else 1 - u)) for b, a in corners)
    profile = spectrum_of_sersic(round(galaxy.sersic / SERSIC_STEP))
    offset = galaxy.x - left, galaxy.y - low
    folded = _folded(lights, shares, profile, galaxy.shape, offset, side, optics.cutoff)
    stamp = fft.irfft2(folded[:, : side // 2 + 1], (side, side), workers=1)
    image[y0:y1, x0:x1] += galaxy.rate * stamp[y0 - low : y1 - low, x0 - left : x1 - left]


def _side_of(galaxy: Galaxy, half: float, edge: float) -> int:
    radius = float(np.linalg.norm(galaxy.shape, 2))
    needed = max(half, 3 * radius, radius_of_brightness(galaxy.sersic, radius, edge / galaxy.rate))
    return next((side for side in _SIDES if side >= 2 * needed), _SIDES[-1])


def radius_of_brightness(sersic: float, radius: float, brightness: float) -> float:
    """Return how far out a Sersic profile of light 1 is as bright as that.

    With b = 2 n - 1 / 3 (Graham & Driver 2005, PASA 22, 118, doi:10.1071/AS05001), which holds to
    a few percent from n = 0.5 up.

    Parameters
    ----------
    sersic : float
    radius : float
        That holds half of the light [pixels].
    brightness : float
        [1 / pixel]

    Returns
    -------
    float
        [pixels]; 0 where nothing is as bright.

    Examples
    --------
    >>> round(radius_of_brightness(1.0, 2.0, 1e-3), 1)
    5.6
    """
    b = 2 * sersic - 1 / 3
    central = b ** (2 * sersic) / (2 * np.pi * sersic * radius**2 * gamma(2 * sersic))
    if central <= brightness:
        return 0.0
    return float(radius * (np.log(central / brightness) / b) ** sersic)


@lru_cache(maxsize=128)
def spectrum_of_sersic(steps: int) -> np.ndarray:
    """Return the spectrum of a Sersic profile of light 1 and half-light radius 1.

    Parameters
    ----------
    steps : int
        Its index over `SERSIC_STEP`.

    Returns
    -------
    ndarray of shape (n,)
        At multiples of 0.005 [1 / half-light radius].
    """
    profile = galsim.Sersic(n=steps * SERSIC_STEP, half_light_radius=1.0)
    k = np.arange(0, _SPECTRUM_END, _SPECTRUM_STEP)
    return np.array([profile.kValue(value, 0.0).real for value in k])


@kernel
def _folded(
    lights: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    shares: tuple[float, float, float, float],
    profile: np.ndarray,
    shape: np.ndarray,
    offset: tuple[float, float],
    side: int,
    cutoff: float,
) -> np.ndarray:
    """Multiply spectra, move the source to its place and fold frequencies beyond the pixels'."""
    n = lights[0].shape[0]
    out = np.zeros((side, side), np.complex128)
    step = 2 * np.pi / side
    turn_x = np.empty(n, np.complex128)
    for i in range(n):
        k = step * (i if i < n // 2 else i - n)
        turn_x[i] = np.exp(-1j * k * offset[0])
    # Of a real image one half of the plane tells the other.
    for j in range(n):
        ky = step * (j if j < n // 2 else j - n)
        turn_y = np.exp(-1j * ky * offset[1])
        for i in range(n // 2):
            kx = step * i
            if kx * kx + ky * ky > cutoff * cutoff:
                break
            # The transform of a profile that is stretched by a matrix, at the frequency that the
            # transposed matrix makes.
            a = shape[0, 0] * kx + shape[1, 0] * ky
            b = shape[0, 1] * kx + shape[1, 1] * ky
            t = np.sqrt(a * a + b * b) * (1.0 / _SPECTRUM_STEP)
            m = int(t)
            if m + 1 >= profile.size:
                continue
            value = profile[m] + (t - m) * (profile[m + 1] - profile[m])
            light = shares[0] * lights[0][j, i] + shares[1] * lights[1][j, i]
            light += shares[2] * lights[2][j, i] + shares[3] * lights[3][j, i]
            there = value * light * (turn_x[i] * turn_y)
            out[j % side, i % side] += there
            if i > 0:
                out[-j % side, -i % side] += np.conj(there)
    return out

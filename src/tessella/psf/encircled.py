"""Encircled energy: the share of a point source's light in round apertures of a coadd."""

import galsim
import numpy as np
from scipy.special import j1

from tessella.psf.model import NOMINAL_PIXEL_ARCSEC

#: Roll angles over which the output pixel is averaged, in a quarter turn.
_N_ROLLS = 16


def encircled_energy(
    optics: galsim.GSObject,
    ipc_kernel: np.ndarray | None,
    radii_arcsec: np.ndarray,
    pixfrac: float,
    output_pixel_arcsec: float = 0.055,
    detector_pixel_arcsec: float = NOMINAL_PIXEL_ARCSEC,
) -> np.ndarray:
    """Return the encircled energy of a point source in a drizzled coadd of many dithers and rolls.

    A coadd of detector pixels, each shrunk to a drop of `pixfrac` and shared out over the output
    pixels that it covers (Fruchter & Hook 2002, PASP 114, 144. doi:10.1086/338393), shows in the
    mean over dithers the optics convolved with the detector's pixel, its inter-pixel capacitance,
    the drop and the output pixel. Photometry that splits output pixels at the aperture's edge takes
    each for evenly bright, which spreads the image over the output pixel a second time. The
    integral of the result over a circle is a sum over its transform:
    ``EE(r) = integral of P(k) r J1(k r) / (2 pi k) d2k``.

    Parameters
    ----------
    optics : galsim.GSObject
        From `tessella.psf.model.optical_psf`.
    ipc_kernel : ndarray of shape (3, 3), optional
        Share of a pixel's signal that its neighbours show, ``[dy + 1, dx + 1]``; None for none.
    radii_arcsec : ndarray of shape (n,)
        Radii on the sky [arcsec].
    pixfrac : float
        Side of the drop over the side of a detector pixel.
    output_pixel_arcsec : float
        Side of the coadd's pixels [arcsec].
    detector_pixel_arcsec : float
        Side of a detector pixel on the sky [arcsec]: the square root of its area. The optics are
        described in pixels, so their image on the sky grows with it.

    Returns
    -------
    ndarray of shape (n,)
        Share of all the light of the source, to infinite radius.

    Examples
    --------
    >>> from tessella.detector.state import Blur
    >>> from tessella.psf.model import optical_psf
    >>> optics = optical_psf("WFI01", "F158", 2043.5, 2043.5, Blur(8.0, 2.94))
    >>> share = encircled_energy(optics, None, np.array([0.2, 1.6]), pixfrac=1.0)
    >>> bool(0.6 < share[0] < share[1] < 1)
    True
    """
    # In the frame of the optics a detector pixel measures 0.11.
    shrink = NOMINAL_PIXEL_ARCSEC / detector_pixel_arcsec
    k, kx, ky, cell = _wave_numbers(optics)
    power = optics.drawKImage(nx=kx.size, ny=ky.size, scale=cell).array
    power = (
        power * _box(kx, ky, NOMINAL_PIXEL_ARCSEC) * _box(kx, ky, pixfrac * NOMINAL_PIXEL_ARCSEC)
    )
    power = power * _capacitance(kx, ky, ipc_kernel)
    power = power * _rolled_box_squared(kx, ky, output_pixel_arcsec * shrink)
    weight = np.real(power) * (cell / (2 * np.pi)) ** 2
    radii = np.atleast_1d(np.asarray(radii_arcsec, float)) * shrink
    return np.array([np.sum(weight * 2 * np.pi * r * _j1_over(k, r)) for r in radii])


def _wave_numbers(optics: galsim.GSObject) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    cell = optics.stepk / 2
    half = int(np.ceil(optics.maxk / cell))
    axis = np.arange(-half, half + 1) * cell
    kx, ky = axis[None, :], axis[:, None]
    return np.hypot(kx, ky), kx, ky, cell


def _j1_over(k: np.ndarray, radius: float) -> np.ndarray:
    """``J1(k r) / k``, r / 2 at k = 0."""
    return np.where(k > 0, j1(k * radius) / np.where(k > 0, k, 1), radius / 2)


def _box(kx: np.ndarray, ky: np.ndarray, side: float) -> np.ndarray:
    return np.sinc(kx * side / (2 * np.pi)) * np.sinc(ky * side / (2 * np.pi))


def _rolled_box_squared(kx: np.ndarray, ky: np.ndarray, side: float) -> np.ndarray:
    angles = (np.arange(_N_ROLLS) + 0.5) * np.pi / 2 / _N_ROLLS
    rolled = [
        _box(kx * np.cos(a) + ky * np.sin(a), ky * np.cos(a) - kx * np.sin(a), side) for a in angles
    ]
    return np.mean(np.square(rolled), axis=0)


def _capacitance(kx: np.ndarray, ky: np.ndarray, kernel: np.ndarray | None) -> np.ndarray:
    if kernel is None:
        return np.ones((ky.size, kx.size))
    shares = np.asarray(kernel, float)
    neighbour = np.array([-1, 0, 1]) * NOMINAL_PIXEL_ARCSEC
    along_x = np.exp(-1j * neighbour[:, None] * kx)
    along_y = np.exp(-1j * neighbour[:, None] * ky.T)
    return np.einsum("rc,ry,cx->yx", shares, along_y, along_x)

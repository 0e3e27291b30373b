"""The optical model of a detector and filter, and how its image changes: what data may move.

The optics are drawn at nine places, those of RAD's `epsf` references; between them every sample
follows the parabolas through three places an axis. At each place the image is known in three states
of focus, from which it follows for any focus near them, and is spread by a Gaussian of any second
moments: exactly so in Fourier space, also by less than the model has.
"""

from dataclasses import dataclass

import numpy as np
from scipy.fft import irfft2, rfft2

from tessella.detector.state import Blur
from tessella.instrument.siaf import ACTIVE_SIZE
from tessella.psf.effective import EffectivePsf
from tessella.psf.model import effective_psf, effective_wavelength_nm, optical_psf

#: What data move: defocus [waves of 1293 nm] and the second moments that are added to the blur of
#: the model [pixels^2]: jitter along both axes and their cross term.
MODES = ("defocus", "xx", "yy", "xy")
#: Places along an axis, in the 4088 frame: RAD's 4, 2047.5 and 4091 less the border.
GRID = (0.0, (ACTIVE_SIZE - 1) / 2, ACTIVE_SIZE - 1.0)
#: Columns and rows of the nine places, x fastest.
PLACES = np.array([(x, y) for y in GRID for x in GRID])
#: States of focus lie so far on either side of the model's [waves of 1293 nm].
# ASSUME: focus stays within some 0.1 waves of the model, where the image is a parabola of it.
_FOCUS_STEP = 0.04
#: Distance of wavelengths for the derivative by colour [nm].
_WAVELENGTH_STEP = 20.0


def place_weights(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return how the images at the nine places add up at others: parabolas along both axes.

    Parameters
    ----------
    x, y : ndarray of shape (n,)
        In the 4088 frame.

    Returns
    -------
    ndarray of shape (n, 9)
        They sum to 1; 1 and zeros at the places themselves.

    Examples
    --------
    >>> place_weights(np.array([0.0]), np.array([2043.5])).round(3).tolist()[0][3]
    1.0
    """
    u, v = _relative(x), _relative(y)
    along_x, along_y = (np.stack([w * (w - 1) / 2, 1 - w * w, w * (w + 1) / 2], -1) for w in (u, v))
    return (along_y[:, :, None] * along_x[:, None, :]).reshape(-1, 9)


def polynomial_terms(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return ``1, u, v, u^2, u v, v^2`` (n, 6) of places: u and v from -1 to 1 on a detector."""
    u, v = _relative(x), _relative(y)
    return np.stack([np.ones_like(u), u, v, u * u, u * v, v * v], -1)


def _relative(values: np.ndarray) -> np.ndarray:
    return np.asarray(values, float) / GRID[1] - 1


@dataclass(frozen=True, eq=False)
class DetectorPsf:
    """An effective PSF that changes over a detector, and with the colour of a star.

    Examples
    --------
    >>> axis = np.arange(-20, 21) / 4
    >>> image = np.exp(-(axis[:, None] ** 2 + axis**2) / 2) / (2 * np.pi)
    >>> psf = DetectorPsf(4, np.repeat(image[None], 9, axis=0), np.zeros((9, 41, 41)))
    >>> round(float(psf.at(100.0, 4000.0).evaluate(0.0, 0.0)), 4)
    0.1592
    """

    #: Samples in a pixel, per axis.
    oversample: int
    #: (9, n, n): `tessella.psf.effective.EffectivePsf` at `PLACES`.
    stamps: np.ndarray
    #: (9, n, n): their derivatives by the effective wavelength of a star's light [1 / nm]; zero
    #: where colours are not known.
    by_colour: np.ndarray

    def at(self, x: float, y: float, colour_nm: float = 0.0) -> EffectivePsf:
        """Return the PSF of a star at a place of the 4088 frame.

        `colour_nm` is the effective wavelength of its light in the filter less the filter's own.
        """
        weights = place_weights(np.array([x]), np.array([y]))[0]
        stamp = np.tensordot(weights, self.stamps + colour_nm * self.by_colour, 1)
        return EffectivePsf(stamp, self.oversample)


@dataclass(frozen=True, eq=False)
class OpticalBasis:
    """Images of the optical model at `PLACES`, in three states of focus."""

    #: RAD names.
    detector: str
    optical_element: str
    #: Samples in a pixel, per axis.
    oversample: int
    #: (3, 9, n, n): defocus less than the model's by a step, the model's, and more.
    focus: np.ndarray
    #: (9, n, n) [1 / nm]; zero where it was not asked for.
    by_colour: np.ndarray

    def stamps(self, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the images at the nine places, what each mode changes in them, and colour.

        Parameters
        ----------
        state : ndarray of shape (4, 9)
            `MODES` at `PLACES`, beyond the model.

        Returns
        -------
        stamps : ndarray of shape (5, 9, n, n)
            The image, and its derivatives by `MODES`.
        by_colour : ndarray of shape (9, n, n)
        """
        less, model, more = self.focus
        first = (more - less) / (2 * _FOCUS_STEP)
        second = (more - 2 * model + less) / _FOCUS_STEP**2
        defocus = state[0][:, None, None]
        n = self.focus.shape[-1]
        kx = 2 * np.pi * self.oversample * np.fft.rfftfreq(n)[None, None, :]
        ky = 2 * np.pi * self.oversample * np.fft.fftfreq(n)[None, :, None]
        xx, yy, xy = (moment[:, None, None] for moment in state[1:])
        blur = np.exp(-(xx * kx**2 + yy * ky**2 + 2 * xy * kx * ky) / 2)
        image = rfft2(model + defocus * (first + defocus / 2 * second)) * blur
        by_defocus = rfft2(first + defocus * second) * blur
        changes = [-(kx**2) / 2, -(ky**2) / 2, -kx * ky]
        spectra = np.stack([image, by_defocus, *(image * change for change in changes)])
        return irfft2(spectra, (n, n)), irfft2(rfft2(self.by_colour) * blur, (n, n))

    def psf(self, state: np.ndarray) -> DetectorPsf:
        """Return the PSF in a state, see `stamps`."""
        stamps, by_colour = self.stamps(state)
        return DetectorPsf(self.oversample, stamps[0], by_colour)


def optical_basis(
    detector: str,
    optical_element: str,
    blur: Blur,
    ipc_kernel: np.ndarray | None,
    with_colour: bool = False,
    oversample: int = 4,
    size_pixels: int = 44,
) -> OpticalBasis:
    """Draw the optical model of a detector and filter at nine places and three states of focus.

    A tenth of a second an image: it serves all time bins.

    Parameters
    ----------
    detector, optical_element : str
        RAD names.
    blur : Blur
        Of the model, from which data move it.
    ipc_kernel : ndarray of shape (3, 3), optional
        See `tessella.psf.model.effective_psf`.
    with_colour : bool
        Whether the image's change with wavelength is drawn as well.
    oversample, size_pixels : int
        Of the stamps.

    Examples
    --------
    >>> # basis = optical_basis("WFI01", "F158", Blur(8.0, 2.94), kernel)
    """

    def draw(defocus: float, wavelength_nm: float | None = None) -> np.ndarray:
        moved = Blur(blur.jitter_mas, blur.charge_diffusion_um, blur.defocus_waves + defocus)
        images = [
            optical_psf(detector, optical_element, float(x), float(y), moved, wavelength_nm)
            for x, y in PLACES
        ]
        return np.array(
            [effective_psf(image, ipc_kernel, oversample, size_pixels) for image in images]
        )

    focus = np.array([draw(-_FOCUS_STEP), draw(0.0), draw(_FOCUS_STEP)])
    by_colour = np.zeros(focus.shape[1:])
    if with_colour:
        middle = effective_wavelength_nm(optical_element)
        redder = draw(0.0, middle + _WAVELENGTH_STEP)
        by_colour = (redder - draw(0.0, middle - _WAVELENGTH_STEP)) / (2 * _WAVELENGTH_STEP)
    return OpticalBasis(detector, optical_element, oversample, focus, by_colour)

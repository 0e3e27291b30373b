"""The point-spread function of a coadd: the mean of those of its images, as the lattice shows them.

Of one image, a star on the lattice is its effective PSF, spread by the drop in which the image's
light is laid down and by the pixel of the lattice, turned and stretched as the image lies there. A
coadd's is the mean of those of the images that count at a place, with their weights.

What the few positions of the images' pixels under a star make of undersampled light is averaged
over: this is the mean over all dithers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy import fft
from scipy.ndimage import spline_filter

from tessella.coadd.views import View
from tessella.models import Lattice
from tessella.psf.effective import EffectivePsf

#: Samples in a pixel of the lattice. Drop and pixel leave little light above a fifth of a cycle in
#: a sample, which a cubic spline follows to 1e-3 of the peak.
OVERSAMPLE = 2
#: Half side of the stamps [pixels of the lattice].
HALF_PIXELS = 32
#: Greatest distance between the places at which PSFs are drawn [pixels of the lattice].
_NODE_SPACING = 2048
#: Smaller shares of a star's light are none.
_NOTHING = 1e-12
#: Images that lie alike to so many digits share a drawing.
_DIGITS = 3


def on_lattice(
    psf: EffectivePsf,
    lattice_per_pixel: np.ndarray,
    pixfrac: float,
    oversample: int = OVERSAMPLE,
    half_pixels: int = HALF_PIXELS,
) -> np.ndarray:
    """Return what the pixels of a lattice show of a star that one image sees.

    The product of the spectra of the effective PSF, the drop and the pixel of the lattice is its
    spectrum (Fruchter & Hook 2002, PASP 114, 144, doi:10.1086/338393, for the drop).

    Parameters
    ----------
    psf : EffectivePsf
        Of the image's detector and filter.
    lattice_per_pixel : ndarray of shape (2, 2)
        ``d(lattice) / d(pixel of the image)``.
    pixfrac : float
        Side of the drop over the side of the pixel.
    oversample : int
        Samples in a pixel of the lattice, per axis.
    half_pixels : int
        Half side of the stamp [pixels of the lattice].

    Returns
    -------
    ndarray of shape (n, n), n = 2 oversample half_pixels + 1
        The star is at the middle sample. A sample is the share of the star's light in a pixel of
        the lattice that is centred there; 0 beyond the stamp of the image's PSF.

    Examples
    --------
    >>> axis = np.arange(-40, 41) / 4
    >>> psf = EffectivePsf(np.exp(-(axis[:, None] ** 2 + axis**2) / 2) / (2 * np.pi), 4)
    >>> stamp = on_lattice(psf, 2 * np.eye(2), 1.0)
    >>> stamp.shape, round(float(stamp[::2, ::2].sum()), 3)
    ((129, 129), 1.0)
    """
    n, samples = psf.stamp.shape[0], psf.oversample
    # Room around the stamp, so that what is spread does not come in at the other side.
    size = fft.next_fast_len(n + 4 * samples)
    pixel_per_lattice = np.linalg.inv(lattice_per_pixel)
    fy, fx = np.meshgrid(*2 * [np.fft.fftfreq(size, 1 / samples)], indexing="ij")
    spectrum = fft.fft2(psf.stamp, (size, size), workers=1)
    spectrum *= np.sinc(pixfrac * fx) * np.sinc(pixfrac * fy)
    for side in pixel_per_lattice.T:
        spectrum *= np.sinc(side[0] * fx + side[1] * fy)
    spread = EffectivePsf(fft.ifft2(spectrum, workers=1).real[:n, :n], samples)
    axis = np.arange(-oversample * half_pixels, oversample * half_pixels + 1) / oversample
    u, v = np.meshgrid(axis, axis)
    (a, b), (c, d) = pixel_per_lattice
    return spread.evaluate(a * u + b * v, c * u + d * v) * abs(np.linalg.det(pixel_per_lattice))


@dataclass(frozen=True)
class CoaddPsf:
    """The PSFs of the images of a coadd at the nodes of a grid on its lattice."""

    #: Columns and rows of the nodes, two of each at least.
    x: np.ndarray
    y: np.ndarray
    #: (n_drawn, n, n): drawings of `on_lattice`.
    drawn: np.ndarray
    #: (n_images, n_y, n_x): which of them shows each image at each node.
    which: np.ndarray
    #: (n_images,)
    weights: np.ndarray

    def mean(self, members: np.ndarray) -> np.ndarray:
        """Return the PSFs at the nodes where these images count.

        Parameters
        ----------
        members : ndarray of shape (n_images,)
            True where an image counts, or how much of the time.

        Returns
        -------
        ndarray of shape (n_y, n_x, n, n)
            NaN where no image counts.
        """
        share = np.asarray(members) * self.weights
        total = share.sum()
        if not total > 0:
            return np.full((self.y.size, self.x.size, *self.drawn.shape[1:]), np.nan)
        mixture = np.zeros((self.y.size, self.x.size, len(self.drawn)))
        for k in np.flatnonzero(share):
            np.put_along_axis(
                mixture,
                self.which[k][..., None],
                np.take_along_axis(mixture, self.which[k][..., None], -1) + share[k] / total,
                -1,
            )
        return np.tensordot(mixture, self.drawn, 1)

    def at(self, x: float, y: float, members: np.ndarray) -> EffectivePsf:
        """Return the PSF at a place of the lattice, [pixels] as its samples' distance tells.

        Parameters
        ----------
        x, y : float
            Place [pixels].
        members : ndarray of shape (n_images,)
            As in `mean`.

        Raises
        ------
        ValueError
            If no image counts.
        """
        if not np.sum(np.asarray(members) * self.weights) > 0:
            raise ValueError(f"PSF of the coadd at ({x:.1f}, {y:.1f}): no image counts there")
        (i, u), (j, v) = between(self.x, x), between(self.y, y)
        corners = self.mean(members)[j : j + 2, i : i + 2]
        shares = np.outer([1 - v, v], [1 - u, u])
        return EffectivePsf(np.tensordot(shares, corners, 2), OVERSAMPLE)

    @cached_property
    def profile(self) -> np.ndarray:
        """Most that any of them shows of a star so many pixels away, or farther, (n_pixels,)."""
        axis = np.arange(self.drawn.shape[-1]) - self.drawn.shape[-1] // 2
        radius = np.hypot(axis[:, None], axis) / OVERSAMPLE
        largest = np.zeros(int(radius.max()) + 1)
        for stamp in self.drawn:
            np.maximum.at(largest, radius.astype(int), np.abs(stamp))
        return np.maximum.accumulate(largest[::-1])[::-1]

    def splines(self, members: np.ndarray) -> np.ndarray:
        """Return the coefficients of cubic B-splines through `mean`, (n_y, n_x, n, n) float32."""
        filtered = np.array(
            [
                [spline_filter(stamp, 3, mode="mirror") for stamp in row]
                for row in self.mean(members)
            ]
        )
        # Numbers that single precision can hardly hold take processors ten times as long.
        return np.where(np.abs(filtered) < _NOTHING, 0, filtered).astype(np.float32)


def between(nodes: np.ndarray, values: Any) -> tuple[Any, Any]:
    """Return the node before each value, and how far between it and the next one it lies, 0 to 1.

    Examples
    --------
    >>> first, share = between(np.array([0.0, 10.0, 20.0]), np.array([15.0]))
    >>> first.tolist(), share.tolist()
    ([1], [0.5])
    """
    first = np.clip(np.searchsorted(nodes, values) - 1, 0, nodes.size - 2)
    share = (values - nodes[first]) / (nodes[first + 1] - nodes[first])
    return first, np.clip(share, 0.0, 1.0)


def coadd_psf(
    lattice: Lattice, views: Sequence[View], psfs: Mapping[str, EffectivePsf], pixfrac: float
) -> CoaddPsf:
    """Draw the PSFs of a coadd's images on its lattice.

    Parameters
    ----------
    lattice : Lattice
    views : sequence of View
        Its images, in the order of the bits of its context.
    psfs : mapping of str to EffectivePsf
        By detector.
    pixfrac : float
        Drop of the coadd.

    Returns
    -------
    CoaddPsf

    Raises
    ------
    KeyError
        If a detector has no PSF.

    Examples
    --------
    >>> # psf = coadd_psf(mosaic.lattice, views, {"WFI01": read_effective_psf(path)}, 1.0)
    """
    x, y = (
        np.linspace(0, max(n - 1, 1), 2 + (n - 1) // _NODE_SPACING)
        for n in (lattice.nx, lattice.ny)
    )
    numbers: dict[tuple[str, bytes], int] = {}
    drawn: list[np.ndarray] = []
    which = np.zeros((len(views), y.size, x.size), np.int64)
    for k, view in enumerate(views):
        for j, i in np.ndindex(y.size, x.size):
            place = view.place_of(lattice, float(x[i]), float(y[j]))
            lies = np.round(view.lattice_per_pixel(lattice, *place), _DIGITS) + 0.0
            key = (view.detector, lies.tobytes())
            if key not in numbers:
                numbers[key] = len(drawn)
                drawn.append(on_lattice(psfs[view.detector], lies, pixfrac))
            which[k, j, i] = numbers[key]
    side = 2 * OVERSAMPLE * HALF_PIXELS + 1
    stamps = np.array(drawn) if drawn else np.zeros((0, side, side))
    return CoaddPsf(x, y, stamps, which, np.array([view.weight for view in views]))

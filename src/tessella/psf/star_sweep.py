"""One sweep over the stars: how each asks the PSF to move, its own place and flux set free.

Pixels lie a whole number of the PSF's samples apart, so that all pixels of a star see a cubic
spline at the same phase: its values are products of the spline's coefficients with four numbers an
axis. They are taken where the star truly is; nothing is resampled.
"""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import spline_filter

from tessella.psf.optical_basis import MODES, place_weights, polynomial_terms
from tessella.psf.star_stamps import StarStamps

#: Columns of what is fitted to each star: place in its stamp [pixels], flux, sky.
X, Y, FLUX, SKY = range(4)
#: The free form is a cubic spline: knots in a pixel, per axis, and its last ones from the star
#: [pixels].
_KNOTS_PER_PIXEL, _FREE_HALF = 2, 3
#: Knots along an axis.
FREE_SIDE = 2 * _KNOTS_PER_PIXEL * _FREE_HALF + 1
#: The model is trusted to this share of a star's value in each pixel.
# ASSUME: as for the places of stars (`tessella.psf.fit`): no star, however bright, decides alone.
_MODEL_ERROR = 0.002
#: Pixels further off than so many standard deviations count less (Huber 1964, Ann. Math. Statist.
#: 35, 73. doi:10.1214/aoms/1177703732): no even noise gets there, cosmic rays do.
_FAR = 5.0
#: Stars that are worked on at a time.
_CHUNK = 64


@dataclass(frozen=True, eq=False)
class Surfaces:
    """Spline coefficients of the images at the nine places, around the star."""

    oversample: int
    #: (6, 9, p, p): the image, its derivatives by `MODES`, and by colour.
    coefficients: np.ndarray


@dataclass(frozen=True, eq=False)
class Sweep:
    """What the stars say; q parameters of the PSF: modes times terms, then knots if asked for."""

    #: (q, q) and (q,): normal equations of the PSF, each star's place, flux and sky eliminated.
    normal: np.ndarray
    vector: np.ndarray
    #: (n, 4, 4) and (n, 4): those of each star for the modes alone.
    own_normal: np.ndarray
    own_vector: np.ndarray
    #: (n,): chi-squared of each star, and its pixels less the four that are fitted.
    chisq: np.ndarray
    freedom: np.ndarray
    #: (n, 4), (n, 4, 4), (n, 4, q): from which each star's own step follows.
    local_vector: np.ndarray
    local_covariance: np.ndarray
    coupling: np.ndarray

    def moved(self, fits: np.ndarray, step: np.ndarray) -> np.ndarray:
        """Return the stars' parameters after a step (q,) of the PSF; places move by 1/2 at most."""
        left = self.local_vector - self.coupling @ step
        change = np.einsum("sij,sj->si", self.local_covariance, left)
        change[:, :FLUX] = np.clip(change[:, :FLUX], -0.5, 0.5)
        return np.asarray(fits + change)


def surfaces(stamps: np.ndarray, by_colour: np.ndarray, oversample: int, half_box: int) -> Surfaces:
    """Prepare images for stamps of stars of so many pixels on either side.

    Parameters
    ----------
    stamps : ndarray of shape (5, 9, n, n)
        See `tessella.psf.optical_basis.OpticalBasis.stamps`.
    by_colour : ndarray of shape (9, n, n)
    oversample, half_box : int

    Raises
    ------
    ValueError
        If the images are smaller than the stamps of stars.
    """
    half, middle = oversample * (half_box + 3), stamps.shape[-1] // 2
    if half > middle:
        raise ValueError(
            f"effective PSF: it reaches {middle / oversample:g} pixels, and stars of {half_box} "
            f"pixels on either side need {half_box + 3}; give smaller stamps of stars"
        )
    inner = slice(middle - half, middle + half + 1)
    images = np.concatenate([stamps, by_colour[None]])[..., inner, inner]
    flat = images.reshape(-1, *images.shape[-2:])
    filtered = np.array([spline_filter(image, 3, mode="mirror") for image in flat])
    return Surfaces(oversample, filtered.reshape(images.shape))


def free_form(knots: np.ndarray, oversample: int, n: int) -> np.ndarray:
    """Return the free form on the samples of a stamp (n, n)."""
    along = _taps((np.arange(n) - n // 2)[None, :] / oversample, _KNOTS_PER_PIXEL, FREE_SIDE)[0][0]
    return np.asarray(along @ knots.reshape(FREE_SIDE, FREE_SIDE) @ along.T)


def knot_places() -> np.ndarray:
    """Return the offsets of the knots from the star along an axis [pixels]."""
    return (np.arange(FREE_SIDE) - FREE_SIDE // 2) / _KNOTS_PER_PIXEL


def _taps(offset: np.ndarray, per_pixel: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return what coefficients of a cubic spline count at offsets (m, b) from its middle [pixels].

    Both are (m, b, n): of the value, and of the derivative [1 / pixel].
    """
    place = offset * per_pixel + n // 2
    first = np.floor(place).astype(int)
    f = place - first
    g = 1 - f
    values = (g**3, 3 * f**3 - 6 * f**2 + 4, 3 * g**3 - 6 * g**2 + 4, f**3)
    slopes = (-3 * g**2, 9 * f**2 - 12 * f, 12 * g - 9 * g**2, 3 * f**2)
    # Room on both sides takes what lies beyond.
    index = np.clip(first, -3, n + 1)
    tapped, sloped = np.zeros((2, *offset.shape, n + 8))
    for k in range(4):
        at = (index + k + 3)[..., None]
        np.put_along_axis(tapped, at, values[k][..., None] / 6, axis=-1)
        np.put_along_axis(sloped, at, slopes[k][..., None] * per_pixel / 6, axis=-1)
    return tapped[..., 4:-4], sloped[..., 4:-4]


def sweep(
    stars: StarStamps, fits: np.ndarray, images: Surfaces, with_free_form: bool = False
) -> Sweep:
    """Compare all stars with a PSF.

    Parameters
    ----------
    stars : StarStamps
    fits : ndarray of shape (n, 4)
        Place in the stamp, flux and sky of each star.
    images : Surfaces
    with_free_form : bool
        Whether the knots of the free form are among the parameters.

    Returns
    -------
    Sweep
    """
    rows = [slice(k, k + _CHUNK) for k in range(0, len(stars), _CHUNK)]
    parts = [_sweep(stars.take(own), fits[own], images, with_free_form) for own in rows]
    summed = [np.sum([part[k] for part in parts], axis=0) for k in range(2)]
    each = [np.concatenate([part[k] for part in parts]) for k in range(2, 9)]
    return Sweep(*summed, *each)


def _sweep(
    stars: StarStamps, fits: np.ndarray, images: Surfaces, with_free_form: bool
) -> tuple[np.ndarray, ...]:
    n, side = stars.data.shape[:2]
    axis = np.arange(side)
    x, y = stars.column + fits[:, X], stars.row + fits[:, Y]
    shape, by_x, by_y, modes = _images_of_stars(images, stars, fits, axis, x, y)
    flux = fits[:, FLUX, None, None]
    star = flux * shape
    weight = 1 / (
        stars.variance
        + stars.signal_variance[:, None, None] * np.maximum(star, 0.0)
        + (_MODEL_ERROR * star) ** 2
    )
    residual = stars.data - star - fits[:, SKY, None, None]
    far = np.abs(residual) * np.sqrt(weight)
    weight = (weight * np.minimum(1.0, _FAR / np.maximum(far, _FAR))).reshape(n, 1, -1)
    residual = residual.reshape(n, -1, 1)
    local = np.stack([-flux * by_x, -flux * by_y, shape, np.ones_like(shape)], 1)
    local = local.reshape(n, 4, -1)
    own = (flux[:, None] * modes).reshape(n, len(MODES), -1)
    terms = polynomial_terms(x, y)
    design = (own[:, :, None, :] * terms[:, None, :, None]).reshape(n, -1, side * side)
    if with_free_form:
        knots = flux * _knots_of_stars(fits, axis).reshape(n, side * side, -1)
        design = np.concatenate([design, knots.swapaxes(1, 2)], axis=1)
    covariance = _inverse((local * weight) @ local.swapaxes(1, 2))
    local_vector = (local * weight) @ residual
    coupling = (local * weight) @ design.swapaxes(1, 2)
    # The locals are projected out of the design: what is left is orthogonal to them.
    free = design - coupling.swapaxes(1, 2) @ (covariance @ local)
    weighted = free * weight
    normal = np.tensordot(weighted, free, ((0, 2), (0, 2)))
    vector = (weighted @ residual).sum(0)[:, 0]
    constant = np.arange(len(MODES)) * terms.shape[1]
    own_free = free[:, constant]
    chisq = (weight[:, 0] * residual[..., 0] ** 2).sum(1)
    freedom = np.isfinite(stars.variance).sum((1, 2)) - 4.0
    return (
        normal,
        vector,
        (own_free * weight) @ own_free.swapaxes(1, 2),
        ((own_free * weight) @ residual)[..., 0],
        chisq,
        freedom,
        local_vector[..., 0],
        covariance,
        coupling,
    )


def _images_of_stars(
    images: Surfaces,
    stars: StarStamps,
    fits: np.ndarray,
    axis: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
) -> tuple[np.ndarray, ...]:
    """Return image, its derivatives along x and y (n, b, b), and by the modes (n, 4, b, b)."""
    kinds, _, p, _ = images.coefficients.shape
    planes = np.tensordot(place_weights(x, y), images.coefficients, (1, 1)).reshape(-1, kinds, p, p)
    planes[:, 0] += stars.colour_nm[:, None, None] * planes[:, -1]
    along_x, slope_x = _taps(axis - fits[:, X, None], images.oversample, p)
    along_y, slope_y = _taps(axis - fits[:, Y, None], images.oversample, p)
    across = planes[:, :-1] @ along_x.swapaxes(1, 2)[:, None]
    seen = along_y[:, None] @ across
    by_x = along_y @ (planes[:, 0] @ slope_x.swapaxes(1, 2))
    by_y = slope_y @ across[:, 0]
    return seen[:, 0], by_x, by_y, seen[:, 1:]


def _knots_of_stars(fits: np.ndarray, axis: np.ndarray) -> np.ndarray:
    """Return what each knot counts in each pixel of each star, (n, b, b, knots, knots)."""
    along_x = _taps(axis - fits[:, X, None], _KNOTS_PER_PIXEL, FREE_SIDE)[0]
    along_y = _taps(axis - fits[:, Y, None], _KNOTS_PER_PIXEL, FREE_SIDE)[0]
    return np.asarray(along_y[:, :, None, :, None] * along_x[:, None, :, None, :])


def _inverse(normal: np.ndarray) -> np.ndarray:
    """Return inverses of matrices whose parameters differ by many orders of magnitude."""
    scale = 1 / np.sqrt(np.diagonal(normal, axis1=-2, axis2=-1))
    both = scale[..., :, None] * scale[..., None, :]
    return np.asarray(np.linalg.inv(normal * both) * both)

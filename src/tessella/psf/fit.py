"""Stars of a single exposure: found as peaks, measured by fitting the effective PSF.

The point-spread function is undersampled, so a centre of light is not where a star is; the
fit of an oversampled model is (Anderson & King 2000, PASP 112, 1360. doi:10.1086/316632).
"""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import maximum_filter, median_filter, uniform_filter

from tessella import flags
from tessella.models import Image
from tessella.psf.effective import EffectivePsf

#: Half the side of the box that is fitted [pixels].
_HALF_BOX = 3
_ITERATIONS = 12
#: The model is trusted to this share of a star's value in each pixel.
# ASSUME: effective PSFs are good to 0.2 % of their local value; where they are worse, chi-squared
# says so, and positions count as much less. At 1 % bright stars would lose a third of their
# precision.
_MODEL_ERROR = 0.002
#: Side of the boxes in which the sky is measured [pixels].
_SKY_BOX = 64


@dataclass(frozen=True)
class Stars:
    """Measured point sources of one image; all arrays are (n_stars,)."""

    #: Position in pixels of the image, with its uncertainty per axis.
    x: np.ndarray
    y: np.ndarray
    x_err: np.ndarray
    y_err: np.ndarray
    #: [DN / s]
    flux: np.ndarray
    flux_err: np.ndarray
    #: Chi-squared per degree of freedom.
    chisq: np.ndarray
    #: True where the fit ended inside its box with a positive flux and all central pixels good.
    is_good: np.ndarray


def sky_map(data: np.ndarray, bad: np.ndarray, box: int = _SKY_BOX) -> np.ndarray:
    """Return a smooth sky: medians of boxes, themselves median-filtered, spread over the pixels.

    Parameters
    ----------
    data : ndarray of shape (ny, nx)
    bad : ndarray of shape (ny, nx)
        True where a value does not count.
    box : int
        Side of the boxes [pixels].

    Returns
    -------
    ndarray of shape (ny, nx)
        In the unit of `data`; boxes without a value have the median of the others, and all
        is NaN where there is none at all.

    Examples
    --------
    >>> float(sky_map(np.full((100, 100), 3.0), np.zeros((100, 100), bool)).mean())
    3.0
    """
    ny, nx = data.shape
    rows, columns = -(-ny // box), -(-nx // box)
    padded = np.full((rows * box, columns * box), np.nan)
    padded[:ny, :nx] = np.where(bad, np.nan, data)
    cells = padded.reshape(rows, box, columns, box).transpose(0, 2, 1, 3).reshape(rows, columns, -1)
    known = np.isfinite(cells).any(axis=-1)
    if not known.any():
        return np.full((ny, nx), np.nan)
    medians = np.full((rows, columns), np.nan)
    medians[known] = np.nanmedian(cells[known], axis=-1)
    medians[~known] = np.median(medians[known])
    smooth = median_filter(medians, size=3, mode="nearest")
    return np.repeat(np.repeat(smooth, box, axis=0), box, axis=1)[:ny, :nx]


def _unusable(image: Image) -> np.ndarray:
    """Return True where a pixel does not count: by its flags, or without a finite value or error.

    Filters that run along a row carry one NaN to its end.
    """
    flagged = (image.dq & flags.DO_NOT_USE) != 0
    return np.asarray(flagged | ~np.isfinite(image.data) | ~np.isfinite(image.err))


def find_peaks(image: Image, threshold: float) -> np.ndarray:
    """Return row and column of local maxima that stand out of the sky, brightest first, (n, 2).

    Parameters
    ----------
    image : Image
    threshold : float
        Signal-to-noise of the 3 x 3 pixels around a peak.
    """
    bad = _unusable(image)
    signal = np.where(bad, 0.0, image.data - sky_map(image.data, bad))
    variance = np.where(bad, 0.0, image.err**2)
    ratio = (
        uniform_filter(signal, 3) * 9 / np.sqrt(np.maximum(uniform_filter(variance, 3) * 9, 1e-30))
    )
    is_peak = (signal == maximum_filter(signal, 3)) & (ratio > threshold) & ~bad
    is_peak[:_HALF_BOX] = is_peak[-_HALF_BOX:] = False
    is_peak[:, :_HALF_BOX] = is_peak[:, -_HALF_BOX:] = False
    peaks = np.argwhere(is_peak)
    return peaks[np.argsort(-signal[is_peak], kind="stable")]


def fit_star(
    data: np.ndarray, variance: np.ndarray, psf: EffectivePsf, x: float, y: float
) -> tuple[np.ndarray, np.ndarray, float]:
    """Fit position, flux and sky of one star by Gauss-Newton steps.

    Parameters
    ----------
    data, variance : ndarray of shape (n, n)
        Values and their variance; infinite variance leaves a pixel out.
    psf : EffectivePsf
    x, y : float
        First guess in pixels of `data`.

    Returns
    -------
    parameters : ndarray of shape (4,)
        x, y, flux, sky; NaN if the fit is singular.
    covariance : ndarray of shape (4, 4)
    chisq : float
        Per degree of freedom.
    """
    axis_y, axis_x = np.arange(data.shape[0], dtype=float), np.arange(data.shape[1], dtype=float)
    used = np.isfinite(variance)
    values = np.where(used, data, 0.0)
    guess_flux = np.sum(np.where(used, data - np.median(data[used]), 0.0))
    parameters = np.array([x, y, max(guess_flux, 1e-6), float(np.median(data[used]))])
    failed = np.full(4, np.nan), np.full((4, 4), np.nan), np.nan
    for _ in range(_ITERATIONS):
        dx, dy = axis_x - parameters[0], axis_y - parameters[1]
        shape = psf.evaluate_grid(dx, dy)
        by_x, by_y = psf.gradient_grid(dx, dy)
        model = parameters[2] * shape + parameters[3]
        weight = np.where(used, 1 / (variance + (_MODEL_ERROR * parameters[2] * shape) ** 2), 0.0)
        design = np.stack(
            [-parameters[2] * by_x, -parameters[2] * by_y, shape, np.ones_like(shape)]
        ).reshape(4, -1)
        normal = (design * weight.ravel()) @ design.T
        try:
            covariance = np.linalg.inv(normal)
        except np.linalg.LinAlgError:
            return failed
        step = covariance @ (design @ (weight * (values - model)).ravel())
        step[:2] = np.clip(step[:2], -0.5, 0.5)
        parameters = parameters + step
        if not np.isfinite(parameters).all() or np.abs(parameters[:2] - [x, y]).max() > 2:
            return failed
        if np.abs(step[:2]).max() < 1e-5:
            break
    if not (np.diag(covariance) > 0).all():
        return failed
    chisq = float(np.sum(weight * (values - model) ** 2) / max(used.sum() - 4, 1))
    return parameters, covariance, chisq


def measure_stars(image: Image, psf: EffectivePsf, threshold: float, n_brightest: int) -> Stars:
    """Find and fit the point sources of an image.

    Parameters
    ----------
    image : Image
        Level 2 image.
    psf : EffectivePsf
        Of the detector and filter.
    threshold : float
        Signal-to-noise of a peak.
    n_brightest : int
        At most this many are measured.

    Returns
    -------
    Stars
    """
    peaks = find_peaks(image, threshold)[:n_brightest]
    variance = np.where(_unusable(image), np.inf, image.err**2)
    rows = [_measure(image.data, variance, psf, int(px), int(py)) for py, px in peaks]
    x, y, x_err, y_err, flux, flux_err, chisq, is_good = np.array(rows, float).reshape(-1, 8).T
    return Stars(x, y, x_err, y_err, flux, flux_err, chisq, is_good.astype(bool))


def _measure(
    data: np.ndarray, variance: np.ndarray, psf: EffectivePsf, px: int, py: int
) -> tuple[float, ...]:
    """Fit the star at a peak; return the fields of `Stars`."""
    left, bottom = px - _HALF_BOX, py - _HALF_BOX
    box = np.s_[bottom : py + _HALF_BOX + 1, left : px + _HALF_BOX + 1]
    fit, covariance, chisq = fit_star(data[box], variance[box], psf, _HALF_BOX, _HALF_BOX)
    x_err, y_err, flux_err, _ = np.sqrt(np.diag(covariance))
    whole = np.isfinite(variance[py - 1 : py + 2, px - 1 : px + 2]).all()
    is_good = np.isfinite(fit).all() and whole and fit[2] > 0
    return left + fit[0], bottom + fit[1], x_err, y_err, fit[2], flux_err, chisq, is_good

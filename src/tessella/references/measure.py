"""Calibration references measured from darks and flats: noise, dark current, response, bad pixels.

Images of many exposures are gathered by `tessella.references.running_mean`. Gains:
`tessella.references.measure_gain`.
"""

import numpy as np

from tessella import flags
from tessella.models import BORDER
from tessella.ramps.timing import mean_times, variance_times

ReadPattern = tuple[tuple[int, ...], ...]
_UNUSABLE = flags.DO_NOT_USE | flags.SATURATED | flags.DROPOUT


def usable_ramps(data: np.ndarray, resultant_dq: np.ndarray) -> np.ndarray:
    """Return ramps with NaN in pixels of which any resultant was lost or saturated.

    Parameters
    ----------
    data : ndarray of shape (n_resultants, ny, nx)
        Linear counts [DN].
    resultant_dq : ndarray of shape (n_resultants, ny, nx)
        Flags of single resultants.

    Examples
    --------
    >>> usable_ramps(np.ones((2, 1, 2)), np.array([[[0, 0]], [[0, 2]]]))[0].tolist()
    [[1.0, nan]]
    """
    lost = ((resultant_dq & _UNUSABLE) != 0).any(axis=0)
    return np.where(lost, np.nan, data)


def scatter_about_line(data: np.ndarray, read_pattern: ReadPattern) -> np.ndarray:
    """Return the scatter of resultants about a straight line, as the variance of one read.

    Resultants of N reads have a weight of N. What photons and the averaging on board add is in it:
    `scatter_of_other_origin` tells how much that is.

    Parameters
    ----------
    data : ndarray of shape (n_resultants, ny, nx)
        Linear counts of a dark [DN]; NaN where unusable.
    read_pattern : tuple of tuples of int
        Reads of each resultant; at least 3.

    Returns
    -------
    ndarray of shape (ny, nx)
        [DN^2]; its relative error is sqrt(2 / (n_resultants - 2)).

    Raises
    ------
    ValueError
        If there are fewer than 3 resultants.

    Examples
    --------
    >>> ramp = np.array([0.0, 1.0, 0.0]).reshape(3, 1, 1)
    >>> scatter_about_line(ramp, ((1,), (2,), (3,))).round(4).tolist()
    [[0.6667]]
    """
    residual = _residual_matrix(read_pattern)
    flat = data.reshape(len(data), -1)
    scatter = np.einsum("ip,ij,jp->p", flat, residual, flat, optimize=True)
    return scatter.reshape(data.shape[1:]) / (len(data) - 2)


def scatter_of_other_origin(read_pattern: ReadPattern, frame_time: float) -> tuple[float, float]:
    """Return what `scatter_about_line` holds besides the noise of reads.

    Returns
    -------
    rounding : float
        Of averages that are rounded down on board to whole numbers [DN^2]: N whole numbers have
        an average that is rounded by 0, 1 / N ... (N - 1) / N, with a variance of
        (1 - 1 / N^2) / 12.
    photons : float
        Of photons and dark current, for 1 DN / s and a gain of 1 [DN^2]; resultants share the
        photons that came before both (Brandt 2024a, doi:10.1088/1538-3873/ad38d9, equation 9).

    Examples
    --------
    >>> rounding, photons = scatter_of_other_origin(((1,), (2,), (3,)), 1.0)
    >>> rounding, round(photons, 3)
    (0.0, 0.333)
    """
    residual = _residual_matrix(read_pattern)
    n_reads = np.array([len(reads) for reads in read_pattern], float)
    mean, own = mean_times(read_pattern, frame_time), variance_times(read_pattern, frame_time)
    shared = np.minimum(mean[:, None], mean[None, :])
    np.fill_diagonal(shared, own)
    freedom = len(n_reads) - 2
    rounding = np.diag(residual) @ ((1 - 1 / n_reads**2) / 12) / freedom
    return float(rounding), float(np.sum(residual * shared) / freedom)


def _residual_matrix(read_pattern: ReadPattern) -> np.ndarray:
    """Return M with ``y M y`` the weighted sum of squares of y about its line, (n, n)."""
    if len(read_pattern) < 3:
        raise ValueError(
            f"a ramp of {len(read_pattern)} resultants has no scatter about a line; 3 are needed"
        )
    weight = np.array([len(reads) for reads in read_pattern], float)
    design = np.stack([np.ones(len(weight)), mean_times(read_pattern, 1.0)], axis=1)
    weighted = weight[:, None] * design
    inverse = np.linalg.inv(design.T @ weighted)
    return np.asarray(np.diag(weight) - weighted @ inverse @ weighted.T)


def read_noise(
    scatter: np.ndarray,
    rounding: np.ndarray | float,
    photons: np.ndarray | float,
    dark_slope: np.ndarray,
    gain: np.ndarray,
) -> np.ndarray:
    """Return the noise of one read.

    Parameters
    ----------
    scatter : ndarray of shape (ny, nx)
        Mean of `scatter_about_line` over darks [DN^2]; NaN where not measured.
    rounding, photons : float or ndarray
        Means of `scatter_of_other_origin` over the same darks.
    dark_slope, gain : ndarray of shape (ny, nx)
        Dark current [DN / s] and electrons per DN.

    Returns
    -------
    ndarray of shape (ny, nx)
        [DN]; NaN where not measured, or where dark current hides the noise.

    Examples
    --------
    >>> one = np.ones((1, 1))
    >>> read_noise(36.5 * one, 0.5, 1.0, 0.02 * one, 2.0 * one).round(3).tolist()
    [[5.999]]
    """
    variance = scatter - rounding - photons * np.maximum(dark_slope, 0) / gain
    # Where most of the scatter is photons, what is left of it is their own noise.
    known = variance > 0.5 * (scatter - rounding)
    return np.where(known, np.sqrt(np.where(known, variance, 1.0)), np.nan)


def dark_reference(
    slope: np.ndarray, error: np.ndarray, hot_dn_per_s: float
) -> dict[str, np.ndarray]:
    """Return the arrays of a `dark` reference from the mean of darks.

    Parameters
    ----------
    slope, error : ndarray of shape (ny - 8, nx - 8)
        Mean slope of darks and its error [DN / s]; NaN where not measured.
    hot_dn_per_s : float
        Pixels with more are HOT.

    Returns
    -------
    dict
        ``dark_slope``, ``dark_slope_error`` of (ny, nx), ``dq``: HOT, and UNRELIABLE_DARK where
        nothing was measured; both with DO_NOT_USE. Slopes not measured are the median of the
        others, with an error as large as the largest slope.

    Examples
    --------
    >>> dark = dark_reference(np.array([[0.01, 9.0, np.nan]]), np.full((1, 3), 0.001), 1.0)
    >>> [flags.names(value) for value in dark["dq"][4, 4:7]]
    [[], ['DO_NOT_USE', 'HOT'], ['DO_NOT_USE', 'UNRELIABLE_DARK']]
    """
    unknown = ~np.isfinite(slope)
    hot = slope > hot_dn_per_s
    dq = np.where(hot, flags.HOT | flags.DO_NOT_USE, 0)
    dq = np.where(unknown, flags.value("UNRELIABLE_DARK") | flags.DO_NOT_USE, dq)
    return {
        "dark_slope": with_border(_filled(slope, _median(slope)), 0.0),
        "dark_slope_error": with_border(_filled(error, float(np.nanmax(np.abs(slope)))), 0.0),
        "dq": with_border(dq, 0).astype(np.uint32),
    }


def flat_reference(
    response: np.ndarray, error: np.ndarray, pixel_area_ratio: np.ndarray, dead_response: float
) -> dict[str, np.ndarray]:
    """Return the arrays of a `flat` reference from the mean of flats of a lamp.

    A lamp shines evenly on the detector; a flat is the response to an even sky, of which a pixel
    sees its own solid angle.

    Parameters
    ----------
    response, error : ndarray of shape (ny, nx)
        Mean of flats, each over its own median, and its error; NaN where not measured.
    pixel_area_ratio : ndarray of shape (ny, nx)
        Solid angle of each pixel over the nominal one.
    dead_response : float
        Pixels with less than this share of the median are dead.

    Returns
    -------
    dict
        ``data``, with a mean response of 1 where a pixel is not dead; ``err``; ``dq``. Dead
        pixels and those not measured hold 0, an error of 1, and NO_FLAT_FIELD with DO_NOT_USE.

    Examples
    --------
    >>> flat = flat_reference(np.array([[0.99, 1.01, 0.1]]), np.full((1, 3), 0.002),
    ...     np.ones((1, 3)), 0.5)
    >>> flat["data"].astype(float).round(2).tolist(), flags.names(flat["dq"][0, 2])
    ([[0.99, 1.01, 0.0]], ['DO_NOT_USE', 'NO_FLAT_FIELD'])
    """
    dead = ~(response > dead_response * _median(response))
    mean = float(np.mean(response[~dead])) if not dead.all() else 1.0
    scale = pixel_area_ratio / mean
    return {
        "data": np.where(dead, 0.0, response * scale).astype(np.float32),
        "err": np.where(dead, 1.0, error * scale).astype(np.float32),
        "dq": np.where(dead, flags.NO_FLAT_FIELD | flags.DO_NOT_USE, 0).astype(np.uint32),
    }


def mask_reference(
    response: np.ndarray,
    dark_slope: np.ndarray,
    noise: np.ndarray,
    hot_dn_per_s: float,
    dead_response: float,
    noisy_ratio: float,
) -> dict[str, np.ndarray]:
    """Return the array of a `mask` reference: pixels that are dead, hot or noisy.

    Parameters
    ----------
    response, dark_slope, noise : ndarray of shape (ny - 8, nx - 8)
        Mean of flats over their medians, mean of darks [DN / s], noise of a read [DN]; NaN where
        not measured.
    hot_dn_per_s, dead_response, noisy_ratio : float
        As in `dark_reference` and `flat_reference`; and how many times the median noise a pixel
        may have.

    Returns
    -------
    dict
        ``dq`` of (ny, nx): DEAD, HOT, and OTHER_BAD_PIXEL for what is noisy or was not measured,
        each with DO_NOT_USE. Reference pixels have none.

    Examples
    --------
    >>> mask = mask_reference(np.array([[1.0, 0.1, 1.0]]), np.array([[0.0, 0.0, 9.0]]),
    ...     np.array([[6.0, 6.0, 6.0]]), 1.0, 0.5, 3.0)
    >>> [flags.names(value) for value in mask["dq"][4, 4:7]]
    [[], ['DO_NOT_USE', 'DEAD'], ['DO_NOT_USE', 'HOT']]
    """
    dead = response <= dead_response * _median(response)
    hot = dark_slope > hot_dn_per_s
    measured = np.isfinite(response) & np.isfinite(dark_slope) & (np.isfinite(noise) | hot)
    other = ~measured | (noise > noisy_ratio * _median(noise))
    dq = np.where(dead, flags.DEAD, 0) | np.where(hot, flags.HOT, 0)
    dq |= np.where(other, flags.value("OTHER_BAD_PIXEL"), 0)
    dq |= np.where(dq != 0, flags.DO_NOT_USE, 0)
    return {"dq": with_border(dq, 0).astype(np.uint32)}


def noise_reference(noise: np.ndarray, border: np.ndarray) -> dict[str, np.ndarray]:
    """Return the array of a `readnoise` reference.

    Parameters
    ----------
    noise : ndarray of shape (ny - 8, nx - 8)
        [DN]; where it is not known the mask says so, and the median stands here.
    border : ndarray of shape (ny, nx)
        Of which the noise of the reference pixels is taken [DN].

    Examples
    --------
    >>> noise_reference(np.full((1, 1), 6.0), np.full((9, 9), 3.0))["data"][3:5, 4].tolist()
    [3.0, 6.0]
    """
    data = np.array(border, np.float32)
    data[BORDER:-BORDER, BORDER:-BORDER] = _filled(noise, _median(noise))
    return {"data": data}


def with_border(active: np.ndarray, value: float) -> np.ndarray:
    """Put the border of reference pixels around an image of active pixels.

    Examples
    --------
    >>> with_border(np.ones((2, 3)), 0.0).shape
    (10, 11)
    """
    kind = active.dtype if active.dtype.kind in "ui" else np.float32
    return np.pad(active, BORDER, constant_values=value).astype(kind)


def _filled(values: np.ndarray, stand_in: float) -> np.ndarray:
    return np.where(np.isfinite(values), values, stand_in)


def _median(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    if not known.size:
        raise ValueError("nothing was measured in any pixel; are the exposures lost or saturated?")
    return float(np.median(known))

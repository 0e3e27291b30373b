"""Reference pixels: they see no light, so what changes in them is the electronics.

Each readout channel has an offset that drifts from resultant to resultant, and the integer
average of N reads lies 0.5 + 0.5 (N - 1) / N DN low on board; reference pixels share both.
"""

import numpy as np

from tessella.models import BORDER, CHANNEL_WIDTH


def channel_levels(data: np.ndarray, usable: np.ndarray) -> np.ndarray:
    """Return the level of the reference rows of each readout channel.

    Parameters
    ----------
    data : ndarray of shape (n_resultants, ny, nx)
        Counts [DN]; nx is a multiple of the channel width.
    usable : ndarray of shape (n_resultants, ny, nx)
        True where a count may be used.

    Returns
    -------
    ndarray of shape (n_resultants, nx / 128)
        Mean over the top and bottom four rows, without counts over 4 robust standard
        deviations from the median [DN]; NaN for a channel without usable reference pixels.

    Examples
    --------
    >>> ramp = np.full((2, 128, 128), 7.0)
    >>> channel_levels(ramp, np.ones(ramp.shape, bool)).tolist()
    [[7.0], [7.0]]
    """
    n, ny, nx = data.shape
    rows = np.r_[0:BORDER, ny - BORDER : ny]
    levels = np.full((n, nx // CHANNEL_WIDTH), np.nan)
    for i, channel in np.ndindex(*levels.shape):
        columns = slice(channel * CHANNEL_WIDTH, (channel + 1) * CHANNEL_WIDTH)
        counts = data[i, rows, columns][usable[i, rows, columns]]
        if counts.size:
            levels[i, channel] = _clipped_mean(counts.astype(float))
    return levels


def _clipped_mean(counts: np.ndarray) -> float:
    distance = np.abs(counts - np.median(counts))
    return float(np.mean(counts[distance <= 4 * 1.4826 * np.median(distance)]))


def subtract_reference_pixels(data: np.ndarray, usable: np.ndarray) -> np.ndarray:
    """Remove the drift of each readout channel.

    The mean level of a channel over the exposure is kept: the counts stay those that the
    nonlinear response and the saturation threshold refer to.

    Parameters
    ----------
    data : ndarray of shape (n_resultants, ny, nx)
        Counts [DN].
    usable : ndarray of shape (n_resultants, ny, nx)
        True where a count may be used to measure the drift.

    Returns
    -------
    ndarray of shape (n_resultants, ny, nx)
        Counts without the drift [DN]. A channel is unchanged in the resultants in which it has
        no usable reference pixels.

    Examples
    --------
    >>> ramp = np.ones((2, 128, 128)) * np.array([10.0, 12.0])[:, None, None]
    >>> out = subtract_reference_pixels(ramp, np.ones(ramp.shape, bool))
    >>> np.unique(out).tolist()
    [11.0]
    """
    levels = channel_levels(data, usable)
    known = np.isfinite(levels)
    mean = np.where(known, levels, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    drift = np.where(known, levels - mean, 0)
    return data - np.repeat(drift, CHANNEL_WIDTH, axis=1)[:, None, :].astype(data.dtype)

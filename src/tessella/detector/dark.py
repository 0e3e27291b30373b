"""Dark current: what a pixel counts without light."""

import numpy as np

from tessella import flags


def subtract_dark(
    slope: np.ndarray, dq: np.ndarray, dark_slope: np.ndarray, dark_dq: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Subtract the dark current and pass its flags on.

    Parameters
    ----------
    slope, dark_slope : ndarray of shape (ny, nx)
        Slopes [DN / s]; NaN in either gives NaN, as does a dark current that is infinite.
    dq, dark_dq : ndarray of shape (ny, nx)
        Flags.

    Returns
    -------
    slope, dq : ndarray of shape (ny, nx)
        With DO_NOT_USE where the dark current is not known.

    Examples
    --------
    >>> known = np.array([0]), np.array([2048])
    >>> data, dq = subtract_dark(np.array([1.0]), known[0], np.array([0.25]), known[1])
    >>> data.tolist(), dq.tolist()
    ([0.75], [2048])
    """
    unknown = ~np.isfinite(dark_slope)
    dark = np.where(unknown, np.nan, dark_slope).astype(slope.dtype)
    unusable = np.where(unknown, flags.DO_NOT_USE, 0).astype(dq.dtype)
    return slope - dark, dq | dark_dq.astype(dq.dtype) | unusable

"""Dark current: what a pixel counts without light."""

import numpy as np


def subtract_dark(
    slope: np.ndarray, dq: np.ndarray, dark_slope: np.ndarray, dark_dq: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Subtract the dark current and pass its flags on.

    Parameters
    ----------
    slope, dark_slope : ndarray of shape (ny, nx)
        Slopes [DN / s]; NaN in either gives NaN.
    dq, dark_dq : ndarray of shape (ny, nx)
        Flags.

    Returns
    -------
    slope, dq : ndarray of shape (ny, nx)

    Examples
    --------
    >>> flags = np.array([0]), np.array([2048])
    >>> data, dq = subtract_dark(np.array([1.0]), flags[0], np.array([0.25]), flags[1])
    >>> data.tolist(), dq.tolist()
    ([0.75], [2048])
    """
    return slope - dark_slope.astype(slope.dtype), dq | dark_dq.astype(dq.dtype)

"""Inter-pixel capacitance: each pixel shows a little of its neighbours' charge."""

import numpy as np
from scipy.ndimage import convolve


def couple_pixels(charge: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Spread each pixel's signal over its neighbours.

    Parameters
    ----------
    charge : ndarray of shape (..., ny, nx)
        Signal before coupling, in any unit.
    kernel : ndarray of shape (3, 3)
        Share of the central pixel's signal that each neighbour shows; sums to 1.

    Returns
    -------
    ndarray of shape (..., ny, nx)
        Signal as it is read; what would leave the array is mirrored back, so the sum is kept.

    Examples
    --------
    >>> kernel = np.array([[0, 0.01, 0], [0.01, 0.96, 0.01], [0, 0.01, 0]])
    >>> float(couple_pixels(np.ones((4, 4)), kernel).sum().round(6))
    16.0
    """
    weights = np.asarray(kernel, charge.dtype).reshape((1,) * (charge.ndim - 2) + (3, 3))
    return convolve(charge, weights, mode="reflect")

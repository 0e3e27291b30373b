"""The brighter-fatter effect: charge that is there moves the borders of pixels.

The border between two pixels moves into the fuller one, in proportion to the difference of their
charges, and what falls there is collected by the emptier one. Nothing is lost. In even light this
is the model of pixel areas by Hirata & Choi 2020 (PASP 132, 014501,
doi:10.1088/1538-3873/ab44f7).
"""

import numpy as np

from tessella.compiled import kernel
from tessella.models import BORDER


def collected(
    mean: np.ndarray, charge: np.ndarray, per_electron: tuple[float, float]
) -> np.ndarray:
    """Return what pixels are expected to collect, given what they hold.

    Parameters
    ----------
    mean : ndarray of shape (ny, nx), float32
        What falls on the nominal area of each pixel [electrons]; the border of reference pixels
        takes no part.
    charge : ndarray of shape (ny, nx), float32
        What each pixel holds [electrons].
    per_electron : tuple of float
        Part of a pixel's area that an electron of difference moves across a side, and across a
        corner.

    Returns
    -------
    ndarray of shape (ny, nx), float32
        At least 0 [electrons].

    Examples
    --------
    >>> mean, charge = np.full((11, 11), 100, np.float32), np.zeros((11, 11), np.float32)
    >>> charge[5, 5] = 1e5
    >>> collected(mean, charge, (4e-7, 1e-7))[5, 4:7].round(3).tolist()
    [104.0, 80.0, 104.0]
    """
    out = mean.copy()
    _move(mean, charge, *per_electron, out)
    return out


@kernel
def _move(
    mean: np.ndarray, charge: np.ndarray, side: float, corner: float, out: np.ndarray
) -> None:
    ny, nx = mean.shape
    for y in range(BORDER, ny - BORDER):
        for x in range(BORDER, nx - BORDER):
            lost = 0.0
            for b in range(max(y - 1, BORDER), min(y + 2, ny - BORDER)):
                for a in range(max(x - 1, BORDER), min(x + 2, nx - BORDER)):
                    share = side if (a == x) != (b == y) else corner
                    moved = share * (charge[y, x] - charge[b, a])
                    lost += moved * 0.5 * (mean[y, x] + mean[b, a])
            out[y, x] = max(mean[y, x] - lost, 0.0)

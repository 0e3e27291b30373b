"""A colour picture of three images."""

import numpy as np
from scipy.ndimage import binary_fill_holes

#: In standard deviations of the sky: where the stretch turns from linear to logarithmic, and white.
_SOFTENING = 6.0
_WHITE = 3000.0


def binned(image: np.ndarray, factor: int) -> np.ndarray:
    """Average blocks of pixels; NaN does not count, unless there is nothing else.

    Examples
    --------
    >>> binned(np.array([[1.0, 3.0], [np.nan, 2.0]]), 2).tolist()
    [[2.0]]
    """
    ny, nx = (size // factor for size in image.shape)
    blocks = image[: ny * factor, : nx * factor].reshape(ny, factor, nx, factor)
    known = np.isfinite(blocks)
    n = known.sum(axis=(1, 3))
    total = np.where(known, blocks, 0.0).sum(axis=(1, 3))
    return np.where(n > 0, total / np.maximum(n, 1), np.nan)


def colour_picture(red: np.ndarray, green: np.ndarray, blue: np.ndarray) -> np.ndarray:
    """Combine three images with a common asinh stretch, which keeps the colours of bright sources.

    Lupton et al. 2004, PASP 116, 133. doi:10.1086/382245

    Parameters
    ----------
    red, green, blue : (ny, nx) arrays
        Background-subtracted signal; each is shown in units of its own sky's standard deviation.
        NaN inside (saturated cores) is white, NaN all around black.

    Returns
    -------
    (ny, nx, 3) array
        In [0, 1], rows and columns as they came.
    """
    planes = np.stack([plane / _sky_sd(plane) for plane in (red, green, blue)], axis=-1)
    known = np.asarray(np.isfinite(planes).all(axis=-1))
    planes = np.where(known[..., None], planes, 0.0)
    brightness = np.maximum(planes.mean(axis=-1), 1e-9)
    stretched = np.arcsinh(brightness / _SOFTENING) / np.arcsinh(_WHITE / _SOFTENING)
    picture = planes * (stretched / brightness)[..., None]
    # What is too bright for one colour is scaled down in all.
    picture = picture / np.maximum(picture.max(axis=-1, keepdims=True), 1.0)
    picture = np.clip(picture + 0.06, 0.0, 1.0)
    picture[~known & inside(known)] = 1.0
    picture[~inside(known)] = 0.0
    return np.asarray(picture)


def inside(known: np.ndarray) -> np.ndarray:
    """Tell which pixels have data or are surrounded by some, (ny, nx)."""
    return np.asarray(binary_fill_holes(known))


def _sky_sd(plane: np.ndarray) -> float:
    values = plane[np.isfinite(plane)]
    if not values.size:
        return 1.0
    spread = float(1.4826 * np.median(np.abs(values - np.median(values))))
    return spread if spread > 0 else 1.0

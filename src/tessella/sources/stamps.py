"""Cutouts of equal size around many positions, in one array."""

import numpy as np


def nearest_pixel(position: np.ndarray) -> np.ndarray:
    """Return the index of the pixel that holds a position; far outside where it is NaN.

    Examples
    --------
    >>> nearest_pixel(np.array([1.6, np.nan])).tolist()
    [2, -1000000]
    """
    finite = np.isfinite(position)
    return np.where(finite, np.floor(np.where(finite, position, 0.0) + 0.5), -1_000_000).astype(int)


def stamps(image: np.ndarray, x: np.ndarray, y: np.ndarray, half_width: int) -> np.ndarray:
    """Cut squares of 2 `half_width` + 1 pixels around the pixels nearest to (x, y).

    Parameters
    ----------
    image : (ny, nx) array
        Any image.
    x, y : (n,) arrays
        Positions [pixels]; NaN gives an empty stamp.
    half_width : int
        Pixels on each side of the middle one.

    Returns
    -------
    (n, 2 h + 1, 2 h + 1) array
        Values; outside the image NaN, or -1 for (signed) integers.

    Examples
    --------
    >>> stamps(np.arange(9.0).reshape(3, 3), np.array([1.2]), np.array([0.0]), 1)[0].tolist()
    [[nan, nan, nan], [0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]
    """
    offset = np.arange(-half_width, half_width + 1)
    rows = nearest_pixel(y)[:, None, None] + offset[:, None]
    columns = nearest_pixel(x)[:, None, None] + offset
    ny, nx = image.shape
    inside = (rows >= 0) & (rows < ny) & (columns >= 0) & (columns < nx)
    values = image[np.clip(rows, 0, ny - 1), np.clip(columns, 0, nx - 1)]
    outside = -1 if np.issubdtype(image.dtype, np.integer) else np.nan
    return np.where(inside, values, np.asarray(outside, dtype=image.dtype))


def stamp_grid(x: np.ndarray, y: np.ndarray, half_width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return distances (dx, dy) of stamps' pixels from the positions, (n, 1, m) and (n, m, 1).

    Examples
    --------
    >>> dx, dy = stamp_grid(np.array([10.25]), np.array([5.0]), 1)
    >>> dx[0, 0].tolist()
    [-1.25, -0.25, 0.75]
    """
    offset = np.arange(-half_width, half_width + 1)
    dx = (nearest_pixel(x) - x)[:, None, None] + offset
    dy = (nearest_pixel(y) - y)[:, None, None] + offset[:, None]
    return dx, dy

"""Cosmic rays: charged particles that leave straight tracks of electrons.

Numbers of the tracks as in romanisim (`romanisim/cr.py`, `models/parameters.py`): 8 hits a second
and cm2, energy loss by the Moyal distribution around 120 eV/um with a width of 50, track lengths
by a power law of index -4.33 between 10 and 2000 um, a layer 5 um deep, 0.5 eV an electron.
"""

import numpy as np

#: [1 / cm^2 / s]
FLUX = 8.0
#: Side of a pixel.
PIXEL_UM = 10.0
_LENGTH_RANGE_UM = (10.0, 2000.0)
_LENGTH_INDEX = -4.33
_DEPTH_UM = 5.0
_LOSS_EV_PER_UM = (120.0, 50.0)
#: Above this loss the Moyal distribution has no counterpart in thin layers.
_LOSS_MAX_EV_PER_UM = 10000.0
_EV_PER_ELECTRON = 0.5


def draw_cosmic_rays(shape: tuple[int, int], time_s: float, rng: np.random.Generator) -> np.ndarray:
    """Draw the electrons that cosmic rays leave in a time, as an image.

    Returns
    -------
    ndarray of shape `shape`, float32
        What `cosmic_ray_hits` gives, and 0 elsewhere.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> draw_cosmic_rays((64, 64), 100.0, rng).max() > 1000
    np.True_
    """
    electrons = np.zeros(shape, np.float32)
    rows, columns, hit = cosmic_ray_hits(shape, time_s, rng)
    electrons[rows, columns] = hit
    return electrons


def cosmic_ray_hits(
    shape: tuple[int, int], time_s: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw the pixels that cosmic rays hit in a time.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns of 10 um pixels.
    time_s : float
        [s]

    Returns
    -------
    rows, columns : ndarray of shape (n,), int
        Each pixel once.
    electrons : ndarray of shape (n,), float32
        Whole numbers.

    Examples
    --------
    >>> rows, columns, electrons = cosmic_ray_hits((64, 64), 100.0, np.random.default_rng(1))
    >>> bool(rows.size == electrons.size > 5)
    True
    """
    area_cm2 = shape[0] * shape[1] * (PIXEL_UM * 1e-4) ** 2
    n = rng.poisson(FLUX * area_cm2 * time_s)
    x = rng.uniform(-0.5, shape[1] - 0.5, n)
    y = rng.uniform(-0.5, shape[0] - 0.5, n)
    angle = rng.uniform(0, 2 * np.pi, n)
    length = _track_lengths(rng.random(n))
    loss = np.clip(_moyal(rng, n), 0, _LOSS_MAX_EV_PER_UM)
    # A track that crosses the layer at a slant is longer than what is seen of it from above.
    charge = loss * np.hypot(length, _DEPTH_UM) / _EV_PER_ELECTRON
    hit, left = [np.zeros(0, int)], [np.zeros(0)]
    for i in range(n):
        end = length[i] / PIXEL_UM * np.array([np.cos(angle[i]), np.sin(angle[i])])
        columns, rows, share = split_track((x[i], y[i]), (x[i] + end[0], y[i] + end[1]))
        inside = (columns >= 0) & (columns < shape[1]) & (rows >= 0) & (rows < shape[0])
        hit.append(rows[inside] * shape[1] + columns[inside])
        left.append(charge[i] * share[inside])
    pixels, which = np.unique(np.concatenate(hit), return_inverse=True)
    electrons = np.bincount(which, np.concatenate(left), pixels.size)
    rows, columns = np.divmod(pixels, shape[1])
    return rows, columns, np.rint(electrons).astype(np.float32)


def split_track(
    start: tuple[float, float], end: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Split a straight track among the pixels that it crosses.

    Parameters
    ----------
    start, end : tuple of float
        x and y; pixel (0, 0) reaches from -0.5 to 0.5.

    Returns
    -------
    columns, rows : ndarray of shape (n,), int
        The pixels in order.
    share : ndarray of shape (n,)
        Part of the track's length in each; adds up to 1.

    Examples
    --------
    >>> columns, rows, share = split_track((0.0, 0.0), (1.0, 0.0))
    >>> columns.tolist(), rows.tolist(), share.tolist()
    ([0, 1], [0, 0], [0.5, 0.5])
    """
    cuts = [np.array([0.0, 1.0])]
    for a, b in zip(start, end, strict=True):
        low, high = sorted((a, b))
        edges = np.arange(np.ceil(low + 0.5), np.floor(high + 0.5) + 1) - 0.5
        if high > low:
            cuts.append((edges - a) / (b - a))
    along = np.unique(np.clip(np.concatenate(cuts), 0, 1))
    middle = (along[1:] + along[:-1]) / 2
    columns = np.floor(start[0] + middle * (end[0] - start[0]) + 0.5).astype(int)
    rows = np.floor(start[1] + middle * (end[1] - start[1]) + 0.5).astype(int)
    return columns, rows, np.diff(along)


def _track_lengths(uniform: np.ndarray) -> np.ndarray:
    """Lengths [um] at quantiles of the power law."""
    power = _LENGTH_INDEX + 1
    low, high = (length**power for length in _LENGTH_RANGE_UM)
    return (low + uniform * (high - low)) ** (1 / power)


def _moyal(rng: np.random.Generator, n: int) -> np.ndarray:
    """Losses [eV / um]: minus the logarithm of a squared normal variable is Moyal distributed."""
    location, width = _LOSS_EV_PER_UM
    return location - width * np.log(rng.standard_normal(n) ** 2)

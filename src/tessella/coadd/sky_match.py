"""One additive sky level per exposure, so that exposures agree where they overlap."""

import numpy as np

#: Side of the blocks of lattice pixels whose medians are compared [pixels].
_BLOCK = 64
#: Every second pixel of every second row is looked at: 250 or so tell a block's median to 8 %
#: of the noise of a pixel, and an image has hundreds of blocks.
_STRIDE = 2
#: A block with fewer of them than this does not count.
_FEWEST_PIXELS = 50


def block_medians(values: np.ndarray, places: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return the median of an image in blocks of the lattice.

    Parameters
    ----------
    values : ndarray of shape (ny, nx)
        Surface brightness; NaN does not count.
    places : ndarray of shape (ny, nx, 2)
        Lattice position of each pixel.
    shape : tuple of int
        Rows and columns of the lattice.

    Returns
    -------
    ndarray of shape (n_rows, n_columns)
        Medians; NaN for blocks with too few pixels.
    """
    values, places = values[::_STRIDE, ::_STRIDE], places[::_STRIDE, ::_STRIDE]
    rows, columns = -(-shape[0] // _BLOCK), -(-shape[1] // _BLOCK)
    cell = np.floor(places / _BLOCK).astype(int)
    inside = (
        (cell >= 0).all(axis=-1)
        & (cell[..., 0] < columns)
        & (cell[..., 1] < rows)
        & np.isfinite(values)
    )
    index = (cell[..., 1] * columns + cell[..., 0])[inside]
    order = np.lexsort((values[inside], index))
    index, ordered = index[order], values[inside][order]
    medians = np.full(rows * columns, np.nan)
    cells, first, counts = np.unique(index, return_index=True, return_counts=True)
    enough = counts >= _FEWEST_PIXELS
    medians[cells[enough]] = ordered[first[enough] + counts[enough] // 2]
    return medians.reshape(rows, columns)


def match_skies(medians: np.ndarray) -> np.ndarray:
    """Return the level to subtract from each exposure.

    The differences of overlapping exposures, weighted by their number of common blocks, are
    fitted by least squares; exposures that overlap, directly or through others, share one
    mean level, the smallest of theirs.

    Parameters
    ----------
    medians : ndarray of shape (n_exposures, n_rows, n_columns)
        Block medians; NaN where an exposure has none.

    Returns
    -------
    ndarray of shape (n_exposures,)
        Levels in the unit of `medians`; 0 for an exposure without any block.

    Examples
    --------
    >>> sky = np.ones((2, 4, 4)) * np.array([0.3, 0.5])[:, None, None]
    >>> match_skies(sky).round(6).tolist()
    [0.3, 0.5]
    """
    n = len(medians)
    flat = medians.reshape(n, -1)
    own = np.array([np.nanmedian(values) if np.isfinite(values).any() else 0.0 for values in flat])
    rows, differences, weights = [], [], []
    for i in range(n):
        for j in range(i + 1, n):
            common = np.isfinite(flat[i]) & np.isfinite(flat[j])
            if common.any():
                row = np.zeros(n)
                row[i], row[j] = 1.0, -1.0
                rows.append(row)
                differences.append(float(np.median(flat[i][common] - flat[j][common])))
                weights.append(np.sqrt(common.sum()))
    relative = np.zeros(n)
    if rows:
        weight = np.array(weights)
        design, target = np.array(rows) * weight[:, None], np.array(differences) * weight
        relative = np.linalg.lstsq(design, target, rcond=None)[0]
    levels = own.copy()
    for group in _connected(n, rows):
        offset = np.min(own[group]) - relative[group][np.argmin(own[group])]
        levels[group] = relative[group] + offset
    return levels


def _connected(n: int, rows: list[np.ndarray]) -> list[np.ndarray]:
    label = np.arange(n)
    for row in rows:
        i, j = np.flatnonzero(row)
        label[label == label[j]] = label[i]
    return [np.flatnonzero(label == value) for value in np.unique(label)]

"""Measurements that disagree: wrong matches, blends, images of stars that something spoiled.

Each is tested against what the others say of its star: the residual over its own expected scatter,
which a measurement that pulled its star towards itself makes smaller (data snooping: Baarda 1968,
A testing procedure for use in geodetic networks, Publ. on Geodesy 2, 5).
"""

import numpy as np

#: Median of chi-squared with two degrees of freedom.
_MEDIAN_CHISQ = 2 * np.log(2)
#: Fewest measurements that tell their excess scatter.
_FEWEST = 40


def deviations(
    residual: np.ndarray,
    covariance: np.ndarray,
    star_covariance: np.ndarray,
    is_kept: np.ndarray,
) -> np.ndarray:
    """Return residuals over their expected scatter, (n,).

    Parameters
    ----------
    residual : ndarray of shape (n, 2)
        Measurement minus star [mas].
    covariance, star_covariance : ndarray of shape (n, 2, 2)
        Of the measurement, and of the position of its star [mas^2].
    is_kept : ndarray of shape (n,)
        Whether the measurement is part of that position.

    Returns
    -------
    ndarray
        The square has two degrees of freedom; 0 where nothing else measures the star.

    Examples
    --------
    >>> unit = np.eye(2)[None]
    >>> deviations(np.array([[3.0, 4.0]]), unit, 0.75 * unit, np.array([True])).tolist()
    [10.0]
    """
    sign = np.where(is_kept, -1.0, 1.0)[:, None, None]
    expected = covariance + sign * star_covariance
    # Of a star that nothing else measures all is taken up; rounding leaves 1e-16 of it.
    tested = np.linalg.det(expected) > 1e-18 * np.linalg.det(covariance)
    inverse = np.zeros_like(expected)
    inverse[tested] = np.linalg.inv(expected[tested])
    return np.sqrt(np.maximum(np.einsum("ni,nij,nj->n", residual, inverse, residual), 0.0))


def limits(
    deviation: np.ndarray, is_kept: np.ndarray, owner: np.ndarray, clip: float
) -> np.ndarray:
    """Return the largest deviation that is kept, by owner.

    The median sets the scale while outliers still spoil the fit: three times the median where that
    is more than `clip`.

    Parameters
    ----------
    deviation, is_kept : ndarray of shape (n,)
    owner : ndarray of shape (n,)
        Image of each measurement.
    clip : float

    Returns
    -------
    ndarray of shape (n,)

    Examples
    --------
    >>> limits(np.array([1.0, 9.0, 2.0]), np.ones(3, bool), np.array([0, 1, 0]), 4.0).tolist()
    [4.5, 27.0, 4.5]
    """
    result = np.full(len(deviation), clip)
    kept = np.flatnonzero(is_kept & (deviation > 0))
    order = kept[np.lexsort([deviation[kept], owner[kept]])]
    owners, first, count = np.unique(owner[order], return_index=True, return_counts=True)
    if not owners.size:
        return result
    middle = (deviation[order[first + (count - 1) // 2]] + deviation[order[first + count // 2]]) / 2
    at = np.minimum(np.searchsorted(owners, owner), owners.size - 1)
    return np.where(owners[at] == owner, np.maximum(clip, 3 * middle[at]), result)


def worst_of_each(excess: np.ndarray, star: np.ndarray) -> np.ndarray:
    """Mark, of each star, the measurement with the largest excess if that is above 1, (n,).

    One at a time: a wrong measurement makes good ones of its star look wrong as well.

    Examples
    --------
    >>> worst_of_each(np.array([1.5, 3.0, 0.5]), np.array([0, 0, 1])).tolist()
    [False, True, False]
    """
    order = np.lexsort([-excess, star])
    first = np.unique(star[order], return_index=True)[1]
    worst = np.zeros(len(excess), bool)
    worst[order[first]] = True
    return worst & (excess > 1)


def excess_scatter(residual: np.ndarray, covariance: np.ndarray, largest: float = 20.0) -> float:
    """Return the scatter per axis that measurements have besides their errors [mas].

    Parameters
    ----------
    residual : ndarray of shape (n, 2)
        [mas]
    covariance : ndarray of shape (n, 2, 2)
        Expected of the residuals [mas^2].
    largest : float
        No more is taken for scatter [mas].

    Returns
    -------
    float
        What brings the median of squared deviations of the best-measured quarter to its expected
        value; 0 unless it is above that by three times its own error, or of less than 40.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> errors = np.tile(0.01 * np.eye(2), (20000, 1, 1))
    >>> round(excess_scatter(rng.normal(0, 0.5, (20000, 2)), errors), 1)
    0.5
    """
    variance = np.trace(covariance, axis1=1, axis2=2) / 2
    best = np.argsort(variance, kind="stable")[: max(_FEWEST, len(variance) // 4)]
    if len(best) < _FEWEST:
        return 0.0
    squared, expected = (residual[best] ** 2).sum(axis=1), variance[best]

    def median(excess: float) -> float:
        return float(np.median(squared / (expected + excess**2)))

    # The density of the distribution at its median is 1/4: the median's error is 2 / sqrt(n).
    if median(0.0) <= _MEDIAN_CHISQ + 6 / np.sqrt(len(best)):
        return 0.0
    low, high = 0.0, largest
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if median(middle) > _MEDIAN_CHISQ else (low, middle)
    return (low + high) / 2

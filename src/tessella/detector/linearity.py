"""The detector's nonlinear response, and its correction by a polynomial in each pixel."""

import numpy as np

from tessella import flags


def apply_nonlinearity(counts: np.ndarray, nonlinearity: np.ndarray) -> np.ndarray:
    """Return what a detector measures for counts that a linear one would show.

    Parameters
    ----------
    counts : ndarray of shape (..., ny, nx)
        Linear counts, pedestal included [DN].
    nonlinearity : ndarray of shape (ny, nx)
        Quadratic loss [1 / DN].

    Returns
    -------
    ndarray of shape (..., ny, nx)
        ``counts - nonlinearity * counts**2`` [DN].

    Examples
    --------
    >>> float(apply_nonlinearity(np.array([1e4]), np.array([1e-6]))[0])
    9900.0
    """
    return counts - nonlinearity * counts * counts


def inverse_coefficients(nonlinearity: np.ndarray, n_coefficients: int = 6) -> np.ndarray:
    """Return the polynomial that undoes `apply_nonlinearity`.

    The inverse of ``y = x - b x**2`` is ``sum of C(k) b**k y**(k + 1)`` with the Catalan
    numbers C; six coefficients leave 1e-6 of the counts where ``b y`` is 0.02.

    Returns
    -------
    ndarray of shape (n_coefficients, ny, nx)
        Coefficients of powers 0, 1, 2 ... of the measured counts.

    Examples
    --------
    >>> inverse_coefficients(np.array([[1e-6]]), 4)[:, 0, 0].tolist()
    [0.0, 1.0, 1e-06, 2e-12]
    """
    coefficients = np.zeros((n_coefficients, *np.shape(nonlinearity)))
    catalan = 1
    for k in range(n_coefficients - 1):
        coefficients[k + 1] = catalan * np.asarray(nonlinearity, float) ** k
        catalan = catalan * 2 * (2 * k + 1) // (k + 2)
    return coefficients


def linearize(
    data: np.ndarray, resultant_dq: np.ndarray, dq: np.ndarray, coefficients: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Correct resultants for the nonlinear response.

    The polynomial is applied to the averages; within a resultant of n reads the error of
    that is the nonlinearity times the variance of the reads' counts.

    Parameters
    ----------
    data : ndarray of shape (n_resultants, ny, nx)
        Counts with their pedestal [DN].
    resultant_dq : ndarray of shape (n_resultants, ny, nx)
        Flags of resultants; those with SATURATED keep their raw value.
    dq : ndarray of shape (ny, nx)
        Flags of pixels.
    coefficients : ndarray of shape (n_coefficients, ny, nx)
        Polynomial of the measured counts; NaN or a linear term of 0 means that it is not known.

    Returns
    -------
    data : ndarray of shape (n_resultants, ny, nx)
        Linear counts [DN].
    dq : ndarray of shape (ny, nx)
        `dq` with NO_LIN_CORR where the polynomial is not known; these pixels keep their counts.

    Examples
    --------
    >>> c = inverse_coefficients(np.full((1, 1), 1e-6))
    >>> good = np.zeros((1, 1, 1), np.uint8)
    >>> linear, _ = linearize(np.full((1, 1, 1), 9900.0), good, np.zeros((1, 1), np.uint32), c)
    >>> round(float(linear[0, 0, 0]), 3)
    10000.0
    """
    unknown = ~np.isfinite(coefficients).all(axis=0) | (coefficients[1] == 0)
    linear = np.zeros_like(data)
    for coefficient in coefficients[::-1]:
        linear = linear * data + coefficient.astype(data.dtype)
    keep = unknown | ((resultant_dq & flags.SATURATED) != 0)
    return np.where(keep, data, linear), dq | np.where(unknown, flags.NO_LIN_CORR, 0).astype(
        dq.dtype
    )

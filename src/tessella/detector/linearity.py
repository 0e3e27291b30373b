"""The detector's nonlinear response, and its correction by a polynomial in each pixel.

A resultant is an average of reads, and each read went through the pixel's response and through
the converter: both are undone read by read.
"""

import numpy as np

from tessella.compiled import kernel
from tessella.detector import pixel_rows as row
from tessella.detector.close_reads import average, correct_one, load, predict, store
from tessella.detector.far_reads import average_reads, list_far, store_few, wait
from tessella.detector.integral_nonlinearity import (
    N_COUNTS,
    ConverterTables,
    check_columns,
    tabulate,
)

#: A converter without integral nonlinearity.
_STRAIGHT = tabulate(np.array([0.0, N_COUNTS - 1.0]), np.zeros((1, 2)))


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


def response_coefficients(nonlinearity: np.ndarray) -> np.ndarray:
    """Return `apply_nonlinearity` as a polynomial, the inverse of `inverse_coefficients`.

    Returns
    -------
    ndarray of shape (3, ny, nx)
        Coefficients of powers 0, 1, 2 of the linear counts, for `apply_response`.

    Examples
    --------
    >>> response_coefficients(np.array([[1e-6]]))[:, 0, 0].tolist()
    [0.0, 1.0, -1e-06]
    """
    b = np.asarray(nonlinearity, float)
    return np.stack([np.zeros_like(b), np.ones_like(b), -b])


def apply_response(counts: np.ndarray, inverse: np.ndarray) -> np.ndarray:
    """Return what a detector measures for linear counts, by an inverse linearity polynomial.

    Parameters
    ----------
    counts : ndarray of shape (..., ny, nx)
        Linear counts of one read, pedestal included [DN].
    inverse : ndarray of shape (n_coefficients, ny, nx)
        Coefficients of powers 0, 1, 2 ... of the linear counts (RAD's ``inverselinearity``).

    Returns
    -------
    ndarray of shape (..., ny, nx)
        [DN]

    Examples
    --------
    >>> inverse = response_coefficients(np.array([[1e-6]]))
    >>> float(apply_response(np.array([[1e4]]), inverse)[0, 0])
    9900.0
    """
    measured = np.zeros_like(counts)
    for coefficient in inverse[::-1]:
        measured = measured * counts + coefficient
    return measured


def linearize(
    data: np.ndarray,
    resultant_dq: np.ndarray,
    dq: np.ndarray,
    coefficients: np.ndarray,
    converter: ConverterTables | None,
    read_pattern: tuple[tuple[int, ...], ...],
    first_column: int = 0,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Correct a block of rows for the nonlinear response, read by read.

    The average of reads is not the response to their average. With P the polynomial, f the
    correction of the converter, m a resultant and t the numbers of its reads:

    1. The rate is that of P(m) between the first resultant and the last but one, of those
       that count (of two, between both); the last one may hide saturation.
    2. The linear counts of a read are P(m) + rate (t - mean t). P is solved for the raw counts
       that show them, and these are shifted until their mean is m.
    3. f is added to the raw counts of each read, P is applied, and the reads are averaged.

    (The steps of stcal's ``linearity``, except that P itself is solved where they take the
    polynomial of another reference: the two differ by what that polynomial fails to invert.)

    Parameters
    ----------
    data : ndarray of shape (n_resultants, n_rows, nx), float32
        Raw counts of the converter, their pedestal included [DN]. Where a drift has been taken
        off them, f is looked up at counts that are wrong by the drift.
    resultant_dq : ndarray of shape (n_resultants, n_rows, nx), uint8
        Flags of resultants; those with SATURATED keep their raw value, and these and those with
        DROPOUT or DO_NOT_USE say nothing about the rate.
    dq : ndarray of shape (n_rows, nx), uint32
        Flags of pixels, those of the reference included: NO_LIN_CORR keeps the counts.
    coefficients : ndarray of shape (n_coefficients, n_rows, nx)
        P, of powers 0, 1, 2 ...; NaN or a linear term of 0 means that it is not known.
    converter : ConverterTables, optional
        f of all channels of the detector; None where it is not known, and then f is 0.
    read_pattern : tuple of tuples of int
        Reads of each resultant.
    first_column : int
        Column of the detector at which the block starts [pixels].

    Returns
    -------
    data : ndarray of shape (n_resultants, n_rows, nx), float32
        Linear counts [DN], within -+10**6.
    resultant_dq : ndarray of shape (n_resultants, n_rows, nx), uint8
        With DO_NOT_USE where counts were cut off at 10**6, are not numbers, or where P does not
        increase over the reads; counts that are not numbers come back as they were.
    dq : ndarray of shape (n_rows, nx), uint32
        With NO_LIN_CORR where P is not known; these pixels keep their counts.

    Raises
    ------
    ValueError
        If shapes do not fit each other, or columns lie beyond the tables of the converter.

    Notes
    -----
    Arithmetic is in double precision. The few steps that replace the reads where these are
    close together have their bounds at `tessella.detector.close_reads.average`: the result is
    within 0.002 DN, and the rounding to single precision, of what all reads give.

    Examples
    --------
    >>> c = inverse_coefficients(np.full((1, 1), 1e-6))
    >>> none = np.zeros((1, 1, 1), np.uint8), np.zeros((1, 1), np.uint32)
    >>> linear, _, _ = linearize(np.full((1, 1, 1), 9900.0), *none, c, None, ((1,),))
    >>> round(float(linear[0, 0, 0]), 3)
    10000.0
    """
    _check(data, resultant_dq, dq, coefficients, read_pattern)
    if converter is None:
        converter = _STRAIGHT
    else:
        check_columns(converter, first_column, data.shape[2])
    linear = np.empty(data.shape, np.float32)
    flagged = resultant_dq.astype(np.uint8)
    pixel_dq = dq.astype(np.uint32)
    _linearize_rows(
        np.ascontiguousarray(data, np.float32),
        flagged,
        pixel_dq,
        np.ascontiguousarray(coefficients, np.float32),
        tuple(range(len(coefficients))),
        converter.correction,
        converter.integral,
        converter.widest_step,
        converter.steepest,
        *_times(read_pattern),
        first_column,
        linear,
    )
    return linear, flagged, pixel_dq


def _check(
    data: np.ndarray,
    resultant_dq: np.ndarray,
    dq: np.ndarray,
    coefficients: np.ndarray,
    read_pattern: tuple[tuple[int, ...], ...],
) -> None:
    if data.ndim != 3 or len(data) != len(read_pattern):
        raise ValueError(
            f"data: {len(read_pattern)} resultants of rows are expected, its shape is {data.shape}"
        )
    for name, found, expected in (
        ("resultant_dq", resultant_dq.shape, data.shape),
        ("dq", dq.shape, data.shape[1:]),
        ("coefficients", coefficients.shape[1:], data.shape[1:]),
    ):
        if found != expected:
            raise ValueError(f"{name}: rows and columns are {found}, those of data {expected}")
    if len(coefficients) < 2:
        raise ValueError("coefficients: a polynomial needs at least a constant and a linear term")


def _times(
    read_pattern: tuple[tuple[int, ...], ...],
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return mean time, times of the reads from it (0 beyond), number and spacing [reads].

    The spacing is 0 where the reads are not evenly spaced.
    """
    n_reads = np.array([len(reads) for reads in read_pattern])
    middle = np.array([np.mean(reads) for reads in read_pattern])
    times = np.zeros((len(read_pattern), n_reads.max()))
    spacing = np.zeros(len(read_pattern))
    for i, reads in enumerate(read_pattern):
        times[i, : len(reads)] = np.array(reads) - middle[i]
        steps = np.unique(np.diff(reads))
        spacing[i] = steps[0] if len(steps) == 1 else 0.0
    return middle, times, n_reads, spacing


@kernel
def _linearize_rows(
    data: np.ndarray,
    flagged: np.ndarray,
    dq: np.ndarray,
    coefficients: np.ndarray,
    powers: tuple[int, ...],
    correction: np.ndarray,
    integral: np.ndarray,
    widest_step: np.ndarray,
    steepest: np.ndarray,
    middle: np.ndarray,
    times: np.ndarray,
    n_reads: np.ndarray,
    spacing: np.ndarray,
    first_column: int,
    linear: np.ndarray,
) -> None:
    """Go through the channels, and in each through the rows, a row of its pixels at a time.

    `powers` is 0, 1, 2 ...: its length is known to the compiler, which unrolls the polynomials.
    """
    n, n_rows, nx = data.shape
    pixels = np.empty((row.POLYNOMIAL + len(powers)) * row.WIDTH)
    few = np.empty((row.POLYNOMIAL + len(powers) + times.shape[1]) * row.WIDTH)
    # Pixels whose reads are far apart wait, for each resultant, until there are many of them.
    far = np.empty(row.WIDTH, np.int64)
    waiting = np.empty((n, 2 + len(powers), row.WIDTH))
    places = np.empty((n, 2, row.WIDTH), np.int64)
    n_waiting = np.zeros(n, np.int64)
    start = 0
    while start < nx:
        channel = (first_column + start) // row.WIDTH
        stop = min((channel + 1) * row.WIDTH - first_column, nx)
        channel = min(channel, len(correction) - 1)
        table = correction[channel]
        for y in range(n_rows):
            load(coefficients, y, start, dq[y, start:stop], powers, pixels)
            predict(data, flagged, y, start, stop, powers, middle, pixels)
            for i in range(n):
                shown, is_flagged = data[i, y, start:stop], flagged[i, y, start:stop]
                if n_reads[i] == 1:
                    correct_one(shown, table, powers, pixels)
                else:
                    average(
                        shown,
                        table,
                        integral[channel],
                        widest_step[channel],
                        steepest[channel],
                        n_reads[i],
                        spacing[i],
                        powers,
                        pixels,
                    )
                    n_far = list_far(is_flagged, pixels, far)
                    if n_waiting[i] + n_far > row.WIDTH:
                        average_reads(
                            waiting[i], n_waiting[i], table, times[i, : n_reads[i]], powers, few
                        )
                        store_few(few, places[i], n_waiting[i], flagged[i], linear[i])
                        n_waiting[i] = 0
                    if n_far > 0:
                        wait(pixels, far, n_far, n_waiting[i], powers, waiting[i])
                        for j in range(n_far):
                            places[i, 0, n_waiting[i] + j] = y
                            places[i, 1, n_waiting[i] + j] = start + far[j]
                            pixels[row.RESULT * row.WIDTH + far[j]] = 0.0
                        n_waiting[i] += n_far
                store(shown, pixels, is_flagged, linear[i, y, start:stop])
        for i in range(n):
            if n_waiting[i] > 0:
                average_reads(waiting[i], n_waiting[i], table, times[i, : n_reads[i]], powers, few)
                store_few(few, places[i], n_waiting[i], flagged[i], linear[i])
                n_waiting[i] = 0
        start = stop

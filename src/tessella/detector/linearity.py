"""The detector's nonlinear response, and its correction by a polynomial in each pixel.

A resultant is an average of reads, and each read went through the pixel's response and through
the converter: both are undone read by read.
"""

import numpy as np

from tessella import flags
from tessella.compiled import kernel
from tessella.detector.integral_nonlinearity import (
    N_COUNTS,
    REACH,
    ConverterTables,
    check_columns,
    correction_between,
    integral_between,
    tabulate,
    whole,
)
from tessella.models import CHANNEL_WIDTH

#: Linear counts are cut off here, and flagged [DN].
LIMIT = 1e6
#: Bounds of the polynomial's derivatives hold up to here [DN].
_LARGEST = 70000.0
#: What replacing reads by their mean and deviation may cost, besides the integral [DN].
_POLYNOMIAL_ERROR = 1e-3
# A row of the pixels of a channel is worked on in one array of this many columns: the compiler
# sees that its rows do not overlap, and works on several pixels at once.
_W = CHANNEL_WIDTH
# Its rows; the coefficients of the polynomial are the last, the highest power first.
_KNOWN, _SECOND, _THIRD, _RATE, _RESULT, _MEAN, _STEP, _CLOSE, _WIDEST = range(9)
_LOW, _LOW_WHOLE, _LOW_SUM, _LOW_HERE, _LOW_NEXT = range(9, 14)
_HIGH, _HIGH_WHOLE, _HIGH_SUM, _HIGH_HERE, _HIGH_NEXT = range(14, 19)
# Before and beside these: what tells the rate, and what reads taken one by one need.
_FIRST, _BEFORE, _LAST, _T_FIRST, _T_BEFORE, _T_LAST, _COUNT = range(9, 16)
_SERIES_2, _SERIES_3, _SERIES_4, _SHIFT, _MISSING = range(14, 19)
_POLYNOMIAL = 19
#: Shortest interval of the integral [DN]: its ends, known to 1e-10 DN**2, must not cancel.
_SHORTEST = 2.0**-10
#: Reads are solved for to this [DN], in at most so many steps.
_SOLVED = 1e-3
_MOST_STEPS = 20
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
    close together have their bounds at `_average`: the result is within 0.002 DN, and the
    rounding to single precision, of what all reads give.

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
    pixels = np.empty((_POLYNOMIAL + len(powers)) * _W)
    few = np.empty((_POLYNOMIAL + len(powers) + times.shape[1]) * _W)
    # Pixels whose reads are far apart wait, for each resultant, until there are many of them.
    far = np.empty(_W, np.int64)
    waiting = np.empty((n, 2 + len(powers), _W))
    places = np.empty((n, 2, _W), np.int64)
    n_waiting = np.zeros(n, np.int64)
    start = 0
    while start < nx:
        channel = (first_column + start) // _W
        stop = min((channel + 1) * _W - first_column, nx)
        channel = min(channel, len(correction) - 1)
        table = correction[channel]
        for y in range(n_rows):
            _load(coefficients, y, start, dq[y, start:stop], powers, pixels)
            _predict(data, flagged, y, start, stop, powers, middle, pixels)
            for i in range(n):
                shown, is_flagged = data[i, y, start:stop], flagged[i, y, start:stop]
                if n_reads[i] == 1:
                    _correct_one(shown, table, powers, pixels)
                else:
                    _average(
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
                    n_far = _list_far(is_flagged, pixels, far)
                    if n_waiting[i] + n_far > _W:
                        _average_reads(
                            waiting[i], n_waiting[i], table, times[i, : n_reads[i]], powers, few
                        )
                        _store_few(few, places[i], n_waiting[i], flagged[i], linear[i])
                        n_waiting[i] = 0
                    if n_far > 0:
                        _wait(pixels, far, n_far, n_waiting[i], powers, waiting[i])
                        for j in range(n_far):
                            places[i, 0, n_waiting[i] + j] = y
                            places[i, 1, n_waiting[i] + j] = start + far[j]
                            pixels[_RESULT * _W + far[j]] = 0.0
                        n_waiting[i] += n_far
                _store(shown, pixels, is_flagged, linear[i, y, start:stop])
        for i in range(n):
            if n_waiting[i] > 0:
                _average_reads(waiting[i], n_waiting[i], table, times[i, : n_reads[i]], powers, few)
                _store_few(few, places[i], n_waiting[i], flagged[i], linear[i])
                n_waiting[i] = 0
        start = stop


@kernel
def _term(j: int, x: int) -> np.uint64:
    """Return where the coefficient of the power ``top - j`` stands of pixel x.

    Unsigned: the compiler need not think of places that are counted from the end.
    """
    return np.uint64(_POLYNOMIAL + j) * np.uint64(_W) + np.uint64(x)


@kernel
def _value(pixels: np.ndarray, powers: tuple[int, ...], x: int, at: float) -> float:
    """Evaluate the polynomial of one pixel."""
    value = pixels[_POLYNOMIAL * _W + x]
    for j in range(1, len(powers)):
        value = value * at + pixels[_term(j, x)]
    return value


@kernel
def _load(
    coefficients: np.ndarray,
    y: int,
    start: int,
    dq: np.ndarray,
    powers: tuple[int, ...],
    pixels: np.ndarray,
) -> None:
    """Load P, the identity where it is not known, and bounds of its bends.

    _SECOND receives a bound of half its second, _THIRD of a sixth of its third derivative.
    """
    n, top = len(dq), len(powers) - 1
    for x in range(n):
        is_known = (coefficients[1, y, start + x] != 0) & ((dq[x] & flags.NO_LIN_CORR) == 0)
        pixels[_KNOWN * _W + x] = 1.0 if is_known else 0.0
    for j in range(top + 1):
        coefficient = coefficients[top - j, y, start : start + n]
        for x in range(n):
            value = np.float64(coefficient[x])
            # A difference that is not 0: infinite or not a number.
            pixels[_KNOWN * _W + x] = pixels[_KNOWN * _W + x] if value - value == 0 else 0.0
            pixels[_term(j, x)] = value
    for j in range(top + 1):
        for x in range(n):
            value = pixels[_term(j, x)]
            identity = 1.0 if j == top - 1 else 0.0
            pixels[_term(j, x)] = value if pixels[_KNOWN * _W + x] != 0 else identity
    for x in range(n):
        second = third = 0.0
        for j in range(top - 1):
            power = top - j
            size = abs(pixels[_term(j, x)])
            second = second * _LARGEST + 0.5 * power * (power - 1) * size
            if power > 2:
                third = third * _LARGEST + power * (power - 1) * (power - 2) / 6.0 * size
        pixels[_SECOND * _W + x] = second
        pixels[_THIRD * _W + x] = third
    for x in range(n):
        dq[x] |= np.uint32(0 if pixels[_KNOWN * _W + x] != 0 else flags.NO_LIN_CORR)


@kernel
def _predict(
    data: np.ndarray,
    flagged: np.ndarray,
    y: int,
    start: int,
    stop: int,
    powers: tuple[int, ...],
    middle: np.ndarray,
    pixels: np.ndarray,
) -> None:
    """Fill the linear rate of each pixel [DN / read], 0 where fewer than two resultants count."""
    n = stop - start
    unused = np.uint8(flags.SATURATED | flags.DROPOUT | flags.DO_NOT_USE)
    for x in range(n):
        for row in range(_FIRST, _COUNT + 1):
            pixels[row * _W + x] = 0.0
    for i in range(len(data)):
        shown, is_flagged, time = data[i, y, start:stop], flagged[i, y, start:stop], middle[i]
        for x in range(n):
            value = np.float64(shown[x])
            use = ((is_flagged[x] & unused) == 0) & (value - value == 0)
            new = use & (pixels[_COUNT * _W + x] == 0)
            first, t_first = pixels[_FIRST * _W + x], pixels[_T_FIRST * _W + x]
            before, t_before = pixels[_BEFORE * _W + x], pixels[_T_BEFORE * _W + x]
            last, t_last = pixels[_LAST * _W + x], pixels[_T_LAST * _W + x]
            pixels[_FIRST * _W + x] = value if new else first
            pixels[_T_FIRST * _W + x] = time if new else t_first
            pixels[_BEFORE * _W + x] = last if use else before
            pixels[_T_BEFORE * _W + x] = t_last if use else t_before
            pixels[_LAST * _W + x] = value if use else last
            pixels[_T_LAST * _W + x] = time if use else t_last
            pixels[_COUNT * _W + x] += 1.0 if use else 0.0
    for x in range(n):
        count = pixels[_COUNT * _W + x]
        end = pixels[_BEFORE * _W + x] if count > 2 else pixels[_LAST * _W + x]
        t_end = pixels[_T_BEFORE * _W + x] if count > 2 else pixels[_T_LAST * _W + x]
        elapsed = t_end - pixels[_T_FIRST * _W + x] if count > 1 else 1.0
        low = _value(pixels, powers, x, pixels[_FIRST * _W + x])
        high = _value(pixels, powers, x, end)
        pixels[_RATE * _W + x] = (high - low) / elapsed if count > 1 else 0.0


@kernel
def _correct_one(
    data: np.ndarray, table: np.ndarray, powers: tuple[int, ...], pixels: np.ndarray
) -> None:
    """Fill the results of single reads."""
    n = len(data)
    for x in range(n):
        count = np.float64(data[x])
        pixels[_LOW * _W + x] = count
        pixels[_LOW_WHOLE * _W + x] = whole(count)
    for x in range(n):
        i = np.uint64(pixels[_LOW_WHOLE * _W + x])
        pixels[_LOW_HERE * _W + x] = table[i]
        pixels[_LOW_NEXT * _W + x] = table[i + np.uint64(1)]
    for x in range(n):
        count = pixels[_LOW * _W + x]
        count += correction_between(
            count,
            pixels[_LOW_WHOLE * _W + x],
            pixels[_LOW_HERE * _W + x],
            pixels[_LOW_NEXT * _W + x],
        )
        pixels[_RESULT * _W + x] = _value(pixels, powers, x, count)


@kernel
def _average(
    data: np.ndarray,
    table: np.ndarray,
    integral: np.ndarray,
    widest_step: np.ndarray,
    steepest: float,
    n_reads: int,
    spacing: float,
    powers: tuple[int, ...],
    pixels: np.ndarray,
) -> None:
    """Fill the averages over reads that are close together; _CLOSE tells where they are.

    The correction of the converter is averaged through its integral, and P is applied at one
    standard deviation of the reads either side of their corrected mean. With S the reach of the
    reads, h their spacing, F the steepest correction, and B and C bounds of half the second
    and a sixth of the third derivative of P (slope p, 1/2 to 2), this costs:

    - Evenly spaced raw counts instead of the solution of P differ by at most ``2 B S**2 / p``
      (Taylor), with a mean of 0: f changes by F times that, P by its slope more: ``2 F B S**2``.
    - The integral instead of the reads: `tabulate` keeps that below `INTEGRAL_ERROR`, times p.
    - Taylor of P at the mean: mean squares of the reads differ from those of the two places by
      at most ``S**2 (4 B S / p + 2 F + F**2)``, times B; cubes by ``2 (1 + F)**3 S**3 C``.

    Together ``S**2 B (6 F + 8 B S) + 4 S**3 C`` for F below 1/4, and the integral. Sums of
    coefficients bound B and C for counts up to `_LARGEST`.
    """
    n = len(data)
    for x in range(n):
        count = np.float64(data[x])
        pixels[_MEAN * _W + x] = count
        pixels[_WIDEST * _W + x] = widest_step[int(whole(count)) // REACH]
    for x in range(n):
        count = pixels[_MEAN * _W + x]
        slope = 0.0
        for j in range(len(powers) - 1):
            power = float(len(powers) - 1 - j)
            slope = slope * count + power * pixels[_term(j, x)]
        step = abs(pixels[_RATE * _W + x]) * spacing / slope
        reach = 0.5 * (n_reads - 1) * step
        second, third = pixels[_SECOND * _W + x], pixels[_THIRD * _W + x]
        error = reach * reach * (second * (6 * steepest + 8 * second * reach) + 4 * reach * third)
        close = (
            (slope > 0.5)
            & (slope < 2.0)
            & (step <= pixels[_WIDEST * _W + x])
            & ((reach <= REACH) | (steepest == 0))
            & (error <= _POLYNOMIAL_ERROR)
            & (abs(count) + reach < _LARGEST)
            & ((steepest < 0.25) | (reach == 0))
            & ((spacing > 0) | (pixels[_RATE * _W + x] == 0))
        )
        step = step if close else 0.0
        # The interval of the integral is never so short that its ends cancel.
        span = max(n_reads * step, _SHORTEST)
        pixels[_CLOSE * _W + x] = 1.0 if close else 0.0
        pixels[_STEP * _W + x] = step
        pixels[_LOW * _W + x] = count - 0.5 * span
        pixels[_HIGH * _W + x] = count + 0.5 * span
        pixels[_LOW_WHOLE * _W + x] = whole(count - 0.5 * span)
        pixels[_HIGH_WHOLE * _W + x] = whole(count + 0.5 * span)
    for x in range(n):
        i = np.uint64(pixels[_LOW_WHOLE * _W + x])
        pixels[_LOW_HERE * _W + x] = table[i]
        pixels[_LOW_NEXT * _W + x] = table[i + np.uint64(1)]
        pixels[_LOW_SUM * _W + x] = integral[i]
    for x in range(n):
        i = np.uint64(pixels[_HIGH_WHOLE * _W + x])
        pixels[_HIGH_HERE * _W + x] = table[i]
        pixels[_HIGH_NEXT * _W + x] = table[i + np.uint64(1)]
        pixels[_HIGH_SUM * _W + x] = integral[i]
    deviation = np.sqrt((n_reads * n_reads - 1) / 12.0)
    for x in range(n):
        step = pixels[_STEP * _W + x]
        span = max(n_reads * step, _SHORTEST)
        low = integral_between(
            pixels[_LOW * _W + x],
            pixels[_LOW_WHOLE * _W + x],
            pixels[_LOW_SUM * _W + x],
            pixels[_LOW_HERE * _W + x],
            pixels[_LOW_NEXT * _W + x],
        )
        high = integral_between(
            pixels[_HIGH * _W + x],
            pixels[_HIGH_WHOLE * _W + x],
            pixels[_HIGH_SUM * _W + x],
            pixels[_HIGH_HERE * _W + x],
            pixels[_HIGH_NEXT * _W + x],
        )
        mean = pixels[_MEAN * _W + x] + (high - low) / span
        low = _value(pixels, powers, x, mean - deviation * step)
        high = _value(pixels, powers, x, mean + deviation * step)
        pixels[_RESULT * _W + x] = 0.5 * (low + high)


@kernel
def _list_far(flagged: np.ndarray, pixels: np.ndarray, far: np.ndarray) -> int:
    """List the pixels whose reads must be taken one by one; return their number."""
    n_far = 0
    for x in range(len(flagged)):
        far[n_far] = x
        is_far = (
            (pixels[_CLOSE * _W + x] == 0)
            & (pixels[_KNOWN * _W + x] != 0)
            & ((flagged[x] & flags.SATURATED) == 0)
        )
        n_far += 1 if is_far else 0
    return n_far


@kernel
def _wait(
    pixels: np.ndarray,
    far: np.ndarray,
    n_far: int,
    n_waiting: int,
    powers: tuple[int, ...],
    waiting: np.ndarray,
) -> None:
    """Put aside what `_average_reads` needs of the listed pixels."""
    for j in range(n_far):
        waiting[0, n_waiting + j] = pixels[_MEAN * _W + far[j]]
        waiting[1, n_waiting + j] = pixels[_RATE * _W + far[j]]
    for k in range(len(powers)):
        for j in range(n_far):
            waiting[2 + k, n_waiting + j] = pixels[_term(k, far[j])]


@kernel
def _average_reads(
    waiting: np.ndarray,
    n: int,
    table: np.ndarray,
    times: np.ndarray,
    powers: tuple[int, ...],
    few: np.ndarray,
) -> None:
    """Fill the averages of corrected reads; NaN where P does not increase over the reads.

    P is turned into powers of the distance from the mean count. The distances of the reads
    come from the reversed series of P, and from Newton where that does not suffice: an error of
    e in a read changes the average by at most ``e (F + 2 B S)`` (`_average`), since the mean of
    the reads is known, so that `_SOLVED` is far below what can be seen.
    """
    for x in range(n):
        few[_MEAN * _W + x] = waiting[0, x]
        few[_RATE * _W + x] = waiting[1, x]
    for k in range(len(powers)):
        for x in range(n):
            few[_term(k, x)] = waiting[2 + k, x]
    top, reads = len(powers) - 1, len(powers)
    for k in range(top):
        for j in range(1, top + 1 - k):
            for x in range(n):
                few[_term(j, x)] += few[_MEAN * _W + x] * few[_term(j - 1, x)]
    linear = _POLYNOMIAL + top - 1
    for x in range(n):
        slope = few[linear * _W + x]
        a = few[(linear - 1) * _W + x] / slope if top > 1 else 0.0
        b = few[(linear - 2) * _W + x] / slope if top > 2 else 0.0
        c = few[(linear - 3) * _W + x] / slope if top > 3 else 0.0
        few[_SERIES_2 * _W + x] = -a
        few[_SERIES_3 * _W + x] = 2 * a * a - b
        few[_SERIES_4 * _W + x] = 5 * a * (b - a * a) - c
        few[_STEP * _W + x] = few[_RATE * _W + x] / slope
        few[_SHIFT * _W + x] = 0.0
        few[_RESULT * _W + x] = 0.0
    for j in range(len(times)):
        for x in range(n):
            start = few[_STEP * _W + x] * times[j]
            place = few[_SERIES_3 * _W + x] + start * few[_SERIES_4 * _W + x]
            place = start * (1.0 + start * (few[_SERIES_2 * _W + x] + start * place))
            value = few[_POLYNOMIAL * _W + x]
            for k in range(1, top):
                value = value * place + few[_term(k, x)]
            few[_term(reads + j, x)] = place
            few[_MISSING * _W + x] = few[_RATE * _W + x] * times[j] - value * place
        for x in range(n):
            if not abs(few[_MISSING * _W + x]) <= _SOLVED:
                few[_term(reads + j, x)] = _solve(
                    few, powers, x, few[_RATE * _W + x] * times[j], few[_term(reads + j, x)]
                )
        for x in range(n):
            few[_SHIFT * _W + x] += few[_term(reads + j, x)]
    for j in range(len(times)):
        for x in range(n):
            place = few[_term(reads + j, x)] - few[_SHIFT * _W + x] / len(times)
            few[_LOW * _W + x] = place
            few[_LOW_WHOLE * _W + x] = whole(few[_MEAN * _W + x] + place)
        for x in range(n):
            i = np.uint64(few[_LOW_WHOLE * _W + x])
            few[_LOW_HERE * _W + x] = table[i]
            few[_LOW_NEXT * _W + x] = table[i + np.uint64(1)]
        for x in range(n):
            place = few[_LOW * _W + x]
            place += correction_between(
                few[_MEAN * _W + x] + place,
                few[_LOW_WHOLE * _W + x],
                few[_LOW_HERE * _W + x],
                few[_LOW_NEXT * _W + x],
            )
            few[_RESULT * _W + x] += _value(few, powers, x, place)
    for x in range(n):
        rising = few[linear * _W + x] > 0
        few[_RESULT * _W + x] = few[_RESULT * _W + x] / len(times) if rising else np.nan


@kernel
def _solve(few: np.ndarray, powers: tuple[int, ...], x: int, linear: float, place: float) -> float:
    """Return where P, its constant apart, is `linear`; NaN where it does not increase."""
    top = len(powers) - 1
    for _ in range(_MOST_STEPS):
        value, slope = few[_POLYNOMIAL * _W + x], 0.0
        for k in range(1, top):
            slope = slope * place + value
            value = value * place + few[_term(k, x)]
        slope = slope * place + value
        missing = linear - value * place
        if not slope > 0.0:
            return np.nan
        if abs(missing) <= _SOLVED:
            return place
        place += missing / slope
    return np.nan


@kernel
def _store(data: np.ndarray, pixels: np.ndarray, flagged: np.ndarray, linear: np.ndarray) -> None:
    for x in range(len(data)):
        value, shown = pixels[_RESULT * _W + x], np.float64(data[x])
        keep = (pixels[_KNOWN * _W + x] == 0) | ((flagged[x] & flags.SATURATED) != 0)
        value = shown if keep else value
        lost = value - value != 0
        cut = (not keep) & (abs(value) > LIMIT)
        inside = min(max(value, -LIMIT), LIMIT) if cut else value
        linear[x] = np.float32(shown if lost else inside)
        flagged[x] |= np.uint8(flags.DO_NOT_USE if lost | cut else 0)


@kernel
def _store_few(
    few: np.ndarray, places: np.ndarray, n: int, flagged: np.ndarray, linear: np.ndarray
) -> None:
    """Store what waited; where P does not increase, the counts stay and are not used."""
    for j in range(n):
        y, x, value = places[0, j], places[1, j], few[_RESULT * _W + j]
        if not abs(value) <= LIMIT:
            flagged[y, x] |= np.uint8(flags.DO_NOT_USE)
            value = min(max(value, -LIMIT), LIMIT) if value == value else few[_MEAN * _W + j]
        linear[y, x] = np.float32(value)

"""Averages of reads that are close together, for `tessella.detector.linearity`.

Between such reads response and converter are almost straight: a few numbers stand for all reads.
"""

import numpy as np

from tessella import flags
from tessella.compiled import kernel
from tessella.detector import pixel_rows as row
from tessella.detector.integral_nonlinearity import (
    REACH,
    correction_between,
    integral_between,
    whole,
)

#: Linear counts are cut off here, and flagged [DN].
LIMIT = 1e6
#: Bounds of the polynomial's derivatives hold up to here [DN].
_LARGEST = 70000.0
#: What replacing reads by their mean and deviation may cost, besides the integral [DN].
_POLYNOMIAL_ERROR = 1e-3
#: Shortest interval of the integral [DN]: its ends, known to 1e-10 DN**2, must not cancel.
_SHORTEST = 2.0**-10


@kernel
def load(
    coefficients: np.ndarray,
    y: int,
    start: int,
    dq: np.ndarray,
    powers: tuple[int, ...],
    pixels: np.ndarray,
) -> None:
    """Load P, the identity where it is not known, and bounds of its bends.

    row.SECOND receives a bound of half its second, row.THIRD of a sixth of its third derivative.
    """
    n, top = len(dq), len(powers) - 1
    for x in range(n):
        is_known = (coefficients[1, y, start + x] != 0) & ((dq[x] & flags.NO_LIN_CORR) == 0)
        pixels[row.KNOWN * row.WIDTH + x] = 1.0 if is_known else 0.0
    for j in range(top + 1):
        coefficient = coefficients[top - j, y, start : start + n]
        for x in range(n):
            value = np.float64(coefficient[x])
            # A difference that is not 0: infinite or not a number.
            pixels[row.KNOWN * row.WIDTH + x] = (
                pixels[row.KNOWN * row.WIDTH + x] if value - value == 0 else 0.0
            )
            pixels[row.term(j, x)] = value
    for j in range(top + 1):
        for x in range(n):
            value = pixels[row.term(j, x)]
            identity = 1.0 if j == top - 1 else 0.0
            pixels[row.term(j, x)] = value if pixels[row.KNOWN * row.WIDTH + x] != 0 else identity
    for x in range(n):
        second = third = 0.0
        for j in range(top - 1):
            power = top - j
            size = abs(pixels[row.term(j, x)])
            second = second * _LARGEST + 0.5 * power * (power - 1) * size
            if power > 2:
                third = third * _LARGEST + power * (power - 1) * (power - 2) / 6.0 * size
        pixels[row.SECOND * row.WIDTH + x] = second
        pixels[row.THIRD * row.WIDTH + x] = third
    for x in range(n):
        dq[x] |= np.uint32(0 if pixels[row.KNOWN * row.WIDTH + x] != 0 else flags.NO_LIN_CORR)


@kernel
def predict(
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
        for number in range(row.FIRST, row.COUNT + 1):
            pixels[number * row.WIDTH + x] = 0.0
    for i in range(len(data)):
        shown, is_flagged, time = data[i, y, start:stop], flagged[i, y, start:stop], middle[i]
        for x in range(n):
            value = np.float64(shown[x])
            use = ((is_flagged[x] & unused) == 0) & (value - value == 0)
            new = use & (pixels[row.COUNT * row.WIDTH + x] == 0)
            first, t_first = pixels[row.FIRST * row.WIDTH + x], pixels[row.T_FIRST * row.WIDTH + x]
            before, t_before = (
                pixels[row.BEFORE * row.WIDTH + x],
                pixels[row.T_BEFORE * row.WIDTH + x],
            )
            last, t_last = pixels[row.LAST * row.WIDTH + x], pixels[row.T_LAST * row.WIDTH + x]
            pixels[row.FIRST * row.WIDTH + x] = value if new else first
            pixels[row.T_FIRST * row.WIDTH + x] = time if new else t_first
            pixels[row.BEFORE * row.WIDTH + x] = last if use else before
            pixels[row.T_BEFORE * row.WIDTH + x] = t_last if use else t_before
            pixels[row.LAST * row.WIDTH + x] = value if use else last
            pixels[row.T_LAST * row.WIDTH + x] = time if use else t_last
            pixels[row.COUNT * row.WIDTH + x] += 1.0 if use else 0.0
    for x in range(n):
        count = pixels[row.COUNT * row.WIDTH + x]
        end = pixels[row.BEFORE * row.WIDTH + x] if count > 2 else pixels[row.LAST * row.WIDTH + x]
        t_end = (
            pixels[row.T_BEFORE * row.WIDTH + x]
            if count > 2
            else pixels[row.T_LAST * row.WIDTH + x]
        )
        elapsed = t_end - pixels[row.T_FIRST * row.WIDTH + x] if count > 1 else 1.0
        low = row.value(pixels, powers, x, pixels[row.FIRST * row.WIDTH + x])
        high = row.value(pixels, powers, x, end)
        pixels[row.RATE * row.WIDTH + x] = (high - low) / elapsed if count > 1 else 0.0


@kernel
def correct_one(
    data: np.ndarray, table: np.ndarray, powers: tuple[int, ...], pixels: np.ndarray
) -> None:
    """Fill the results of single reads."""
    n = len(data)
    for x in range(n):
        count = np.float64(data[x])
        pixels[row.LOW * row.WIDTH + x] = count
        pixels[row.LOW_WHOLE * row.WIDTH + x] = whole(count)
    for x in range(n):
        i = np.uint64(pixels[row.LOW_WHOLE * row.WIDTH + x])
        pixels[row.LOW_HERE * row.WIDTH + x] = table[i]
        pixels[row.LOW_NEXT * row.WIDTH + x] = table[i + np.uint64(1)]
    for x in range(n):
        count = pixels[row.LOW * row.WIDTH + x]
        count += correction_between(
            count,
            pixels[row.LOW_WHOLE * row.WIDTH + x],
            pixels[row.LOW_HERE * row.WIDTH + x],
            pixels[row.LOW_NEXT * row.WIDTH + x],
        )
        pixels[row.RESULT * row.WIDTH + x] = row.value(pixels, powers, x, count)


@kernel
def average(
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
    """Fill the averages over reads that are close together; row.CLOSE tells where they are.

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
        pixels[row.MEAN * row.WIDTH + x] = count
        pixels[row.WIDEST * row.WIDTH + x] = widest_step[int(whole(count)) // REACH]
    for x in range(n):
        count = pixels[row.MEAN * row.WIDTH + x]
        slope = 0.0
        for j in range(len(powers) - 1):
            power = float(len(powers) - 1 - j)
            slope = slope * count + power * pixels[row.term(j, x)]
        step = abs(pixels[row.RATE * row.WIDTH + x]) * spacing / slope
        reach = 0.5 * (n_reads - 1) * step
        second, third = pixels[row.SECOND * row.WIDTH + x], pixels[row.THIRD * row.WIDTH + x]
        error = reach * reach * (second * (6 * steepest + 8 * second * reach) + 4 * reach * third)
        close = (
            (slope > 0.5)
            & (slope < 2.0)
            & (step <= pixels[row.WIDEST * row.WIDTH + x])
            & ((reach <= REACH) | (steepest == 0))
            & (error <= _POLYNOMIAL_ERROR)
            & (abs(count) + reach < _LARGEST)
            & ((steepest < 0.25) | (reach == 0))
            & ((spacing > 0) | (pixels[row.RATE * row.WIDTH + x] == 0))
        )
        step = step if close else 0.0
        # The interval of the integral is never so short that its ends cancel.
        span = max(n_reads * step, _SHORTEST)
        pixels[row.CLOSE * row.WIDTH + x] = 1.0 if close else 0.0
        pixels[row.STEP * row.WIDTH + x] = step
        pixels[row.LOW * row.WIDTH + x] = count - 0.5 * span
        pixels[row.HIGH * row.WIDTH + x] = count + 0.5 * span
        pixels[row.LOW_WHOLE * row.WIDTH + x] = whole(count - 0.5 * span)
        pixels[row.HIGH_WHOLE * row.WIDTH + x] = whole(count + 0.5 * span)
    for x in range(n):
        i = np.uint64(pixels[row.LOW_WHOLE * row.WIDTH + x])
        pixels[row.LOW_HERE * row.WIDTH + x] = table[i]
        pixels[row.LOW_NEXT * row.WIDTH + x] = table[i + np.uint64(1)]
        pixels[row.LOW_SUM * row.WIDTH + x] = integral[i]
    for x in range(n):
        i = np.uint64(pixels[row.HIGH_WHOLE * row.WIDTH + x])
        pixels[row.HIGH_HERE * row.WIDTH + x] = table[i]
        pixels[row.HIGH_NEXT * row.WIDTH + x] = table[i + np.uint64(1)]
        pixels[row.HIGH_SUM * row.WIDTH + x] = integral[i]
    deviation = np.sqrt((n_reads * n_reads - 1) / 12.0)
    for x in range(n):
        step = pixels[row.STEP * row.WIDTH + x]
        span = max(n_reads * step, _SHORTEST)
        low = integral_between(
            pixels[row.LOW * row.WIDTH + x],
            pixels[row.LOW_WHOLE * row.WIDTH + x],
            pixels[row.LOW_SUM * row.WIDTH + x],
            pixels[row.LOW_HERE * row.WIDTH + x],
            pixels[row.LOW_NEXT * row.WIDTH + x],
        )
        high = integral_between(
            pixels[row.HIGH * row.WIDTH + x],
            pixels[row.HIGH_WHOLE * row.WIDTH + x],
            pixels[row.HIGH_SUM * row.WIDTH + x],
            pixels[row.HIGH_HERE * row.WIDTH + x],
            pixels[row.HIGH_NEXT * row.WIDTH + x],
        )
        mean = pixels[row.MEAN * row.WIDTH + x] + (high - low) / span
        low = row.value(pixels, powers, x, mean - deviation * step)
        high = row.value(pixels, powers, x, mean + deviation * step)
        pixels[row.RESULT * row.WIDTH + x] = 0.5 * (low + high)


@kernel
def store(data: np.ndarray, pixels: np.ndarray, flagged: np.ndarray, linear: np.ndarray) -> None:
    """Store the results; saturated and unknown pixels keep their counts, lost ones are flagged."""
    for x in range(len(data)):
        value, shown = pixels[row.RESULT * row.WIDTH + x], np.float64(data[x])
        keep = (pixels[row.KNOWN * row.WIDTH + x] == 0) | ((flagged[x] & flags.SATURATED) != 0)
        value = shown if keep else value
        lost = value - value != 0
        cut = (not keep) & (abs(value) > LIMIT)
        inside = min(max(value, -LIMIT), LIMIT) if cut else value
        linear[x] = np.float32(shown if lost else inside)
        flagged[x] |= np.uint8(flags.DO_NOT_USE if lost | cut else 0)

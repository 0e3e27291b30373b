"""Averages of reads that are far apart, for `tessella.detector.linearity`: read by read.

Few pixels need it. They wait until there are many, which are then worked on together.
"""

import numpy as np

from tessella import flags
from tessella.compiled import kernel
from tessella.detector import pixel_rows as row
from tessella.detector.close_reads import LIMIT
from tessella.detector.integral_nonlinearity import correction_between, whole

#: Reads are solved for to this [DN], in at most so many steps.
_SOLVED = 1e-3
_MOST_STEPS = 20


@kernel
def list_far(flagged: np.ndarray, pixels: np.ndarray, far: np.ndarray) -> int:
    """List the pixels whose reads must be taken one by one; return their number."""
    n_far = 0
    for x in range(len(flagged)):
        far[n_far] = x
        is_far = (
            (pixels[row.CLOSE * row.WIDTH + x] == 0)
            & (pixels[row.KNOWN * row.WIDTH + x] != 0)
            & ((flagged[x] & flags.SATURATED) == 0)
        )
        n_far += 1 if is_far else 0
    return n_far


@kernel
def wait(
    pixels: np.ndarray,
    far: np.ndarray,
    n_far: int,
    n_waiting: int,
    powers: tuple[int, ...],
    waiting: np.ndarray,
) -> None:
    """Put aside what `average_reads` needs of the listed pixels."""
    for j in range(n_far):
        waiting[0, n_waiting + j] = pixels[row.MEAN * row.WIDTH + far[j]]
        waiting[1, n_waiting + j] = pixels[row.RATE * row.WIDTH + far[j]]
    for k in range(len(powers)):
        for j in range(n_far):
            waiting[2 + k, n_waiting + j] = pixels[row.term(k, far[j])]


@kernel
def average_reads(
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
    e in a read changes the average by at most ``e (F + 2 B S)``
    (`tessella.detector.close_reads.average`), since the mean of the reads is known, so that
    `_SOLVED` is far below what can be seen.
    """
    for x in range(n):
        few[row.MEAN * row.WIDTH + x] = waiting[0, x]
        few[row.RATE * row.WIDTH + x] = waiting[1, x]
    for k in range(len(powers)):
        for x in range(n):
            few[row.term(k, x)] = waiting[2 + k, x]
    top, reads = len(powers) - 1, len(powers)
    for k in range(top):
        for j in range(1, top + 1 - k):
            for x in range(n):
                few[row.term(j, x)] += few[row.MEAN * row.WIDTH + x] * few[row.term(j - 1, x)]
    linear = row.POLYNOMIAL + top - 1
    for x in range(n):
        slope = few[linear * row.WIDTH + x]
        a = few[(linear - 1) * row.WIDTH + x] / slope if top > 1 else 0.0
        b = few[(linear - 2) * row.WIDTH + x] / slope if top > 2 else 0.0
        c = few[(linear - 3) * row.WIDTH + x] / slope if top > 3 else 0.0
        few[row.SERIES_2 * row.WIDTH + x] = -a
        few[row.SERIES_3 * row.WIDTH + x] = 2 * a * a - b
        few[row.SERIES_4 * row.WIDTH + x] = 5 * a * (b - a * a) - c
        few[row.STEP * row.WIDTH + x] = few[row.RATE * row.WIDTH + x] / slope
        few[row.SHIFT * row.WIDTH + x] = 0.0
        few[row.RESULT * row.WIDTH + x] = 0.0
    for j in range(len(times)):
        for x in range(n):
            start = few[row.STEP * row.WIDTH + x] * times[j]
            place = few[row.SERIES_3 * row.WIDTH + x] + start * few[row.SERIES_4 * row.WIDTH + x]
            place = start * (1.0 + start * (few[row.SERIES_2 * row.WIDTH + x] + start * place))
            value = few[row.POLYNOMIAL * row.WIDTH + x]
            for k in range(1, top):
                value = value * place + few[row.term(k, x)]
            few[row.term(reads + j, x)] = place
            few[row.MISSING * row.WIDTH + x] = (
                few[row.RATE * row.WIDTH + x] * times[j] - value * place
            )
        for x in range(n):
            if not abs(few[row.MISSING * row.WIDTH + x]) <= _SOLVED:
                few[row.term(reads + j, x)] = _solve(
                    few,
                    powers,
                    x,
                    few[row.RATE * row.WIDTH + x] * times[j],
                    few[row.term(reads + j, x)],
                )
        for x in range(n):
            few[row.SHIFT * row.WIDTH + x] += few[row.term(reads + j, x)]
    for j in range(len(times)):
        for x in range(n):
            place = few[row.term(reads + j, x)] - few[row.SHIFT * row.WIDTH + x] / len(times)
            few[row.LOW * row.WIDTH + x] = place
            few[row.LOW_WHOLE * row.WIDTH + x] = whole(few[row.MEAN * row.WIDTH + x] + place)
        for x in range(n):
            i = np.uint64(few[row.LOW_WHOLE * row.WIDTH + x])
            few[row.LOW_HERE * row.WIDTH + x] = table[i]
            few[row.LOW_NEXT * row.WIDTH + x] = table[i + np.uint64(1)]
        for x in range(n):
            place = few[row.LOW * row.WIDTH + x]
            place += correction_between(
                few[row.MEAN * row.WIDTH + x] + place,
                few[row.LOW_WHOLE * row.WIDTH + x],
                few[row.LOW_HERE * row.WIDTH + x],
                few[row.LOW_NEXT * row.WIDTH + x],
            )
            few[row.RESULT * row.WIDTH + x] += row.value(few, powers, x, place)
    for x in range(n):
        rising = few[linear * row.WIDTH + x] > 0
        few[row.RESULT * row.WIDTH + x] = (
            few[row.RESULT * row.WIDTH + x] / len(times) if rising else np.nan
        )


@kernel
def _solve(few: np.ndarray, powers: tuple[int, ...], x: int, linear: float, place: float) -> float:
    """Return where P, its constant apart, is `linear`; NaN where it does not increase."""
    top = len(powers) - 1
    for _ in range(_MOST_STEPS):
        value, slope = few[row.POLYNOMIAL * row.WIDTH + x], 0.0
        for k in range(1, top):
            slope = slope * place + value
            value = value * place + few[row.term(k, x)]
        slope = slope * place + value
        missing = linear - value * place
        if not slope > 0.0:
            return np.nan
        if abs(missing) <= _SOLVED:
            return place
        place += missing / slope
    return np.nan


@kernel
def store_few(
    few: np.ndarray, places: np.ndarray, n: int, flagged: np.ndarray, linear: np.ndarray
) -> None:
    """Store what waited; where P does not increase, the counts stay and are not used."""
    for j in range(n):
        y, x, value = places[0, j], places[1, j], few[row.RESULT * row.WIDTH + j]
        if not abs(value) <= LIMIT:
            flagged[y, x] |= np.uint8(flags.DO_NOT_USE)
            value = (
                min(max(value, -LIMIT), LIMIT) if value == value else few[row.MEAN * row.WIDTH + j]
            )
        linear[y, x] = np.float32(value)

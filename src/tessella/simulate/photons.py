"""Poisson numbers of electrons for all pixels, the same in any order of rows.

Each row has a stream of its own (`tessella.streams`). Small means are drawn by searching the
distribution from 0 up, large ones by rejection [1]_.

References
----------
.. [1] Hoermann 1993, Insurance: Mathematics and Economics 12, 39, "PTRS",
   doi:10.1016/0167-6687(93)90997-4
"""

import math

import numpy as np

from tessella.compiled import kernel
from tessella.streams import advanced, start, uniform

#: Means from here on are drawn by rejection.
_LARGE = 10.0
#: No number drawn by searching is as large.
_SEARCHED = 200
_INVERSE = 1.0 / np.maximum(np.arange(_SEARCHED + 1), 1)


def chance_of_none(mean: np.ndarray) -> np.ndarray:
    """Return exp(-mean), float32: what `add_electrons` wants of means that do not change.

    Examples
    --------
    >>> [round(float(chance), 3) for chance in chance_of_none(np.array([0.0, 1.0]))]
    [1.0, 0.368]
    """
    return np.exp(-np.asarray(mean, np.float32))


@kernel
def add_electrons(
    charge: np.ndarray, mean: np.ndarray, none: np.ndarray, seeds: np.ndarray
) -> None:
    """Add Poisson numbers to a charge.

    Parameters
    ----------
    charge : ndarray of shape (ny, nx), float32
        [electrons]; changed in place.
    mean : ndarray of shape (ny, nx), float32
        At least 0 [electrons].
    none : ndarray of shape (ny, nx), float32
        `chance_of_none` of it.
    seeds : ndarray of shape (ny,), uint64
        One a row, drawn at random.

    Examples
    --------
    >>> charge, mean = np.zeros((2, 100_000), np.float32), np.full((2, 100_000), 3.0, np.float32)
    >>> add_electrons(charge, mean, chance_of_none(mean), np.array([1, 2], np.uint64))
    >>> bool(abs(charge.mean() - 3) < 0.03), bool(abs(charge.var() - 3) < 0.05)
    (True, True)
    """
    state = np.empty(4, np.uint64)
    for y in range(charge.shape[0]):
        start(seeds[y], state)
        # The state is held in registers, but for large means.
        s0, s1, s2, s3 = state
        for x in range(charge.shape[1]):
            m = np.float64(mean[y, x])
            if m >= _LARGE:
                state[0], state[1], state[2], state[3] = s0, s1, s2, s3
                charge[y, x] += np.float32(_by_rejection(m, state))
                s0, s1, s2, s3 = state
            elif m > 0:
                bits, s0, s1, s2, s3 = advanced(s0, s1, s2, s3)
                drawn = np.float64(bits >> np.uint64(11)) * 2.0**-53
                # The first chances without a branch, which processors would guess wrong.
                none_here = np.float64(none[y, x])
                one = none_here * m
                two = one * m * _INVERSE[2]
                chance = two * m * _INVERSE[3]
                up_to_1 = none_here + one
                up_to_2 = up_to_1 + two
                up_to = up_to_2 + chance
                k = (drawn > none_here) + (drawn > up_to_1) + (drawn > up_to_2)
                if drawn > up_to:
                    k = 3
                    while drawn > up_to and k < _SEARCHED:
                        k += 1
                        chance *= m * _INVERSE[k]
                        up_to += chance
                charge[y, x] += np.float32(k)


@kernel
def _by_rejection(mean: float, state: np.ndarray) -> int:
    root, log_mean = math.sqrt(mean), math.log(mean)
    b = 0.931 + 2.53 * root
    a = -0.059 + 0.02483 * b
    inverse_alpha = 1.1239 + 1.1328 / (b - 3.4)
    limit = 0.9277 - 3.6224 / (b - 2.0)
    while True:
        u, v = uniform(state) - 0.5, uniform(state)
        distance = 0.5 - abs(u)
        k = math.floor((2 * a / distance + b) * u + mean + 0.43)
        if distance >= 0.07 and v <= limit:
            return k
        if k < 0 or (distance < 0.013 and v > distance):
            continue
        if math.log(v) + math.log(inverse_alpha) - math.log(
            a / (distance * distance) + b
        ) <= k * log_mean - mean - math.lgamma(k + 1.0):
            return k

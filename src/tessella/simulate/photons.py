"""Poisson numbers of electrons for all pixels, the same in any order of rows.

Each row has a stream of its own: xoshiro256++ [1]_ started by SplitMix64 [2]_ from one number a
row. Small means are drawn by searching the distribution from 0 up, large ones by rejection [3]_.

References
----------
.. [1] Blackman & Vigna 2021, ACM Trans. Math. Softw. 47, 36, doi:10.1145/3460772
.. [2] Steele, Lea & Flood 2014, OOPSLA, doi:10.1145/2660193.2660195
.. [3] Hoermann 1993, Insurance: Mathematics and Economics 12, 39, "PTRS",
   doi:10.1016/0167-6687(93)90997-4
"""

import math

import numpy as np

from tessella.compiled import kernel

#: Means from here on are drawn by rejection.
_LARGE = 10.0
#: No number drawn by searching is as large.
_SEARCHED = 200


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
        _start(seeds[y], state)
        for x in range(charge.shape[1]):
            m = np.float64(mean[y, x])
            if m >= _LARGE:
                charge[y, x] += np.float32(_by_rejection(m, state))
            elif m > 0:
                charge[y, x] += np.float32(_by_search(m, np.float64(none[y, x]), state))


@kernel
def _start(seed: int, state: np.ndarray) -> None:
    """SplitMix64."""
    z = np.uint64(seed)
    for k in range(4):
        z += np.uint64(0x9E3779B97F4A7C15)
        mixed = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        state[k] = mixed ^ (mixed >> np.uint64(31))


@kernel
def _turned(value: np.uint64, bits: int) -> np.uint64:
    return (value << np.uint64(bits)) | (value >> np.uint64(64 - bits))


@kernel
def _uniform(state: np.ndarray) -> float:
    """xoshiro256++, its upper 53 bits: at least 0 and less than 1."""
    drawn = _turned(state[0] + state[3], 23) + state[0]
    t = state[1] << np.uint64(17)
    state[2] ^= state[0]
    state[3] ^= state[1]
    state[1] ^= state[2]
    state[0] ^= state[3]
    state[2] ^= t
    state[3] = _turned(state[3], 45)
    return np.float64(drawn >> np.uint64(11)) * (1.0 / 9007199254740992.0)


@kernel
def _by_search(mean: float, none: float, state: np.ndarray) -> int:
    drawn, chance, k = _uniform(state), none, 0
    up_to = chance
    while drawn > up_to and k < _SEARCHED:
        k += 1
        chance *= mean / k
        up_to += chance
    return k


@kernel
def _by_rejection(mean: float, state: np.ndarray) -> int:
    root, log_mean = math.sqrt(mean), math.log(mean)
    b = 0.931 + 2.53 * root
    a = -0.059 + 0.02483 * b
    inverse_alpha = 1.1239 + 1.1328 / (b - 3.4)
    limit = 0.9277 - 3.6224 / (b - 2.0)
    while True:
        u, v = _uniform(state) - 0.5, _uniform(state)
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

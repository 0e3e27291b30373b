"""Random numbers for compiled loops: a stream a row, so that rows may come in any order.

A stream is xoshiro256++ [1]_, started by SplitMix64 [2]_ from one number. Normal numbers are made
by the ziggurat of 256 layers [3]_, two from each number of 64 bits.

References
----------
.. [1] Blackman & Vigna 2021, ACM Trans. Math. Softw. 47, 36, doi:10.1145/3460772
.. [2] Steele, Lea & Flood 2014, OOPSLA, doi:10.1145/2660193.2660195
.. [3] Marsaglia & Tsang 2000, J. Stat. Softw. 5, 8, doi:10.18637/jss.v005.i08
"""

import math
from typing import Any

import numpy as np

from tessella.compiled import kernel

#: Where the ziggurat's tail begins, and the area of each of its layers (of exp(-x^2 / 2)).
_TAIL = 3.6541528853610088
_AREA = 0.00492867323399
_LAYERS, _LEVELS = 256, 2.0**23


def _layers() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return limits, widths and heights of the layers."""
    limits, widths, heights = np.zeros((3, _LAYERS))
    last = edge = _TAIL
    base = _AREA / np.exp(-0.5 * edge**2)
    limits[0], widths[0], heights[0] = edge / base * _LEVELS, base / _LEVELS, 1.0
    widths[-1], heights[-1] = edge / _LEVELS, np.exp(-0.5 * edge**2)
    for i in range(_LAYERS - 2, 0, -1):
        edge = np.sqrt(-2 * np.log(_AREA / last + np.exp(-0.5 * last**2)))
        limits[i + 1] = edge / last * _LEVELS
        widths[i], heights[i] = edge / _LEVELS, np.exp(-0.5 * edge**2)
        last = edge
    return limits.astype(np.int32), widths.astype(np.float32), heights


_LIMITS, _WIDTHS, _HEIGHTS = _layers()


def row_seeds(rng: np.random.Generator, n_rows: int) -> np.ndarray:
    """Draw the numbers that streams of rows are started from, (n_rows,) uint64."""
    return rng.integers(0, 2**64, n_rows, dtype=np.uint64)


@kernel
def start(seed: int, state: np.ndarray) -> None:
    """Start a stream: fill in its state, (4,) uint64."""
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
def advanced(
    s0: np.uint64, s1: np.uint64, s2: np.uint64, s3: np.uint64
) -> tuple[np.uint64, np.uint64, np.uint64, np.uint64, np.uint64]:
    """Return 64 bits and the state after them: for loops that hold the state in registers."""
    drawn = _turned(s0 + s3, 23) + s0
    t = s1 << np.uint64(17)
    s2 ^= s0
    s3 ^= s1
    s1 ^= s2
    s0 ^= s3
    return drawn, s0, s1, s2 ^ t, _turned(s3, 45)


@kernel
def draw(state: np.ndarray) -> np.uint64:
    """Draw 64 bits."""
    s0, s1, s2, s3 = state
    drawn, state[0], state[1], state[2], state[3] = advanced(s0, s1, s2, s3)
    return drawn


@kernel
def uniform(state: np.ndarray) -> float:
    """Draw a number of at least 0 and less than 1."""
    return np.float64(draw(state) >> np.uint64(11)) * (1.0 / 9007199254740992.0)


@kernel
def _normal(bits: Any, state: np.ndarray) -> np.float32:
    """Make a normal number of 32 bits: 24 for the level and its sign, 8 for the layer."""
    layer = bits & np.int32(255)
    level = bits >> np.int32(8)
    if abs(level) < _LIMITS[layer]:
        return np.float32(level) * _WIDTHS[layer]
    return _normal_at_edges(bits, state)


@kernel
def _normal_at_edges(bits: Any, state: np.ndarray) -> np.float32:
    while True:
        layer = bits & np.int32(255)
        level = bits >> np.int32(8)
        value = np.float32(level) * _WIDTHS[layer]
        if abs(level) < _LIMITS[layer] or _is_below(layer, value, state):
            return value
        if layer == 0:
            tail = np.float32(_tail(state))
            return -tail if level < 0 else tail
        bits = np.int32(draw(state) >> np.uint64(32))


@kernel
def _is_below(layer: int, value: float, state: np.ndarray) -> bool:
    """Tell whether a point at the edge of a layer, its height drawn, is below the curve."""
    if layer == 0:
        return False
    height = _HEIGHTS[layer] + uniform(state) * (_HEIGHTS[layer - 1] - _HEIGHTS[layer])
    return height < math.exp(-0.5 * np.float64(value) * value)


@kernel
def _tail(state: np.ndarray) -> float:
    while True:
        x = -math.log(1.0 - uniform(state)) / _TAIL
        y = -math.log(1.0 - uniform(state))
        if y + y > x * x:
            return _TAIL + x


@kernel
def fill_normal(out: np.ndarray, state: np.ndarray) -> None:
    """Fill an array of one axis with normal numbers.

    Parameters
    ----------
    out : ndarray of shape (n,), float32
        Changed in place.
    state : ndarray of shape (4,), uint64
        From `start`; it moves on.

    Examples
    --------
    >>> out, state = np.empty(100_001, np.float32), np.empty(4, np.uint64)
    >>> start(np.uint64(1), state)
    >>> fill_normal(out, state)
    >>> bool(abs(out.mean()) < 0.02), bool(abs(out.std() - 1) < 0.02)
    (True, True)
    """
    # The state is held in registers, but for the few numbers at the edges of layers.
    s0, s1, s2, s3 = state
    for i in range(0, out.size - 1, 2):
        bits, s0, s1, s2, s3 = advanced(s0, s1, s2, s3)
        first, second = np.int32(bits), np.int32(bits >> np.uint64(32))
        layer_1, layer_2 = first & np.int32(255), second & np.int32(255)
        level_1, level_2 = first >> np.int32(8), second >> np.int32(8)
        out[i] = np.float32(level_1) * _WIDTHS[layer_1]
        out[i + 1] = np.float32(level_2) * _WIDTHS[layer_2]
        if abs(level_1) >= _LIMITS[layer_1] or abs(level_2) >= _LIMITS[layer_2]:
            state[0], state[1], state[2], state[3] = s0, s1, s2, s3
            out[i], out[i + 1] = _normal(first, state), _normal(second, state)
            s0, s1, s2, s3 = state
    state[0], state[1], state[2], state[3] = s0, s1, s2, s3
    if out.size % 2:
        out[-1] = _normal(np.int32(draw(state) >> np.uint64(32)), state)


@kernel
def _fill_rows(out: np.ndarray, seeds: np.ndarray) -> None:
    state = np.empty(4, np.uint64)
    for y in range(out.shape[0]):
        start(seeds[y], state)
        fill_normal(out[y], state)


def normal_rows(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Draw normal numbers, a stream a row.

    Examples
    --------
    >>> normal_rows(np.random.default_rng(1), (3, 5)).shape
    (3, 5)
    """
    out = np.empty(shape, np.float32)
    _fill_rows(out, row_seeds(rng, shape[0]))
    return out

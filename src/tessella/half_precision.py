"""Half-precision numbers: converted side by side, and what can still be told from them."""

import numpy as np

from tessella.compiled import kernel

#: Bits of single-precision numbers: 2**-14, 2**16 and infinity.
_LEAST_NORMAL, _TOO_LARGE, _INFINITY = 0x38800000, 0x47800000, 0x7F800000
#: Takes the exponent's bias from 127 to 15, and rounds up what is over half of the last bit.
_REBIAS = 0xC8000FFF


@kernel
def _convert(values: np.ndarray, bits: np.ndarray, half: np.ndarray) -> None:
    for i in range(values.size):
        magnitude = bits[i] & np.uint32(0x7FFFFFFF)
        even = magnitude + np.uint32(_REBIAS) + ((magnitude >> np.uint32(13)) & np.uint32(1))
        normal = np.uint16(np.uint32(even) >> np.uint32(13))
        tiny = np.uint16(np.rint(min(abs(values[i]), np.float32(1.0)) * np.float32(16777216.0)) * 1)
        special = np.uint16(0x7E00 if magnitude > np.uint32(_INFINITY) else 0x7C00)
        kept = tiny if magnitude < np.uint32(_LEAST_NORMAL) else normal
        kept = special if magnitude >= np.uint32(_TOO_LARGE) else kept
        half[i] = kept | np.uint16((bits[i] >> np.uint32(16)) & np.uint32(0x8000))


def to_half(values: np.ndarray) -> np.ndarray:
    """Return single-precision numbers in half precision, as ``values.astype(np.float16)`` does.

    Rounded to the nearest, ties to even; what is too large becomes infinite, silently.

    Parameters
    ----------
    values : ndarray of float32
        Any shape; NaN stays NaN.

    Returns
    -------
    ndarray of float16

    Examples
    --------
    >>> to_half(np.array([1.0, 0.1, 1e6], np.float32)).tolist()
    [1.0, 0.0999755859375, inf]
    """
    plain = np.ascontiguousarray(values, np.float32).ravel()
    half = np.empty(plain.size, np.uint16)
    _convert(plain, plain.view(np.uint32), half)
    return half.view(np.float16).reshape(np.shape(values))


def read_variance(
    err: np.ndarray, var_poisson: np.ndarray, var_flat: np.ndarray | None = None
) -> np.ndarray:
    """Return the variance of the read noise of an image that holds its other parts alone.

    It is what the other parts leave of the total variance, and not below 0. Where a source is
    bright the difference of half-precision numbers is rounding alone, up to 2^-10 of the total
    variance: there it may be anything from 0 to that. The sum of the parts is the total variance
    to 2^-10 everywhere; the read noise of empty sky is known to 2^-10 of the total as well.

    Parameters
    ----------
    err : ndarray
        Total uncertainty; NaN where nothing was measured.
    var_poisson, var_flat : ndarray
        In its unit squared; without `var_flat` what the flat adds is part of the result.

    Returns
    -------
    ndarray
        In double precision, or single where all is half; NaN where any of them is.

    Examples
    --------
    >>> err, poisson = np.array([0.1, 10.0], np.float16), np.array([0.0025, 100.1], np.float16)
    >>> [round(float(value), 4) for value in read_variance(err, poisson)]
    [0.0075, 0.0]
    """
    kind = np.promote_types(np.promote_types(err.dtype, var_poisson.dtype), np.float32)
    left = np.square(err, dtype=kind) - var_poisson
    if var_flat is not None:
        left = left - var_flat
    return np.maximum(left, 0)

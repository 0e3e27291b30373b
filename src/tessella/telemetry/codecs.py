"""Codecs of pixels in packets, as a table: a new codec is a row."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np


class Codec(NamedTuple):
    """One way to write pixels."""

    name: str
    #: (n,) uint16 -> octets.
    encode: Callable[[np.ndarray], bytes]
    #: Octets and n -> (n,) uint16; ValueError where they do not hold n pixels.
    decode: Callable[[memoryview, int], np.ndarray]


def _encode_plain(pixels: np.ndarray) -> bytes:
    return pixels.astype(">u2").tobytes()


def _decode_plain(payload: memoryview, n_pixels: int) -> np.ndarray:
    if len(payload) != 2 * n_pixels:
        raise ValueError(f"{n_pixels} plain pixels have {2 * n_pixels} octets, not {len(payload)}")
    return np.frombuffer(payload, ">u2")


PLAIN = 0
#: By the number in the packet; 1 is kept for Rice coding (CCSDS 121.0-B), 2 for lz4.
CODECS = {PLAIN: Codec("none", _encode_plain, _decode_plain)}

"""Codecs of pixels in packets, as a table: a new codec is a row."""

from collections.abc import Callable
from typing import NamedTuple

import imagecodecs
import numpy as np

# Blocks of 64 samples, a reference sample every 64 blocks: one a packet, so that each packet
# can be decoded alone.
_BLOCK = 64
_RICE = {
    "bitspersample": 16,
    "blocksize": _BLOCK,
    "rsi": 64,
    "flags": int(imagecodecs.AEC.FLAG.DATA_PREPROCESS),
}


class Codec(NamedTuple):
    """One way to write pixels."""

    name: str
    #: (n,) uint16 -> octets.
    encode: Callable[[np.ndarray], bytes]
    #: Octets and n -> (n,) uint16; ValueError where they do not hold n pixels (Rice: hold fewer).
    decode: Callable[[memoryview | bytes, int], np.ndarray]


def _encode_plain(pixels: np.ndarray) -> bytes:
    return pixels.astype(">u2").tobytes()


def _decode_plain(payload: memoryview | bytes, n_pixels: int) -> np.ndarray:
    if len(payload) != 2 * n_pixels:
        raise ValueError(f"{n_pixels} plain pixels have {2 * n_pixels} octets, not {len(payload)}")
    return np.frombuffer(payload, ">u2")


def _encode_rice(pixels: np.ndarray) -> bytes:
    """Compress whole blocks by CCSDS 121.0-B; the last pixel is repeated to fill the last one."""
    pixels = np.ascontiguousarray(pixels, np.uint16)
    if len(pixels) % _BLOCK:
        pixels = np.pad(pixels, (0, -len(pixels) % _BLOCK), mode="edge")
    return bytes(imagecodecs.aec_encode(pixels, **_RICE))


def _decode_rice(payload: memoryview | bytes, n_pixels: int) -> np.ndarray:
    n_coded = n_pixels + -n_pixels % _BLOCK
    try:
        octets = imagecodecs.aec_decode(bytes(payload), out=2 * n_coded, **_RICE)
    except imagecodecs.AecError as error:
        raise ValueError(f"no {n_pixels} pixels by CCSDS 121.0-B: {error}") from error
    if len(octets) != 2 * n_coded:
        raise ValueError(f"{len(octets) // 2} pixels were compressed, not {n_coded}")
    return np.frombuffer(octets, np.uint16, n_pixels)


PLAIN, RICE = 0, 1
#: By the number in the packet; 2 is kept for lz4.
CODECS = {
    PLAIN: Codec("none", _encode_plain, _decode_plain),
    RICE: Codec("rice", _encode_rice, _decode_rice),
}
#: Numbers by name.
CODEC_NUMBERS = {codec.name: number for number, codec in CODECS.items()}

"""Reed-Solomon (255, 223) of CCSDS 131.0-B: correction of frames, by `reedsolo` where installed.

The standard writes symbols in a dual basis; the library in the usual one. Codewords of a frame are
interleaved symbol by symbol.
"""

import importlib.util
from typing import NamedTuple

import numpy as np

CHECK_SYMBOLS = 32
#: The most octets of a codeword, without its check symbols.
DATA_SYMBOLS = 223
# Field x^8 + x^7 + x^2 + x + 1, roots (alpha^11)^(112 + j); alpha^11 is 0xAD.
_FIELD = {"fcr": 112, "prim": 0x187, "generator": 0xAD, "c_exp": 8}
# What the bits of a symbol of the usual basis, the least first, are in the dual one (annex of the
# standard: the matrix that changes one into the other).
_DUAL_OF_BITS = (0x7B, 0xAF, 0x99, 0xFA, 0x86, 0xEC, 0xEF, 0x8D)


class Corrected(NamedTuple):
    """Frames after correction."""

    #: (n, n_octets) uint8, check symbols included.
    frames: np.ndarray
    #: (n,) number of symbols that were corrected; -1 where a codeword has too many errors.
    symbols: np.ndarray


def to_dual() -> np.ndarray:
    """Return the (256,) uint8 table that writes symbols of the usual basis in the dual one."""
    table = np.zeros(256, np.uint8)
    for bit, dual in enumerate(_DUAL_OF_BITS):
        table[np.arange(256) >> bit & 1 == 1] ^= np.uint8(dual)
    return table


def is_available() -> bool:
    """Tell whether the library that corrects is installed."""
    return importlib.util.find_spec("reedsolo") is not None


def correct(frames: np.ndarray, interleaving: int) -> Corrected:
    """Correct up to 16 wrong symbols in each codeword.

    Parameters
    ----------
    frames : (n, n_octets) uint8
        Frames with their check symbols, derandomised.
    interleaving : int
        Codewords a frame.

    Raises
    ------
    ValueError
        If `reedsolo` is not installed.
    """
    if not is_available():
        raise ValueError("Reed-Solomon correction needs the package reedsolo; install it")
    import reedsolo

    n_frames, n_octets = frames.shape
    coder = reedsolo.RSCodec(CHECK_SYMBOLS, n_octets // interleaving, **_FIELD)
    dual = to_dual()
    usual = np.argsort(dual).astype(np.uint8)
    words = usual[frames].reshape(n_frames, -1, interleaving)
    symbols = np.zeros(n_frames, int)
    for frame, word in np.ndindex(n_frames, interleaving):
        found = bytearray(words[frame, :, word].tobytes())
        try:
            _, whole, errata = coder.decode(found)
        except reedsolo.ReedSolomonError:
            symbols[frame] = -1
            continue
        words[frame, :, word] = np.frombuffer(bytes(whole), np.uint8)
        if symbols[frame] >= 0:
            symbols[frame] += len(errata)
    return Corrected(dual[words.reshape(n_frames, n_octets)], symbols)

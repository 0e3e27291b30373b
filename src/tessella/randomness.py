"""Random generators keyed by what they draw, so that results do not depend on workers or order."""

import zlib

import numpy as np


def generator(purpose: str, *key: int | str) -> np.random.Generator:
    """Return the generator of one purpose and one key.

    Parameters
    ----------
    purpose : str
        What is drawn, such as ``"read noise"``; each purpose has a stream of its own.
    *key : int or str
        Numbers or names of what it is drawn for: seed, program, visit, exposure, detector ...

    Examples
    --------
    >>> a, b = generator("sky", 1, "WFI01"), generator("sky", 1, "WFI01")
    >>> bool(a.random() == b.random())
    True
    """
    words = [
        zlib.crc32(part.encode()) if isinstance(part, str) else part for part in (purpose, *key)
    ]
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(words)))

"""The pixels of Level 2 images, read a few rows at a time.

Nothing here loads the libraries of the official formats: stages of many ranks start in half a
second.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from tessella import flags
from tessella.compiled import kernel
from tessella.half_precision import read_variance
from tessella.io.disk_arrays import DiskArray, disk_arrays
from tessella.io.seals import sha256


@dataclass(frozen=True)
class Rows:
    """Some rows of an image, (n, nx) each."""

    #: Surface brightness [MJy / sr]; 0 where a pixel is not good.
    data: np.ndarray
    #: uint32 flags.
    dq: np.ndarray
    #: Variances by photons and by reading [(MJy / sr)^2]; 0 where a pixel is not good.
    var_poisson: np.ndarray
    var_rnoise: np.ndarray
    #: False where a pixel is DO_NOT_USE, not finite or without a positive variance.
    good: np.ndarray

    @property
    def err(self) -> np.ndarray:
        """Uncertainty without that of the flat [MJy / sr]; 0 where a pixel is not good."""
        return np.sqrt(self.var_poisson + self.var_rnoise)


class Pixels:
    """The pixels of a Level 2 image, of which rows are read when they are asked for.

    Parameters
    ----------
    path : path
    conversion : float
        Surface brightness [MJy / sr] of 1 in the unit of its arrays.
    is_checked : bool
        Whether the file has been held against its seal, or its checksums, by a rank of this job.

    Raises
    ------
    DataError
        If the file is missing, or is not what its seal or its checksums say.
    """

    def __init__(self, path: str | Path, conversion: float, is_checked: bool = False) -> None:
        if not is_checked:
            # The whole file, arrays included, must be what its seal says.
            sha256(path)
        # Arrays of official files of 2023 carry units and stand one level deeper.
        found = disk_arrays(path, is_checked)
        self._arrays = {name.removesuffix("/value"): array for name, array in found.items()}
        self._scale = np.float32(conversion)

    def rows(self, first: int, stop: int) -> Rows:
        """Read rows `first` to `stop` - 1, and no others.

        Variances are in single precision where the file is ours; official files hold half
        precision, and what the other parts leave of the total variance where they lack that of
        reading (`tessella.half_precision.read_variance`).
        """
        data, dq = (self._array(name, first, stop) for name in ("data", "dq"))
        if "single_precision/var_poisson" in self._arrays:
            poisson = self._array("single_precision/var_poisson", first, stop)
            read = self._array("single_precision/var_rnoise", first, stop)
        else:
            poisson = self._array("var_poisson", first, stop)
            if "var_rnoise" in self._arrays:
                read = self._array("var_rnoise", first, stop)
            else:
                flat = "var_flat" in self._arrays
                read = read_variance(
                    self._array("err", first, stop),
                    poisson,
                    self._array("var_flat", first, stop) if flat else None,
                )
        return _scaled(data, dq, poisson, read, self._scale)

    def forget(self) -> None:
        """Let go of what was unpacked, until rows are asked for again."""
        for array in self._arrays.values():
            if isinstance(array, DiskArray):
                array.forget()

    def _array(self, name: str, first: int, stop: int) -> np.ndarray:
        array = self._arrays[name]
        return np.asarray(array.rows(first, stop) if hasattr(array, "rows") else array[first:stop])


def kept_open(n: int = 16) -> Callable[[Path, float], Pixels]:
    """Return what opens images that were checked before, and keeps the last `n` of them open.

    Whoever goes through any number of images holds the descriptions of a few.
    """
    return lru_cache(n)(partial(Pixels, is_checked=True))


@kernel
def _scale(
    dq: np.ndarray, scale: float, data: np.ndarray, poisson: np.ndarray, read: np.ndarray,
    good: np.ndarray,
) -> None:  # fmt: skip
    """Scale arrays in place and tell which pixels are good; the others become 0."""
    one = np.float32(scale)
    for i in range(data.size):
        value, p, r = data[i] * one, poisson[i] * one * one, read[i] * one * one
        is_good = (
            (dq[i] & np.uint32(flags.DO_NOT_USE)) == 0
            and abs(value) < np.inf
            and p >= 0
            and r >= 0
            and 0 < p + r < np.inf
        )
        good[i] = is_good
        zero = np.float32(0)
        data[i] = value if is_good else zero
        poisson[i] = p if is_good else zero
        read[i] = r if is_good else zero


def _scaled(
    data: np.ndarray, dq: np.ndarray, poisson: np.ndarray, read: np.ndarray, scale: np.float32
) -> Rows:
    # What was read belongs to nobody else: it is changed in place.
    flat, p, r = (np.ascontiguousarray(v, np.float32).reshape(-1) for v in (data, poisson, read))
    good = np.empty(data.size, np.bool_)
    _scale(np.ascontiguousarray(dq).reshape(-1), float(scale), flat, p, r, good)
    shape = data.shape
    return Rows(flat.reshape(shape), dq, p.reshape(shape), r.reshape(shape), good.reshape(shape))

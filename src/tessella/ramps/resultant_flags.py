"""What the flags of a ramp's resultants say of the pixel."""

from dataclasses import dataclass

import numpy as np

from tessella import flags
from tessella.compiled import kernel

#: Resultants with any of these bits take no part in a fit.
UNUSABLE = flags.DO_NOT_USE | flags.SATURATED | flags.DROPOUT


@dataclass(frozen=True)
class GatheredFlags:
    """Flags over all resultants, each (ny, nx)."""

    #: uint8: bits that are set in any resultant, and in all of them.
    in_any: np.ndarray
    in_all: np.ndarray
    #: uint16: number of resultants that take part in a fit, and the first saturated one, the
    #: number of resultants where there is none.
    n_used: np.ndarray
    saturated_from: np.ndarray


@kernel
def _gather(
    resultant_dq: np.ndarray,
    in_any: np.ndarray,
    in_all: np.ndarray,
    n_used: np.ndarray,
    saturated_from: np.ndarray,
) -> None:
    n, ny, nx = resultant_dq.shape
    for y in range(ny):
        for i in range(n - 1, -1, -1):
            for x in range(nx):
                bits = resultant_dq[i, y, x]
                in_any[y, x] |= bits
                in_all[y, x] &= bits
                n_used[y, x] += (bits & UNUSABLE) == 0
                if bits & flags.SATURATED:
                    saturated_from[y, x] = i


def gather_flags(resultant_dq: np.ndarray) -> GatheredFlags:
    """Gather the flags of resultants.

    Parameters
    ----------
    resultant_dq : ndarray of shape (n_resultants, ny, nx), uint8

    Examples
    --------
    >>> seen = gather_flags(np.array([0, 2, 2], np.uint8).reshape(3, 1, 1))
    >>> int(seen.n_used[0, 0]), int(seen.saturated_from[0, 0]), int(seen.in_all[0, 0])
    (1, 1, 0)
    """
    n, ny, nx = resultant_dq.shape
    seen = GatheredFlags(
        in_any=np.zeros((ny, nx), np.uint8),
        in_all=np.full((ny, nx), 255, np.uint8),
        n_used=np.zeros((ny, nx), np.uint16),
        saturated_from=np.full((ny, nx), n, np.uint16),
    )
    _gather(
        np.ascontiguousarray(resultant_dq),
        seen.in_any,
        seen.in_all,
        seen.n_used,
        seen.saturated_from,
    )
    return seen

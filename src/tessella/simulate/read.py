"""One read of a detector: from the charge in its pixels to whole numbers.

What is done to a count is what the modules of `tessella.detector` define: `ipc`, `linearity`,
`saturation`, `integral_nonlinearity` and `readout`. All of it is done here in one pass, a row at a
time; a test holds it against theirs one after the other.
"""

import numpy as np

from tessella.compiled import kernel
from tessella.detector.integral_nonlinearity import N_COUNTS, whole
from tessella.detector.saturation import CONVERTER_CEILING
from tessella.detector.state import DetectorMaps
from tessella.models import BORDER, CHANNEL_WIDTH


def read_pixels(
    charge: np.ndarray,
    maps: DetectorMaps,
    ipc_kernel: np.ndarray,
    offsets: np.ndarray,
    added: np.ndarray,
    noise: np.ndarray,
    correction: np.ndarray | None,
    with_border: bool,
) -> np.ndarray:
    """Read all pixels of a window.

    Parameters
    ----------
    charge : ndarray of shape (ny, nx), float32
        [electrons]
    maps : DetectorMaps
    ipc_kernel : ndarray of shape (3, 3)
        As in `tessella.detector.ipc.couple_pixels`.
    offsets : ndarray of shape (nx,)
        Of each column in this read [DN].
    added : ndarray of shape (ny, nx), float32
        What the electronics add [DN].
    noise : ndarray of shape (ny, nx), float32
        Of each pixel, in units of its read noise.
    correction : ndarray of shape (32, 65536), float32, optional
        What the converter's counts need (`ConverterTables`); None for a straight one.
    with_border : bool
        False for reference pixels that read 0.

    Returns
    -------
    ndarray of shape (ny, nx), int32
        [DN]
    """
    out = np.empty(charge.shape, np.int32)
    # A straight converter has a table of no counts.
    table = np.zeros((1, 0), np.float32) if correction is None else correction
    _read(
        charge, maps.full_well, np.asarray(ipc_kernel, np.float32), maps.gain, maps.pedestal,
        maps.nonlinearity, maps.saturation, np.asarray(offsets, np.float32), added,
        maps.read_noise, noise, table, maps.window.x, with_border, out,
    )  # fmt: skip
    return out


@kernel
def _read(
    charge: np.ndarray,
    full_well: np.ndarray,
    ipc: np.ndarray,
    gain: np.ndarray,
    pedestal: np.ndarray,
    nonlinearity: np.ndarray,
    saturation: np.ndarray,
    offsets: np.ndarray,
    added: np.ndarray,
    read_noise: np.ndarray,
    noise: np.ndarray,
    table: np.ndarray,
    first_column: int,
    with_border: bool,
    out: np.ndarray,
) -> None:
    ny, nx = charge.shape
    n = nx - 2 * BORDER
    # Rows before, at and after the current one, with a mirrored pixel at both ends.
    held = np.empty((3, n + 2), np.float32)
    above, here, below = held[2], held[1], held[0]
    shown, counts = np.zeros(nx, np.float32), np.empty(nx, np.float32)
    for y in range(ny):
        is_active = BORDER <= y < ny - BORDER
        if is_active:
            for k in range(3):
                row = min(max(y + k - 1, BORDER), ny - BORDER - 1)
                # Rows that were there for the last one have moved by one.
                if k < 2 and y > BORDER:
                    held[k] = held[k + 1]
                    continue
                for x in range(n):
                    held[k, x + 1] = min(charge[row, x + BORDER], full_well[row, x + BORDER])
                held[k, 0], held[k, n + 1] = held[k, 1], held[k, n]
            for x in range(n):
                # A pixel gives to the one above what that one takes from below.
                total = ipc[2, 2] * below[x] + ipc[2, 1] * below[x + 1] + ipc[2, 0] * below[x + 2]
                total += ipc[1, 2] * here[x] + ipc[1, 1] * here[x + 1] + ipc[1, 0] * here[x + 2]
                total += ipc[0, 2] * above[x] + ipc[0, 1] * above[x + 1] + ipc[0, 0] * above[x + 2]
                shown[x + BORDER] = total
        else:
            shown[:] = 0.0
        for x in range(nx):
            count = pedestal[y, x] + shown[x] / gain[y, x]
            count -= nonlinearity[y, x] * count * count
            count = min(
                min(count, np.float32(1.02) * saturation[y, x]), np.float32(CONVERTER_CEILING)
            )
            counts[x] = count + offsets[x] + read_noise[y, x] * noise[y, x] + added[y, x]
        _convert_row(counts, table, first_column, out[y])
        if not with_border:
            first, stop = (BORDER, nx - BORDER) if is_active else (nx, nx)
            out[y, :first] = 0
            out[y, stop:] = 0


@kernel
def _convert_row(counts: np.ndarray, table: np.ndarray, first_column: int, out: np.ndarray) -> None:
    if table.shape[1] == 0:
        for x in range(counts.size):
            out[x] = min(max(int(np.floor(counts[x])), 0), CONVERTER_CEILING)
        return
    for start in range(0, counts.size, CHANNEL_WIDTH):
        own = table[(first_column + start) // CHANNEL_WIDTH]
        for x in range(start, min(start + CHANNEL_WIDTH, counts.size)):
            out[x] = _converted(own, counts[x])


@kernel
def _converted(table: np.ndarray, count: float) -> int:
    """Return the whole number that a converter makes of a count, which needs corrections."""
    last = N_COUNTS - 1
    value = np.float64(count)
    if value >= last + np.float64(table[last]):
        return CONVERTER_CEILING
    i = int(whole(value - table[int(whole(value))]))
    while i > 0 and i + np.float64(table[i]) > value:
        i -= 1
    while i < last and i + 1 + np.float64(table[i + 1]) <= value:
        i += 1
    return i

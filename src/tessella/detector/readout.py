"""From counts to the numbers that are sent: conversion, averaging and encoding on board.

`tessella.detector.encoding` undoes the last step.
"""

from dataclasses import dataclass, field

import numpy as np

from tessella.detector.saturation import CONVERTER_CEILING
from tessella.models import CHANNEL_WIDTH, DETECTOR_SIZE, Window

#: Channels of a detector, and the output that is read with them.
N_CHANNELS = DETECTOR_SIZE // CHANNEL_WIDTH
AMP33_CHANNEL = N_CHANNELS


def convert(counts: np.ndarray) -> np.ndarray:
    """Return what the analogue-to-digital converter makes of counts.

    Parameters
    ----------
    counts : ndarray
        [DN]

    Returns
    -------
    ndarray of int32
        Counts rounded down, within 0 and 65535 [DN].

    Examples
    --------
    >>> convert(np.array([-3.0, 7.9, 1e6])).tolist()
    [0, 7, 65535]
    """
    return np.clip(np.floor(counts), 0, CONVERTER_CEILING).astype(np.int32)


def drift_of_channels(n_reads: int, step_dn: float, rng: np.random.Generator) -> np.ndarray:
    """Let the offset of each readout channel wander, as a random walk from read to read.

    Parameters
    ----------
    n_reads : int
        Reads, the reference read included.
    step_dn : float
        Standard deviation of one step [DN].

    Returns
    -------
    ndarray of shape (n_reads, 33), float32
        Offsets [DN] of the 32 channels and the reference output; 0 in the first read.

    Examples
    --------
    >>> drift_of_channels(3, 1.0, np.random.default_rng(1))[0].any()
    np.False_
    """
    steps = step_dn * rng.standard_normal((n_reads, N_CHANNELS + 1))
    steps[0] = 0
    return np.cumsum(steps, axis=0).astype(np.float32)


def offsets_of_columns(drift: np.ndarray, window: Window) -> np.ndarray:
    """Return the drift of each column of a window in one read.

    Parameters
    ----------
    drift : ndarray of shape (33,)
        One read of `drift_of_channels` [DN].

    Returns
    -------
    ndarray of shape (nx,)
        [DN]

    Examples
    --------
    >>> offsets_of_columns(np.arange(33.0), Window(128, 0, 256, 128))[[0, 127, 128]].tolist()
    [1.0, 1.0, 2.0]
    """
    first = window.x // CHANNEL_WIDTH
    return np.repeat(drift[first : first + window.nx // CHANNEL_WIDTH], CHANNEL_WIDTH)


@dataclass
class Accumulator:
    """The memory on board: sums the reads of a resultant, and keeps no read.

    Examples
    --------
    >>> memory = Accumulator((1, 1))
    >>> memory.add(np.array([[5]], np.int32))
    >>> memory.add(np.array([[8]], np.int32))
    >>> memory.average().tolist(), memory.n_reads
    ([[6]], 0)
    """

    shape: tuple[int, int]
    n_reads: int = 0
    _sum: np.ndarray = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._sum = np.zeros(self.shape, np.int32)

    def add(self, read: np.ndarray) -> None:
        """Add a read of whole numbers [DN]."""
        self._sum += read
        self.n_reads += 1

    def average(self) -> np.ndarray:
        """Return the mean of the reads, rounded down [DN], and start again."""
        if self.n_reads == 0:
            raise ValueError("accumulator: a resultant needs at least one read, none was added")
        mean = self._sum // self.n_reads
        self._sum[...] = 0
        self.n_reads = 0
        return mean


def encode(resultant: np.ndarray, reference_read: np.ndarray, encoding_offset: int) -> np.ndarray:
    """Return a resultant as it is sent: its difference from the reference read, kept positive.

    Parameters
    ----------
    resultant : ndarray of shape (ny, nx), int32
        Mean of reads [DN].
    reference_read : ndarray of shape (ny, nx), int32
        [DN]
    encoding_offset : int
        Added to the difference [DN].

    Returns
    -------
    ndarray of shape (ny, nx), uint16
        Clipped to 0 and 65535.

    Examples
    --------
    >>> encode(np.array([5010, 0]), np.array([5000, 9000]), 4000).tolist()
    [4010, 0]
    """
    return np.clip(resultant - reference_read + encoding_offset, 0, CONVERTER_CEILING).astype(
        np.uint16
    )

"""How images move on a detector from read to read, as the telescope's pointing does.

The blur of an exposure's mean image holds all of the jitter. What differs from read to read is
drawn to first order: the light of a read is that of the exposure and its change with the place of
images, times how far they have moved.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tessella.models import ExposureKey
from tessella.randomness import generator

#: Images are drawn so far to both sides to know how light changes with their place [pixels].
_STEP = 0.1


@dataclass(frozen=True)
class ReadJitter:
    """Movement of images during an exposure, and what it changes."""

    #: (n_reads, 2): where images stand while the charge of a read gathers, from their mean place
    #: along x and y [pixels].
    shifts: np.ndarray
    #: (ny - 8, nx - 8): change of the light with that [electrons / s / pixel].
    along_x: np.ndarray
    along_y: np.ndarray

    def change(self, read: int) -> np.ndarray:
        """Return the light of read `read`, from 1, less that of the exposure [electrons / s].

        Examples
        --------
        >>> jitter = ReadJitter(np.array([[0.5, 0.0]]), np.ones((1, 1)), np.zeros((1, 1)))
        >>> float(jitter.change(1)[0, 0])
        0.5
        """
        dx, dy = self.shifts[read - 1]
        return dx * self.along_x + dy * self.along_y


def draw_read_jitter(
    draw: Callable[[float, float], np.ndarray],
    n_reads: int,
    rms_arcsec: float,
    jacobian: np.ndarray,
    seed: int,
    key: ExposureKey,
) -> ReadJitter:
    """Draw how the images of an exposure move on one detector.

    All detectors move alike: one draw on the sky for the exposure. The mean over its reads is 0.

    Parameters
    ----------
    draw : callable
        Gives the light with all sources moved along x and y [pixels].
    n_reads : int
    rms_arcsec : float
        Per axis [arcsec].
    jacobian : ndarray of shape (2, 2)
        ``d(x, y) / d(east, north)`` [pixels / arcsec].
    seed : int
        Of the whole simulation.
    key : ExposureKey

    Returns
    -------
    ReadJitter

    Examples
    --------
    >>> key = ExposureKey(1, 1, 1, 1, 1, 1, 1)
    >>> jitter = draw_read_jitter(lambda x, y: np.full((2, 2), x), 5, 0.01, 9 * np.eye(2), 1, key)
    >>> jitter.shifts.shape, float(jitter.along_x[0, 0]), float(jitter.along_y[0, 0])
    ((5, 2), 1.0, 0.0)
    """
    # ASSUME: reads are independent of each other; no spectrum of the jitter is published.
    offsets = rms_arcsec * generator("read jitter", seed, *key.seed).standard_normal((n_reads, 2))
    offsets -= offsets.mean(axis=0)
    return ReadJitter(
        offsets @ np.asarray(jacobian, float).T,
        (draw(_STEP, 0.0) - draw(-_STEP, 0.0)) / (2 * _STEP),
        (draw(0.0, _STEP) - draw(0.0, -_STEP)) / (2 * _STEP),
    )

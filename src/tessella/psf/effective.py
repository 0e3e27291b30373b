"""An effective point-spread function between its samples.

Optics, pixel and inter-pixel capacitance together, sampled finer than the pixels (Anderson &
King 2000, PASP 112, 1360. doi:10.1086/316632).
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.interpolate import RectBivariateSpline
from scipy.ndimage import convolve1d


@dataclass(frozen=True, eq=False)
class EffectivePsf:
    """An effective PSF between its samples, by a cubic spline; zero outside the stamp.

    Examples
    --------
    >>> axis = np.arange(-20, 21) / 4
    >>> psf = EffectivePsf(np.exp(-(axis[:, None] ** 2 + axis**2) / 2) / (2 * np.pi), 4)
    >>> round(float(psf.evaluate(0.0, 0.0)), 4)
    0.1592
    """

    #: (n, n) samples, n odd, the point source in the middle.
    stamp: np.ndarray
    #: Samples in a pixel, per axis.
    oversample: int

    def __post_init__(self) -> None:
        if self.stamp.ndim != 2 or len(set(self.stamp.shape)) != 1 or self.stamp.shape[0] % 2 == 0:
            raise ValueError(
                f"effective PSF: the stamp must be square with an odd side, not {self.stamp.shape}"
            )

    @property
    def half_size(self) -> float:
        """Largest offset that the stamp covers [pixels]."""
        return (self.stamp.shape[0] // 2) / self.oversample

    @cached_property
    def _spline(self) -> RectBivariateSpline:
        axis = (np.arange(self.stamp.shape[0]) - self.stamp.shape[0] // 2) / self.oversample
        return RectBivariateSpline(axis, axis, self.stamp)

    def _inside(self, dx: np.ndarray, dy: np.ndarray) -> np.ndarray:
        return (np.abs(dx) <= self.half_size) & (np.abs(dy) <= self.half_size)

    def evaluate(self, dx: np.ndarray, dy: np.ndarray) -> np.ndarray:
        """Return the share of a star's signal in pixels at offsets (dx, dy) from the star.

        Parameters
        ----------
        dx, dy : ndarray
            Pixel centre minus star [pixels], of shapes that broadcast.

        Returns
        -------
        ndarray
            0 outside the stamp.
        """
        dx, dy = np.broadcast_arrays(dx, dy)
        return np.where(self._inside(dx, dy), self._spline.ev(dy, dx), 0.0)

    def evaluate_grid(self, dx: np.ndarray, dy: np.ndarray) -> np.ndarray:
        """Return the same for all pixels of a rectangle, much faster.

        Parameters
        ----------
        dx : ndarray of shape (nx,)
            Offsets of the columns, ascending [pixels].
        dy : ndarray of shape (ny,)
            Offsets of the rows, ascending [pixels].

        Returns
        -------
        ndarray of shape (ny, nx)
            0 outside the stamp.
        """
        values = self._spline(dy, dx)
        values[:, np.abs(dx) > self.half_size] = 0
        values[np.abs(dy) > self.half_size] = 0
        return values

    def gradient(self, dx: np.ndarray, dy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the derivatives of `evaluate` along dx and along dy [1 / pixel]."""
        dx, dy = np.broadcast_arrays(dx, dy)
        inside = self._inside(dx, dy)
        along_x = np.where(inside, self._spline.ev(dy, dx, dy=1), 0.0)
        along_y = np.where(inside, self._spline.ev(dy, dx, dx=1), 0.0)
        return along_x, along_y

    def gradient_grid(self, dx: np.ndarray, dy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the derivatives of `evaluate_grid` along dx and along dy, (ny, nx) [1 / pixel]."""
        outside = (np.abs(dy) > self.half_size)[:, None] | (np.abs(dx) > self.half_size)
        along_x, along_y = self._spline(dy, dx, dy=1), self._spline(dy, dx, dx=1)
        return np.where(outside, 0.0, along_x), np.where(outside, 0.0, along_y)


def share_of_pixels(stamp: np.ndarray, oversample: int) -> np.ndarray:
    """Return what a pixel shows, of a stamp that may say how light falls on points.

    Stamps whose samples are points sum to 1, those that hold the pixel to ``oversample**2``; the
    sum tells which it is. A pixel is as wide as `oversample` samples; where they are even in
    number, it ends in the middle of the outer two.

    Parameters
    ----------
    stamp : ndarray of shape (n, n)
    oversample : int

    Returns
    -------
    ndarray of shape (n, n)

    Raises
    ------
    ValueError
        If the sum is not a positive number.

    Examples
    --------
    >>> point = np.zeros((9, 9))
    >>> point[4, 4] = 1
    >>> share_of_pixels(point, 4)[4].tolist()
    [0.0, 0.0, 0.5, 1.0, 1.0, 1.0, 0.5, 0.0, 0.0]
    """
    total = float(np.sum(stamp))
    if not 0 < total < np.inf:
        raise ValueError(f"effective PSF: the stamp sums to {total}, not to a positive number")
    if total >= oversample**2 / 2:
        return stamp
    pixel = np.ones(oversample + 1 - oversample % 2)
    if oversample % 2 == 0:
        pixel[[0, -1]] = 0.5
    along = convolve1d(stamp, pixel, axis=0, mode="constant")
    return np.asarray(convolve1d(along, pixel, axis=1, mode="constant"))

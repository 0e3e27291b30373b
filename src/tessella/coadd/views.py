"""How an image of a coadd sees the sky: what its point-spread function becomes on the lattice."""

from dataclasses import dataclass

import numpy as np

from tessella.astrometry.tangent import pixel_to_sky, sky_to_pixel
from tessella.astrometry.wcs import detector_to_sky, sky_to_detector
from tessella.models import Attitude, Lattice, Window


@dataclass(frozen=True)
class View:
    """How one image sees the sky, and what it counts in a coadd."""

    detector: str
    window: Window
    attitude: Attitude
    weight: float = 1.0

    def sees(self, ra: np.ndarray, dec: np.ndarray) -> np.ndarray:
        """Tell which directions [deg] fall on its pixels."""
        ny, nx = self.window.active_shape
        x, y = sky_to_detector(self.attitude, self.detector, ra, dec)
        x, y = x - self.window.x, y - self.window.y
        return (x > -0.5) & (x < nx - 0.5) & (y > -0.5) & (y < ny - 0.5)

    def place_of(self, lattice: Lattice, x: float, y: float) -> tuple[float, float]:
        """Return where in its window a place of a lattice is seen, or the nearest pixel to it.

        Returns
        -------
        tuple of float
            Column and row in the 4088 x 4088 frame; the first pixel where a place is not seen.
        """
        seen = sky_to_detector(self.attitude, self.detector, *pixel_to_sky(lattice, x, y))
        corner = self.window.x, self.window.y
        column, row = (
            float(np.clip(np.nan_to_num(value), first, first + n - 1))
            for value, first, n in zip(
                seen, corner, reversed(self.window.active_shape), strict=True
            )
        )
        return column, row

    def lattice_per_pixel(self, lattice: Lattice, column: float, row: float) -> np.ndarray:
        """Return ``d(lattice) / d(pixel)`` at a pixel of the 4088 x 4088 frame, (2, 2)."""
        columns = np.array([column + 0.5, column - 0.5, column, column])
        rows = np.array([row, row, row + 0.5, row - 0.5])
        u, v = sky_to_pixel(lattice, *detector_to_sky(self.attitude, self.detector, columns, rows))
        return np.array([[u[0] - u[1], u[2] - u[3]], [v[0] - v[1], v[2] - v[3]]])

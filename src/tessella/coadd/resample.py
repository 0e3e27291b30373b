"""Drizzling: each detector pixel is laid as a square on the lattice and shared out by overlap.

Fruchter & Hook 2002, PASP 114, 144. doi:10.1086/338393, through the `drizzle` library.
"""

from dataclasses import dataclass

import numpy as np
from drizzle.resample import Drizzle


@dataclass(frozen=True)
class Input:
    """One detector image on its way into a coadd; arrays are (ny, nx)."""

    #: Stem of the file it comes from.
    name: str
    #: Surface brightness [MJy / sr], its sky level taken off; 0 where it does not count.
    data: np.ndarray
    #: Variances by photons and by reading [(MJy / sr)^2].
    var_poisson: np.ndarray
    var_rnoise: np.ndarray
    #: Inverse of the variance of the empty sky; 0 where the pixel does not count.
    weight: np.ndarray
    #: (ny, nx, 2): lattice position of each pixel.
    places: np.ndarray
    #: [s]
    exposure_time: float
    #: Solid angle of the image's pixels over that of the lattice's.
    area_ratio: float


@dataclass(frozen=True)
class Rows:
    """A band of rows of a lattice: first row, number of rows, width [pixels]."""

    first: int
    count: int
    width: int
    #: First column of the lattice that the band holds; negative where it begins beside it.
    left: int = 0

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.count, self.width


def _window(places: np.ndarray, rows: Rows) -> tuple[np.ndarray, tuple[int, int]]:
    """Positions relative to the band, and the range of image rows that can reach it."""
    moved = places - np.array([rows.left, rows.first], float)
    near = ((moved[..., 1] > -4) & (moved[..., 1] < rows.count + 4)).any(axis=1)
    reached = np.flatnonzero(near)
    # An image that does not reach the band is added too, by one row of it that falls beside
    # the band: the drizzle library numbers the inputs of the context by counting calls.
    return moved, (int(reached[0]), int(reached[-1])) if reached.size else (0, 0)


def add(
    driz: Drizzle,
    image: Input,
    rows: Rows,
    pixfrac: float,
    data: np.ndarray,
    weight: np.ndarray,
    variances: list[np.ndarray] | None = None,
) -> None:
    """Add one array of an input to a drizzle.

    Parameters
    ----------
    driz : Drizzle
        Of the shape of `rows`; changed in place.
    image : Input
        Gives the positions.
    rows : Rows
        The part of the lattice that is made.
    pixfrac : float
        Side of the drop over the side of the pixel.
    data, weight : ndarray of shape (ny, nx)
    variances : list of ndarray, optional
        To be added with squared weights; None adds none.
    """
    places, reached = _window(image.places, rows)
    driz.add_image(
        data.astype(np.float32),
        exptime=image.exposure_time,
        pixmap=places,
        data2=None if variances is None else [v.astype(np.float32) for v in variances],
        weight_map=weight.astype(np.float32),
        pixfrac=pixfrac,
        pixel_scale_ratio=float(np.sqrt(1 / image.area_ratio)),
        in_units="cps",
        ymin=max(reached[0] - 1, 0),
        ymax=min(reached[1] + 1, data.shape[0] - 1),
    )


def drizzle_one(image: Input, rows: Rows, pixfrac: float) -> np.ndarray:
    """Return one input alone on the lattice; NaN where it does not reach.

    Returns
    -------
    ndarray of shape (rows.count, rows.width)
        Surface brightness [MJy / sr].
    """
    driz = Drizzle(kernel="square", fillval="NaN", out_shape=rows.shape, disable_ctx=True)
    add(driz, image, rows, pixfrac, image.data, image.weight)
    return np.where(driz.out_wht > 0, driz.out_img, np.nan)

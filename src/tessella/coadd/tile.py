"""The coadd of one tile and filter, a band of rows at a time.

Every band is made from all the inputs in their order, so a tile has the same bits whatever
the number of bands, and no sum crosses a rank.
"""

from dataclasses import dataclass

import numpy as np
from drizzle.resample import Drizzle

from tessella import flags
from tessella.coadd.outliers import HALO, flag_outliers, without
from tessella.coadd.pixel_map import SkyFunction, pixel_map
from tessella.coadd.resample import Input, Rows, add
from tessella.coadd.sky_match import block_medians, match_skies
from tessella.models import Image, Lattice, Mosaic
from tessella.randomness import generator

#: Largest offset at which the correlation of noise is recorded [lattice pixels].
CORRELATION_REACH = 6
#: Lattice pixels around a band that are made and thrown away: the drizzle library leaves out
#: pixels whose centre falls beside its output, though part of them lies on it.
_EDGE = 4


@dataclass(frozen=True)
class Band:
    """A band of rows of a coadd: arrays (count, width); `context` is (n_planes, count, width)."""

    rows: Rows
    #: NaN where no input contributes.
    data: np.ndarray
    var_poisson: np.ndarray
    var_rnoise: np.ndarray
    weight: np.ndarray
    context: np.ndarray
    #: [s]
    exposure_time: np.ndarray
    #: White noise of the inputs, carried through the same weights, over its standard deviation.
    noise: np.ndarray


def prepare(
    name: str, image: Image, to_sky: SkyFunction, exposure_time: float, lattice: Lattice
) -> Input:
    """Scale an image to surface brightness and weigh it.

    One weight for all good pixels of an image: the inverse of the variance of its empty sky.
    A weight that follows the light of a pixel, if only through the read-noise part of an
    optimally weighted slope, is lower in the cores of stars and makes their fluxes too low
    (measured: 3 % at 100 electrons / s).
    """
    scale = image.conversion_megajanskys
    good = ((image.dq & flags.DO_NOT_USE) == 0) & np.isfinite(image.data) & (image.err > 0)
    poisson, read = image.var_poisson * scale**2, image.var_rnoise * scale**2
    sky_variance = float(np.median((poisson + read)[good])) if good.any() else np.inf
    weight = good / sky_variance
    return Input(
        name=name,
        data=np.where(good, image.data * scale, 0.0),
        var_poisson=np.where(good, poisson, 0.0),
        var_rnoise=np.where(good, read, 0.0),
        weight=weight,
        places=pixel_map(to_sky, image.data.shape, lattice),
        exposure_time=exposure_time,
        area_ratio=image.pixel_area_sr / lattice.pixel_area_sr,
    )


def subtract_skies(images: list[Input], lattice: Lattice) -> tuple[list[Input], np.ndarray]:
    """Bring all inputs to one sky level; return them and the levels taken off [MJy / sr]."""
    medians = [
        block_medians(np.where(image.weight > 0, image.data, np.nan), image.places, lattice.shape)
        for image in images
    ]
    levels = match_skies(np.array(medians))
    subtracted = [
        Input(**{**vars(image), "data": np.where(image.weight > 0, image.data - level, 0.0)})
        for image, level in zip(images, levels, strict=True)
    ]
    return subtracted, levels


def coadd_band(
    images: list[Input],
    lattice: Lattice,
    first: int,
    count: int,
    pixfrac: float,
    signal_to_noise: tuple[float, float],
    derivative_scale: tuple[float, float],
) -> tuple[Band, list[int]]:
    """Make a band of rows of a coadd.

    Parameters
    ----------
    images : list of Input
        In the order of the context bits, their skies matched.
    lattice : Lattice
        The whole tile.
    first, count : int
        Rows of the tile to make.
    pixfrac : float
        Side of the drop over the side of the pixel.
    signal_to_noise, derivative_scale : tuple of float
        Of the search for outliers.

    Returns
    -------
    band : Band
    n_outliers : list of int
        Number of pixels of each input that were left out and whose centre falls on the band.
    """
    rows = Rows(first, count, lattice.nx)
    around = Rows(first - HALO, count + 2 * HALO, lattice.nx + 2 * HALO, left=-HALO)
    outliers = flag_outliers(images, around, pixfrac, signal_to_noise, derivative_scale)
    kept = [without(image, marked) for image, marked in zip(images, outliers, strict=True)]
    wide = Rows(first - _EDGE, count + 2 * _EDGE, lattice.nx + 2 * _EDGE, left=-_EDGE)
    sums = Drizzle(
        kernel="square",
        fillval="NaN",
        out_shape=wide.shape,
        out_img2=[None, None],
        max_ctx_id=max(len(images) - 1, 0),
    )
    noise = Drizzle(
        kernel="square", fillval="NaN", out_shape=wide.shape, out_img2=[None], disable_ctx=True
    )
    seconds = Drizzle(kernel="square", fillval="NaN", out_shape=wide.shape, disable_ctx=True)
    for image in kept:
        add(
            sums,
            image,
            wide,
            pixfrac,
            image.data,
            image.weight,
            [image.var_poisson, image.var_rnoise],
        )
        white, variance = _white_noise(image)
        add(noise, image, wide, pixfrac, white, image.weight, [variance])
        time = np.where(image.weight > 0, image.exposure_time * image.area_ratio, 0.0)
        add(seconds, image, wide, pixfrac, image.data, time)
    covered = _inner(sums.out_wht) > 0
    band = Band(
        rows=rows,
        data=np.where(covered, _inner(sums.out_img), np.nan),
        var_poisson=np.where(covered, _inner(sums.out_img2[0]), np.nan),
        var_rnoise=np.where(covered, _inner(sums.out_img2[1]), np.nan),
        weight=np.where(covered, _inner(sums.out_wht), 0.0),
        context=_inner(np.asarray(sums.out_ctx).view(np.uint32)),
        exposure_time=np.where(covered, _inner(seconds.out_wht), 0.0),
        noise=np.where(covered, _inner(noise.out_img) / np.sqrt(_inner(noise.out_img2[0])), np.nan),
    )
    return band, [
        _falling_on(rows, image, marked) for image, marked in zip(images, outliers, strict=True)
    ]


def _inner(values: np.ndarray) -> np.ndarray:
    return values[..., _EDGE:-_EDGE, _EDGE:-_EDGE]


def _white_noise(image: Input) -> tuple[np.ndarray, np.ndarray]:
    """White noise of the variance that the weights stand for, and that variance."""
    with np.errstate(divide="ignore"):
        variance = np.where(image.weight > 0, 1 / image.weight, 0.0)
    rng = generator("noise of the coadd", image.name)
    return np.sqrt(variance) * rng.standard_normal(variance.shape), variance


def _falling_on(rows: Rows, image: Input, marked: np.ndarray) -> int:
    y = image.places[..., 1]
    return int(np.sum(marked & (y >= rows.first - 0.5) & (y < rows.first + rows.count - 0.5)))


def noise_correlation(noise: np.ndarray, reach: int = CORRELATION_REACH) -> np.ndarray:
    """Return the correlation of the noise of two pixels by their offset.

    Drizzling gives each detector pixel to several pixels of the lattice; their noise is
    therefore correlated, and the noise of a sum of them larger than that of independent
    pixels would be.

    Parameters
    ----------
    noise : ndarray of shape (ny, nx)
        Noise of unit variance; NaN where there is none.
    reach : int
        Largest offset [pixels].

    Returns
    -------
    ndarray of shape (2 reach + 1, 2 reach + 1)
        Mean product of pixels at offset (dy, dx) over the mean square; 1 in the middle.
        0 beyond the middle where there is no noise at all.
    """
    known = np.isfinite(noise)
    filled = np.where(known, noise, 0.0).astype(np.float64)
    size = 2 * reach + 1
    out = np.zeros((size, size))
    ny, nx = noise.shape
    for dy in range(reach + 1):
        for dx in range(-reach, reach + 1):
            here = (slice(0, ny - dy), slice(max(0, -dx), nx - max(0, dx)))
            there = (slice(dy, ny), slice(max(0, dx), nx - max(0, -dx)))
            pairs = np.count_nonzero(known[here] & known[there])
            product = float(np.sum(filled[here] * filled[there])) / pairs if pairs else 0.0
            out[reach + dy, reach + dx] = out[reach - dy, reach - dx] = product
    middle = out[reach, reach]
    return (
        out / middle
        if middle > 0
        else np.where(np.arange(size * size).reshape(size, size) == size * size // 2, 1.0, 0.0)
    )


def finish(
    lattice: Lattice,
    optical_element: str,
    images: list[Input],
    levels: np.ndarray,
    bands: list[tuple[Band, list[int]]],
) -> Mosaic:
    """Put the bands of all ranks together.

    Parameters
    ----------
    lattice : Lattice
        The whole tile.
    optical_element : str
    images : list of Input
        In the order of the context bits.
    levels : ndarray of shape (n_images,)
        Sky levels that were taken off [MJy / sr].
    bands : list of (Band, list of int)
        What `coadd_band` gave, from the first row to the last.

    Returns
    -------
    Mosaic
    """

    def stack(name: str) -> np.ndarray:
        return np.concatenate([getattr(band, name) for band, _ in bands], axis=-2)

    var_poisson, var_rnoise = stack("var_poisson"), stack("var_rnoise")
    return Mosaic(
        lattice=lattice,
        optical_element=optical_element,
        data=stack("data"),
        err=np.sqrt(var_poisson + var_rnoise),
        var_poisson=var_poisson,
        var_rnoise=var_rnoise,
        weight=stack("weight"),
        context=stack("context"),
        exposure_time=stack("exposure_time"),
        noise_correlation=noise_correlation(stack("noise")),
        members=tuple(image.name for image in images),
        meta={
            "sky_levels": [float(level) for level in levels],
            "outliers": [int(n) for n in np.sum([counts for _, counts in bands], axis=0)],
        },
    )

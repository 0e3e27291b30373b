"""Positions and fluxes of point sources in one band by fitting the PSF of its coadd."""

from collections.abc import Mapping

import numpy as np
from scipy.spatial import cKDTree

from tessella.astrometry.tangent import pixel_to_sky
from tessella.photometry.band import Band
from tessella.psf.coadd import HALF_PIXELS, CoaddPsf, between
from tessella.psf.together import (
    ALL_MASKED,
    FARTHEST,
    HALF_BOX,
    OUTSIDE,
    PIXELS,
    SIDE,
    PointSources,
    fit_together,
)
from tessella.sources.sky_positions import best_position

#: Correlations are inverted with this much of white noise added. The recorded one is the mean of a
#: cell; that of a place depends on where the pixels of its images fall, and weights that trust the
#: mean at high frequencies, where it has next to no noise, give worse fluxes than they say: with
#: 0.02 stars in a coadd of four images scattered by a quarter more, with 10 by as much as with 1.
_WHITE = 1.0
#: What is not placed stands here [pixels].
_NOWHERE = -1e6


def fit_point_sources(band: Band, columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Fit the PSF of the coadd to all sources of a band: `tessella.psf.together`.

    Parameters
    ----------
    band : Band
        With the PSF of its coadd and the images that count in each pixel.
    columns : mapping
        Positions of the detection: ``x_centroid_win y_centroid_win x_centroid y_centroid``.

    Returns
    -------
    dict of (n,) arrays
        ``x_psf y_psf`` [pixels], ``ra_psf dec_psf`` [deg], their errors ([pixels], [arcsec on the
        sky]), ``psf_flux`` and its error [nJy], ``psf_gof`` (chi-squared per degree of freedom) and
        ``psf_flags``. NaN where there is no fit; flags say why.

    Raises
    ------
    ValueError
        If the band has no PSF.

    Examples
    --------
    >>> # fit_point_sources(band, columns)["psf_flux"]
    """
    if band.psf is None:
        raise ValueError(f"{band.optical_element}: the band has no PSF to fit point sources with")
    places = np.nan_to_num(np.stack(best_position(columns), axis=-1), nan=_NOWHERE)
    column, row = np.rint(places.T).astype(np.int64)
    ny, nx = band.data.shape
    is_inside = (column >= 0) & (column < nx) & (row >= 0) & (row < ny)
    inside = np.flatnonzero(is_inside)
    splines, sets = _psf_sets(band.psf, band.context[:, row[inside], column[inside]])
    fitted, sets = inside[sets >= 0], sets[sets >= 0]
    sources = PointSources(
        splines,
        sets,
        *_between_nodes(band.psf, places[fitted]),
        places[fitted],
        *_neighbours(places[fitted]),
        band.psf.profile,
    )
    brightness = np.nan_to_num(band.data[row[fitted], column[fitted]], nan=-np.inf)
    values, errors, gof, flags = fit_together(
        np.asarray(band.data, np.float32),
        np.asarray(band.err, np.float32),
        sources,
        np.argsort(-brightness, kind="stable"),
        *_weights(band.noise_correlation),
    )
    found = _columns(band, len(places), fitted, values, errors, gof)
    found["psf_flags"] = np.where(is_inside, ALL_MASKED, OUTSIDE)
    found["psf_flags"][fitted] = flags
    return found | {"failed": ~np.isfinite(found["psf_flux_err"])}


def _columns(
    band: Band,
    n: int,
    fitted: np.ndarray,
    values: np.ndarray,
    errors: np.ndarray,
    gof: np.ndarray,
) -> dict[str, np.ndarray]:
    def of_all(of_fitted: np.ndarray) -> np.ndarray:
        column = np.full(n, np.nan)
        column[fitted] = of_fitted
        return column

    found = {"psf_gof": of_all(gof)}
    for k, name in enumerate(("x_psf", "y_psf", "psf_flux")):
        found[name], found[f"{name}_err"] = of_all(values[:, k]), of_all(errors[:, k])
    found["ra_psf"], found["dec_psf"] = pixel_to_sky(
        band.detection.lattice, found["x_psf"], found["y_psf"]
    )
    # ASSUME: north is along y.
    for sky, pixel in (("ra", "x"), ("dec", "y")):
        found[f"{sky}_psf_err"] = found[f"{pixel}_psf_err"] * band.pixel_scale_arcsec
    return found


def _psf_sets(psf: CoaddPsf, context: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the splines of each set of images that counts somewhere, and the set of each source.

    `context` is (n_planes, n); the set of a source that no image sees is -1.
    """
    bits = np.stack(
        [(context[k // 32] >> np.uint32(k % 32)) & 1 for k in range(len(psf.weights))], axis=-1
    )
    sets, index = np.unique(bits.astype(bool), axis=0, return_inverse=True)
    seen = sets @ psf.weights > 0
    numbers = np.where(seen, np.cumsum(seen) - 1, -1)
    side = psf.drawn.shape[-1]
    splines = np.zeros((max(seen.sum(), 1), psf.y.size, psf.x.size, side, side), np.float32)
    for k, members in enumerate(sets[seen]):
        splines[k] = psf.splines(members)
    return splines, numbers[index.reshape(-1)]


def _between_nodes(psf: CoaddPsf, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the node before each place along y and x, and how far beyond it the place lies."""
    (i, u), (j, v) = between(psf.x, places[:, 0]), between(psf.y, places[:, 1])
    return np.stack([j, i], axis=-1), np.stack([v, u], axis=-1)


def _neighbours(places: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return where each source's neighbours begin, (n + 1,), their numbers and their distances.

    Neighbours are those whose stamps reach its box, nearest first.
    """
    reach = HALF_PIXELS - HALF_BOX - FARTHEST
    pairs = np.zeros((0, 2), np.int64)
    if len(places):
        one_way = cKDTree(places).query_pairs(reach, output_type="ndarray").astype(np.int64)
        pairs = np.concatenate([one_way, one_way[:, ::-1]])
    distance = np.hypot(*(places[pairs[:, 1]] - places[pairs[:, 0]]).T)
    order = np.lexsort((pairs[:, 1], distance, pairs[:, 0]))
    start = np.searchsorted(pairs[order, 0], np.arange(len(places) + 1))
    return start, pairs[order, 1], distance[order]


def _weights(by_offset: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the correlation between the pixels of a box, and its inverse, (pixels, pixels)."""
    half = by_offset.shape[0] // 2
    rows, columns = np.divmod(np.arange(PIXELS), SIDE)
    dy, dx = rows[:, None] - rows, columns[:, None] - columns
    near = (np.abs(dy) <= half) & (np.abs(dx) <= half)
    correlation = np.where(near, by_offset[(dy + half) * near, (dx + half) * near], 0.0)
    values, vectors = np.linalg.eigh((correlation + correlation.T) / 2)
    inverse = (vectors / (np.maximum(values, 0.0) + _WHITE)) @ vectors.T
    return correlation.astype(np.float32), inverse.astype(np.float32)

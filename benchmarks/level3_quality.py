"""How well coadds and outliers of bench_level3.py agree with the truth of level3_inputs.py."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from level3_inputs import CONVERSION, DETECTOR, SIZE
from scipy.spatial import cKDTree

from tessella.astrometry.pixel_area import nominal_pixel_area_arcsec2
from tessella.astrometry.tangent import sky_to_pixel
from tessella.models import Lattice

#: Faintest star that is measured [DN / s], and how close to it, and how bright beside it, another
#: source may be [arcsec, share].
FAINTEST, CROWD_ARCSEC, CROWD_SHARE = 30.0, 1.6, 0.02
#: Radii [lattice pixels]: of the aperture, of the centroid, from which on there is sky.
APERTURE, CENTROID, SKY_FROM, HALF = 20, 5, 26, 30
#: What a star has outside the aperture: Moffat profile, power 3.2, of `STAR_WIDTH`.
OUTSIDE = 3.7e-4
#: Sides of the squares in which noise is summed [lattice pixels].
SQUARES = (1, 2, 4, 8, 16, 32)


def isolated_stars(truth: Mapping[str, np.ndarray], lattice: Lattice) -> dict[str, np.ndarray]:
    """Return places on the lattice and fluxes [DN / s] of bright stars without neighbours."""
    x, y = sky_to_pixel(lattice, truth["ra"], truth["dec"])
    places = np.stack([x, y], 1)
    near = cKDTree(places).query_ball_point(places, CROWD_ARCSEC / lattice.pixel_scale_arcsec)
    light = np.array([truth["flux"][around].sum() for around in near]) - truth["flux"]
    inside = (
        (np.minimum(x, y) > 2 * HALF) & (x < lattice.nx - 2 * HALF) & (y < lattice.ny - 2 * HALF)
    )
    bright = truth["is_star"] & (truth["flux"] > FAINTEST)
    kept = inside & bright & (light < CROWD_SHARE * truth["flux"])
    return {"x": x[kept], "y": y[kept], "flux": truth["flux"][kept]}


def measure_stars(
    image: np.ndarray, stars: Mapping[str, np.ndarray], lattice: Lattice
) -> dict[str, np.ndarray]:
    """Measure stars on a coadd [MJy / sr]: flux over the true one, offset of the centroid.

    Offsets are in lattice pixels; a star with a pixel without value near it is NaN.
    """
    offsets = np.arange(-HALF, HALF + 1)
    pixel = nominal_pixel_area_arcsec2(DETECTOR) / lattice.pixel_scale_arcsec**2
    out = np.full((3, len(stars["x"])), np.nan)
    for i, (x, y, flux) in enumerate(zip(stars["x"], stars["y"], stars["flux"], strict=True)):
        column, row = round(x), round(y)
        stamp = image[row - HALF : row + HALF + 1, column - HALF : column + HALF + 1]
        dx, dy = offsets[None, :] + column - x, offsets[:, None] + row - y
        radius = np.hypot(dx, dy)
        light = stamp - np.median(stamp[radius > SKY_FROM])
        core = np.where(radius < CENTROID, light, 0)
        # A pixel of a tangent plane sees less of the sky, the farther it is from the tangent point.
        distance = np.hypot(x - lattice.x_tangent, y - lattice.y_tangent)
        theta = np.arctan(np.radians(distance * lattice.pixel_scale_arcsec / 3600))
        expected = flux * CONVERSION * pixel * (1 - OUTSIDE) / np.cos(theta) ** 3
        out[0, i] = light[radius < APERTURE].sum() / expected
        out[1:, i] = (core * dx).sum() / core.sum(), (core * dy).sum() / core.sum()
    return {"ratio": out[0], "dx": out[1], "dy": out[2]}


def scatter(values: np.ndarray) -> float:
    """Return the standard deviation of what is not an outlier, from the median deviation."""
    values = values[np.isfinite(values)]
    return float(1.4826 * np.median(np.abs(values - np.median(values))))


def tell_stars(measured: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Sum up what `measure_stars` gave."""
    told: dict[str, float] = {"stars": int(np.isfinite(measured["ratio"]).sum())}
    for name, values in measured.items():
        told |= {f"{name}_median": float(np.nanmedian(values)), f"{name}_scatter": scatter(values)}
    return told


def between(one: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Compare the fluxes of the same stars on two coadds."""
    ratio = one["ratio"] / other["ratio"]
    ratio = ratio[np.isfinite(ratio)]
    error = 1.2533 * scatter(ratio) / np.sqrt(len(ratio))
    return {"median": float(np.median(ratio)), "error": error, "scatter": scatter(ratio)}


def count_outliers(
    marked: list[np.ndarray], rays: list[np.ndarray], good: list[np.ndarray], on: list[np.ndarray]
) -> dict[str, float]:
    """Hold the pixels that are left out of each image against the cosmic rays in it.

    Parameters
    ----------
    marked : list of (n,) int
        Indices of the pixels of each image.
    rays : list of (2, n) int
        Row and column of what each cosmic ray hits first; it hits the next column as well.
    good, on : list of (ny, nx) bool
        What is not flagged bad, and what lies on the cell: nothing else is looked at.

    Returns
    -------
    dict
        Share found of pixels hit first, and of all that are hit, and what else is marked, as a
        share of all pixels.
    """
    found = dict.fromkeys(("first", "all", "false", "n_first", "n_all", "n"), 0)
    for pixels, (row, column), is_good, is_on in zip(marked, rays, good, on, strict=True):
        seen = (is_good & is_on).ravel()
        is_marked, first, second = (np.zeros(SIZE * SIZE, bool) for _ in range(3))
        is_marked[pixels] = True
        first[row * SIZE + column] = second[row * SIZE + column + 1] = True
        hit = first | second
        found["first"] += int((is_marked & first & seen).sum())
        found["n_first"] += int((first & seen).sum())
        found["all"] += int((is_marked & hit & seen).sum())
        found["n_all"] += int((hit & seen).sum())
        found["false"] += int((is_marked & ~hit & seen).sum())
        found["n"] += int(seen.sum())
    return {
        "recall": found["first"] / found["n_first"],
        "recall_of_both_pixels": found["all"] / found["n_all"],
        "false": found["false"] / found["n"],
    }


def noise_of_sums(
    residual: np.ndarray, err: np.ndarray, correlation: np.ndarray
) -> dict[str, dict[str, float]]:
    """Compare the noise of sums over squares with what errors and their correlation predict.

    Parameters
    ----------
    residual, err : ndarray of shape (ny, nx)
        Coadd less the coadd of the truth, and its errors; NaN where there is none.
    correlation : ndarray of shape (2 n + 1, 2 n + 1)
        Of the noise of two pixels by their offset.

    Returns
    -------
    dict
        By side [pixels]: measured over predicted scatter, the statistical error of that, and the
        same without the correlation.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        values = residual / err
    values = values - np.nanmedian(values)
    reach = correlation.shape[0] // 2
    lags = np.abs(np.arange(-reach, reach + 1))
    told = {}
    for side in SQUARES:
        ny, nx = (n // side * side for n in values.shape)
        sums = values[:ny, :nx].reshape(ny // side, side, nx // side, side).sum(axis=(1, 3))
        sums = sums[np.isfinite(sums)]
        pairs = np.clip(side - lags, 0, None)
        predicted = np.sqrt((pairs[:, None] * pairs[None, :] * correlation).sum())
        measured = scatter(sums)
        # Of a standard deviation from the median deviation of n normal numbers.
        error = 1.17 / np.sqrt(len(sums))
        told[str(side)] = {
            "ratio": float(measured / predicted),
            "error": float(error),
            "ratio_without_correlation": measured / side,
        }
    return told


def load_rays(work: Path, n: int) -> list[np.ndarray]:
    """Read the truth of the cosmic rays."""
    return [np.load(work / f"rays{k}.npy") for k in range(n)]

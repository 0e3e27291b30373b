"""First and second moments of segments on the detection image, all sources at once."""

from collections.abc import Mapping

import numpy as np

from tessella.photometry.noise import labelled_variance
from tessella.sources.detection import Detection

#: Second moment of a pixel along an axis: the least a source can have [pixels^2].
_PIXEL_MOMENT = 1.0 / 12.0
#: Isophotes in flat places do not move farther than this with one standard deviation [pixels].
_LARGEST_SHIFT = 5.0


def segment_moments(
    detection: Detection, columns: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Measure box, area, centroid and ellipse of each segment.

    Moments are weighted with the signal-to-noise image, which is linear in flux and includes
    the blur of the matched filter. Errors follow from the correlated noise of that image.

    Parameters
    ----------
    detection : Detection
        Segments and detection image, (ny, nx).
    columns : mapping
        Not used.

    Returns
    -------
    dict of (n,) arrays
        Columns as in `tessella.sources.columns`; NaN where a segment has no signal.

    Examples
    --------
    >>> from tessella.models import Lattice
    >>> snr = np.zeros((5, 5)); snr[2, 1:4] = [1.0, 2.0, 1.0]
    >>> found = Detection(Lattice(0, 0, 0, 0, 1.0, 5, 5), (snr > 0).astype(np.int32), snr,
    ...                   np.ones((5, 5)), np.ones((1, 1)))
    >>> row = segment_moments(found, {})
    >>> float(row["x_centroid"][0]), float(row["semimajor"][0].round(3)), int(row["bbox_xmax"][0])
    (2.0, 0.764, 3)
    """
    y, x = np.nonzero(detection.segmentation)
    index = np.searchsorted(detection.labels, detection.segmentation[y, x])
    n = len(detection.labels)
    signal = np.maximum(np.nan_to_num(detection.snr[y, x], nan=0.0), 0.0).astype(float)
    total = _sums(index, signal, n)
    total = np.where(total > 0, total, np.nan)
    x_mean = _sums(index, signal * x, n) / total
    y_mean = _sums(index, signal * y, n) / total
    dx, dy = x - x_mean[index], y - y_mean[index]
    xx, yy, xy = (_sums(index, signal * product, n) / total for product in (dx**2, dy**2, dx * dy))
    response = _response(detection, y, x)
    x_err, y_err = (
        _centroid_error(detection, y, x, response * offset / total[index]) for offset in (dx, dy)
    )
    return (
        {
            "x_centroid": x_mean,
            "y_centroid": y_mean,
            "x_centroid_err": x_err,
            "y_centroid_err": y_err,
        }
        | _boxes(detection, y, x, index)
        | ellipse(xx, yy, xy, detection.lattice.pixel_scale_arcsec)
    )


def ellipse(
    xx: np.ndarray, yy: np.ndarray, xy: np.ndarray, pixel_scale_arcsec: float
) -> dict[str, np.ndarray]:
    """Return the ellipse of second moments.

    Parameters
    ----------
    xx, yy, xy : (n,) arrays
        Second moments [pixels^2]; a moment below that of one pixel is raised to it.
    pixel_scale_arcsec : float
        Side of a pixel.

    Returns
    -------
    dict of (n,) arrays
        Semi-axes [arcsec], orientation [deg, counter-clockwise from +x, in (-90, 90]],
        ellipticity 1 - b / a, circularised fwhm [arcsec] and the coefficients cxx, cxy, cyy
        [arcsec^-2] of the ellipse (Bertin & Arnouts 1996, doi:10.1051/aas:1996164).
    """
    thin = xx * yy - xy**2 < _PIXEL_MOMENT**2
    xx, yy = xx + _PIXEL_MOMENT * thin, yy + _PIXEL_MOMENT * thin
    mean, half = (xx + yy) / 2, np.hypot((xx - yy) / 2, xy)
    a = np.sqrt(mean + half) * pixel_scale_arcsec
    b = np.sqrt(np.maximum(mean - half, 0.0)) * pixel_scale_arcsec
    determinant = xx * yy - xy**2
    scale = determinant * pixel_scale_arcsec**2
    return {
        "semimajor": a,
        "semiminor": b,
        "fwhm": 2 * np.sqrt(np.log(2) * (a**2 + b**2)),
        "ellipticity": 1 - b / a,
        "orientation_pix": np.degrees(0.5 * np.arctan2(2 * xy, xx - yy)),
        "cxx": yy / scale,
        "cxy": -2 * xy / scale,
        "cyy": xx / scale,
    }


def _sums(index: np.ndarray, values: np.ndarray, n: int) -> np.ndarray:
    return np.bincount(index, weights=values, minlength=n).astype(float)


def _response(detection: Detection, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return by how much a segment's sum changes with the signal of each of its pixels.

    It is 1 for a fixed segment; but noise moves the isophote too, by noise over gradient, and
    each pixel that it takes in or leaves out carries the signal of the isophote.
    """
    snr = np.pad(np.nan_to_num(detection.snr), 1)
    owner = np.pad(detection.segmentation, 1, constant_values=-1)
    y, x = y + 1, x + 1
    around = [owner[y + dy, x + dx] for dy, dx in ((0, 1), (0, -1), (1, 0), (-1, 0))]
    at_sky = np.any(np.stack(around) == 0, axis=0)
    slope = np.hypot(snr[y, x + 1] - snr[y, x - 1], snr[y + 1, x] - snr[y - 1, x]) / 2
    moving = np.divide(snr[y, x], slope, out=np.zeros(len(y)), where=at_sky & (slope > 0))
    return 1.0 + np.minimum(moving, _LARGEST_SHIFT)


def _centroid_error(
    detection: Detection, y: np.ndarray, x: np.ndarray, lever: np.ndarray
) -> np.ndarray:
    amplitude = np.zeros(detection.snr.shape)
    amplitude[y, x] = lever * detection.noise[y, x]
    variance = labelled_variance(
        amplitude, detection.segmentation, detection.labels, detection.noise_correlation
    )
    return np.sqrt(np.where(variance > 0, variance, np.nan))


def _boxes(
    detection: Detection, y: np.ndarray, x: np.ndarray, index: np.ndarray
) -> dict[str, np.ndarray]:
    n = len(detection.labels)
    low, high = np.full((2, n), np.iinfo(np.int32).max), np.full((2, n), -1)
    for axis, position in enumerate((x, y)):
        np.minimum.at(low[axis], index, position)
        np.maximum.at(high[axis], index, position)
    area = np.bincount(index, minlength=n) * detection.lattice.pixel_scale_arcsec**2
    return {
        "bbox_xmin": low[0],
        "bbox_xmax": high[0],
        "bbox_ymin": low[1],
        "bbox_ymax": high[1],
        "segment_area": area,
    }

"""Kron's first-moment radius on the detection image."""

from collections.abc import Mapping

import numpy as np

from tessella.sources.detection import Detection
from tessella.sources.sky_positions import best_position
from tessella.sources.stamps import stamp_grid, stamps

#: The Kron aperture is this many times the Kron radius.
KRON_SCALE = 2.5
#: Limits of the Kron radius in units of the ellipse's axes.
_RADIUS_LIMITS = (1.4, 6.0)
_SEARCH_SCALE = 6.0
#: Ellipses that reach farther are not searched whole [pixels].
_LARGEST_STAMP = 200


def kron_radius(detection: Detection, columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Measure the signal-weighted mean radius of each source within 6 times its ellipse.

    The Kron aperture is the ellipse of this semi-major axis, times 2.5 (Kron 1980, ApJS 43, 305,
    doi:10.1086/190669). Pixels of other sources do not count.

    Returns
    -------
    dict of (n,) arrays
        ``kron_radius``: semi-major axis of the first moment [arcsec], at least 1.4 ``semimajor``;
        NaN where there is no ellipse.

    Notes
    -----
    The official pipeline multiplies the dimensionless radius with the pixel scale; here it is a
    length on the sky, as its unit says.
    """
    scale = detection.lattice.pixel_scale_arcsec
    x, y = best_position(columns)
    factor = np.full(len(x), np.nan)
    for i in np.flatnonzero(np.isfinite(columns["semimajor"]) & np.isfinite(x) & np.isfinite(y)):
        one = slice(i, i + 1)
        reach = _SEARCH_SCALE * columns["semimajor"][i] / scale
        half = int(min(np.ceil(reach), _LARGEST_STAMP))
        dx, dy = (grid[0] * scale for grid in stamp_grid(x[one], y[one], half))
        cxx, cxy, cyy = (columns[name][i] for name in ("cxx", "cxy", "cyy"))
        radius = np.sqrt(cxx * dx**2 + cxy * dx * dy + cyy * dy**2)
        signal = stamps(detection.snr, x[one], y[one], half)[0]
        owner = stamps(detection.segmentation, x[one], y[one], half)[0]
        own = (owner == 0) | (owner == detection.labels[i])
        counted = own & np.isfinite(signal) & (radius <= _SEARCH_SCALE)
        total = signal[counted].sum()
        moment = (signal[counted] * radius[counted]).sum()
        factor[i] = moment / total if total > 0 and moment > 0 else _RADIUS_LIMITS[0]
    return {"kron_radius": np.clip(factor, *_RADIUS_LIMITS) * columns["semimajor"]}

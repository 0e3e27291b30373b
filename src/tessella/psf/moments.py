"""Size and ellipticity of a point-spread function, by moments in a Gaussian that fits it."""

from typing import NamedTuple

import numpy as np

from tessella.psf.effective import EffectivePsf

#: Half the side of what is weighed [pixels]: beyond, the window of a star of 0.8 pixels is 1e-8.
_HALF = 6.0
_ITERATIONS = 200
_TOLERANCE = 1e-9


class Shape(NamedTuple):
    """What `adaptive_moments` finds."""

    #: Fourth root of the determinant of the second moments [pixels].
    size: float
    #: ``(Mxx - Myy) / (Mxx + Myy)`` and ``2 Mxy / (Mxx + Myy)``.
    e1: float
    e2: float


def adaptive_moments(psf: EffectivePsf) -> Shape:
    """Measure size and ellipticity of an effective PSF, pixel included, between its samples.

    The moments are weighed by the Gaussian that has them itself: ``M = 2 <u u^T>`` with the window
    ``exp(-u^T M^-1 u / 2)``, about its own centre, until nothing moves (Bernstein & Jarvis 2002,
    AJ 123, 583. doi:10.1086/338085; the factor makes a Gaussian's moments its own). Moments
    without a window do not exist: the light of an aberrated pupil falls as the cube of the radius.

    Parameters
    ----------
    psf : EffectivePsf

    Returns
    -------
    Shape

    Raises
    ------
    ValueError
        If the light is not positive, or its moments do not settle.

    Examples
    --------
    >>> axis = np.arange(-32, 33) / 4
    >>> wide = EffectivePsf(np.exp(-(axis[:, None] ** 2 + axis**2 / 1.44) / 2), 4)
    >>> [round(value, 4) for value in adaptive_moments(wide)]
    [1.0954, 0.1803, 0.0]
    """
    middle = psf.stamp.shape[0] // 2
    half = min(round(_HALF * psf.oversample), middle)
    inner = slice(middle - half, middle + half + 1)
    light = psf.stamp[inner, inner]
    axis = np.arange(-half, half + 1) / psf.oversample
    centre, moments = np.zeros(2), np.eye(2) * 0.5
    for _ in range(_ITERATIONS):
        x, y = (axis - centre[0])[None, :], (axis - centre[1])[:, None]
        inverse = np.linalg.inv(moments)
        exponent = inverse[0, 0] * x**2 + 2 * inverse[0, 1] * x * y + inverse[1, 1] * y**2
        weighed = light * np.exp(-exponent / 2)
        total = weighed.sum()
        if not total > 0:
            break
        shift = np.array([(weighed * x).sum(), (weighed * y).sum()]) / total
        xx, xy, yy = ((weighed * product).sum() / total for product in (x * x, x * y, y * y))
        found = 2 * np.array([[xx, xy], [xy, yy]])
        if not (np.isfinite(found).all() and np.linalg.det(found) > 0):
            break
        change = max(np.abs(found - moments).max(), np.abs(shift).max())
        centre, moments = centre + 2 * shift, found
        if change < _TOLERANCE:
            trace = moments[0, 0] + moments[1, 1]
            return Shape(
                float(np.linalg.det(moments) ** 0.25),
                float((moments[0, 0] - moments[1, 1]) / trace),
                float(2 * moments[0, 1] / trace),
            )
    raise ValueError("effective PSF: its moments do not settle; it is no image of a point source")

"""Flat field: the response of each pixel to the same surface brightness.

It holds the pixel's sensitivity and its solid angle; dividing by it makes an image whose
values are proportional to surface brightness.
"""

from dataclasses import replace

import numpy as np

from tessella import flags
from tessella.models import Image


def divide_by_flat(
    image: Image, flat: np.ndarray, flat_err: np.ndarray, flat_dq: np.ndarray
) -> Image:
    """Divide an image by the flat field and add the flat's part to the variance.

    Parameters
    ----------
    image : Image
        Slopes of (ny, nx) pixels.
    flat, flat_err : ndarray of shape (ny, nx)
        Relative response and its uncertainty. A response of 0, negative, infinite or NaN, and an
        uncertainty negative, infinite or NaN, is not known.
    flat_dq : ndarray of shape (ny, nx)
        Flags of the flat.

    Returns
    -------
    Image
        Where the response is not known the image keeps its values and has NO_FLAT_FIELD
        and DO_NOT_USE; where its uncertainty is not, the errors are NaN, with DO_NOT_USE.

    Examples
    --------
    >>> # flat_image = divide_by_flat(image, flat, flat_err, flat_dq)
    """
    unknown = ~((flat > 0) & np.isfinite(flat))
    unknown_error = ~unknown & ~((flat_err >= 0) & np.isfinite(flat_err))
    response = np.where(unknown, np.float32(1), flat).astype(image.data.dtype)
    relative = np.where(unknown, np.float32(0), flat_err / response).astype(image.data.dtype)
    relative[unknown_error] = np.nan
    data = image.data / response
    var_poisson, var_rnoise = image.var_poisson / response**2, image.var_rnoise / response**2
    var_flat = (data * relative) ** 2
    dq = image.dq | flat_dq | np.where(unknown, flags.NO_FLAT_FIELD | flags.DO_NOT_USE, 0)
    dq |= np.where(unknown_error, flags.DO_NOT_USE, 0).astype(dq.dtype)
    return replace(
        image,
        data=data,
        dq=dq.astype(np.uint32),
        err=np.sqrt(var_poisson + var_rnoise + var_flat),
        var_poisson=var_poisson,
        var_rnoise=var_rnoise,
        var_flat=var_flat,
        dumo=image.dumo / response,
    )

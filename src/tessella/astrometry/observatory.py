"""Where the observatory is, for the parallaxes of stars."""

import numpy as np
from astropy.coordinates import get_body_barycentric
from astropy.time import Time

#: How much farther from the Sun than the Earth the observatory is (L2).
_L2 = 1.01


def observatory_position(epoch: float) -> np.ndarray:
    """Return the position of the observatory from the barycentre of the solar system.

    Parameters
    ----------
    epoch : float
        Julian year.

    Returns
    -------
    ndarray of shape (3,)
        Along the axes of ICRS [au].

    Examples
    --------
    >>> observatory_position(2027.22).round(2).tolist()
    [-1.01, -0.03, -0.01]
    """
    time = Time(epoch, format="jyear", scale="tdb")
    # The Earth as ERFA has it (Simon et al. 1994, A&A 282, 663), good to 1e-6 au; no network.
    earth, sun = (
        get_body_barycentric(body, time, ephemeris="builtin").xyz.to_value("au")
        for body in ("earth", "sun")
    )
    # ASSUME: the observatory stands at L2; its orbit about it, 0.005 au wide, is left out, half
    # a percent of each parallax.
    return sun + _L2 * (earth - sun)

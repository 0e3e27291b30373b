"""How many stars of which brightness there are in a direction of the Galaxy.

Bahcall & Soneira 1980, ApJS 44, 73, equation B1 with the constants of integral counts in V.
doi:10.1086/190685. It agrees with their model to 15 % from 20 degrees of galactic latitude on.
"""

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord

#: The formula does not hold nearer to the plane of the Galaxy [deg].
LEAST_LATITUDE = 20.0
#: Magnitudes between which stars are drawn are resolved to this.
_STEP = 0.05


def stars_per_deg2(mag: np.ndarray, longitude: float, latitude: float) -> np.ndarray:
    """Return the number of stars brighter than a V magnitude per square degree.

    Parameters
    ----------
    mag : ndarray of shape (n,)
        V (Vega).
    longitude, latitude : float
        Galactic [deg].

    Raises
    ------
    ValueError
        Within 20 degrees of the plane of the Galaxy.

    Examples
    --------
    >>> stars_per_deg2(np.array([20.0, 22.0]), 90.0, 90.0).round(-1).tolist()
    [1440.0, 2810.0]
    """
    if abs(latitude) < LEAST_LATITUDE:
        raise ValueError(
            f"galactic latitude {latitude:.1f}: star counts hold from {LEAST_LATITUDE:.0f} degrees "
            "on; say how many stars there are (scene.stars_per_arcmin2)"
        )
    m = np.asarray(mag, float)
    sin_b, cos_b = np.sin(np.radians(abs(latitude))), np.cos(np.radians(latitude))
    cos_l = np.cos(np.radians(longitude))
    mu = np.clip(0.0075 * (m - 12) + 0.03, 0.03, 0.09)
    gamma = np.clip(0.04 * (12 - m) + 0.36, 0.04, 0.36)
    disk = 925 * 10 ** (0.035 * (m - 15.75)) / (1 + 10 ** (-0.132 * (m - 15.75))) ** 3.0
    halo = 1050 * 10 ** (0.087 * (m - 17.5)) / (1 + 10 ** (-0.18 * (m - 17.5))) ** 2.5
    return disk / (sin_b - mu * cos_b * cos_l) ** (3 - 5 * gamma) + halo / (1 - cos_b * cos_l) ** (
        1.45 - 0.2 * cos_b * cos_l
    )


def draw_magnitudes(
    ra: float,
    dec: float,
    area_deg2: float,
    brightest: float,
    faintest: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """Draw the V magnitudes of the stars of a field between two magnitudes.

    Raises
    ------
    ValueError
        Within 20 degrees of the plane of the Galaxy.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> len(draw_magnitudes(192.86, 27.13, 0.1, 15.0, 22.0, rng))
    271
    """
    place = SkyCoord(ra * u.deg, dec * u.deg).galactic
    grid = np.arange(brightest, faintest + _STEP / 2, _STEP)
    counts = stars_per_deg2(grid, float(place.l.deg), float(place.b.deg)) * area_deg2
    share = rng.uniform(counts[0], counts[-1], round(counts[-1] - counts[0]))
    return np.interp(share, counts, grid)

"""How much zodiacal light there is in a direction at a time, over its minimum."""

from datetime import datetime
from functools import cache

import galsim
import galsim.roman
import numpy as np

#: The ratio of two directions is the same in all filters, to 1 %.
_BAND = "H158"
#: The minimum is sought every so many degrees.
_STEP_DEG = 4.0


def zodiacal_factor(ra: float, dec: float, start_time: str) -> float:
    """Return the zodiacal light of a direction over its minimum on the sky.

    That of `galsim.roman`: a table by ecliptic latitude and longitude from the Sun, made by
    C. Hirata's exposure time calculator, good to 10 %.

    Parameters
    ----------
    ra, dec : float
        [deg]
    start_time : str
        UTC, ISO 8601.

    Raises
    ------
    ValueError
        If the direction is too close to the Sun.

    Examples
    --------
    >>> round(zodiacal_factor(12.108, 85.255, "2028-07-01T00:00:00"), 1)
    1.8
    """
    place = galsim.CelestialCoord(ra * galsim.degrees, dec * galsim.degrees)
    try:
        level = _level(place, datetime.fromisoformat(start_time))
    except galsim.GalSimValueError:
        raise ValueError(
            f"right ascension {ra:.3f}, declination {dec:.3f} is too close to the Sun at "
            f"{start_time}; plan the exposure for another date, or set expose.zodiacal_factor"
        ) from None
    return level / _minimum()


def _level(place: galsim.CelestialCoord, time: datetime | None) -> float:
    return float(galsim.roman.getSkyLevel(_bandpass(), world_pos=place, exptime=1, date=time))


@cache
def _bandpass() -> galsim.Bandpass:
    return galsim.roman.getBandpasses(AB_zeropoint=False)[_BAND]


@cache
def _minimum() -> float:
    # Away from the Sun, which stands at longitude 0.
    places = [
        galsim.CelestialCoord.from_ecliptic(longitude * galsim.degrees, latitude * galsim.degrees)
        for longitude in np.arange(60.0, 180.0, _STEP_DEG)
        for latitude in np.arange(0.0, 90.0, _STEP_DEG)
    ]
    return min(_level(place, None) for place in places)

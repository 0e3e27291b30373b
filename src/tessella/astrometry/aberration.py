"""Velocity aberration: directions lean towards where the observatory flies, by up to 20 arcsec.

The pointing holds all of it but what differs over the field, which is a change of scale.
"""

from datetime import datetime

import numpy as np

_SPEED_OF_LIGHT_KM_S = 299792.458
#: Mean orbital speed of the Earth, and how much farther from the Sun the observatory is (L2).
_EARTH_KM_S, _L2 = 29.785, 1.01
#: Mean longitude of the Sun at J2000 and its daily motion, and the obliquity [deg]: Astronomical
#: Almanac, section C, "low-precision formulas for the Sun".
_SUN_AT_J2000, _SUN_PER_DAY, _OBLIQUITY = 280.460, 0.9856474, 23.439
_J2000 = datetime(2000, 1, 1, 12)


def observatory_velocity(start_time: str) -> np.ndarray:
    """Return the velocity of the observatory with respect to the Sun, as a fraction of light's.

    Parameters
    ----------
    start_time : str
        UTC, ISO 8601.

    Returns
    -------
    ndarray of shape (3,)
        Along the axes of ICRS.

    Examples
    --------
    >>> velocity = observatory_velocity("2027-03-21T00:00:00")
    >>> (velocity * 1e4).round(2).tolist()
    [-0.03, -0.92, -0.4]
    """
    # ASSUME: a circular orbit: the speed is right to 2 %, the scale to 2e-6.
    days = (datetime.fromisoformat(start_time) - _J2000).total_seconds() / 86400
    towards = np.radians(_SUN_AT_J2000 + _SUN_PER_DAY * days - 90)
    tilt = np.radians(_OBLIQUITY)
    direction = np.array(
        [np.cos(towards), np.sin(towards) * np.cos(tilt), np.sin(towards) * np.sin(tilt)]
    )
    return _EARTH_KM_S * _L2 / _SPEED_OF_LIGHT_KM_S * direction


def aberration_scale(ra: float, dec: float, start_time: str) -> float:
    """Return true over apparent distance of neighbouring directions.

    Parameters
    ----------
    ra, dec : float
        True direction [deg].
    start_time : str
        UTC, ISO 8601.

    Returns
    -------
    float
        ``(1 + b . u) / sqrt(1 - b . b)`` with the velocity b and the direction u; above 1 ahead.

    Examples
    --------
    >>> round(aberration_scale(270.0, -23.4, "2027-03-21T00:00:00"), 6)
    1.0001
    """
    velocity = observatory_velocity(start_time)
    a, d = np.radians(ra), np.radians(dec)
    direction = np.array([np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)])
    return float((1 + velocity @ direction) / np.sqrt(1 - velocity @ velocity))

"""Where the stars of a catalogue stand at another time, and how well that is known.

Stars move in straight lines at constant speed: the direction at time t is that of
``r0 + t (p pmra + q pmdec) - parallax b`` with the unit vectors p east and q north of r0 and
the observer's barycentric position b (ESA 1997, The Hipparcos and Tycho Catalogues, vol. 1,
section 1.2.8, without the radial term, which is below 1 microarcsecond here).
"""

from dataclasses import dataclass, replace

import numpy as np

from tessella.randomness import generator

_MAS = np.pi / 648000 / 1000
#: Motion error over parallax error [1 / year]: ratio of the medians in the abstract of Gaia DR2
#: (Gaia Collaboration, Brown et al. 2018, A&A 616, A1. doi:10.1051/0004-6361/201833051).
_MOTION_OVER_PARALLAX_ERROR = 1.7


@dataclass(frozen=True)
class StarCatalogue:
    """Positions and motions of n stars at one epoch; arrays have the shape (n,)."""

    #: Julian year that the positions refer to.
    epoch: float
    #: [deg]
    ra: np.ndarray
    dec: np.ndarray
    #: Motion in right ascension (times cos dec) and declination [mas / year]; NaN: not measured.
    pmra: np.ndarray
    pmdec: np.ndarray
    #: [mas]; NaN where not measured.
    parallax: np.ndarray
    #: Standard errors per axis [mas] and [mas / year]; NaN where not known.
    position_error: np.ndarray
    motion_error: np.ndarray

    @property
    def has_motion(self) -> np.ndarray:
        """True where the motion was measured, (n,)."""
        return np.isfinite(self.pmra) & np.isfinite(self.pmdec)


@dataclass(frozen=True)
class Positions:
    """Positions of n stars at one time."""

    #: (n,) [deg]
    ra: np.ndarray
    dec: np.ndarray
    #: (n, 2, 2): covariance of the offsets east and north [mas^2]; NaN where not known.
    covariance: np.ndarray
    #: (n,): False where no motion was measured: the place is that of the catalogue's epoch.
    is_moved: np.ndarray


def gaia_dr2_errors(parallax_error: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Estimate errors of positions and motions in Gaia DR2 from the errors of parallaxes.

    Parameters
    ----------
    parallax_error : ndarray of shape (n,)
        [mas]; NaN where there is no parallax.

    Returns
    -------
    position_error, motion_error : ndarray of shape (n,)
        Per axis, at epoch 2015.5 [mas] and [mas / year]; NaN where there is no parallax.

    Examples
    --------
    >>> gaia_dr2_errors(np.array([0.1]))[1].round(2).tolist()
    [0.17]
    """
    error = np.ma.filled(np.ma.asarray(parallax_error).astype(float), np.nan)
    return error, _MOTION_OVER_PARALLAX_ERROR * error


def move_to_epoch(
    stars: StarCatalogue,
    epoch: float,
    unmeasured_motion_mas_per_year: float,
    observer_au: np.ndarray | None = None,
) -> Positions:
    """Move stars to another epoch.

    Parameters
    ----------
    stars : StarCatalogue
        Positions and motions of n stars.
    epoch : float
        Julian year to move to.
    unmeasured_motion_mas_per_year : float
        Typical motion per axis of stars whose motion was not measured [mas / year]. They stay
        where they are and their error grows by it with time.
    observer_au : ndarray of shape (3,), optional
        Barycentric position of the telescope in equatorial axes [au]; without it the result is
        seen from the barycentre, up to one parallax away. Stars without parallax are not shifted.

    Returns
    -------
    Positions
        Covariance = position error squared + (time x motion error) squared; errors of position
        and motion count as independent, and NaN stays NaN.

    Examples
    --------
    >>> one = np.ones(1)
    >>> star = StarCatalogue(2015.5, 10 * one, 60 * one, 0 * one, 100 * one, one, one, one)
    >>> moved = move_to_epoch(star, 2025.5, 5.0)
    >>> round(float((moved.dec[0] - 60) * 3.6e6), 3)
    1000.0
    """
    years = epoch - stars.epoch
    ra, dec = np.radians(np.asarray(stars.ra, float)), np.radians(np.asarray(stars.dec, float))
    direction, east, north = _triad(ra, dec)
    is_moved = stars.has_motion
    moved = direction + years * _MAS * (
        np.where(is_moved, stars.pmra, 0.0) * east + np.where(is_moved, stars.pmdec, 0.0) * north
    )
    if observer_au is not None:
        parallax = np.where(np.isfinite(stars.parallax), stars.parallax, 0.0) * _MAS
        moved = moved - parallax * np.asarray(observer_au, float)[:, None]
    speed_error = np.where(is_moved, stars.motion_error, unmeasured_motion_mas_per_year)
    variance = np.asarray(stars.position_error, float) ** 2 + (years * speed_error) ** 2
    return Positions(
        ra=np.degrees(np.arctan2(moved[1], moved[0])) % 360.0,
        dec=np.degrees(np.arctan2(moved[2], np.hypot(moved[0], moved[1]))),
        covariance=variance[:, None, None] * np.eye(2),
        is_moved=is_moved,
    )


def scatter_by_errors(stars: StarCatalogue, seed: int) -> StarCatalogue:
    """Draw what a survey with the catalogue's errors would have measured of these stars.

    Positions and motions are scattered independently at the catalogue's own epoch.

    Returns
    -------
    StarCatalogue
        With the same errors; positions are NaN where their error is not known, and so are motions.

    Examples
    --------
    >>> one = np.ones(1)
    >>> star = StarCatalogue(2015.5, 10 * one, 60 * one, 0 * one, 0 * one, one, one, one)
    >>> bool(abs(scatter_by_errors(star, 1).dec[0] - 60) < 1e-5)
    True
    """
    east, north, along_ra, along_dec = generator("catalogue errors", seed).standard_normal(
        (4, len(stars.ra))
    )
    directions = _triad(
        np.radians(np.asarray(stars.ra, float)), np.radians(np.asarray(stars.dec, float))
    )
    shift = _MAS * np.asarray(stars.position_error, float)
    measured = directions[0] + shift * (east * directions[1] + north * directions[2])
    return replace(
        stars,
        ra=np.degrees(np.arctan2(measured[1], measured[0])) % 360.0,
        dec=np.degrees(np.arctan2(measured[2], np.hypot(measured[0], measured[1]))),
        pmra=stars.pmra + stars.motion_error * along_ra,
        pmdec=stars.pmdec + stars.motion_error * along_dec,
    )


def _triad(ra: np.ndarray, dec: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return unit vectors towards the stars, east and north of them, each (3, n)."""
    zero = np.zeros_like(ra)
    direction = np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)])
    east = np.stack([-np.sin(ra), np.cos(ra), zero])
    north = np.stack([-np.sin(dec) * np.cos(ra), -np.sin(dec) * np.sin(ra), np.cos(dec)])
    return direction, east, north

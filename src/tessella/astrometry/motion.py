"""Where the stars of a catalogue stand at another time, and how well that is known.

Stars move in straight lines at constant speed: the direction at time t is that of
``r0 + t (p pmra + q pmdec) - parallax b`` with the unit vectors p east and q north of r0 and
the observer's barycentric position b (ESA 1997, The Hipparcos and Tycho Catalogues, vol. 1,
section 1.2.8, without the radial term, which is below 1 microarcsecond here).
"""

from dataclasses import dataclass, field, replace

import numpy as np

from tessella.randomness import generator

_MAS = np.pi / 648000 / 1000
#: Motion error over parallax error [1 / year]: ratio of the medians in the abstract of Gaia DR2
#: (Gaia Collaboration, Brown et al. 2018, A&A 616, A1. doi:10.1051/0004-6361/201833051).
_MOTION_OVER_PARALLAX_ERROR = 1.7
#: Typical motion per axis of a field star whose own was not measured [mas / year].
# ASSUME: 10 mas a year, the width of the motions of faint stars towards NGC 188.
UNMEASURED_MOTION = 10.0
#: A star that one straight path fits this much worse than expected is no single star (Gaia's ruwe;
#: Lindegren 2018, GAIA-C3-TN-LU-LL-124).
_LARGEST_RUWE = 1.4
#: Order of the parameters in covariances.
PARAMETERS = ("ra", "dec", "parallax", "pmra", "pmdec")


@dataclass(frozen=True)
class StarCatalogue:
    """Positions and motions of n stars; arrays have the shape (n,)."""

    #: Julian year that the positions refer to, of all or of each star.
    epoch: float | np.ndarray
    #: [deg]
    ra: np.ndarray
    dec: np.ndarray
    #: Motion in right ascension (times cos dec) and declination [mas / year]; NaN: not measured.
    pmra: np.ndarray
    pmdec: np.ndarray
    #: [mas]; NaN where not measured.
    parallax: np.ndarray
    #: (n, 5, 5): covariance of `PARAMETERS`, positions east and north [mas, mas / year]; NaN where
    #: not known.
    covariance: np.ndarray
    #: Names of the stars; empty where they have none.
    source_id: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))

    @property
    def has_motion(self) -> np.ndarray:
        """True where the motion was measured, (n,)."""
        return np.isfinite(self.pmra) & np.isfinite(self.pmdec)

    @property
    def status(self) -> np.ndarray:
        """What is known of each star, (n,): its motion, only its position, or no error of it."""
        known = np.isfinite(self.covariance[:, 0, 0]) & np.isfinite(self.covariance[:, 1, 1])
        said = np.where(self.has_motion, "moved", "motion not measured")
        return np.where(known, said, "error not known")


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
    #: Names of the stars, (n,); empty where they have none.
    source_id: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))


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


def covariance_of(
    errors: np.ndarray, correlations: np.ndarray | None = None, ruwe: np.ndarray | None = None
) -> np.ndarray:
    """Return covariances from standard errors and correlations.

    Parameters
    ----------
    errors : ndarray of shape (5, n)
        Of `PARAMETERS` [mas] and [mas / year]; NaN where not known.
    correlations : ndarray of shape (10, n), optional
        Of the pairs of `PARAMETERS` in order: ra and dec, ra and parallax, ... NaN counts as none.
    ruwe : ndarray of shape (n,), optional
        Gaia's goodness of fit: where it is above 1.4 errors are as much larger; NaN counts as 1.

    Returns
    -------
    ndarray of shape (n, 5, 5)

    Examples
    --------
    >>> covariance_of(np.array([[2.0], [1.0], [1.0], [1.0], [1.0]]), np.full((10, 1), 0.5))[0, 0]
    array([4., 1., 1., 1., 1.])
    """
    covariance = np.zeros((errors.shape[1], 5, 5))
    covariance[:] = np.eye(5)
    if correlations is not None:
        upper = np.triu_indices(5, 1)
        known = np.where(np.isfinite(correlations), correlations, 0.0).T
        covariance[:, upper[0], upper[1]] = covariance[:, upper[1], upper[0]] = known
    if ruwe is not None:
        # ASSUME: what a single star's path misses looks like noise of the same size.
        errors = errors * np.where(ruwe > _LARGEST_RUWE, ruwe, 1.0)
    return covariance * errors.T[:, :, None] * errors.T[:, None, :]


def move_to_epoch(
    stars: StarCatalogue,
    epoch: float,
    unmeasured_motion_mas_per_year: float = UNMEASURED_MOTION,
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
        Covariance: that of position, parallax and motion carried along; where position alone was
        measured, its own and that of a typical motion. NaN stays NaN.

    Examples
    --------
    >>> one = np.ones(1)
    >>> errors = covariance_of(np.ones((5, 1)))
    >>> star = StarCatalogue(2015.5, 10 * one, 60 * one, 0 * one, 100 * one, one, errors)
    >>> moved = move_to_epoch(star, 2025.5)
    >>> round(float((moved.dec[0] - 60) * 3.6e6), 3), moved.covariance[0, 0, 0].round(3)
    (1000.0, np.float64(101.0))
    """
    years = np.broadcast_to(epoch - np.asarray(stars.epoch, float), np.shape(stars.ra))
    ra, dec = np.radians(np.asarray(stars.ra, float)), np.radians(np.asarray(stars.dec, float))
    direction, east, north = _triad(ra, dec)
    is_moved = stars.has_motion
    moved = direction + years * _MAS * (
        np.where(is_moved, stars.pmra, 0.0) * east + np.where(is_moved, stars.pmdec, 0.0) * north
    )
    # Offsets east and north by each parameter.
    by = np.zeros((len(ra), 2, 5))
    by[:, 0, 0] = by[:, 1, 1] = 1.0
    by[:, 0, 3] = by[:, 1, 4] = np.where(is_moved, years, 0.0)
    if observer_au is not None:
        observer = np.asarray(observer_au, float)
        has_parallax = np.isfinite(stars.parallax)
        moved = moved - np.where(has_parallax, stars.parallax, 0.0) * _MAS * observer[:, None]
        by[:, 0, 2], by[:, 1, 2] = np.where(has_parallax, -observer @ np.stack([east, north]), 0.0)
    # What is not measured takes no part; NaN of positions stays.
    known = np.where(np.isfinite(stars.covariance), stars.covariance, 0.0)
    known[:, :2, :2] = stars.covariance[:, :2, :2]
    unknown = np.where(is_moved, 0.0, (years * unmeasured_motion_mas_per_year) ** 2)
    # A motion of unknown error is known no better than one that was not measured.
    no_error = is_moved & ~np.isfinite(stars.covariance[:, 3:, 3:]).all(axis=(1, 2))
    unknown[no_error] = (years[no_error] * unmeasured_motion_mas_per_year) ** 2
    return Positions(
        ra=np.degrees(np.arctan2(moved[1], moved[0])) % 360.0,
        dec=np.degrees(np.arctan2(moved[2], np.hypot(moved[0], moved[1]))),
        covariance=by @ known @ by.transpose(0, 2, 1) + unknown[:, None, None] * np.eye(2),
        is_moved=is_moved,
        source_id=stars.source_id,
    )


def move_along_great_circle(
    ra: float | np.ndarray,
    dec: float | np.ndarray,
    position_angle: float | np.ndarray,
    distance_arcsec: float | np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the positions at a distance from others in a direction.

    Parameters
    ----------
    ra, dec : float or ndarray of shape (n,)
        [deg]
    position_angle : float or ndarray of shape (n,)
        Direction there, east of north [deg].
    distance_arcsec : float or ndarray of shape (n,)
        [arcsec]; negative ones lead the other way.

    Returns
    -------
    ra, dec : ndarray of shape (n,)
        Right ascension in [0, 360) and declination [deg].

    Examples
    --------
    >>> ra, dec = move_along_great_circle(0.0, 89.0, 0.0, np.array([3600.0, 7200.0]))
    >>> dec.round(6).tolist(), round(float(ra[1]), 6)
    ([90.0, 89.0], 180.0)
    """
    values = np.broadcast_arrays(*map(np.atleast_1d, (ra, dec, position_angle, distance_arcsec)))
    a, d, angle = (np.radians(np.asarray(value, float)) for value in values[:3])
    direction, east, north = _triad(a, d)
    distance = np.asarray(values[3], float) * _MAS * 1000
    moved = direction * np.cos(distance) + np.sin(distance) * (
        np.sin(angle) * east + np.cos(angle) * north
    )
    return (
        np.degrees(np.arctan2(moved[1], moved[0])) % 360.0,
        np.degrees(np.arctan2(moved[2], np.hypot(moved[0], moved[1]))),
    )


def scatter_by_errors(stars: StarCatalogue, *key: int) -> StarCatalogue:
    """Draw what a survey with the catalogue's errors would have measured of these stars.

    All parameters are scattered at the catalogue's own epoch, correlated as the errors are.

    Parameters
    ----------
    stars : StarCatalogue
    *key : int
        Seed, and what else the draw is for.

    Returns
    -------
    StarCatalogue
        With the same errors; positions are NaN where their error is not known, and so are motions.

    Examples
    --------
    >>> one, errors = np.ones(1), covariance_of(np.ones((5, 1)))
    >>> star = StarCatalogue(2015.5, 10 * one, 60 * one, 0 * one, 0 * one, one, errors)
    >>> bool(abs(scatter_by_errors(star, 1).dec[0] - 60) < 1e-5)
    True
    """
    drawn = generator("catalogue errors", *key).standard_normal((len(stars.ra), 5))
    known = np.isfinite(np.einsum("nii->ni", stars.covariance))
    values, axes = np.linalg.eigh(np.where(np.isfinite(stars.covariance), stars.covariance, 0.0))
    offsets = np.einsum("nij,nj,nj->ni", axes, np.sqrt(np.maximum(values, 0.0)), drawn)
    offsets = np.where(known, offsets, np.nan)
    directions = _triad(
        np.radians(np.asarray(stars.ra, float)), np.radians(np.asarray(stars.dec, float))
    )
    measured = directions[0] + _MAS * (
        offsets[:, 0] * directions[1] + offsets[:, 1] * directions[2]
    )
    return replace(
        stars,
        ra=np.degrees(np.arctan2(measured[1], measured[0])) % 360.0,
        dec=np.degrees(np.arctan2(measured[2], np.hypot(measured[0], measured[1]))),
        parallax=stars.parallax + offsets[:, 2],
        pmra=stars.pmra + offsets[:, 3],
        pmdec=stars.pmdec + offsets[:, 4],
    )


def _triad(ra: np.ndarray, dec: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return unit vectors towards the stars, east and north of them, each (3, n)."""
    zero = np.zeros_like(ra)
    direction = np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)])
    east = np.stack([-np.sin(ra), np.cos(ra), zero])
    north = np.stack([-np.sin(dec) * np.cos(ra), -np.sin(dec) * np.sin(ra), np.cos(dec)])
    return direction, east, north

"""What changes in a sky: the truth table as it looks during one exposure."""

import numpy as np
from astropy.time import Time

from tessella.astrometry.motion import StarCatalogue, move_along_great_circle, move_to_epoch
from tessella.astrometry.observatory import observatory_position
from tessella.instrument.optical_elements import filters
from tessella.simulate import light_curves

#: A source that moves farther than this during an exposure is a trail of sources that far apart
#: [arcsec]: half a pixel.
TRAIL_STEP_ARCSEC = 0.055


def is_variable(truth: np.ndarray) -> np.ndarray:
    """Tell which sources change their light, (n,)."""
    return np.isin(truth["light_curve"], light_curves.KINDS)


def seen_during(truth: np.ndarray, start_mjd: float, seconds: float) -> np.ndarray:
    """Return the sources of a sky where and as bright as they are during an exposure.

    Parameters
    ----------
    truth : structured ndarray
        (n,) sources with the columns of `tessella.simulate.scene.truth_dtype`.
    start_mjd : float
        Start of the exposure (UTC) [MJD].
    seconds : float
        How long it takes [s].

    Returns
    -------
    structured ndarray
        The same columns and at least n rows: positions and fluxes are those of the middle of the
        exposure. A source that moves by more than half a pixel is a trail of sources of the same
        ``id`` that share its light.

    Raises
    ------
    ValueError
        If a source has a light curve that there is not.

    Examples
    --------
    >>> from tessella.simulate.scene import empty_rows
    >>> body = empty_rows(1, 61465.0)
    >>> body["F158"], body["rate"], body["rate_pa"] = 1e-8, 36.0, 90.0
    >>> trail = seen_during(body, 61465.0, 57.0)
    >>> len(trail), float(trail["F158"].sum()), round(float(trail["ra"].max() * 3600), 2)
    (11, 1e-08, 0.54)
    """
    _refuse_unknown(truth)
    middle = start_mjd + seconds / 2 / 86400
    seen = truth.copy()
    factor = _flux_factors(truth, middle)
    for name in filters():
        seen[name] *= factor
    _move_stars(seen, middle)
    stands = truth["rate"] == 0
    # Most skies are large and have no bodies.
    if stands.all():
        return seen
    return np.concatenate([seen[stands], *_trails(seen, middle, seconds)])


def _refuse_unknown(truth: np.ndarray) -> None:
    known = is_variable(truth) | np.isin(truth["light_curve"], ("none", ""))
    if not known.all():
        raise ValueError(
            f"light curve '{truth['light_curve'][~known][0]}': there are "
            f"{', '.join(light_curves.KINDS)} and none"
        )


def _flux_factors(truth: np.ndarray, mjd: float) -> np.ndarray:
    factor = np.ones(len(truth))
    for kind in light_curves.KINDS:
        rows = truth["light_curve"] == kind
        days, timescale = mjd - truth["t0"][rows], truth["timescale"][rows]
        if kind == "supernova":
            factor[rows] = light_curves.supernova(days, timescale)
        elif kind == "periodic":
            factor[rows] = light_curves.periodic(days, timescale, truth["amplitude"][rows])
        else:
            factor[rows] = light_curves.microlensing(days, timescale, truth["u0"][rows])
    return factor


def _move_stars(seen: np.ndarray, mjd: float) -> None:
    """Move the stars that have motions or parallaxes from where they were seen at their epochs."""
    moving = (seen["pmra"] != 0) | (seen["pmdec"] != 0) | (seen["parallax"] != 0)
    year = _julian_year(mjd)
    for epoch in np.unique(seen["epoch_mjd"][moving]):
        rows = np.flatnonzero(moving & (seen["epoch_mjd"] == epoch))
        before = _julian_year(float(epoch))
        stars = StarCatalogue(
            epoch=before,
            ra=seen["ra"][rows],
            dec=seen["dec"][rows],
            pmra=seen["pmra"][rows],
            pmdec=seen["pmdec"][rows],
            parallax=seen["parallax"][rows],
            covariance=np.zeros((len(rows), 5, 5)),
        )
        # The parallax at the epoch is part of the place.
        step = observatory_position(year) - observatory_position(before)
        moved = move_to_epoch(stars, year, observer_au=step)
        seen["ra"][rows], seen["dec"][rows] = moved.ra, moved.dec


def _julian_year(mjd: float) -> float:
    return float(Time(mjd, format="mjd", scale="utc").jyear)


def _trails(seen: np.ndarray, mjd: float, seconds: float) -> list[np.ndarray]:
    """Return the trail of each body that crosses the field."""
    trails = []
    for body in seen[seen["rate"] != 0]:
        path = body["rate"] * seconds / 3600
        n = max(1, int(np.ceil(path / TRAIL_STEP_ARCSEC)))
        # ASSUME: the light of a trail reaches each of its pixels evenly during the exposure.
        trail = np.repeat(body, n)
        for name in filters():
            trail[name] /= n
        along = ((np.arange(n) + 0.5) / n - 0.5) * path
        passed = body["rate"] * (mjd - body["epoch_mjd"]) * 24
        trail["ra"], trail["dec"] = move_along_great_circle(
            body["ra"], body["dec"], body["rate_pa"], passed + along
        )
        trails.append(trail)
    return trails

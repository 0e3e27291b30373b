"""The sky that the simulator observes: catalogue stars, drawn stars, galaxies, all known."""

from dataclasses import dataclass

import numpy as np

from tessella.astrometry.motion import StarCatalogue, move_to_epoch
from tessella.astrometry.observatory import observatory_position
from tessella.astrometry.tangent import pixel_to_sky, sky_to_pixel
from tessella.instrument.optical_elements import filters
from tessella.models import Lattice
from tessella.randomness import generator

#: Filter in which the magnitudes of drawn objects are drawn.
_MAGNITUDE_FILTER = "F158"
#: Effective wavelength of the Gaia G band [um].
_GAIA_G_UM = 0.64


@dataclass(frozen=True)
class Field:
    """A square part of the sky, north up, and how crowded it is."""

    #: Centre [deg].
    ra: float
    dec: float
    #: Half of the side [arcsec].
    half_width_arcsec: float
    #: Objects drawn, besides the stars of the catalogue [1 / arcmin^2].
    stars_per_arcmin2: float
    galaxies_per_arcmin2: float


def truth_dtype() -> np.dtype:
    """Return the columns of a truth table.

    ``ra dec`` [deg]; ``n half_light_radius pa ba``: Sersic index (-1 for stars), half-light
    radius [arcsec] of the circle of equal area, position angle of the major axis east of north
    [deg] and axis ratio; ``type`` PSF or SER; one flux [maggies, 1 = AB magnitude 0] a filter;
    ``source_id`` of Gaia, 0 for drawn objects; ``id`` counts the rows.
    """
    shape = [(name, "f4") for name in ("n", "half_light_radius", "pa", "ba")]
    fluxes = [(name, "f8") for name in filters()]
    return np.dtype(
        [
            ("ra", "f8"),
            ("dec", "f8"),
            *shape,
            ("type", "U3"),
            *fluxes,
            ("source_id", "i8"),
            ("id", "i8"),
        ]
    )


def draw_scene(
    field: Field,
    catalogue: StarCatalogue,
    g_mag: np.ndarray,
    bp_rp: np.ndarray,
    epoch: float,
    seed: int,
) -> np.ndarray:
    """Draw a field around the stars of a catalogue.

    Parameters
    ----------
    field : Field
        Where, and how many objects.
    catalogue : StarCatalogue
        n stars with Gaia's names; those without a measured motion stay at their place.
    g_mag, bp_rp : ndarray of shape (n,)
        Gaia G magnitude and BP - RP colour; NaN where not measured: stars without magnitude are
        left out, those without colour get a colour of 1.
    epoch : float
        Julian year at which all positions hold, as the observatory sees them.
    seed : int
        Keys the draw.

    Returns
    -------
    structured ndarray
        The columns of `truth_dtype`; catalogue stars first.

    Examples
    --------
    >>> none = np.zeros(0)
    >>> empty = StarCatalogue(2015.5, none, none, none, none, none, np.zeros((0, 5, 5)))
    >>> field = Field(10.0, 60.0, 60.0, 140.0, 30.0)
    >>> scene = draw_scene(field, empty, none, none, 2027.0, 1)
    >>> len(scene), scene["type"][0]
    (680, np.str_('PSF'))
    """
    area_arcmin2 = (2 * field.half_width_arcsec / 60) ** 2
    parts = (
        _catalogue_stars(field, catalogue, g_mag, bp_rp, epoch),
        _drawn_stars(field, round(field.stars_per_arcmin2 * area_arcmin2), seed),
        _drawn_galaxies(field, round(field.galaxies_per_arcmin2 * area_arcmin2), seed),
    )
    scene = np.concatenate(parts)
    scene["id"] = np.arange(len(scene))
    return scene


def maggies(mag: np.ndarray, slope: np.ndarray, pivot_um: float) -> dict[str, np.ndarray]:
    """Return fluxes of smooth spectra in every filter.

    Parameters
    ----------
    mag : ndarray of shape (n,)
        AB magnitude at the pivot.
    slope : ndarray of shape (n,)
        Magnitudes by which the spectrum brightens for each factor e of wavelength.
    pivot_um : float
        [um]

    Returns
    -------
    dict of ndarray of shape (n,)
        [maggies] by filter.

    Examples
    --------
    >>> float(maggies(np.array([20.0]), np.array([0.0]), 1.58)["F106"][0].round(12))
    1e-08
    """
    return {
        name: 10 ** (-0.4 * (mag - slope * np.log(entry.wavelength_center / pivot_um)))
        for name, entry in filters().items()
    }


def _plane(field: Field) -> Lattice:
    """Plane of 1 arcsec pixels with the field's centre at (0, 0)."""
    return Lattice(field.ra, field.dec, 0.0, 0.0, 1.0, 1, 1)


def _point_sources(n: int) -> np.ndarray:
    rows = np.zeros(n, truth_dtype())
    rows["n"], rows["ba"], rows["type"] = -1, 1, "PSF"
    return rows


def _catalogue_stars(
    field: Field,
    catalogue: StarCatalogue,
    g_mag: np.ndarray,
    bp_rp: np.ndarray,
    epoch: float,
) -> np.ndarray:
    moved = move_to_epoch(catalogue, epoch, observer_au=observatory_position(epoch))
    x, y = sky_to_pixel(_plane(field), moved.ra, moved.dec)
    half = field.half_width_arcsec
    keep = (np.abs(x) < half) & (np.abs(y) < half) & np.isfinite(g_mag)
    rows = _point_sources(int(keep.sum()))
    rows["ra"], rows["dec"] = moved.ra[keep], moved.dec[keep]
    rows["source_id"] = catalogue.source_id[keep] if len(catalogue.source_id) else 0
    # ASSUME: stars without a measured colour are like the Sun, BP - RP of about 1.
    color = np.where(np.isfinite(bp_rp), bp_rp, 1.0)[keep]
    # ASSUME: the AB magnitude at 0.64 um is G + 0.3, and stars brighten by 0.9 (BP - RP) magnitudes
    # for each factor e of wavelength; only smoothness and a plausible colour matter here.
    for name, flux in maggies(g_mag[keep] + 0.3, 0.9 * color, _GAIA_G_UM).items():
        rows[name] = flux
    return rows


def _scatter(field: Field, rows: np.ndarray, rng: np.random.Generator) -> None:
    half = field.half_width_arcsec
    x, y = rng.uniform(-half, half, (2, len(rows)))
    rows["ra"], rows["dec"] = pixel_to_sky(_plane(field), x, y)


def _drawn_stars(field: Field, n: int, seed: int) -> np.ndarray:
    rng = generator("scene stars", seed)
    rows = _point_sources(n)
    _scatter(field, rows, rng)
    # ASSUME: faint stars, S/N of 5 to about 150 in a minute's exposure, evenly by magnitude.
    mag, slope = rng.uniform(20.0, 24.5, n), rng.normal(0.3, 0.4, n)
    for name, flux in maggies(mag, slope, filters()[_MAGNITUDE_FILTER].wavelength_center).items():
        rows[name] = flux
    return rows


def _drawn_galaxies(field: Field, n: int, seed: int) -> np.ndarray:
    rng = generator("scene galaxies", seed)
    rows = np.zeros(n, truth_dtype())
    rows["type"] = "SER"
    _scatter(field, rows, rng)
    # ASSUME: counts rise by 10**(0.34 mag) from 18.5 to 26, sizes shrink by 10**(-0.1 mag).
    brightest, faintest, rise = 18.5, 26.0, 0.34
    span = 10 ** (rise * (faintest - brightest)) - 1
    mag = brightest + np.log10(1 + rng.random(n) * span) / rise
    size = 0.45 * 10 ** (-0.1 * (mag - 22)) * rng.lognormal(0, 0.35, n)
    rows["half_light_radius"] = np.clip(size, 0.06, 1.2)
    rows["n"] = rng.choice([1.0, 1.0, 1.5, 2.5, 4.0], n)
    rows["pa"] = rng.uniform(0, 180, n)
    rows["ba"] = np.clip(rng.beta(3.0, 1.2, n), 0.2, 1.0)
    slope = rng.normal(0.9, 0.5, n)
    for name, flux in maggies(mag, slope, filters()[_MAGNITUDE_FILTER].wavelength_center).items():
        rows[name] = flux
    return rows

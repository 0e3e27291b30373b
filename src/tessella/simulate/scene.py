"""The sky that the simulator observes: stars of a catalogue, what is drawn, what users give."""

from dataclasses import dataclass

import numpy as np
from astropy.cosmology import FlatLambdaCDM
from astropy.time import Time

from tessella.astrometry.motion import StarCatalogue, move_to_epoch
from tessella.astrometry.observatory import observatory_position
from tessella.astrometry.tangent import pixel_to_sky, sky_to_pixel
from tessella.instrument.optical_elements import filters
from tessella.models import Lattice
from tessella.randomness import generator
from tessella.simulate.spectra import TEMPLATES, galaxy_maggies, stellar_maggies
from tessella.simulate.star_counts import draw_magnitudes

#: Sersic indices that can be drawn.
SERSIC_RANGE = (0.3, 6.2)
#: Filter in which the magnitudes of drawn objects are drawn.
_MAGNITUDE_FILTER = "F158"
#: Pivot of the Gaia G band [um], and its AB minus Vega magnitude (Riello et al. 2021, A&A 649, A3,
#: doi:10.1051/0004-6361/202039587: zero points 25.8010 and 25.6874).
_GAIA_G_UM, _GAIA_G_AB = 0.6218, 0.1136
#: Pivot of V [um] and its AB minus Vega magnitude (Bessell & Murphy 2012, PASP 124, 140).
_V_UM, _V_AB = 0.551, 0.02
#: Catalogue stars reach about as faint in V; drawn ones of the Galaxy's counts begin there.
# ASSUME: Gaia's limit of G = 20.7 in V, and what lies beyond V = 28 is too faint to matter.
_COUNTS_FROM, _COUNTS_TO = 20.7, 28.0
#: Sersic index and template of drawn galaxies, one in five of each.
_GALAXY_KINDS = (
    (1.0, "starburst"),
    (1.0, "late spiral"),
    (1.5, "late spiral"),
    (2.5, "early spiral"),
    (4.0, "elliptical"),
)
_SUN_K = 5772.0
_COSMOLOGY = FlatLambdaCDM(H0=70.0, Om0=0.3)


@dataclass(frozen=True)
class Field:
    """A square part of the sky, north up, what is drawn there, and when it is looked at."""

    #: Centre [deg].
    ra: float
    dec: float
    #: Half of the side [arcsec].
    half_width_arcsec: float
    #: Objects drawn, besides the stars of the catalogue [1 / arcmin^2]; stars by the Galaxy's
    #: counts where None.
    stars_per_arcmin2: float | None
    galaxies_per_arcmin2: float
    #: Start of the first and of the last exposure (UTC) [MJD].
    first_mjd: float
    last_mjd: float
    #: Whether the stars of the catalogue stand there.
    reference_stars: bool = True
    #: Sources that change, in the whole field.
    supernovae: int = 0
    periodic_stars: int = 0
    microlensing_events: int = 0
    movers: int = 0


def truth_dtype() -> np.dtype:
    """Return the columns of a truth table.

    ``ra dec`` [deg] at the time ``epoch_mjd`` (UTC) [MJD], as the observatory sees them; ``n
    half_light_radius pa ba``: Sersic index (-1 for stars), half-light radius [arcsec] of the circle
    of equal area, position angle of the major axis east of north [deg] and axis ratio; ``type`` PSF
    or SER; one flux [maggies, 1 = AB magnitude 0] a filter, NaN where a user's table has none;
    ``redshift``, 0 for stars.

    Motion: ``pmra`` (times cos dec) ``pmdec`` [mas / year] and ``parallax`` [mas] of stars;
    ``rate`` [arcsec / h] and ``rate_pa``, the direction east of north [deg], of bodies that cross
    the field. 0 stands still.

    Light: ``light_curve``, one of `tessella.simulate.light_curves.KINDS` or ``none``, with ``t0``
    (maximum or closest approach, UTC) [MJD], ``timescale`` [d] (fading, period, Einstein time),
    ``amplitude`` [mag] of periodic stars and ``u0`` [Einstein radii] of microlensing. Fluxes are
    those of a supernova at maximum, of a periodic star at its mean magnitude, of a lensed star
    without the lens.

    ``source_id`` of Gaia, 0 for others; ``id`` counts the rows; ``host`` is the id of a supernova's
    galaxy, -1 for none.
    """
    shape = [(name, "f4") for name in ("n", "half_light_radius", "pa", "ba")]
    fluxes = [(name, "f8") for name in filters()]
    motion = [
        (name, "f8") for name in ("epoch_mjd", "pmra", "pmdec", "parallax", "rate", "rate_pa")
    ]
    light = [(name, "f8") for name in ("t0", "timescale", "amplitude", "u0")]
    return np.dtype(
        [
            ("ra", "f8"),
            ("dec", "f8"),
            *shape,
            ("type", "U3"),
            *fluxes,
            ("redshift", "f4"),
            *motion,
            ("light_curve", "U12"),
            *light,
            ("source_id", "i8"),
            ("id", "i8"),
            ("host", "i8"),
        ]
    )


def empty_rows(n: int, epoch_mjd: float) -> np.ndarray:
    """Return n rows of a truth table: point sources that neither move nor change, without light.

    Examples
    --------
    >>> rows = empty_rows(2, 61465.0)
    >>> rows["type"].tolist(), rows["light_curve"].tolist(), rows["n"].tolist()
    (['PSF', 'PSF'], ['none', 'none'], [-1.0, -1.0])
    """
    rows = np.zeros(n, truth_dtype())
    rows["n"], rows["ba"], rows["type"] = -1, 1, "PSF"
    rows["epoch_mjd"], rows["light_curve"], rows["host"] = epoch_mjd, "none", -1
    return rows


def draw_scene(
    field: Field,
    catalogue: StarCatalogue,
    g_mag: np.ndarray,
    bp_rp: np.ndarray,
    seed: int,
    given: np.ndarray | None = None,
) -> np.ndarray:
    """Draw a field around the stars of a catalogue and the sources of a user.

    Parameters
    ----------
    field : Field
        Where, when, and how many objects.
    catalogue : StarCatalogue
        n stars with Gaia's names; those without a measured motion stay at their place.
    g_mag, bp_rp : ndarray of shape (n,)
        Gaia G magnitude and BP - RP colour; NaN where not measured: stars without magnitude are
        left out, those without colour get a colour of 1.
    seed : int
        Keys the draw.
    given : structured ndarray, optional
        Sources of a user with the columns of `truth_dtype`, in the field or not.

    Returns
    -------
    structured ndarray
        The columns of `truth_dtype` at the start of the first exposure; catalogue stars first, then
        drawn stars and galaxies, sources that change, and the user's.

    Raises
    ------
    ValueError
        If stars are to be counted near the plane of the Galaxy.

    Examples
    --------
    >>> none = np.zeros(0)
    >>> empty = StarCatalogue(2015.5, none, none, none, none, none, np.zeros((0, 5, 5)))
    >>> field = Field(10.0, 60.0, 60.0, 140.0, 30.0, 61465.0, 61465.1)
    >>> scene = draw_scene(field, empty, none, none, 1)
    >>> len(scene), scene["type"][0]
    (680, np.str_('PSF'))
    """
    area_arcmin2 = (2 * field.half_width_arcsec / 60) ** 2
    still = np.concatenate(
        [
            _catalogue_stars(field, catalogue, g_mag, bp_rp),
            _drawn_stars(field, area_arcmin2, seed),
            _drawn_galaxies(field, round(field.galaxies_per_arcmin2 * area_arcmin2), seed),
        ]
    )
    still["id"] = np.arange(len(still))
    parts = [
        still,
        _supernovae(field, still[still["type"] == "SER"], seed),
        _periodic_stars(field, seed),
        _microlensing_events(field, seed),
        _movers(field, seed),
    ]
    scene = np.concatenate(parts if given is None else [*parts, given])
    scene["id"] = np.arange(len(scene))
    return scene


def _plane(field: Field) -> Lattice:
    """Plane of 1 arcsec pixels with the field's centre at (0, 0)."""
    return Lattice(field.ra, field.dec, 0.0, 0.0, 1.0, 1, 1)


def _set_fluxes(rows: np.ndarray, fluxes: dict[str, np.ndarray]) -> None:
    for name, flux in fluxes.items():
        rows[name] = flux


def _temperature(bp_rp: np.ndarray) -> np.ndarray:
    """Effective temperature [K] of dwarfs of solar metallicity by their Gaia colour.

    Mucciarelli, Bellazzini & Massari 2021, A&A 653, A90, table 1. doi:10.1051/0004-6361/202140979
    """
    # The relation holds from 0.39 to 1.5; beyond, its parabola still cools monotonically to 4.
    color = np.clip(bp_rp, -0.4, 4.0)
    return 5040 / (0.4929 + 0.5092 * color - 0.0353 * color**2)


def _catalogue_stars(
    field: Field, catalogue: StarCatalogue, g_mag: np.ndarray, bp_rp: np.ndarray
) -> np.ndarray:
    epoch = float(Time(field.first_mjd, format="mjd", scale="utc").jyear)
    moved = move_to_epoch(catalogue, epoch, observer_au=observatory_position(epoch))
    x, y = sky_to_pixel(_plane(field), moved.ra, moved.dec)
    half = field.half_width_arcsec
    keep = (np.abs(x) < half) & (np.abs(y) < half) & np.isfinite(g_mag) & field.reference_stars
    rows = empty_rows(int(keep.sum()), field.first_mjd)
    rows["ra"], rows["dec"] = moved.ra[keep], moved.dec[keep]
    rows["source_id"] = catalogue.source_id[keep] if len(catalogue.source_id) else 0
    # ASSUME: motions keep their components; at high declinations east turns along the path,
    # by 0.02 mas in four months for a star 4 arcsec from its place in Gaia.
    for name in ("pmra", "pmdec", "parallax"):
        measured = np.where(catalogue.has_motion, getattr(catalogue, name), 0.0)[keep]
        rows[name] = np.where(np.isfinite(measured), measured, 0.0)
    # ASSUME: stars without a measured colour are like the Sun, BP - RP of about 1.
    color = np.where(np.isfinite(bp_rp), bp_rp, 1.0)[keep]
    # ASSUME: stars are black bodies without dust before them; colours are plausible, not exact.
    _set_fluxes(rows, stellar_maggies(g_mag[keep] + _GAIA_G_AB, _temperature(color), _GAIA_G_UM))
    return rows


def _scatter(field: Field, rows: np.ndarray, rng: np.random.Generator) -> None:
    half = field.half_width_arcsec
    x, y = rng.uniform(-half, half, (2, len(rows)))
    rows["ra"], rows["dec"] = pixel_to_sky(_plane(field), x, y)


def _star_temperatures(n: int, rng: np.random.Generator) -> np.ndarray:
    # ASSUME: faint field stars are dwarfs of types F to M, most of them K.
    return np.clip(rng.normal(4300.0, 700.0, n), 2800.0, 7000.0)


def _drawn_stars(field: Field, area_arcmin2: float, seed: int) -> np.ndarray:
    rng = generator("scene stars", seed)
    if field.stars_per_arcmin2 is None:
        mag = _V_AB + draw_magnitudes(
            field.ra, field.dec, area_arcmin2 / 3600, _COUNTS_FROM, _COUNTS_TO, rng
        )
        pivot = _V_UM
    else:
        # ASSUME: faint stars, S/N of 5 to about 150 in a minute's exposure, evenly by magnitude.
        mag = rng.uniform(20.0, 24.5, round(field.stars_per_arcmin2 * area_arcmin2))
        pivot = filters()[_MAGNITUDE_FILTER].wavelength_center
    return _stars(field, mag, pivot, rng)


def _stars(field: Field, mag: np.ndarray, pivot_um: float, rng: np.random.Generator) -> np.ndarray:
    """Scatter stars of given AB magnitudes over the field."""
    rows = empty_rows(len(mag), field.first_mjd)
    _scatter(field, rows, rng)
    _set_fluxes(rows, stellar_maggies(mag, _star_temperatures(len(mag), rng), pivot_um))
    return rows


def _drawn_galaxies(field: Field, n: int, seed: int) -> np.ndarray:
    rng = generator("scene galaxies", seed)
    rows = empty_rows(n, field.first_mjd)
    rows["type"] = "SER"
    _scatter(field, rows, rng)
    # ASSUME: counts rise by 10**(0.34 mag) from 18.5 to 26, sizes shrink by 10**(-0.1 mag).
    brightest, faintest, rise = 18.5, 26.0, 0.34
    span = 10 ** (rise * (faintest - brightest)) - 1
    mag = brightest + np.log10(1 + rng.random(n) * span) / rise
    size = 0.45 * 10 ** (-0.1 * (mag - 22)) * rng.lognormal(0, 0.35, n)
    rows["half_light_radius"] = np.clip(size, 0.06, 1.2)
    kind = rng.integers(0, len(_GALAXY_KINDS), n)
    rows["n"] = np.array([index for index, _ in _GALAXY_KINDS])[kind]
    rows["pa"] = rng.uniform(0, 180, n)
    rows["ba"] = np.clip(rng.beta(3.0, 1.2, n), 0.2, 1.0)
    # Smail, Ellis & Fitchett 1994, MNRAS 270, 245: z**2 exp(-(z / z0)**1.5), median 1.41 z0.
    # ASSUME: the median redshift rises by 0.14 a magnitude, from 0.3 at magnitude 20.
    median = np.maximum(0.3 + 0.14 * (mag - 20), 0.1)
    redshift = median / 1.41 * rng.gamma(2.0, 1.0, n) ** (1 / 1.5)
    rows["redshift"] = np.clip(redshift, 0.01, 6.0)
    names = [template.name for template in TEMPLATES]
    template = np.array([names.index(name) for _, name in _GALAXY_KINDS])[kind]
    _set_fluxes(rows, galaxy_maggies(mag, _MAGNITUDE_FILTER, rows["redshift"], template))
    return rows


def _supernovae(field: Field, galaxies: np.ndarray, seed: int) -> np.ndarray:
    """Draw supernovae of type Ia in galaxies of the field; without galaxies, in none."""
    rng = generator("scene supernovae", seed)
    n = field.supernovae
    rows = empty_rows(n, field.first_mjd)
    rows["light_curve"] = "supernova"
    _scatter(field, rows, rng)
    # ASSUME: as many at each redshift as the volume within 1.2 holds; without galaxies they have
    # no visible host, else they explode in a galaxy whose redshift is below that, if there is one.
    rows["redshift"] = np.maximum(1.2 * rng.random(n) ** (1 / 3), 0.02)
    hosts = galaxies[galaxies["redshift"] <= 1.2]
    if len(hosts):
        chosen = hosts[rng.integers(0, len(hosts), n)]
        radius = chosen["half_light_radius"] * np.sqrt(rng.random(n))
        angle = rng.uniform(0, 2 * np.pi, n)
        rows["dec"] = chosen["dec"] + radius * np.cos(angle) / 3600
        east = radius * np.sin(angle) / 3600
        rows["ra"] = (chosen["ra"] + east / np.cos(np.radians(chosen["dec"]))) % 360
        rows["redshift"], rows["host"] = chosen["redshift"], chosen["id"]
    stretch = 1 + rows["redshift"].astype(float)
    rows["timescale"] = 20.0 * stretch
    rows["t0"] = rng.uniform(field.first_mjd - rows["timescale"], field.last_mjd + 10.0, n)
    # ASSUME: B = -19.3 (about its AB magnitude) with a scatter of 0.15, black bodies of 10,000 K
    # whose colour does not change.
    distance = np.array([_COSMOLOGY.distmod(z).value for z in rows["redshift"]])
    mag = -19.3 + rng.normal(0, 0.15, n) + distance - 2.5 * np.log10(stretch)
    _set_fluxes(rows, stellar_maggies(mag, 1.0e4 / stretch, 0.44 * stretch))
    return rows


def _changing_stars(
    field: Field, n: int, purpose: str, seed: int
) -> tuple[np.ndarray, np.random.Generator]:
    rng = generator(purpose, seed)
    pivot = filters()[_MAGNITUDE_FILTER].wavelength_center
    return _stars(field, rng.uniform(19.0, 23.0, n), pivot, rng), rng


def _periodic_stars(field: Field, seed: int) -> np.ndarray:
    n = field.periodic_stars
    rows, rng = _changing_stars(field, n, "scene periodic stars", seed)
    rows["light_curve"] = "periodic"
    # ASSUME: periods from 0.1 to 100 days, amplitudes to half a magnitude.
    rows["timescale"] = 10 ** rng.uniform(-1, 2, n)
    rows["amplitude"] = rng.uniform(0.05, 0.5, n)
    rows["t0"] = field.first_mjd + rng.random(n) * rows["timescale"]
    return rows


def _microlensing_events(field: Field, seed: int) -> np.ndarray:
    n = field.microlensing_events
    rows, rng = _changing_stars(field, n, "scene microlensing", seed)
    rows["light_curve"] = "microlensing"
    # ASSUME: Einstein times of 20 days, a factor 2 either way; all impact parameters alike.
    rows["timescale"] = 20.0 * rng.lognormal(0, np.log(2), n)
    rows["u0"] = rng.uniform(0.01, 1.0, n)
    rows["t0"] = rng.uniform(field.first_mjd, field.last_mjd, n)
    return rows


def _movers(field: Field, seed: int) -> np.ndarray:
    """Draw bodies of the solar system; each stands in the field at some time of the run."""
    n = field.movers
    rng = generator("scene movers", seed)
    rows = empty_rows(n, field.first_mjd)
    _scatter(field, rows, rng)
    # ASSUME: rates from those beyond Neptune to the main belt, any direction, colour of the Sun.
    rows["rate"], rows["rate_pa"] = 10 ** rng.uniform(0, 1.8, n), rng.uniform(0, 360, n)
    rows["epoch_mjd"] = rng.uniform(field.first_mjd, field.last_mjd, n)
    pivot = filters()[_MAGNITUDE_FILTER].wavelength_center
    _set_fluxes(rows, stellar_maggies(rng.uniform(19.0, 24.0, n), np.full(n, _SUN_K), pivot))
    return rows

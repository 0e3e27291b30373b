"""The samples behind the figures: true sources, catalogue sources, sky, stars of exposures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeVar

import numpy as np

from tessella.astrometry.tangent import sky_to_pixel
from tessella.models import Mosaic
from tessella.photometry.band import AB_ZERO_POINT, Band
from tessella.quality.matching import isolated, nearest_within
from tessella.quality.prediction import (
    best_of,
    covered,
    distance_to_border,
    exposures_at,
    predicted_error,
)

#: True sources so close to the border of the covered area do not count [arcsec].
BORDER_ARCSEC = 1.0
#: Detections on two tiles are one source within this distance [arcsec].
_SAME_ARCSEC = 0.05
#: Flux of AB magnitude 0 [nJy].
NANOJANSKY_PER_MAGGY = 10 ** (0.4 * AB_ZERO_POINT)

Sample = TypeVar("Sample")


@dataclass(frozen=True)
class Sky:
    """A simulated sky; arrays are (n,)."""

    #: [deg]
    ra: np.ndarray
    dec: np.ndarray
    #: True for point sources; radius that holds half of the light [arcsec], 0 for them.
    is_star: np.ndarray
    half_light_radius: np.ndarray
    #: Neither light nor place changes; no figure counts the others.
    is_constant: np.ndarray
    #: Direction east of north in which a body crosses the field [deg]; NaN where none does.
    path_pa: np.ndarray
    #: Flux over that of AB magnitude 0, by optical element.
    maggies: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class TruthInBand:
    """True sources as one coadd can show them; arrays are (n,)."""

    #: True flux, and predicted error of a point source's flux in the deepest aperture [nJy].
    flux: np.ndarray
    error: np.ndarray
    #: Number of exposures there.
    n_exposures: np.ndarray
    #: At least 1 arcsec inside the area that exposures cover.
    is_inside: np.ndarray
    #: No other source within 1.5 arcsec down to 2 mag fainter.
    is_isolated: np.ndarray
    #: No pixel full by the end of the second resultant.
    is_unsaturated: np.ndarray

    @property
    def snr(self) -> np.ndarray:
        """Signal-to-noise ratio in the coadd."""
        return self.flux / self.error

    @property
    def single_snr(self) -> np.ndarray:
        """Signal-to-noise ratio in one of the exposures; NaN where there is none."""
        return self.snr / np.sqrt(np.where(self.n_exposures > 0, self.n_exposures, np.nan))


@dataclass(frozen=True)
class Truth:
    """True sources on one tile, or on all; arrays are (n,)."""

    #: Number of the source in the table of the simulated sky.
    index: np.ndarray
    ra: np.ndarray
    dec: np.ndarray
    is_star: np.ndarray
    half_light_radius: np.ndarray
    #: As in `Sky`.
    is_constant: np.ndarray
    path_pa: np.ndarray
    bands: Mapping[str, TruthInBand]

    def best_band(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the largest signal-to-noise ratio of all bands, and where it is isolated there."""
        snr, which = best_of([band.snr for band in self.bands.values()])
        alone = np.choose(which, [band.is_isolated for band in self.bands.values()])
        return snr, alone.astype(bool)

    def every(self, name: str) -> np.ndarray:
        """Tell for which sources a property holds in every band."""
        return np.all([getattr(band, name) for band in self.bands.values()], axis=0)


@dataclass(frozen=True)
class Sources:
    """Catalogue sources; arrays are (n,)."""

    ra: np.ndarray
    dec: np.ndarray
    #: Flux if it is a point source and its error by optical element [nJy]; NaN: not measured.
    flux: Mapping[str, np.ndarray]
    error: Mapping[str, np.ndarray]

    @property
    def snr(self) -> np.ndarray:
        """Largest signal-to-noise ratio among the bands; NaN where none was measured."""
        return best_of([self.flux[name] / self.error[name] for name in self.flux])[0]


@dataclass(frozen=True)
class SkyApertures:
    """Apertures on empty sky in one band; arrays are (n,)."""

    #: Flux over its error; error of a point source's total flux [nJy].
    pulls: np.ndarray
    errors: np.ndarray


@dataclass(frozen=True)
class ExposureStars:
    """Stars measured in one detector image; arrays are (n,)."""

    name: str
    #: Positions by the spacecraft's pointing, and by the WCS that coadds are made with [deg].
    ra_before: np.ndarray
    dec_before: np.ndarray
    ra: np.ndarray
    dec: np.ndarray
    #: The fit was good; the star took part in the alignment.
    is_good: np.ndarray
    is_used: np.ndarray
    #: Positions of the reference stars at the time of the exposure [deg], (m,).
    reference_ra: np.ndarray
    reference_dec: np.ndarray
    #: What became of the alignment, and of the joint solution.
    status: str
    #: Whether the image takes part in coadds.
    is_added: bool = True


@dataclass(frozen=True)
class TileSamples:
    """What one tile contributes to the figures."""

    #: None where there is no truth.
    truth: Truth | None
    sources: Sources
    #: By optical element.
    sky: Mapping[str, SkyApertures]


def place_truth(sky: Sky, mosaic: Mosaic, band: Band, saturation_maggies: float) -> TruthInBand:
    """Look up what one coadd can show of each source of the sky.

    Parameters
    ----------
    sky : Sky
        (n,) sources, on the coadd or not.
    mosaic, band : Mosaic, Band
        The coadd, and its fluxes as photometry sees them.
    saturation_maggies : float
        From `tessella.quality.prediction.saturation_flux`.
    """
    x, y = sky_to_pixel(mosaic.lattice, sky.ra, sky.dec)
    maggies = sky.maggies[mosaic.optical_element]
    border = distance_to_border(covered(mosaic), x, y) * mosaic.lattice.pixel_scale_arcsec
    return TruthInBand(
        flux=maggies * NANOJANSKY_PER_MAGGY,
        error=predicted_error(band, x, y),
        n_exposures=exposures_at(mosaic, x, y),
        is_inside=border >= BORDER_ARCSEC,
        is_isolated=isolated(sky.ra, sky.dec, maggies),
        is_unsaturated=~(sky.is_star & (maggies > saturation_maggies)),
    )


def truth_of_tile(sky: Sky, bands: Mapping[str, TruthInBand]) -> Truth:
    """Keep the sources that some band of the tile covers, its border included.

    Bodies that cross the field may do so anywhere, whatever their epoch.
    """
    seen = [band.is_inside | (band.n_exposures > 0) for band in bands.values()]
    kept = np.any(seen, axis=0) | np.isfinite(sky.path_pa)
    columns = {
        name: getattr(sky, name)
        for name in ("ra", "dec", "is_star", "half_light_radius", "is_constant", "path_pa")
    }
    every = Truth(index=np.arange(len(sky.ra)), **columns, bands=bands)
    return take(every, np.flatnonzero(kept))


def take(sample: Sample, rows: np.ndarray) -> Sample:
    """Return the given rows of a sample.

    Examples
    --------
    >>> take(SkyApertures(np.arange(3), np.arange(3)), np.array([2])).pulls.tolist()
    [2]
    """
    return _each([sample], lambda arrays: arrays[0][rows])


def join(samples: Sequence[Sample]) -> Sample:
    """Put the rows of several samples, such as those of all tiles, one after the other."""
    return _each(samples, np.concatenate)


def join_sources(tiles: Sequence[Sources]) -> Sources:
    """Put the sources of all tiles together; where tiles overlap the first one counts."""
    joined = tiles[0]
    for tile in tiles[1:]:
        repeat = nearest_within(tile.ra, tile.dec, joined.ra, joined.dec, _SAME_ARCSEC) >= 0
        joined = join([joined, take(tile, np.flatnonzero(~repeat))])
    return joined


def join_samples(
    tiles: Sequence[TileSamples],
) -> tuple[Truth | None, Sources, dict[str, SkyApertures]]:
    """Put the samples of all tiles together, each source once."""
    truths = [tile.truth for tile in tiles if tile.truth is not None]
    truth = without_repeats(join(truths)) if truths else None
    elements = dict.fromkeys(element for tile in tiles for element in tile.sky)
    sky = {name: join([tile.sky[name] for tile in tiles if name in tile.sky]) for name in elements}
    return truth, join_sources([tile.sources for tile in tiles]), sky


def without_repeats(truth: Truth) -> Truth:
    """Keep one row of each source where tiles overlap: one well inside, else the first."""
    order = np.argsort(~truth.every("is_inside"), kind="stable")
    first = np.unique(truth.index[order], return_index=True)[1]
    return take(truth, np.sort(order[first]))


def _each(values: Sequence[Any], function: Any) -> Any:
    first = values[0]
    if isinstance(first, Mapping):
        return {key: _each([value[key] for value in values], function) for key in first}
    if isinstance(first, np.ndarray):
        return function(values)
    parts = {
        entry.name: _each([getattr(value, entry.name) for value in values], function)
        for entry in fields(first)
    }
    return type(first)(**parts)

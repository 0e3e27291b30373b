"""Figures against the truth: completeness, purity, fluxes."""

from dataclasses import dataclass

import numpy as np

from tessella.quality.figures import Figure, fraction_figure, median_figure, spread_figure
from tessella.quality.matching import match, nearest_within, on_paths
from tessella.quality.samples import Sources, Truth

#: A source counts as recovered within this distance, a compact one as true [arcsec].
RECOVERED_ARCSEC = 0.1
GENUINE_ARCSEC = 0.2
#: Structure of a saturated star's image is looked for so close to it [arcsec].
SATURATED_ARCSEC = 5.0
COMPLETENESS_SNR = 10.0
FLUX_SNR = (10.0, 100.0)

COMPLETENESS_BOUND = 0.95
PURITY_BOUND = 0.95
FLUX_BIAS_BOUND = (-0.01, 0.01)
FLUX_PULL_BOUND = (0.85, 1.2)


@dataclass(frozen=True)
class FluxSample:
    """Isolated unsaturated stars of one band with their measured fluxes; arrays are (n,)."""

    #: True and measured flux and the measurement's error [nJy].
    true: np.ndarray
    measured: np.ndarray
    error: np.ndarray

    @property
    def relative(self) -> np.ndarray:
        """Deviation over the true flux."""
        return self.measured / self.true - 1

    @property
    def pulls(self) -> np.ndarray:
        """Deviation over its error."""
        return (self.measured - self.true) / self.error


def completeness(truth: Truth, sources: Sources) -> dict[str, Figure]:
    """Return the part of isolated true sources found: of all, of stars, of galaxies.

    A source that neither changes nor moves counts if its largest signal-to-noise ratio among the
    bands is above 10 and it is isolated in that band; it is recovered if a catalogue source is
    within 0.1 arcsec.
    """
    snr, alone = truth.best_band()
    counts = alone & truth.every("is_inside") & (snr > COMPLETENESS_SNR) & truth.is_constant
    near = nearest_within(truth.ra, truth.dec, sources.ra, sources.dec, RECOVERED_ARCSEC)
    found = near >= 0
    return {
        "all": fraction_figure(found[counts], COMPLETENESS_BOUND),
        "stars": fraction_figure(found[counts & truth.is_star], None),
        "galaxies": fraction_figure(found[counts & ~truth.is_star], None),
    }


def genuine(truth: Truth, sources: Sources) -> np.ndarray:
    """Tell which catalogue sources are true ones, (n,).

    Each true source vouches for one catalogue source: the nearest within 0.2 arcsec, or within
    its half-light radius where that is larger. What a true source was split into is not true.
    """
    radius = np.maximum(GENUINE_ARCSEC, truth.half_light_radius)
    return match(sources.ra, sources.dec, truth.ra, truth.dec, radius) >= 0


def near_saturated(truth: Truth, sources: Sources) -> np.ndarray:
    """Tell which catalogue sources lie within 5 arcsec of a saturated star, (n,)."""
    star = ~truth.every("is_unsaturated")
    near = nearest_within(
        sources.ra, sources.dec, truth.ra[star], truth.dec[star], SATURATED_ARCSEC
    )
    return near >= 0


def on_path_of_body(truth: Truth, sources: Sources) -> np.ndarray:
    """Tell which catalogue sources lie within 0.2 arcsec of the path of a moving body, (n,).

    Where on its path a body was is not told: what a coadd shows of it is neither true nor false.
    """
    body = np.isfinite(truth.path_pa)
    paths = truth.ra[body], truth.dec[body], truth.path_pa[body]
    return on_paths(sources.ra, sources.dec, *paths, GENUINE_ARCSEC)


def purity(truth: Truth, sources: Sources) -> dict[str, Figure]:
    """Return the part of catalogue sources that are true: of all, near saturated stars, elsewhere.

    Catalogue sources count whose largest signal-to-noise ratio among the bands is above 10, unless
    they lie on the path of a moving body.

    `truth` holds every true source of the covered area, its border included.
    """
    counts = (sources.snr > COMPLETENESS_SNR) & ~on_path_of_body(truth, sources)
    true, near = genuine(truth, sources), near_saturated(truth, sources)
    return {
        "all": fraction_figure(true[counts], PURITY_BOUND),
        "away_from_saturated_stars": fraction_figure(true[counts & ~near], None),
        "around_saturated_stars": fraction_figure(true[counts & near], None),
    }


def flux_sample(truth: Truth, sources: Sources, element: str) -> FluxSample:
    """Choose the isolated unsaturated constant stars of one band that the catalogue has."""
    band = truth.bands[element]
    counts = (
        truth.is_star & truth.is_constant & band.is_isolated & band.is_unsaturated & band.is_inside
    )
    index = match(truth.ra, truth.dec, sources.ra, sources.dec, GENUINE_ARCSEC)
    low, high = FLUX_SNR
    chosen = np.flatnonzero(counts & (band.snr >= low) & (band.snr <= high) & (index >= 0))
    flux, error = sources.flux[element][index[chosen]], sources.error[element][index[chosen]]
    known = np.isfinite(flux) & np.isfinite(error)
    return FluxSample(band.flux[chosen][known], flux[known], error[known])


def flux_bias(sample: FluxSample) -> Figure:
    """Return the median relative deviation of fluxes."""
    return median_figure(sample.relative, FLUX_BIAS_BOUND)


def flux_pull(sample: FluxSample, element: str) -> Figure:
    """Return the robust standard deviation of fluxes over their errors."""
    return spread_figure(sample.pulls, f"flux pull {element}", FLUX_PULL_BOUND)

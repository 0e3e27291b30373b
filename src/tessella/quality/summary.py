"""All figures of a run in one table: the content of `summary.json`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tessella.quality import against_truth, astrometry
from tessella.quality.against_truth import FluxSample, flux_bias, flux_pull, flux_sample
from tessella.quality.figures import Figure, median_figure, rms_figure, spread_figure
from tessella.quality.samples import ExposureStars, SkyApertures, Sources, Truth
from tessella.quality.sky_apertures import depth_abmag

SKY_PULL_BOUND = (0.9, 1.1)

#: How the figures are defined, for the reader of the summary.
NOTES = {
    "figure": "value, number n of objects, 95 % sampling interval, bound and "
    "whether it is met: not with fewer than 100 objects, not where the "
    "interval excludes the bound; null is not measured",
    "snr": "true flux over the predicted error of a point source's flux in the "
    "deepest aperture, from the coadd's variance, the correlation of "
    "its noise and the encircled energy; of the best band where none is "
    "named",
    "isolated": "no true source within 1.5 arcsec down to 2 mag fainter, 1 arcsec "
    "from the border of the covered area",
    "constant": "true sources whose light or place changes count nowhere, and no catalogue source "
    "within 0.2 arcsec of a moving body's path",
    "unsaturated": "no pixel full by the end of the second resultant, by the true flux",
    "completeness_snr10": "isolated true sources, saturated ones and galaxies included, with "
    "a catalogue source within 0.1 arcsec",
    "purity_snr10": "catalogue sources of measured S/N > 10, none left out, that are "
    "the nearest to a true source within 0.2 arcsec or its half-light "
    "radius; a true source vouches for one catalogue source",
    "around_saturated_stars": "within 5 arcsec of a true star that saturates in some band; part "
    "of the purity above",
    "flux": "isolated unsaturated stars of S/N 10 to 100 in the band with a "
    "catalogue source within 0.2 arcsec",
    "sky": "apertures that touch no detected source, nor each other, in the deepest aperture",
    "astrometry_rms_mas": "rms per axis of final catalogue positions: isolated unsaturated "
    "stars of S/N > 50 that took part in no alignment; before and "
    "after: the same in single exposures, S/N of one exposure",
}


@dataclass(frozen=True)
class Offsets:
    """Offsets of stars east and north [mas], (n, 2): before, after alignment, in the catalogue."""

    before: np.ndarray
    after: np.ndarray
    catalogue: np.ndarray


@dataclass(frozen=True)
class Assessment:
    """Figures and the samples behind them."""

    #: Key of `summary.json` to a figure, one for each filter, or None where nothing was measured.
    figures: dict[str, Any]
    #: Figures that bound nothing but explain others.
    details: dict[str, Any]
    #: Against truth by filter; empty without truth.
    fluxes: dict[str, FluxSample]
    #: Against the truth, or None without.
    true_offsets: Offsets | None
    #: Of the stars used in alignments, against the reference stars.
    reference_offsets: Offsets


def assess(
    truth: Truth | None,
    sources: Sources,
    sky: Mapping[str, SkyApertures],
    exposures: Sequence[ExposureStars],
    elements: Sequence[str],
) -> Assessment:
    """Make all figures of a run.

    Parameters
    ----------
    truth : Truth, optional
        Every true source of the covered area; absent, figures against the truth are None.
    sources : Sources
        The catalogue.
    sky : mapping
        Apertures on empty sky by optical element.
    exposures : sequence of ExposureStars
        Stars of every detector image that is added.
    elements : sequence of str
        Optical element of each of them.
    """
    reference = astrometry.against_references(exposures)
    references = Offsets(*reference, np.empty((0, 2)))
    repeats = astrometry.repeats(exposures)
    details: dict[str, Any] = {
        "gaia_before_mas": rms_figure(references.before, "gaia before", None),
        "gaia_after_mas": rms_figure(references.after, "gaia after", None),
        "repeats_before_mas": rms_figure(repeats[0], "repeats before", None),
        "repeats_after_mas": rms_figure(repeats[1], "repeats after", None),
    }
    figures: dict[str, Any] = {
        "completeness_snr10": None,
        "purity_snr10": None,
        "flux_bias": dict.fromkeys(sky),
        "flux_pull_sd": dict.fromkeys(sky),
        "sky_pull_sd": {
            element: spread_figure(found.pulls, f"sky pull {element}", SKY_PULL_BOUND)
            for element, found in sky.items()
        },
        "astrometry_rms_mas": None,
        "astrometry_before_mas": None,
        "astrometry_after_mas": None,
        "depth_5sigma_abmag": {
            element: median_figure(depth_abmag(found.errors)) for element, found in sky.items()
        },
    }
    if truth is None:
        return Assessment(figures, details, {}, None, references)
    fluxes = {element: flux_sample(truth, sources, element) for element in sky}
    offsets, more, extra = _against_truth(truth, sources, fluxes, exposures, elements)
    return Assessment(figures | more, details | extra, fluxes, offsets, references)


def _against_truth(
    truth: Truth,
    sources: Sources,
    fluxes: Mapping[str, FluxSample],
    exposures: Sequence[ExposureStars],
    elements: Sequence[str],
) -> tuple[Offsets, dict[str, Any], dict[str, Any]]:
    complete = against_truth.completeness(truth, sources)
    pure = against_truth.purity(truth, sources)
    catalogue, positions = astrometry.catalogue(truth, sources, exposures)
    before, after = astrometry.single_exposures(truth, exposures, elements)
    figures: dict[str, Figure | dict[str, Figure]] = {
        "completeness_snr10": complete.pop("all"),
        "purity_snr10": pure.pop("all"),
        "flux_bias": {element: flux_bias(sample) for element, sample in fluxes.items()},
        "flux_pull_sd": {element: flux_pull(sample, element) for element, sample in fluxes.items()},
        "astrometry_rms_mas": positions,
        "astrometry_before_mas": rms_figure(before, "astrometry before", None),
        "astrometry_after_mas": rms_figure(after, "astrometry after", astrometry.BOUND_MAS),
    }
    details = {"completeness_snr10": complete, "purity_snr10": pure}
    return Offsets(before, after, catalogue), figures, details


def plain(figures: Any) -> Any:
    """Return figures as what JSON can hold; None stays None.

    Examples
    --------
    >>> plain({"flux_bias": {"F158": None}})
    {'flux_bias': {'F158': None}}
    """
    if isinstance(figures, Figure):
        return figures.as_dict()
    if isinstance(figures, Mapping):
        return {key: plain(value) for key, value in figures.items()}
    return figures


def summarize(
    assessment: Assessment,
    n_exposures: int,
    n_sources: int,
    packets: Mapping[str, int] | None,
    truth: str | None,
) -> dict[str, Any]:
    """Return the content of `summary.json`; `packets` is None where no telemetry was read."""
    summary: dict[str, Any] = {"n_exposures": n_exposures, "n_sources": n_sources}
    summary |= plain(assessment.figures)
    if packets is not None:
        summary["packets"] = dict(packets)
    summary["truth"] = truth
    summary["details"] = plain(assessment.details)
    summary["notes"] = NOTES
    return summary

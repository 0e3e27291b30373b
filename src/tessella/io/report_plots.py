"""Pictures of the report: the sky in colour, and plots of the samples behind the figures."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib import pyplot as plt

from tessella.instrument.optical_elements import filters
from tessella.io.atomic import replacing
from tessella.photometry.band import AB_ZERO_POINT
from tessella.quality.against_truth import FLUX_BIAS_BOUND, FluxSample
from tessella.quality.colour import colour_picture
from tessella.quality.figures import median_interval, rms
from tessella.quality.samples import SkyApertures
from tessella.quality.sky_apertures import depth_abmag
from tessella.quality.summary import Assessment, Offsets

# No display: the figures go into files.
matplotlib.use("Agg")

_STYLE: Any = {
    "font.size": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#8a8f98",
    "axes.titlesize": 10.0,
    "axes.titleweight": "bold",
    "legend.frameon": False,
    "savefig.dpi": 130,
    "figure.constrained_layout.use": True,
}
_BEFORE, _AFTER = "#b9bec7", "#1f6feb"
#: Offsets are drawn to scale up to this one, by their logarithm beyond [mas].
_LINEAR_MAS = 5.0
_TICKS_MAS = (-1000, -100, -20, -5, 0, 5, 20, 100, 1000)
_BARS = "#9db8dd"
#: Without a time of making the same data give the same file.
_METADATA = {"Software": None}


def by_wavelength(elements: Sequence[str]) -> list[str]:
    """Order filters from the bluest to the reddest.

    Examples
    --------
    >>> by_wavelength(["F158", "F106"])
    ['F106', 'F158']
    """
    return sorted(elements, key=lambda element: filters()[element].wavelength_center)


@contextmanager
def figure(
    path: str | Path, provenance: Mapping[str, Any], columns: int, width: float, height: float
) -> Iterator[np.ndarray]:
    """Give the axes of one row of panels and write the figure when they are drawn."""
    with plt.rc_context(_STYLE):
        drawn, axes = plt.subplots(1, columns, figsize=(width, height), squeeze=False)
        try:
            yield axes[0]
            with replacing(path, provenance) as part:
                drawn.savefig(part, format="png", metadata=_METADATA)
        finally:
            plt.close(drawn)


def write_colour(
    path: str | Path, pictures: Mapping[str, np.ndarray], provenance: Mapping[str, Any]
) -> None:
    """Write a colour picture of a tile, the reddest filter red, north up and east left.

    Parameters
    ----------
    path : path
        PNG file.
    pictures : mapping
        Images of equal size by optical element, x to the east.
    """
    order = by_wavelength(list(pictures))
    red, green, blue = pictures[order[-1]], pictures[order[len(order) // 2]], pictures[order[0]]
    if len(order) == 2:
        green = (red + blue) / 2
    picture = _cropped(colour_picture(red, green, blue))
    # The lattice has east to the right and north up; files have their first row at the top.
    with replacing(path, provenance) as part:
        plt.imsave(part, picture[::-1, ::-1], format="png", metadata=_METADATA)


def _cropped(picture: np.ndarray) -> np.ndarray:
    rows, columns = np.nonzero(picture.any(axis=-1))
    if not rows.size:
        return picture
    return picture[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]


def plot_all(
    found: Assessment,
    sky: Mapping[str, SkyApertures],
    astrometry: Path,
    fluxes: Path,
    pulls: Path,
    depth: Path,
    provenance: Mapping[str, Any],
) -> list[tuple[Path, str]]:
    """Write all plots to the paths given; return the paths with captions."""
    plot_astrometry(astrometry, provenance, found.reference_offsets, found.true_offsets)
    plot_fluxes(fluxes, provenance, found.fluxes)
    plot_pulls(pulls, provenance, found.fluxes, sky)
    plot_depth(depth, provenance, sky)
    return [
        (astrometry, "Positions"),
        (fluxes, "Fluxes against truth"),
        (pulls, "Are the errors real?"),
        (depth, "Depth"),
    ]


def plot_astrometry(
    path: str | Path, provenance: Mapping[str, Any], references: Offsets, truth: Offsets | None
) -> None:
    """Plot offsets of positions from the reference stars, and from the truth where there is one."""
    with figure(path, provenance, 3 if truth else 1, 10.5 if truth else 4.0, 4.2) as axes:
        _offsets(axes[0], references.before, references.after, "Stars of the alignment, from Gaia")
        if truth:
            _offsets(axes[1], truth.before, truth.after, "Other stars of exposures, from truth")
            _offsets(axes[2], None, truth.catalogue, "Catalogue, from truth")


def _offsets(axis: plt.Axes, before: np.ndarray | None, after: np.ndarray, title: str) -> None:
    axis.set_title(title)
    for offsets, colour, name in ((before, _BEFORE, "before"), (after, _AFTER, "after")):
        if offsets is not None and len(offsets):
            label = f"{name}: rms {float(rms(offsets)):.2f} mas, n = {len(offsets)}"
            axis.plot(*offsets.T, ".", color=colour, ms=3, alpha=0.6, label=label)
    shown = np.concatenate([np.empty((0, 2)), after] if before is None else [before, after])
    reach = 1.2 * max(_LINEAR_MAS, float(np.abs(shown).max(initial=0.0)))
    for scale in (axis.set_xscale, axis.set_yscale):
        scale("symlog", linthresh=_LINEAR_MAS, linscale=1.5)
    ticks = [tick for tick in _TICKS_MAS if abs(tick) < reach]
    axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axis.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axis.minorticks_off()
    # East is left, as in the picture.
    axis.set(xlim=(reach, -reach), ylim=(-reach, reach), box_aspect=1)
    axis.set(xlabel="east [mas]", ylabel="north [mas]")
    for line in (axis.axhline, axis.axvline):
        line(0, color="#d0d4da", lw=0.8, zorder=0)
    if axis.get_legend_handles_labels()[0]:
        axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), fontsize=8, handletextpad=0.1)


def plot_fluxes(
    path: str | Path, provenance: Mapping[str, Any], samples: Mapping[str, FluxSample]
) -> None:
    """Plot deviations of fluxes from the truth against magnitude, with medians."""
    order = by_wavelength(list(samples))
    width = max(3.5 * len(order), 4.0)
    with figure(path, provenance, max(len(order), 1), width, 3.3) as axes:
        for axis, element in zip(axes, order, strict=False):
            _flux_panel(axis, samples[element], element)
        if not order:
            _say(axes[0], "Fluxes against truth: not measured,\nthere is no truth table")


def _flux_panel(axis: plt.Axes, sample: FluxSample, element: str) -> None:
    magnitude = AB_ZERO_POINT - 2.5 * np.log10(sample.true)
    percent = 100 * sample.relative
    axis.axhspan(*(100 * edge for edge in FLUX_BIAS_BOUND), color="#dff3e4", zorder=0)
    axis.plot(magnitude, percent, ".", color=_BEFORE, ms=4)
    order = np.argsort(magnitude)
    for part in np.array_split(order, max(1, len(order) // 30)):
        if len(part) > 5:
            middle, (low, high) = np.median(percent[part]), median_interval(percent[part])
            error = [[middle - low], [high - middle]]
            axis.errorbar(np.median(magnitude[part]), middle, error, fmt="o", color=_AFTER, ms=4)
    axis.set(title=f"{element}, n = {len(order)}", xlabel="true magnitude [AB]", ylim=(-25, 25))
    axis.set_ylabel("measured - true [%]")


def plot_pulls(
    path: str | Path,
    provenance: Mapping[str, Any],
    samples: Mapping[str, FluxSample],
    sky: Mapping[str, SkyApertures],
) -> None:
    """Plot deviations over their errors, of stars and of empty sky."""
    order = by_wavelength(list(sky))
    with figure(path, provenance, len(order), max(3.5 * len(order), 4.0), 3.0) as axes:
        for axis, element in zip(axes, order, strict=True):
            edges, x = np.linspace(-5, 5, 41), np.linspace(-5, 5, 201)
            axis.hist(sky[element].pulls, edges, density=True, color=_BARS, label="empty sky")
            if element in samples:
                pulls = samples[element].pulls
                axis.hist(
                    pulls,
                    edges,
                    density=True,
                    histtype="step",
                    color="#d1495b",
                    lw=1.4,
                    label="stars",
                )
            axis.plot(
                x, np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi), color="#444b57", lw=1, label="normal"
            )
            axis.set(title=element, xlabel="(measured - true) / error", yticks=[])
            axis.legend(fontsize=7)


def plot_depth(
    path: str | Path, provenance: Mapping[str, Any], sky: Mapping[str, SkyApertures]
) -> None:
    """Plot the magnitude that stands out by 5 sigma at the places of the sky apertures."""
    order = by_wavelength(list(sky))
    colours = plt.get_cmap("turbo")(np.linspace(0.15, 0.85, max(len(order), 1)))
    with figure(path, provenance, 1, 5.5, 3.0) as axes:
        for element, colour in zip(order, colours, strict=False):
            depth = depth_abmag(sky[element].errors)
            depth = depth[np.isfinite(depth)]
            if depth.size:
                label = f"{element}: {np.median(depth):.2f}"
                axes[0].hist(
                    depth, 40, histtype="stepfilled", alpha=0.55, color=colour, label=label
                )
        axes[0].set(xlabel="5 sigma depth of point sources [AB mag]", ylabel="apertures")
        axes[0].legend(title="median", fontsize=8)


def _say(axis: plt.Axes, text: str) -> None:
    axis.set_axis_off()
    axis.text(0.5, 0.5, text, ha="center", va="center", color="#6b7280")

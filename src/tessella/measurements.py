"""The measurements of the catalog as two ordered tables: of the detection image, and of each band.

A row is a pure function of a `Detection` or `Band` and the columns measured so far. A new
measurement is a function, a row here, its columns in `tessella.sources.columns`, and a test.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any

import numpy as np

from tessella.photometry import apertures, profiles, psf_fit, psf_matching
from tessella.photometry.band import Band
from tessella.sources import kron, moments, sky_positions, windowed
from tessella.sources.columns import BAND_COLUMNS, DETECTION_COLUMNS, Column, not_measured
from tessella.sources.detection import Detection

Columns = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Measurement:
    """One row: what is measured, by which function, after which others, into which columns."""

    name: str
    #: Takes `Detection` or `Band` and the columns so far; gives its columns, each of (n,). A key
    #: ``failed`` tells which sources failed; without it, those are that have a NaN.
    function: Callable[[Any, Columns], dict[str, np.ndarray]]
    #: Names of measurements that must come before.
    needs: tuple[str, ...]
    #: Columns by their names without the band.
    columns: tuple[str, ...]


def _with_error(*names: str) -> tuple[str, ...]:
    return tuple(name + suffix for name in names for suffix in ("", "_err"))


# fmt: off
DETECTION_MEASUREMENTS = (
    Measurement("moments", moments.segment_moments, (), (
        *_with_error("x_centroid", "y_centroid"),
        "bbox_xmin", "bbox_xmax", "bbox_ymin", "bbox_ymax", "segment_area",
        "semimajor", "semiminor", "fwhm", "ellipticity", "orientation_pix",
        "cxx", "cxy", "cyy")),
    Measurement("window", windowed.windowed_centroid, ("moments",),
                _with_error("x_centroid_win", "y_centroid_win")),
    Measurement("sky", sky_positions.sky_positions, ("moments", "window"), (
        "ra", "dec", "orientation_sky",
        *_with_error("ra_centroid", "dec_centroid", "ra_centroid_win", "dec_centroid_win"))),
    Measurement("kron", kron.kron_radius, ("moments", "window"), ("kron_radius",)),
    Measurement("neighbour", sky_positions.neighbours, ("moments", "window"),
                ("nn_label", "nn_distance")),
    Measurement("warnings", sky_positions.warnings, ("moments", "window"), ("warning_flags",)),
    Measurement("spatial_id", sky_positions.spatial_id, ("moments", "window"),
                ("flagged_spatial_id",)),
)

BAND_MEASUREMENTS = (
    Measurement("compactness", profiles.compactness, (), ("sharpness", "roundness1")),
    Measurement("apertures", apertures.circular_apertures, (),
                _with_error(*(f"aper{digits}_flux" for digits in apertures.APERTURES))),
    Measurement("annulus", apertures.annulus_background, (), _with_error("aper_bkg_flux")),
    Measurement("segment", profiles.segment_flux, (), _with_error("segment_flux")),
    Measurement("kron", profiles.kron_flux, (), _with_error("kron_flux", "kron_abmag")),
    Measurement("half_light", profiles.half_light_radius, ("kron",), ("fluxfrac_radius_50",)),
    Measurement("extended", apertures.extendedness, ("apertures",), ("is_extended",)),
    Measurement("psf", psf_fit.fit_point_sources, (), (
        *_with_error("x_psf", "y_psf", "ra_psf", "dec_psf"), "psf_flags", "psf_gof",
        *_with_error("psf_flux"))),
    Measurement("matched", psf_matching.matched_photometry,
                ("apertures", "annulus", "segment", "kron"),
                tuple(psf_matching.matched_name(name) for name in psf_matching.MATCHED)),
    Measurement("star", apertures.star_flux, ("apertures",), _with_error("tessella_star_flux")),
)
# fmt: on


def ordered(rows: Sequence[Measurement]) -> list[Measurement]:
    """Return the rows such that each comes after those it needs.

    Raises
    ------
    ValueError
        If a row needs one that is not there, or rows need each other.
    """
    by_name = {row.name: row for row in rows}
    for row in rows:
        for need in row.needs:
            if need not in by_name:
                raise ValueError(f"measurement {row.name} needs {need}, which is not in the table")
    try:
        order = TopologicalSorter({row.name: row.needs for row in rows}).static_order()
        return [by_name[name] for name in order]
    except CycleError as error:
        raise ValueError(f"measurements need each other: {' -> '.join(error.args[1])}") from error


def measure_detection(
    detection: Detection, rows: Sequence[Measurement] = DETECTION_MEASUREMENTS
) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Measure all sources on the detection image.

    Returns
    -------
    columns : dict of (n,) arrays
        ``label``, the columns of `DETECTION_COLUMNS` and a failure flag of each measurement.
    seconds : dict of float
        CPU time of each measurement.
    """
    columns = _unmeasured(rows, DETECTION_COLUMNS, len(detection.labels), "")
    columns["label"] = detection.labels.astype(np.int64)
    return columns, _run(rows, detection, columns, columns, "")


def measure_band(
    band: Band, detected: Columns, rows: Sequence[Measurement] = BAND_MEASUREMENTS
) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Measure all sources in one band at the positions and in the ellipses of the detection image.

    Parameters
    ----------
    band : Band
        From `tessella.photometry.band.prepare_band`.
    detected : mapping
        Columns of `measure_detection`.

    Returns
    -------
    columns : dict of (n,) arrays
        The columns of `BAND_COLUMNS`, named without the band, and failure flags.
    seconds : dict of float
        CPU time of each measurement.
    """
    columns = _unmeasured(rows, BAND_COLUMNS, len(band.detection.labels), "_{band}")
    return columns, _run(rows, band, columns, dict(detected) | columns, "_{band}")


def failure_columns(rows: Sequence[Measurement], per_band: bool) -> list[Column]:
    """Return the columns that tell which measurements failed, in the order of the table."""
    band = "_{band}" if per_band else ""
    return [
        Column(
            f"tessella_{row.name}{band}_failed",
            "bool",
            "none",
            f"The measurement {row.name} failed",
        )
        for row in rows
    ]


def _unmeasured(
    rows: Sequence[Measurement], table: Sequence[Column], n: int, band: str
) -> dict[str, np.ndarray]:
    columns = {column.short_name: not_measured(column, n) for column in table}
    failures = failure_columns(rows, bool(band))
    return columns | {column.short_name: np.ones(n, dtype=bool) for column in failures}


def _run(
    rows: Sequence[Measurement],
    given: Detection | Band,
    columns: dict[str, np.ndarray],
    known: dict[str, np.ndarray],
    band: str,
) -> dict[str, float]:
    """Fill `columns` (and `known`, which the functions see) measurement by measurement."""
    seconds = {}
    n = len(next(iter(columns.values())))
    for row in ordered(rows):
        start = time.process_time()
        found = dict(row.function(given, known))
        failed = found.pop("failed", None)
        if set(found) != set(row.columns):
            raise ValueError(
                f"measurement {row.name} gave {sorted(found)}; its row names {row.columns}"
            )
        if failed is None:
            failed = np.zeros(n, dtype=bool)
            for values in found.values():
                failed |= ~np.isfinite(values)
        found[f"tessella_{row.name}_failed"] = failed
        columns.update(found)
        known.update(found)
        seconds[row.name] = time.process_time() - start
    return seconds

"""What the report reads of a run: samples for the figures, packets, verdicts, times of jobs."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Table
from scipy.ndimage import maximum_filter

from tessella.errors import DataError
from tessella.instrument.optical_elements import ab_zero_point
from tessella.io.asdf_files import open_roman
from tessella.io.astrometry_solution import SolvedRow, image_name, read_solved
from tessella.io.catalog import read_catalog, read_detection
from tessella.io.ledgers import read_ledger
from tessella.io.level3 import read_mosaic
from tessella.io.references import read_effective_psf, read_encircled_energy
from tessella.io.seals import sha256
from tessella.io.stars import read_reference_stars, read_stars
from tessella.io.verdict import read_verdict
from tessella.io.wcs import read_wcs
from tessella.photometry.band import EncircledEnergy, prepare_band
from tessella.quality.colour import binned
from tessella.quality.prediction import deepest_aperture, saturation_flux
from tessella.quality.samples import (
    ExposureStars,
    Sky,
    SkyApertures,
    Sources,
    TileSamples,
    TruthInBand,
    place_truth,
    truth_of_tile,
)
from tessella.quality.sky_apertures import empty_places, sky_pulls
from tessella.quality.timing import JobTime
from tessella.telemetry.ledger import total

#: Side of the picture of a tile [pixels].
_PICTURE_PIXELS = 1000
#: Holds a detector from its reference point, with room for alignment [deg].
_DETECTOR_RADIUS_DEG = 0.11
_TRUTH_COLUMNS = ("ra", "dec", "half_light_radius", "type")


@dataclass(frozen=True)
class Tile:
    """Samples and pictures of one tile."""

    samples: TileSamples
    #: Small image of each band, its median subtracted [MJy / sr].
    pictures: dict[str, np.ndarray]


def read_sky(path: str | Path, elements: Iterable[str]) -> Sky:
    """Read the table of a simulated sky.

    Raises
    ------
    DataError
        If there is no such file or a column is missing.
    """
    if not Path(path).is_file():
        raise DataError(f"{path}: no such truth table; correct 'report.truth', or set it to null")
    sha256(path)
    table = Table.read(path, format="ascii.ecsv")
    needed = (*_TRUTH_COLUMNS, *elements)
    missing = [name for name in needed if name not in table.colnames]
    if missing:
        raise DataError(
            f"{path}: column {missing[0]} is missing; a truth table has {', '.join(needed)}"
        )
    is_star = np.asarray(table["type"]) == "PSF"
    # Tables of other simulators know nothing that changes.
    light, rate, angle = (
        np.asarray(table[name]) if name in table.colnames else np.full(len(table), plain)
        for name, plain in (("light_curve", "none"), ("rate", 0.0), ("rate_pa", 0.0))
    )
    return Sky(
        ra=np.asarray(table["ra"], float),
        dec=np.asarray(table["dec"], float),
        is_star=is_star,
        half_light_radius=np.where(is_star, 0.0, np.asarray(table["half_light_radius"], float)),
        is_constant=(light == "none") & (rate == 0),
        path_pa=np.where(rate != 0, angle.astype(float), np.nan),
        maggies={element: np.asarray(table[element], float) for element in elements},
    )


def saturation_limits(psfs: Iterable[str | Path], options: Mapping[str, Any]) -> dict[str, float]:
    """Return the flux [maggies] from which a star saturates in its second resultant, by filter.

    `options` names the detectors, the time to the end of the second resultant (without one there
    is no limit) and the electrons that fill a pixel; the sharpest image and the most sensitive
    detector count.
    """
    limits: dict[str, float] = {}
    seconds = options["second_resultant_s"]
    for path in psfs:
        psf = read_effective_psf(path)
        element = Path(path).stem.rsplit("_", 1)[1].upper()
        peak = float(psf.evaluate(np.zeros(1), np.zeros(1))[0])
        limits.setdefault(element, np.inf)
        for detector in options["detectors"] if seconds is not None else ():
            rate = 10 ** (0.4 * ab_zero_point(detector, element))
            limit = saturation_flux(rate, seconds, peak, options["saturation_electrons"])
            limits[element] = min(limit, limits[element])
    return limits


def read_tiles(
    catalogs: Sequence[Path],
    segmentations: Sequence[Path],
    mosaics: Sequence[Path],
    encircled_energy: Path,
    psfs: Sequence[Path],
    truth: str | None,
    options: Mapping[str, Any],
) -> list[Tile]:
    """Read the products of all tiles; coadds belong to the catalogue of the same stem.

    Parameters
    ----------
    catalogs, segmentations, mosaics : sequences of paths
        Catalogues and segmentation maps in the same order, coadds of all tiles and filters.
    encircled_energy : path
        `apcorr` reference.
    psfs : sequence of paths
        `epsf` references of all filters.
    truth : str, optional
        Table of the simulated sky; None where there is none.
    options : mapping
        Section ``report`` of the configuration, section ``measure`` under that name, and what
        `saturation_limits` needs.
    """
    limits = saturation_limits(psfs, options)
    sky = read_sky(truth, limits) if truth else None
    tiles = []
    for catalog, segmentation in zip(catalogs, segmentations, strict=True):
        own = [path for path in mosaics if _stem(path, 2) == _stem(catalog, 1)]
        tiles.append(read_tile(catalog, segmentation, own, encircled_energy, sky, limits, options))
    return tiles


def _stem(path: Path, n_endings: int) -> str:
    return path.stem.rsplit("_", n_endings)[0]


def read_tile(
    catalog: Path,
    segmentation: Path,
    mosaics: Sequence[Path],
    encircled_energy: Path,
    sky: Sky | None,
    limits: Mapping[str, float],
    options: Mapping[str, Any],
) -> Tile:
    """Read the products of one tile, one coadd at a time."""
    truth: dict[str, TruthInBand] = {}
    apertures, pictures = {}, {}
    for path in mosaics:
        mosaic = read_mosaic(path)
        element = mosaic.optical_element
        detection = read_detection(segmentation, mosaic.lattice)
        energy = EncircledEnergy(*read_encircled_energy(encircled_energy, element))
        band = prepare_band(mosaic, detection, energy, None, **options["measure"])
        margin = 2 * options["measure"]["source_margin_pixels"] + 1
        occupied = (maximum_filter(detection.segmentation, margin) > 0) | ~np.isfinite(band.data)
        radius = deepest_aperture(band)[0] / band.pixel_scale_arcsec
        name = f"{mosaic.lattice.skycell} {element}"
        places = empty_places(occupied, radius, options["n_sky_apertures"], name)
        apertures[element] = SkyApertures(*sky_pulls(band, *places))
        pictures[element] = _picture(mosaic.data)
        if sky is not None:
            truth[element] = place_truth(sky, mosaic, band, limits[element])
    known = truth_of_tile(sky, truth) if sky is not None else None
    return Tile(TileSamples(known, _sources(catalog, list(apertures)), apertures), pictures)


def _picture(data: np.ndarray) -> np.ndarray:
    known = data[np.isfinite(data)]
    level = np.median(known) if known.size else 0.0
    return binned(data - level, max(1, -(-max(data.shape) // _PICTURE_PIXELS)))


def _sources(path: Path, elements: Sequence[str]) -> Sources:
    table = read_catalog(path)["source_catalog"]

    def columns(ending: str) -> dict[str, np.ndarray]:
        names = {element: f"tessella_star_{element.lower()}_{ending}" for element in elements}
        return {element: np.asarray(table[name], float) for element, name in names.items()}

    ra, dec = (np.asarray(table[name], float) for name in ("ra", "dec"))
    return Sources(ra, dec, columns("flux"), columns("flux_err"))


def read_exposures(
    stars: Sequence[Path], wcs: Sequence[Path], reference_stars: Path, astrometry: Iterable[Path]
) -> tuple[list[ExposureStars], list[str]]:
    """Read the stars of all detector images, and the optical element of each.

    Parameters
    ----------
    stars, wcs : sequences of paths
        Measured stars and tied WCS of each image, in the same order.
    reference_stars : path
    astrometry : iterable of paths
        Joint solutions of all regions, whose corrections are applied; of an image that lies in
        several, that of the first counts.
    """
    solved: dict[str, SolvedRow] = {}
    for path in astrometry:
        solved = read_solved(path) | solved
    pairs = [
        read_exposure_stars(*files, reference_stars, solved.get(image_name(files[0])))
        for files in zip(stars, wcs, strict=True)
    ]
    return [found for found, _ in pairs], [element for _, element in pairs]


def read_exposure_stars(
    stars: Path, wcs: Path, reference_stars: Path, solved: SolvedRow | None
) -> tuple[ExposureStars, str]:
    """Read the stars of an image and the reference stars at its time; and its optical element.

    Reference stars without a measured motion are left out. `solved` is what the joint solution
    says of the image; None for one that falls on no tile.
    """
    with open_roman(wcs, with_arrays=False) as roman:
        meta = roman["meta"]
        start, status = meta["exposure"]["start_time"], str(meta["wcs_fit_results"]["status"])
        element = str(meta["instrument"]["optical_element"])
        center = float(meta["wcsinfo"]["ra_ref"]), float(meta["wcsinfo"]["dec_ref"])
    table = read_stars(stars)
    reference = read_reference_stars(reference_stars, start, (*center, _DETECTOR_RADIUS_DEG))

    def column(name: str, kind: type = float) -> np.ndarray:
        return np.asarray(table[name]).astype(kind)

    ra, dec = column("ra"), column("dec")
    if solved is not None:
        to_sky, _ = read_wcs(wcs, solved.correction)
        ra, dec = to_sky(column("x"), column("y"), with_bounding_box=False)
        status = f"{status}; {solved.status}"
    return (
        ExposureStars(
            name=stars.name.removesuffix("_stars" + stars.suffix),
            ra_before=column("ra_pointing"),
            dec_before=column("dec_pointing"),
            ra=ra,
            dec=dec,
            is_good=column("is_good", bool),
            is_used=column("is_used", bool),
            reference_ra=reference.ra[reference.is_moved],
            reference_dec=reference.dec[reference.is_moved],
            status=status,
            is_added=solved is None or solved.is_added,
        ),
        element,
    )


def read_packets(ledgers: Sequence[str]) -> dict[str, int] | None:
    """Add up the packet ledgers of all exposures; None where no telemetry was read."""
    if not ledgers:
        return None
    summed = total(read_ledger(path).counts for path in ledgers)
    names = ("received", "used", "duplicate", "idle", "unknown", "missing_rows")
    return {name: int(getattr(summed, name)) for name in names} | {"rejected": summed.n_rejected}


def read_verdicts(paths: Iterable[str | Path]) -> list[dict[str, str]]:
    """Read what became of each detector of each exposure."""
    return [
        {"exposure": path.name.removesuffix("_verdict.json"), **row}
        for path in map(Path, paths)
        for row in read_verdict(path)
    ]


def read_job_times(folder: Path) -> list[JobTime]:
    """Read the benchmark files of a run, ``<rule>/<job>.tsv`` or ``<rule>.tsv``.

    A job ended when its file was written.
    """
    jobs = []
    for path in sorted(folder.rglob("*.tsv")):
        rule = path.relative_to(folder).parts[0].removesuffix(".tsv")
        for row in csv.DictReader(path.read_text().splitlines(), delimiter="\t"):
            numbers = (_number(row[name]) for name in ("s", "cpu_time", "max_rss"))
            jobs.append(JobTime(rule, path.stat().st_mtime, *numbers))
    return jobs


def _number(text: str) -> float:
    # Snakemake writes NA for what it had no time to measure.
    return 0.0 if text in ("NA", "-", "") else float(text)

"""Simulated products of each level, and injected sources, as files with pictures beside them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Table
from astropy.time import Time

from tessella.astrometry.gwcs_model import build_gwcs
from tessella.astrometry.tangent import pixel_to_sky
from tessella.astrometry.wcs import attitude_of
from tessella.detector.persistence_state import PersistenceState
from tessella.detector.state import DetectorState, draw_maps
from tessella.errors import DataError
from tessella.instrument.read_patterns import read_patterns
from tessella.io.exposure_meta import exposure_meta, file_name
from tessella.io.injection import kind_of_product, write_injected
from tessella.io.level1 import write_ramp
from tessella.io.level2 import read_image, write_image
from tessella.io.level2_about import Level2About, read_about
from tessella.io.level3 import read_mosaic, write_mosaic
from tessella.io.members import read_members
from tessella.io.previews import write_picture
from tessella.io.provenance import provenance
from tessella.io.source_catalogues import read_sources
from tessella.io.stars import write_truth
from tessella.models import ExposureHeader, Lattice, PlannedExposure, Reference, Window
from tessella.recipe import LEVEL2_STEPS
from tessella.references.make import measure_flat, measure_maps, photometry_row
from tessella.simulate.changes import seen_during
from tessella.simulate.inject import Placed, inject_into_image, inject_into_mosaic
from tessella.simulate.level2 import STEPS, empty_border, simulate_image
from tessella.simulate.level3 import CoaddedImage, simulate_mosaic
from tessella.simulate.observation import Conditions, observe
from tessella.simulate.pointing import planned_header
from tessella.telemetry.assemble import assemble_ramp
from tessella.telemetry.assembly import Received

_SHAPE = ("n", "half_light_radius", "pa", "ba")
#: All exposures are added together.
_GROUPING = "full"
Tell = Callable[[int, int], None]


@dataclass(frozen=True)
class Shot:
    """One detector of one exposure that is simulated, and by what it is known again."""

    header: ExposureHeader
    detector: str
    window: Window
    state: DetectorState
    conditions: Conditions
    #: All values that the product depends on, and the files it is made from.
    options: Mapping[str, Any]
    made_from: Sequence[Path]


def sources_for(path: Path, optical_element: str, start: Time) -> np.ndarray:
    """Read a truth table or a catalogue; without an epoch, positions are those of `start`.

    Raises
    ------
    DataError
        Naming column and row of what cannot be: `tessella.io.source_catalogues.read_sources`.
    """
    rows = read_sources(path, [optical_element], float(start.mjd))
    rows["id"] = np.arange(len(rows))
    return rows


def make_level1(folder: Path, truth: np.ndarray, shot: Shot) -> Path:
    """Simulate and write the ramp of one detector, and a picture of what it gathered."""
    path = folder / file_name(shot.header, shot.detector, "uncal")
    nothing = PersistenceState(shot.detector, shot.window)
    readout = observe(
        truth,
        shot.header,
        shot.detector,
        shot.window,
        shot.state,
        shot.conditions,
        nothing if shot.state.persistence_ratio else None,
    )
    received = Received(
        *(
            np.ones(getattr(readout, name).shape, bool)
            for name in ("data", "amp33", "reference_read", "reference_amp33")
        )
    )
    ramp = assemble_ramp(shot.header, readout, received)
    origin = provenance("simulate_level1", shot.options, shot.made_from)
    write_ramp(path, ramp, shot.header, read_patterns()[shot.header.ma_table_number], origin)
    gathered = ramp.data[-1].astype(float) - ramp.data[0]
    write_picture(path.with_suffix(".png"), gathered, origin)
    return path


def make_level2(folder: Path, truth: np.ndarray, shot: Shot) -> Path:
    """Simulate and write the calibrated image of one detector, and a picture of it."""
    header, detector, window = shot.header, shot.detector, shot.window
    path = folder / file_name(header, detector, "cal")
    references = _references_of(shot)
    image = simulate_image(truth, header, detector, window, shot.state, shot.conditions, references)
    pattern = read_patterns()[header.ma_table_number]
    status = {
        step.status: "COMPLETE" if step.status in STEPS else "SKIPPED" for step in LEVEL2_STEPS
    }
    origin = provenance("simulate_level2", shot.options, shot.made_from)
    write_image(
        path,
        image,
        *empty_border(window, pattern),
        exposure_meta(header, detector, window, pattern, shot.conditions.encoding_offset),
        status,
        {},
        origin,
        ["simulated at once: no ramp was fitted"],
    )
    write_picture(path.with_suffix(".png"), image.data, origin)
    return path


def _references_of(shot: Shot) -> dict[str, Reference]:
    """Return what a calibration campaign would know of the detector, as the pipeline takes it."""
    state, detector, element = shot.state, shot.detector, shot.header.optical_element
    maps = draw_maps(state, detector, shot.window)
    arrays: dict[str, Mapping[str, Any]] = dict(measure_maps(state, maps, detector))
    arrays["flat"] = measure_flat(state, maps, detector, element)
    known = {name: Reference(name, name, values) for name, values in arrays.items()}
    row = photometry_row(state, detector, element)
    return known | {"photom": Reference("photom", "photom", {}, {element: row})}


def make_level3(
    folder: Path,
    truth: np.ndarray,
    exposures: Sequence[PlannedExposure],
    detectors: Sequence[str],
    window: Window,
    lattice: Lattice,
    state: DetectorState,
    zodiacal_factor: float,
    pixfrac: float,
    seed: int,
    options: Mapping[str, Any],
    made_from: Sequence[Path],
    tell: Tell | None = None,
) -> Path:
    """Simulate and write a cell of a coadd of planned exposures, and a picture of it.

    Raises
    ------
    DataError
        If none of the exposures falls on the cell.
    """
    element = exposures[0].optical_element
    headers = [_header_of(one) for one in exposures]
    images = [
        CoaddedImage(
            name=file_name(header, detector, "cal").removesuffix("_cal.asdf"),
            key=header.key,
            detector=detector,
            window=window,
            attitude=_attitude(header, detector),
            ma_table_number=header.ma_table_number,
        )
        for header in headers
        for detector in detectors
    ]
    near = [image for image in images if _may_reach(image, lattice)]
    # A coadd has one sky: that of the middle of its exposures.
    times = Time([header.start_time for header in headers], format="isot", scale="utc").mjd
    seconds = read_patterns()[headers[0].ma_table_number].exposure_time
    sky = seen_during(truth, float(np.mean(times)), seconds)
    mosaic = (
        simulate_mosaic(sky, near, lattice, element, state, zodiacal_factor, pixfrac, seed, tell)
        if near
        else None
    )
    if mosaic is None or not mosaic.members:
        raise DataError(
            f"{made_from[-1]}: none of its {len(headers)} exposures in {element} falls on the cell "
            f"{lattice.skycell}; name a place that they cover"
        )
    origin = provenance("simulate_level3", options, made_from)
    by_key = {header.key: header for header in headers}
    abouts = {
        image.name: _about_of(by_key[image.key], image.detector, window, state) for image in near
    }
    program = headers[0].key.program
    name = f"r{program:05d}_p_{_GROUPING}_{lattice.skycell}_{element.lower()}_coadd.asdf"
    path = folder / name
    members = [abouts[member] for member in mosaic.members]
    write_mosaic(path, mosaic, program, _GROUPING, members, pixfrac, origin)
    write_picture(path.with_suffix(".png"), mosaic.data, origin)
    return path


def _header_of(exposure: PlannedExposure) -> ExposureHeader:
    return planned_header(
        exposure.key,
        exposure.optical_element,
        exposure.ma_table_number,
        exposure.start_time,
        exposure.ra,
        exposure.dec,
        exposure.pa,
        exposure.exposure_type,
    )


def _attitude(header: ExposureHeader, detector: str) -> Any:
    return attitude_of(
        detector, header.target_ra, header.target_dec, header.pa_aperture, header.start_time
    )


def _may_reach(image: CoaddedImage, lattice: Lattice) -> bool:
    """Tell whether an image lies within a degree of the cell: farther ones have no place there."""
    ra, dec = pixel_to_sky(lattice, (lattice.nx - 1) / 2, (lattice.ny - 1) / 2)
    a, b = np.radians([float(dec), image.attitude.dec_ref])
    turn = np.radians(float(ra) - image.attitude.ra_ref)
    return bool(np.sin(a) * np.sin(b) + np.cos(a) * np.cos(b) * np.cos(turn) > np.cos(np.pi / 180))


def _about_of(
    header: ExposureHeader, detector: str, window: Window, state: DetectorState
) -> Level2About:
    """Return what the Level 2 image of a planned exposure would say of itself."""
    pattern = read_patterns()[header.ma_table_number]
    attitude = _attitude(header, detector)
    row = photometry_row(state, detector, header.optical_element)
    name = file_name(header, detector, "cal")
    return Level2About(
        path=Path(name),
        name=name.removesuffix("_cal.asdf"),
        key=header.key,
        detector=detector,
        optical_element=header.optical_element,
        exposure_type=header.exposure_type,
        ma_table_number=header.ma_table_number,
        start_time=Time(header.start_time, format="isot", scale="utc"),
        exposure_time=pattern.exposure_time,
        effective_exposure_time=pattern.exposure_time,
        shape=window.active_shape,
        window=window,
        is_surface_brightness=False,
        conversion=row["photmjsr"],
        conversion_uncertainty=row["uncertainty"],
        pixel_area_sr=row["pixelareasr"],
        variances={},
        status={},
        attitude=attitude,
        wcs=build_gwcs(attitude, detector, window),
        meta=exposure_meta(header, detector, window, pattern, 0),
    )


def inject(
    source: Path,
    target: Path,
    sources: Path,
    state: DetectorState,
    seed: int,
    options: Mapping[str, Any],
    made_from: Sequence[Path],
    tell: Tell | None = None,
) -> tuple[int, int]:
    """Inject sources into a Level 2 image or a coadd; write a copy, a table and a picture.

    The table, ``<target>_injected.ecsv``, has the columns of the truth, where the sources lie
    (``x``, ``y``) and whether on a pixel that was measured (``is_measured``).

    Returns
    -------
    int, int
        How many sources lie on measured pixels, and how many were given.

    Raises
    ------
    DataError
        If the file is neither an image nor a coadd, or the table of sources cannot be used.
    """
    origin = provenance("inject", options, made_from)
    if kind_of_product(source) == "l3":
        element, (made, placed, truth) = _inject_into_coadd(source, sources, state, seed, tell)
    else:
        element, (made, placed, truth) = _inject_into_image(source, sources, state, seed)
    write_injected(source, target, made, origin)
    table = Table(truth[["ra", "dec", "type", *_SHAPE, element, "id"]])
    for name, values in vars(placed).items():
        table[name] = values
    write_truth(target.with_name(f"{target.stem}_injected.ecsv"), table, origin)
    write_picture(target.with_suffix(".png"), made.data, origin)
    return int(placed.is_measured.sum()), len(truth)


def _inject_into_image(
    source: Path, sources: Path, state: DetectorState, seed: int
) -> tuple[str, tuple[Any, Placed, np.ndarray]]:
    about = read_about(source)
    if about.ma_table_number not in read_patterns():
        raise DataError(
            f"{source}: meta.exposure.ma_table_number: found {about.ma_table_number}, expected one "
            f"of {' '.join(map(str, read_patterns()))}: its photons are counted by it"
        )
    truth = seen_during(
        sources_for(sources, about.optical_element, about.start_time),
        float(about.start_time.mjd),
        about.exposure_time,
    )
    image, _ = read_image(source)
    key: tuple[int | str, ...] = (seed, *about.key.seed, about.detector)
    made, placed = inject_into_image(image, truth, about.ma_table_number, state, key)
    return about.optical_element, (made, placed, truth)


def _inject_into_coadd(
    source: Path, sources: Path, state: DetectorState, seed: int, tell: Tell | None
) -> tuple[str, tuple[Any, Placed, np.ndarray]]:
    mosaic, members = read_mosaic(source), read_members(source)
    element = mosaic.optical_element
    middle = Time(mosaic.meta["time_mean"])
    truth = seen_during(sources_for(sources, element, middle), float(middle.mjd), 0.0)
    try:
        made, placed = inject_into_mosaic(
            mosaic,
            members.views(),
            truth,
            members.ma_table_number,
            members.pixfrac,
            state,
            (seed, mosaic.lattice.skycell, element),
            tell,
        )
    except ValueError as error:
        raise DataError(f"{source}: {error}") from error
    return element, (made, placed, truth)

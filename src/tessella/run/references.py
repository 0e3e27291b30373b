"""The references of one detector in one state, made and written."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from galsim import GSObject

from tessella.astrometry.gwcs_model import distortion_model
from tessella.astrometry.pixel_area import nominal_pixel_area_arcsec2
from tessella.detector.state import DetectorState, draw_maps
from tessella.errors import DataError
from tessella.instrument.optical_elements import filters
from tessella.io.references import (
    ReferenceHeader,
    write_converter,
    write_dark_decay,
    write_effective_psf,
    write_encircled_energy,
    write_maps,
    write_noise_weights,
    write_photometry,
    write_reference,
)
from tessella.models import Window
from tessella.psf.encircled import encircled_energy
from tessella.psf.model import centred_as_catalogs_are, effective_psf, optical_psf
from tessella.references.make import (
    dark_decay_rows,
    measure_converter,
    measure_flat,
    measure_inverse_linearity,
    measure_maps,
    measure_noise_weights,
    photometry_row,
)
from tessella.references.published import (
    detector_status,
    multiaccum_tables,
    nominal_area,
    pixel_areas,
)
from tessella.references.skycells import skycell_tables
from tessella.sky.tessellation import CELL_BORDER, CELL_SIZE, PIXEL_SCALE_ARCSEC

_OVERSAMPLE = 4
_TRANSFORM = "coordinate_distortion_transform"
#: Radii at which encircled energies are tabulated [arcsec].
_RADII_ARCSEC = np.array([0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 0.8, 1.2, 1.6, 2.4, 3.2])


def write_references(
    paths: Sequence[Path],
    state: DetectorState,
    state_name: str,
    detector: str,
    window: Window,
    useafter: str,
    pixfrac: float,
    provenance: Mapping[str, Any],
) -> None:
    """Make and write the references that the paths name.

    Parameters
    ----------
    paths : sequence of paths
        Named ``<detector>_<type>[_<element>].asdf``.
    state : DetectorState
    state_name : str
        For the description.
    detector : str
        RAD name.
    window : Window
        The part of the detector that they cover.
    useafter : str
        Date from which they hold.
    pixfrac : float
        Drop of the coadds that the encircled energies are for.
    provenance : mapping
        How they are made.

    Raises
    ------
    DataError
        If a path asks for a type that cannot be made.
    """
    description = f"made by tessella from the detector state '{state_name}'"
    header = ReferenceHeader(detector, useafter, description, provenance)
    elements = {path.stem.split("_")[2].upper() for path in paths if path.stem.count("_") == 2}
    writers = {
        **_map_writers(state, detector, window, header),
        **_table_writers(state, detector, header),
        **_optics_writers(state, detector, window, header, pixfrac, sorted(elements)),
        **_published_writers(state, detector, window, header),
    }
    for path in paths:
        reftype, _, element = path.stem.partition("_")[2].upper().partition("_")
        if reftype.lower() not in writers:
            raise DataError(
                f"{path}: references of type {reftype.lower()!r} cannot be made; list a file of "
                "your own"
            )
        writers[reftype.lower()](path, element)


#: Writes a file of one type for one optical element.
_Writer = Callable[[Path, str], None]


def _map_writers(
    state: DetectorState, detector: str, window: Window, header: ReferenceHeader
) -> dict[str, _Writer]:
    maps = draw_maps(state, detector, window)
    measured = measure_maps(state, maps, detector)

    def write(reftype: str, path: Path, element: str) -> None:
        write_maps(path, reftype, measured[reftype], window, header)

    def flat(path: Path, element: str) -> None:
        arrays = measure_flat(state, maps, detector, element)
        write_maps(path, "flat", arrays, window, header, optical_element=element)

    def inverse(path: Path, element: str) -> None:
        arrays = measure_inverse_linearity(state, maps, detector)
        write_maps(path, "inverselinearity", arrays, window, header)

    return {
        **{reftype: partial(write, reftype) for reftype in measured},
        "flat": flat,
        "inverselinearity": inverse,
    }


def _table_writers(
    state: DetectorState, detector: str, header: ReferenceHeader
) -> dict[str, _Writer]:
    def dark_decay(path: Path, element: str) -> None:
        write_dark_decay(path, dark_decay_rows(state), header)

    def converter(path: Path, element: str) -> None:
        write_converter(path, **measure_converter(state, detector), header=header)

    def noise_weights(path: Path, element: str) -> None:
        whole = draw_maps(state, detector, Window())
        write_noise_weights(path, measure_noise_weights(state, whole, detector), header)

    def photometry(path: Path, element: str) -> None:
        rows = {name: photometry_row(state, detector, name) for name in filters()}
        write_photometry(path, rows, header)

    return {
        "darkdecaysignal": dark_decay,
        "integralnonlinearity": converter,
        "refpix": noise_weights,
        "photom": photometry,
    }


def _optics_writers(
    state: DetectorState,
    detector: str,
    window: Window,
    header: ReferenceHeader,
    pixfrac: float,
    elements: Sequence[str],
) -> dict[str, _Writer]:
    center, kernel = _center(window), np.array(state.ipc_kernel)
    optics = partial(_optics, state, detector, center)

    def energies(path: Path, element: str) -> None:
        pixel = np.sqrt(nominal_pixel_area_arcsec2(detector))
        within = partial(encircled_energy, detector_pixel_arcsec=pixel)
        fractions = {
            name: within(optics(name), kernel, _RADII_ARCSEC, pixfrac) for name in elements
        }
        write_encircled_energy(path, _RADII_ARCSEC, fractions, header)

    def psf(path: Path, element: str) -> None:
        centred = centred_as_catalogs_are(optics(element), pixfrac)
        stamp = effective_psf(centred, kernel, _OVERSAMPLE)
        write_effective_psf(path, stamp, _OVERSAMPLE, center, state.jitter_mas, header, element)

    return {"apcorr": energies, "epsf": psf}


def _published_writers(
    state: DetectorState, detector: str, window: Window, header: ReferenceHeader
) -> dict[str, _Writer]:
    def writer(reftype: str, content: Callable[[], Mapping[str, Any]]) -> dict[str, _Writer]:
        def write(path: Path, element: str) -> None:
            write_reference(path, reftype, content(), header, element)

        return {reftype: write}

    def area(path: Path, element: str) -> None:
        arrays, nominal = pixel_areas(detector, window), {"photometry": nominal_area(detector)}
        write_maps(path, "area", arrays, window, header, element, nominal)

    def skycells(path: Path, element: str) -> None:
        meta = {
            "nxy_skycell": CELL_SIZE,
            "skycell_border_pixels": CELL_BORDER,
            "pixel_scale": PIXEL_SCALE_ARCSEC,
        }
        ground = replace(header, pedigree="GROUND")
        write_reference(path, "skycells", skycell_tables(), ground, meta=meta)

    kernel = np.array(state.ipc_kernel, np.float32)
    return {
        "area": area,
        "skycells": skycells,
        **writer("ipc", lambda: {"data": kernel}),
        **writer("distortion", lambda: {_TRANSFORM: distortion_model(detector)}),
        **writer("detectorstatus", lambda: {"status_info": detector_status()}),
        **writer(
            "matable",
            lambda: {"guide_window_tables": {}, "science_tables": multiaccum_tables()},
        ),
    }


def _center(window: Window) -> tuple[float, float]:
    ny, nx = window.active_shape
    return window.x + (nx - 1) / 2, window.y + (ny - 1) / 2


def _optics(
    state: DetectorState, detector: str, center: tuple[float, float], element: str
) -> GSObject:
    return optical_psf(detector, element, *center, state.blur)

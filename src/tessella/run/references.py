"""The references of one detector in one state, made and written."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from galsim import GSObject

from tessella.astrometry.pixel_area import nominal_pixel_area_arcsec2
from tessella.detector.state import DetectorState, draw_maps
from tessella.errors import DataError
from tessella.instrument.optical_elements import filters
from tessella.io.references import (
    write_converter,
    write_dark_decay,
    write_effective_psf,
    write_encircled_energy,
    write_maps,
    write_noise_weights,
    write_photometry,
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

_OVERSAMPLE = 4
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
    maps = draw_maps(state, detector, window)
    measured = measure_maps(state, maps, detector)
    description = f"made by tessella from the detector state '{state_name}'"
    about = (detector, useafter, description, provenance)
    center = _center(window)
    optics = partial(_optics, state, detector, center)
    kernel = np.array(state.ipc_kernel)
    elements = {path.stem.split("_")[2].upper() for path in paths if path.stem.count("_") == 2}
    for path in paths:
        reftype, _, element = path.stem.partition("_")[2].upper().partition("_")
        reftype = reftype.lower()
        if reftype in measured:
            write_maps(path, reftype, measured[reftype], window, *about)
        elif reftype == "flat":
            flat = measure_flat(state, maps, detector, element)
            write_maps(path, reftype, flat, window, *about, optical_element=element)
        elif reftype == "inverselinearity":
            inverse = measure_inverse_linearity(state, maps, detector)
            write_maps(path, reftype, inverse, window, *about)
        elif reftype == "darkdecaysignal":
            write_dark_decay(path, dark_decay_rows(state), *about)
        elif reftype == "integralnonlinearity":
            table = measure_converter(state, detector)
            write_converter(path, table["value"], table["correction"], *about)
        elif reftype == "refpix":
            whole = draw_maps(state, detector, Window())
            write_noise_weights(path, measure_noise_weights(state, whole, detector), *about)
        elif reftype == "photom":
            rows = {name: photometry_row(state, detector, name) for name in filters()}
            write_photometry(path, rows, *about)
        elif reftype == "apcorr":
            pixel = np.sqrt(nominal_pixel_area_arcsec2(detector))
            within = partial(encircled_energy, detector_pixel_arcsec=pixel)
            energies = {
                name: within(optics(name), kernel, _RADII_ARCSEC, pixfrac)
                for name in sorted(elements)
            }
            write_encircled_energy(path, _RADII_ARCSEC, energies, *about)
        elif reftype == "epsf":
            centred = centred_as_catalogs_are(optics(element), pixfrac)
            stamp = effective_psf(centred, kernel, _OVERSAMPLE)
            write_effective_psf(
                path, stamp, _OVERSAMPLE, center, state.jitter_mas, detector, element, *about[1:]
            )
        else:
            raise DataError(
                f"{path}: references of type {reftype!r} cannot be made; list a file of your own"
            )


def _center(window: Window) -> tuple[float, float]:
    ny, nx = window.active_shape
    return window.x + (nx - 1) / 2, window.y + (ny - 1) / 2


def _optics(
    state: DetectorState, detector: str, center: tuple[float, float], element: str
) -> GSObject:
    return optical_psf(detector, element, *center, state.jitter_mas, state.charge_diffusion_um)

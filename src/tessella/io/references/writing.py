"""Calibration references as files of RAD's reference schemas: how they are written."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy.time import Time

from tessella.detector.reference_noise import Coefficients
from tessella.io.asdf_files import save_model
from tessella.io.exposure_meta import ORIGIN, update
from tessella.io.references.layouts import LAYOUTS
from tessella.models import CHANNEL_WIDTH, Window

_COLLECTING_AREA_M2 = 3.757
#: What RAD allows as the optical element of what holds for all.
_ANY_ELEMENT = "NOT_CONFIGURED"


@dataclass(frozen=True)
class ReferenceHeader:
    """What every reference file says of itself."""

    #: RAD name.
    detector: str
    #: From when on it holds, UTC, ISO 8601.
    useafter: str
    description: str
    #: See `tessella.io.provenance.provenance`.
    provenance: Mapping[str, Any]
    #: RAD pedigree, such as GROUND or SIMULATION.
    pedigree: str = "SIMULATION"


def write_reference(
    path: str | Path,
    reftype: str,
    content: Mapping[str, Any],
    header: ReferenceHeader,
    optical_element: str | None = None,
    meta: Mapping[str, Any] | None = None,
) -> None:
    """Write a reference of any type of `LAYOUTS`.

    Parameters
    ----------
    path : path
    reftype : str
    content : mapping
        Arrays, tables and transformations by their RAD names.
    header : ReferenceHeader
    optical_element : str, optional
        Of types that know one; without it, the file holds for all.
    meta : mapping, optional
        Further entries of ``meta``.

    Raises
    ------
    DataError
        If RAD's schema does not allow the content.
    """
    model = LAYOUTS[reftype].model.create_fake_data()
    common: dict[str, Any] = {
        "reftype": reftype.upper(),
        "pedigree": header.pedigree,
        "description": header.description,
        "author": "tessella",
        "useafter": Time(header.useafter, scale="utc", format="isot"),
        "origin": ORIGIN,
        "telescope": "ROMAN",
        "instrument": {"name": "WFI", "detector": header.detector},
    }
    if "meta" not in model:
        model["meta"] = {}
    update(model.meta, common)
    update(model.meta, meta or {})
    if "optical_element" in model.meta.instrument:
        model.meta.instrument.optical_element = optical_element or _ANY_ELEMENT
    for name, value in content.items():
        model[name] = value
    save_model(model, path, header.provenance)


def write_maps(
    path: str | Path,
    reftype: str,
    arrays: Mapping[str, np.ndarray],
    window: Window,
    header: ReferenceHeader,
    optical_element: str | None = None,
    meta: Mapping[str, Any] | None = None,
) -> None:
    """Write a reference that is made of maps of pixels; the window they cover is recorded."""
    covered = {**(meta or {}), "tessella": {"window": vars(window)}}
    write_reference(path, reftype, arrays, header, optical_element, covered)


def write_photometry(
    path: str | Path,
    rows: Mapping[str, Mapping[str, float]],
    header: ReferenceHeader,
) -> None:
    """Write the zero points of a detector; effective areas are not known here and are NaN."""
    unknown = np.full(1, np.nan, np.float32)
    table = {
        element: {
            **row,
            "collecting_area": _COLLECTING_AREA_M2,
            "wavelength": unknown,
            "effective_area": unknown,
        }
        for element, row in rows.items()
    }
    write_reference(path, "photom", {"phot_table": table}, header)


def write_dark_decay(
    path: str | Path,
    rows: Mapping[str, Mapping[str, float]],
    header: ReferenceHeader,
) -> None:
    """Write amplitude [DN] and time constant [s] of the dark decay of every detector."""
    table = {name: dict(row) for name, row in rows.items()}
    write_reference(path, "darkdecaysignal", {"decay_table": table}, header)


def write_converter(
    path: str | Path,
    value: np.ndarray,
    correction: np.ndarray,
    header: ReferenceHeader,
) -> None:
    """Write the integral nonlinearity of the converter of each channel.

    Parameters
    ----------
    value : ndarray of shape (n,)
        Raw counts, whole numbers from 0 to 65535 [DN].
    correction : ndarray of shape (32, n)
        What is added to them, for channels in the order of their columns [DN].
    """
    n_channels = len(correction)
    # Channels are numbered as the detector is read; images of every third are turned left to right.
    is_turned = int(header.detector[3:]) % 3 == 0
    table = {
        f"science_channel_{number:02d}": {
            "instrument_channel": n_channels - number if is_turned else number - 1,
            "correction": row.astype(float),
        }
        for number, row in enumerate(correction, 1)
    }
    content = {"value": value.astype(np.uint16), "inl_table": table}
    meta = {"n_channels": n_channels, "n_pixels_per_channel": CHANNEL_WIDTH}
    write_reference(path, "integralnonlinearity", content, header, meta=meta)


def write_noise_weights(
    path: str | Path,
    weights: Coefficients,
    header: ReferenceHeader,
) -> None:
    """Write how the references predict the noise of each channel, as a `refpix` reference."""
    content = {name: np.asarray(values, np.complex128) for name, values in vars(weights).items()}
    write_reference(path, "refpix", content, header)


def write_encircled_energy(
    path: str | Path,
    radii_arcsec: np.ndarray,
    fractions: Mapping[str, np.ndarray],
    header: ReferenceHeader,
) -> None:
    """Write the encircled energies of point sources, by filter, as an `apcorr` reference."""
    table = {
        element: {
            "ap_corrections": 1 / np.asarray(values, float),
            "ee_fractions": np.asarray(values, float),
            "ee_radii": np.asarray(radii_arcsec, float),
            "sky_background_rin": 2.4,
            "sky_background_rout": 2.8,
        }
        for element, values in fractions.items()
    }
    write_reference(path, "apcorr", {"data": table}, header)


def write_effective_psf(
    path: str | Path,
    stamp: np.ndarray,
    oversample: int,
    position: tuple[float, float],
    jitter_mas: float,
    header: ReferenceHeader,
    optical_element: str,
) -> None:
    """Write an effective point-spread function of one position as an `epsf` reference.

    Parameters
    ----------
    stamp : ndarray of shape (n, n)
        Share of the flux that a pixel at this offset from the star shows, sampled `oversample`
        times a pixel.
    position : tuple of float
        x, y in the 4088 frame.
    """
    meta = {
        "oversample": oversample,
        "spectral_type": ["G2V"],
        "defocus": [0],
        "pixel_x": [position[0]],
        "pixel_y": [position[1]],
        "jitter_major": jitter_mas,
        "jitter_minor": jitter_mas,
        "jitter_position_angle": 0.0,
    }
    content = {"psf": stamp.astype(np.float32)[None, None, None]}
    write_reference(path, "epsf", content, header, optical_element, meta)

"""Calibration references as files of RAD's reference schemas."""

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import roman_datamodels.datamodels as rdm
from astropy.time import Time

from tessella.detector.reference_noise import Coefficients
from tessella.errors import DataError
from tessella.io.asdf_files import open_roman, save_model
from tessella.io.atomic import replacing
from tessella.io.disk_arrays import Cut, disk_arrays
from tessella.io.exposure_meta import update
from tessella.io.runs import run_of
from tessella.io.seals import sha256
from tessella.models import BORDER, CHANNEL_WIDTH, Reference, Window
from tessella.psf.effective import EffectivePsf

_MODELS = {
    "mask": rdm.MaskRefModel,
    "saturation": rdm.SaturationRefModel,
    "linearity": rdm.LinearityRefModel,
    "inverselinearity": rdm.InverselinearityRefModel,
    "integralnonlinearity": rdm.IntegralnonlinearityRefModel,
    "darkdecaysignal": rdm.DarkdecaysignalRefModel,
    "refpix": rdm.RefpixRefModel,
    "readnoise": rdm.ReadnoiseRefModel,
    "gain": rdm.GainRefModel,
    "dark": rdm.DarkRefModel,
    "flat": rdm.FlatRefModel,
    "photom": rdm.WfiImgPhotomRefModel,
    "apcorr": rdm.ApcorrRefModel,
    "epsf": rdm.EpsfRefModel,
}
#: Types whose arrays cover the pixels that see light only.
_ACTIVE_ONLY = ("flat",)
_TABLES = {"photom": "phot_table", "apcorr": "data", "darkdecaysignal": "decay_table"}
#: Types that hold for all detectors.
_OF_THE_INSTRUMENT = ("darkdecaysignal",)
_COLLECTING_AREA_M2 = 3.757


def _start(
    reftype: str, detector: str, useafter: str, description: str, optical_element: str | None
) -> Any:
    model = _MODELS[reftype].create_fake_data()
    update(
        model.meta,
        {
            "pedigree": "SIMULATION",
            "description": description,
            "author": "tessella",
            "useafter": Time(useafter, scale="utc", format="isot"),
            "origin": "STSCI/SOC",
            "telescope": "ROMAN",
            "instrument": {"name": "WFI", "detector": detector},
        },
    )
    if optical_element is not None and "optical_element" in model.meta.instrument:
        model.meta.instrument.optical_element = optical_element
    return model


def write_maps(
    path: str | Path,
    reftype: str,
    arrays: Mapping[str, np.ndarray],
    window: Window,
    detector: str,
    useafter: str,
    description: str,
    provenance: Mapping[str, Any],
    optical_element: str | None = None,
) -> None:
    """Write a reference that is made of maps of pixels; the window they cover is recorded."""
    model = _start(reftype, detector, useafter, description, optical_element)
    for name, values in arrays.items():
        model[name] = values
    model.meta["tessella"] = {"window": vars(window)}
    save_model(model, path, provenance)


def write_photometry(
    path: str | Path,
    rows: Mapping[str, Mapping[str, float]],
    detector: str,
    useafter: str,
    description: str,
    provenance: Mapping[str, Any],
) -> None:
    """Write the zero points of a detector; effective areas are not known here and are NaN."""
    model = _start("photom", detector, useafter, description, None)
    unknown = np.full(1, np.nan, np.float32)
    model["phot_table"] = {
        element: {
            **row,
            "collecting_area": _COLLECTING_AREA_M2,
            "wavelength": unknown,
            "effective_area": unknown,
        }
        for element, row in rows.items()
    }
    save_model(model, path, provenance)


def write_dark_decay(
    path: str | Path,
    rows: Mapping[str, Mapping[str, float]],
    detector: str,
    useafter: str,
    description: str,
    provenance: Mapping[str, Any],
) -> None:
    """Write amplitude [DN] and time constant [s] of the dark decay of every detector."""
    model = _start("darkdecaysignal", detector, useafter, description, None)
    model["decay_table"] = {name: dict(row) for name, row in rows.items()}
    save_model(model, path, provenance)


def write_converter(
    path: str | Path,
    value: np.ndarray,
    correction: np.ndarray,
    detector: str,
    useafter: str,
    description: str,
    provenance: Mapping[str, Any],
) -> None:
    """Write the integral nonlinearity of the converter of each channel.

    Parameters
    ----------
    value : ndarray of shape (n,)
        Raw counts, whole numbers from 0 to 65535 [DN].
    correction : ndarray of shape (32, n)
        What is added to them, for channels in the order of their columns [DN].
    """
    model = _start("integralnonlinearity", detector, useafter, description, None)
    n_channels = len(correction)
    # Channels are numbered as the detector is read; images of every third are turned left to right.
    is_turned = int(detector[3:]) % 3 == 0
    model["value"] = value.astype(np.uint16)
    model["inl_table"] = {
        f"science_channel_{number:02d}": {
            "instrument_channel": n_channels - number if is_turned else number - 1,
            "correction": row.astype(float),
        }
        for number, row in enumerate(correction, 1)
    }
    update(model.meta, {"n_channels": n_channels, "n_pixels_per_channel": CHANNEL_WIDTH})
    save_model(model, path, provenance)


def write_noise_weights(
    path: str | Path,
    weights: Coefficients,
    detector: str,
    useafter: str,
    description: str,
    provenance: Mapping[str, Any],
) -> None:
    """Write how the references predict the noise of each channel, as a `refpix` reference."""
    model = _start("refpix", detector, useafter, description, None)
    for name, values in vars(weights).items():
        model[name] = np.asarray(values, np.complex128)
    save_model(model, path, provenance)


def write_encircled_energy(
    path: str | Path,
    radii_arcsec: np.ndarray,
    fractions: Mapping[str, np.ndarray],
    detector: str,
    useafter: str,
    description: str,
    provenance: Mapping[str, Any],
) -> None:
    """Write the encircled energies of point sources, by filter, as an `apcorr` reference."""
    model = _start("apcorr", detector, useafter, description, None)
    model["data"] = {
        element: {
            "ap_corrections": 1 / np.asarray(values, float),
            "ee_fractions": np.asarray(values, float),
            "ee_radii": np.asarray(radii_arcsec, float),
            "sky_background_rin": 2.4,
            "sky_background_rout": 2.8,
        }
        for element, values in fractions.items()
    }
    save_model(model, path, provenance)


def write_effective_psf(
    path: str | Path,
    stamp: np.ndarray,
    oversample: int,
    position: tuple[float, float],
    jitter_mas: float,
    detector: str,
    optical_element: str,
    useafter: str,
    description: str,
    provenance: Mapping[str, Any],
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
    model = _start("epsf", detector, useafter, description, optical_element)
    update(
        model.meta,
        {
            "oversample": oversample,
            "spectral_type": ["G2V"],
            "defocus": [0],
            "pixel_x": [position[0]],
            "pixel_y": [position[1]],
            "jitter_major": jitter_mas,
            "jitter_minor": jitter_mas,
            "jitter_position_angle": 0.0,
        },
    )
    model["psf"] = stamp.astype(np.float32)[None, None, None]
    save_model(model, path, provenance)


def read_effective_psf(path: str | Path) -> EffectivePsf:
    """Read an `epsf` reference: the first stamp, in focus and of the first spectral type."""
    with open_roman(path) as roman:
        return EffectivePsf(
            np.asarray(roman["psf"])[0, 0, 0].astype(float), int(roman["meta"]["oversample"])
        )


def read_encircled_energy(path: str | Path, optical_element: str) -> tuple[np.ndarray, np.ndarray]:
    """Read radii [arcsec] and encircled energies of one filter from an `apcorr` reference.

    Raises
    ------
    DataError
        If the file does not hold the filter.
    """
    with open_roman(path) as roman:
        table = roman["data"]
        if optical_element not in table or table[optical_element]["ee_fractions"] is None:
            raise DataError(
                f"{path}: no encircled energies of {optical_element}; it holds {', '.join(table)}"
            )
        row = table[optical_element]
        return np.asarray(row["ee_radii"], float), np.asarray(row["ee_fractions"], float)


def read_references(
    selection: str | Path,
    reftypes: Iterable[str],
    window: Window,
    detector: str,
    optional: Iterable[str] = (),
) -> dict[str, Reference]:
    """Read the references that a selection names, cut to a window.

    Parameters
    ----------
    selection : path
        JSON file of the rule `select_references`.
    reftypes : iterable of str
        Types that are needed.
    window : Window
        Of the exposure.
    detector : str
        RAD name.
    optional : iterable of str
        Types that are read where the selection has them.

    Raises
    ------
    DataError
        If the selection has no file of a type, or a file is not the one chosen, is of another
        detector, or does not cover the window.
    """
    files = read_selection(selection)
    chosen = {}
    for reftype in (*reftypes, *(reftype for reftype in optional if reftype in files)):
        if reftype not in files:
            raise DataError(
                f"{selection}: no reference of type {reftype}; it has {', '.join(sorted(files))}"
            )
        path, expected = files[reftype]
        if sha256(path) != expected:
            raise DataError(
                f"{path}: it is not the file that {selection} chose: its SHA-256 is "
                f"{sha256(path)[:12]}..., not {expected[:12]}...; select again"
            )
        chosen[reftype] = _read_reference(path, reftype, window, detector)
    return chosen


def named_from(selection: str | Path, files: Mapping[str, Path]) -> dict[str, str]:
    """Return how a selection names its files.

    Those of its own run are named from its folder, so that equal runs in two places choose in
    the same words; others by their whole path.
    """
    folder, run = Path(selection).resolve().parent, run_of(selection)
    return {
        reftype: os.path.relpath(file.resolve(), folder)
        if run is not None and run_of(file) == run
        else str(file.resolve())
        for reftype, file in files.items()
    }


def write_selection(
    path: str | Path,
    names: Mapping[str, str],
    provenance: Mapping[str, Any],
    context: str = "",
    expected: Mapping[str, str] | None = None,
) -> None:
    """Write which references serve one kind of exposure, with their hashes.

    Parameters
    ----------
    path : path
        JSON file.
    names : mapping
        How `named_from` names the file of each reference type.
    provenance : mapping
    context : str
        Hash of the rows of the table of references that chose them.
    expected : mapping, optional
        SHA-256 that the table gives of the files of some types.

    Raises
    ------
    DataError
        If a file is not the one that the table means.
    """
    folder = Path(path).resolve().parent
    content = {}
    for reftype, name in names.items():
        given = (expected or {}).get(reftype)
        # Of a file of this run the seal knows the hash; one that is expected is read to its end.
        found = sha256(folder / name, head_only=given is None)
        if given is not None and found != given:
            raise DataError(
                f"{folder / name}: its SHA-256 is {found[:12]}..., 'references.table' gives "
                f"{given[:12]}... for this {reftype}; put the right file there or mend the row"
            )
        content[reftype] = {"path": name, "sha256": found}
    with replacing(path, provenance) as part:
        told = {"context": context, "files": content}
        part.write_text(json.dumps(told, indent=1, sort_keys=True) + "\n")


def read_context(path: str | Path) -> str:
    """Read the name of the context of a selection: a hash of the rows that chose its files."""
    return str(_content(path).get("context", ""))


def read_selection(path: str | Path) -> dict[str, tuple[Path, str]]:
    """Read what `write_selection` wrote: file and SHA-256 of each reference type."""
    folder = Path(path).resolve().parent
    files = _content(path)["files"]
    return {
        reftype: ((folder / files[reftype]["path"]).resolve(), files[reftype]["sha256"])
        for reftype in sorted(files)
    }


def _content(selection: str | Path) -> dict[str, Any]:
    sha256(selection)
    try:
        content = json.loads(Path(selection).read_text())
        if all({"path", "sha256"} <= set(entry) for entry in content["files"].values()):
            return dict(content)
    except (ValueError, KeyError, TypeError, AttributeError):
        pass
    raise DataError(
        f"{selection}: no selection of references; expected what the rule select_references writes"
    )


def _read_reference(path: Path, reftype: str, window: Window, detector: str) -> Reference:
    with open_roman(path) as roman:
        found = roman["meta"]["instrument"].get("detector", detector)
        if found != detector and reftype not in _OF_THE_INSTRUMENT:
            raise DataError(
                f"{path}: meta.instrument.detector: it is of {found}, expected {detector}; "
                "mend the row of the table of references"
            )
        if reftype in _TABLES:
            values = {str(key): dict(row) for key, row in roman[_TABLES[reftype]].items()}
            return Reference(reftype, path.name, {}, values)
        if reftype == "integralnonlinearity":
            return Reference(reftype, path.name, _converter_table(path, roman))
        held = roman["meta"].get("tessella", {}).get("window")
        covered = Window(**dict(held)) if held is not None else Window()
    arrays: dict[str, Any] = dict(disk_arrays(path))
    if reftype != "refpix":
        arrays = {
            name: _cut(array, path, covered, window, reftype in _ACTIVE_ONLY)
            for name, array in arrays.items()
        }
    return Reference(reftype, path.name, arrays)


def _converter_table(path: Path, roman: Any) -> dict[str, np.ndarray]:
    """Return the counts at which a converter was measured and what is added, by channel."""
    table = roman["inl_table"]
    rows = [np.asarray(table[name]["correction"], float) for name in sorted(table)]
    arrays = {"value": np.asarray(roman["value"], float), "correction": np.array(rows)}
    if not all(np.isfinite(values).all() for values in arrays.values()):
        raise DataError(f"{path}: inl_table: a correction is not a number; expected numbers alone")
    return arrays


def _cut(array: Any, path: Path, covered: Window, window: Window, active_only: bool) -> Any:
    border = 2 * BORDER if active_only else 0
    x, y = window.x - covered.x, window.y - covered.y
    ny, nx = window.ny - border, window.nx - border
    if min(x, y) < 0 or y + ny > array.shape[-2] or x + nx > array.shape[-1]:
        raise DataError(
            f"{path}: it covers the window {vars(covered)}, not the exposure's {vars(window)}"
        )
    if array.shape[-2:] == (ny, nx):
        return array
    if isinstance(array, np.ndarray):
        return array[..., y : y + ny, x : x + nx]
    return Cut(array, y, x, ny, nx)

"""Level 2: calibrated images in official files (`..._cal.asdf`, ImageModel)."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tessella import flags
from tessella.half_precision import read_variance, to_half
from tessella.io.asdf_files import open_roman, plain, save_model
from tessella.io.exposure_meta import SOFTWARE, update, wcsinfo
from tessella.io.level2_about import SINGLE, VARIANCES, Level2About, about_of, read_about
from tessella.io.rad import datamodels as rdm
from tessella.median import median
from tessella.models import Border, Image

__all__ = ["Level2About", "read_about", "read_image", "read_meta", "write_image"]

#: Beside what RAD asks for: see docs/level2.md.
_COUNTS = ("resultants_used", "saturated_from")
#: RAD wants them so.
_HALF = ("err", *VARIANCES, "chisq", "dumo")


def write_image(
    path: str | Path,
    image: Image,
    border: Border,
    amp33: np.ndarray,
    meta: Mapping[str, Any],
    status: Mapping[str, str],
    reference_names: Mapping[str, Any],
    provenance: Mapping[str, Any],
    logs: Sequence[str] = (),
    n_threads: int = 1,
) -> None:
    """Write a Level 2 file that validates against RAD.

    Parameters
    ----------
    path : path
    image : Image
        NaN where nothing was measured.
    border : Border
        Reference pixels of the ramp it was made from.
    amp33 : ndarray of shape (n_resultants, ny, 128), uint16
        Its reference output, as it was sent.
    meta : mapping
        Metadata of the Level 1 file.
    status : mapping
        Of each step by its official name: COMPLETE, SKIPPED or N/A.
    reference_names : mapping
        Name of the file used of each reference type.
    provenance : mapping
        How the image was made.
    logs : sequence of str
        What each step did, in words.
    n_threads : int
        Of no influence on the file.
    """
    model = rdm.ImageModel.create_fake_data()
    carried = {
        key: value
        for key, value in meta.items()
        if key not in ("wcs", "photometry", "tessella", "model_type")
    }
    update(model.meta, carried)
    update(model.meta, SOFTWARE)
    model.meta.filename = Path(path).name
    model.meta.product_type = "l2"
    model.meta.visit.setdefault("wfi_acm_z_defocus_size", None)
    update(model.meta.ref_file, reference_names)
    update(model.meta.wcsinfo, wcsinfo(image.attitude, image.detector, image.window))
    # What RAD does not know of stands behind what it asks for.
    model.meta["cal_step"] = dict.fromkeys(_CAL_STEPS, "INCOMPLETE") | dict(status)
    model.meta["photometry"] = {
        "conversion_megajanskys": image.conversion_megajanskys,
        "conversion_megajanskys_uncertainty": image.conversion_uncertainty,
        "pixel_area": image.pixel_area_sr,
    }
    with ThreadPoolExecutor(n_threads) as pool:
        statistics = pool.submit(_statistics, image)
        half = dict(zip(_HALF, pool.map(partial(_half, image), _HALF), strict=True))
        model.meta["statistics"] = statistics.result()
    model.meta["wcs"] = image.wcs
    model.meta["tessella"] = {**provenance, "window": vars(image.window)}
    _set_arrays(model, image, border)
    for name, values in half.items():
        model[name] = values
    model.amp33 = amp33
    model["cal_logs"] = list(logs)
    save_model(model, path, provenance, n_threads)


_CAL_STEPS = (
    "assign_wcs",
    "dark",
    "dark_decay",
    "dq_init",
    "flat_field",
    "flux",
    "linearity",
    "outlier_detection",
    "photom",
    "source_catalog",
    "ramp_fit",
    "refpix",
    "saturation",
    "skymatch",
    "tweakreg",
    "wfi18_transient",
)


def _statistics(image: Image) -> dict[str, float]:
    good = (image.dq & flags.DO_NOT_USE) == 0
    middle = median(image.data, good)
    return {
        "zodiacal_light": np.nan,
        "image_median": middle,
        "image_rms": median(image.data, good, middle),
        "good_pixel_fraction": float((good & np.isfinite(image.data)).mean()),
    }


def _half(image: Image, name: str) -> np.ndarray:
    values = getattr(image, name)
    return values if values.dtype == np.float16 else to_half(values)


def _set_arrays(model: Any, image: Image, border: Border) -> None:
    model.data = image.data.astype(np.float32, copy=False)
    model.dq = image.dq
    model.dq2 = np.zeros_like(image.dq)
    for side, counts in border.counts.items():
        model[f"border_ref_pix_{side}"] = counts
        model[f"dq_border_ref_pix_{side}"] = border.dq[side]
    model["jump_indices"] = image.jumps
    model[SINGLE] = {
        name: getattr(image, name).astype(np.float32, copy=False) for name in VARIANCES
    }
    for name in _COUNTS:
        if getattr(image, name) is not None:
            model[name] = getattr(image, name)


def read_image(path: str | Path) -> tuple[Image, dict[str, Any]]:
    """Read a Level 2 file of any origin.

    Returns
    -------
    image : Image
        Arrays in double precision; variances and errors from the single precision that our own
        files hold, else from official half precision, which loses those below 6e-8. The variance
        of the read noise is what the other parts leave of the total one where a file lacks it
        (`tessella.half_precision.read_variance`). Images in MJy / sr have a conversion of 1.
    meta : dict
        ``start_time`` (astropy Time), ``exposure_time`` [s], ``filename`` and whether variances
        are in ``single_precision``.

    Raises
    ------
    DataError
        If the file is not whole or not as a Level 2 file must be.
    """
    with open_roman(path) as roman:
        about = about_of(Path(path), roman)
        arrays: dict[str, Any] = {
            name: _double(roman[name]) for name in ("data", "err", "var_poisson")
        }
        arrays |= _other_variances(roman)
        if SINGLE in roman:
            held_single = roman[SINGLE]
            arrays |= {name: _double(held_single[name]) for name in VARIANCES}
            arrays["err"] = np.sqrt(sum(arrays[name] for name in VARIANCES))
        for name in ("chisq", "dumo"):
            # Simulators leave them out, or give one number for all pixels.
            known = name in roman and tuple(roman[name].shape) == about.shape
            arrays[name] = _double(roman[name]) if known else np.full(about.shape, np.nan)
        arrays |= {name: np.asarray(roman[name]) for name in _COUNTS if name in roman}
        jumps = roman.get("jump_indices")
        image = Image(
            detector=about.detector,
            optical_element=about.optical_element,
            window=about.window,
            dq=np.asarray(roman["dq"]),
            jumps=np.zeros((0, 3), np.int16) if jumps is None else np.asarray(jumps),
            attitude=about.attitude,
            wcs=about.wcs,
            conversion_megajanskys=about.conversion,
            conversion_uncertainty=about.conversion_uncertainty,
            pixel_area_sr=about.pixel_area_sr,
            **arrays,
        )
    kept = {
        "start_time": about.start_time,
        "exposure_time": about.exposure_time,
        "filename": str(about.meta.get("filename", about.path.name)),
        "single_precision": about.holds_single_precision,
    }
    return image, kept


def _double(array: Any) -> np.ndarray:
    """Return an array, of older files one with a unit, in double precision."""
    return np.asarray(getattr(array, "value", array)).astype(np.float64)


def _other_variances(roman: Any) -> dict[str, np.ndarray]:
    """Return the parts of the variance that files of other origin may lack."""
    flat = _double(roman["var_flat"]) if "var_flat" in roman else None
    if "var_rnoise" in roman:
        read = _double(roman["var_rnoise"])
    else:
        read = read_variance(_double(roman["err"]), _double(roman["var_poisson"]), flat)
    return {"var_rnoise": read, "var_flat": np.zeros_like(read) if flat is None else flat}


def read_meta(path: str | Path) -> dict[str, Any]:
    """Read the metadata of a Level 2 file as plain dictionaries."""
    with open_roman(path, with_arrays=False) as roman:
        return plain(roman["meta"])

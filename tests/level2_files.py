"""Level 2 files of three kinds: ours, as romancal 1.1.0 leaves them, as romanisim 0.14 makes them.

What the other two hold was read off real files of theirs. They hold whole detectors alone; here
they say of which window they are as our own do, so that a test needs no 16 million pixels.
"""

import copy
from dataclasses import replace
from pathlib import Path

import asdf
import exposures
import numpy as np
from astropy import coordinates
from astropy import units as u
from astropy.modeling import models
from gwcs import coordinate_frames
from gwcs.wcs import WCS

from tessella import flags
from tessella.astrometry.gwcs_model import build_gwcs
from tessella.astrometry.wcs import attitude_of
from tessella.io.asdf_files import plain
from tessella.io.exposure_meta import exposure_meta
from tessella.io.level2 import write_image
from tessella.models import ExposureKey, Image, Window

WINDOW = Window(256, 128, 128, 128)
#: Of one DN / s in all files [MJy / sr].
CONVERSION = 0.6
AREA_SR = 2.8e-13
#: Kinds of files by name.
KINDS = ("ours", "romancal", "romancal, flux", "romanisim")


def image_of(
    detector: str = "WFI01", element: str = "F158", seed: int = 1, shift_arcsec: float = 0.0
) -> Image:
    """An image with noise, a bright star and a bad pixel."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: WINDOW.active_shape[0], : WINDOW.active_shape[1]]
    data = 0.5 + 400 * np.exp(-((x - 70.3) ** 2 + (y - 50.6) ** 2) / 2)
    poisson, read = data / 140, np.full(data.shape, 64 / 140**2)
    data = data + np.sqrt(poisson + read) * rng.standard_normal(data.shape)
    dq = np.zeros(data.shape, np.uint32)
    dq[3, 4] = flags.DO_NOT_USE
    data[3, 4] = np.nan
    at = 12.108, 85.255 + shift_arcsec / 3600
    attitude = attitude_of(detector, *at, 0.0, exposures.HEADER.start_time)
    plain_image = exposures.make_image(data, 0.1, WINDOW)
    return replace(
        plain_image,
        detector=detector,
        optical_element=element,
        dq=dq,
        var_poisson=poisson,
        var_rnoise=read,
        var_flat=np.zeros(data.shape),
        err=np.sqrt(poisson + read),
        attitude=attitude,
        wcs=build_gwcs(attitude, detector, WINDOW),
        conversion_megajanskys=CONVERSION,
        conversion_uncertainty=0.01,
        pixel_area_sr=AREA_SR,
    )


def meta_of(
    image: Image, number: int = 1, exposure_type: str = "WFI_IMAGE", program: int = 1
) -> dict:
    """Metadata of the Level 1 file of an image."""
    key = ExposureKey(program, 1, 1, 1, 1, 1, number)
    header = replace(
        exposures.HEADER,
        key=key,
        optical_element=image.optical_element,
        exposure_type=exposure_type,
    )
    return exposure_meta(header, image.detector, WINDOW, exposures.PATTERN, 4000)


def name_of(image: Image, number: int = 1) -> str:
    return (
        f"r0000101001001001001_{number:04d}_{image.detector.lower()}_"
        f"{image.optical_element.lower()}_cal.asdf"
    )


def write(folder: Path, image: Image, kind: str = "ours", number: int = 1, **meta) -> Path:
    """Write an image as one of `KINDS`; `meta` is for `meta_of`."""
    path = folder / name_of(image, number)
    write_image(
        path, image, *exposures.plain_border(image), meta_of(image, number, **meta), {}, {}, {}
    )
    if kind == "ours":
        return path
    tree = content(path)
    {"romancal": romancal, "romancal, flux": romancal_flux, "romanisim": romanisim}[kind](tree)
    return rewrite(path, tree)


def content(path: Path) -> dict:
    """Read a file as plain dictionaries, arrays and its gwcs."""
    with asdf.open(path, memmap=False) as file:
        roman = file["roman"]
        tree = {
            key: plain(value) if key in ("meta", "cal_logs") else _array(value)
            for key, value in roman.items()
        }
        tree["meta"]["wcs"] = roman["meta"]["wcs"]
        return tree


def _array(value):
    return plain_arrays(value) if hasattr(value, "items") else np.array(value)


def plain_arrays(node):
    return {str(key): np.array(value) for key, value in node.items()}


def rewrite(path: Path, tree: dict) -> Path:
    """Write what stands under the key roman, without a look at any schema."""
    asdf.AsdfFile({"roman": tree}).write_to(path)
    return path


def romancal(tree: dict) -> None:
    """Half precision alone, var_rnoise and var_flat left out."""
    for name in ("single_precision", "var_rnoise", "var_flat", "resultants_used", "saturated_from"):
        tree.pop(name, None)
    tree["meta"]["calibration_software_name"] = "RomanCAL"
    tree["meta"]["tessella"] = {"window": tree["meta"]["tessella"]["window"]}


def romancal_flux(tree: dict) -> None:
    """After flux and tweakreg: MJy / sr, and a correction among the frames of the gwcs."""
    romancal(tree)
    meta = tree["meta"]
    tree["data"] = tree["data"] * np.float32(CONVERSION)
    tree["err"] = (tree["err"].astype("f4") * CONVERSION).astype("f2")
    tree["var_poisson"] = (tree["var_poisson"].astype("f4") * CONVERSION**2).astype("f2")
    meta["cal_step"]["flux"] = meta["cal_step"]["tweakreg"] = "COMPLETE"
    meta["wcs"] = corrected(meta["wcs"])


#: Of the correction in `romancal_flux` [arcsec].
SHIFT = (0.03, -0.02)


def corrected(wcs: WCS) -> WCS:
    """Move directions in the telescope by `SHIFT`, as tweakreg does in a frame of its own."""
    move = models.Shift(SHIFT[0]) & models.Shift(SHIFT[1])
    steps = [(step.frame, step.transform) for step in wcs.pipeline]
    frame = coordinate_frames.Frame2D(name="v2v3corr", unit=(u.arcsec, u.arcsec))
    (before, to_sky), world = steps[-2:]
    out = WCS([*steps[:-2], (before, move), (frame, to_sky), world])
    out.bounding_box = box(wcs)
    return out


def box(wcs: WCS, late: float = 0.0) -> tuple:
    intervals = wcs.bounding_box.intervals
    return tuple((intervals[k].lower, intervals[k].upper + late) for k in (0, 1))


def romanisim(tree: dict) -> None:
    """One step to a sky called FK5, keywords of the instrument's centre, odd signs."""
    romancal(tree)
    tree.pop("jump_indices", None)
    tree["chisq"] = tree["dumo"] = np.zeros((1, 1), np.float16)
    meta = tree["meta"]
    meta["cal_step"] = dict.fromkeys(meta["cal_step"], "INCOMPLETE")
    meta["photometry"] = {
        "conversion_megajanskys": -CONVERSION,
        "conversion_megajanskys_uncertainty": 0,
        "pixel_area": -AREA_SR,
    }
    meta.pop("statistics", None)
    center = {"v2_ref": 1546.38, "v3_ref": -892.79, "ra_ref": 12.108, "dec_ref": 85.255}
    meta["wcsinfo"].update(center, aperture_name="WFI_CEN", roll_ref=60)
    meta["wcs"] = in_one_step(meta["wcs"])


def in_one_step(wcs: WCS) -> WCS:
    bare = copy.deepcopy(wcs)
    bare.bounding_box = None
    pixels = coordinate_frames.Frame2D(name="detector", unit=(u.pix, u.pix))
    sky = coordinate_frames.CelestialFrame(
        name="FK5", reference_frame=coordinates.FK5(), unit=(u.deg, u.deg)
    )
    out = WCS([(pixels, bare.forward_transform), (sky, None)])
    # romanisim's box ends a pixel late.
    out.bounding_box = box(wcs, late=1.0)
    return out


def mirrored(wcs: WCS) -> WCS:
    """The same image with x counted from the other side: galsim's focal plane."""
    last = 2 * ((WINDOW.active_shape[1] - 1) / 2)
    flip = (models.Scale(-1.0) | models.Shift(last)) & models.Identity(1)
    steps = [(step.frame, step.transform) for step in wcs.pipeline]
    bare = copy.deepcopy(steps[0][1])
    bare.bounding_box = None
    out = WCS([(steps[0][0], flip | bare), *steps[1:]])
    out.bounding_box = box(wcs)
    return out

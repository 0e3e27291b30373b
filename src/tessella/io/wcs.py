"""WCS of detector images by their tie to the reference stars, in official files.

A `..._wcs.asdf` (WfiWcsModel) holds what the alignment of the exposure found. The final WCS, which
coadds and the report use, is that with the correction of the joint solution: `read_wcs`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gwcs.wcs import WCS

from tessella.astrometry.alignment import Alignment
from tessella.astrometry.gwcs_model import with_attitude, with_correction
from tessella.io.asdf_files import open_roman, save_model
from tessella.io.exposure_meta import update, wcsinfo
from tessella.io.rad import datamodels as rdm
from tessella.models import BORDER, Image, WcsCorrection

#: Name of a transformation that was tied to reference stars.
ALIGNED = "FIT-LVL2-GAIA"


def write_wcs(
    path: str | Path,
    image: Image,
    meta: Mapping[str, Any],
    alignment: Alignment,
    provenance: Mapping[str, Any],
) -> None:
    """Write the tied WCS of an image, for its own pixels and for those of its Level 1 file.

    Parameters
    ----------
    path : path
    image : Image
        Its own attitude is that of the spacecraft.
    meta : mapping
        Metadata of the Level 2 file, carried on.
    alignment : Alignment
        Its attitude is that of the tie; its status says whether it is another than the image's.
    provenance : mapping
    """
    model = rdm.WfiWcsModel.create_fake_data()
    update(
        model.meta,
        {
            key: meta[key]
            for key in model.meta
            if key in meta and key not in ("model_type", "filename")
        },
    )
    model.meta.filename = Path(path).name
    update(model.meta.wcsinfo, wcsinfo(alignment.attitude, image.detector, image.window))
    model.meta["wcs_fit_results"] = {
        "status": alignment.status,
        "n_matched": alignment.n_matched,
        "n_used": alignment.n_used,
        "rms_mas": alignment.rms_mas,
        "shift_v2_arcsec": alignment.shift_v2,
        "shift_v3_arcsec": alignment.shift_v3,
        "turn_arcsec": alignment.turn_arcsec,
    }
    model.meta["tessella"] = dict(provenance)
    final = with_attitude(image.wcs, alignment.attitude)
    final.name = ALIGNED if alignment.is_aligned else "POINTING"
    model["wcs_l2"] = final
    model["wcs_l1"] = with_attitude(image.wcs, alignment.attitude, BORDER)
    save_model(model, path, provenance)


def read_wcs(
    path: str | Path, correction: WcsCorrection | None = None
) -> tuple[WCS, dict[str, Any]]:
    """Read the transformation of a Level 2 image and what became of its alignment.

    Parameters
    ----------
    path : path
        What `write_wcs` wrote.
    correction : WcsCorrection, optional
        Of the joint solution (`tessella.io.astrometry_solution.read_solved`): with it the
        transformation is the final one, without it that of the tie.
    """
    with open_roman(path) as roman:
        wcs, info = roman["wcs_l2"], roman["meta"]["wcsinfo"]
        if correction is not None:
            wcs = with_correction(wcs, correction, float(info["v2_ref"]), float(info["v3_ref"]))
        return wcs, dict(roman["meta"]["wcs_fit_results"])

"""Level 3: coadds in official files (`..._coadd.asdf`, MosaicModel)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from astropy.time import Time

from tessella.astrometry.gwcs_model import build_tangent_gwcs
from tessella.astrometry.tangent import pixel_to_sky
from tessella.errors import DataError
from tessella.io.asdf_files import open_roman, save_model
from tessella.io.exposure_meta import SOFTWARE, update
from tessella.io.image_meta import tables
from tessella.io.level2_about import Level2About
from tessella.io.rad import datamodels as rdm
from tessella.median import median
from tessella.models import Lattice, Mosaic

_ARRAYS = ("data", "err", "var_poisson", "var_rnoise", "weight", "context")


def write_mosaic(
    path: str | Path,
    mosaic: Mosaic,
    program: int,
    grouping: str,
    abouts: Sequence[Level2About],
    pixfrac: float,
    provenance: Mapping[str, Any],
) -> None:
    """Write a coadd that validates against RAD.

    Parameters
    ----------
    path : path
    mosaic : Mosaic
    program : int
    grouping : str
    abouts : sequence of Level2About
        Of its members, or, where it has none, of those images that might have been: their times
        are those of the product.
    pixfrac : float
    provenance : mapping
    """
    model = rdm.MosaicModel.create_fake_data()
    times = sorted(about.start_time for about in abouts)
    ratio = np.sqrt(
        mosaic.lattice.pixel_area_sr / np.mean([about.pixel_area_sr for about in abouts])
    )
    covered = np.isfinite(mosaic.data)
    good_fraction = float(covered.mean())
    middle = median(mosaic.data, covered)
    spread = median(mosaic.data, covered, middle) if covered.any() else np.nan
    seconds = mosaic.exposure_time[covered]
    mean_time, longest = (
        (float(seconds.mean(dtype=float)), float(seconds.max())) if seconds.size else (0.0, 0.0)
    )
    del seconds, covered
    update(
        model.meta,
        {
            **SOFTWARE,
            "filename": Path(path).name,
            "file_date": times[-1],
            "origin": "STSCI/SOC",
            "product_type": "l3",
            "coadd_info": {
                "time_first": times[0],
                "time_last": times[-1],
                "time_mean": Time(np.mean([time.mjd for time in times]), format="mjd"),
                "exposure_time": mean_time,
                "max_exposure_time": longest,
            },
            "instrument": {"name": "WFI", "optical_element": mosaic.optical_element},
            "observation": {"program": program, "exposure_grouping": grouping},
            "statistics": {
                "image_median": middle,
                "image_rms": spread,
                "good_pixel_fraction": good_fraction,
            },
            "association": {"name": Path(path).stem.rsplit("_", 1)[0] + "_asn"},
            "cal_step": {
                "flux": "COMPLETE",
                # One image alone has nothing to be held against.
                "outlier_detection": "COMPLETE" if len(mosaic.members) > 1 else "SKIPPED",
                "skymatch": "COMPLETE",
                "resample": "COMPLETE",
            },
            "resample": {
                "good_bits": "~DO_NOT_USE",
                "members": list(mosaic.members),
                "pixel_scale_ratio": float(ratio),
                "pixfrac": pixfrac,
                "pointings": len(mosaic.members),
                "weight_type": "ivm",
            },
            "wcsinfo": tile_wcsinfo(mosaic.lattice),
        },
    )
    model.meta["individual_image_meta"] = tables(abouts if mosaic.members else [])
    model.meta["wcs"] = build_tangent_gwcs(mosaic.lattice)
    model.meta["tessella"] = {**provenance, "lattice": vars(mosaic.lattice), **mosaic.meta}
    for name in _ARRAYS:
        values = getattr(mosaic, name)
        model[name] = values if name == "context" else values.astype(np.float32, copy=False)
    model["exposure_time"] = mosaic.exposure_time.astype(np.float32, copy=False)
    model["noise_correlation"] = mosaic.noise_correlation.astype(np.float64)
    save_model(model, path, provenance)


def tile_wcsinfo(lattice: Lattice) -> dict[str, Any]:
    """Return the keywords of `meta.wcsinfo` of a tile."""
    x = np.array([-0.5, lattice.nx - 0.5, lattice.nx - 0.5, -0.5, (lattice.nx - 1) / 2])
    y = np.array([-0.5, -0.5, lattice.ny - 0.5, lattice.ny - 0.5, (lattice.ny - 1) / 2])
    ra, dec = pixel_to_sky(lattice, x, y)
    outline = " ".join(f"{a:.9f} {d:.9f}" for a, d in zip(ra[:4], dec[:4], strict=True))
    return {
        "ra_ref": lattice.ra_tangent,
        "dec_ref": lattice.dec_tangent,
        "x_ref": lattice.x_tangent,
        "y_ref": lattice.y_tangent,
        "pixel_scale_ref": lattice.pixel_scale_arcsec / 3600,
        "pixel_scale": lattice.pixel_scale_arcsec,
        "projection": "TAN",
        "s_region": f"POLYGON ICRS {outline}",
        "image_shape": [lattice.ny, lattice.nx],
        "ra": float(ra[4]),
        "dec": float(dec[4]),
        "orientation": 0.0,
        "orientation_ref": 0.0,
        "skycell_name": lattice.skycell,
        "rotation_matrix": [[1.0, 0.0], [0.0, 1.0]],
    }


def read_mosaic(path: str | Path, with_pixels: bool = True) -> Mosaic:
    """Read a coadd that `write_mosaic` wrote.

    Parameters
    ----------
    path : path
    with_pixels : bool
        False leaves the images empty, of shape (0, 0), for whoever wants the metadata alone.

    Raises
    ------
    DataError
        If the file is not whole, or another program's, or no coadd.
    """
    with open_roman(path, with_pixels) as roman:
        meta = roman["meta"]
        own = meta.get("tessella") or {}
        if "lattice" not in own or "noise_correlation" not in roman:
            raise DataError(
                f"{path}: it tells neither its lattice nor how its noise is correlated; expected a "
                "coadd of tessella (..._coadd.asdf)"
            )
        return Mosaic(
            lattice=Lattice(**dict(own["lattice"])),
            optical_element=str(meta["instrument"]["optical_element"]),
            noise_correlation=np.asarray(roman["noise_correlation"]),
            members=tuple(meta["resample"]["members"]),
            meta={
                "program": int(meta["observation"]["program"]),
                "time_first": meta["coadd_info"]["time_first"],
                "time_last": meta["coadd_info"]["time_last"],
                "time_mean": meta["coadd_info"]["time_mean"],
                "exposure_time": float(meta["coadd_info"]["exposure_time"]),
                "filename": str(meta["filename"]),
            },
            **{
                name: np.asarray(roman[name]) if with_pixels else np.zeros((0, 0), np.float32)
                for name in (*_ARRAYS, "exposure_time")
            },
        )

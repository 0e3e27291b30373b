"""Official metadata of Level 4 products, from the coadds they were made of."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from astropy.time import Time

from tessella.io.exposure_meta import ORIGIN, SOFTWARE, UNKNOWN
from tessella.io.level3 import tile_wcsinfo
from tessella.models import Mosaic

#: Stands for times that are not known.
_UNKNOWN_TIME = "1970-01-01T00:00:00"
#: Filter of colours, where no band is matched to another one's point-spread function.
_NO_PSF_MATCHING = "NOT_CONFIGURED"


def catalog_meta(
    mosaics: Sequence[Mosaic], product_type: str, filename: str, provenance: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the metadata of a multiband product.

    What a coadd does not tell keeps the official placeholder: null where that is allowed,
    -999999 for numbers, the first second of 1970 for times.

    Parameters
    ----------
    mosaics : sequence of Mosaic
        One per band; their `meta` may hold ``filename program time_first time_last time_mean``.
    product_type : str
        Suffix of the product: ``cat`` or ``segm``.
    filename : str
        Name of the product.
    provenance : mapping
        Stands under ``tessella``.
    """
    times = {name: _times(mosaics, name) for name in ("time_first", "time_last", "time_mean")}
    return {
        **_basic(filename, product_type, max(times["time_last"])),
        "coordinates": {"reference_frame": "ICRS"},
        "coadd_info": {
            "time_first": min(times["time_first"]),
            "time_last": max(times["time_last"]),
            "time_mean": _mean(times["time_mean"]),
            **_exposure_times(mosaics),
        },
        "image": {"filename": _filename(mosaics[0]), "file_date": max(times["time_last"])},
        "instrument": {"name": "WFI", "optical_element": None},
        "observation": _observation(mosaics[0]),
        "program": dict.fromkeys(
            ("title", "investigator_name", "category", "subcategory", "science_category")
        ),
        "wcsinfo": tile_wcsinfo(mosaics[0].lattice),
        "image_metas": [_image_meta(mosaic) for mosaic in mosaics],
        "psf_match_reference_filter": _NO_PSF_MATCHING,
        "tessella": {"region": mosaics[0].lattice.region, **provenance},
    }


def _basic(filename: str, product_type: str, file_date: Time) -> dict[str, Any]:
    return {
        **SOFTWARE,
        "filename": filename,
        "file_date": file_date,
        "model_type": "?",
        "origin": ORIGIN,
        "product_type": product_type,
        "telescope": "ROMAN",
    }


def _filename(mosaic: Mosaic) -> str:
    return str(mosaic.meta.get("filename", "?"))


def _times(mosaics: Sequence[Mosaic], name: str) -> list[Time]:
    found = [Time(mosaic.meta.get(name, _UNKNOWN_TIME), scale="utc") for mosaic in mosaics]
    for time in found:
        time.format = "isot"
    return found


def _mean(times: Sequence[Time]) -> Time:
    mean = Time(np.mean([time.mjd for time in times]), format="mjd", scale="utc")
    mean.format = "isot"
    return mean


def _exposure_times(mosaics: Sequence[Mosaic]) -> dict[str, float]:
    """Return mean and largest exposure time of the pixels with data, over all bands [s]."""
    seconds = np.concatenate([m.exposure_time[m.exposure_time > 0].ravel() for m in mosaics])
    if not seconds.size:
        return {"exposure_time": 0.0, "max_exposure_time": 0.0}
    return {
        "exposure_time": float(seconds.mean(dtype=float)),
        "max_exposure_time": float(seconds.max()),
    }


def _observation(mosaic: Mosaic) -> dict[str, Any]:
    names = (
        "execution_plan",
        "exposure",
        "exposure_grouping",
        "observation",
        "pass",
        "segment",
        "visit",
    )
    return {**dict.fromkeys(names), "program": int(mosaic.meta.get("program", UNKNOWN))}


def _image_meta(mosaic: Mosaic) -> dict[str, Any]:
    first, last, mean = (_times([mosaic], f"time_{name}")[0] for name in ("first", "last", "mean"))
    return {
        **_basic(_filename(mosaic), "l3", last),
        "model_type": "MosaicModel",
        "coordinates": {"reference_frame": "ICRS"},
        "coadd_info": {
            "time_first": first,
            "time_last": last,
            "time_mean": mean,
            **_exposure_times([mosaic]),
        },
        "instrument": {"name": "WFI", "optical_element": mosaic.optical_element},
        "observation": _observation(mosaic),
    }

"""Copies of images and coadds with injected sources, and what a coadd says of its images."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tessella.errors import DataError
from tessella.half_precision import to_half
from tessella.io.asdf_files import open_roman, plain, save_model
from tessella.io.exposure_meta import read_attitude
from tessella.io.level2_about import SINGLE, VARIANCES
from tessella.io.rad import datamodels as rdm
from tessella.models import Attitude, Image, Mosaic

_TABLES = ("wcsinfo", "velocity_aberration", "instrument", "exposure")


@dataclass(frozen=True)
class CoaddMembers:
    """The images of a coadd as its tables of metadata tell them, in the order of its context."""

    detectors: tuple[str, ...]
    attitudes: tuple[Attitude, ...]
    #: What each counts; 1 where the file does not say it.
    weights: tuple[float, ...]
    #: Of the first of them.
    ma_table_number: int
    #: Side of the drop over the side of the pixel.
    pixfrac: float


def kind_of_product(path: str | Path) -> str:
    """Tell whether a file is a Level 2 image, ``l2``, or a coadd, ``l3``.

    Raises
    ------
    DataError
        If it is neither.
    """
    with open_roman(path, with_arrays=False) as roman:
        if "context" in roman:
            return "l3"
        if "dq" in roman and "var_poisson" in roman:
            return "l2"
    raise DataError(
        f"{path}: neither an image of Level 2 nor a coadd of Level 3; sources are injected into "
        "files such as ..._cal.asdf and ..._coadd.asdf"
    )


def read_members(path: str | Path) -> CoaddMembers:
    """Read which images a coadd is made of.

    Raises
    ------
    DataError
        If the file has no tables of its images' metadata, or they lack a keyword.
    """
    with open_roman(path, with_arrays=False) as roman:
        meta = roman["meta"]
        tables = meta.get("individual_image_meta") or {}
        try:
            rows = {name: tables[name] for name in _TABLES}
            attitudes = tuple(
                read_attitude(
                    {
                        name: {key: rows[name][key][k] for key in rows[name].colnames}
                        for name in _TABLES[:2]
                    }
                )
                for k in range(len(rows["wcsinfo"]))
            )
            detectors = tuple(str(name) for name in rows["instrument"]["detector"])
            number = int(rows["exposure"]["ma_table_number"][0])
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise DataError(
                f"{path}: meta.individual_image_meta does not tell where its images point "
                f"({error}); expected the tables {', '.join(_TABLES)}"
            ) from error
        own = plain(meta.get("tessella") or {}).get("inputs") or []
        weights = tuple(float(item.get("weight", 1.0)) for item in own)
        if len(weights) != len(detectors):
            weights = (1.0,) * len(detectors)
        return CoaddMembers(
            detectors, attitudes, weights, number, float(meta["resample"]["pixfrac"])
        )


def write_injected(
    source: str | Path,
    target: str | Path,
    made: Image | Mosaic,
    provenance: Mapping[str, Any],
) -> None:
    """Write a copy of a product with the pixels of `made`; all else is that of the source.

    Parameters
    ----------
    source, target : path
    made : Image or Mosaic
        The source's, with sources injected.
    provenance : mapping
        How, beside what is said of the source: ``meta.tessella.injected``.

    Raises
    ------
    DataError
        If the source is not whole, or the copy does not fit its schema.
    """
    kind = rdm.ImageModel if isinstance(made, Image) else rdm.MosaicModel
    with open_roman(source) as roman:
        model = kind(roman.copy())
        own = plain(roman["meta"].get("tessella") or {})
        model.meta["tessella"] = {**own, "injected": dict(provenance)}
        model.meta["filename"] = Path(target).name
        for name, values in _arrays(made, roman).items():
            model[name] = values
        save_model(model, target, provenance)


def _arrays(made: Image | Mosaic, roman: Any) -> dict[str, Any]:
    if isinstance(made, Mosaic):
        return {name: getattr(made, name) for name in ("data", "err", "var_poisson")}
    arrays: dict[str, Any] = {"data": made.data.astype(np.float32), "dq": made.dq}
    arrays |= {name: to_half(getattr(made, name)) for name in ("err", "var_poisson")}
    if SINGLE in roman:
        arrays[SINGLE] = {name: getattr(made, name).astype(np.float32) for name in VARIANCES}
    return arrays

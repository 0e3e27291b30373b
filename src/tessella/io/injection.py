"""Copies of images and coadds with injected sources."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tessella.errors import DataError
from tessella.half_precision import to_half
from tessella.io.asdf_files import open_roman, plain, save_model
from tessella.io.level2_about import SINGLE, VARIANCES
from tessella.io.rad import datamodels as rdm
from tessella.models import Image, Mosaic


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

"""Level 4: segmentation maps (`..._segm.asdf`), tables of bands, catalogs (`..._cat.parquet`)."""

import ast
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from astropy.table import Column as TableColumn
from astropy.table import Table
from astropy.time import Time

from tessella.errors import DataError
from tessella.io.asdf_files import open_roman, save_model
from tessella.io.atomic import replacing
from tessella.io.catalog_meta import catalog_meta
from tessella.io.rad import datamodels as rdm
from tessella.io.seals import sha256
from tessella.measurements import BAND_MEASUREMENTS, DETECTION_MEASUREMENTS, failure_columns
from tessella.models import Lattice, Mosaic
from tessella.sources.columns import BAND_COLUMNS, DETECTION_COLUMNS, Column
from tessella.sources.detection import Detection

_META = "roman.meta."
_DETECTION_ARRAYS = {"snr": "detection_image", "noise": "detection_noise"}


def write_detection(
    path: str | Path, detection: Detection, mosaics: Sequence[Mosaic], provenance: Mapping[str, Any]
) -> None:
    """Write segments and detection image as an official multiband segmentation map.

    Beside the official ``data`` stand ``detection_image`` (signal-to-noise ratio),
    ``detection_noise`` and ``detection_noise_correlation``.
    """
    name = Path(path).name
    model = rdm.MultibandSegmentationMapModel.create_fake_data()
    model["meta"] = catalog_meta(mosaics, "segm", name, provenance)
    model["meta"]["model_type"] = "MultibandSegmentationMapModel"
    model["data"] = detection.segmentation.astype(np.uint32)
    for attribute, array in _DETECTION_ARRAYS.items():
        model[array] = getattr(detection, attribute).astype(np.float32)
    model["detection_noise_correlation"] = detection.noise_correlation.astype(np.float64)
    save_model(model, path, provenance)


def read_detection(path: str | Path, lattice: Lattice) -> Detection:
    """Read what `write_detection` wrote.

    Raises
    ------
    DataError
        If the file is not whole, lacks an array or is not on `lattice`.
    """
    with open_roman(path) as roman:
        wanted = ("data", *_DETECTION_ARRAYS.values(), "detection_noise_correlation")
        for name in wanted:
            if name not in roman:
                raise DataError(
                    f"{path}: no array {name}; expected a segmentation map of detect_sources"
                )
        info = roman["meta"]["wcsinfo"]
        found = (*np.shape(roman["data"]), float(info["x_ref"]), float(info["y_ref"]))
        expected = (*lattice.shape, lattice.x_tangent, lattice.y_tangent)
        if found != expected:
            raise DataError(
                f"{path}: rows, columns and tangent point are {found}, those of the mosaic are "
                f"{expected}; detect sources on this mosaic again"
            )
        arrays = [np.asarray(roman[name]) for name in wanted]
    return Detection(lattice, arrays[0].astype(np.int32), *arrays[1:])


def write_band_table(
    path: str | Path,
    optical_element: str,
    labels: np.ndarray,
    columns: Mapping[str, np.ndarray],
    provenance: Mapping[str, Any],
) -> None:
    """Write the columns of one band under their official names, ``label`` first."""
    table = _table(_band_columns(), {**columns, "label": labels}, optical_element)
    arrays = {name: pa.array(np.asarray(table[name])) for name in table.colnames}
    with replacing(path, provenance) as part:
        described = pa.table(arrays).replace_schema_metadata({"optical_element": optical_element})
        pq.write_table(described, part, compression=None)


def read_band_table(path: str | Path) -> tuple[str, Table]:
    """Return optical element and columns that `write_band_table` wrote.

    Raises
    ------
    DataError
        If the file is no table of a band or its columns are not those of this version.
    """
    found = _read_parquet(path)
    element = (found.schema.metadata or {}).get(b"optical_element", b"").decode()
    expected = [column.in_band(element) for column in _band_columns()]
    if not element or found.column_names != expected:
        raise DataError(
            f"{path}: found {len(found.column_names)} columns of band {element or 'unknown'}, "
            f"expected the {len(expected)} of measure_sources; measure this band again"
        )
    return element, Table({name: found[name].to_numpy() for name in expected}, copy=True)


def write_catalog(
    path: str | Path,
    detected: Mapping[str, np.ndarray],
    bands: Mapping[str, Table],
    mosaics: Sequence[Mosaic],
    matched_to: str,
    provenance: Mapping[str, Any],
) -> None:
    """Join detection and bands on the label and write the official multiband catalog.

    Parameters
    ----------
    path : path
        Parquet file.
    detected : mapping
        Columns of `tessella.measurements.measure_detection`.
    bands : mapping
        Tables of `read_band_table` by optical element, in the order of their columns.
    mosaics : sequence of Mosaic
        The coadds, for the metadata.
    matched_to : str
        Filter to whose PSF colours are matched.
    provenance : mapping
        Stands under ``meta.tessella``.

    Raises
    ------
    DataError
        If a band does not hold the sources of the detection, or the catalog does not fit RAD.
    """
    failures = failure_columns(DETECTION_MEASUREMENTS, per_band=False)
    table = _table([*DETECTION_COLUMNS, *failures], detected, "")
    for element, band in bands.items():
        if not np.array_equal(band["label"], table["label"]):
            raise DataError(
                f"{path}: band {element} has {len(band)} sources, the detection {len(table)}, "
                "or other labels; measure this band again"
            )
        short = {column.short_name: band[column.in_band(element)] for column in _band_columns()}
        part = _table(_band_columns(), short, element)
        table.add_columns([part[name] for name in part.colnames if name != "label"])
    model = rdm.MultibandSourceCatalogModel.create_fake_data()
    model["meta"] = catalog_meta(mosaics, "cat", Path(path).name, provenance)
    model["meta"]["model_type"] = "MultibandSourceCatalogModel"
    model["meta"]["psf_match_reference_filter"] = matched_to
    model["source_catalog"] = table
    _save_parquet(model, Path(path), provenance)


def read_catalog(path: str | Path) -> rdm.MultibandSourceCatalogModel:
    """Read a multiband catalog from Parquet into its model and validate it.

    Raises
    ------
    DataError
        If the file is no Parquet file, or what it holds does not fit RAD.

    Notes
    -----
    Parquet keeps metadata as text without nulls: a value that is missing is null, and a value
    has the type that RAD gives it.
    """
    found = _read_parquet(path)
    model = rdm.MultibandSourceCatalogModel.create_fake_data()
    metadata = {
        key.decode(): value.decode() for key, value in (found.schema.metadata or {}).items()
    }
    model["meta"] = _tree(metadata, model)
    table = Table()
    for field in found.schema:
        unit = (field.metadata or {}).get(b"unit", b"").decode()
        table[field.name] = TableColumn(
            found[field.name].to_numpy(), unit=None if unit in ("", "None") else unit, copy=True
        )
    model["source_catalog"] = table
    try:
        model.validate()
    except Exception as error:
        raise DataError(f"{path}: not a multiband catalog: {str(error).splitlines()[0]}") from error
    return model


def _band_columns() -> list[Column]:
    label = DETECTION_COLUMNS[0]
    return [label, *BAND_COLUMNS, *failure_columns(BAND_MEASUREMENTS, per_band=True)]


def _table(columns: Sequence[Column], values: Mapping[str, np.ndarray], element: str) -> Table:
    return Table(
        [
            TableColumn(
                np.asarray(values[column.short_name]).astype(column.dtype),
                name=column.in_band(element),
                unit=column.unit,
                description=column.description,
            )
            for column in columns
        ]
    )


def _save_parquet(model: Any, path: Path, made_by: Mapping[str, Any]) -> None:
    dated = str(model["meta"]["file_date"])
    with replacing(path, made_by) as part:
        try:
            model.to_parquet(part)
        except OSError:
            raise
        except Exception as error:
            message = str(error).splitlines()[0]
            raise DataError(f"{path}: the catalog does not fit its schema: {message}") from error
        # The model dates it now; equal content shall give equal files.
        table = pq.read_table(part)
        metadata = {**table.schema.metadata, f"{_META}file_date".encode(): dated.encode()}
        pq.write_table(table.replace_schema_metadata(metadata), part, compression=None)


def _read_parquet(path: str | Path) -> pa.Table:
    sha256(path)
    try:
        return pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path}: no whole Parquet file: {str(error).splitlines()[0]}") from error


def _tree(metadata: Mapping[str, str], model: Any) -> dict[str, Any]:
    """Rebuild the metadata from flat keys; values take the type of the model's own example."""
    examples = {key.removeprefix(_META): value for key, value in _leaves(model["meta"])}
    known = {key: None for key in examples if not isinstance(examples[key], list)}
    given = {
        key.removeprefix(_META): text for key, text in metadata.items() if key.startswith(_META)
    }
    tree: dict[str, Any] = {}
    for key, text in (known | given).items():
        node = tree
        *parents, last = key.split(".")
        for parent in parents:
            node = node.setdefault(parent, {})
        plain = key.split(".", 2)[2] if key.startswith("image_metas.") else key
        node[last] = None if text is None else _value(text, examples.get(plain))
    tree.setdefault("image_metas", [])
    filled = _with_lists(tree)
    for meta in filled["image_metas"]:
        # Nulls of the members' metadata were left out when they were written.
        for group in ("observation", "instrument", "program"):
            for key in known:
                if key.startswith(f"{group}.") and group in meta:
                    meta[group].setdefault(key.split(".")[1], None)
    return filled


def _leaves(node: Any, prefix: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for key, value in node.items():
        found += (
            _leaves(value, f"{prefix}{key}.")
            if hasattr(value, "items")
            else [(prefix + key, value)]
        )
    return found


def _value(text: str, example: Any) -> Any:
    if isinstance(example, Time):
        return Time(text, scale="utc")
    if isinstance(example, str):
        return text
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _with_lists(node: Any) -> Any:
    """Turn dictionaries of the keys 0, 1, 2 ... into lists."""
    if not isinstance(node, dict):
        return node
    filled = {key: _with_lists(value) for key, value in node.items()}
    if filled and all(key.isdigit() for key in filled):
        return [filled[key] for key in sorted(filled, key=int)]
    return filled

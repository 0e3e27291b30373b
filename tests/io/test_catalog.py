import catalog_fields as fields
import numpy as np
import pyarrow.parquet as pq
import pytest
import roman_datamodels.datamodels as rdm
from astropy.units import Unit

from tessella.errors import DataError
from tessella.io.catalog import (
    read_band_table,
    read_catalog,
    read_detection,
    write_band_table,
    write_catalog,
    write_detection,
)
from tessella.measurements import measure_band, measure_detection
from tessella.sources.columns import BAND_COLUMNS, DETECTION_COLUMNS
from tessella.sources.detect import detect

PROVENANCE = {"stage": "test", "options": {"background_box_pixels": 100, "list": [1, 2]}}
META = {"filename": "r00001_p_full_000p86x50y50_f158_coadd.asdf", "program": 1,
        "time_first": "2028-07-01T00:00:00", "time_last": "2028-07-01T01:00:00",
        "time_mean": "2028-07-01T00:30:00"}  # fmt: skip


def products(folder, flux: float, elements=("F158", "F106")):
    x, y = fields.grid((200, 200), 40, "catalog")
    image = fields.stars((200, 200), x, y, np.full(x.size, flux))
    mosaics = [
        fields.mosaic(fields.noise((200, 200), 1.0, element) + image, element=element, meta=META)
        for element in elements
    ]
    segm, cat = (
        folder / "r00001_p_full_000p86x50y50_segm.asdf",
        folder / "r00001_p_full_000p86x50y50_cat.parquet",
    )
    write_detection(segm, detect(mosaics, **fields.DETECTION_OPTIONS), mosaics, PROVENANCE)
    detection = read_detection(segm, mosaics[0].lattice)
    detected, _ = measure_detection(detection)
    tables = {}
    for mosaic in mosaics:
        columns, _ = measure_band(fields.band(mosaic, detection), detected)
        path = folder / f"{mosaic.optical_element}.parquet"
        write_band_table(path, mosaic.optical_element, detection.labels, columns, {})
        element, tables[mosaic.optical_element] = read_band_table(path)
        assert element == mosaic.optical_element
    write_catalog(cat, detected, tables, mosaics, "F158", PROVENANCE)
    return segm, cat, mosaics, detection, detected, tables


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return products(tmp_path_factory.mktemp("catalog"), 1000.0)


def test_segmentation_map_validates_and_keeps_the_detection(written):
    segm, _, mosaics, detection, _, _ = written
    with rdm.open(segm) as model:
        assert isinstance(model, rdm.MultibandSegmentationMapModel)
        model.validate()
        assert model.data.dtype == np.uint32
        assert model.data.max() == 9
    again = detect(mosaics, **fields.DETECTION_OPTIONS)
    np.testing.assert_array_equal(detection.segmentation, again.segmentation)
    np.testing.assert_array_equal(detection.snr, again.snr)
    np.testing.assert_array_equal(detection.noise_correlation, again.noise_correlation)


def test_catalog_reads_back_into_a_valid_model(written):
    _, cat, _, detection, detected, tables = written
    model = read_catalog(cat)
    table = model.source_catalog
    np.testing.assert_array_equal(table["label"], detection.labels)
    np.testing.assert_array_equal(table["ra"], detected["ra"])
    np.testing.assert_array_equal(table["aper02_f106_flux"], tables["F106"]["aper02_f106_flux"])
    assert table["ra"].dtype == np.float64
    assert table["is_extended_f158"].dtype == bool
    assert model.meta.filename == cat.name
    assert model.meta.observation["program"] == 1
    assert model.meta.observation.visit is None
    assert model.meta.psf_match_reference_filter == "F158"
    assert model.meta.coadd_info.time_mean.isot.startswith("2028-07-01T00:30:00")
    assert [meta["instrument"]["optical_element"] for meta in model.meta.image_metas] == [
        "F158",
        "F106",
    ]
    assert model.meta.tessella["options"]["list"] == [1, 2]


def test_columns_are_those_of_rad_in_name_type_and_unit(written):
    model = rdm.MultibandSourceCatalogModel.create_fake_data()
    required = set(model.source_catalog.colnames)
    for column in (*DETECTION_COLUMNS, *BAND_COLUMNS):
        name = column.in_band("F184")
        official = model.get_column_definition(name)
        if name.startswith("tessella_"):
            continue
        assert official is not None, name
        assert np.dtype(column.dtype) == official["datatype"], name
        if column.unit == "none":
            assert official["unit"] == "none", name
        else:
            assert Unit(column.unit) == Unit(official["unit"]), name
        required.discard(name)
    assert {name for name in required if not name.startswith("aper00")} == set()


def test_order_is_detection_then_bands(written):
    names = pq.read_schema(written[1]).names
    assert names[:3] == ["label", "flagged_spatial_id", "x_centroid"]
    assert names.index("dust_ebv") < names.index("sharpness_f158") < names.index("sharpness_f106")
    units = {field.name: field.metadata[b"unit"].decode() for field in pq.read_schema(written[1])}
    assert units["aper02_f158_flux"] == "nJy"
    assert units["kron_f158_abmag"] == "mag(AB)"


def test_catalog_without_sources_validates(tmp_path):
    _, cat, *_ = products(tmp_path, 0.0, ("F158",))
    model = read_catalog(cat)
    assert len(model.source_catalog) == 0
    assert "aper16_f158_flux_err" in model.source_catalog.colnames


def test_band_of_other_sources_is_refused(written, tmp_path):
    _, _, mosaics, _, detected, tables = written
    with pytest.raises(DataError, match="F106"):
        write_catalog(
            tmp_path / "x_cat.parquet", detected, {"F106": tables["F106"][:4]}, mosaics, "F106", {}
        )
    assert not list(tmp_path.iterdir())


def test_files_that_are_something_else_are_refused(written, tmp_path):
    segm, cat, *_ = written
    (tmp_path / "text.parquet").write_text("text")
    with pytest.raises(DataError, match="no whole Parquet"):
        read_catalog(tmp_path / "text.parquet")
    with pytest.raises(DataError, match="no such file"):
        read_band_table(tmp_path / "absent.parquet")
    with pytest.raises(DataError, match="measure this band again"):
        read_band_table(cat)
    with pytest.raises(DataError, match="not a multiband catalog"):
        read_catalog(segm.parent / "F158.parquet")
    other = fields.mosaic(np.zeros((50, 50))).lattice
    with pytest.raises(DataError, match="detect sources on this mosaic again"):
        read_detection(segm, other)

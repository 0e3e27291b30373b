"""Tables of the metadata of a coadd's inputs."""

from dataclasses import replace

import level2_files as files
import numpy as np
import pytest
import roman_datamodels as rdm
from astropy.time import Time

from tessella.io.asdf_files import save_model
from tessella.io.image_meta import BASIC, NONE, SECTIONS, tables
from tessella.io.level2 import read_about
from tessella.io.rad import datamodels


@pytest.fixture(scope="module")
def abouts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("level2")
    image = files.image_of()
    return [
        read_about(files.write(folder, image, kind, number))
        for number, kind in enumerate(("ours", "romancal, flux", "romanisim"), 1)
    ]


def test_rows_are_the_images_in_their_order(abouts):
    found = tables(abouts)
    assert {"basic", "exposure", "observation", "photometry", "wcsinfo"} <= set(found)
    assert {len(table) for table in found.values()} == {3}
    assert found["observation"]["exposure"].tolist() == [1, 2, 3]
    assert found["photometry"]["pixel_area"].tolist() == [2.8e-13, 2.8e-13, -2.8e-13]
    assert found["cal_step"]["flux"].tolist() == ["INCOMPLETE", "COMPLETE", "INCOMPLETE"]
    assert found["exposure"]["start_time"].tolist() == ["2028-07-01T00:00:00.000000"] * 3
    assert found["exposure"]["truncated"].dtype == bool
    assert found["exposure"]["read_pattern"][0].startswith("[[1], [2, 3], [4, 5, ")
    assert found["basic"]["filename"].tolist() == [about.meta["filename"] for about in abouts]


def test_product_with_tables_is_official_and_has_the_same_bytes_again(tmp_path, abouts):
    written = []
    for folder in ("one", "other"):
        model = datamodels.MosaicModel.create_fake_data(shape=(4, 4))
        model.meta.file_date, model.meta.filename = Time("2028-01-01"), "x_coadd.asdf"
        model.meta["individual_image_meta"] = tables(abouts)
        written.append(tmp_path / folder / "x_coadd.asdf")
        save_model(model, written[-1], {})
    assert written[0].read_bytes() == written[1].read_bytes()
    with rdm.open(written[0]) as model:
        assert model.validate() is None
        back = model.meta.individual_image_meta
        assert set(back) == set(tables(abouts))
        assert back["instrument"]["detector"].tolist() == ["WFI01"] * 3


def test_what_an_image_lacks_is_nan_or_none(abouts):
    section = {"level": 0.1, "method": "match", "number": 3, "told": True}
    with_it = replace(abouts[0], meta={"background": section})
    without = replace(abouts[1], meta={"background": {"told": False}})
    table = tables([with_it, without])["background"]
    np.testing.assert_array_equal(table["level"], [0.1, np.nan])
    np.testing.assert_array_equal(table["number"], [3, np.nan])
    assert table["method"].tolist() == ["match", NONE]
    assert table["told"].tolist() == [True, False]
    assert list(tables([with_it, without])) == ["background"]


def test_names_are_those_of_rad():
    schema = datamodels.MosaicModel.create_fake_data(shape=(4, 4)).get_schema()
    found = _node(schema, "individual_image_meta")
    assert set(found["properties"]) == {*SECTIONS, BASIC}


def _node(schema, name):
    """Find a keyword's own schema, wherever it stands."""
    if isinstance(schema, dict):
        if name in schema.get("properties", {}):
            return schema["properties"][name]
        children = schema.values()
    else:
        children = schema if isinstance(schema, list) else []
    return next((found for child in children if (found := _node(child, name))), None)

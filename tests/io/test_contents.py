"""Any product is opened as arrays and values, one array at a time, or refused by name."""

import json

import asdf
import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.table import MaskedColumn, Table
from finished_run import changed, flipped, product
from matplotlib.image import imsave

from tessella.astrometry.gwcs_model import build_tangent_gwcs
from tessella.errors import DataError
from tessella.io import seals
from tessella.io.contents import read_contents
from tessella.io.runs import start_run
from tessella.io.seals import Broken
from tessella.models import Lattice

DATA = np.arange(600, dtype="f4").reshape(20, 30)
#: A tangent plane whose pixels are as large as those of a coadd.
LATTICE = Lattice(10.0, 80.0, 15.0, 10.0, 0.055, 30, 20)


def write_asdf(path, lattice=LATTICE, **more):
    meta = {"exposure": {"type": "WFI_IMAGE"}, "wcs": build_tangent_gwcs(lattice)}
    tree = {"meta": meta, "data": DATA, "err": DATA + 1, "short": np.arange(3), **more}
    with asdf.config_context() as config:
        config.array_inline_threshold = 10
        asdf.AsdfFile({"roman": tree}).write_to(path)
    return read_contents(path)


def test_asdf_gives_its_arrays_also_those_within_the_text(tmp_path):
    found = write_asdf(tmp_path / "a.asdf")
    assert set(found.arrays) == {"data", "err", "short", "meta.wcs (sky)"}
    for name, expected in (("data", DATA), ("err", DATA + 1), ("short", np.arange(3))):
        values = found.arrays[name].load()
        np.testing.assert_array_equal(values, expected)
        assert (values.shape, str(values.dtype)) == (
            found.arrays[name].shape,
            found.arrays[name].dtype,
        )
    assert found.values["meta.exposure.type"] == "WFI_IMAGE"
    assert not any(name.startswith(("data", "short")) for name in found.values)
    assert (found.error_of("data"), found.error_of("err")) == ("err", None)


def test_a_wcs_is_where_it_puts_its_pixels(tmp_path):
    """A shift by one pixel moves each of them by its size on the sky."""
    one = write_asdf(tmp_path / "a.asdf").arrays["meta.wcs (sky)"]
    shifted = Lattice(10.0, 80.0, 16.0, 10.0, 0.055, 30, 20)
    two = write_asdf(tmp_path / "b.asdf", shifted).arrays["meta.wcs (sky)"]
    moved = np.linalg.norm(two.load() - one.load(), axis=-1)
    # The tangent plane differs from the sphere by (size / radius)^2, 1e-11 here.
    np.testing.assert_allclose(moved, 55.0, rtol=1e-6)
    assert one.made_of != two.made_of
    again = write_asdf(tmp_path / "c.asdf").arrays["meta.wcs (sky)"]
    assert again.made_of == one.made_of


def test_parquet_gives_columns_with_units_and_their_errors(tmp_path):
    fields = [
        pa.field("a_flux", pa.float32(), metadata={"unit": "nJy"}),
        pa.field("a_flux_err", pa.float32(), metadata={"unit": "nJy"}),
        pa.field("ra", pa.float64(), metadata={"unit": "deg"}),
        pa.field("ra_err", pa.float32(), metadata={"unit": "arcsec"}),
    ]
    schema = pa.schema(fields, metadata={"roman.meta.origin": "here"})
    values = [pa.array([1.0, None], field.type) for field in fields]
    pq.write_table(pa.Table.from_arrays(values, schema=schema), tmp_path / "a.parquet")
    found = read_contents(tmp_path / "a.parquet")
    assert found.is_table
    assert found.arrays["a_flux"].unit == "nJy"
    np.testing.assert_array_equal(found.arrays["a_flux"].load(), [1.0, np.nan])
    assert found.error_of("a_flux") == "a_flux_err"
    assert found.error_of("ra") is None, "its error is in another unit"
    assert found.values["roman.meta.origin"] == "here"


def test_ecsv_gives_nan_where_a_number_is_masked(tmp_path):
    table = Table({"x": MaskedColumn([1, 2], mask=[False, True]), "name": ["a", "b"]})
    table.meta["epoch"] = 2015.5
    table.write(tmp_path / "a.ecsv", format="ascii.ecsv")
    found = read_contents(tmp_path / "a.ecsv")
    np.testing.assert_array_equal(found.arrays["x"].load(), [1.0, np.nan])
    assert found.arrays["name"].load().tolist() == ["a", "b"]
    assert found.values == {"meta.epoch": 2015.5}


def test_hdf5_gives_datasets_and_attributes(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.attrs["header"] = "{}"
        file["WFI01/data"] = DATA
        file["WFI01"].attrs["nx"] = 30
    found = read_contents(tmp_path / "a.h5")
    np.testing.assert_array_equal(found.arrays["WFI01/data"].load(), DATA)
    assert found.values == {"header": "{}", "WFI01.nx": 30}


def test_json_pictures_and_packets_are_read_too(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps({"n": {"used": [1, None]}}))
    assert read_contents(tmp_path / "a.json").values == {"n.used.0": 1, "n.used.1": None}
    imsave(tmp_path / "a.png", DATA)
    assert read_contents(tmp_path / "a.png").arrays["pixels"].load().shape == (20, 30, 4)
    for content in (b"\x01\x02", b""):
        (tmp_path / "a.l0").write_bytes(content)
        assert read_contents(tmp_path / "a.l0").arrays["bytes"].load().tolist() == [*content]


@pytest.mark.parametrize("name", ["a.json", "a.parquet", "a.h5", "a.asdf", "a.ecsv", "a.png"])
def test_what_is_no_such_file_is_refused_by_name(tmp_path, name):
    (tmp_path / name).write_bytes(b"no such thing")
    with pytest.raises(DataError, match=name):
        read_contents(tmp_path / name)


def test_a_damaged_product_is_refused_by_name(tmp_path, monkeypatch):
    start_run(tmp_path)
    path = product(tmp_path, "level2/a_verdict.json", '{"n": 1}')
    monkeypatch.setattr(seals, "_seen", {})
    with (
        changed(path, flipped(path.read_bytes(), 40)),
        pytest.raises(Broken, match="a_verdict.json: damaged"),
    ):
        read_contents(path)

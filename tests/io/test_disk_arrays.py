"""Rows of arrays on the disk are those of the whole array, or the file is refused."""

from pathlib import Path

import asdf
import numpy as np
import pytest

from tessella.errors import DataError
from tessella.io.disk_arrays import Cut, disk_arrays
from tessella.models import rows_of


@pytest.fixture(scope="module")
def arrays():
    rng = np.random.default_rng(1)
    return {
        # More than one chunk of 4 MB, and rows that straddle two.
        "ramp": rng.integers(0, 9000, (3, 700, 2001)).astype(np.uint16),
        "map": rng.standard_normal((600, 2001)).astype(">f4"),
        "small": np.arange(6.0).reshape(2, 3),
    }


@pytest.fixture(scope="module", params=["lz4", None], ids=["lz4", "plain"])
def path(request, arrays, tmp_path_factory):
    path = tmp_path_factory.mktemp("arrays") / "file.asdf"
    file = asdf.AsdfFile({"roman": {"meta": {"x": 1}, **arrays}})
    file.set_array_storage(arrays["small"], "inline")
    file.write_to(path, all_array_compression=request.param)
    return path


@pytest.mark.parametrize(("first", "stop"), [(0, 1), (260, 530), (599, 600), (0, 600), (7, 7)])
def test_rows_come_back(path, arrays, first, stop):
    found = disk_arrays(path)
    assert set(found) == set(arrays)
    for name in ("ramp", "map"):
        rows = rows_of(found[name], first, stop)
        np.testing.assert_array_equal(rows, arrays[name][..., first:stop, :])
        assert rows.dtype.isnative
        assert found[name].shape == arrays[name].shape
    np.testing.assert_array_equal(found["small"], arrays["small"])
    np.testing.assert_array_equal(np.asarray(found["ramp"]), arrays["ramp"])


def test_part_of_an_array_gives_its_own_rows(path, arrays):
    part = Cut(disk_arrays(path)["ramp"], 100, 50, 300, 200)
    assert part.shape == (3, 300, 200)
    np.testing.assert_array_equal(part.rows(3, 9), arrays["ramp"][:, 103:109, 50:250])


def test_flipped_bit_is_found(path, tmp_path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    (tmp_path / "flipped.asdf").write_bytes(content)
    with pytest.raises(DataError, match="flipped.asdf: damaged: an array does not agree"):
        disk_arrays(tmp_path / "flipped.asdf")


@pytest.mark.parametrize("compression", ["zlib", "bzp2"])
def test_array_of_one_compressed_stream_is_read_by_rows(arrays, tmp_path, compression):
    path = tmp_path / "other.asdf"
    asdf.AsdfFile({"roman": {"map": arrays["map"]}}).write_to(
        path, all_array_compression=compression
    )
    found = disk_arrays(path)["map"]
    for _ in range(2):
        np.testing.assert_array_equal(found.rows(3, 9), arrays["map"][..., 3:9, :])
        found.forget()


def test_arrays_that_are_not_read_hold_no_file_open(arrays, tmp_path):
    path = tmp_path / "other.asdf"
    asdf.AsdfFile({"roman": {"map": arrays["map"]}}).write_to(path, all_array_compression="zlib")
    before = len(list(Path("/proc/self/fd").iterdir()))
    many = [disk_arrays(path)["map"] for _ in range(20)]
    for array in many:
        array.rows(0, 2)
        array.forget()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_array_with_a_view_of_another_is_refused(tmp_path):
    whole = np.zeros((40, 50), np.float32)
    with asdf.config_context() as config:
        config.default_array_save_base = True
        tree = {"roman": {"part": whole[:, 10:20], "whole": whole}}
        asdf.AsdfFile(tree).write_to(tmp_path / "view.asdf")
    with pytest.raises(DataError, match="'part' is masked or has strides"):
        disk_arrays(tmp_path / "view.asdf")

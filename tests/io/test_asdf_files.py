"""ASDF files are opened whole or refused in one line."""

import asdf
import numpy as np
import pytest

from tessella.errors import DataError
from tessella.io.asdf_files import check_whole, open_roman, plain, save_model

ARRAYS = {
    "first": np.arange(3000.0),
    "second": np.arange(500, dtype=np.uint16),
    "third": np.ones(40, np.uint8),
}


@pytest.fixture(params=[None, "lz4", "zlib"])
def path(tmp_path, request):
    path = tmp_path / "x.asdf"
    asdf.AsdfFile({"roman": {"meta": {"a": 1}, **ARRAYS}}).write_to(
        path, all_array_compression=request.param
    )
    return path


def blocks(content):
    """Where each block starts."""
    starts, position = [], content.find(b"\xd3BLK")
    while position >= 0:
        starts.append(position)
        position = content.find(b"\xd3BLK", position + 4)
    return starts


def test_whole_file_is_read(path):
    check_whole(path)
    with open_roman(path) as roman:
        for name, values in ARRAYS.items():
            np.testing.assert_array_equal(roman[name], values)


def test_file_cut_anywhere_is_refused_by_name_in_one_line(path):
    content = path.read_bytes()
    first, second, third = blocks(content)
    tree_end = content.find(b"\n...")
    end = content.find(b"#ASDF BLOCK INDEX")
    cuts = [0, 3, 40, tree_end // 2, tree_end, first, first + 2, first + 5, first + 20, first + 60,
            second - 1, second, second + 2, second + 30, third - 1, third, third + 1,
            third + 56, end - 1]  # fmt: skip
    for cut in cuts:
        path.write_bytes(content[:cut])
        with pytest.raises(DataError) as refusal:
            check_whole(path)
        message = str(refusal.value)
        assert message.startswith(f"{path}: "), cut
        assert "\n" not in message


def test_file_that_lacks_its_index_alone_is_whole(path):
    content = path.read_bytes()
    path.write_bytes(content[: content.find(b"#ASDF BLOCK INDEX")])
    with open_roman(path) as roman:
        np.testing.assert_array_equal(roman["third"], ARRAYS["third"])


def test_flipped_bit_is_noticed(path):
    content = bytearray(path.read_bytes())
    content[blocks(bytes(content))[1] + 54 + 20] ^= 4
    path.write_bytes(content)
    with pytest.raises(DataError, match="checksum"), open_roman(path) as roman:
        np.asarray(roman["second"])


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "x.asdf"
    path.write_text("SIMPLE  =                    T")
    with pytest.raises(DataError, match="not an ASDF file"):
        check_whole(path)
    asdf.AsdfFile({"something": 1}).write_to(path)
    with pytest.raises(DataError, match="no key 'roman'"), open_roman(path):
        pass


def test_other_errors_keep_their_kind(path):
    with pytest.raises(ValueError, match="mine"), open_roman(path):
        raise ValueError("mine")


def test_product_that_does_not_fit_its_schema_is_not_written(tmp_path):
    import roman_datamodels.datamodels as rdm

    model = rdm.GainRefModel.create_fake_data()
    model["data"] = "no array"
    with pytest.raises(DataError, match="schema"):
        save_model(model, tmp_path / "gain.asdf", {})
    assert not list(tmp_path.iterdir())


def test_plain_copies_have_no_nodes():
    from roman_datamodels.datamodels import GainRefModel

    tree = plain(GainRefModel.create_fake_data().meta)
    assert type(tree) is dict
    assert type(tree["instrument"]) is dict

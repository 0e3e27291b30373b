"""The head of an ASDF file without asdf."""

import numpy as np
import pytest
import roman_datamodels.datamodels as rdm

from tessella.errors import DataError
from tessella.io.asdf_files import save_model
from tessella.io.asdf_head import read_head


@pytest.fixture
def path(tmp_path):
    model = rdm.GainRefModel.create_fake_data()
    model.data = np.ones((200, 200), np.float32)
    save_model(model, tmp_path / "gain.asdf", {})
    return tmp_path / "gain.asdf"


def test_metadata_are_plain(path):
    head = read_head(path)
    assert head["meta"]["reftype"] == "GAIN"
    assert head["meta"]["instrument"]["detector"] == "WFI01"
    assert head["data"]["shape"] == [200, 200]


@pytest.mark.parametrize("n_bytes", [0, 3, 100, 400])
def test_truncated_head_is_refused(path, n_bytes):
    path.write_bytes(path.read_bytes()[:n_bytes])
    with pytest.raises(DataError, match=r"gain\.asdf: (not an ASDF file|truncated or damaged)"):
        read_head(path)


def test_file_without_roman_is_refused(path):
    path.write_bytes(path.read_bytes().replace(b"\nroman:", b"\ngreek:"))
    with pytest.raises(DataError, match=r"no key 'roman'; it holds .*greek"):
        read_head(path)

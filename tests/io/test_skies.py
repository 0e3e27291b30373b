"""The table of skies."""

import numpy as np
import pytest

from tessella.coadd.sky_blocks import SkyBlocks
from tessella.coadd.sky_levels import Skies
from tessella.errors import DataError
from tessella.io.skies import Sky, read_skies, write_skies


def measured(variance):
    nothing = np.empty(0)
    return SkyBlocks(np.empty((0, 2), np.int64), nothing, nothing, np.empty((0, 2)), variance)


@pytest.fixture
def written(tmp_path):
    values = np.array([0.1 + 0.2, 1 / 3])
    skies = Skies(values, values * 1e-6, -values * 1e-6, np.array([7, 0]), np.array([0, 1]))
    path = tmp_path / "skies.ecsv"
    write_skies(path, ["b", "a"], skies, [measured(0.01), measured(np.nan)], {})
    return path


def test_what_is_written_is_read_to_the_last_bit(written):
    found = read_skies(written)
    assert list(found) == ["b", "a"]
    level = 0.1 + 0.2
    assert found["b"] == Sky(level, level * 1e-6, -level * 1e-6, 0.01)
    assert found["b"].weight == 1 / 0.01


def test_image_without_a_good_pixel_has_no_weight(written):
    assert np.isnan(read_skies(written)["a"].sky_variance)
    assert read_skies(written)["a"].weight == 0.0


def test_file_without_a_column_is_refused(written):
    written.write_text(written.read_text().replace("sky_variance", "other"))
    with pytest.raises(DataError, match="no readable table of skies"):
        read_skies(written)

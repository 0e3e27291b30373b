"""Users' tables are taken as they are, or refused by column and row."""

import galsim
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.table import Table

from tessella.errors import DataError
from tessella.io.source_catalogues import read_sources
from tessella.io.stars import read_truth, write_truth
from tessella.simulate.scene import SERSIC_RANGE

EPOCH = 61465.0


def romanisim_table(**changes):
    """A star and a galaxy as romanisim writes them: of stars, shapes are whatever is at hand."""
    columns = {
        "ra": [12.0, 12.01],
        "dec": [85.0, 85.01],
        "type": ["PSF", "SER"],
        "n": [-1.0, 2.5],
        "half_light_radius": [0.0, 0.4],
        "pa": [0.0, 30.0],
        "ba": [1.0, 0.7],
        "F106": [1e-8, 2e-9],
        "F158": [2e-8, 3e-9],
    }
    return Table(columns | changes)


def stored(tmp_path, table, name="sources.ecsv"):
    path = tmp_path / name
    if name.endswith(".parquet"):
        pq.write_table(pa.table({name: table[name].tolist() for name in table.colnames}), path)
    else:
        table.write(path, format="ascii.ecsv")
    return path


@pytest.mark.parametrize("name", ["sources.ecsv", "sources.parquet"])
def test_columns_of_romanisim_are_read_as_they_are(tmp_path, name):
    table = romanisim_table()
    rows = read_sources(stored(tmp_path, table, name), ["F106", "F158"], EPOCH)
    for column in table.colnames:
        np.testing.assert_array_equal(
            rows[column], np.asarray(table[column]).astype(rows[column].dtype)
        )
    assert np.isnan(rows["F213"]).all()
    assert rows["epoch_mjd"].tolist() == [EPOCH, EPOCH]
    assert rows["light_curve"].tolist() == ["none", "none"]


def test_columns_of_motion_and_light_are_taken_along(tmp_path):
    table = romanisim_table(
        rate=[30.0, 0.0], rate_pa=[90.0, 0.0], light_curve=["none", "supernova"],
        t0=[0.0, 61470.0], timescale=[0.0, 20.0], epoch_mjd=[61400.0, 61465.0],
    )  # fmt: skip
    rows = read_sources(stored(tmp_path, table), ["F158"], EPOCH)
    for name in ("rate", "rate_pa", "light_curve", "t0", "timescale", "epoch_mjd"):
        assert rows[name].tolist() == list(table[name])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"F158": [1e-8, np.nan]}, "row 2: column F158 is nan, expected maggies of at least 0"),
        ({"F106": [-1e-9, 1e-9]}, "row 1: column F106 is -1e-09, expected maggies"),
        ({"n": [4.0, 8.0]}, "row 2: column n is 8.0, expected 0.3 to 6.2"),
        ({"type": ["PSF", "SERSIC"]}, "row 2: column type is 'SERSIC', expected PSF or SER"),
        ({"half_light_radius": [0.0, 0.0]}, "row 2: column half_light_radius is 0.0"),
        ({"ba": [1.0, 1.5]}, "row 2: column ba is 1.5"),
        ({"dec": [np.nan, 85.0]}, "row 1: column dec is nan"),
        ({"light_curve": ["flare", "none"]}, "row 1: column light_curve is 'flare', expected sup"),
        ({"light_curve": ["periodic", "none"]}, "row 1: column timescale is 0.0, expected days"),
    ],
)
def test_what_cannot_be_is_refused_by_column_and_row(tmp_path, changes, message):
    with pytest.raises(DataError, match=message):
        read_sources(stored(tmp_path, romanisim_table(**changes)), ["F106", "F158"], EPOCH)


def test_a_filter_that_is_used_must_have_a_column(tmp_path):
    with pytest.raises(DataError, match=r"sources.ecsv: column F213 is missing; sources need ra"):
        read_sources(stored(tmp_path, romanisim_table()), ["F106", "F213"], EPOCH)


def test_missing_values_are_refused(tmp_path):
    table = Table(romanisim_table(), masked=True)
    table["F158"].mask[1] = True
    with pytest.raises(DataError, match="row 2: column F158 is nan"):
        read_sources(stored(tmp_path, table), ["F158"], EPOCH)


def test_what_is_no_table_is_said(tmp_path):
    with pytest.raises(DataError, match="no such table of sources"):
        read_sources(tmp_path / "none.ecsv", ["F158"], EPOCH)
    (tmp_path / "text.parquet").write_text("no table")
    with pytest.raises(DataError, match="not a readable ECSV or Parquet table"):
        read_sources(tmp_path / "text.parquet", ["F158"], EPOCH)


def test_every_index_that_is_let_in_can_be_drawn():
    for index in SERSIC_RANGE:
        galsim.Sersic(n=index, half_light_radius=0.3)


def test_a_truth_table_is_a_catalogue(tmp_path):
    rows = read_sources(stored(tmp_path, romanisim_table()), ["F106", "F158"], EPOCH)
    write_truth(tmp_path / "truth.ecsv", rows, {})
    again = read_truth(tmp_path / "truth.ecsv").as_array()
    assert not np.ma.is_masked(again)
    for name in rows.dtype.names:
        np.testing.assert_array_equal(again[name], rows[name])

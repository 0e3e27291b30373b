"""Reference stars: tables of any form, shards of the sky, and the part of them that a run uses."""

import gzip
import json
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.table import MaskedColumn, Table
from astropy.time import Time

from tessella.cli import main
from tessella.errors import DataError
from tessella.io.gaia_tables import CORRELATIONS, ERRORS, SCHEMA, catalogue_of, read_batches
from tessella.io.star_shards import INDEX, build_shards, file_of, read_shards, read_stars_of
from tessella.io.stars import read_gaia_field, read_reference_stars, write_reference_stars
from tessella.sky.shards import shards_near

TIME = Time(2028.5, format="jyear")
SCRIPTS = Path(__file__).parents[2] / "workflow_scripts"


def gaia(n=400, seed=1, ra=(359.0, 363.0), dec=(-1.5, 1.5)):
    """A table as that of DR3: every fourth row is a position without a motion."""
    rng = np.random.default_rng(seed)
    two = np.arange(n) % 4 == 3
    values = {
        "source_id": rng.permutation(10 * n)[:n].astype(np.int64),
        "ref_epoch": np.full(n, 2016.0),
        "ra": rng.uniform(*ra, n) % 360,
        "dec": rng.uniform(*dec, n),
        "astrometric_params_solved": np.where(two, 3, 31),
        "ruwe": rng.uniform(0.9, 2.0, n),
        "phot_g_mean_mag": rng.uniform(10, 21, n),
        "phot_bp_mean_mag": rng.uniform(10, 21, n),
        "phot_rp_mean_mag": rng.uniform(10, 21, n),
    }
    for name in ("parallax", "pmra", "pmdec"):
        values[name] = MaskedColumn(rng.normal(0, 10, n), mask=two)
    for name in ERRORS:
        mask = two & (name not in ("ra_error", "dec_error"))
        values[name] = MaskedColumn(rng.uniform(0.02, 1.0, n), mask=mask)
    for name in CORRELATIONS:
        mask = two & (name != "ra_dec_corr")
        values[name] = MaskedColumn(rng.uniform(-0.3, 0.3, n), mask=mask)
    return Table(values)


def archive_csv(path, table):
    """Write it as the archive does: a description, then values with the word null."""
    lines = ["# %ECSV 1.0", "# ---", ",".join(table.colnames)]
    lines += [
        ",".join("null" if value is np.ma.masked else repr(value.item()) for value in row)
        for row in table
    ]
    with (gzip.open if path.suffix == ".gz" else open)(path, "wt") as file:
        file.write("\n".join(lines) + "\n")


def written(folder, table, name):
    path = folder / name
    if ".csv" in name:
        archive_csv(path, table)
    elif name.endswith(".parquet"):
        arrays = {
            column: pa.array(
                np.ma.getdata(table[column]), mask=np.ma.getmaskarray(np.ma.asarray(table[column]))
            )
            for column in table.colnames
        }
        pq.write_table(pa.table(arrays), path)
    else:
        table.write(path)
    return path


def whole(path, epoch=None):
    return pa.concat_tables(read_batches(path, epoch))


def same(first, second):
    assert first.schema == second.schema
    for name in first.schema.names:
        np.testing.assert_array_equal(first[name].to_numpy(), second[name].to_numpy())


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "t.parquet", "t.ecsv"])
def test_all_formats_say_the_same(tmp_path, name):
    table = gaia()
    expected = whole(written(tmp_path, table, "t.fits"))
    same(whole(written(tmp_path, table, name)), expected)
    np.testing.assert_array_equal(expected["source_id"].to_numpy(), table["source_id"])
    np.testing.assert_array_equal(expected["ra"].to_numpy(), table["ra"])


def test_positions_without_a_motion_are_never_still(tmp_path):
    """Whether motions are masked, or filled in as zero for solutions with two parameters."""
    table = gaia()
    two = np.asarray(table["astrometric_params_solved"]) == 3
    masked = whole(written(tmp_path, table, "masked.fits"))
    filled = table.copy()
    for name in ("parallax", "pmra", "pmdec", "pmra_error", "pmdec_error"):
        filled[name] = np.ma.filled(np.ma.asarray(filled[name]), 0.0)
    same(whole(written(tmp_path, filled, "filled.fits")), masked)
    del filled["astrometric_params_solved"]
    same(whole(written(tmp_path, filled, "unsaid.fits")), masked)
    stars = catalogue_of(masked)
    assert (stars.status == np.where(two, "motion not measured", "moved")).all()
    assert np.isfinite(stars.covariance[two][:, :2, :2]).all()


def test_dr2_without_errors_of_positions(tmp_path):
    table = gaia()["source_id", "ra", "dec", "parallax", "pmra", "pmdec", "parallax_error"]
    path = written(tmp_path, table, "dr2.fits")
    with pytest.raises(DataError, match="dr2.fits: column ref_epoch is missing"):
        whole(path)
    found = whole(path, 2015.5)
    error = np.ma.filled(np.ma.asarray(table["parallax_error"]), np.nan).astype(np.float32)
    np.testing.assert_array_equal(found["ra_error"].to_numpy(), error)
    np.testing.assert_allclose(found["pmra_error"].to_numpy(), 1.7 * error, rtol=1e-6)
    assert (found["ref_epoch"].to_numpy() == 2015.5).all()


def test_table_without_a_column_is_refused(tmp_path):
    table = gaia()
    del table["pmra"]
    path = written(tmp_path, table, "gaia.csv")
    with pytest.raises(DataError, match=r"gaia.csv: column pmra is missing"):
        whole(path)
    (tmp_path / "text.fits").write_text("no table")
    with pytest.raises(DataError, match=r"text.fits: not a readable table"):
        whole(tmp_path / "text.fits")


@pytest.mark.parametrize("name", ["t.csv", "t.parquet", "t.fits", "t.ecsv"])
def test_names_of_columns_may_have_capitals(tmp_path, name):
    table = gaia(40)
    expected = whole(written(tmp_path, table, f"small_{name}"))
    for column in table.colnames:
        table.rename_column(column, column.upper())
    same(whole(written(tmp_path, table, name)), expected)
    if not name.endswith(".fits"):
        table["Ra"] = table["RA"]
        path = written(tmp_path, table, f"twice_{name}")
        with pytest.raises(DataError, match="two columns are called R"):
            whole(path)


def test_table_of_another_field_is_refused(tmp_path):
    sys.path.insert(0, str(SCRIPTS))
    try:
        import make_reference_stars
    finally:
        sys.path.remove(str(SCRIPTS))
    table, stars = written(tmp_path, gaia(), "gaia.fits"), tmp_path / "stars.parquet"
    options = json.dumps({"table": str(table), "epoch": None, "scatter_seed": None})
    words = ["--options", options, "--table", str(table), "--stars", str(stars), "--shards"]
    with pytest.raises(DataError, match=r"none of its stars lies near .* of 85 to 86 degrees"):
        make_reference_stars.main([*words, "[175001]"])
    assert not stars.exists()
    make_reference_stars.main([*words, json.dumps(shards_near(0.0, 0.5, 0.1).tolist())])
    assert len(read_reference_stars(stars, TIME).ra) > 0
    # A run of darks needs none.
    make_reference_stars.main([*words, "[]"])


@pytest.mark.parametrize("sorted_rows", [50, 10_000])
def test_shards_hold_each_star_once(tmp_path, sorted_rows):
    table = gaia()
    paths = [written(tmp_path, table[:250], "a.csv"), written(tmp_path, table[200:], "b.fits")]
    n = build_shards(paths, tmp_path / "shards", None, sorted_rows)
    assert n == 400
    found = list(read_shards(tmp_path / "shards" / INDEX, None))
    names = np.concatenate([rows["source_id"].to_numpy() for _, rows in found])
    assert sorted(names) == sorted(table["source_id"])
    assert not list(tmp_path.glob(".shards*"))
    # Whatever the memory and the order in which they came.
    build_shards(paths[::-1], tmp_path / "again", None, 10_000)
    for shard, _ in found:
        path = file_of(shard)
        assert (tmp_path / "again" / path).read_bytes() == (tmp_path / "shards" / path).read_bytes()


def test_run_reads_shards_and_tables_alike(tmp_path):
    """To the byte: whichever way the stars come in."""
    path = written(tmp_path, gaia(), "gaia.fits")
    build_shards([path], tmp_path / "shards")
    wanted = shards_near([0.0, 1.2], [0.0, 0.9], 0.4).tolist()
    for name, table in (("one", path), ("two", tmp_path / "shards" / INDEX)):
        found = write_reference_stars(
            tmp_path / f"{name}.parquet", read_stars_of(table, None, wanted), 7, {}
        )
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "two.parquet").read_bytes()
    assert set(found) == {"moved", "motion not measured"}
    assert sum(found.values()) < 400


def test_scatter_of_a_star_does_not_depend_on_the_run(tmp_path):
    path = written(tmp_path, gaia(), "gaia.fits")
    few, many = shards_near(0.0, 0.5, 0.1).tolist(), None
    for name, wanted in (("few", few), ("many", many)):
        stars = read_stars_of(path, None, wanted)
        write_reference_stars(tmp_path / f"{name}.parquet", stars, 7, {})
    files = tmp_path / "few.parquet", tmp_path / "many.parquet"
    few, many = (read_reference_stars(file, TIME) for file in files)
    rows = np.searchsorted(np.sort(many.source_id), few.source_id)
    np.testing.assert_array_equal(few.ra, many.ra[np.argsort(many.source_id)][rows])


def test_part_near_a_place_is_that_of_all(tmp_path):
    path = tmp_path / "stars.parquet"
    table = written(tmp_path, gaia(2000), "gaia.fits")
    write_reference_stars(path, read_stars_of(table, None, None), None, {})
    everything = read_reference_stars(path, TIME)
    near = read_reference_stars(path, TIME, (0.1, 0.2, 0.5))
    away = np.hypot((everything.ra - 0.1 + 180) % 360 - 180, everything.dec - 0.2)
    # Within the circle all are there; a margin of 0.05 degrees about it is for motions.
    inside = set(everything.source_id[away < 0.5])
    assert inside <= set(near.source_id) <= set(everything.source_id[away < 0.551])
    row = dict(zip(everything.source_id, range(2000), strict=True))
    rows = [row[name] for name in near.source_id]
    np.testing.assert_array_equal(near.covariance, everything.covariance[rows])
    assert len(inside) > 50


def test_field_of_a_simulation_has_magnitudes(tmp_path):
    table = gaia(2000)
    path = written(tmp_path, table, "gaia.fits")
    stars, g, colour = read_gaia_field(path, 2016.0, 0.0, 0.0, 0.3)
    row = {name: k for k, name in enumerate(table["source_id"])}
    rows = [row[name] for name in stars.source_id]
    np.testing.assert_allclose(g, table["phot_g_mean_mag"][rows], rtol=1e-6)
    expected = table["phot_bp_mean_mag"][rows] - table["phot_rp_mean_mag"][rows]
    np.testing.assert_allclose(colour, expected, atol=1e-5)


def test_reference_stars_move_to_the_time_of_the_exposure(tmp_path):
    n = 2
    columns = {name: np.zeros(n) for name in SCHEMA.names}
    columns |= {name: np.ones(n) for name in ERRORS}
    columns |= {"ref_epoch": 2015.5 + np.zeros(n), "source_id": np.arange(n)}
    columns |= {"ra": np.array([11.0, 12.0]), "dec": np.array([81.2, 81.4])}
    columns |= {"pmdec": np.array([100.0, 200.0]), "parallax_error": np.full(n, 1e-4)}
    path = written(tmp_path, Table(columns), "gaia.fits")
    write_reference_stars(tmp_path / "stars.parquet", read_stars_of(path, None, None), None, {})
    moved = read_reference_stars(tmp_path / "stars.parquet", Time(2025.5, format="jyear"))
    # Ten years of 100 and 200 mas.
    np.testing.assert_allclose((moved.dec - columns["dec"]) * 3600, [1.0, 2.0], atol=1e-5)
    np.testing.assert_allclose(moved.covariance[:, 0, 0], 1 + 10**2, rtol=1e-5)


def test_damaged_shards_are_refused(tmp_path):
    build_shards([written(tmp_path, gaia(), "gaia.fits")], tmp_path / "shards")
    index = tmp_path / "shards" / INDEX
    shard = int(next(iter(json.loads(index.read_text())["shards"])))
    file = index.parent / file_of(shard)
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(DataError, match=r"r\d{3}.parquet: damaged"):
        list(read_shards(index, None))
    index.write_text("{}")
    with pytest.raises(DataError, match="no index of reference stars"):
        list(read_shards(index, None))


def test_command_builds_shards(tmp_path, capsys):
    path = written(tmp_path, gaia(), "gaia.csv.gz")
    words = ["build-reference-stars", str(path), "--shards", str(tmp_path / "dr3")]
    assert main(words) == 0
    assert "400 stars" in capsys.readouterr().out
    assert main(words) == 1
    assert "dr3: it exists; name a new folder" in capsys.readouterr().err
    assert main([*words[:2], str(tmp_path / "absent.csv"), "--shards", str(tmp_path / "new")]) == 1
    assert "absent.csv" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_tables_without_a_star_are_refused_and_leave_nothing(tmp_path):
    table = tmp_path / "header_alone.csv"
    table.write_text("ra,dec,pmra,pmdec,parallax,parallax_error\n")
    with pytest.raises(DataError, match=r"header_alone\.csv: no row of a star"):
        build_shards([table], tmp_path / "shards", 2015.5)
    assert list(tmp_path.iterdir()) == [table]

"""What differs between products is found, measured in their errors, and said in words."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from finished_run import changed, flipped

from tessella.cli import main
from tessella.io import seals
from tessella.io.atomic import replacing
from tessella.io.contents import Array, Contents
from tessella.io.provenance import provenance
from tessella.io.runs import start_run
from tessella.run.compare import compare_arrays, compare_contents

CATALOG = "level4/r00001_p_full_000p86x36y63_cat.parquet"
COADD = "level3/r00001_p_full_000p86x36y63_f106_coadd.asdf"
VERDICT = "level2/r0000101001001001001_0001_f106_verdict.json"


def image(**arrays):
    held = {name: Array(a.shape, str(a.dtype), "", lambda a=a: a) for name, a in arrays.items()}
    return Contents(held)


def table(**columns):
    arrays = {
        name: Array((len(values),), "float64", "", lambda v=values: np.array(v))
        for name, values in columns.items()
    }
    return Contents(arrays, is_table=True)


def test_nan_at_the_same_place_is_equal_and_elsewhere_is_counted():
    one, two = np.array([np.nan, np.nan, 1.0, 1.0]), np.array([np.nan, 2.0, np.nan, 1.0])
    assert compare_arrays("data", one, one) is None
    found = compare_arrays("data", one, two)
    assert (found.n_different, found.n_nan_in_a_only, found.n_nan_in_b_only) == (2, 1, 1)
    assert (found.largest, found.worst) == (None, None)


def test_the_largest_difference_in_errors_is_the_worst():
    one = np.zeros((3, 4))
    two, error = one.copy(), np.ones((3, 4))
    two[1, 2], two[2, 0], error[2, 0] = 5.0, -3.0, 0.1
    found = compare_arrays("data", one, two, error)
    assert (found.largest, found.in_errors, found.worst) == (5.0, pytest.approx(30.0), (2, 0))
    assert found.box == ((1, 2), (0, 2))


@pytest.mark.parametrize("bad", [0.0, np.nan, -1.0])
def test_a_pixel_without_a_good_error_has_no_size_in_errors(bad):
    found = compare_arrays("data", np.zeros(2), np.ones(2), np.array([bad, 0.5]))
    assert found.in_errors == 2.0
    found = compare_arrays("data", np.zeros(1), np.ones(1), np.array([bad]))
    assert (found.in_errors, found.largest, found.worst) == (None, 1.0, (0,))


def test_unsigned_numbers_do_not_wrap_and_flags_and_words_differ_too():
    one, two = np.array([1, 5], "u2"), np.array([3, 5], "u2")
    assert compare_arrays("data", two, one).largest == 2.0
    assert compare_arrays("flag", np.array([True]), np.array([False])).n_different == 1
    words = compare_arrays("name", np.array(["a", "b"]), np.array(["a", "c"]))
    assert (words.n_different, words.largest) == (1, None)


def test_another_shape_or_type_is_said():
    assert compare_arrays("x", np.zeros(2), np.zeros(3)).form == "2 values -> 3 values"
    assert compare_arrays("x", np.zeros((2, 1)), np.zeros(2)).form == "shape [2, 1] -> 2 values"
    found = compare_arrays("x", np.zeros(2, "f4"), np.zeros(2))
    assert (found.form, found.n_different) == ("float32 -> float64", 0)


def test_images_are_measured_in_their_own_errors():
    one = image(data=np.zeros((2, 2)), err=np.full((2, 2), 0.25, "f2"))
    two = image(data=np.ones((2, 2)), err=np.full((2, 2), 0.25, "f2"), extra=np.zeros(1))
    found = compare_contents(COADD, one, two)
    assert [array.name for array in found.arrays] == ["data"]
    assert found.arrays[0].in_errors == 4.0
    assert found.only_in_b == ("extra",)
    assert not found.only_metadata


def test_equal_arrays_leave_other_metadata():
    one, two = (Contents({}, {"meta.n": n, "meta.tessella.code": n, "x": np.nan}) for n in (1, 2))
    found = compare_contents("a.asdf", one, two)
    assert found.only_metadata
    assert found.metadata == ("meta.n",)
    assert [path for path, _, _ in found.values] == ["meta.n", "meta.tessella.code"]


MAS = 1 / 3.6e6
RA, DEC = np.array([10.0, 10.01, 10.02, 10.03]), np.full(4, 60.0)
FLUX, ERROR = np.array([100.0, 200.0, 300.0, 400.0]), np.array([10.0, 10.0, 20.0, 40.0])


def catalog(rows=slice(None), shift_mas=0.0, flux=FLUX):
    return table(
        ra=RA[rows],
        dec=DEC[rows] + shift_mas * MAS,
        kron_f106_flux=flux[rows],
        kron_f106_flux_err=ERROR[rows],
    )


def test_the_order_of_sources_is_no_difference():
    found = compare_contents(CATALOG, catalog(), catalog([2, 0, 3, 1]))
    assert not found.arrays
    assert (found.sources.n_gone, found.sources.n_new, found.sources.n_moved) == (0, 0, 0)


def test_the_worst_source_is_named_by_its_row_in_a():
    other = FLUX + np.array([0.0, 0.0, 0.0, 1.0])
    (found,) = compare_contents(CATALOG, catalog([1, 3]), catalog([3, 1, 2], flux=other)).arrays
    assert (found.name, found.worst, found.n) == ("kron_f106_flux", (1,), 2)


def test_tables_of_other_lengths_without_positions_differ_in_their_rows():
    one, two = table(label=[1.0, 2.0], flux=[1.0, 2.0]), table(label=[1.0], flux=[1.0])
    (found,) = compare_contents("level4/f106_measurements.parquet", one, two).arrays
    assert (found.name, found.form) == ("rows", "2 -> 1")


def test_sources_are_gone_and_new():
    found = compare_contents(CATALOG, catalog([0, 1, 2]), catalog([1, 2, 3])).sources
    assert (found.n_a, found.n_b, found.n_matched, found.n_gone, found.n_new) == (3, 3, 2, 1, 1)
    assert found.fluxes[0].n_changed == 0


def test_sources_that_only_one_catalog_has_are_a_difference_of_more_than_metadata():
    assert not compare_contents(CATALOG, catalog([0, 1]), catalog([1, 0, 2])).only_metadata


def test_sources_that_move_keep_their_partner():
    found = compare_contents(CATALOG, catalog(), catalog(shift_mas=50.0)).sources
    assert (found.n_matched, found.n_moved) == (4, 4)
    assert found.median_mas == pytest.approx(50.0, rel=1e-6)
    assert compare_contents(CATALOG, catalog(), catalog(shift_mas=250.0)).sources.n_matched == 0


def test_fluxes_change_in_errors_and_percent():
    changed_flux = FLUX + np.array([10.0, 10.0, -20.0, 80.0])
    (found,) = compare_contents(CATALOG, catalog(), catalog(flux=changed_flux)).sources.fluxes
    assert (found.kind, found.band, found.n, found.n_changed) == ("kron", "F106", 4, 4)
    assert found.median_sigma == 1.0
    assert found.high_sigma == pytest.approx(1.85)  # between 1 and 2, of 1, 1, 1, 2
    assert found.median_percent == pytest.approx(7.5)  # of 10, 5, -20 / 3, 20


def test_sources_without_a_position_are_paired_where_nothing_moved():
    one = table(ra=[np.nan, 10.0], dec=[np.nan, 60.0], flux=[1.0, 2.0], flux_err=[1.0, 1.0])
    two = table(ra=[np.nan, 10.0], dec=[np.nan, 60.0], flux=[1.0, 3.0], flux_err=[1.0, 1.0])
    assert compare_contents(CATALOG, one, two).sources.n_gone == 0


def write(folder, threshold=5.0, sigma=0.0, verdict="ok", extra=None):
    """Write a run of three products; `sigma` changes a pixel and a flux in their errors."""
    import asdf

    start_run(folder)
    told = json.dumps({"detectors": [{"outcome": verdict}]})
    with replacing(folder / VERDICT, provenance("calibrate_exposure", {}, [])) as part:
        part.write_text(told)
    data = np.zeros((6, 8), "f4")
    data[2, 3] = sigma * 0.5
    origin = provenance("cut_cell", {"threshold": threshold}, [folder / VERDICT])
    with replacing(folder / COADD, origin) as part:
        asdf.AsdfFile({"roman": {"data": data, "err": np.full_like(data, 0.5)}}).write_to(part)
    flux = FLUX + sigma * ERROR
    columns = {"ra": RA, "dec": DEC, "kron_f106_flux": flux, "kron_f106_flux_err": ERROR}
    with replacing(folder / CATALOG, provenance("join_bands", {}, [folder / COADD])) as part:
        pq.write_table(pa.table(columns), part)
    return str(folder)


@pytest.fixture
def pair(tmp_path, monkeypatch):
    """Two runs that differ by an option."""
    monkeypatch.setattr(seals, "_seen", {})
    return write(tmp_path / "a"), write(tmp_path / "b", threshold=6.0, sigma=3.0)


def test_the_command_says_why_and_what(pair, capsys):
    assert main(["compare", *pair]) == 1
    said = capsys.readouterr().out
    assert "3 products are in both: 1 equal, 2 differ." in said
    assert "cut_cell: option threshold 5.0 -> 6.0\n    explains all 2: 1 coadd, 1 catalog" in said
    assert (
        "1 of 1 coadd: data differs in 1 of 48, by up to 3 of its errors (1.5) at y 2, x 3" in said
    )
    assert "4 -> 4 sources: 4 in both, 0 gone, 0 new" in said
    assert "F106 kron flux            4 of 4           +3 err" in said
    assert VERDICT not in said


def test_details_name_all_products_and_arrays(pair, capsys):
    main(["compare", *pair, "--details"])
    said = capsys.readouterr().out
    assert f"      {COADD}\n        {CATALOG}\n" in said
    assert "      data differs in 1 of 48" in said
    assert "within [(2, 2), (3, 3)]" in said


def test_json_holds_all_of_it_and_no_nan(pair, tmp_path):
    main(["compare", *pair, "--json", str(tmp_path / "all.json")])
    found = json.loads((tmp_path / "all.json").read_text(), parse_constant=pytest.fail)
    assert found["differing"] == [COADD, CATALOG]
    assert found["effects"][0]["cause"]["what"] == "threshold"
    assert found["differences"][0]["arrays"][0]["in_errors"] == 3.0


def test_the_plot_is_a_picture_or_is_said_not_to_be(pair, tmp_path, capsys):
    plot = tmp_path / "changes.png"
    main(["compare", *pair, "--plot", str(plot)])
    assert plot.read_bytes().startswith(b"\x89PNG")
    assert f"{plot} shows {CATALOG} and {COADD}" in capsys.readouterr().out
    main(["compare", pair[0], pair[0], "--plot", str(tmp_path / "none.png")])
    assert not (tmp_path / "none.png").exists()
    assert "is not drawn" in capsys.readouterr().out


def test_the_same_bits_are_said_and_give_0(tmp_path, capsys):
    runs = write(tmp_path / "a"), write(tmp_path / "b")
    assert main(["compare", *runs]) == 0
    assert "Same bits: all 3 products" in capsys.readouterr().out


def test_what_nothing_explains_gives_2_and_is_said(tmp_path, capsys):
    runs = write(tmp_path / "a"), write(tmp_path / "b", verdict="degraded")
    assert main(["compare", *runs]) == 2
    said = capsys.readouterr().out
    assert f"{VERDICT} differs and nothing that is recorded explains it" in said
    assert 'verdict: detectors.0.outcome "ok" -> "degraded"' in said


def test_a_product_of_one_run_only_is_a_difference(tmp_path, capsys):
    a, b = write(tmp_path / "a"), write(tmp_path / "b")
    (tmp_path / "b" / CATALOG).unlink()
    (tmp_path / "b" / "seals" / f"{CATALOG}.json").unlink()
    assert main(["compare", a, b]) == 1
    assert f"Only in A: 1 catalog ({CATALOG})." in capsys.readouterr().out


@pytest.mark.parametrize("name", [COADD, CATALOG])
def test_a_damaged_product_is_refused_by_name(pair, tmp_path, name, capsys):
    path = tmp_path / "b" / name
    with changed(path, flipped(path.read_bytes(), 8 * (path.stat().st_size - 9))):
        assert main(["compare", *pair]) == 2
    assert f"ERROR: {path}: damaged" in capsys.readouterr().err


@pytest.mark.parametrize("content", [None, b"{}"])
def test_an_equal_product_that_is_lost_or_cut_is_refused_too(pair, tmp_path, content, capsys):
    path = tmp_path / "b" / VERDICT
    with changed(path, content):
        assert main(["compare", *pair]) == 2
    kind = "missing" if content is None else "damaged"
    assert f"ERROR: {path}: {kind}" in capsys.readouterr().err


def test_a_folder_that_is_no_run_is_refused(pair, tmp_path, capsys):
    assert main(["compare", pair[0], str(tmp_path / "nothing")]) == 2
    assert "no results of a run" in capsys.readouterr().err

"""References as official files, cut to the window of an exposure."""

import json
from dataclasses import replace

import exposures
import numpy as np
import pytest
import roman_datamodels as rdm

from tessella.detector.integral_nonlinearity import tabulate
from tessella.detector.reference_noise import Coefficients
from tessella.errors import DataError
from tessella.io.level3 import read_mosaic
from tessella.io.references import (
    ReferenceHeader,
    named_from,
    read_context,
    read_effective_psf,
    read_encircled_energy,
    read_references,
    read_selection,
    write_converter,
    write_dark_decay,
    write_effective_psf,
    write_encircled_energy,
    write_maps,
    write_noise_weights,
    write_photometry,
    write_selection,
)
from tessella.io.runs import start_run
from tessella.io.seals import sha256
from tessella.io.verdict import Verdict, write_verdict
from tessella.models import Window, rows_of
from tessella.references.make import (
    dark_decay_rows,
    measure_converter,
    measure_flat,
    measure_inverse_linearity,
    measure_maps,
    photometry_row,
)

ABOUT = ReferenceHeader("WFI01", "2026-01-01T00:00:00", "test", {})
LARGE = Window(128, 0, 384, 256)
MAPS = ("mask", "saturation", "linearity", "inverselinearity", "gain", "readnoise", "dark", "flat")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """References of a window around that of the exposures, and a selection of them."""
    folder = tmp_path_factory.mktemp("references")
    maps = exposures.draw_maps(exposures.STATE, "WFI01", LARGE)
    arrays = measure_maps(exposures.STATE, maps, "WFI01")
    arrays["inverselinearity"] = measure_inverse_linearity(exposures.STATE, maps, "WFI01")
    arrays["flat"] = measure_flat(exposures.STATE, maps, "WFI01", "F158")
    paths = {name: folder / f"wfi01_{name}.asdf" for name in (*MAPS, "photom")}
    for name, values in arrays.items():
        element = "F158" if name == "flat" else None
        write_maps(paths[name], name, values, LARGE, ABOUT, optical_element=element)
    write_photometry(
        paths["photom"], {"F158": photometry_row(exposures.STATE, "WFI01", "F158")}, ABOUT
    )
    selection = folder / "selection.json"
    write_selection(selection, named_from(selection, paths), {})
    return selection, paths, arrays


@pytest.mark.parametrize("reftype", [*MAPS, "photom"])
def test_reference_is_official(written, reftype):
    with rdm.open(written[1][reftype]) as model:
        assert model.validate() is None
        assert model.meta.reftype.lower() == reftype
        assert model.meta.instrument.detector == "WFI01"
        assert model.meta.useafter.isot.startswith("2026-01-01")


@pytest.mark.parametrize("reftype", MAPS)
def test_reference_is_cut_to_the_window(written, reftype):
    selection, _, arrays = written
    reference = read_references(selection, [reftype], exposures.WINDOW, "WFI01")[reftype]
    # The exposure's window begins 128 columns and 128 rows after that of the file.
    size = 120 if reftype == "flat" else 128
    for name, values in arrays[reftype].items():
        rows = rows_of(reference.arrays[name], 0, size)
        np.testing.assert_array_equal(rows, values[..., 128 : 128 + size, 128 : 128 + size])
    assert reference.filename == f"wfi01_{reftype}.asdf"


@pytest.mark.parametrize(
    "window", [Window(0, 0, 256, 256), Window(128, 0, 512, 256), Window(128, 128, 128, 256)]
)
def test_window_that_is_not_covered_is_refused(written, window):
    with pytest.raises(DataError, match="gain.asdf: it covers the window"):
        read_references(written[0], ["gain"], window, "WFI01")


def selected(tmp_path, reftype, path, window=exposures.WINDOW, detector="WFI01", **more):
    """Read a reference through a selection of it alone."""
    selection = tmp_path / "one.json"
    write_selection(selection, named_from(selection, {reftype: path}), {}, **more)
    return read_references(selection, [reftype], window, detector)[reftype]


def test_dark_decay_comes_back(tmp_path):
    path, rows = tmp_path / "wfi01_darkdecaysignal.asdf", dark_decay_rows(exposures.STATE)
    write_dark_decay(path, rows, ABOUT)
    with rdm.open(path) as model:
        assert model.validate() is None
        assert model.meta.reftype == "DARKDECAYSIGNAL"
    assert selected(tmp_path, "darkdecaysignal", path).values == rows


@pytest.mark.parametrize(("detector", "first"), [("WFI01", 0), ("WFI03", 31)])
def test_converter_comes_back(tmp_path, detector, first):
    path, table = tmp_path / "inl.asdf", measure_converter(exposures.STATE, detector)
    write_converter(path, table["value"], table["correction"], replace(ABOUT, detector=detector))
    with rdm.open(path) as model:
        assert model.validate() is None
        assert (model.meta.n_channels, model.meta.n_pixels_per_channel) == (32, 128)
        assert model.inl_table.science_channel_01.instrument_channel == first
        assert model.inl_table.science_channel_32.instrument_channel == 31 - first
    back = selected(tmp_path, "integralnonlinearity", path, detector=detector).arrays
    for name, values in table.items():
        np.testing.assert_array_equal(back[name], values)
    assert tabulate(back["value"], back["correction"]).correction.shape == (32, 65536)


def test_noise_weights_come_back(tmp_path):
    rng = np.random.default_rng(1)
    gamma, zeta, alpha = rng.standard_normal((3, 32, 101)) + 1j * rng.standard_normal((3, 32, 101))
    weights = Coefficients(*(array.astype(np.complex64) for array in (gamma, zeta, alpha)))
    path = tmp_path / "refpix.asdf"
    write_noise_weights(path, weights, ABOUT)
    with rdm.open(path) as model:
        assert model.validate() is None
    back = selected(tmp_path, "refpix", path).arrays
    for name, values in vars(weights).items():
        np.testing.assert_array_equal(np.asarray(back[name]), values)


def test_selection_says_its_context(written, tmp_path):
    selected(tmp_path, "gain", written[1]["gain"], LARGE, context="0123456789abcdef")
    assert json.loads((tmp_path / "one.json").read_text())["context"] == "0123456789abcdef"


def test_file_that_is_not_the_one_of_the_table_is_refused(written, tmp_path):
    gain = written[1]["gain"]
    selected(tmp_path, "gain", gain, LARGE, expected={"gain": sha256(gain)})
    (tmp_path / "one.json").unlink()
    with pytest.raises(DataError, match="gain.asdf: its SHA-256 is .* gives 000000000000"):
        selected(tmp_path, "gain", gain, LARGE, expected={"gain": "0" * 64})
    assert not (tmp_path / "one.json").exists()


def test_reference_of_another_detector_is_refused(written):
    with pytest.raises(
        DataError, match=r"gain.asdf: meta.instrument.detector: it is of WFI01, exp"
    ):
        read_references(written[0], ["gain"], LARGE, "WFI02")


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"files": {"gain": {}}}'])
def test_file_that_is_no_selection_is_named(tmp_path, text):
    (tmp_path / "bad.json").write_text(text)
    for read in (read_selection, read_context):
        with pytest.raises(DataError, match="bad.json: no selection of references"):
            read(tmp_path / "bad.json")


def test_missing_type_is_named(written):
    with pytest.raises(DataError, match="no reference of type ipc; it has dark, flat"):
        read_references(written[0], ["ipc"], LARGE, "WFI01")


def test_zero_points_come_back(written):
    row = read_references(written[0], ["photom"], LARGE, "WFI01")["photom"].values["F158"]
    expected = photometry_row(exposures.STATE, "WFI01", "F158")
    assert {name: float(row[name]) for name in expected} == pytest.approx(expected)


def test_encircled_energies_come_back(tmp_path):
    radii, energies = np.array([0.1, 0.2, 0.4]), np.array([0.3, 0.6, 0.9])
    write_encircled_energy(tmp_path / "apcorr.asdf", radii, {"F158": energies}, ABOUT)
    back = read_encircled_energy(tmp_path / "apcorr.asdf", "F158")
    np.testing.assert_allclose(back[0], radii)
    np.testing.assert_allclose(back[1], energies)
    with pytest.raises(DataError, match="F106"):
        read_encircled_energy(tmp_path / "apcorr.asdf", "F106")


def test_effective_psf_comes_back(tmp_path):
    stamp = np.random.default_rng(1).uniform(0, 1, (41, 41))
    write_effective_psf(tmp_path / "epsf.asdf", stamp, 4, (2043.5, 2043.5), 8.0, ABOUT, "F158")
    with rdm.open(tmp_path / "epsf.asdf") as model:
        assert model.validate() is None
    back = read_effective_psf(tmp_path / "epsf.asdf")
    assert back.oversample == 4
    np.testing.assert_array_equal(back.stamp, stamp.astype(np.float32))


def verdict(detector, outcome):
    return Verdict(detector, outcome, f"reason of {detector}", "x.asdf", "0" * 64)


def test_verdict_counts_outcomes(tmp_path):
    write_verdict(tmp_path / "v.json", [verdict("WFI01", "ok"), verdict("WFI02", "failed")], 1, {})
    content = json.loads((tmp_path / "v.json").read_text())
    assert content["counts"] == {"ok": 1, "failed": 1}
    assert [entry["detector"] for entry in content["detectors"]] == ["WFI01", "WFI02"]


def test_too_few_detectors_are_an_error_with_reasons(tmp_path):
    with pytest.raises(DataError, match="reason of WFI02"):
        write_verdict(
            tmp_path / "v.json", [verdict("WFI01", "ok"), verdict("WFI02", "failed")], 2, {}
        )
    assert not (tmp_path / "v.json").exists()


def test_equal_runs_of_two_names_choose_in_the_same_words(tmp_path):
    chosen = []
    for name in ("one", "two"):
        start_run(tmp_path / name)
        reference = tmp_path / name / "references/simulated/wfi01_epsf.asdf"
        stamp = np.full((5, 5), 0.04)
        write_effective_psf(reference, stamp, 1, (0.0, 0.0), 8.0, ABOUT, "F158")
        selection = tmp_path / name / "references/selections/wfi01.json"
        write_selection(selection, named_from(selection, {"epsf": reference}), {})
        assert read_selection(selection)["epsf"][0] == reference
        chosen.append(selection.read_bytes())
    assert chosen[0] == chosen[1]


def test_reference_that_was_not_chosen_is_refused(written, tmp_path):
    chosen = {"gain": tmp_path / "gain.asdf"}
    chosen["gain"].write_bytes(written[1]["gain"].read_bytes())
    write_selection(tmp_path / "s.json", named_from(tmp_path / "s.json", chosen), {})
    chosen["gain"].write_bytes(written[1]["mask"].read_bytes())
    with pytest.raises(DataError, match="not the file that .* chose"):
        read_references(tmp_path / "s.json", ["gain"], exposures.WINDOW, "WFI01")


def test_reference_of_another_kind_is_no_psf(tmp_path):
    path = tmp_path / "gain.asdf"
    write_maps(path, "gain", {"data": np.ones(LARGE.shape, np.float32)}, LARGE, ABOUT)
    with pytest.raises(DataError, match=r"gain\.asdf: no psf; expected an epsf"):
        read_effective_psf(path)
    with pytest.raises(DataError, match=r"gain\.asdf: .* expected a coadd"):
        read_mosaic(path)

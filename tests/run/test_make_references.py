"""References as the rule asks for them, by their names."""

from functools import partial

import exposures
import numpy as np
import pytest
import roman_datamodels as rdm

from tessella.astrometry.gwcs_model import build_gwcs, distortion_model
from tessella.astrometry.wcs import attitude_of
from tessella.errors import DataError
from tessella.io.references import named_from, read_references, write_selection
from tessella.references.published import detector_status, multiaccum_tables, nominal_area
from tessella.references.skycells import skycell_tables
from tessella.run.references import write_references
from tessella.sky.tessellation import regions

STATES = (exposures.STATE, "test", "WFI01", exposures.WINDOW, "2026-01-01T00:00:00", 1.0, {})


def test_files_are_made_of_the_type_and_filter_in_their_names(tmp_path):
    paths = [
        tmp_path / f"wfi01_{name}.asdf"
        for name in (
            "gain",
            "mask",
            "flat_f106",
            "flat_f158",
            "photom",
            "darkdecaysignal",
            "inverselinearity",
            "integralnonlinearity",
            "distortion",
            "ipc",
            "area",
            "matable",
            "detectorstatus",
        )
    ]
    write_references(paths, *STATES)
    for path in paths:
        with rdm.open(path) as model:
            assert model.validate() is None
            assert model.meta.reftype.lower() == path.stem.split("_")[1]
            assert model.meta.pedigree == "SIMULATION"
    with rdm.open(paths[2]) as model:
        assert model.meta.instrument.optical_element == "F106"


@pytest.fixture
def read(tmp_path):
    """Make a reference and read it as the pipeline does."""

    def made(reftype):
        path, selection = tmp_path / f"wfi01_{reftype}.asdf", tmp_path / "selection.json"
        write_references([path], *STATES)
        write_selection(selection, named_from(selection, {reftype: path}), {})
        return read_references(selection, [reftype], exposures.WINDOW, "WFI01")[reftype]

    return made


def test_distortion_is_that_of_the_package_to_the_bit(read):
    made = read("distortion").values["transform"]
    x, y = np.random.default_rng(1).uniform(0, 4088, (2, 1000))
    np.testing.assert_array_equal(made(x, y), distortion_model("WFI01")(x, y))
    attitude = attitude_of("WFI01", 12.0, 85.0, 20.0)
    without, given = (
        build_gwcs(attitude, "WFI01", exposures.WINDOW, distortion=model) for model in (None, made)
    )
    np.testing.assert_array_equal(given(x, y), without(x, y))


def test_kernel_status_and_tables_come_back(read):
    kernel = np.asarray(read("ipc").arrays["data"])
    np.testing.assert_array_equal(kernel, np.float32(exposures.STATE.ipc_kernel))
    assert read("matable").values == multiaccum_tables()
    assert read("detectorstatus").values == detector_status()
    area = read("area").values["pixelarea_steradians"]
    assert area == nominal_area("WFI01")["pixelarea_steradians"]


def test_what_holds_for_all_filters_says_none(tmp_path):
    write_references([tmp_path / "wfi01_ipc.asdf"], *STATES)
    with rdm.open(tmp_path / "wfi01_ipc.asdf") as model:
        assert model.meta.instrument.optical_element == "NOT_CONFIGURED"


def test_cells_of_the_sky_are_made_on_demand(tmp_path, monkeypatch):
    # All of them take 1.3 GB; so few regions would stand among the metadata, as none may.
    monkeypatch.setattr("tessella.io.asdf_files._INLINE_VALUES", 0)
    some = partial(skycell_tables, regions()[:2])
    monkeypatch.setattr("tessella.run.references.skycell_tables", some)
    path, selection = tmp_path / "wfi01_skycells.asdf", tmp_path / "selection.json"
    write_references([path], *STATES)
    with rdm.open(path) as model:
        assert model.validate() is None
        assert (model.meta.nxy_skycell, model.meta.skycell_border_pixels) == (5000, 100)
    write_selection(selection, named_from(selection, {"skycells": path}), {})
    read = read_references(selection, ["skycells"], exposures.WINDOW, "WFI01")["skycells"]
    for name, table in some().items():
        np.testing.assert_array_equal(read.values[name], table)


def test_type_that_cannot_be_made_is_refused(tmp_path):
    with pytest.raises(DataError, match="'persat'"):
        write_references([tmp_path / "wfi01_persat.asdf"], *STATES)
    assert not list(tmp_path.iterdir())

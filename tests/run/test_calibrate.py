"""From a Level 1 file to a Level 2 file and a verdict."""

import json
from dataclasses import replace

import exposures
import numpy as np
import pytest
import roman_datamodels as rdm

from tessella import flags
from tessella.errors import DataError
from tessella.io.level1 import write_ramp
from tessella.io.level2 import read_image
from tessella.io.references import (
    write_converter,
    write_dark_decay,
    write_maps,
    write_photometry,
)
from tessella.io.seals import sha256
from tessella.recipe import LEVEL2_STEPS, level2_references
from tessella.run.calibrate import calibrate_detector


@pytest.fixture(scope="module")
def folder(tmp_path_factory, references):
    """References as files, and a selection of them."""
    folder = tmp_path_factory.mktemp("calibrate")
    about = ("WFI01", "2026-01-01T00:00:00", "test", {})
    for name, reference in references.items():
        path = folder / f"{name}.asdf"
        if name == "photom":
            write_photometry(path, reference.values, *about)
        elif name == "darkdecaysignal":
            write_dark_decay(path, reference.values, *about)
        elif name == "integralnonlinearity":
            arrays = reference.arrays
            write_converter(path, arrays["value"], arrays["correction"], *about)
        else:
            element = exposures.ELEMENT if name == "flat" else None
            write_maps(
                path, name, reference.arrays, exposures.WINDOW, *about, optical_element=element
            )
    names = (*level2_references(), "integralnonlinearity")
    paths = {name: folder / f"{name}.asdf" for name in names}
    files = {name: {"path": str(path), "sha256": sha256(path)} for name, path in paths.items()}
    (folder / "selection.json").write_text(json.dumps({"files": files}))
    return folder


def calibrated(folder, ramp, name="wfi01", **options):
    write_ramp(folder / f"{name}_uncal.asdf", ramp, exposures.HEADER, exposures.PATTERN, {})
    paths = (folder / f"{name}_uncal.asdf", folder / "selection.json", folder / f"{name}_cal.asdf")
    verdict = calibrate_detector(*paths, exposures.WINDOW, {**exposures.OPTIONS, **options})
    return verdict, paths[2]


def test_good_exposure_is_ok_and_its_file_tells_how_it_was_made(folder, ramp):
    verdict, path = calibrated(folder, ramp)
    assert (verdict.detector, verdict.outcome, verdict.file) == ("WFI01", "ok", path.name)
    with rdm.open(path) as model:
        assert model.validate() is None
        for step in LEVEL2_STEPS:
            expected = "N/A" if step.detector else "COMPLETE"
            assert model.meta.cal_step[step.status] == expected
        assert model.meta.ref_file.gain == "gain.asdf"
        assert list(model.meta.tessella.steps) == [s.name for s in LEVEL2_STEPS if not s.detector]
        assert model.cal_logs[0] == "dq_init: mask.asdf"
        assert any(
            line.endswith("rejection_threshold = 4.5, expand_large_events = True")
            for line in model.cal_logs
        )
        assert model.meta.ref_file.crds.version.startswith("tessella ")
        # The border of the ramp in absolute counts: a pedestal of 5000 DN.
        assert np.median(model.border_ref_pix_left) == pytest.approx(5000, abs=60)


def test_same_input_same_arrays(folder, ramp):
    first, second = (read_image(calibrated(folder, ramp, name)[1])[0] for name in ("one", "two"))
    for name in ("data", "err", "dq", "var_poisson", "jumps"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


def test_skipped_step_is_recorded(folder, ramp):
    _, path = calibrated(folder, ramp, "skipped", skip=["flat"])
    with rdm.open(path) as model:
        assert model.meta.cal_step.flat_field == "SKIPPED"


@pytest.mark.parametrize(
    ("rows", "outcome"), [(slice(None), "failed"), (slice(0, 100), "degraded")]
)
def test_lost_exposure_makes_a_valid_product_and_says_so(folder, ramp, rows, outcome):
    dq = ramp.resultant_dq.copy()
    dq[:, rows] |= flags.DROPOUT
    verdict, path = calibrated(folder, replace(ramp, resultant_dq=dq), outcome)
    assert verdict.outcome == outcome
    image, _ = read_image(path)
    lost = np.zeros(image.dq.shape, bool)
    lost[: 96 if outcome == "degraded" else 120] = True
    assert (image.dq[lost] & flags.DO_NOT_USE != 0).all()
    assert np.isnan(image.data[lost]).all()


def test_fault_of_the_input_is_an_error_and_leaves_no_product(folder, ramp):
    write_ramp(folder / "cut_uncal.asdf", ramp, exposures.HEADER, exposures.PATTERN, {})
    content = (folder / "cut_uncal.asdf").read_bytes()
    (folder / "cut_uncal.asdf").write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match="cut_uncal.asdf: truncated"):
        calibrate_detector(
            folder / "cut_uncal.asdf",
            folder / "selection.json",
            folder / "cut_cal.asdf",
            exposures.WINDOW,
            exposures.OPTIONS,
        )
    assert not (folder / "cut_cal.asdf").exists()

"""From a Level 1 file to a Level 2 file and a verdict."""

import json
from dataclasses import replace

import exposures
import numpy as np
import pytest
import roman_datamodels as rdm

from tessella import flags
from tessella.detector.persistence_state import PersistenceState, predict
from tessella.errors import DataError
from tessella.io.level1 import write_ramp
from tessella.io.level2 import read_image
from tessella.io.persistence_state import read_state
from tessella.io.references import (
    ReferenceHeader,
    write_converter,
    write_dark_decay,
    write_maps,
    write_photometry,
)
from tessella.io.seals import sha256
from tessella.recipe import LEVEL2_STEPS, level2_references
from tessella.run.calibrate import calibrate_detector
from tessella.simulate.earlier import add_light
from tessella.simulate.exposure import expose


@pytest.fixture(scope="module")
def folder(tmp_path_factory, references):
    """References as files, and a selection of them."""
    folder = tmp_path_factory.mktemp("calibrate")
    about = ReferenceHeader("WFI01", "2026-01-01T00:00:00", "test", {})
    for name, reference in references.items():
        path = folder / f"{name}.asdf"
        if name == "photom":
            write_photometry(path, reference.values, about)
        elif name == "darkdecaysignal":
            write_dark_decay(path, reference.values, about)
        elif name == "integralnonlinearity":
            arrays = reference.arrays
            write_converter(path, arrays["value"], arrays["correction"], about)
        else:
            element = exposures.ELEMENT if name == "flat" else None
            write_maps(
                path, name, reference.arrays, exposures.WINDOW, about, optical_element=element
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


ON = exposures.OPTIONS["persistence"]
#: Left half: 57,000 electrons. Right half, and all of the second exposure: sky.
BRIGHT = np.where(np.arange(120) < 60, 1000.0, 1.0) * np.ones((120, 1))
SKY = np.ones((120, 120))
#: Away from the edge between them, over which capacitance shares a 50th of the charge.
LIT, DARK = np.arange(120) < 57, np.arange(120) >= 63


class Pair:
    """Two exposures of a detector, two minutes from start to start."""

    def __init__(self, folder, maps, state):
        self.folder, self.maps = folder, maps
        self.state = replace(state, persistence_ratio=1.0)
        nothing = PersistenceState(exposures.DETECTOR, exposures.WINDOW)
        self.left = add_light(nothing, BRIGHT, maps, exposures.PATTERN, exposures.START_MJD)
        self.send("first", BRIGHT, 1)
        self.send("second", SKY, 2, self.left)
        self.send("plain", SKY, 2)

    def send(self, name, light, number, earlier=None):
        key = replace(exposures.KEY, exposure=number)
        start = exposures.START_MJD + (number - 1) * 120 / 86400
        state = self.state if earlier else replace(self.state, persistence_ratio=0.0)
        sent = (light, self.maps, state, exposures.PATTERN, exposures.DETECTOR, key, 7, 4000)
        ramp = exposures.ramp_of(expose(*sent, False, earlier, start))
        header = replace(
            exposures.HEADER, key=key, start_time=f"2028-07-01T00:0{2 * number - 2}:00"
        )
        path = self.folder / f"{name}_uncal.asdf"
        write_ramp(path, ramp, header, exposures.PATTERN, {})

    def calibrate(self, name, persistence, earlier=None, suffix=""):
        image = self.folder / f"{name}{suffix}_cal.asdf"
        left = self.folder / f"{name}{suffix}_persistence.asdf" if persistence else None
        calibrate_detector(
            self.folder / f"{name}_uncal.asdf",
            self.folder / "selection.json",
            image,
            exposures.WINDOW,
            {**exposures.OPTIONS, "persistence": persistence},
            earlier=earlier,
            left=left,
        )
        return read_image(image)[0], left


@pytest.fixture(scope="module")
def pair(folder, maps, state):
    return Pair(folder, maps, state)


@pytest.fixture(scope="module")
def chain(pair):
    """The second exposure with what the first left, as it is and subtracted, and without."""
    _, left = pair.calibrate("first", ON)
    shown, _ = pair.calibrate("second", ON, left)
    cleaned, after = pair.calibrate("second", {**ON, "subtract": True}, left, "_cleaned")
    plain, _ = pair.calibrate("plain", None)
    return shown, cleaned, plain, left, after


def test_what_an_exposure_leaves_is_flagged_in_the_next_one(chain):
    shown, _, plain, *_ = chain
    flagged = shown.dq & flags.PERSISTENCE != 0
    # Dead pixels saw no light; where the first exposure says nothing of a pixel, it is flagged.
    known = (plain.dq & flags.DO_NOT_USE) == 0
    assert known[:, LIT].mean() > 0.9
    assert flagged[:, LIT][known[:, LIT]].all()
    assert not flagged[:, DARK][known[:, DARK]].any()
    assert not (plain.dq & flags.PERSISTENCE).any()


def test_what_an_exposure_leaves_is_predicted_and_subtracted(chain):
    shown, cleaned, plain, *_ = chain
    good = ((shown.dq | plain.dq) & (flags.DO_NOT_USE | flags.JUMP_DET)) == 0
    lit, dark = good & LIT, good & DARK
    duration = exposures.PATTERN.exposure_time
    left, seen = (
        float(np.mean((image.data - plain.data)[lit])) * duration for image in (cleaned, shown)
    )
    assert lit.sum() > 5000
    # Six electrons.
    assert seen == pytest.approx(3.3, abs=0.2)
    # Draws are the same but for the Poisson noise of these: a mean of 5000 pixels is known to
    # 0.02 DN, a difference of medians to 0.04 DN. The limits are 0.1 DN and 5 %.
    assert abs(left) < 0.1
    assert abs(left) < 0.05 * seen
    assert abs(np.median(cleaned.data[lit]) - np.median(plain.data[lit])) * duration < 0.1
    np.testing.assert_array_equal(cleaned.data[dark], shown.data[dark])


def test_state_holds_what_the_light_left(pair, chain):
    *_, left, after = chain
    state = read_state(left, exposures.DETECTOR, exposures.WINDOW)
    edges = exposures.START_MJD + np.array([120, 180]) / 86400
    found, expected = (predict(one, edges)[:, LIT] for one in (state, pair.left))
    # Poisson noise of the charge and errors of the gain average out; dead pixels are left out.
    ratio = found[expected > 0.01] / expected[expected > 0.01]
    assert np.nanmedian(ratio) == pytest.approx(1, abs=0.005)
    # The second exposure was faint: it leaves nothing but what is not known.
    later = read_state(after, exposures.DETECTOR, exposures.WINDOW)
    assert later.entries[-1].end_mjd == state.entries[0].end_mjd
    assert all(np.isnan(entry.charge).all() for entry in later.entries[:-1])


def test_product_says_what_it_took_from_the_exposure_before(pair, chain):
    left = chain[3]
    with rdm.open(pair.folder / "second_cleaned_cal.asdf") as model:
        assert model.validate() is None
        (line,) = (line for line in model.cal_logs if line.startswith("persistence: "))
        assert left.name in line
        assert "subtract = True" in line
        names = {entry["name"]: entry["sha256"] for entry in model.meta.tessella.made_from}
        assert names[left.name] == sha256(left)
        assert "persistence" in model.meta.tessella.steps
    with rdm.open(pair.folder / "first_cal.asdf") as model:
        assert any(
            line.startswith("persistence: ") and "no exposure before" in line
            for line in model.cal_logs
        )


def test_exposures_that_overlap_are_refused(pair, chain):
    *_, after = chain
    with pytest.raises(DataError, match="first_uncal.asdf: meta.exposure.start_time .* ended at"):
        pair.calibrate("first", ON, after)

"""What every step of the exposure pipeline keeps, and what the whole of it makes."""

from dataclasses import fields, replace
from functools import cache
from pathlib import Path
from typing import get_args

import exposures
import numpy as np
import pytest

from tessella import flags, recipe
from tessella.astrometry.pixel_area import relative_pixel_area
from tessella.config import SkippableStep
from tessella.models import Image, Ramp
from tessella.plan.build import REFERENCE_TYPES
from tessella.recipe import LEVEL2_STEPS

PAGE = Path(__file__).parents[1] / "docs" / "level2.md"
ACTIVE = (..., slice(4, -4), slice(4, -4))


def arrays_of(exposure):
    values = {field.name: getattr(exposure, field.name) for field in fields(exposure)}
    return {name: value for name, value in values.items() if isinstance(value, np.ndarray)}


def protected(exposure):
    """The same exposure with copies of its arrays that cannot be written to."""
    return replace(exposure, **exposures.locked(arrays_of(exposure)))


def run(step, exposure, references):
    return step.function(exposure, references, **exposures.OPTIONS.get(step.name, {}))


@cache
def _before():
    state = exposures.STATE
    maps = exposures.draw_maps(state, exposures.DETECTOR, exposures.WINDOW)
    references = exposures.make_references(state, maps)
    exposure, before = exposures.make_ramp(state, maps), {}
    for step in LEVEL2_STEPS:
        before[step.name] = protected(exposure)
        exposure = run(step, before[step.name], references)
    return before, exposure


@pytest.fixture(scope="module")
def before():
    """The exposure as each step finds it."""
    return _before()[0]


@pytest.fixture(scope="module")
def image():
    """The exposure after the last step."""
    return _before()[1]


every_step = pytest.mark.parametrize("step", LEVEL2_STEPS, ids=lambda step: step.name)


@every_step
def test_step_leaves_its_inputs_alone_and_repeats_itself(step, before, references):
    # Arrays are read-only: a write would have been an error.
    kept = {name: value.copy() for name, value in arrays_of(before[step.name]).items()}
    first, second = (run(step, before[step.name], references) for _ in range(2))
    for name, value in arrays_of(before[step.name]).items():
        np.testing.assert_array_equal(value, kept[name])
    for name, value in arrays_of(first).items():
        np.testing.assert_array_equal(value, getattr(second, name))


@every_step
def test_step_keeps_shapes_and_types(step, before, references):
    given, made = before[step.name], run(step, before[step.name], references)
    if isinstance(made, Ramp):
        assert made.data.shape == given.data.shape
        assert made.data.dtype == np.float32
        assert (made.resultant_dq.shape, made.resultant_dq.dtype) == (given.data.shape, np.uint8)
        assert (made.dq.shape, made.dq.dtype) == (exposures.WINDOW.shape, np.uint32)
        return
    for name, value in arrays_of(made).items():
        if name != "jumps":
            assert value.shape == exposures.WINDOW.active_shape
            assert value.dtype == (np.uint32 if name == "dq" else np.float64)
    assert made.jumps.dtype == np.int16
    if isinstance(given, Image):
        assert set(arrays_of(made)) == set(arrays_of(given))


@every_step
def test_step_sets_its_own_flags_and_those_of_its_references_alone(step, before, references):
    given, made = before[step.name], run(step, before[step.name], references)
    allowed = np.uint32(sum(flags.value(name) for name in step.sets))
    for reftype in step.references:
        allowed |= np.bitwise_or.reduce(
            references[reftype].arrays.get("dq", np.zeros(1, np.uint32)), axis=None
        )
    old = np.zeros(exposures.WINDOW.shape, np.uint32) if given.dq is None else given.dq
    old = old if old.shape == made.dq.shape else old[ACTIVE]
    assert flags.names(np.bitwise_or.reduce(made.dq & ~old & ~allowed, axis=None)) == []
    assert not (old & ~made.dq).any(), "flags are never taken away"
    if isinstance(made, Ramp):
        new = made.resultant_dq & ~given.resultant_dq & ~np.uint8(allowed & 0xFF)
        assert flags.names(np.bitwise_or.reduce(new, axis=None)) == []
        assert not (given.resultant_dq & ~made.resultant_dq).any()


@every_step
def test_step_needs_the_references_that_it_names(step, before, references):
    class Recorded(dict):
        asked: set = set()

        def __getitem__(self, reftype):
            self.asked.add(reftype)
            return super().__getitem__(reftype)

    recorded = Recorded(references)
    recorded.asked = set()
    run(step, before[step.name], recorded)
    assert recorded.asked == set(step.references)


def test_configuration_may_skip_what_the_recipe_lets_be_skipped():
    assert set(get_args(SkippableStep)) == {step.name for step in LEVEL2_STEPS if step.may_skip}


def test_plan_finds_every_reference_that_a_stage_needs():
    assert sorted(REFERENCE_TYPES) == sorted((*recipe.level2_references(), "epsf", "apcorr"))


def test_declared_flags_and_scopes_exist():
    for step in LEVEL2_STEPS:
        assert all(flags.value(name) for name in step.sets)
        assert step.scope in ("pixel", "rows", "frame")
    assert len({step.name for step in LEVEL2_STEPS}) == len(LEVEL2_STEPS)


def test_documented_pipeline_is_the_one_that_runs():
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in PAGE.read_text().splitlines()
        if line.startswith("|")
    ]
    header, _, *steps = rows
    assert header == ["step", "does", "references", "in"]
    assert [(name, references) for name, _, references, _ in steps] == [
        (step.name, ", ".join(step.references)) for step in LEVEL2_STEPS
    ]


@pytest.mark.parametrize("skipped", get_args(SkippableStep))
def test_pipeline_works_without_a_step_that_may_be_skipped(skipped, ramp, references):
    ran = []
    options = {**exposures.OPTIONS, "skip": [skipped]}
    made = recipe.apply(LEVEL2_STEPS, ramp, references, options, ran.append)
    assert [step.name for step in ran] == [
        step.name for step in LEVEL2_STEPS if step.name != skipped
    ]
    assert np.isfinite(made.data[(made.dq & flags.DO_NOT_USE) == 0]).all()


def test_scene_is_recovered(image, maps, state):
    good = (image.dq & (flags.DO_NOT_USE | flags.JUMP_DET)) == 0
    sky = good & (exposures.scene() < 1.01)
    # The flat holds the pixels' solid angle, the light of this scene does not.
    area = relative_pixel_area(exposures.DETECTOR, exposures.WINDOW)
    expected = 1.0 / state.gain_electrons_per_dn / area
    pull = ((image.data - expected) / image.err)[sky]
    # The reference pixels of the one channel know the drift to 0.1 DN a resultant, 0.003 DN / s
    # or 0.02 errors in all slopes alike: three times. Deviation: 0.7 % of noise; capacitance
    # lowers it (photons are shared) and half counts of rounding raise it.
    assert abs(np.mean(pull)) < 0.06
    width = np.percentile(pull, [16, 84])
    assert (width[1] - width[0]) / 2 == pytest.approx(1, abs=0.06)
    assert good.mean() > 0.95


def test_what_happened_to_a_pixel_is_in_its_flags(image, maps):
    dq = image.dq
    assert (dq[16] & flags.DROPOUT != 0).all()
    assert (dq[66] & flags.DROPOUT != 0).all()
    assert (dq[66] & flags.DO_NOT_USE != 0).all()
    assert np.isnan(image.data[66]).all()
    assert np.isfinite(image.data[16][(dq[16] & flags.DO_NOT_USE) == 0]).all()
    assert dq[100, 100] & flags.SATURATED
    assert (dq[maps.is_dead[ACTIVE]] & flags.DO_NOT_USE != 0).all()
    assert (dq[maps.is_hot[ACTIVE]] & flags.HOT != 0).all()
    assert (dq[4:12, 4:12] & flags.DO_NOT_USE != 0).all()
    assert (dq[:, 4:12] & flags.GW_AFFECTED_DATA != 0).all()
    assert not (dq[:, 12:] & flags.GW_AFFECTED_DATA).any()


def test_not_measured_is_never_zero_and_never_good(image):
    unknown = ~np.isfinite(image.data)
    assert unknown.any()
    assert np.isnan(image.err[unknown]).all()
    assert (image.dq[unknown] & flags.DO_NOT_USE != 0).all()
    assert (image.err[~unknown] > 0).all()


def test_jumps_are_listed_where_they_are_flagged(image):
    y, x = image.jumps[:, 1], image.jumps[:, 2]
    marked = np.zeros(image.dq.shape, bool)
    marked[y, x] = True
    np.testing.assert_array_equal(marked, (image.dq & flags.JUMP_DET) != 0)

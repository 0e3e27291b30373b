"""What every step of the exposure pipeline keeps, and what the whole of it makes."""

from collections.abc import Mapping
from dataclasses import fields, replace
from functools import cache
from pathlib import Path
from typing import get_args

import exposures
import numpy as np
import pytest

from tessella import flags, recipe
from tessella.astrometry.pixel_area import relative_pixel_area
from tessella.config_sections import SkippableStep
from tessella.exposure_pipeline import calibrate, read_border
from tessella.models import ALIGNED, EXPOSURE_TYPES, Image, Ramp
from tessella.plan.selection import OPTIONAL_TYPES, reference_types
from tessella.recipe import LEVEL2_STEPS
from tessella.steps.frame import Frame

#: Those that every detector needs.
STEPS = tuple(step for step in LEVEL2_STEPS if not step.detector)
PAGE = Path(__file__).parents[1] / "docs" / "level2.md"
ACTIVE = (..., slice(4, -4), slice(4, -4))


def arrays_of(exposure):
    values = {field.name: getattr(exposure, field.name) for field in fields(exposure)}
    return {name: value for name, value in values.items() if isinstance(value, np.ndarray)}


def protected(exposure):
    """The same exposure with copies of its arrays that cannot be written to."""
    return replace(exposure, **exposures.locked(arrays_of(exposure)))


def run(step, exposure, references):
    """Run a step on the whole detector as one block."""
    options = exposures.OPTIONS.get(step.name, {})
    cut = Cut(references) if isinstance(exposure, Image) else references
    if step.measure is None:
        return step.function(exposure, cut, **options)
    frame = Frame(*_stored(), lambda: iter([exposure]))
    measured = step.measure(frame, references, **options)
    return step.function(exposure, cut, **options, measured=measured)


class Cut(Mapping):
    """References cut to the pixels that see light, as steps on images get them."""

    def __init__(self, references):
        self.references = references

    def __getitem__(self, reftype):
        reference = self.references[reftype]
        arrays = {
            name: values[ACTIVE] if values.shape[-2:] == exposures.WINDOW.shape else values
            for name, values in reference.arrays.items()
        }
        return replace(reference, arrays=arrays)

    def __iter__(self):
        return iter(self.references)

    def __len__(self):
        return len(self.references)


@cache
def _stored():
    """The ramp as it was stored, and its border."""
    maps = exposures.draw_maps(exposures.STATE, exposures.DETECTOR, exposures.WINDOW)
    ramp = exposures.make_ramp(exposures.STATE, maps)
    return ramp, read_border(ramp, exposures.make_references(exposures.STATE, maps))


@cache
def _before():
    state = exposures.STATE
    maps = exposures.draw_maps(state, exposures.DETECTOR, exposures.WINDOW)
    references = exposures.make_references(state, maps)
    exposure, before = exposures.make_ramp(state, maps), {}
    for step in STEPS:
        before[step.name] = protected(exposure)
        exposure = run(step, before[step.name], references)
    return before


@pytest.fixture(scope="module")
def before():
    """The exposure as each step finds it."""
    return _before()


@pytest.fixture(scope="module")
def image(ramp, references):
    """The exposure after the last step."""
    return calibrate(LEVEL2_STEPS, ramp, references, exposures.OPTIONS).image


every_step = pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)


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
            others = {"dq": np.uint32, "resultants_used": np.uint16, "saturated_from": np.uint16}
            assert value.dtype == {**others, "charge": np.float16}.get(name, np.float32)
    assert made.jumps.dtype == np.int16
    if isinstance(given, Image):
        assert set(arrays_of(made)) - {"charge"} == set(arrays_of(given)) - {"charge"}


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
            found = super().__getitem__(reftype)
            self.asked.add(reftype)
            return found

    recorded = Recorded(references)
    recorded.asked = set()
    run(step, before[step.name], recorded)
    there = {*step.references, *step.optional} & set(references)
    assert recorded.asked == there
    assert set(step.references) <= there


def test_configuration_may_skip_what_the_recipe_lets_be_skipped():
    assert set(get_args(SkippableStep)) == {step.name for step in LEVEL2_STEPS if step.may_skip}


@pytest.mark.parametrize("exposure_type", EXPOSURE_TYPES)
def test_plan_finds_every_reference_that_a_stage_needs(exposure_type):
    of_stars = ("epsf", "apcorr") if exposure_type in ALIGNED else ()
    expected = (*recipe.level2_references(exposure_type), *of_stars)
    assert sorted(reference_types(exposure_type)) == sorted(expected)
    assert set(OPTIONAL_TYPES) == set(recipe.optional_references())


def test_declared_flags_and_scopes_exist():
    for step in LEVEL2_STEPS:
        assert all(flags.value(name) for name in step.sets)
        assert step.scope in ("rows", "image")
        assert set(step.exposure_types) <= set(EXPOSURE_TYPES)
    assert len({step.name for step in LEVEL2_STEPS}) == len(LEVEL2_STEPS)


def test_documented_pipeline_is_the_one_that_runs():
    table = PAGE.read_text().partition("\n|")[2].partition("\n\n")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    header, _, *steps = rows
    assert header == ["step", "does", "references", "in"]
    assert [(name, references) for name, _, references, _ in steps] == [
        (step.name, ", ".join([*step.references, *(f"({name})" for name in step.optional)]))
        for step in LEVEL2_STEPS
    ]


@pytest.mark.parametrize("skipped", get_args(SkippableStep))
def test_pipeline_works_without_a_step_that_may_be_skipped(skipped, ramp, references):
    options = {**exposures.OPTIONS, "skip": [skipped]}
    made = calibrate(LEVEL2_STEPS, ramp, references, options)
    assert [step.name for step in made.ran] == [s.name for s in STEPS if s.name != skipped]
    assert np.isfinite(made.image.data[(made.image.dq & flags.DO_NOT_USE) == 0]).all()


@pytest.mark.parametrize(("n_threads", "block_rows"), [(1, 8), (2, 64), (3, 56)])
def test_same_bits_for_any_block_size_and_number_of_threads(
    ramp, references, image, n_threads, block_rows
):
    made = calibrate(LEVEL2_STEPS, ramp, references, exposures.OPTIONS, n_threads, block_rows).image
    for name, value in arrays_of(made).items():
        np.testing.assert_array_equal(value, getattr(image, name))


@pytest.mark.parametrize("exposure_type", EXPOSURE_TYPES)
def test_exposures_that_show_no_image_are_not_flattened(ramp, references, exposure_type):
    needed = recipe.level2_references(exposure_type)
    made = calibrate(
        LEVEL2_STEPS,
        replace(ramp, exposure_type=exposure_type),
        {name: references[name] for name in needed},
        exposures.OPTIONS,
    )
    names = {step.name for step in made.ran}
    assert ("flat" in names) == (exposure_type in ("WFI_IMAGE", "WFI_LOLO", "WFI_WFSC"))
    assert {"slopes", "dark", "wcs", "photometry"} <= names


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

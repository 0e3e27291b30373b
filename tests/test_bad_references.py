"""A pixel whose reference holds no usable number is flagged; no plausible number stands there."""

from dataclasses import replace

import exposures
import numpy as np
import pytest

from tessella import flags
from tessella.errors import DataError
from tessella.exposure_pipeline import calibrate
from tessella.models import BORDER, Reference
from tessella.recipe import LEVEL2_STEPS

#: A pixel of the image that is good without the fault, and that pixel of the window.
Y, X = 40, 50
IN_WINDOW, IN_IMAGE = (Y + BORDER, X + BORDER), (Y, X)
NAN, INF = np.nan, np.inf
CASES = [
    *(("gain", "data", value, flags.NO_GAIN_VALUE) for value in (NAN, 0.0, -2.0, INF)),
    *(("readnoise", "data", value, flags.DO_NOT_USE) for value in (NAN, 0.0, -6.0, INF)),
    *(("dark", "dark_slope", value, flags.DO_NOT_USE) for value in (NAN, INF, -INF)),
    *(("linearity", "coeffs", value, flags.NO_LIN_CORR) for value in (NAN, INF)),
    *(("saturation", "data", value, flags.NO_SAT_CHECK) for value in (NAN, INF)),
    *(("saturation", "data", value, flags.SATURATED) for value in (0.0, -1.0)),
    *(("flat", "data", value, flags.NO_FLAT_FIELD) for value in (NAN, 0.0, -1.0, INF)),
    *(("flat", "err", value, flags.DO_NOT_USE) for value in (NAN, INF, -1.0)),
]


@pytest.fixture(scope="module")
def good(ramp, references):
    """The image of good references; its pixel is a good one."""
    image = calibrate(LEVEL2_STEPS, ramp, references, exposures.OPTIONS).image
    assert image.dq[Y, X] & flags.DO_NOT_USE == 0
    assert np.isfinite(image.data[Y, X])
    return image


@pytest.mark.parametrize(("reftype", "name", "value", "flag"), CASES)
def test_pixel_without_a_usable_number_is_flagged(
    ramp, references, good, reftype, name, value, flag
):
    reference = references[reftype]
    spoiled = np.array(reference.arrays[name])
    spoiled[..., *(IN_IMAGE if reftype == "flat" else IN_WINDOW)] = value
    arrays = {**reference.arrays, name: spoiled}
    bad = {**references, reftype: replace(reference, arrays=arrays)}
    image = calibrate(LEVEL2_STEPS, ramp, bad, exposures.OPTIONS).image
    assert image.dq[Y, X] & flag == flag
    # A step that could not be done is told by a flag of its own; what it was done on stays.
    if flag not in (flags.NO_SAT_CHECK, flags.NO_LIN_CORR):
        assert image.dq[Y, X] & flags.DO_NOT_USE
    # The pixels around it are what they were: fits look at two neighbours in the row for noise.
    away = np.ones(image.data.shape, bool)
    away[Y - 3 : Y + 4, X - 12 : X + 13] = False
    np.testing.assert_array_equal(image.dq[away], good.dq[away])
    np.testing.assert_array_equal(image.data[away], good.data[away])


@pytest.mark.parametrize(
    ("shape", "value", "said"),
    [
        ((32, 286721), NAN, "gamma: NaN or infinite"),
        ((32, 286721), INF, "gamma: NaN or infinite"),
        ((32, 101), 0.0, r"\(32, 101\)"),
    ],
)
def test_noise_weights_that_cannot_be_are_refused(ramp, references, shape, value, said):
    gamma, zero = (np.broadcast_to(np.complex64(x), shape) for x in (value, 0))
    arrays = {"gamma": gamma, "zeta": zero, "alpha": zero}
    given = {**references, "refpix": Reference("refpix", "weights.asdf", arrays)}
    with pytest.raises(DataError, match=rf"weights\.asdf: .*{said}"):
        calibrate(LEVEL2_STEPS, ramp, given, exposures.OPTIONS)


def test_filter_without_a_zero_point_is_named(ramp, references):
    photom = replace(references["photom"], values={"F213": {}})
    with pytest.raises(DataError, match=f"no row for {exposures.ELEMENT}, it has F213"):
        calibrate(LEVEL2_STEPS, ramp, {**references, "photom": photom}, exposures.OPTIONS)


def test_unknown_zero_point_is_no_number(ramp, references):
    row = dict.fromkeys(("photmjsr", "uncertainty", "pixelareasr"))
    photom = replace(references["photom"], values={exposures.ELEMENT: row})
    bad = {**references, "photom": photom}
    image = calibrate(LEVEL2_STEPS, ramp, bad, exposures.OPTIONS).image
    told = (image.conversion_megajanskys, image.conversion_uncertainty, image.pixel_area_sr)
    assert np.isnan(told).all()


def test_pixel_area_comes_from_its_own_reference_where_the_zero_points_give_none(ramp, references):
    row = {**references["photom"].values[exposures.ELEMENT], "pixelareasr": None}
    photom = replace(references["photom"], values={exposures.ELEMENT: row})
    area = replace(photom, reftype="area", values={"pixelarea_steradians": 2.8e-13})
    given = {**references, "photom": photom, "area": area}
    image = calibrate(LEVEL2_STEPS, ramp, given, exposures.OPTIONS).image
    assert image.pixel_area_sr == 2.8e-13
    kept = calibrate(LEVEL2_STEPS, ramp, {**references, "area": area}, exposures.OPTIONS).image
    assert kept.pixel_area_sr == references["photom"].values[exposures.ELEMENT]["pixelareasr"]

"""References of other origin: whole detectors, made by roman_datamodels alone, good and bad."""

import asdf
import numpy as np
import pytest
import roman_datamodels.datamodels as rdm
from astropy.modeling import models
from scipy.special import erf

from tessella.astrometry.gwcs_model import build_gwcs, distortion_model
from tessella.astrometry.wcs import attitude_of
from tessella.errors import DataError
from tessella.io.references import (
    named_from,
    read_effective_psf,
    read_references,
    write_selection,
)
from tessella.models import Window, rows_of
from tessella.recipe import level2_references, optional_references

WINDOW = Window(256, 128, 256, 128)
#: Tells every pixel from every other one; exact in single precision.
PLACE = np.arange(4096 * 4096, dtype=np.float32).reshape(4096, 4096)
FLAGS = PLACE.astype(np.uint32)
INSIDE = PLACE[4:-4, 4:-4]
COMPLEX = np.arange(32 * 12).reshape(32, 12) * (1 + 2j)


def converter():
    correction = np.linspace(-1, 1, 65536)
    channels = {
        f"science_channel_{k:02d}": {"instrument_channel": k - 1, "correction": correction * k}
        for k in range(1, 33)
    }
    return {"value": np.arange(65536, dtype=np.uint16), "inl_table": channels}


def phot_row(photmjsr, uncertainty, area):
    curve = np.ones(2, np.float32)
    return {
        "photmjsr": photmjsr,
        "uncertainty": uncertainty,
        "pixelareasr": area,
        "collecting_area": 3.76,
        "wavelength": curve,
        "effective_area": curve,
    }


def content(reftype):
    """The content of a good file."""
    return {
        "mask": lambda: {"dq": FLAGS},
        "saturation": lambda: {"data": PLACE, "dq": FLAGS},
        "linearity": lambda: {"coeffs": np.stack([PLACE, -PLACE]), "dq": FLAGS},
        "gain": lambda: {"data": PLACE},
        "readnoise": lambda: {"data": PLACE},
        "dark": lambda: {"dark_slope": PLACE, "dark_slope_error": -PLACE, "dq": FLAGS},
        "flat": lambda: {"data": INSIDE, "err": -INSIDE, "dq": FLAGS[4:-4, 4:-4]},
        "refpix": lambda: {"gamma": COMPLEX, "zeta": -COMPLEX, "alpha": 2 * COMPLEX},
        "integralnonlinearity": converter,
        "photom": lambda: {
            "phot_table": {
                "F158": phot_row(0.7, 0.1, 2.8e-13),
                "GRISM": phot_row(None, None, None),
            }
        },
        "darkdecaysignal": lambda: {
            "decay_table": {"WFI01": {"amplitude": 0.4, "time_constant": 23.0}}
        },
        "distortion": lambda: {"coordinate_distortion_transform": distortion_model("WFI01")},
        "area": lambda: {"data": INSIDE},
        "detectorstatus": lambda: {"status_info": {"WFI01": {"enabled": True}}},
    }[reftype]()


MODELS = {
    "mask": rdm.MaskRefModel,
    "saturation": rdm.SaturationRefModel,
    "linearity": rdm.LinearityRefModel,
    "gain": rdm.GainRefModel,
    "readnoise": rdm.ReadnoiseRefModel,
    "dark": rdm.DarkRefModel,
    "flat": rdm.FlatRefModel,
    "refpix": rdm.RefpixRefModel,
    "integralnonlinearity": rdm.IntegralnonlinearityRefModel,
    "photom": rdm.WfiImgPhotomRefModel,
    "darkdecaysignal": rdm.DarkdecaysignalRefModel,
    "distortion": rdm.DistortionRefModel,
    "area": rdm.PixelareaRefModel,
    "detectorstatus": rdm.DetectorstatusRefModel,
}


def write(path, reftype, meta=None, without=None, **changed):
    """Write a file as its maker would, by asdf alone: a bad one does not fit its schema."""
    model = MODELS[reftype].create_fake_data()
    model.meta.instrument.detector = "WFI01"
    if reftype == "area":
        model.meta.photometry = {"pixelarea_steradians": 2.8e-13, "pixelarea_arcsecsq": 0.0119}
    for name, value in (meta or {}).items():
        model.meta[name] = value
    tree = {**model._instance, **content(reftype), **changed}
    tree = {name: value for name, value in tree.items() if name != without}
    if not changed and without is None and meta is None:
        for name, value in content(reftype).items():
            model[name] = value
        assert model.validate() is None
        tree = model._instance
    asdf.AsdfFile({"roman": dict(tree)}).write_to(path, all_array_compression="lz4")
    return path


def read(path, reftype, window=WINDOW, detector="WFI01"):
    selection = path.parent / "selection.json"
    write_selection(selection, named_from(selection, {reftype: path}), {})
    return read_references(selection, [reftype], window, detector)[reftype]


def test_every_type_that_the_recipe_uses_is_tried():
    assert {*level2_references(), *optional_references()} <= {*MODELS}


@pytest.mark.parametrize("reftype", ["mask", "saturation", "linearity", "gain", "dark", "flat"])
def test_whole_detector_is_cut_to_the_window(tmp_path, reftype):
    found = read(write(tmp_path / "official.asdf", reftype), reftype).arrays
    expected = content(reftype)
    # The active part of the window starts at its own first pixel, in the frame of 4088 pixels.
    ny, nx = WINDOW.active_shape if reftype == "flat" else WINDOW.shape
    assert set(found) == set(expected)
    for name, values in expected.items():
        cut = values[..., 128 : 128 + ny, 256 : 256 + nx]
        np.testing.assert_array_equal(rows_of(found[name], 0, ny), cut)
        np.testing.assert_array_equal(rows_of(found[name], 7, 9), cut[..., 7:9, :])


@pytest.mark.parametrize("reftype", ["refpix", "integralnonlinearity"])
def test_what_holds_for_whole_channels_is_not_cut(tmp_path, reftype):
    found = read(write(tmp_path / "official.asdf", reftype), reftype).arrays
    if reftype == "refpix":
        for name, values in content(reftype).items():
            np.testing.assert_array_equal(np.asarray(found[name]), values)
    else:
        assert found["correction"].shape == (32, 65536)
        np.testing.assert_array_equal(found["correction"][31], 32 * np.linspace(-1, 1, 65536))


def test_tables_and_values_are_read(tmp_path):
    rows = read(write(tmp_path / "photom.asdf", "photom"), "photom").values
    assert rows["F158"]["photmjsr"] == 0.7
    assert rows["GRISM"]["photmjsr"] is None
    decay = read(write(tmp_path / "decay.asdf", "darkdecaysignal"), "darkdecaysignal").values
    assert decay == content("darkdecaysignal")["decay_table"]
    area = read(write(tmp_path / "area.asdf", "area"), "area").values
    assert area == {"pixelarea_steradians": 2.8e-13}
    status = read(write(tmp_path / "status.asdf", "detectorstatus"), "detectorstatus").values
    assert status == {"WFI01": {"enabled": True}}


def test_distortion_is_read_as_a_model(tmp_path):
    model = read(write(tmp_path / "d.asdf", "distortion"), "distortion").values["transform"]
    x, y = np.random.default_rng(1).uniform(0, 4088, (2, 100))
    np.testing.assert_array_equal(model(x, y), distortion_model("WFI01")(x, y))
    attitude = attitude_of("WFI01", 12.0, 45.0, 20.0)
    wcs = build_gwcs(attitude, "WFI01", WINDOW, distortion=model)
    # To the bit: coefficients in files are exact.
    np.testing.assert_array_equal(wcs(x, y), build_gwcs(attitude, "WFI01", WINDOW)(x, y))


SMALL = np.ones((256, 256), np.float32)
BAD = {
    "array missing": ("dark", {"without": "dark_slope"}, "dark_slope: no such array"),
    "flags missing": ("mask", {"without": "dq"}, "dq: no such array"),
    "units": ("gain", {"data": {"value": PLACE, "unit": "DN"}}, "data: no such array"),
    "axes": ("linearity", {"coeffs": PLACE}, r"coeffs: shape \(4096, 4096\), expected 3 axes"),
    "one coefficient": ("linearity", {"coeffs": PLACE[None]}, "coeffs: 1 coefficients"),
    "active pixels": ("gain", {"data": INSIDE}, r"data: shape \(4088, 4088\), expected \(4096"),
    "whole flat": ("flat", {"data": PLACE}, r"data: shape \(4096, 4096\), expected \(4088"),
    "a part": ("readnoise", {"data": SMALL}, r"data: shape \(256, 256\), expected \(4096"),
    "signed": ("mask", {"dq": FLAGS.astype(np.int32)}, "dq: int32, expected unsigned"),
    "whole numbers": ("gain", {"data": FLAGS}, "data: uint32, expected floating-point"),
    "real weights": ("refpix", {"gamma": COMPLEX.real}, "gamma: float64, expected complex"),
    "frequencies": ("refpix", {"zeta": COMPLEX[:, :5]}, "arrays of one shape were expected"),
    "type": ("gain", {"meta": {"reftype": "READNOISE"}}, "meta.reftype: it is 'readnoise', expec"),
    "no table": ("photom", {"without": "phot_table"}, "phot_table: no such entry"),
    "no rows": ("photom", {"phot_table": {"F158": 3.0}}, "phot_table: no table of rows"),
    "channels": ("integralnonlinearity", {"inl_table": {}}, "inl_table: 0 channels, expected 32"),
    "counts": ("integralnonlinearity", {"value": np.arange(9)}, "inl_table: corrections of shapes"),
    "no transform": (
        "distortion",
        {"coordinate_distortion_transform": {}},
        "coordinate_distortion_transform: .*, expected an astropy model",
    ),
    "another transform": (
        "distortion",
        {"coordinate_distortion_transform": models.Shift(1.0)},
        "coordinate_distortion_transform: Shift, expected an astropy model",
    ),
    "no area": ("area", {"meta": {"photometry": {}}}, "meta.photometry.pixelarea_st.*: None"),
    "no decay": ("darkdecaysignal", {"decay_table": {}}, "decay_table: no row of WFI01"),
    "decay": (
        "darkdecaysignal",
        {"decay_table": {"WFI01": {"amplitude": np.nan, "time_constant": 23.0}}},
        "decay_table.WFI01: .* expected numbers",
    ),
    "time": (
        "darkdecaysignal",
        {"decay_table": {"WFI01": {"amplitude": 1.0, "time_constant": 0.0}}},
        "decay_table.WFI01: .* time_constant above 0",
    ),
}


@pytest.mark.parametrize("fault", BAD)
def test_fault_is_named_with_file_and_keyword(tmp_path, fault):
    reftype, changes, said = BAD[fault]
    path = write(tmp_path / "bad.asdf", reftype, **changes)
    with pytest.raises(DataError, match=rf"bad\.asdf: {said}"):
        read(path, reftype)


def test_type_that_is_not_known_is_refused(tmp_path):
    path = write(tmp_path / "gain.asdf", "gain")
    with pytest.raises(DataError, match="no type of references: 'persat'"):
        read(path, "persat")


def write_psf(path, stamps, **meta):
    """Write an official grid: 2 defoci, 3 spectral types, 9 positions with the middle."""
    model = rdm.EpsfRefModel.create_fake_data()
    grid = np.array([4.0, 2047.5, 4091.0])
    told = {
        "oversample": 4,
        "defocus": [1, 0],
        "spectral_type": ["A0V", "G2V", "M5V"],
        "pixel_x": np.tile(grid, 3).tolist(),
        "pixel_y": np.repeat(grid, 3).tolist(),
    }
    for name, value in {**told, **meta}.items():
        model.meta[name] = value
    model.psf = stamps.astype(np.float32)
    assert model.validate() is None
    asdf.AsdfFile({"roman": dict(model._instance)}).write_to(path)
    return path


def stamps(middle):
    """Stamps of which only that in focus, of G2V and in the middle of the detector is good."""
    psf = np.full((2, 3, 9, 41, 41), np.nan)
    psf[1, 1, 4] = middle
    return psf


AXIS = np.arange(-20, 21) / 4
POINTS = np.exp(-(AXIS[:, None] ** 2 + AXIS**2) / 2 / 0.5**2)
POINTS /= POINTS.sum()


def test_effective_psf_is_that_in_focus_in_the_middle_and_holds_the_pixel(tmp_path):
    psf = read_effective_psf(write_psf(tmp_path / "epsf.asdf", stamps(16 * POINTS)))
    np.testing.assert_array_equal(psf.stamp, np.float32(16 * POINTS))
    assert psf.oversample == 4


def test_effective_psf_of_points_is_made_one_of_pixels(tmp_path):
    psf = read_effective_psf(write_psf(tmp_path / "epsf.asdf", stamps(POINTS)))
    # All of the light falls into the pixels of a grid, wherever the star is.
    for shift in (0.0, 0.25, 0.5):
        offsets = np.arange(-4.0, 5.0)
        assert psf.evaluate_grid(offsets + shift, offsets).sum() == pytest.approx(1, abs=2e-3)
    # The middle pixel of a Gaussian: erf(0.5 / (0.5 sqrt 2))^2. The trapezoidal rule in quarters of
    # a pixel is low by 0.25^2 / 12 * 2 phi'(0.5) / 0.68 = 1.5 % along each axis.
    assert psf.evaluate(0.0, 0.0) == pytest.approx(erf(1 / np.sqrt(2)) ** 2 * 0.985**2, rel=2e-3)


@pytest.mark.parametrize("bad", [np.nan * POINTS, 0 * POINTS, -POINTS])
def test_effective_psf_without_light_is_refused(tmp_path, bad):
    path = write_psf(tmp_path / "epsf.asdf", stamps(bad))
    with pytest.raises(DataError, match=r"epsf\.asdf: psf: .* not to a positive number"):
        read_effective_psf(path)


def test_effective_psf_with_an_even_side_is_refused(tmp_path):
    path = write_psf(tmp_path / "epsf.asdf", np.ones((2, 3, 9, 40, 40)))
    with pytest.raises(DataError, match=r"epsf\.asdf: psf: .* odd side"):
        read_effective_psf(path)

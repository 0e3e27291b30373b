"""Exposures with nothing to measure: the product is valid, and all its pixels are flagged."""

from dataclasses import replace

import exposures
import numpy as np
import pytest
import roman_datamodels as rdm
from calibration_campaign import write_references

from tessella import flags
from tessella.instrument.read_patterns import ReadPattern
from tessella.io.level1 import write_ramp
from tessella.io.level2 import read_image
from tessella.io.references import (
    ReferenceHeader,
    named_from,
    read_selection,
    write_maps,
    write_selection,
)
from tessella.run.calibrate import calibrate_detector

#: One that is flattened, one through a disperser, one without light.
KINDS = ("WFI_IMAGE", "WFI_SPECTRAL", "WFI_IM_DARK")


@pytest.fixture(scope="module")
def folder(tmp_path_factory, references):
    folder = tmp_path_factory.mktemp("extreme")
    write_references(folder, exposures.STATE, exposures.WINDOW)
    header = ReferenceHeader("WFI01", "2026-01-01T00:00:00", "test", {})
    flat = references["flat"].arrays
    write_maps(folder / "flat.asdf", "flat", flat, exposures.WINDOW, header, exposures.ELEMENT)
    content = dict(read_selection(folder / "selection.json"))
    files = {name: path for name, (path, _) in content.items()}
    files["flat"] = folder / "flat.asdf"
    selection = folder / "all.json"
    write_selection(selection, named_from(selection, files), {})
    return folder


def saturated(ramp):
    return replace(ramp, data=np.full(ramp.data.shape, 65535, np.uint16))


def lost(ramp):
    return replace(ramp, resultant_dq=np.full(ramp.data.shape, flags.DROPOUT, np.uint8))


def dead(ramp):
    """No detector behind the electronics: every read is 0."""
    planes = {
        name: np.zeros_like(getattr(ramp, name))
        for name in ("reference_read", "reference_amp33", "resultant_dq")
    }
    still = {name: np.full_like(getattr(ramp, name), 4000) for name in ("data", "amp33")}
    return replace(ramp, **planes, **still)


def single(ramp):
    return replace(
        ramp,
        data=ramp.data[:1],
        resultant_dq=ramp.resultant_dq[:1],
        amp33=ramp.amp33[:1],
        read_pattern=ramp.read_pattern[:1],
    )


def calibrated(folder, ramp, name, kind="WFI_IMAGE"):
    n_reads = tuple(len(reads) for reads in ramp.read_pattern)
    pattern = ReadPattern(3, "cut", n_reads, ramp.frame_time)
    header = replace(exposures.HEADER, exposure_type=kind)
    stem = f"{name}_{kind.lower()}"
    write_ramp(folder / f"{stem}_uncal.asdf", ramp, header, pattern, {})
    image = folder / f"{stem}_cal.asdf"
    verdict = calibrate_detector(
        folder / f"{stem}_uncal.asdf",
        folder / "all.json",
        image,
        exposures.WINDOW,
        exposures.OPTIONS,
    )
    return verdict, image


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("extreme", [saturated, lost, dead, single])
def test_product_is_valid_and_flagged_and_holds_no_plausible_number(folder, ramp, extreme, kind):
    verdict, path = calibrated(folder, extreme(ramp), extreme.__name__, kind)
    assert (verdict.outcome, verdict.reason) == ("failed", "no pixel has a slope")
    with rdm.open(path) as model:
        assert model.validate() is None
        assert model.meta.exposure.type == kind
        assert model.meta.statistics.good_pixel_fraction == 0
    image, _ = read_image(path)
    assert (image.dq & flags.DO_NOT_USE != 0).all()
    for name in ("data", "err", "var_poisson", "var_rnoise", "chisq", "dumo"):
        assert np.isnan(getattr(image, name)).all(), name
    assert not len(image.jumps)


@pytest.mark.parametrize(
    ("extreme", "flag"),
    [(saturated, "SATURATED"), (lost, "DROPOUT")],
)
def test_flags_tell_why(folder, ramp, extreme, flag):
    _, path = calibrated(folder, extreme(ramp), f"why_{extreme.__name__}")
    image, _ = read_image(path)
    told = image.dq & flags.value(flag) != 0
    # Two rows of the ramp were lost on the way.
    assert told.mean() > 0.97

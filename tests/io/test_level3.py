"""Level 3 files and the inputs of coadds."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import roman_datamodels as rdm
from astropy.time import Time

from tessella.astrometry.tangent import pixel_to_sky
from tessella.io.level3 import read_mosaic, write_mosaic
from tessella.models import Lattice, Mosaic

LATTICE = Lattice(45.0, 60.0, 300.0, -20.0, 0.055, 40, 30, "045p60x50y50", 77)


def about(start):
    """What a coadd tells of an image."""
    meta = {"exposure": {"exposure_time": 57.0}, "filename": "a_cal.asdf"}
    return SimpleNamespace(
        start_time=Time(start), pixel_area_sr=4 * LATTICE.pixel_area_sr, meta=meta
    )


def mosaic(empty=False):
    rng = np.random.default_rng(1)
    arrays = {
        name: rng.uniform(1, 2, LATTICE.shape)
        for name in ("data", "err", "var_poisson", "var_rnoise")
    }
    weight, seconds = np.ones(LATTICE.shape), np.full(LATTICE.shape, 57.0)
    hole = np.s_[:] if empty else np.s_[:3]
    for values in arrays.values():
        values[hole] = np.nan
    weight[hole] = seconds[hole] = 0
    context = np.full((2, *LATTICE.shape), (1 << 31) | 1, np.uint32)
    correlation = np.eye(13)
    return Mosaic(
        LATTICE, "F129", **arrays, weight=weight, context=context, exposure_time=seconds,
        noise_correlation=correlation, members=() if empty else ("a", "b"),
        meta={"inputs": [{"name": "a", "outliers": 3}]},
    )  # fmt: skip


@pytest.mark.parametrize("empty", [False, True])
def test_coadd_is_official_and_comes_back(tmp_path, empty):
    path = tmp_path / "r00001_p_full_045p60x50y50_f129_coadd.asdf"
    made = mosaic(empty)
    abouts = [about("2028-07-01T01:00:00"), about("2028-07-01T00:00:00")]
    write_mosaic(path, made, 1, "full", abouts, 1.0, {"stage": "test"})
    with rdm.open(path) as model:
        assert type(model).__name__ == "MosaicModel"
        assert model.validate() is None
        assert model.meta.coadd_info.time_first.isot.startswith("2028-07-01T00:00")
        assert model.meta.resample.pixel_scale_ratio == pytest.approx(0.5)
        assert empty or len(model.meta.individual_image_meta.basic["filename"]) == 2
        ra, dec = model.meta.wcs(5.0, 6.0)
        np.testing.assert_allclose((ra, dec), pixel_to_sky(LATTICE, 5.0, 6.0), atol=1e-11)
    back = read_mosaic(path)
    for name in ("data", "err", "var_poisson", "var_rnoise", "weight", "exposure_time"):
        np.testing.assert_array_equal(getattr(back, name), getattr(made, name).astype(np.float32))
    np.testing.assert_array_equal(back.context, made.context)
    np.testing.assert_array_equal(back.noise_correlation, made.noise_correlation)
    assert back.lattice == LATTICE
    assert back.members == made.members
    assert back.meta["program"] == 1


def test_one_image_alone_is_not_said_to_be_searched_for_outliers(tmp_path):
    path = tmp_path / "r00001_p_full_045p60x50y50_f129_coadd.asdf"
    made = replace(mosaic(), members=("a",))
    write_mosaic(path, made, 1, "full", [about("2028-07-01T01:00:00")], 1.0, {})
    with rdm.open(path) as model:
        assert model.meta.cal_step.outlier_detection == "SKIPPED"
        assert model.meta.cal_step.resample == "COMPLETE"


def test_lattice_is_kept_to_the_last_bit(tmp_path):
    path = tmp_path / "r00001_p_full_045p60x50y50_f129_coadd.asdf"
    made = replace(mosaic(), lattice=replace(LATTICE, ra_tangent=1 / 3, x_tangent=2499.5 - 12345))
    write_mosaic(path, made, 1, "full", [about("2028-07-01T01:00:00")], 1.0, {})
    assert read_mosaic(path).lattice == made.lattice

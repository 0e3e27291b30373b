"""Level 2 files, final WCS and tables of stars."""

from dataclasses import replace

import asdf
import exposures
import numpy as np
import pytest
import roman_datamodels as rdm

from tessella import flags
from tessella.astrometry.alignment import Alignment
from tessella.io.exposure_meta import exposure_meta
from tessella.io.level2 import read_image, read_meta, write_image
from tessella.io.stars import read_stars, write_stars
from tessella.io.wcs import read_wcs, write_wcs
from tessella.models import Window
from tessella.psf.fit import Stars

WINDOW = Window(256, 128, 128, 128)
META = exposure_meta(exposures.HEADER, "WFI01", WINDOW, exposures.PATTERN, 4000)
HALF = ("err", "var_poisson", "var_rnoise", "var_flat", "chisq", "dumo")


def some_image():
    rng = np.random.default_rng(1)
    data = rng.normal(1, 0.1, WINDOW.active_shape)
    data[3, 4] = np.nan
    image = exposures.make_image(data, 0.1, WINDOW)
    dq = image.dq.copy()
    dq[3, 4] = flags.DO_NOT_USE
    dq[5, 6] = flags.REFERENCE_PIXEL | flags.JUMP_DET
    return replace(image, dq=dq, jumps=np.array([[2, 5, 6]], np.int16))


@pytest.fixture(scope="module")
def image():
    return some_image()


@pytest.fixture(scope="module")
def path(tmp_path_factory, image):
    path = tmp_path_factory.mktemp("level2") / "r0000101001001001001_0001_wfi01_f158_cal.asdf"
    status = {"ramp_fit": "COMPLETE", "flat_field": "SKIPPED"}
    write_image(
        path,
        image,
        *exposures.plain_border(image),
        META,
        status,
        {"dark": "d.asdf"},
        {"stage": "test"},
    )
    return path


def test_file_is_official(path):
    with rdm.open(path) as model:
        assert type(model).__name__ == "ImageModel"
        assert model.validate() is None
        assert model.meta.cal_step.ramp_fit == "COMPLETE"
        assert model.meta.cal_step.flat_field == "SKIPPED"
        assert model.meta.cal_step.dark == "INCOMPLETE"
        assert model.meta.ref_file.dark == "d.asdf"
        assert model.meta.product_type == "l2"


def test_image_comes_back(path, image):
    back, kept = read_image(path)
    np.testing.assert_array_equal(back.data, image.data.astype(np.float32))
    np.testing.assert_array_equal(back.dq, image.dq)
    np.testing.assert_array_equal(back.jumps, image.jumps)
    for name in HALF:
        # Half precision: 11 bits.
        np.testing.assert_allclose(
            getattr(back, name), getattr(image, name), rtol=2.0**-11, atol=1e-7
        )
    for name in (
        "detector",
        "optical_element",
        "window",
        "conversion_megajanskys",
        "pixel_area_sr",
        "attitude",
    ):
        assert getattr(back, name) == getattr(image, name)
    np.testing.assert_allclose(back.wcs(3.0, 4.0), image.wcs(3.0, 4.0), rtol=1e-14)
    assert kept["filename"] == path.name
    assert kept["exposure_time"] == pytest.approx(exposures.PATTERN.exposure_time)
    assert kept["start_time"].isot.startswith("2028-07-01T00:00:00")


def test_small_variances_survive_beside_the_official_ones(tmp_path, image):
    tiny = np.full(image.data.shape, 1e-9)
    faint = replace(image, var_poisson=tiny, var_rnoise=2 * tiny, var_flat=3 * tiny)
    path = tmp_path / "faint_cal.asdf"
    write_image(path, faint, *exposures.plain_border(image), META, {}, {}, {})
    back, kept = read_image(path)
    assert kept["single_precision"]
    np.testing.assert_allclose(back.var_rnoise, 2e-9, rtol=1e-6)
    np.testing.assert_allclose(back.err**2, 6e-9, rtol=1e-6)
    with rdm.open(path) as model:
        # Half precision ends at 6e-8.
        assert (np.asarray(model.var_poisson) == 0).all()
        official = {name: node for name, node in model._instance.items() if "single" not in name}
        asdf.AsdfFile({"roman": official}).write_to(tmp_path / "other.asdf")
    _, kept = read_image(tmp_path / "other.asdf")
    assert not kept["single_precision"]


def test_metadata_are_plain(path):
    meta = read_meta(path)
    assert meta["tessella"]["stage"] == "test"
    assert meta["observation"]["visit_id"] == exposures.KEY.visit_id
    assert meta["statistics"]["good_pixel_fraction"] == pytest.approx(1 - 1 / 120**2)


def alignment(image, is_aligned=True):
    moved = replace(image.attitude, ra_ref=image.attitude.ra_ref + 1e-3)
    return Alignment(
        moved if is_aligned else image.attitude, is_aligned,
        "aligned" if is_aligned else "not aligned: 1 star",
        5, 3, 1.5 if is_aligned else np.nan, 0.1, 0.2, 3.0, np.array([0, 2]), np.array([4, 5]),
    )  # fmt: skip


@pytest.mark.parametrize("is_aligned", [True, False])
def test_final_wcs_comes_back(tmp_path, path, image, is_aligned):
    wcs_path = tmp_path / path.name.replace("_cal", "_wcs")
    final = alignment(image, is_aligned)
    write_wcs(wcs_path, image, read_meta(path), final, {"stage": "test"})
    with rdm.open(wcs_path) as model:
        assert type(model).__name__ == "WfiWcsModel"
        # Pixels of the ramp are four more than those of the image.
        np.testing.assert_allclose(model.wcs_l1(14.0, 24.0), model.wcs_l2(10.0, 20.0), rtol=1e-14)
    wcs, status = read_wcs(wcs_path)
    assert status["status"] == final.status
    assert status["n_used"] == 3
    ra = wcs(60.0, 60.0)[0] - image.wcs(60.0, 60.0)[0]
    assert ra == pytest.approx(1e-3 if is_aligned else 0.0, abs=1e-6)


def test_measured_stars_come_back(tmp_path, image):
    columns = [np.arange(3.0) + k for k in range(7)]
    columns[4][1] = np.nan
    stars = Stars(*columns, is_good=np.array([True, False, True]))
    write_stars(tmp_path / "stars.ecsv", image, alignment(image), stars, {})
    table = read_stars(tmp_path / "stars.ecsv")
    for name, values in vars(stars).items():
        np.testing.assert_array_equal(np.asarray(table[name]), values)
    assert table["is_used"].tolist() == [True, False, True]
    expected = image.wcs(stars.x, stars.y)
    np.testing.assert_allclose(table["ra_pointing"], expected[0], atol=1e-10)
    np.testing.assert_allclose(table["ra"] - table["ra_pointing"], 1e-3, atol=1e-6)

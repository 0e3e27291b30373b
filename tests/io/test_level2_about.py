"""Level 2 files of any origin: what they say of themselves, and what is refused."""

import copy
from dataclasses import replace

import asdf
import level2_files as files
import numpy as np
import pytest
from astropy import units as u

from tessella.astrometry.gwcs_model import build_gwcs
from tessella.astrometry.wcs import attitude_of
from tessella.errors import DataError
from tessella.io.exposure_meta import wcsinfo
from tessella.io.level2 import read_about, read_image
from tessella.models import Window

X, Y = np.array([0.0, 119.0, 60.0, 3.0]), np.array([0.0, 119.0, 20.0, 90.0])


@pytest.fixture(scope="module")
def image():
    return files.image_of()


@pytest.fixture(scope="module", params=files.KINDS)
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def path(tmp_path_factory, image, kind):
    return files.write(tmp_path_factory.mktemp("level2"), image, kind)


@pytest.fixture(scope="module")
def written(tmp_path_factory, image):
    """What files of our own and of romancal hold."""
    folder = tmp_path_factory.mktemp("written")
    return [files.content(files.write(folder, image, kind)) for kind in ("ours", "romancal")]


@pytest.fixture
def ours(written):
    return copy.deepcopy(written[0])


@pytest.fixture
def romancal(written):
    return copy.deepcopy(written[1])


def on_sky(wcs, shift=(0.0, 0.0)):
    v2, v3 = wcs.get_transform("detector", "v2v3")(X, Y)
    return wcs.get_transform("v2v3", "world")(v2 + shift[0], v3 + shift[1])


def test_all_kinds_tell_the_same(path, image, kind):
    about = read_about(path, files.WINDOW)
    assert about.name == "r0000101001001001001_0001_wfi01_f158"
    assert about.path == path
    assert about.shape == image.data.shape
    assert about.window == files.WINDOW
    assert about.pixel_area_sr == files.AREA_SR
    assert about.is_surface_brightness == (kind == "romancal, flux")
    assert about.conversion == (1.0 if about.is_surface_brightness else files.CONVERSION)
    assert about.holds_single_precision == (kind == "ours")
    assert set(about.variances) == (
        {"var_poisson", "var_rnoise", "var_flat"} if kind == "ours" else {"var_poisson"}
    )
    assert about.exposure_time == pytest.approx(about.effective_exposure_time)
    assert about.start_time.isot.startswith("2028-07-01T00:00:00")


def test_place_on_the_sky_is_that_of_the_own_gwcs(path, image, kind):
    about = read_about(path)
    shift = files.SHIFT if kind == "romancal, flux" else (0.0, 0.0)
    expected = on_sky(image.wcs, shift)
    # Doubles of degrees: 1e-13 is 0.4 nanoarcseconds.
    np.testing.assert_allclose(about.wcs(X, Y), expected, atol=1e-12)
    # The sky as the attitude and the frames in between say it.
    through = about.wcs.get_transform("v2v3", "world")(
        *about.wcs.get_transform("detector", "v2v3")(X, Y)
    )
    np.testing.assert_allclose(through, expected, atol=1e-12)


def test_attitude_that_agrees_with_the_gwcs_is_kept_as_it_is(tmp_path, image):
    about = read_about(files.write(tmp_path, image))
    assert about.attitude == image.attitude
    assert about.wcs.available_frames == image.wcs.available_frames


def test_pixels_become_alike(path, image, kind):
    found, kept = read_image(path)
    in_mjy = found.conversion_megajanskys
    expected = image.data * files.CONVERSION
    # Single precision of data, half precision of err: 2^-24 and 2^-11; of products twice that.
    np.testing.assert_allclose(found.data * in_mjy, expected, rtol=3e-7)
    total = (found.var_poisson + found.var_rnoise + found.var_flat) * in_mjy**2
    truth = (image.var_poisson + image.var_rnoise) * files.CONVERSION**2
    np.testing.assert_allclose(total, truth, rtol=2.0**-23 if kind == "ours" else 2.0**-8)
    assert kept["single_precision"] == (kind == "ours")
    assert np.isnan(found.data[3, 4])
    assert found.jumps.shape[1] == 3
    assert found.chisq.shape == found.data.shape


def test_rebuilt_read_noise_is_off_by_rounding_alone(tmp_path, image, romancal):
    found, _ = read_image(files.rewrite(tmp_path / "x_cal.asdf", romancal))
    # Rounding of half precision: err^2 by 2^-10, the Poisson part by 2^-11 of itself.
    bound = image.err**2 * 2.0**-10 + image.var_poisson * 2.0**-11
    assert (np.abs(found.var_rnoise - image.var_rnoise) <= 1.01 * bound).all()
    assert (found.var_rnoise >= 0).all()
    empty = image.data < 1
    median = np.median(found.var_rnoise[empty])
    assert abs(median / image.var_rnoise[0, 0] - 1) < np.median(bound[empty]) / median


def test_odd_signs_are_said(tmp_path, image, caplog):
    read_about(files.write(tmp_path, image, "romanisim"))
    assert "conversion_megajanskys is -0.6: its absolute value is used" in caplog.text
    assert "pixel_area is -2.8e-13: its absolute value is used" in caplog.text


def test_mirrored_image_points_where_its_gwcs_says(tmp_path, image, ours):
    ours["meta"]["wcs"] = files.mirrored(image.wcs)
    about = read_about(files.rewrite(tmp_path / "x_cal.asdf", ours))
    np.testing.assert_allclose(about.wcs(X, Y), image.wcs(119.0 - X, Y), atol=1e-12)
    # The middle of the window and its y axis are not moved: nor is the attitude, but for rounding
    # and the velocity aberration of at most 1e-4 of the 60 pixels to the middle (0.7 mas).
    assert abs(about.attitude.dec_ref - image.attitude.dec_ref) * 3600 < 0.04
    assert abs(about.attitude.roll_ref - image.attitude.roll_ref) < 1e-3


def test_arrays_and_keywords_with_units_are_understood(tmp_path, image, romancal):
    """Files of 2023 and earlier hold quantities."""
    path, tree = tmp_path / "x_cal.asdf", romancal
    for name, unit in (
        ("data", u.DN / u.s),
        ("err", u.DN / u.s),
        ("var_poisson", u.DN**2 / u.s**2),
    ):
        tree[name] = tree[name] * unit
    photometry = tree["meta"]["photometry"]
    photometry["conversion_megajanskys"] = 0.6 * u.MJy / u.sr
    photometry["pixel_area"] = 2.8e-13 * u.sr
    photometry["conversion_megajanskys_uncertainty"] = 0.01 * u.MJy / u.sr
    files.rewrite(path, tree)
    found, _ = read_image(path)
    np.testing.assert_array_equal(found.data, image.data.astype(np.float32))
    assert (found.conversion_megajanskys, found.pixel_area_sr) == (0.6, 2.8e-13)
    assert not read_about(path).is_surface_brightness
    tree["data"] = np.asarray(tree["data"].value) * u.MJy / u.sr
    assert read_about(files.rewrite(path, tree)).conversion == 1.0


def test_whole_detector_of_other_origin_says_no_window(tmp_path, romancal):
    attitude = attitude_of("WFI05", 10.0, 20.0, 30.0)
    wcs = build_gwcs(attitude, "WFI05", Window())
    path, tree = tmp_path / "x_cal.asdf", romancal
    tree["meta"]["instrument"]["detector"] = "WFI05"
    tree["meta"]["wcsinfo"] = wcsinfo(attitude, "WFI05", Window())
    zeros = np.zeros((4088, 4088), np.float16)
    del tree["meta"]["tessella"]
    tree |= {"data": zeros, "err": zeros, "var_poisson": zeros, "dq": zeros.astype(np.uint8)}
    tree["meta"]["wcs"] = wcs
    asdf.AsdfFile({"roman": tree}).write_to(path, all_array_compression="lz4")
    about = read_about(path, Window())
    assert about.window == Window()
    assert abs(about.attitude.roll_ref - attitude.roll_ref) < 1e-9


def edit(keyword, value):
    """Return an edit of a file's tree: a keyword set, or left out."""

    def change(tree):
        *above, last = keyword.split(".")
        node = tree
        for part in above:
            node = node[part]
        if value is ...:
            del node[last]
        else:
            node[last] = value

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (edit("meta.wcs", ...), "meta.wcs: found nothing, expected a gwcs"),
        (edit("meta.wcs", None), "meta.wcs: found nothing"),
        (edit("meta.photometry.pixel_area", None), "meta.photometry.pixel_area: found nothing"),
        (
            edit("meta.photometry.pixel_area", 1e-9),
            "pixel_area: found 1e-09 sr, expected about 2.8",
        ),
        (edit("meta.photometry.conversion_megajanskys", 0.0), "expected 0.001 to 1000 MJy / sr"),
        (edit("meta.photometry.conversion_megajanskys", np.nan), "found nan, expected a number"),
        (edit("meta.exposure.exposure_time", -5), "exposure_time: found -5, expected a number"),
        (edit("meta.exposure.exposure_time", "long"), "exposure_time: found long"),
        (edit("meta.exposure.start_time", "soon"), "start_time: found soon, expected a date"),
        (
            edit("meta.exposure.type", "WFI_PHOTO"),
            "type: found WFI_PHOTO, expected one of WFI_IMAGE",
        ),
        (edit("meta.instrument.detector", "WFI19"), "found WFI19, expected WFI01 to WFI18"),
        (edit("meta.instrument.optical_element", "F999"), "found F999, expected one of"),
        (edit("meta.observation.visit", ...), "meta.observation.visit: found nothing"),
        (edit("meta.observation.visit", 1000), "visit: found 1000, expected a number"),
        (edit("err", ...), "err: found no such array"),
        (
            edit("dq", np.zeros((3, 3), np.uint32)),
            r"dq: found shape \(3, 3\), expected \(120, 120\)",
        ),
        (edit("meta.tessella", {}), r"data: found shape \(120, 120\), expected \(4088, 4088\)"),
    ],
)
def test_fault_is_named_by_file_keyword_found_and_expected(tmp_path, romancal, change, said):
    change(romancal)
    path = files.rewrite(tmp_path / "x_cal.asdf", romancal)
    with pytest.raises(DataError, match=said) as caught:
        read_about(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert len(str(caught.value).splitlines()) == 1


def test_another_window_than_that_of_the_run_is_refused(tmp_path, image):
    path = files.write(tmp_path, image)
    with pytest.raises(DataError, match=r"found 128 x 128 pixels from \(256, 128\), expected 128"):
        read_about(path, Window(0, 0, 128, 128))


def test_gwcs_of_the_whole_detector_does_not_serve_a_cutout(tmp_path, image, ours):
    ours["meta"]["wcs"] = build_gwcs(image.attitude, image.detector, Window())
    with pytest.raises(
        DataError, match="bounding_box, axis 0: found -0.5 to 4087.5, expected -0.5"
    ):
        read_about(files.rewrite(tmp_path / "x_cal.asdf", ours))


@pytest.mark.parametrize("kind", ["ours", "romanisim"])
def test_gwcs_that_points_far_from_the_keywords_is_refused(tmp_path, image, kind):
    path = files.write(tmp_path, image, kind)
    tree = files.content(path)
    far = replace(image.attitude, dec_ref=image.attitude.dec_ref - 40)
    wcs = build_gwcs(far, "WFI01", files.WINDOW)
    tree["meta"]["wcs"] = wcs if kind == "ours" else files.in_one_step(wcs)
    # The detector lies 0.08 deg from where the keywords of the instrument's centre are told for.
    with pytest.raises(DataError, match=r"meta.wcs: found the aperture at .* not (39|40).\d\d"):
        read_about(files.rewrite(path, tree))


def test_truncated_file_is_refused(tmp_path, image):
    path = files.write(tmp_path, image)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    with pytest.raises(DataError, match="truncated"):
        read_about(path)

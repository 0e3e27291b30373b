import dataclasses

import catalog_fields as fields
import numpy as np
import pytest
from scipy.spatial import cKDTree

from tessella.measurements import measure_detection
from tessella.models import Lattice
from tessella.sources.detect import detect, detection_image

BANDS = ("F106", "F129", "F158")


def noise_only(n: int, sigmas=(1.0, 2.0, 0.5)):
    return [
        fields.mosaic(fields.noise((n, n), sigma, "detect", band), sigma, band)
        for band, sigma in zip(BANDS, sigmas, strict=True)
    ]


def test_statistic_of_empty_sky_is_normal_with_its_predicted_correlation():
    snr, noise, correlation = detection_image(noise_only(600), 100, 2.8)
    # 360,000 pixels, some 30 of which are one independent one: standard errors 0.009 and 0.006.
    assert abs(snr.mean()) < 0.03
    assert snr.std() == pytest.approx(1.0, abs=0.02)
    np.testing.assert_allclose(noise, 1.0, atol=0.02)
    middle = correlation.shape[0] // 2
    for shift in (1, 2, 4):
        drawn = np.corrcoef(snr[:, :-shift].ravel(), snr[:, shift:].ravel())[0, 1]
        assert drawn == pytest.approx(correlation[middle, middle + shift], abs=0.02)


def test_statistic_stays_normal_where_coverage_ends():
    mosaics = noise_only(600)
    half = np.where(np.arange(600) < 300, mosaics[0].data, np.nan)
    third = np.where(np.arange(600)[:, None] % 3 == 0, np.nan, mosaics[1].data)
    mosaics[0] = dataclasses.replace(mosaics[0], data=half)
    mosaics[1] = dataclasses.replace(mosaics[1], data=third)
    snr, _, _ = detection_image(mosaics, 100, 2.8)
    for part in (snr[:, :290], snr[:, 310:], snr[:, 295:305]):
        # The narrow strip holds some 200 independent pixels: standard error 5 %.
        assert part.std() == pytest.approx(1.0, abs=0.12)


def test_result_does_not_depend_on_what_lies_under_missing_pixels():
    _, _, mosaics, _, _ = fields.measured_field(200, 40, 800.0)
    missing = np.zeros((200, 200), bool)
    missing[:90] = True
    found = []
    for err in (np.nan, 0.0):
        holed = [
            dataclasses.replace(
                m, data=np.where(missing, np.nan, m.data), err=np.where(missing, err, m.err)
            )
            for m in mosaics
        ]
        found.append(detect(holed, **fields.DETECTION_OPTIONS))
    np.testing.assert_array_equal(found[0].segmentation, found[1].segmentation)
    assert not found[0].segmentation[:90].any()
    assert np.isnan(found[0].snr[:90]).all()
    assert np.isfinite(found[0].snr[90:]).all()


def test_faint_stars_are_found_and_noise_is_not():
    # Signal-to-noise ratio of 10 on the detection image.
    x, y = fields.grid((900, 900), 30, "complete")
    flux = 58.0
    image = fields.stars((900, 900), x, y, np.full(x.size, flux))
    mosaics = [
        fields.mosaic(fields.noise((900, 900), 1.0, "complete", band) + image, element=band)
        for band in BANDS
    ]
    detection = detect(mosaics, **fields.DETECTION_OPTIONS)
    columns, _ = measure_detection(detection)
    peaks = detection.snr[np.round(y).astype(int), np.round(x).astype(int)]
    assert 9 < np.median(peaks) < 11
    found = np.column_stack((columns["x_centroid_win"], columns["y_centroid_win"]))
    apart, _ = cKDTree(found).query(np.column_stack((x, y)))
    # 784 stars; a star 5 sigma above the threshold is missed once in millions.
    assert np.mean(apart < 0.1 / fields.SCALE) > 0.99
    assert len(detection.labels) <= 1.01 * x.size


def test_position_errors_are_true():
    x, y, _, detection, _ = fields.measured_field(700, 34, 150.0)
    columns, _ = measure_detection(detection)
    apart, nearest = cKDTree(np.column_stack((x, y))).query(
        np.column_stack((columns["x_centroid"], columns["y_centroid"]))
    )
    assert (apart < 2).all()
    for name, true in (("x_centroid_win", x), ("y_centroid_win", y)):
        residual = columns[name] - true[nearest]
        assert np.std(residual) * fields.SCALE < 0.02
        # 361 stars: standard error 3.7 %; the width of the window follows the noise a little.
        assert 0.88 < np.std(residual / columns[f"{name}_err"]) < 1.15
    residual = (columns["x_centroid"] - x[nearest]) / columns["x_centroid_err"]
    assert 0.8 < np.std(residual) < 1.25


def test_touching_stars_are_split_unless_told_otherwise():
    image = fields.stars((100, 100), [45.0, 51.0], [50.0, 50.5], [2000.0, 1500.0])
    mosaics = [fields.mosaic(fields.noise((100, 100), 1.0, "pair") + image)]
    assert len(detect(mosaics, **fields.DETECTION_OPTIONS).labels) == 2
    assert len(detect(mosaics, **fields.DETECTION_OPTIONS, deblend=False).labels) == 1


def test_star_with_a_core_without_data_is_one_source_with_a_warning():
    image = fields.stars((100, 100), [50.0], [50.0], [1e5], sigma=3.0)
    image[48:53, 48:53] = np.nan
    detection = detect(
        [fields.mosaic(fields.noise((100, 100), 1.0, "core") + image)], **fields.DETECTION_OPTIONS
    )
    columns, _ = measure_detection(detection)
    assert len(detection.labels) == 1
    assert detection.segmentation[50, 50] == 1
    assert columns["warning_flags"][0] & 3 == 3


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_field_without_sources_is_valid(value):
    detection = detect([fields.mosaic(np.full((80, 80), value))], **fields.DETECTION_OPTIONS)
    columns, _ = measure_detection(detection)
    assert detection.segmentation.dtype == np.int32
    assert not detection.segmentation.any()
    assert all(len(column) == 0 for column in columns.values())


def test_no_mosaic_and_other_lattices_are_refused():
    first = fields.mosaic(np.zeros((50, 50)))
    other = fields.mosaic(np.zeros((50, 50)), lattice=Lattice(0.0, 0.0, 0.0, 0.0, 0.055, 50, 50))
    with pytest.raises(ValueError, match="no mosaic"):
        detect([], **fields.DETECTION_OPTIONS)
    with pytest.raises(ValueError, match="same lattice"):
        detect([first, other], **fields.DETECTION_OPTIONS)

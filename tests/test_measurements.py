import dataclasses

import catalog_fields as fields
import numpy as np
import pytest

from tessella.measurements import (
    BAND_MEASUREMENTS,
    DETECTION_MEASUREMENTS,
    Measurement,
    measure_band,
    measure_detection,
    ordered,
)
from tessella.psf.together import ALL_MASKED
from tessella.sources.columns import BAND_COLUMNS, DETECTION_COLUMNS
from tessella.sources.detect import detect

ROWS = [("detection", row) for row in DETECTION_MEASUREMENTS] + [
    ("band", row) for row in BAND_MEASUREMENTS
]
#: Official columns that are not measured yet.
NOT_YET = {"image_flags", "dust_ebv"}


def small_field(flux: float, change=lambda mosaic: mosaic):
    x, y = fields.grid((200, 200), 40, "contract")
    image = fields.stars((200, 200), x, y, np.full(x.size, flux))
    mosaics = [
        change(fields.mosaic(fields.noise((200, 200), 1.0, element) + image, element=element))
        for element in ("F158", "F106")
    ]
    detection = detect(mosaics, **fields.DETECTION_OPTIONS)
    return detection, fields.band(mosaics[0], detection)


@pytest.fixture(scope="module")
def field():
    return small_field(1000.0)


def arrays_of(given) -> list[np.ndarray]:
    return [value for value in vars(given).values() if isinstance(value, np.ndarray)]


@pytest.mark.parametrize(("kind", "row"), ROWS, ids=lambda value: getattr(value, "name", value))
def test_every_measurement_keeps_the_contract(field, kind, row):
    detection, band = field
    detected, _ = measure_detection(detection)
    columns = dict(detected) if kind == "detection" else detected | measure_band(band, detected)[0]
    given = detection if kind == "detection" else band
    before = [array.copy() for array in arrays_of(given)]
    known_before = {name: values.copy() for name, values in columns.items()}
    first, second = row.function(given, columns), row.function(given, columns)
    for old, new in zip(before, arrays_of(given), strict=True):
        np.testing.assert_array_equal(old, new)
    for name, values in known_before.items():
        np.testing.assert_array_equal(values, columns[name])
    assert set(first) - {"failed"} == set(row.columns)
    for name, values in first.items():
        assert values.shape == detection.labels.shape
        np.testing.assert_array_equal(values, second[name])


def test_every_column_is_measured_by_one_row_or_said_to_come_later():
    for table, rows in (
        (DETECTION_COLUMNS, DETECTION_MEASUREMENTS),
        (BAND_COLUMNS, BAND_MEASUREMENTS),
    ):
        measured = [name for row in rows for name in row.columns]
        assert len(set(measured)) == len(measured)
        assert set(measured) | NOT_YET | {"label"} >= {column.short_name for column in table}
        assert set(measured) <= {column.short_name for column in table}


def test_good_sources_fail_nowhere(field):
    detection, band = field
    detected, _ = measure_detection(detection)
    columns, _ = measure_band(band, detected)
    assert len(detection.labels) == 9
    for name, values in (detected | columns).items():
        # The field belongs to no sky cell; the widest apertures fit.
        if name.endswith("_failed") and "spatial_id" not in name:
            assert not values.any(), name


def test_no_source_is_a_valid_result():
    detection, band = small_field(0.0)
    detected, _ = measure_detection(detection)
    columns, _ = measure_band(band, detected)
    assert all(len(values) == 0 for values in (detected | columns).values())


def test_band_without_coverage_says_so_everywhere(field):
    detection, _ = field
    empty = fields.mosaic(np.full((200, 200), np.nan))
    detected, _ = measure_detection(detection)
    columns, _ = measure_band(fields.band(empty, detection), detected)
    for column in BAND_COLUMNS:
        if column.dtype.startswith("float"):
            assert np.isnan(columns[column.short_name]).all(), column.name
    assert (columns["psf_flags"] == ALL_MASKED).all()
    for name, values in columns.items():
        if name.endswith("_failed"):
            assert values.all(), name


def test_half_without_coverage_does_not_change_the_other_half():
    def without_left(mosaic):
        data = np.where(np.arange(200) < 60, np.nan, mosaic.data)
        return dataclasses.replace(mosaic, data=data)

    whole, holed = (small_field(1000.0, change) for change in (lambda m: m, without_left))
    found = []
    for detection, band in (whole, holed):
        detected, _ = measure_detection(detection)
        columns, _ = measure_band(band, detected)
        right = detected["x_centroid"] > 100
        found.append((detected["x_centroid_win"][right], columns["aper02_flux"][right]))
    np.testing.assert_allclose(found[0][0], found[1][0], atol=0.01)
    # The background rests on fewer pixels: it moves by some hundredths of the noise.
    np.testing.assert_allclose(found[0][1], found[1][1], rtol=0.02)


def test_measurement_runs_after_those_it_needs():
    def nothing(given, columns):
        return {}

    rows = [Measurement("b", nothing, ("a",), ()), Measurement("a", nothing, (), ())]
    assert [row.name for row in ordered(rows)] == ["a", "b"]
    with pytest.raises(ValueError, match="needs c"):
        ordered([Measurement("b", nothing, ("c",), ())])
    with pytest.raises(ValueError, match="each other"):
        ordered([Measurement("a", nothing, ("b",), ()), Measurement("b", nothing, ("a",), ())])


def test_measurement_that_gives_other_columns_is_refused(field):
    row = Measurement("odd", lambda given, columns: {"odd": np.zeros(9)}, (), ("kron_radius",))
    with pytest.raises(ValueError, match="odd"):
        measure_detection(field[0], [row])


def test_column_that_no_row_writes_stays_unknown(field):
    columns, _ = measure_detection(field[0], DETECTION_MEASUREMENTS[:1])
    assert np.isnan(columns["ra"]).all()
    assert (columns["nn_label"] == -1).all()

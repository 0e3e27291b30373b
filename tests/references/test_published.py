"""References of published numbers say what the package itself works with."""

import warnings

import asdf
import exposures
import numpy as np
import pytest

from tessella.astrometry.pixel_area import nominal_pixel_area_arcsec2
from tessella.instrument.read_patterns import read_patterns
from tessella.models import Window
from tessella.ramps.timing import mean_times
from tessella.references.published import (
    detector_status,
    multiaccum_tables,
    nominal_area,
    pixel_areas,
)
from tessella.references.skycells import skycell_tables
from tessella.sky.tessellation import regions


def test_tables_of_reads_are_those_of_the_package():
    tables = multiaccum_tables()
    assert {int(name.removeprefix("SCI")) for name in tables} == set(read_patterns())
    for number, pattern in read_patterns().items():
        row = tables[f"SCI{number:04d}"]
        assert tuple(map(tuple, row["science_read_pattern"])) == pattern.reads
        assert row["num_science_resultants"] == len(pattern.reads)
        expected = mean_times(pattern.reads, pattern.frame_time)
        np.testing.assert_allclose(row["effective_exposure_time"], expected, rtol=1e-12)
        assert row["accumulated_exposure_time"][-1] == pytest.approx(pattern.exposure_time)
        # The reset and the reference read come before.
        before = np.subtract(row["integration_duration"], row["accumulated_exposure_time"])
        np.testing.assert_allclose(before, 2 * pattern.frame_time)
    assert tables["SCI1034"]["observing_mode"] == "WSM"
    assert tables["SCI0003"]["observing_mode"] == "WIM"


def test_areas_of_pixels_scatter_about_the_nominal_one():
    window = Window(1792, 1792, 512, 512)
    areas = pixel_areas("WFI01", window)["data"]
    nominal = nominal_area("WFI01")
    assert areas.shape == window.active_shape
    assert areas.dtype == np.float32
    # In the middle of the detector the distortion changes areas by less than 1 %.
    np.testing.assert_allclose(areas, nominal["pixelarea_arcsecsq"], rtol=0.01)
    ratio = nominal["pixelarea_steradians"] / nominal_pixel_area_arcsec2("WFI01")
    assert ratio == pytest.approx((np.pi / 180 / 3600) ** 2)


def test_all_detectors_are_enabled():
    status = detector_status()
    assert len(status) == 18
    assert all(row == {"enabled": True} for row in status.values())


def test_cells_are_the_official_ones():
    path = exposures.SHARED / "data" / "roman" / "skycells" / "skymap_subset.asdf"
    if not path.is_file():
        pytest.skip(f"{path} is not here")
    with warnings.catch_warnings():
        # Its writer's extensions are not installed.
        warnings.simplefilter("ignore")
        with asdf.open(path, memmap=False) as file:
            official = {
                name: np.array(file["roman"][name]) for name in ("projection_regions", "skycells")
            }
    ours = skycell_tables(regions()[:2])
    # The last cell of the subset is of the third region.
    official["skycells"] = official["skycells"][: len(ours["skycells"])]
    for name, table in ours.items():
        assert table.dtype.names == official[name].dtype.names
        for column in table.dtype.names:
            found, expected = table[column], official[name][column]
            if found.dtype.kind in "Ui":
                np.testing.assert_array_equal(found, expected)
                continue
            # Angles differ by whole turns where they go through 0; 1e-9 deg is 4 microarcsec,
            # `orientat` has single precision, which is 2e-5 at 180.
            step = (np.asarray(found, float) - expected + 180) % 360 - 180
            tolerance = 2e-5 if column == "orientat" else 1e-9
            assert np.abs(step).max() < tolerance, column

import catalog_fields as fields
import numpy as np
import pytest

from tessella.astrometry.tangent import pixel_to_sky
from tessella.measurements import measure_detection
from tessella.models import Lattice
from tessella.sky.tessellation import cell_lattice, regions
from tessella.sources.detection import Detection
from tessella.sources.sky_positions import spatial_id


def detection_of(
    image: np.ndarray, segmentation: np.ndarray, lattice: Lattice | None = None
) -> Detection:
    ny, nx = image.shape
    lattice = lattice or Lattice(10.0, 60.0, nx / 2, ny / 2, fields.SCALE, nx, ny)
    return Detection(
        lattice, segmentation.astype(np.int32), image, np.ones(image.shape), fields.correlation()
    )


def ellipse_image(a: float, b: float, angle: float, n: int = 121) -> np.ndarray:
    y, x = np.mgrid[:n, :n] - n // 2
    theta = np.radians(angle)
    u, v = x * np.cos(theta) + y * np.sin(theta), -x * np.sin(theta) + y * np.cos(theta)
    return 1e4 * np.exp(-0.5 * ((u / a) ** 2 + (v / b) ** 2))


@pytest.mark.parametrize("angle", [0.0, 30.0, 90.0, -60.0])
def test_ellipse_is_recovered(angle):
    image = ellipse_image(6.0, 3.0, angle)
    columns, _ = measure_detection(detection_of(image, image > 1e-3))
    assert columns["semimajor"][0] == pytest.approx(6.0 * fields.SCALE, rel=1e-3)
    assert columns["semiminor"][0] == pytest.approx(3.0 * fields.SCALE, rel=1e-3)
    assert columns["ellipticity"][0] == pytest.approx(0.5, abs=1e-3)
    assert (columns["orientation_pix"][0] - angle + 90) % 180 - 90 == pytest.approx(0, abs=1e-3)
    # North is up and east is left: a source along +x lies at a position angle of 90 deg.
    assert (columns["orientation_sky"][0] - angle - 90 + 90) % 180 - 90 == pytest.approx(
        0, abs=1e-2
    )
    # On the ellipse of the semi-axes the quadratic form is 1.
    dx, dy = (f(np.radians(angle)) * columns["semimajor"][0] for f in (np.cos, np.sin))
    form = columns["cxx"] * dx**2 + columns["cxy"] * dx * dy + columns["cyy"] * dy**2
    assert form[0] == pytest.approx(1.0, rel=1e-6)
    # The mean elliptical radius of a Gaussian, sqrt(pi / 2), is less than is allowed.
    assert columns["kron_radius"][0] == pytest.approx(1.4 * columns["semimajor"][0])


def test_windowed_centroid_ignores_a_neighbour():
    x, y = np.array([40.3, 49.0]), np.array([50.2, 53.0])
    image = fields.stars((100, 100), x, y, [100.0, 3000.0])
    owner = np.where(
        np.hypot(*(np.mgrid[:100, :100] - np.array([50, 40])[:, None, None])) < 4, 1, 0
    )
    owner[np.hypot(*(np.mgrid[:100, :100] - np.array([53, 49])[:, None, None])) < 6] = 2
    columns, _ = measure_detection(detection_of(image, owner))
    assert columns["x_centroid_win"][0] == pytest.approx(x[0], abs=0.05)
    assert columns["y_centroid_win"][0] == pytest.approx(y[0], abs=0.05)


def test_sky_position_is_that_of_the_pixel():
    image = fields.stars((80, 80), [31.4], [52.7], [1e4])
    detection = detection_of(image, image > 1)
    columns, _ = measure_detection(detection)
    ra, dec = pixel_to_sky(detection.lattice, np.array([31.4]), np.array([52.7]))
    assert columns["ra"][0] == pytest.approx(ra[0], abs=1e-8)
    assert columns["dec"][0] == pytest.approx(dec[0], abs=1e-8)


def test_nearest_neighbours_are_mutual_for_a_pair_and_absent_for_one():
    image = fields.stars((80, 80), [20.0, 50.0], [20.0, 60.0], [1e4, 1e4])
    segments = (image > 1).astype(int)
    segments[40:] *= 5
    columns, _ = measure_detection(detection_of(image, segments))
    assert columns["nn_label"].tolist() == [5, 1]
    np.testing.assert_allclose(columns["nn_distance"], 50 * fields.SCALE, rtol=1e-4)
    alone, _ = measure_detection(detection_of(image, segments == 5))
    assert alone["nn_label"].tolist() == [-1]
    assert np.isnan(alone["nn_distance"]).all()
    assert alone["tessella_neighbour_failed"].tolist() == [True]


def spatial_parts(identifier: int) -> tuple[int, ...]:
    widths = (16, 16, 7, 7, 13, 1)
    parts = []
    for width in widths:
        parts.append(identifier & ((1 << width) - 1))
        identifier >>= width
    return tuple(parts)


def test_spatial_identifier_holds_region_cell_place_and_primacy():
    cell = cell_lattice(regions()[100], 2, -3)
    x, y = np.array([1000.0, 50.0, np.nan]), np.array([2000.0, 2000.0, 5.0])
    columns = {"x_centroid": x, "y_centroid": y, "x_centroid_win": x, "y_centroid_win": y}
    detection = detection_of(np.zeros((2, 2)), np.zeros((2, 2)), cell)
    found = spatial_id(detection, columns)["flagged_spatial_id"].tolist()
    # 1000 x 0.055 / 0.05 = 1100; the name of the cell is x47y52: 50 + row, 50 + column.
    assert spatial_parts(found[0]) == (1100, 2200, 47, 52, 100, 0)
    assert spatial_parts(found[1])[-1] == 1
    assert found[2] == -1


def test_spatial_identifier_is_the_same_from_every_rectangle_of_the_region():
    region = regions()[100]
    cell = cell_lattice(region, 2, -3)
    part = Lattice(
        cell.ra_tangent, cell.dec_tangent, cell.x_tangent - 700, cell.y_tangent - 900,
        cell.pixel_scale_arcsec, 500, 500, cell.skycell, cell.region,
    )  # fmt: skip
    whole = {name: np.array([value]) for name, value in (("x", 1000.0), ("y", 1200.0))}
    ids = []
    for lattice, dx, dy in ((cell, 0, 0), (part, 700, 900)):
        columns = {f"{axis}_{kind}": whole[axis] - shift for axis, shift in (("x", dx), ("y", dy))
                   for kind in ("centroid", "centroid_win")}  # fmt: skip
        detection = detection_of(np.zeros((2, 2)), np.zeros((2, 2)), lattice)
        ids.append(spatial_id(detection, columns)["flagged_spatial_id"][0])
    assert ids[0] == ids[1]


def test_field_outside_the_tessellation_has_no_spatial_identifier():
    image = fields.stars((80, 80), [31.4], [52.7], [1e4])
    columns, _ = measure_detection(detection_of(image, image > 1))
    assert columns["flagged_spatial_id"].tolist() == [-1]


def test_segment_at_the_border_or_beside_missing_pixels_is_flagged():
    image = fields.stars((80, 80), [3.0, 40.0, 60.0], [40.0, 40.0, 40.0], [1e4] * 3)
    segments = (image > 1) * np.where(np.arange(80) < 20, 1, np.where(np.arange(80) < 50, 2, 3))
    image[40, 63:] = np.nan
    segments[40, 63:] = 0
    columns, _ = measure_detection(detection_of(image, segments))
    assert (columns["warning_flags"] & 2).tolist() == [2, 0, 2]

"""From files of measured stars to corrected transformations, and back."""

import sys
from dataclasses import replace
from pathlib import Path

import exposures
import numpy as np
import pytest
import star_fields
from astropy.table import Table

from tessella.astrometry.alignment import Alignment
from tessella.astrometry.joint_geometry import (
    corrected_v2v3,
    tangent_offsets,
    telescope_vectors,
    unit_vectors,
)
from tessella.astrometry.wcs import v2v3_to_detector
from tessella.errors import DataError
from tessella.io.astrometry_solution import (
    SolvedRow,
    read_astrometry,
    read_measured_image,
    read_solved,
)
from tessella.io.exposure_meta import exposure_meta
from tessella.io.report_inputs import read_exposure_stars, read_exposures
from tessella.io.star_shards import read_stars_of
from tessella.io.stars import read_stars, write_reference_stars, write_stars
from tessella.io.wcs import read_wcs, write_wcs
from tessella.models import WcsCorrection, Window
from tessella.psf.fit import Stars
from tessella.quality.astrometry import repeats

WINDOW = Window(1536, 1536, 1024, 1024)
META = exposure_meta(exposures.HEADER, "WFI01", WINDOW, exposures.PATTERN, 4000)
#: Julian year of the exposures.
EPOCH = 2028.497
SCRIPTS = Path(__file__).parents[2] / "workflow_scripts"


def write_image(folder, name, image, is_aligned=True):
    """Write the table of stars and the WCS of an image of a window; return pixels and errors."""
    x, y = np.stack(v2v3_to_detector("WFI01", image.v2, image.v3)) - 1536
    inside = (x > 0) & (x < 1015) & (y > 0) & (y < 1015)
    x, y, flux = x[inside], y[inside], image.flux[inside]
    error = star_fields.WIDTH / np.sqrt(flux)
    good = np.ones(x.size, bool)
    good[-1] = False
    stars = Stars(x, y, error, error, flux, np.sqrt(flux), np.full(x.size, 1.0), good)
    pixels = np.zeros(WINDOW.active_shape, np.float32)
    level2 = exposures.make_image(pixels, 1.0, WINDOW, image.attitude)
    none = np.zeros(0, int)
    status = "aligned" if is_aligned else "not aligned: 1 star"
    alignment = Alignment(image.attitude, is_aligned, status, 5, 5, 1.0, 0.0, 0.0, 0.0, none, none)
    write_stars(folder / f"{name}_stars.ecsv", level2, alignment, stars, {})
    write_wcs(folder / f"{name}_wcs.asdf", level2, META, alignment, {"stage": "test"})
    return x[good], y[good]


@pytest.fixture(scope="module")
def region(tmp_path_factory):
    """Files of three exposures of a dense field, the solution of the stage, and true stars."""
    folder = tmp_path_factory.mktemp("region")
    rng = np.random.default_rng(7)
    field = star_fields.draw_field(rng, 1500, half_arcsec=200.0)
    images, truth, _ = star_fields.draw_exposures(rng, field, 3, dither_arcsec=20.0)
    names = [f"r000010100100100100{k}_0001_wfi01_f158" for k in (3, 1, 2)]
    pixels = [write_image(folder, *pair) for pair in zip(names, images, strict=True)]
    gaia = Table(
        {
            "source_id": np.arange(field.catalogue_ra.size),
            "ra": field.catalogue_ra,
            "dec": field.catalogue_dec,
            **{name: 0 * field.catalogue_ra for name in ("parallax", "pmra", "pmdec")},
            "parallax_error": field.catalogue_error,
        }
    )
    gaia.write(folder / "gaia.fits")
    known = folder / "reference_stars.parquet"
    write_reference_stars(known, read_stars_of(folder / "gaia.fits", EPOCH, None), None, {})
    solve(folder, names, known)
    return folder, names, images, truth, pixels


def solve(folder, names, known, output="region2734_astrometry.ecsv"):
    import json

    sys.path.insert(0, str(SCRIPTS))
    try:
        import solve_astrometry
    finally:
        sys.path.remove(str(SCRIPTS))
    solve_astrometry.main(
        [
            "--options", json.dumps(star_fields.OPTIONS),
            "--stars", *[str(folder / f"{name}_stars.ecsv") for name in names],
            "--wcs", *[str(folder / f"{name}_wcs.asdf") for name in names],
            "--reference-stars", str(known), "--astrometry", str(folder / output),
        ]
    )  # fmt: skip


def test_table_has_a_row_for_each_image_by_name(region):
    folder, names, *_ = region
    table = read_astrometry(folder / "region2734_astrometry.ecsv")
    assert table["image"].tolist() == sorted(names)
    assert set(table["status"]) == {"solved: affine"}
    assert (table["n_stars"] >= table["n_references"]).all()
    assert table["n_references"].min() > 30
    assert table["shift_v2"].unit == "arcsec"
    assert {"excess_scatter_mas", "n_stars", "n_rejected"} <= set(table.meta)


def test_order_of_files_does_not_matter(region):
    folder, names, *_ = region
    solve(folder, names[::-1], folder / "reference_stars.parquet", "again.ecsv")
    same = (folder / "again.ecsv").read_bytes()
    assert (folder / "region2734_astrometry.ecsv").read_bytes() == same


def test_corrected_wcs_and_solution_agree(region):
    folder, names, _, truth, pixels = region
    rows = read_solved(folder / "region2734_astrometry.ecsv")
    for name, true, (x, y) in zip(names, truth, pixels, strict=True):
        wcs, _ = read_wcs(folder / f"{name}_wcs.asdf", rows[name].correction)
        measured = read_measured_image(
            folder / f"{name}_stars.ecsv", folder / f"{name}_wcs.asdf",
            folder / "reference_stars.parquet",
        )  # fmt: skip
        assert measured.name == name
        assert len(measured.v2) == len(x)
        moved = corrected_v2v3(rows[name].correction, measured.attitude, measured.v2, measured.v3)
        solved = telescope_vectors(measured.attitude, *moved)
        # Directions in double precision: 1e-15 radian are 2e-7 mas.
        found = unit_vectors(*wcs(x, y))
        assert np.abs(tangent_offsets(found, solved)).max() < 1e-6
        # And both are where pixels of the middle of the window really are: a tie is 2 mas off, the
        # solution of stars of a tenth of that, and of references of one, 0.3.
        middle = np.array(507.0)
        there = unit_vectors(*wcs(middle, middle))[None]
        v = star_fields.detector_to_v2v3("WFI01", middle + 1536, middle + 1536)
        right = corrected_v2v3(true.distortion, true.attitude, *v)
        expected = telescope_vectors(true.attitude, *right)[None]
        assert np.abs(tangent_offsets(there, expected)).max() < 1


def test_errors_of_pixels_become_errors_on_the_sky(region):
    folder, names, *_ = region
    name = names[0]
    measured = read_measured_image(
        folder / f"{name}_stars.ecsv", folder / f"{name}_wcs.asdf",
        folder / "reference_stars.parquet",
    )  # fmt: skip
    # Pixels are 110 mas wide, by the distortion up to 3 % more or less.
    sigma = np.sqrt(measured.covariance[:, [0, 1], [0, 1]])
    expected = 110 * star_fields.WIDTH / np.sqrt(measured.flux)
    np.testing.assert_allclose(sigma, expected[:, None] * np.ones(2), rtol=0.04)


def test_image_that_was_not_aligned_is_told(region, tmp_path):
    folder, names, images, *_ = region
    write_image(tmp_path, names[0], images[0], is_aligned=False)
    measured = read_measured_image(
        tmp_path / f"{names[0]}_stars.ecsv", tmp_path / f"{names[0]}_wcs.asdf",
        folder / "reference_stars.parquet",
    )  # fmt: skip
    assert not measured.is_aligned


def test_correction_of_nothing_changes_no_bit(region):
    folder, names, *_ = region
    path = folder / f"{names[0]}_wcs.asdf"
    plain, nothing = read_wcs(path)[0], read_wcs(path, WcsCorrection())[0]
    np.testing.assert_array_equal(plain(3.0, 7.0), nothing(3.0, 7.0))
    assert nothing.available_frames == ["detector", "v2v3", "v2v3vacorr", "world"]


def test_files_of_two_images_are_refused(region):
    folder, names, *_ = region
    with pytest.raises(DataError, match="files of two images"):
        read_measured_image(
            folder / f"{names[0]}_stars.ecsv", folder / f"{names[1]}_wcs.asdf",
            folder / "reference_stars.parquet",
        )  # fmt: skip


def test_report_places_stars_as_coadds_do(region):
    """By the tie and the joint solution: images repeat each other better than ties do."""
    folder, names, *_, pixels = region
    solution = folder / "region2734_astrometry.ecsv"
    paths = [[folder / f"{name}_{kind}" for name in names] for kind in ("stars.ecsv", "wcs.asdf")]
    known = folder / "reference_stars.parquet"
    rms = []
    for solutions in ([], [solution]):
        found, _ = read_exposures(*paths, known, solutions)
        used = [replace(stars, is_used=stars.is_good) for stars in found]
        rms.append(np.sqrt(np.mean(repeats(used)[1] ** 2)))
        assert all(stars.is_added for stars in found)
    # Ties are off by 2 mas per axis. Errors of centroids, of pixels of 110 mas: some 500 stars
    # tell their rms to 3 %, the six parameters of three images take up less, and stars that are in
    # all images are as bright as the others: three times.
    flux = np.concatenate([read_stars(path)["flux"][:-1] for path in paths[0]])
    expected = 110 * star_fields.WIDTH * np.sqrt(np.mean(1 / flux))
    assert rms[1] == pytest.approx(expected, rel=0.1)
    assert rms[0] > np.hypot(expected, 1.0)
    assert found[0].status == "aligned; solved: affine"
    solved = read_solved(solution)
    for stars, name, path, (x, y) in zip(found, names, paths[1], pixels, strict=True):
        expected = read_wcs(path, solved[name].correction)[0](x, y)
        np.testing.assert_array_equal([stars.ra[stars.is_good], stars.dec[stars.is_good]], expected)


def test_tied_wcs_and_table_of_stars_agree_where_nothing_is_corrected(region):
    folder, names, *_ = region
    stars, wcs = folder / f"{names[0]}_stars.ecsv", folder / f"{names[0]}_wcs.asdf"
    known = folder / "reference_stars.parquet"
    plain, _ = read_exposure_stars(stars, wcs, known, None)
    nothing, _ = read_exposure_stars(
        stars, wcs, known, SolvedRow("unchanged", False, 0, np.nan, WcsCorrection())
    )
    # 1e-13 degrees are 4e-7 mas.
    np.testing.assert_allclose(nothing.ra, plain.ra, atol=1e-12)
    np.testing.assert_allclose(nothing.dec, plain.dec, atol=1e-12)
    assert not nothing.is_added

"""Alignment: errors of the pointing that went in come out."""

from dataclasses import replace

import numpy as np
import pytest

from tessella.astrometry.alignment import align, brightest_around, find_shift, fit_rigid, match
from tessella.astrometry.wcs import attitude_of, detector_to_sky, detector_to_v2v3, move_reference

DETECTOR, SIDE = "WFI01", 1016
TRUE = attitude_of(DETECTOR, 12.108, 85.255, 10.0)
OPTIONS = {"search_radius_arcsec": 6.0, "match_radius_arcsec": 0.2, "minimum_stars": 4}


def mispointed(shift_v2, shift_v3, turn_arcsec):
    """What the spacecraft believes when the telescope is shifted and turned about the detector."""
    moved = move_reference(TRUE, TRUE.v2_ref + shift_v2, TRUE.v3_ref + shift_v3)
    roll = moved.roll_ref + turn_arcsec / 3600
    return replace(moved, roll_ref=roll, v2_ref=TRUE.v2_ref, v3_ref=TRUE.v3_ref)


def field(n=60, sigma_pixels=0.01, spurious=0, outliers=0, seed=1):
    """Stars of a window, measured with noise; spurious peaks and references that are elsewhere."""
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(1536, 1536 + SIDE, (2, n))
    ra, dec = detector_to_sky(TRUE, DETECTOR, x, y)
    measured = np.stack([x, y]) + sigma_pixels * rng.standard_normal((2, n))
    measured[:, :outliers] += rng.uniform(0.3, 1.5, (2, outliers))
    peaks = np.concatenate([measured, rng.uniform(1536, 1536 + SIDE, (2, spurious))], axis=1)
    flux = np.concatenate([rng.uniform(100, 1000, n), rng.uniform(1, 100, spurious)])
    return peaks, flux, ra, dec


def aligned(believed, peaks, flux, ra, dec, sigma_arcsec=0.0011, **options):
    errors = np.full(flux.size, sigma_arcsec), np.full(ra.size, 0.0005)
    return align(
        believed,
        *detector_to_v2v3(DETECTOR, *peaks),
        errors[0],
        flux,
        ra,
        dec,
        errors[1],
        **{**OPTIONS, **options},
    )


def rms_to_truth_mas(attitude):
    x, y = np.meshgrid(np.linspace(1536, 1536 + SIDE, 9), np.linspace(1536, 1536 + SIDE, 9))
    (ra, dec), (ra0, dec0) = (
        detector_to_sky(attitude, DETECTOR, x, y),
        detector_to_sky(TRUE, DETECTOR, x, y),
    )
    return 3.6e6 * np.sqrt(
        np.mean(((ra - ra0) * np.cos(np.radians(dec0))) ** 2 + (dec - dec0) ** 2) / 2
    )


@pytest.mark.parametrize(
    "error", [(0.5, 0.0, 20.0), (-0.3, 0.4, -20.0), (2.0, -3.0, 60.0), (0.0, 0.0, 0.0)]
)
def test_shift_and_roll_are_found_among_spurious_peaks_and_outliers(error):
    believed = mispointed(*error)
    found = aligned(believed, *field(spurious=200, outliers=8))
    assert found.is_aligned
    # 52 stars of 1.1 mas: 0.15 mas for the shift, as much for the turn at the edge; four times.
    assert rms_to_truth_mas(found.attitude) < 0.8
    assert rms_to_truth_mas(believed) > 100 or error == (0.0, 0.0, 0.0)
    assert 40 <= found.n_used <= 54
    # Residuals: 1.1 mas of the images.
    assert found.rms_mas == pytest.approx(1.1, abs=0.4)
    assert found.turn_arcsec == pytest.approx(-error[2], abs=2.0)


def test_outliers_take_no_part():
    found = aligned(mispointed(0.3, 0.1, 5.0), *field(outliers=8))
    assert not set(found.stars) & set(range(8))
    np.testing.assert_array_equal(found.stars, found.references)


@pytest.mark.parametrize(("n", "word"), [(0, "0 stars"), (3, "3 stars")])
def test_too_few_stars_leave_the_pointing_untouched(n, word):
    believed = mispointed(0.5, 0.0, 20.0)
    found = aligned(believed, *field(n=n))
    assert not found.is_aligned
    assert found.attitude is believed
    assert word in found.status
    assert np.isnan(found.rms_mas)
    assert found.stars.size == 0


def test_stars_of_another_field_leave_the_pointing_untouched():
    peaks, flux, _, _ = field(n=30)
    _, _, ra, dec = field(n=30, seed=2)
    found = aligned(TRUE, peaks, flux, ra, dec, minimum_stars=6)
    assert not found.is_aligned
    assert found.attitude is TRUE
    assert "not aligned" in found.status


def test_error_beyond_the_search_is_not_invented():
    found = aligned(mispointed(30.0, 0.0, 0.0), *field(n=30), minimum_stars=6)
    assert not found.is_aligned


def test_satellites_of_bright_stars_do_not_vote():
    rng = np.random.default_rng(3)
    sky = rng.uniform(-60, 60, (25, 2))
    stars = sky + [1.3, -0.7]
    ring = [[0.9, 0.0], [0.0, 0.9], [-0.9, 0.0], [0.0, -0.9], [0.6, 0.6], [-0.6, 0.6]]
    # Two of three stars are bright: structure around them is in concert.
    satellites = np.concatenate([stars[:16] + offset for offset in ring])
    peaks = np.concatenate([stars, satellites])
    flux = np.concatenate([np.full(25, 1000.0), np.full(len(satellites), 30.0)])
    leading = brightest_around(peaks, flux, 2.5)
    assert not leading[25:].any()
    shift, votes = find_shift(peaks[leading], sky, 6.0)
    np.testing.assert_allclose(shift, [1.3, -0.7], atol=1e-9)
    assert votes >= 20


def test_no_pairs_no_shift():
    shift, votes = find_shift(np.array([[0.0, 0.0]]), np.array([[100.0, 0.0]]), 6.0)
    assert (shift.tolist(), votes) == ([0.0, 0.0], 0)


def test_pairs_are_mutual():
    stars = np.array([[0.0, 0.0], [0.1, 0.0], [5.0, 5.0]])
    references = np.array([[0.09, 0.0], [9.0, 9.0], [5.0, 5.05]])
    first, second = match(stars, references, 0.2)
    assert list(zip(first.tolist(), second.tolist(), strict=True)) == [(1, 0), (2, 2)]


def test_rigid_motion_is_recovered():
    rng = np.random.default_rng(2)
    place = rng.uniform(-100, 100, (20, 2))
    turn, shift, pivot = 1e-4, np.array([0.3, -0.2]), np.array([10.0, 20.0])
    moved = place + shift + turn * np.column_stack([-(place - pivot)[:, 1], (place - pivot)[:, 0]])
    found_shift, found_turn, residuals = fit_rigid(moved, place, np.full(20, 0.01), pivot)
    np.testing.assert_allclose(found_shift, shift, atol=1e-12)
    assert found_turn == pytest.approx(turn, rel=1e-9)
    np.testing.assert_allclose(residuals, 0, atol=1e-12)


def test_v2v3_of_a_star_is_that_of_the_corrected_attitude():
    found = aligned(mispointed(0.5, -0.2, 20.0), *field(sigma_pixels=0.0))
    assert rms_to_truth_mas(found.attitude) < 0.01
    assert detector_to_v2v3(DETECTOR, 2043.5, 2043.5)[0] == pytest.approx(
        found.attitude.v2_ref, abs=1e-9
    )

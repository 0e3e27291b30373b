"""Alignment: errors of the pointing that went in come out."""

from dataclasses import replace

import numpy as np
import pointing_fields
import pytest
from pointing_fields import draw_field, errors_mas

from tessella.astrometry.alignment import align_exposure, match
from tessella.astrometry.wcs import v2v3_to_sky

OPTIONS = (30.0, 300.0, 0.2, 4)
ALL = tuple(f"WFI{k:02d}" for k in range(1, 19))


def aligned(fields, *options):
    return align_exposure(fields, *(options or OPTIONS))


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize(
    ("n", "spurious", "turn", "seen", "rms", "largest"),
    [
        # Eight stars, the worst known to 2 mas and 7 mas: a few mas where they say little.
        (8, 8, 20.0, 1.0, 5.0, 20.0),
        # Shift and turn of 75 stars of typically 2 mas: 0.25 mas each; three times.
        (75, 75, -120.0, 1.0, 0.92, 10.0),
        (200, 200, 300.0, 1.0, 0.92, 10.0),
        (5000, 500, 60.0, 0.5, 0.92, 10.0),
    ],
)
def test_pointing_half_an_arcminute_off_is_found(n, spurious, turn, seen, rms, largest, seed):
    fields, [(name, true)] = draw_field(n, spurious, 29.9, turn, seed, seen=seen)
    assert errors_mas(fields[0].attitude, name, true).min() > 29_000
    [found] = aligned(fields)
    assert found.status == "aligned"
    errors = errors_mas(found.attitude, name, true)
    assert np.sqrt(np.mean(errors**2)) < rms
    assert errors.max() < largest
    assert found.turn_arcsec == pytest.approx(-turn, abs=60 * largest / 300)
    assert np.hypot(found.shift_v2, found.shift_v3) == pytest.approx(29.9, abs=0.1)


def test_fifty_thousand_references_need_no_list_of_pairs():
    fields, [(name, true)] = draw_field(50_000, 0, 29.0, 100.0, 4, seen=0.1)
    [found] = aligned(fields)
    assert errors_mas(found.attitude, name, true).max() < 1.0


def test_outliers_take_no_part():
    rng = np.random.default_rng(1)
    fields, [(name, true)] = draw_field(60, 20, 3.0, 20.0)
    moved = rng.uniform(0.03, 0.1, 8)
    fields = [replace(fields[0], v2=fields[0].v2 + np.pad(moved, (0, len(fields[0].v2) - 8)))]
    [found] = aligned(fields)
    assert not set(found.stars) & set(range(8))
    np.testing.assert_array_equal(found.stars, found.references)
    assert errors_mas(found.attitude, name, true).max() < 3.0
    # Stars of 0.1 to 7 mas and references of 0.3 to 2.
    assert 0.5 < found.rms_mas < 5


def test_detectors_with_few_stars_profit_from_the_others():
    fields, truth = draw_field(3, 20, 28.0, 120.0, 5, ALL)
    found = aligned(fields)
    # Three stars a detector prove nothing.
    assert not aligned(fields[:1])[0].is_aligned
    for one, (name, true) in zip(found, truth, strict=True):
        assert one.status.startswith("aligned with the exposure")
        # 54 stars of typically 2 mas: 0.3 mas, as much again for the turn at the edge.
        assert errors_mas(one.attitude, name, true).max() < 3.0
        assert np.isnan(one.rms_mas)


def test_each_detector_keeps_its_own_fine_fit():
    """A detector that stands 20 mas from where the SIAF says is fitted where it is."""
    fields, truth = draw_field(200, 20, 10.0, 60.0, 6, ALL[:4])
    fields[2] = replace(fields[2], v2=fields[2].v2 + 0.02)
    found = aligned(fields)
    assert {one.status for one in found} == {"aligned"}
    for k in (0, 1, 3):
        assert errors_mas(found[k].attitude, *truth[k]).max() < 2.0
    assert errors_mas(found[2].attitude, *truth[2]) == pytest.approx(20.0, abs=2.0)


@pytest.mark.parametrize(("n", "word"), [(0, "0 stars"), (3, "3 stars")])
def test_too_few_stars_leave_the_pointing_untouched(n, word):
    fields, _ = draw_field(n, 0, 0.5, 20.0)
    [found] = aligned(fields)
    assert not found.is_aligned
    assert found.attitude is fields[0].attitude
    assert word in found.status
    assert np.isnan(found.rms_mas)
    assert found.stars.size == 0


@pytest.mark.parametrize(("n", "spurious"), [(8, 8), (40, 60), (300, 200)])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_stars_of_another_field_leave_the_pointing_untouched(n, spurious, seed):
    [field], _ = draw_field(n, spurious, 0.0, seed=seed)
    [other], _ = draw_field(n, 0, 0.0, seed=seed + 100)
    ra, dec = v2v3_to_sky(field.attitude, *other.predicted(other.attitude).T)
    [found] = aligned([replace(field, ra=ra, dec=dec)])
    assert not found.is_aligned
    assert found.attitude is field.attitude
    assert "not aligned" in found.status


def test_error_beyond_the_search_is_not_invented():
    fields, _ = draw_field(30, 0, 40.0)
    assert not aligned(fields)[0].is_aligned


def test_references_of_unknown_motion_count_little():
    """Stars that have moved by 100 mas say so by their errors, and do not pull the fit."""
    fields, [(name, true)] = draw_field(60, 0, 5.0)
    field = fields[0]
    rng = np.random.default_rng(2)
    unknown = np.arange(field.ra.size) % 2 == 0
    dec = field.dec + np.where(unknown, 100.0, 0.0) * rng.standard_normal(unknown.size) / 3.6e6
    covariance = field.covariance + np.where(unknown, 100.0**2, 0.0)[:, None, None] * np.eye(2)
    [found] = aligned([replace(field, dec=dec, covariance=covariance)])
    # Thirty stars of typically 2 mas are left: 0.4 mas, as much again for the turn.
    assert errors_mas(found.attitude, name, true).max() < 3.0


def test_pairs_are_mutual():
    stars = np.array([[0.0, 0.0], [0.1, 0.0], [5.0, 5.0]])
    references = np.array([[0.09, 0.0], [9.0, 9.0], [5.0, 5.05]])
    first, second = match(stars, references, 0.2)
    assert list(zip(first.tolist(), second.tolist(), strict=True)) == [(1, 0), (2, 2)]


def test_fields_are_as_dense_beside_a_detector_as_on_it():
    [field], _ = draw_field(5000, 0, 0.0)
    area = (1 + 2 * pointing_fields.AROUND / pointing_fields.SIDE) ** 2
    assert field.ra.size == round(5000 * area)

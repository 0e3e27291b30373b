"""Measurements of one star come together, and nothing else does."""

import numpy as np

from tessella.astrometry.joint_geometry import MeasuredImage, unit_vectors
from tessella.astrometry.joint_match import group_measurements
from tessella.astrometry.motion import Positions
from tessella.models import Attitude

MAS = 1 / 3.6e6


def references(ra=(), dec=(), names=(), known=True):
    covariance = np.full((len(ra), 2, 2), np.nan)
    covariance[:] = np.eye(2) if known else np.nan
    return Positions(
        np.array(ra, float), np.array(dec, float), covariance, np.ones(len(ra), bool),
        np.array(names, int),
    )  # fmt: skip


def image(name, n, known=None):
    zero = np.zeros(n)
    return MeasuredImage(
        name, Attitude(0, 0, 0, 0, 0), True, zero, zero, np.tile(np.eye(2), (n, 1, 1)), zero,
        references() if known is None else known,
    )  # fmt: skip


def grouped(fields, known=None):
    """Group fields of (ra, dec) [deg]."""
    images = [image(f"r{k}", len(ra), known and known[k]) for k, (ra, _) in enumerate(fields)]
    directions = [unit_vectors(np.array(ra), np.array(dec)) for ra, dec in fields]
    return group_measurements(images, directions, 0.1)


def test_stars_of_many_images_are_found_and_single_ones_left():
    rng = np.random.default_rng(1)
    ra, dec = rng.uniform(-0.05, 0.05, (2, 200))
    fields = []
    for k in range(40):
        seen = np.flatnonzero(rng.random(200) < 0.7)
        shift = 10 * MAS * rng.standard_normal((2, seen.size))
        alone = 1.0 + 0.01 * k
        fields.append(
            (np.append(ra[seen] + shift[0], alone), np.append(dec[seen] + shift[1], alone), seen)
        )
    groups = grouped([field[:2] for field in fields])
    # All but the last of each image, which no other sees; 200 stars on 360 arcsec are apart.
    assert groups.n_stars == 200
    truth = np.array([fields[k][2][r] for k, r in zip(groups.image, groups.row, strict=True)])
    assert len(groups.star) == sum(len(field[2]) for field in fields)
    assert len(set(zip(groups.star, truth, strict=True))) == 200


def test_two_of_one_image_are_no_star():
    near = [0.0, 50 * MAS]
    groups = grouped([(near, [0.0, 0.0]), ([0.0, 0.01], [0.0, 0.01]), ([0.01], [0.01])])
    assert groups.n_stars == 1
    assert groups.image.tolist() == [1, 2]


def test_moving_star_of_the_catalogue_is_one_star():
    # 500 mas between the exposures, with its catalogue; another star stands where it was.
    known = [references([0.0], [0.0], [7]), references([500 * MAS], [0.0], [7])]
    groups = grouped([([2 * MAS], [0.0]), ([503 * MAS], [0.0])], known)
    assert groups.n_stars == 1
    np.testing.assert_allclose(groups.place[:, 1] / MAS, np.radians([0.0, 500.0]), atol=1e-9)
    np.testing.assert_allclose(groups.reference_covariance[0], np.eye(2))
    apart = grouped([([2 * MAS], [0.0]), ([503 * MAS], [0.0])])
    assert apart.n_stars == 0


def test_reference_of_unknown_error_is_none():
    known = [references([0.0], [0.0], [7], known=False)] * 2
    groups = grouped([([0.0], [0.0]), ([0.0], [0.0])], known)
    assert groups.n_stars == 1
    assert np.isnan(groups.reference_covariance).all()


def test_catalogue_without_names_binds_by_place():
    known = [references([0.0], [0.0]), references([5 * MAS], [0.0])]
    groups = grouped([([0.0], [0.0]), ([5 * MAS], [0.0])], known)
    assert groups.n_stars == 1
    np.testing.assert_allclose(groups.reference_covariance[0], np.eye(2))


def test_no_images_and_no_stars_are_no_error():
    assert grouped([]).n_stars == 0
    assert grouped([([], []), ([], [])]).n_stars == 0

import numpy as np

from tessella.sources.halo import without_halo_features

SCALE = 0.05


def scene(core: float = 1e6) -> tuple[np.ndarray, np.ndarray]:
    """A star at (100, 100), a bump 2 arcsec right of it and the same bump 20 arcsec right of it."""
    snr = np.zeros((200, 600))
    labels = np.zeros(snr.shape, np.int32)
    for label, (x, height, half) in enumerate(
        ((100, core, 12), (140, 20.0, 2), (500, 20.0, 2)), start=1
    ):
        block = np.s_[100 - half : 101 + half, x - half : x + half + 1]
        labels[block], snr[block] = label, 6.0
        snr[100, x] = height
    return snr, labels


def cleaned(snr, labels, segments=None, contrast=4e-4):
    segments = labels if segments is None else segments
    return without_halo_features(snr, segments, labels, 5.0, contrast, SCALE)


def test_bump_beside_a_bright_star_is_its_feature_and_the_same_bump_far_away_is_a_source():
    snr, labels = scene()
    found = cleaned(snr, labels)
    assert [found[100, x] for x in (100, 140, 500)] == [1, 0, 2]


def test_feature_in_the_star_s_own_segment_stays_with_it():
    snr, labels = scene()
    found = cleaned(snr, labels, np.minimum(labels, 1) + (labels == 3))
    assert [found[100, x] for x in (100, 140, 500)] == [1, 1, 2]


def test_source_too_bright_for_a_feature_stays():
    snr, labels = scene()
    # At 2 arcsec features have up to 4e-4 x 2^-2.2 x 1e6 = 87.
    snr[100, 140] = 100.0
    np.testing.assert_array_equal(cleaned(snr, labels), labels)


def test_star_without_data_in_its_core_is_as_bright_as_its_wings_are_wide():
    snr, labels = scene(core=np.nan)
    # The segment's radius of 0.7 arcsec says 5 / 8e-5 x 0.7^2.2 = 3e4: features of 2.6 at 2 arcsec.
    assert cleaned(snr, labels).max() == 3
    wide = labels.copy()
    wide[60:140, 60:137] = 1
    assert cleaned(np.where(wide > labels, 6.0, snr), wide).max() == 2


def test_contrast_of_zero_keeps_all():
    snr, labels = scene()
    np.testing.assert_array_equal(cleaned(snr, labels, contrast=0.0), labels)

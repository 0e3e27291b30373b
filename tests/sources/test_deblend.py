import catalog_fields as fields
import numpy as np
import pytest
from scipy.ndimage import label

from tessella.sources.deblend import deblend


def blend(*fluxes: float, apart: float = 9.0, key: int = 0) -> np.ndarray:
    x = 30.0 + apart * np.arange(len(fluxes))
    image = fields.stars((60, 90), x, np.full(len(fluxes), 30.0), fluxes, sigma=2.0)
    return image + fields.noise(image.shape, 1.0, "blend", key)


def sources(image: np.ndarray, contrast: float = 0.005) -> np.ndarray:
    segments = (image > 5).astype(int)
    return deblend(image, np.ones(image.shape), segments, 5, contrast)


@pytest.mark.parametrize("fluxes", [(2e4, 1.8e4), (2e4, 2e3), (1e4, 3e4, 5e3)])
def test_blended_stars_are_told_apart(fluxes):
    labels = sources(blend(*fluxes))
    middles = [labels[30, 30 + 9 * i] for i in range(len(fluxes))]
    assert sorted(middles) == list(range(1, len(fluxes) + 1))
    assert middles[int(np.argmax(fluxes))] == 1


def test_every_pixel_keeps_a_source_and_sky_gets_none():
    image = blend(2e4, 1e4)
    np.testing.assert_array_equal(sources(image) > 0, image > 5)


def test_faint_part_stays_with_its_source():
    assert sources(blend(2e4, 1e3), contrast=0.2).max() == 1


def test_noise_on_a_bright_star_makes_no_sources():
    for key in range(5):
        assert sources(blend(1e6, key=key), contrast=0.0).max() == 1


def test_result_does_not_depend_on_a_far_segment():
    image = blend(2e4, 1e4)
    other = image.copy()
    other[2:8, 70:85] += 50.0
    alone, both = (
        deblend(i, np.ones(i.shape), label(i > 5, np.ones((3, 3)))[0], 5, 0.005)[20:, :70]
        for i in (image, other)
    )
    np.testing.assert_array_equal(alone == alone[30 - 20, 30], both == both[30 - 20, 30])


def test_plateau_is_one_source():
    image = np.zeros((20, 20))
    image[5:15, 5:15] = 50.0
    assert sources(image).max() == 1

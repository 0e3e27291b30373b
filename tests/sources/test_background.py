import catalog_fields as fields
import numpy as np
import pytest

from tessella.sources.background import background_error, local_background


def test_slope_of_the_sky_is_followed():
    y, x = np.mgrid[:400, :400]
    sky = 5.0 + 0.01 * x - 0.005 * y
    found = local_background(sky, np.ones(sky.shape, bool), 50)
    # Linear between middles of boxes; the 3 x 3 median and the outer half boxes flatten the rim.
    np.testing.assert_allclose(found.level[75:-75, 75:-75], sky[75:-75, 75:-75], atol=0.005)


def test_sources_hardly_raise_the_background():
    x, y = fields.grid((600, 600), 40, "background")
    image = fields.noise((600, 600), 1.0, "background") + 7.0
    crowded = image + fields.stars(image.shape, x, y, np.full(x.size, 1000.0))
    clean = local_background(image, np.ones(image.shape, bool), 100).level
    found = local_background(crowded, np.ones(image.shape, bool), 100).level
    # Stars cover about 3 % of the pixels: the median of the rest moves by 0.04 sigma at most.
    assert 0 <= np.mean(found - clean) < 0.04


def test_error_is_that_of_drawn_backgrounds():
    levels, errors = [], []
    for key in range(30):
        image = fields.noise((300, 300), 1.0, "error", key)
        found = local_background(image, np.ones(image.shape, bool), 50)
        levels.append(found.level[25::50, 25::50])
        errors.append(background_error(found, fields.correlation())[150, 150])
    # 1,080 levels, of which neighbours share pixels; at the rim fewer boxes stand in the median.
    assert np.std(levels) == pytest.approx(np.mean(errors), rel=0.2)


def test_pixels_that_are_not_usable_have_no_influence():
    image = fields.noise((200, 200), 1.0, "unusable")
    usable = np.ones(image.shape, bool)
    usable[:, 130:] = False
    wild = np.where(usable, image, np.nan)
    other = np.where(usable, image, 1e9)
    np.testing.assert_array_equal(
        local_background(wild, usable, 50).level, local_background(other, usable, 50).level
    )


@pytest.mark.parametrize("shape", [(30, 30), (300, 17)])
def test_image_smaller_than_a_box_has_one_level(shape):
    found = local_background(np.full(shape, 3.0), np.ones(shape, bool), 500)
    np.testing.assert_array_equal(found.level, 3.0)


def test_image_without_usable_pixels_has_no_known_background():
    found = local_background(np.full((50, 50), np.nan), np.zeros((50, 50), bool), 20)
    assert not found.level.any()
    assert np.isnan(found.rms).all()
    assert np.isnan(found.n_pixels)
    assert np.isnan(background_error(found, np.ones((1, 1)))).all()

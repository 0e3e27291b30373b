import numpy as np

from tessella.quality.colour import binned, colour_picture
from tessella.randomness import generator


def planes():
    rng = generator("test colour")
    red, green, blue = rng.normal(size=(3, 60, 60))
    for plane, height in ((red, 200.0), (green, 100.0), (blue, 50.0)):
        plane[30, 30] += height
    return red, green, blue


def test_bright_sources_keep_their_colour():
    picture = colour_picture(*planes())
    red, green, blue = picture[30, 30]
    assert red > green > blue > 0


def test_saturated_cores_are_white_and_the_outside_is_black():
    red, green, blue = planes()
    for plane in (red, green, blue):
        plane[10:12, 10:12] = np.nan
        plane[:, 55:] = np.nan
    picture = colour_picture(red, green, blue)
    assert (picture[10, 10] == 1).all()
    assert (picture[:, 55:] == 0).all()


def test_binning_keeps_the_mean_and_the_edge():
    image = np.arange(36.0).reshape(6, 6)
    assert binned(image, 3).mean() == image.mean()
    assert binned(np.full((4, 4), np.nan), 2).shape == (2, 2)

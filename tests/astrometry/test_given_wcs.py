"""Where images of any origin point, told from their gwcs alone."""

import level2_files as files
import numpy as np
import pytest

from tessella.astrometry.given_wcs import FRAMES, agrees, attitude_of_wcs, in_official_frames
from tessella.astrometry.gwcs_model import build_gwcs
from tessella.astrometry.wcs import attitude_of
from tessella.models import Window

CUT = Window(1024, 3072, 512, 256)


def wcs_of(detector, ra, dec, pa, window):
    attitude = attitude_of(detector, ra, dec, pa)
    return attitude, build_gwcs(attitude, detector, window)


@pytest.mark.parametrize("detector", ["WFI01", "WFI06", "WFI18"])
@pytest.mark.parametrize(
    ("ra", "dec", "pa"), [(0.001, 0.0, 0.0), (359.9, -89.7, 77), (200, 66, 181)]
)
@pytest.mark.parametrize("window", [Window(), CUT])
def test_attitude_comes_back_anywhere(detector, ra, dec, pa, window):
    attitude, wcs = wcs_of(detector, ra, dec, pa, window)
    told = attitude_of_wcs(wcs, detector, window)
    # Doubles of degrees, 1e-13, over the half of the window that the roll is measured on: 1e-3 deg
    # of 7 arcsec in the smallest one; a turn counts by 600 arcsec of reach at most.
    turn = (told.roll_ref - attitude.roll_ref + 180) % 360 - 180
    assert abs(turn) < 1e-8
    assert abs(told.dec_ref - attitude.dec_ref) < 1e-9
    apart = ((told.ra_ref - attitude.ra_ref + 180) % 360 - 180) * np.cos(np.radians(dec))
    assert abs(apart) < 1e-9


@pytest.mark.parametrize("change", [files.in_one_step, files.corrected, files.mirrored])
def test_official_frames_give_the_same_sky(change):
    image = files.image_of()
    given = change(image.wcs)
    attitude = attitude_of_wcs(given, "WFI01", files.WINDOW)
    made = in_official_frames(given, attitude, "WFI01", files.WINDOW)
    assert made.available_frames == FRAMES
    assert not agrees(given, image.attitude, "WFI01", files.WINDOW)
    x, y = np.array([0.0, 119.0, 30.5]), np.array([0.0, 100.0, 119.0])
    np.testing.assert_allclose(made(x, y), given(x, y), atol=1e-12)
    v2v3 = made.get_transform("detector", "v2v3")(x, y)
    np.testing.assert_allclose(made.get_transform("v2v3", "world")(*v2v3), given(x, y), atol=1e-12)


def test_given_object_stays_as_it_is():
    given = files.in_one_step(files.image_of().wcs)
    box = files.box(given)
    attitude = attitude_of_wcs(given, "WFI01", files.WINDOW)
    in_official_frames(given, attitude, "WFI01", files.WINDOW)
    assert files.box(given) == box


def test_keywords_of_another_pointing_do_not_agree():
    attitude, wcs = wcs_of("WFI03", 10.0, 20.0, 30.0, Window())
    assert agrees(wcs, attitude, "WFI03", Window())
    # 0.1 mas of pointing; 0.1 mas at 340 arcsec of roll.
    for other in (
        attitude_of("WFI03", 10.0, 20.0 + 0.1 / 3.6e6, 30.0),
        attitude_of("WFI03", 10.0, 20.0, 30.0 + np.degrees(1e-4 / 340)),
    ):
        assert not agrees(wcs, other, "WFI03", Window())

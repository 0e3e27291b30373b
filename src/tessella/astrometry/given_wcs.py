"""Where images of any origin point, told from the gwcs object that they carry.

Official files have the frames of `tessella.astrometry.gwcs_model`; others go from pixels to the
sky at once, through frames of another name, or through a correction that another pipeline fitted.
What a file's own transformation says counts, whatever its other keywords say.
"""

from copy import deepcopy
from dataclasses import replace

import numpy as np
from gwcs.wcs import WCS

from tessella.astrometry.gwcs_model import build_gwcs
from tessella.astrometry.wcs import (
    detector_to_v2v3,
    move_reference,
    v2v3_to_sky,
)
from tessella.instrument import siaf
from tessella.models import Attitude, Window

#: Frames of an image of our own and of the official pipeline.
FRAMES = ["detector", "v2v3", "v2v3vacorr", "world"]
#: Largest distance of what attitude and transformation say of one direction [deg]: 0.01 mas.
_SAME = 0.01 / 3.6e6
#: Largest distance of a detector's corner from where the SIAF has it [arcsec].
_DISPLACED = 3.0


def attitude_of_wcs(wcs: WCS, detector: str, window: Window) -> Attitude:
    """Return the attitude of a detector's aperture that a transformation to the sky implies.

    The middle of the window stands where the transformation puts it, and the line from the middle
    of its first row to that of its last one points as on the sky. Of the SIAF nothing else is
    asked: some simulators mirror detectors (fact: romanisim 0.14 with galsim's focal plane).

    Parameters
    ----------
    wcs : WCS
        From pixels of the image to ICRS [deg], whatever its frames are called.
    detector : str
        RAD name.
    window : Window
        The part of the detector that the image holds.

    Returns
    -------
    Attitude
        Without aberration: it is part of the transformation.

    Examples
    --------
    >>> attitude = Attitude(10.0, 60.0, 25.0, 1312.949, -1040.785)
    >>> told = attitude_of_wcs(build_gwcs(attitude, "WFI01", Window()), "WFI01", Window())
    >>> round(told.ra_ref, 5), round(told.dec_ref, 5), round(told.roll_ref, 4)
    (10.0, 60.0, 25.0)
    """
    ny, nx = window.active_shape
    x, y = np.full(3, (nx - 1) / 2), (ny - 1) * np.array([0.5, 0.0, 1.0])
    ra, dec = wcs(x, y, with_bounding_box=False)
    v2, v3 = detector_to_v2v3(detector, x + window.x, y + window.y)
    upright = Attitude(float(ra[0]), float(dec[0]), 0.0, float(v2[0]), float(v3[0]))
    turn = _direction(ra, dec) - _direction(*v2v3_to_sky(upright, v2, v3))
    turned = replace(upright, roll_ref=float(np.degrees(turn)))
    aperture = siaf.detector_aperture(detector)
    return move_reference(turned, aperture.v2_ref, aperture.v3_ref)


def _direction(ra: np.ndarray, dec: np.ndarray) -> float:
    """Return the position angle [radian] of the line from the second to the third of positions.

    It is that in the tangent plane of the first one.
    """
    a, d = np.radians(ra), np.radians(dec)
    east = np.cos(d) * np.sin(a - a[0])
    north = np.sin(d) * np.cos(d[0]) - np.cos(d) * np.sin(d[0]) * np.cos(a - a[0])
    return float(np.arctan2(east[2] - east[1], north[2] - north[1]))


def agrees(wcs: WCS, attitude: Attitude, detector: str, window: Window) -> bool:
    """Tell whether a transformation has the official frames and is what keywords say.

    Directions in the telescope must turn to the sky as the attitude says, and the detector must
    lie where the SIAF has it, to a few arcseconds.

    Examples
    --------
    >>> attitude = Attitude(10.0, 60.0, 25.0, 1312.949, -1040.785)
    >>> wcs = build_gwcs(attitude, "WFI01", Window())
    >>> agrees(wcs, attitude, "WFI01", Window()), agrees(wcs, attitude, "WFI02", Window())
    (True, False)
    """
    if wcs.available_frames != FRAMES:
        return False
    ny, nx = window.active_shape
    x = (nx - 1) * np.array([0.0, 1.0, 0.0, 1.0])
    y = (ny - 1) * np.array([0.0, 0.0, 1.0, 1.0])
    v2, v3 = wcs.get_transform("detector", "v2v3")(x, y)
    siaf_v2, siaf_v3 = detector_to_v2v3(detector, x + window.x, y + window.y)
    ra, dec = wcs.get_transform("v2v3", "world")(v2, v3)
    expected_ra, expected_dec = v2v3_to_sky(attitude, v2, v3)
    apart = np.hypot(
        (np.mod(ra - expected_ra + 180, 360) - 180) * np.cos(np.radians(dec)), dec - expected_dec
    )
    moved = np.hypot(v2 - siaf_v2, v3 - siaf_v3)
    return bool(np.all(apart < _SAME) and np.all(moved < _DISPLACED))


def separation(one: Attitude, other: Attitude) -> float:
    """Return how far apart two attitudes put the reference point of the second [deg].

    Examples
    --------
    >>> here = Attitude(10.0, 60.0, 25.0, 1312.949, -1040.785)
    >>> round(separation(here, Attitude(10.0, 59.0, 25.0, 1312.949, -1040.785)), 9)
    1.0
    """
    there = v2v3_to_sky(one, np.array(other.v2_ref), np.array(other.v3_ref))
    d1, d2 = np.radians(there[1]), np.radians(other.dec_ref)
    turn = np.radians(there[0] - other.ra_ref)
    haversine = np.sin((d1 - d2) / 2) ** 2 + np.cos(d1) * np.cos(d2) * np.sin(turn / 2) ** 2
    return float(np.degrees(2 * np.arcsin(np.sqrt(haversine))))


def in_official_frames(wcs: WCS, attitude: Attitude, detector: str, window: Window) -> WCS:
    """Return a transformation with the official frames that gives the same sky as another one.

    What its first part does besides distorting (corrections, displacements of a detector) becomes
    distortion: the direction in the telescope is the sky seen under the attitude.

    Parameters
    ----------
    wcs : WCS
        From pixels to ICRS [deg].
    attitude : Attitude
        Of `attitude_of_wcs`, or any other without aberration.
    detector : str
        RAD name.
    window : Window
        The part of the detector that the image holds.
    """
    official = build_gwcs(attitude, detector, window)
    bare = deepcopy(wcs)
    bare.bounding_box = None
    to_sky = official.get_transform("v2v3", "world")
    (detector_frame, _), *rest = ((step.frame, step.transform) for step in official.pipeline)
    out = WCS([(detector_frame, bare.forward_transform | to_sky.inverse), *rest])
    ny, nx = window.active_shape
    out.bounding_box = ((-0.5, nx - 0.5), (-0.5, ny - 0.5))
    return out

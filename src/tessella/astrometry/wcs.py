"""From detector pixels to the sky: SIAF distortion, then the attitude of the telescope.

Pixels are 0-based in the 4088 x 4088 frame of the pixels that see light. The direction
(V2, V3), corrected for differential velocity aberration about the aperture's reference point,
is turned by ``Rz(ra) Ry(-dec) Rx(-roll) Ry(v3) Rz(-v2)`` so that the aperture's
reference point stands at (ra, dec) with V3 at the position angle `roll`
(fact: romancal `assign_wcs/assign_wcs.py`, pysiaf `utils/rotations.py`).
"""

from dataclasses import replace

import numpy as np
from numpy.polynomial.polynomial import polyder, polyval2d

from tessella.astrometry.aberration import aberration_scale
from tessella.instrument import siaf
from tessella.models import Attitude

_ARCSEC = np.pi / 648000
#: Newton steps of the inverse distortion; the third already moves by less than 1e-9 pixel.
_NEWTON_STEPS = 5


def _rotation(axis: int, degrees: float) -> np.ndarray:
    angle = np.radians(degrees)
    i, j = (axis + 1) % 3, (axis + 2) % 3
    matrix = np.eye(3)
    matrix[i, i] = matrix[j, j] = np.cos(angle)
    matrix[i, j], matrix[j, i] = -np.sin(angle), np.sin(angle)
    return matrix


def telescope_to_sky(attitude: Attitude) -> np.ndarray:
    """Return the matrix (3, 3) from unit vectors in the telescope frame to those on the sky."""
    return (
        _rotation(2, attitude.ra_ref)
        @ _rotation(1, -attitude.dec_ref)
        @ _rotation(0, -attitude.roll_ref)
        @ _rotation(1, attitude.v3_ref / 3600)
        @ _rotation(2, -attitude.v2_ref / 3600)
    )


def _vector(longitude: np.ndarray, latitude: np.ndarray) -> np.ndarray:
    cosine = np.cos(latitude)
    return np.stack([cosine * np.cos(longitude), cosine * np.sin(longitude), np.sin(latitude)])


def _angles(vector: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.arctan2(vector[1], vector[0]), np.arctan2(vector[2], np.hypot(vector[0], vector[1]))


def detector_to_v2v3(detector: str, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the direction in the telescope frame [arcsec] of detector pixels.

    Examples
    --------
    >>> v2, v3 = detector_to_v2v3("WFI01", np.array(2043.5), np.array(2043.5))
    >>> round(float(v2), 3), round(float(v3), 3)
    (1312.949, -1040.785)
    """
    aperture = siaf.detector_aperture(detector)
    dx = np.asarray(x, float) + 1 - aperture.x_ref
    dy = np.asarray(y, float) + 1 - aperture.y_ref
    ideal_x = aperture.parity * polyval2d(dx, dy, aperture.science_to_ideal_x)
    ideal_y = polyval2d(dx, dy, aperture.science_to_ideal_y)
    angle = np.radians(aperture.v3_ideal_y_angle)
    return (
        aperture.v2_ref + ideal_x * np.cos(angle) + ideal_y * np.sin(angle),
        aperture.v3_ref - ideal_x * np.sin(angle) + ideal_y * np.cos(angle),
    )


def v2v3_to_detector(
    detector: str, v2: np.ndarray, v3: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Invert `detector_to_v2v3` by Newton's method, on the detector and a little around it.

    Examples
    --------
    >>> v2, v3 = detector_to_v2v3("WFI01", np.array(10.0), np.array(4000.0))
    >>> x, y = v2v3_to_detector("WFI01", v2, v3)
    >>> round(float(x), 6), round(float(y), 6)
    (10.0, 4000.0)
    """
    aperture = siaf.detector_aperture(detector)
    angle = np.radians(aperture.v3_ideal_y_angle)
    d2, d3 = np.asarray(v2, float) - aperture.v2_ref, np.asarray(v3, float) - aperture.v3_ref
    ideal_x = aperture.parity * (d2 * np.cos(angle) - d3 * np.sin(angle))
    ideal_y = d2 * np.sin(angle) + d3 * np.cos(angle)
    px, py = aperture.science_to_ideal_x, aperture.science_to_ideal_y
    dx, dy = np.zeros_like(ideal_x), np.zeros_like(ideal_y)
    for _ in range(_NEWTON_STEPS):
        a, b = polyval2d(dx, dy, polyder(px, axis=0)), polyval2d(dx, dy, polyder(px, axis=1))
        c, d = polyval2d(dx, dy, polyder(py, axis=0)), polyval2d(dx, dy, polyder(py, axis=1))
        rx, ry = ideal_x - polyval2d(dx, dy, px), ideal_y - polyval2d(dx, dy, py)
        determinant = a * d - b * c
        dx = dx + (d * rx - b * ry) / determinant
        dy = dy + (a * ry - c * rx) / determinant
    return dx - 1 + aperture.x_ref, dy - 1 + aperture.y_ref


def v2v3_to_sky(
    attitude: Attitude, v2: np.ndarray, v3: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return RA in [0, 360) and Dec [deg] of apparent directions in the telescope [arcsec]."""
    true_v2 = attitude.v2_ref + attitude.aberration * (np.asarray(v2, float) - attitude.v2_ref)
    true_v3 = attitude.v3_ref + attitude.aberration * (np.asarray(v3, float) - attitude.v3_ref)
    telescope = _vector(true_v2 * _ARCSEC, true_v3 * _ARCSEC)
    ra, dec = _angles(np.tensordot(telescope_to_sky(attitude), telescope, 1))
    return np.degrees(ra) % 360.0, np.degrees(dec)


def sky_to_v2v3(
    attitude: Attitude, ra: np.ndarray, dec: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the apparent direction in the telescope [arcsec] of sky positions [deg]."""
    sky = _vector(np.radians(np.asarray(ra, float)), np.radians(np.asarray(dec, float)))
    v2, v3 = _angles(np.tensordot(telescope_to_sky(attitude).T, sky, 1))
    return (
        attitude.v2_ref + (v2 / _ARCSEC - attitude.v2_ref) / attitude.aberration,
        attitude.v3_ref + (v3 / _ARCSEC - attitude.v3_ref) / attitude.aberration,
    )


def detector_to_sky(
    attitude: Attitude, detector: str, x: np.ndarray, y: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return right ascension and declination [deg] of detector pixels."""
    return v2v3_to_sky(attitude, *detector_to_v2v3(detector, x, y))


def sky_to_detector(
    attitude: Attitude, detector: str, ra: np.ndarray, dec: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return detector pixels of sky positions [deg]; NaN beyond 15 arcmin from the detector.

    Examples
    --------
    >>> attitude = attitude_of("WFI01", 10.0, 60.0, 30.0)
    >>> x, y = sky_to_detector(attitude, "WFI01", *detector_to_sky(attitude, "WFI01", 5.0, 7.0))
    >>> round(float(x), 5), round(float(y), 5)
    (5.0, 7.0)
    """
    aperture = siaf.detector_aperture(detector)
    v2, v3 = sky_to_v2v3(attitude, ra, dec)
    near = np.hypot(v2 - aperture.v2_ref, v3 - aperture.v3_ref) < 900
    x, y = v2v3_to_detector(
        detector, np.where(near, v2, aperture.v2_ref), np.where(near, v3, aperture.v3_ref)
    )
    return np.where(near, x, np.nan), np.where(near, y, np.nan)


def move_reference(attitude: Attitude, v2: float, v3: float) -> Attitude:
    """Express the same attitude of the telescope at another reference point [arcsec].

    Both points are true directions: what comes back has no aberration.
    """
    turn = telescope_to_sky(attitude)
    here = _vector(np.asarray(v2 * _ARCSEC), np.asarray(v3 * _ARCSEC))
    ra, dec = _angles(turn @ here)
    # The V3 axis as a direction at the new point, split into north and east there.
    longitude, latitude = v2 * _ARCSEC, v3 * _ARCSEC
    v3_axis = turn @ np.array(
        [
            -np.sin(latitude) * np.cos(longitude),
            -np.sin(latitude) * np.sin(longitude),
            np.cos(latitude),
        ]
    )
    north = np.array([-np.sin(dec) * np.cos(ra), -np.sin(dec) * np.sin(ra), np.cos(dec)])
    east = np.array([-np.sin(ra), np.cos(ra), 0.0])
    roll = np.degrees(np.arctan2(v3_axis @ east, v3_axis @ north)) % 360.0
    return Attitude(float(np.degrees(ra)) % 360.0, float(np.degrees(dec)), float(roll), v2, v3)


def attitude_of(
    detector: str, ra: float, dec: float, pa_aperture: float, start_time: str | None = None
) -> Attitude:
    """Return a detector's attitude when the centre of the instrument points at (ra, dec).

    Parameters
    ----------
    detector : str
        RAD name, such as ``WFI01``.
    ra, dec : float
        Sky position of the centre of the instrument (aperture WFI_CEN) [deg].
    pa_aperture : float
        Position angle of the instrument's ideal y axis there, east of north [deg].
    start_time : str, optional
        UTC, ISO 8601: with the differential velocity aberration of that time; None has none.

    Examples
    --------
    >>> a = attitude_of("WFI01", 12.108, 85.255, 0.0)
    >>> round(a.ra_ref, 6), round(a.dec_ref, 6), round(a.roll_ref, 6)
    (11.279538, 85.29011, 59.174053)
    """
    center = siaf.aperture(siaf.WFI_CENTER)
    roll = pa_aperture - center.v3_ideal_y_angle
    aperture = siaf.detector_aperture(detector)
    pointing = Attitude(ra, dec, roll, center.v2_ref, center.v3_ref)
    attitude = move_reference(pointing, aperture.v2_ref, aperture.v3_ref)
    if start_time is None:
        return attitude
    scale = aberration_scale(attitude.ra_ref, attitude.dec_ref, start_time)
    return replace(attitude, aberration=scale)


def boresight_of(attitude: Attitude) -> Attitude:
    """Express an attitude at the telescope's boresight: RA_V1, DEC_V1 and PA_V3."""
    return move_reference(attitude, 0.0, 0.0)

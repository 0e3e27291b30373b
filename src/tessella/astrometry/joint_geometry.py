"""Directions, tangent offsets and corrections that the joint solution of exposures is made of."""

from dataclasses import dataclass

import numpy as np

from tessella.astrometry.motion import Positions
from tessella.astrometry.wcs import telescope_to_sky
from tessella.models import Attitude, WcsCorrection

_ARCSEC = np.pi / 648000
_MAS = _ARCSEC / 1000
#: Distance from the reference point at which linear terms are counted in mas [arcsec]: a detector's
#: half side.
ARM_ARCSEC = 225.0
#: Parameters of an image: shift along V2 and V3, turn, scale, and two of shear.
N_PARAMETERS = 6


@dataclass(frozen=True, eq=False)
class MeasuredImage:
    """What the joint solution knows of one image with n measured and m reference stars."""

    #: Stem of its files.
    name: str
    #: Of the detector's aperture: by its tie to the reference stars, or by the spacecraft.
    attitude: Attitude
    #: Whether it was tied.
    is_aligned: bool
    #: (n,) true directions in the telescope frame, after velocity aberration [arcsec].
    v2: np.ndarray
    v3: np.ndarray
    #: (n, 2, 2): covariance of (V2, V3) [mas^2].
    covariance: np.ndarray
    #: (n,), in any unit.
    flux: np.ndarray
    #: Reference stars on and around it, where they are at its epoch.
    references: Positions


def unit_vectors(ra: np.ndarray, dec: np.ndarray) -> np.ndarray:
    """Return directions (n, 3) of sky positions [deg].

    Examples
    --------
    >>> unit_vectors(np.array([90.0]), np.array([0.0])).round(12).tolist()
    [[0.0, 1.0, 0.0]]
    """
    a, d = np.radians(ra), np.radians(dec)
    return np.stack([np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)], axis=-1)


def telescope_vectors(attitude: Attitude, v2: np.ndarray, v3: np.ndarray) -> np.ndarray:
    """Return directions on the sky (n, 3) of true directions in the telescope [arcsec]."""
    longitude, latitude = np.asarray(v2, float) * _ARCSEC, np.asarray(v3, float) * _ARCSEC
    return unit_vectors(np.degrees(longitude), np.degrees(latitude)) @ telescope_to_sky(attitude).T


def _east_north(directions: np.ndarray) -> np.ndarray:
    """Return the unit vectors east and north of directions, (n, 2, 3); any pair at a pole."""
    x, y, z = directions.T
    rho = np.hypot(x, y)
    safe = np.where(rho > 0, rho, 1.0)
    cosine, sine = np.where(rho > 0, x / safe, 1.0), y / safe
    east = np.stack([-sine, cosine, np.zeros_like(z)], axis=-1)
    north = np.stack([-z * cosine, -z * sine, rho], axis=-1)
    return np.stack([east, north], axis=1)


def tangent_offsets(directions: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Return offsets east and north of directions from places near them, (n, 2) [mas].

    Parameters
    ----------
    directions, places : ndarray of shape (n, 3)
        Unit vectors.

    Examples
    --------
    >>> there, here = unit_vectors(np.array([10.0, 10.0]), np.array([60.0 + 1 / 3600, 60.0]))
    >>> tangent_offsets(there[None], here[None]).round(6).tolist()
    [[0.0, 1000.0]]
    """
    return np.einsum("nij,nj->ni", _east_north(places), directions - places) / _MAS


def sky_jacobian(
    attitude: Attitude, v2: np.ndarray, v3: np.ndarray, places: np.ndarray
) -> np.ndarray:
    """Return by how much (V2, V3) moves `tangent_offsets`, (n, 2, 2).

    V2 is a longitude: its arcseconds shrink with the cosine of V3.
    """
    longitude, latitude = np.asarray(v2, float) * _ARCSEC, np.asarray(v3, float) * _ARCSEC
    cosine, sine = np.cos(latitude), np.sin(latitude)
    along_v2 = np.stack(
        [-cosine * np.sin(longitude), cosine * np.cos(longitude), np.zeros_like(cosine)], axis=-1
    )
    along_v3 = np.stack([-sine * np.cos(longitude), -sine * np.sin(longitude), cosine], axis=-1)
    both = np.stack([along_v2, along_v3], axis=1) @ telescope_to_sky(attitude).T
    return np.asarray(_east_north(places) @ both.transpose(0, 2, 1))


def parameter_jacobian(attitude: Attitude, v2: np.ndarray, v3: np.ndarray) -> np.ndarray:
    """Return by how much the six parameters [mas] move (V2, V3) [mas], (n, 2, 6)."""
    across = (np.asarray(v2, float) - attitude.v2_ref) / ARM_ARCSEC
    up = (np.asarray(v3, float) - attitude.v3_ref) / ARM_ARCSEC
    one, zero = np.ones_like(across), np.zeros_like(across)
    return np.stack(
        [
            np.stack([one, zero, -up, across, across, up], axis=-1),
            np.stack([zero, one, across, up, -up, across], axis=-1),
        ],
        axis=1,
    )


def correction_of(parameters: np.ndarray) -> WcsCorrection:
    """Return the correction that six parameters [mas] stand for.

    Examples
    --------
    >>> correction_of(np.array([1000.0, 0.0, 225.0, 0.0, 0.0, 0.0]))
    WcsCorrection(shift_v2=1.0, shift_v3=0.0, m11=0.0, m12=-0.001, m21=0.001, m22=0.0)
    """
    v2, v3 = (float(value) / 1000 for value in parameters[:2])
    turn, scale, plus, cross = (float(value) / 1000 / ARM_ARCSEC for value in parameters[2:])
    return WcsCorrection(v2, v3, scale + plus, cross - turn, cross + turn, scale - plus)


def corrected_v2v3(
    correction: WcsCorrection, attitude: Attitude, v2: np.ndarray, v3: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return corrected true directions in the telescope [arcsec]; about the attitude's reference.

    Examples
    --------
    >>> attitude = Attitude(10.0, 60.0, 0.0, 1300.0, -1000.0)
    >>> moved = corrected_v2v3(WcsCorrection(0.5, m11=0.01), attitude, 1310.0, -1000.0)
    >>> [round(float(value), 9) for value in moved]
    [1310.6, -1000.0]
    """
    across = np.asarray(v2, float) - attitude.v2_ref
    up = np.asarray(v3, float) - attitude.v3_ref
    return (
        v2 + (correction.m11 * across + correction.m12 * up + correction.shift_v2),
        v3 + (correction.m21 * across + correction.m22 * up + correction.shift_v3),
    )

"""The transformation from pixels to the sky as the gwcs object that products carry.

Frames: ``detector`` (pixels of the image) -> ``v2v3`` (telescope, arcsec) -> ``v2v3vacorr`` (the
same without differential velocity aberration) -> ``world`` (ICRS, deg). Where a joint solution
corrects an image, ``v2v3corr`` stands before the last (fact: romancal's name for it).
"""

import numpy as np
from astropy import coordinates
from astropy import units as u
from astropy.modeling import CompoundModel, Model, models
from gwcs import coordinate_frames
from gwcs.geometry import CartesianToSpherical, SphericalToCartesian
from gwcs.wcs import WCS

from tessella.instrument import siaf
from tessella.models import Attitude, Lattice, WcsCorrection, Window


def _polynomial(coefficients: np.ndarray) -> models.Polynomial2D:
    degree = coefficients.shape[0] - 1
    values = {
        f"c{i}_{j}": coefficients[i, j] for i in range(degree + 1) for j in range(degree + 1 - i)
    }
    return models.Polynomial2D(degree, **values)


def distortion_model(detector: str) -> CompoundModel:
    """Return the astropy model from pixels (0-based, 4088 frame) to V2, V3 [arcsec].

    Its inverse is the SIAF's own polynomial; `tessella.astrometry.wcs` inverts exactly.
    """
    aperture = siaf.detector_aperture(detector)
    angle = np.radians(aperture.v3_ideal_y_angle)
    cosine, sine, parity = np.cos(angle), np.sin(angle), aperture.parity
    turn = models.AffineTransformation2D([[parity * cosine, sine], [-parity * sine, cosine]])
    turn.inverse = models.AffineTransformation2D(np.linalg.inv(turn.matrix.value))
    to_reference = models.Shift(1 - aperture.x_ref) & models.Shift(1 - aperture.y_ref)
    split = models.Mapping((0, 1, 0, 1))
    ideal = split | (
        _polynomial(aperture.science_to_ideal_x) & _polynomial(aperture.science_to_ideal_y)
    )
    ideal.inverse = split | (
        _polynomial(aperture.ideal_to_science_x) & _polynomial(aperture.ideal_to_science_y)
    )
    to_v2v3 = models.Shift(aperture.v2_ref) & models.Shift(aperture.v3_ref)
    return to_reference | ideal | turn | to_v2v3


def _sky_model(attitude: Attitude) -> CompoundModel:
    angles = [
        attitude.v2_ref / 3600,
        -attitude.v3_ref / 3600,
        attitude.roll_ref,
        attitude.dec_ref,
        -attitude.ra_ref,
    ]
    degrees = models.Scale(1 / 3600) & models.Scale(1 / 3600)
    turn = models.RotationSequence3D(angles, axes_order="zyxyz")
    return (
        degrees
        | SphericalToCartesian(wrap_lon_at=180)
        | turn
        | CartesianToSpherical(wrap_lon_at=360)
    )


def _aberration_model(attitude: Attitude) -> Model:
    """Return the model from apparent to true directions in the telescope frame [arcsec]."""
    to_reference = models.Shift(-attitude.v2_ref) & models.Shift(-attitude.v3_ref)
    scale = models.Scale(attitude.aberration) & models.Scale(attitude.aberration)
    return to_reference | scale | to_reference.inverse


def _frames() -> tuple[
    coordinate_frames.Frame2D,
    coordinate_frames.Frame2D,
    coordinate_frames.Frame2D,
    coordinate_frames.CelestialFrame,
]:
    telescope = {"axes_names": ("v2", "v3"), "unit": (u.arcsec, u.arcsec)}
    return (
        coordinate_frames.Frame2D(name="detector", axes_order=(0, 1), unit=(u.pix, u.pix)),
        coordinate_frames.Frame2D(name="v2v3", axes_order=(0, 1), **telescope),
        coordinate_frames.Frame2D(name="v2v3vacorr", axes_order=(0, 1), **telescope),
        coordinate_frames.CelestialFrame(
            name="world", reference_frame=coordinates.ICRS(), unit=(u.deg, u.deg)
        ),
    )


def build_gwcs(
    attitude: Attitude,
    detector: str,
    window: Window,
    border: int = 0,
    distortion: "Model | None" = None,
) -> WCS:
    """Return the gwcs of an image.

    Parameters
    ----------
    attitude : Attitude
        Of the detector's aperture.
    detector : str
        RAD name.
    window : Window
        The part that was read; pixel (0, 0) of the image is its first active pixel.
    border : int
        Width of the reference border that the image still has [pixels]; 0 for Level 2.
    distortion : astropy.modeling.Model, optional
        From pixels (0-based, 4088 frame) to V2, V3 [arcsec]; that of the SIAF if it is not given.

    Examples
    --------
    >>> wcs = build_gwcs(Attitude(10, 60, 0, 1312.949, -1040.785), "WFI01", Window())
    >>> ra, dec = wcs(2043.5, 2043.5)
    >>> round(float(ra), 4), round(float(dec), 4)
    (10.0, 60.0)
    """
    detector_frame, v2v3, corrected, world = _frames()
    if distortion is None:
        distortion = distortion_model(detector)
    origin = models.Shift(window.x - border) & models.Shift(window.y - border)
    wcs = WCS(
        [
            (detector_frame, origin | distortion),
            (v2v3, _aberration_model(attitude)),
            (corrected, _sky_model(attitude)),
            (world, None),
        ]
    )
    ny, nx = window.active_shape
    wcs.bounding_box = ((-0.5, nx + 2 * border - 0.5), (-0.5, ny + 2 * border - 0.5))
    return wcs


def with_attitude(wcs: WCS, attitude: Attitude, border: int = 0) -> WCS:
    """Return the gwcs of an image under another attitude, its distortion kept.

    Parameters
    ----------
    wcs : WCS
        Of `build_gwcs`, for an image without border.
    attitude : Attitude
        Of the detector's aperture.
    border : int
        Width of the reference border of the image that the result is for [pixels].

    Examples
    --------
    >>> attitude = Attitude(10, 60, 0, 1312.949, -1040.785)
    >>> turned = with_attitude(build_gwcs(attitude, "WFI01", Window()), attitude, border=4)
    >>> round(float(turned(2047.5, 2047.5)[1]), 4)
    60.0
    """
    detector_frame, v2v3, corrected, world = _frames()
    to_v2v3 = wcs.get_transform("detector", "v2v3")
    if border:
        to_v2v3 = models.Shift(-border) & models.Shift(-border) | to_v2v3
    turned = WCS(
        [
            (detector_frame, to_v2v3),
            (v2v3, _aberration_model(attitude)),
            (corrected, _sky_model(attitude)),
            (world, None),
        ]
    )
    # The border is on both sides of the pixels that the box of the image holds.
    x, y = (wcs.bounding_box.intervals[axis] for axis in (0, 1))
    turned.bounding_box = (
        (x.lower, x.upper + 2 * border),
        (y.lower, y.upper + 2 * border),
    )
    return turned


def with_correction(wcs: WCS, correction: WcsCorrection, v2_ref: float, v3_ref: float) -> WCS:
    """Return the gwcs of an image with a correction after the velocity aberration.

    Parameters
    ----------
    wcs : WCS
        Of `build_gwcs` or `with_attitude`.
    correction : WcsCorrection
        One that changes nothing gives `wcs` itself.
    v2_ref, v3_ref : float
        Reference point of the image's aperture [arcsec].

    Examples
    --------
    >>> attitude = Attitude(10, 60, 0, 1312.949, -1040.785)
    >>> wcs = build_gwcs(attitude, "WFI01", Window())
    >>> moved = with_correction(wcs, WcsCorrection(shift_v3=3.6), attitude.v2_ref, attitude.v3_ref)
    >>> round(float(moved(2043.5, 2043.5)[1]), 4), "v2v3corr" in moved.available_frames
    (60.001, True)
    """
    if correction == WcsCorrection():
        return wcs
    detector_frame, v2v3, vacorr, world = _frames()
    corrected = coordinate_frames.Frame2D(
        name="v2v3corr", axes_names=("v2", "v3"), axes_order=(0, 1), unit=(u.arcsec, u.arcsec)
    )
    matrix = np.eye(2) + [[correction.m11, correction.m12], [correction.m21, correction.m22]]
    affine = models.AffineTransformation2D(
        matrix, translation=[correction.shift_v2, correction.shift_v3]
    )
    to_reference = models.Shift(-v2_ref) & models.Shift(-v3_ref)
    result = WCS(
        [
            (detector_frame, wcs.get_transform("detector", "v2v3")),
            (v2v3, wcs.get_transform("v2v3", "v2v3vacorr")),
            (vacorr, to_reference | affine | to_reference.inverse),
            (corrected, wcs.get_transform("v2v3vacorr", "world")),
            (world, None),
        ]
    )
    result.bounding_box = wcs.bounding_box
    result.name = wcs.name
    return result


def to_v2v3(wcs: WCS, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the direction in the telescope frame [arcsec] of pixels of an image.

    Examples
    --------
    >>> wcs = build_gwcs(Attitude(10, 60, 0, 1312.949, -1040.785), "WFI01", Window())
    >>> round(float(to_v2v3(wcs, 2043.5, 2043.5)[0]), 3)
    1312.949
    """
    v2, v3 = wcs.get_transform("detector", "v2v3")(x, y)
    return v2, v3


def build_tangent_gwcs(lattice: Lattice) -> WCS:
    """Return the gwcs of a tile: a tangent plane, x to the east and y to the north.

    Examples
    --------
    >>> wcs = build_tangent_gwcs(Lattice(10.0, 60.0, 5.0, 5.0, 0.055, 20, 20))
    >>> round(float(wcs(5.0, 5.0)[0]), 6)
    10.0
    """
    detector_frame, _, _, world = _frames()
    scale = lattice.pixel_scale_arcsec / 3600
    to_sky = (
        (models.Shift(-lattice.x_tangent) & models.Shift(-lattice.y_tangent))
        | (models.Scale(scale) & models.Scale(scale))
        | models.Pix2Sky_TAN()
        | models.RotateNative2Celestial(lattice.ra_tangent, lattice.dec_tangent, 180.0)
    )
    wcs = WCS([(detector_frame, to_sky), (world, None)])
    wcs.bounding_box = ((-0.5, lattice.nx - 0.5), (-0.5, lattice.ny - 0.5))
    return wcs

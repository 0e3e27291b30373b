"""Where the telescope points: as planned, as its header says, and as it is."""

import numpy as np

from tessella.astrometry.wcs import attitude_of, boresight_of
from tessella.models import Attitude, ExposureHeader, ExposureKey
from tessella.randomness import generator


def planned_header(
    key: ExposureKey,
    optical_element: str,
    ma_table_number: int,
    start_time: str,
    ra: float,
    dec: float,
    pa: float,
    exposure_type: str = "WFI_IMAGE",
) -> ExposureHeader:
    """Return the header that the spacecraft sends: it believes that it points as planned.

    Parameters
    ----------
    ra, dec, pa : float
        Direction of the instrument's centre and position angle of its ideal y axis [deg].
    exposure_type : str
        RAD name.

    Examples
    --------
    >>> key = ExposureKey(1, 1, 1, 1, 1, 1, 1)
    >>> header = planned_header(key, "F158", 3, "2027-03-01T00:00:00", 12.0, 85.0, 0.0)
    >>> header.target_dec, header.exposure_type
    (85.0, 'WFI_IMAGE')
    """
    boresight = boresight_of(attitude_of("WFI01", ra, dec, pa))
    return ExposureHeader(
        key=key,
        optical_element=optical_element,
        ma_table_number=ma_table_number,
        start_time=start_time,
        exposure_type=exposure_type,
        ra_v1=boresight.ra_ref,
        dec_v1=boresight.dec_ref,
        pa_v3=boresight.roll_ref,
        target_ra=ra,
        target_dec=dec,
        pa_aperture=pa,
    )


def true_attitude(
    detector: str,
    header: ExposureHeader,
    rms_arcsec: float,
    roll_rms_arcsec: float,
    seed: int,
) -> Attitude:
    """Return a detector's attitude with the error of the exposure's pointing.

    The error is that of the telescope: one draw for an exposure, the same for all detectors.

    Parameters
    ----------
    detector : str
        RAD name.
    header : ExposureHeader
        Planned pointing.
    rms_arcsec : float
        Error of the direction, per axis [arcsec].
    roll_rms_arcsec : float
        Error of the roll about the instrument's centre [arcsec].
    seed : int
        Of the whole simulation.

    Examples
    --------
    >>> key = ExposureKey(1, 1, 1, 1, 1, 1, 1)
    >>> header = planned_header(key, "F158", 3, "2027-03-01T00:00:00", 12.0, 85.0, 0.0)
    >>> true_attitude("WFI01", header, 0.0, 0.0, 1) == attitude_of(
    ...     "WFI01", 12.0, 85.0, 0.0, header.start_time
    ... )
    True
    """
    rng = generator("pointing error", seed, *header.key.seed)
    east, north, roll = rng.standard_normal(3) * (rms_arcsec, rms_arcsec, roll_rms_arcsec) / 3600
    return attitude_of(
        detector,
        header.target_ra + east / np.cos(np.radians(header.target_dec)),
        header.target_dec + north,
        header.pa_aperture + roll,
        header.start_time,
    )

"""Official metadata of exposures: from what is known of them to RAD's keywords, and back."""

import logging
from collections.abc import Mapping
from math import isnan
from typing import Any

import numpy as np
from astropy.time import Time, TimeDelta

import tessella
from tessella.astrometry.wcs import attitude_of, detector_to_sky
from tessella.errors import DataError
from tessella.instrument import siaf
from tessella.instrument.read_patterns import ReadPattern
from tessella.models import Attitude, ExposureHeader, ExposureKey, Window

log = logging.getLogger(__name__)
ORIGIN = "STSCI/SOC"
#: Official placeholder of numbers that are not known.
UNKNOWN = -999999
SOFTWARE = {
    "calibration_software_name": "tessella",
    "calibration_software_version": tessella.__version__,
}


def footprint(attitude: Attitude, detector: str, window: Window) -> str:
    """Return the sky region of a window as an STC polygon of its four outer corners."""
    ny, nx = window.active_shape
    x = window.x + np.array([-0.5, nx - 0.5, nx - 0.5, -0.5])
    y = window.y + np.array([-0.5, -0.5, ny - 0.5, ny - 0.5])
    ra, dec = detector_to_sky(attitude, detector, x, y)
    return "POLYGON ICRS " + " ".join(f"{a:.9f} {d:.9f}" for a, d in zip(ra, dec, strict=True))


def wcsinfo(attitude: Attitude, detector: str, window: Window) -> dict[str, Any]:
    """Return the keywords of `meta.wcsinfo`."""
    aperture = siaf.detector_aperture(detector)
    return {
        "aperture_name": aperture.name,
        "v2_ref": attitude.v2_ref,
        "v3_ref": attitude.v3_ref,
        "vparity": aperture.parity,
        "v3yangle": aperture.v3_ideal_y_angle,
        "ra_ref": attitude.ra_ref,
        "dec_ref": attitude.dec_ref,
        "roll_ref": attitude.roll_ref,
        "s_region": footprint(attitude, detector, window),
    }


def file_name(header: ExposureHeader, detector: str, suffix: str) -> str:
    """Return the official name of a product of one detector.

    Examples
    --------
    >>> key = ExposureKey(1, 1, 1, 1, 1, 1, 1)
    >>> numbers = (0.0,) * 6
    >>> header = ExposureHeader(key, "F158", 3, "2028-07-01T00:00:00", "WFI_IMAGE", *numbers)
    >>> file_name(header, "WFI01", "uncal")
    'r0000101001001001001_0001_wfi01_f158_uncal.asdf'
    """
    return f"{header.key.name}_{detector.lower()}_{header.optical_element.lower()}_{suffix}.asdf"


def update(node: Any, values: Mapping[str, Any]) -> None:
    """Set the given leaves of a metadata tree and keep the others."""
    for key, value in values.items():
        if isinstance(value, Mapping) and key in node:
            update(node[key], value)
        else:
            node[key] = value


def exposure_meta(
    header: ExposureHeader,
    detector: str,
    window: Window,
    pattern: ReadPattern,
    encoding_offset: int,
) -> dict[str, Any]:
    """Return the Level 1 metadata that an exposure's header implies.

    What the telemetry does not tell (program title, ephemeris, guide star, lamp) keeps the
    official placeholders.
    """
    attitude = attitude_of(
        detector, header.target_ra, header.target_dec, header.pa_aperture, header.start_time
    )
    start = Time(header.start_time, scale="utc", format="isot")
    duration = pattern.exposure_time
    key = header.key
    return {
        **SOFTWARE,
        "telescope": "ROMAN",
        "origin": ORIGIN,
        "product_type": "l1",
        "filename": file_name(header, detector, "uncal"),
        "file_date": start,
        "sdf_software_version": f"tessella {tessella.__version__}",
        "exposure": {
            "type": header.exposure_type,
            "start_time": start,
            "end_time": start + TimeDelta(duration, format="sec"),
            "engineering_quality": "OK",
            "ma_table_id": f"SCI{header.ma_table_number:04d}",
            "ma_table_name": pattern.name,
            "ma_table_number": header.ma_table_number,
            "nresultants": len(pattern.reads),
            "data_problem": None,
            "frame_time": pattern.frame_time,
            "exposure_time": duration,
            "effective_exposure_time": duration,
            "truncated": pattern.is_truncated,
            "hga_move": False,
            "read_pattern": [list(reads) for reads in pattern.reads],
        },
        "instrument": {
            "name": "WFI",
            "detector": detector,
            "optical_element": header.optical_element,
            "data_encoding_offset": encoding_offset,
        },
        "observation": {
            "program": key.program,
            "execution_plan": key.execution_plan,
            "pass": key.pass_number,
            "segment": key.segment,
            "observation": key.observation,
            "visit": key.visit,
            "exposure": key.exposure,
            "visit_id": key.visit_id,
            "observation_id": f"{key.visit_id}01101{key.exposure:04d}",
            "visit_file_group": 1,
            "visit_file_sequence": 1,
            "visit_file_activity": "01",
            "wfi_parallel": False,
        },
        "pointing": {
            "ra_v1": header.ra_v1,
            "dec_v1": header.dec_v1,
            "pa_v3": header.pa_v3,
            "pa_aperture": header.pa_aperture,
            "pointing_engineering_source": "PLANNED" if isnan(header.ra_v1) else "CALCULATED",
            "target_aperture": siaf.WFI_CENTER,
            "target_ra": header.target_ra,
            "target_dec": header.target_dec,
        },
        "velocity_aberration": {
            "ra_reference": attitude.ra_ref,
            "dec_reference": attitude.dec_ref,
            "scale_factor": attitude.aberration,
        },
        "wcsinfo": wcsinfo(attitude, detector, window),
        "visit": {"start_time": start, "wfi_acm_z_defocus_size": None},
    }


def read_header(meta: Mapping[str, Any], path: str) -> ExposureHeader:
    """Read an exposure's header from the metadata of its file.

    Raises
    ------
    DataError
        If a keyword is missing or not of its kind; the message names the file.
    """
    try:
        observation, exposure, pointing = meta["observation"], meta["exposure"], meta["pointing"]
        key = ExposureKey(
            int(observation["program"]),
            int(observation["execution_plan"]),
            int(observation["pass"]),
            int(observation["segment"]),
            int(observation["observation"]),
            int(observation["visit"]),
            int(observation["exposure"]),
        )
        return ExposureHeader(
            key=key,
            optical_element=str(meta["instrument"]["optical_element"]),
            ma_table_number=int(exposure["ma_table_number"]),
            start_time=str(Time(exposure["start_time"], format="isot", precision=6).isot),
            exposure_type=str(exposure["type"]),
            ra_v1=float(pointing["ra_v1"]),
            dec_v1=float(pointing["dec_v1"]),
            pa_v3=float(pointing["pa_v3"]),
            target_ra=float(pointing["target_ra"]),
            target_dec=float(pointing["target_dec"]),
            pa_aperture=float(pointing["pa_aperture"]),
        )
    except KeyError as error:
        raise DataError(
            f"{path}: keyword meta.….{error.args[0]} is missing; it is required in Level 1"
        ) from error
    except (TypeError, ValueError) as error:
        raise DataError(f"{path}: a keyword that names or times the exposure: {error}") from error


def read_attitude(meta: Mapping[str, Any]) -> Attitude:
    """Read the attitude of the detector's aperture from `meta.wcsinfo`.

    The scale of velocity aberration is that of `meta.velocity_aberration`; 1, with a warning, where
    that is no positive number (as official pipelines do it).
    """
    info, aberration = meta["wcsinfo"], meta.get("velocity_aberration", {})
    scale = float(aberration.get("scale_factor") or 1.0)
    if not 0 < scale < np.inf:
        log.warning("meta.velocity_aberration.scale_factor is %g: 1 is used instead", scale)
        scale = 1.0
    names = ("ra_ref", "dec_ref", "roll_ref", "v2_ref", "v3_ref")
    return Attitude(**{name: float(info[name]) for name in names}, aberration=scale)

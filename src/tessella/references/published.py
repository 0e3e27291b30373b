"""References made of numbers that the mission has published; nothing in them was measured here."""

from typing import Any

import numpy as np

from tessella.astrometry.pixel_area import nominal_pixel_area_arcsec2, relative_pixel_area
from tessella.instrument.read_patterns import SPECTROSCOPY_FRAME_TIME, ReadPattern, read_patterns
from tessella.instrument.siaf import DETECTORS
from tessella.models import Window

#: Reset and reference read before the science reads, each as long as any other.
# ASSUME: one of each, as the tables of the mission have it; their times are not published apart.
_N_BEFORE = 2
#: Resultants that a slope needs.
_FEWEST_RESULTANTS = 2


def pixel_areas(detector: str, window: Window) -> dict[str, np.ndarray]:
    """Return the solid angle of each active pixel of a window, from the SIAF's distortion.

    Returns
    -------
    dict
        ``data`` of (ny - 8, nx - 8), float32 [arcsec^2].
    """
    relative = relative_pixel_area(detector, window)
    return {"data": (relative * nominal_pixel_area_arcsec2(detector)).astype(np.float32)}


def nominal_area(detector: str) -> dict[str, float]:
    """Return the solid angle of the nominal pixel in the words of RAD's `pixelarea`.

    Examples
    --------
    >>> round(nominal_area("WFI01")["pixelarea_steradians"] * 1e13, 3)
    2.808
    """
    area = nominal_pixel_area_arcsec2(detector)
    return {
        "pixelarea_arcsecsq": area,
        "pixelarea_steradians": area * (np.pi / 648000) ** 2,
    }


def detector_status() -> dict[str, dict[str, bool]]:
    """Return that all detectors are at work."""
    return {detector: {"enabled": True} for detector in DETECTORS}


def multiaccum_tables() -> dict[str, dict[str, Any]]:
    """Return the read patterns as the rows of RAD's `matable`, by table identifier.

    Examples
    --------
    >>> tables = multiaccum_tables()
    >>> tables["SCI0003"]["science_read_pattern"][:2]
    [[1], [2, 3]]
    """
    return {f"SCI{number:04d}": _table(pattern) for number, pattern in read_patterns().items()}


def _table(pattern: ReadPattern) -> dict[str, Any]:
    reads, frame = pattern.reads, pattern.frame_time
    last = np.array([one[-1] for one in reads])
    spectroscopy = frame == SPECTROSCOPY_FRAME_TIME
    return {
        "ma_table_name": pattern.name,
        "ma_table_number": pattern.number,
        "ma_table_description": f"{pattern.name} as tessella has it",
        # Where the table lies on board is of no meaning on the ground.
        "fsw_slot_number": 0,
        "observing_mode": "WSM" if spectroscopy else "WIM",
        "frame_time": frame,
        "reset_frame_time": frame,
        "pre_science_read_types": ["reset_read", "read"],
        "pre_science_read_is_reference": [False, True],
        "pre_science_read_is_resultant": [False, True],
        "num_pre_science_reads": _N_BEFORE,
        "num_pre_science_resultants": 1,
        "pre_science_time_after_reset": frame,
        "num_science_resultants": len(reads),
        "min_science_resultants": _FEWEST_RESULTANTS,
        "science_read_pattern": [list(one) for one in reads],
        "accumulated_exposure_time": (last * frame).tolist(),
        "effective_exposure_time": [float(np.mean(one)) * frame for one in reads],
        "integration_duration": ((last + _N_BEFORE) * frame).tolist(),
    }

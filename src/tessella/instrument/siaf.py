"""Geometry of the detectors in the telescope: the Science Instrument Aperture File (SIAF).

Source: `roman_siaf.xml` of spacetelescope/soc_roman_tools (BSD-3-Clause), shipped in `data/`.
The ideal frame of an aperture is rotated into the telescope frame (V2, V3) about the
aperture's reference point: V2 = V2Ref + parity x cos(a) + y sin(a),
V3 = V3Ref - parity x sin(a) + y cos(a) with a = V3IdlYAngle.
"""

import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np

#: Side of the part of a detector that sees light [pixels].
ACTIVE_SIZE = 4088
WFI_CENTER = "WFI_CEN"


@dataclass(frozen=True)
class Aperture:
    """One entry of the SIAF."""

    name: str
    #: Reference point [arcsec] in the telescope frame.
    v2_ref: float
    v3_ref: float
    #: Angle from V3 to the ideal y axis [deg], and the handedness of the ideal frame.
    v3_ideal_y_angle: float
    parity: int


@dataclass(frozen=True)
class DetectorAperture(Aperture):
    """A whole detector; polynomials are ``coefficients[power of x, power of y]``."""

    #: Reference pixel, counted from 1.
    x_ref: float
    y_ref: float
    science_to_ideal_x: np.ndarray
    science_to_ideal_y: np.ndarray
    ideal_to_science_x: np.ndarray
    ideal_to_science_y: np.ndarray


def _polynomial(entry: ElementTree.Element, prefix: str) -> np.ndarray:
    n = int(_number(entry, "Sci2IdlDeg"))
    coefficients = np.zeros((n + 1, n + 1))
    for i in range(n + 1):
        for j in range(i + 1):
            text = entry.findtext(f"{prefix}{i}{j}")
            coefficients[i - j, j] = float(text) if text else 0.0
    coefficients.setflags(write=False)
    return coefficients


def _number(entry: ElementTree.Element, name: str, absent: float = np.nan) -> float:
    text = entry.findtext(name)
    return float(text) if text and text != "None" else absent


@cache
def _entries() -> dict[str, ElementTree.Element]:
    text = files("tessella.instrument").joinpath("data", "roman_siaf.xml").read_text()
    root = ElementTree.fromstring(text)
    return {entry.findtext("AperName", ""): entry for entry in root.iter("SiafEntry")}


@cache
def aperture(name: str) -> Aperture:
    """Return the aperture called `name`, such as ``WFI01_FULL`` or ``WFI_CEN``.

    Raises
    ------
    KeyError
        If the SIAF has no such aperture.

    Examples
    --------
    >>> round(aperture("WFI01_FULL").v2_ref, 3)
    1312.949
    """
    if name not in _entries():
        raise KeyError(f"no aperture {name!r} in the SIAF; it has {', '.join(_entries())}")
    entry = _entries()[name]
    return Aperture(
        name=name,
        v2_ref=_number(entry, "V2Ref"),
        v3_ref=_number(entry, "V3Ref"),
        v3_ideal_y_angle=_number(entry, "V3IdlYAngle", absent=0.0),
        parity=int(_number(entry, "VIdlParity", absent=1.0)),
    )


@cache
def detector_aperture(detector: str) -> DetectorAperture:
    """Return the aperture of a whole detector, named as in RAD (``WFI01``)."""
    whole = aperture(f"{detector.upper()}_FULL")
    entry = _entries()[whole.name]
    return DetectorAperture(
        **vars(whole),
        x_ref=_number(entry, "XSciRef"),
        y_ref=_number(entry, "YSciRef"),
        science_to_ideal_x=_polynomial(entry, "Sci2IdlX"),
        science_to_ideal_y=_polynomial(entry, "Sci2IdlY"),
        ideal_to_science_x=_polynomial(entry, "Idl2SciX"),
        ideal_to_science_y=_polynomial(entry, "Idl2SciY"),
    )


DETECTORS = tuple(f"WFI{n:02d}" for n in range(1, 19))

"""Filters: names, wavelengths, zero points, backgrounds, from the mission's tables (CC0)."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import numpy as np

from tessella.instrument.tables import rows


@dataclass(frozen=True)
class Filter:
    """One imaging filter."""

    #: RAD name, such as ``F158``, and the letter name of older texts, such as ``H158``.
    name: str
    letter_name: str
    #: [um]
    wavelength_min: float
    wavelength_max: float
    wavelength_center: float
    #: Full width at half maximum of the point-spread function [arcsec].
    psf_fwhm: float
    #: Zodiacal light at its minimum and light of the telescope [electrons / s / pixel].
    zodiacal_rate: float
    thermal_rate: float


_LETTER_NAMES = {
    "F062": "R062",
    "F087": "Z087",
    "F106": "Y106",
    "F129": "J129",
    "F158": "H158",
    "F184": "F184",
    "F213": "K213",
    "F146": "W146",
}


@cache
def filters() -> dict[str, Filter]:
    """Return the imaging filters by their RAD names, in the order of the mission's table.

    Examples
    --------
    >>> filters()["F158"].letter_name
    'H158'
    """
    zodiacal = {row["filter"]: float(row["rate"]) for row in rows("zodiacal_light.ecsv")}
    thermal = {
        row["filter"]: float(row["rate"]) for row in rows("internal_thermal_backgrounds.ecsv")
    }
    return {
        row["filter"]: Filter(
            name=row["filter"],
            letter_name=_LETTER_NAMES[row["filter"]],
            wavelength_min=float(row["wavelength_min"]),
            wavelength_max=float(row["wavelength_max"]),
            wavelength_center=float(row["wavelength_center"]),
            psf_fwhm=float(row["PSF_FWHM"]),
            zodiacal_rate=zodiacal[row["filter"]],
            thermal_rate=thermal[row["filter"]],
        )
        for row in rows("filter_parameters.ecsv")
    }


def reddest(elements: Iterable[str]) -> str:
    """Return the filter of the longest wavelength.

    Examples
    --------
    >>> reddest(["F158", "F106"])
    'F158'
    """
    return max(elements, key=lambda name: filters()[name].wavelength_center)


#: Elements that spread light into spectra, and the light of the sky that a pixel sees through
#: them, zodiacal light at its minimum [electrons / s / pixel].
# ASSUME: the sky's spectrum runs smoothly through the zodiacal rates of the imaging filters over
# their effective areas; it is summed here over the effective areas of the dispersers (WFI01,
# 2024-03-01 tables, first order of the grism). The mission's tables have no such rates.
DISPERSERS = {"GRISM": 0.461, "PRISM": 0.865}
#: Stands in place of a filter and lets no light through.
DARK_ELEMENT = "DARK"


def optical_elements() -> tuple[str, ...]:
    """Return all elements of the wheel that an exposure can be taken with, by their RAD names.

    Examples
    --------
    >>> optical_elements()[-4:]
    ('F146', 'GRISM', 'PRISM', 'DARK')
    """
    return (*filters(), *DISPERSERS, DARK_ELEMENT)


@cache
def ab_zero_point(detector: str, optical_element: str) -> float:
    """Return the AB magnitude of a source of 1 electron per second.

    Raises
    ------
    KeyError
        If the table has no such detector and element.

    Examples
    --------
    >>> round(ab_zero_point("WFI01", "F158"), 3)
    26.323
    """
    for row in rows("Roman_zeropoints_20240301.ecsv"):
        if (row["detector"], row["element"]) == (detector, optical_element):
            return float(row["ABMag"])
    raise KeyError(f"no zero point of {optical_element} on {detector}")


@cache
def effective_areas() -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return wavelengths [um] and the effective area of WFI01 there through each filter [m2].

    Steps of 5 nm, each the mean over its width. Other detectors differ by what their zero points
    say.

    Examples
    --------
    >>> wavelength, area = effective_areas()
    >>> float(area["F158"][np.abs(wavelength - 1.577).argmin()].round(1))
    2.4
    """
    table = rows("effective_areas.ecsv")
    columns = {name: np.array([float(row[name]) for row in table]) for name in filters()}
    return np.array([float(row["wavelength"]) for row in table]), columns

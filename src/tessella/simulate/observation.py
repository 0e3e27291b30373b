"""One detector of one exposure: geometry, light of a sky or a lamp, and readout put together."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from astropy.time import Time

from tessella.astrometry.pixel_area import nominal_pixel_area_arcsec2, relative_pixel_area
from tessella.astrometry.wcs import detector_to_sky, sky_to_detector
from tessella.detector.persistence_state import PersistenceState
from tessella.detector.state import DetectorState, draw_maps
from tessella.instrument.optical_elements import filters
from tessella.instrument.read_patterns import read_patterns
from tessella.models import DARK_TYPES, Attitude, ExposureHeader, Readout, Window
from tessella.psf.model import NOMINAL_PIXEL_ARCSEC
from tessella.simulate.changes import seen_during
from tessella.simulate.exposure import expose
from tessella.simulate.image import (
    Sources,
    electrons_per_maggy,
    rate_image,
    red_share,
    sky_rate,
)
from tessella.simulate.pointing import true_attitude
from tessella.simulate.read_jitter import ReadJitter, draw_read_jitter
from tessella.simulate.zodiacal_light import zodiacal_factor

#: Sources so far outside a window still light up its edge [pixels].
_MARGIN = 220


@dataclass(frozen=True)
class Conditions:
    """What holds for all exposures of a simulation."""

    #: Zodiacal light over its minimum; None takes that of the direction and date.
    zodiacal_factor: float | None
    #: Error of the pointing, per axis, and of the roll [arcsec].
    pointing_error_arcsec: float
    roll_error_arcsec: float
    #: Added on board to differences from the reference read [DN].
    encoding_offset: int
    #: False leaves cosmic rays out.
    cosmic_rays: bool
    seed: int
    #: Light that reaches the detector astray, over the zodiacal light.
    stray_light: float
    #: First column and row in the frame and size of every detector's guide window; None: none.
    guide_window: Mapping[str, int] | None = None


def observe(
    truth: np.ndarray,
    header: ExposureHeader,
    detector: str,
    window: Window,
    state: DetectorState,
    conditions: Conditions,
    earlier: PersistenceState | None = None,
) -> Readout:
    """Observe a sky with one detector.

    Parameters
    ----------
    truth : structured ndarray
        Sources with the columns of `tessella.simulate.scene.truth_dtype`, at any epoch.
    header : ExposureHeader
        As the spacecraft sends it; the pixels see the true pointing.
    detector : str
        RAD name.
    window : Window
        Part of the detector that is read.
    state : DetectorState
        What the detector is like.
    conditions : Conditions
        What holds for all exposures.
    earlier : PersistenceState, optional
        What earlier exposures left; needed where `state` has persistence.

    Returns
    -------
    Readout
    """
    light = light_on(truth, header, detector, window, state, conditions)
    jitter = None
    if state.read_jitter_mas:
        jitter = _read_jitter(truth, header, detector, window, state, conditions)
    return _expose(light, header, detector, window, state, conditions, earlier, jitter)


def light_on(
    truth: np.ndarray,
    header: ExposureHeader,
    detector: str,
    window: Window,
    state: DetectorState,
    conditions: Conditions,
) -> np.ndarray:
    """Return the light of sources and sky on a window, (ny - 8, nx - 8) [electrons / s].

    For a response of 1, under the true pointing; arguments as in `observe`.
    """
    sources, jacobian = _seen(truth, header, detector, window, state, conditions)
    light = rate_image(sources, jacobian, window, detector, header.optical_element, state.blur)
    light += _sky(header, detector, window, conditions)
    return np.maximum(light, 0.0)


def _seen(
    truth: np.ndarray,
    header: ExposureHeader,
    detector: str,
    window: Window,
    state: DetectorState,
    conditions: Conditions,
) -> tuple[Sources, np.ndarray]:
    """Return sources on a window under the true pointing, and pixels per arcsec, (2, 2)."""
    attitude = true_attitude(
        detector,
        header,
        conditions.pointing_error_arcsec,
        conditions.roll_error_arcsec,
        conditions.seed,
    )
    rows, element = seen_in(truth, header), header.optical_element
    sources = sources_on(rows, attitude, detector, window, element, state.chromatic_psf)
    return sources, pixels_per_arcsec(attitude, detector, window)


def _read_jitter(
    truth: np.ndarray,
    header: ExposureHeader,
    detector: str,
    window: Window,
    state: DetectorState,
    conditions: Conditions,
) -> ReadJitter:
    sources, jacobian = _seen(truth, header, detector, window, state, conditions)
    element = header.optical_element

    def draw(dx: float, dy: float) -> np.ndarray:
        moved = replace(sources, x=sources.x + dx, y=sources.y + dy)
        return rate_image(moved, jacobian, window, detector, element, state.blur)

    n_reads = sum(read_patterns()[header.ma_table_number].reads_per_resultant)
    rms_arcsec = state.read_jitter_mas / 1000
    return draw_read_jitter(draw, n_reads, rms_arcsec, jacobian, conditions.seed, header.key)


def expose_evenly(
    header: ExposureHeader,
    lamp_rate: float,
    detector: str,
    window: Window,
    state: DetectorState,
    conditions: Conditions,
    earlier: PersistenceState | None = None,
) -> Readout:
    """Expose one detector to light without sources: a lamp, spectra of the sky alone, or none.

    Parameters
    ----------
    header : ExposureHeader
        A flat sees the lamp, a spectral exposure the sky spread by the disperser, a dark nothing.
    lamp_rate : float
        Of a flat: light on every pixel [electrons / s].
    detector, window, state, conditions, earlier
        As in `observe`.

    Returns
    -------
    Readout

    Raises
    ------
    ValueError
        If the exposure is of a type that shows sources.
    """
    kind = header.exposure_type
    light = np.zeros(window.active_shape)
    if kind == "WFI_FLAT":
        # ASSUME: the lamp shines evenly on the detector, whatever part of the sky a pixel sees.
        light += lamp_rate
    elif kind == "WFI_SPECTRAL":
        light += _sky(header, detector, window, conditions)
    elif kind not in DARK_TYPES:
        raise ValueError(f"exposure type {kind} shows sources; observe it with a truth table")
    return _expose(light, header, detector, window, state, conditions, earlier)


def _sky(
    header: ExposureHeader, detector: str, window: Window, conditions: Conditions
) -> np.ndarray | float:
    zodiacal = conditions.zodiacal_factor
    if zodiacal is None:
        zodiacal = zodiacal_factor(header.target_ra, header.target_dec, header.start_time)
    nominal = nominal_pixel_area_arcsec2(detector) / NOMINAL_PIXEL_ARCSEC**2
    area_ratio = nominal * relative_pixel_area(detector, window)
    return sky_rate(header.optical_element, zodiacal * (1 + conditions.stray_light), area_ratio)


def _expose(
    light: np.ndarray,
    header: ExposureHeader,
    detector: str,
    window: Window,
    state: DetectorState,
    conditions: Conditions,
    earlier: PersistenceState | None = None,
    jitter: ReadJitter | None = None,
) -> Readout:
    return expose(
        light,
        draw_maps(state, detector, window),
        state,
        read_patterns()[header.ma_table_number],
        detector,
        header.key,
        conditions.seed,
        conditions.encoding_offset,
        conditions.cosmic_rays,
        earlier,
        _start_mjd(header),
        conditions.guide_window,
        jitter,
    )


def seen_in(truth: np.ndarray, header: ExposureHeader) -> np.ndarray:
    """Return the sources of a truth table where and as bright as an exposure sees them."""
    seconds = read_patterns()[header.ma_table_number].exposure_time
    return seen_during(truth, _start_mjd(header), seconds)


def _start_mjd(header: ExposureHeader) -> float:
    return float(Time(header.start_time, format="isot", scale="utc").mjd)


def sources_on(
    truth: np.ndarray,
    attitude: Attitude,
    detector: str,
    window: Window,
    optical_element: str,
    is_chromatic: bool,
) -> Sources:
    """Place the sources of a truth table on a window; those too far outside are left out.

    Where images depend on colour, fluxes in other filters of the table tell it.
    """
    x, y = sky_to_detector(attitude, detector, truth["ra"], truth["dec"])
    x, y = x - window.x, y - window.y
    ny, nx = window.active_shape
    near = (x > -_MARGIN) & (x < nx + _MARGIN) & (y > -_MARGIN) & (y < ny + _MARGIN)
    rows = truth[near]
    elements = [name for name in filters() if name in (truth.dtype.names or ())]
    maggies = np.stack([rows[name] for name in elements], axis=-1)
    return Sources(
        x=x[near],
        y=y[near],
        rate=rows[optical_element] * electrons_per_maggy(detector, optical_element),
        sersic=np.where(rows["type"] == "SER", rows["n"], -1.0),
        half_light_radius=rows["half_light_radius"],
        pa=rows["pa"],
        ba=rows["ba"],
        red_share=red_share(maggies, elements, optical_element) if is_chromatic else None,
    )


def pixels_per_arcsec(attitude: Attitude, detector: str, window: Window) -> np.ndarray:
    """Return ``d(x, y) / d(east, north)`` in the middle of a window, (2, 2) [pixels / arcsec]."""
    ny, nx = window.active_shape
    middle = np.array([window.x + (nx - 1) / 2, window.y + (ny - 1) / 2])
    ra, dec = detector_to_sky(attitude, detector, *middle)
    # Steps of an arcsecond: parallel and great circle part by 3e-5 of them at declination 85.
    east = np.array([1.0, 0.0]) / 3600 / np.cos(np.radians(dec))
    north = np.array([0.0, 1.0]) / 3600
    x, y = sky_to_detector(attitude, detector, ra + east, dec + north)
    return np.array([x - middle[0], y - middle[1]])

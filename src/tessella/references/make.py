"""Calibration references of a detector: noisy measurements of what its pixels are like.

The simulator knows the pixels themselves (`tessella.detector.state`); a reference knows them
as well as a calibration campaign would, with draws of its own.
"""

import numpy as np

from tessella import flags
from tessella.astrometry.pixel_area import nominal_pixel_area_arcsec2, relative_pixel_area
from tessella.detector.linearity import inverse_coefficients
from tessella.detector.state import DetectorMaps, DetectorState
from tessella.instrument.optical_elements import ab_zero_point
from tessella.models import BORDER
from tessella.photometry.calibration import surface_brightness_of_dn
from tessella.randomness import generator

#: Relative errors of the campaigns that measure gain, read noise and nonlinearity of a pixel.
# ASSUME: photon transfer over 10^5 ramps, 100 darks and 100 flats; their order of size matters.
_GAIN_ERROR = 0.001
_READ_NOISE_ERROR = 0.03
_NONLINEARITY_ERROR = 0.01
#: Error of a pixel's dark current from long darks [electrons / s].
_DARK_ERROR = 0.002
#: Saturation is declared this much below where pixels stop counting.
_SATURATION_MARGIN = 0.99


def measure_maps(
    state: DetectorState, maps: DetectorMaps, detector: str
) -> dict[str, dict[str, np.ndarray]]:
    """Return the references that hold for every filter: reference type to its arrays.

    Parameters
    ----------
    state : DetectorState
        Its `measurement_seed` keys the errors of measurement.
    maps : DetectorMaps
        What the pixels are like.
    detector : str
        RAD name.

    Returns
    -------
    dict
        Arrays by their RAD names, (ny, nx) of the window: mask, saturation, gain, readnoise,
        linearity, dark.
    """

    def error(purpose: str, sigma: float) -> np.ndarray:
        rng = generator(f"measured {purpose}", state.measurement_seed, detector)
        return sigma * rng.standard_normal(maps.window.shape, np.float32)

    gain = maps.gain * (1 + error("gain", _GAIN_ERROR if state.gain_scatter else 0.0))
    read_noise = maps.read_noise * (
        1 + error("read noise", _READ_NOISE_ERROR if state.read_noise_scatter else 0.0)
    )
    dark_error = np.full(maps.window.shape, _DARK_ERROR, np.float32) / maps.gain
    dark = maps.dark / maps.gain + (dark_error * error("dark", 1.0) if state.dark_scatter else 0.0)
    nonlinearity = maps.nonlinearity * (1 + error("nonlinearity", _NONLINEARITY_ERROR))
    good = np.zeros(maps.window.shape, np.uint32)
    mask = good.copy()
    mask[maps.is_dead] |= flags.DEAD | flags.DO_NOT_USE
    hot = np.where(maps.is_hot, flags.HOT | flags.DO_NOT_USE, 0).astype(np.uint32)
    single = {"gain": gain, "readnoise": read_noise}
    return {
        **{name: {"data": np.asarray(values, np.float32)} for name, values in single.items()},
        "mask": {"dq": mask},
        "saturation": {
            "data": (_SATURATION_MARGIN * maps.saturation).astype(np.float32),
            "dq": good,
        },
        "linearity": {"coeffs": inverse_coefficients(nonlinearity).astype(np.float32), "dq": good},
        "dark": {"dark_slope": dark.astype(np.float32), "dark_slope_error": dark_error, "dq": hot},
    }


def measure_flat(
    state: DetectorState, maps: DetectorMaps, detector: str, optical_element: str
) -> dict[str, np.ndarray]:
    """Return the flat field of one filter: response to a uniform sky, pixel area included.

    Returns
    -------
    dict
        ``data``, ``err`` of (ny - 8, nx - 8) and ``dq``; 0 with NO_FLAT_FIELD for dead pixels.
    """
    active = (slice(BORDER, -BORDER), slice(BORDER, -BORDER))
    rng = generator("measured flat", state.measurement_seed, detector, optical_element)
    response = maps.flat[active] * relative_pixel_area(detector, maps.window) / maps.gain[active]
    response = response * state.gain_electrons_per_dn
    noise = state.flat_error * rng.standard_normal(response.shape, np.float32)
    data = (response * (1 + noise)).astype(np.float32)
    dead = maps.is_dead[active]
    return {
        "data": np.where(dead, 0, data).astype(np.float32),
        "err": np.full(data.shape, state.flat_error, np.float32) * data,
        "dq": np.where(dead, flags.NO_FLAT_FIELD | flags.DO_NOT_USE, 0).astype(np.uint32),
    }


def photometry_row(state: DetectorState, detector: str, optical_element: str) -> dict[str, float]:
    """Return the zero point of one filter: surface brightness of 1 DN / s in the nominal pixel.

    Returns
    -------
    dict
        ``photmjsr`` and ``uncertainty`` [MJy / sr], ``pixelareasr`` [sr].
    """
    area_sr = nominal_pixel_area_arcsec2(detector) * (np.pi / 648000) ** 2
    zero_point = ab_zero_point(detector, optical_element)
    photmjsr = surface_brightness_of_dn(zero_point, state.gain_electrons_per_dn, area_sr)
    # ASSUME: the zero points are known to 1 %; the mission's table gives no uncertainty.
    return {"photmjsr": photmjsr, "uncertainty": 0.01 * photmjsr, "pixelareasr": area_sr}

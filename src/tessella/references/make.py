"""Calibration references of a detector: noisy measurements of what its pixels are like.

The simulator knows the pixels themselves (`tessella.detector.state`); a reference knows them
as well as a calibration campaign would, with draws of its own.
"""

from collections.abc import Iterator

import numpy as np

from tessella import flags
from tessella.astrometry.pixel_area import nominal_pixel_area_arcsec2, relative_pixel_area
from tessella.detector.converter import draw_converter
from tessella.detector.integral_nonlinearity import N_COUNTS
from tessella.detector.linearity import inverse_coefficients, response_coefficients
from tessella.detector.reference_noise import Coefficients, correlated_noise, make_coefficients
from tessella.detector.reference_series import border_pixels, dark_spectra
from tessella.detector.state import DetectorMaps, DetectorState
from tessella.instrument.optical_elements import ab_zero_point
from tessella.instrument.siaf import DETECTORS
from tessella.models import BORDER, CHANNEL_WIDTH
from tessella.photometry.calibration import surface_brightness_of_dn
from tessella.randomness import generator

#: Relative errors of the campaigns that measure gain, read noise and nonlinearity of a pixel.
# ASSUME: photon transfer over 10^5 ramps, 100 darks and 100 flats; their order of size matters.
_GAIN_ERROR = 0.001
_READ_NOISE_ERROR = 0.03
_NONLINEARITY_ERROR = 0.01
#: Error of a pixel's dark current from long darks [electrons / s].
_DARK_ERROR = 0.002
#: Relative errors of the dark decay's amplitude and time constant, and of a channel's converter.
# ASSUME: some hundred darks, and steps of light over the whole range; their order matters.
_DARK_DECAY_ERROR = 0.02
_CONVERTER_ERROR = 0.01
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
    # ASSUME: darks show the 1/f noise, which is new in every read, as noise of the pixel; what
    # the correction by reference pixels takes off (a tenth of its variance) is not left out.
    read_noise = np.sqrt(read_noise**2 + state.correlated_noise_dn**2 + state.channel_noise_dn**2)
    dark_error = np.full(maps.window.shape, _DARK_ERROR, np.float32) / maps.gain
    dark = maps.dark / maps.gain + (dark_error * error("dark", 1.0) if state.dark_scatter else 0.0)
    nonlinearity = _nonlinearity(state, maps, detector)
    good = np.zeros(maps.window.shape, np.uint32)
    mask = good.copy()
    mask[maps.is_dead] |= flags.DEAD | flags.DO_NOT_USE
    mask[maps.is_telegraph] |= flags.TELEGRAPH
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


def measure_inverse_linearity(
    state: DetectorState, maps: DetectorMaps, detector: str
) -> dict[str, np.ndarray]:
    """Return the response of each pixel to linear counts, of the same campaign as `linearity`.

    Returns
    -------
    dict
        ``coeffs`` of (3, ny, nx), powers 0, 1, 2 of the linear counts, and ``dq`` of (ny, nx).
    """
    nonlinearity = _nonlinearity(state, maps, detector)
    return {
        "coeffs": response_coefficients(nonlinearity).astype(np.float32),
        "dq": np.zeros(nonlinearity.shape, np.uint32),
    }


def _nonlinearity(state: DetectorState, maps: DetectorMaps, detector: str) -> np.ndarray:
    rng = generator("measured nonlinearity", state.measurement_seed, detector)
    error = _NONLINEARITY_ERROR * rng.standard_normal(maps.window.shape, np.float32)
    return maps.nonlinearity * (1 + error)


def dark_decay_rows(state: DetectorState) -> dict[str, dict[str, float]]:
    """Return the dark decay of every detector: ``amplitude`` [DN] and ``time_constant`` [s].

    The state has one for all detectors; each is measured on its own.
    """
    rows = {}
    for detector in DETECTORS:
        rng = generator("measured dark decay", state.measurement_seed, detector)
        amplitude, time_constant = 1 + _DARK_DECAY_ERROR * rng.standard_normal(2)
        rows[detector] = {
            "amplitude": float(state.dark_decay_dn * amplitude),
            "time_constant": float(state.dark_decay_s * time_constant),
        }
    return rows


def measure_converter(state: DetectorState, detector: str) -> dict[str, np.ndarray]:
    """Return the integral nonlinearity of one detector.

    Returns
    -------
    dict
        ``value`` of (65536,), uint16: raw counts [DN]; ``correction`` of (32, 65536), float64: what
        is added to them, by channel [DN].
    """
    rng = generator("measured integral nonlinearity", state.measurement_seed, detector)
    correction = draw_converter(state, detector).astype(float)
    # ASSUME: what is measured is fitted by a smooth curve: one error a channel, none a count.
    correction *= 1 + _CONVERTER_ERROR * rng.standard_normal((len(correction), 1))
    return {"value": np.arange(N_COUNTS, dtype=np.uint16), "correction": correction}


def measure_noise_weights(
    state: DetectorState, maps: DetectorMaps, detector: str, n_exposures: int = 4, n_reads: int = 4
) -> Coefficients:
    """Learn from dark exposures how the references predict the 1/f noise of each channel.

    Parameters
    ----------
    state : DetectorState
        Its `measurement_seed` keys the darks.
    maps : DetectorMaps
        Of the part of the detector that is read; a reference needs all of it.
    detector : str
        RAD name.
    n_exposures, n_reads : int
        Darks, and reads of each that are taken as they are.

    Returns
    -------
    Coefficients
        (nx / 128, ny * 70 + 1).
    """
    window = maps.window
    noise33_dn = float(np.median(maps.read_noise[:BORDER]))

    def dark(exposure: int) -> tuple[np.ndarray, np.ndarray]:
        data = np.empty((n_reads, *window.shape), np.float32)
        amp33 = np.empty((n_reads, window.ny, CHANNEL_WIDTH), np.float32)
        for read in range(n_reads):
            key = (state.measurement_seed, detector, exposure, read)
            shared = correlated_noise(
                window,
                state.correlated_noise_dn,
                state.channel_noise_dn,
                generator("measured shared noise", *key),
                generator("measured channel noise", *key),
            )
            rng = generator("noise of measured shared noise", *key)
            noise = rng.standard_normal(window.shape, np.float32)
            noise33 = rng.standard_normal(amp33.shape[1:], np.float32)
            data[read] = shared[0] + maps.read_noise * noise
            amp33[read] = shared[1] + noise33_dn * noise33
        return data, amp33

    def spectra() -> Iterator[tuple[int, np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
        first_channel = window.x // CHANNEL_WIDTH
        for exposure in range(n_exposures):
            data, amp33 = dark(exposure)
            border = border_pixels(data, np.broadcast_to(True, data.shape), amp33)
            yield from dark_spectra(data, border, first_channel)

    return make_coefficients(spectra(), window.nx // CHANNEL_WIDTH)

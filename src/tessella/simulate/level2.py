"""Level 2 at once: a calibrated image from the truth, without a ramp and its signatures.

What is kept is what the calibrated image of a perfect electronics has: light through the optics,
response, capacitance, dark current, saturation, the noise of photons and of reading that the
slope fit leaves, and the errors of the references that it is calibrated with. Cosmic rays, drift,
1/f noise, dark decay, the converter's faults and persistence are left out.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from tessella import flags
from tessella.astrometry.gwcs_model import build_gwcs
from tessella.astrometry.wcs import attitude_of
from tessella.detector.dark import subtract_dark
from tessella.detector.flat import divide_by_flat
from tessella.detector.ipc import couple_pixels
from tessella.detector.state import DetectorMaps, DetectorState, draw_maps
from tessella.instrument.read_patterns import ReadPattern, read_patterns
from tessella.models import BORDER, CHANNEL_WIDTH, Border, ExposureHeader, Image, Reference, Window
from tessella.ramps.likelihood import Slopes
from tessella.ramps.noise_rate import noise_rates
from tessella.ramps.resultant_flags import gather_flags
from tessella.randomness import generator
from tessella.simulate.observation import Conditions, light_on
from tessella.simulate.slope_noise import fit_without_noise, saturated_resultants

_ACTIVE = np.s_[BORDER:-BORDER, BORDER:-BORDER]
#: Rows that are worked on at a time; of no influence on the result.
_ROWS = 512
#: Steps of the pipeline whose work an image made at once shows, by their official names.
STEPS = ("dark", "assign_wcs", "photom", "flat_field")


def simulate_image(
    truth: np.ndarray,
    header: ExposureHeader,
    detector: str,
    window: Window,
    state: DetectorState,
    conditions: Conditions,
    references: Mapping[str, Reference],
) -> Image:
    """Make the calibrated image of a sky, as `observe` and the exposure pipeline would.

    Parameters
    ----------
    truth : structured ndarray
        Sources at the exposure's epoch, with the columns of `tessella.simulate.scene.truth_dtype`.
    header : ExposureHeader
        As the spacecraft sends it: the pixels see the true pointing, the wcs is that of the header.
    detector : str
        RAD name.
    window : Window
        Part of the detector that is read.
    state : DetectorState
        What the detector is like.
    conditions : Conditions
        What holds for all exposures; cosmic rays and the offset on board play no part.
    references : mapping of str to Reference
        mask, saturation, gain, readnoise, dark, flat (arrays of the window), photom.

    Returns
    -------
    Image
        In DN / s with errors as the pipeline reports them; `chisq` and `dumo` are NaN: no ramp
        was fitted. Draws are keyed by seed, exposure and detector.

    Examples
    --------
    >>> # image = simulate_image(truth, header, "WFI01", window, state, conditions, references)
    """
    light = light_on(truth, header, detector, window, state, conditions)
    maps = draw_maps(state, detector, window)
    arrays = {name: references[name].arrays for name in references}
    numbers: tuple[int | str, ...] = (conditions.seed, *header.key.seed, detector)
    image = _slopes(light, maps, state, header, arrays, numbers)
    dark = arrays["dark"]
    data, dq = subtract_dark(
        image["data"], image["dq"], dark["dark_slope"][_ACTIVE], dark["dq"][_ACTIVE]
    )
    attitude = attitude_of(
        detector, header.target_ra, header.target_dec, header.pa_aperture, header.start_time
    )
    photometry = references["photom"].values[header.optical_element]
    nothing = np.full(data.shape, np.nan, np.float32)
    slopes = Image(
        detector=detector,
        optical_element=header.optical_element,
        window=window,
        **{**image, "data": data, "dq": dq},
        var_flat=np.zeros(data.shape, np.float32),
        chisq=nothing,
        dumo=nothing,
        jumps=np.zeros((0, 3), np.int16),
        n_resultants=len(read_patterns()[header.ma_table_number].reads),
        attitude=attitude,
        wcs=build_gwcs(attitude, detector, window),
        conversion_megajanskys=photometry["photmjsr"],
        conversion_uncertainty=photometry["uncertainty"],
        pixel_area_sr=photometry["pixelareasr"],
    )
    flat = arrays["flat"]
    return divide_by_flat(slopes, flat["data"], flat["err"], flat["dq"])


def _slopes(
    light: np.ndarray,
    maps: DetectorMaps,
    state: DetectorState,
    header: ExposureHeader,
    references: Mapping[str, Mapping[str, np.ndarray]],
    numbers: tuple[int | str, ...],
) -> dict[str, Any]:
    """Return slopes with noise, their errors and flags by their names in `Image`."""
    pattern = read_patterns()[header.ma_table_number]
    kernel = np.array(state.ipc_kernel)
    current = light * maps.flat[_ACTIVE] + maps.dark[_ACTIVE]
    rate = couple_pixels(current, kernel) / maps.gain[_ACTIVE]
    fit, counts = _fitted(rate, maps, references, pattern)
    # The photons of so many seconds have the variance that the fit leaves of theirs. Capacitance
    # shares their noise out, reading comes after it.
    seconds = np.nan_to_num(rate / maps.gain[_ACTIVE] / fit.var_poisson, nan=1.0, posinf=1.0)
    photons = generator("level 2 photons", *numbers).poisson(current * seconds) / seconds
    noise = generator("level 2 read noise", *numbers).standard_normal(rate.shape, np.float32)
    slope = couple_pixels(photons, kernel) / maps.gain[_ACTIVE] + np.sqrt(fit.var_rnoise) * noise
    # Photon noise is told from neighbours, as the pipeline tells it.
    least = np.fmax(references["dark"]["dark_slope"][_ACTIVE], 1e-9)
    told = np.fmax(noise_rates(slope, np.sqrt(fit.var_poisson + fit.var_rnoise)), least)
    var_poisson = fit.var_poisson * told / np.fmax(rate, least)
    mask = references["mask"]["dq"][_ACTIVE] | references["saturation"]["dq"][_ACTIVE]
    # ASSUME: as in the pipeline, a pixel that saturates in the second resultant has no slope.
    dq = (
        mask
        | np.where(counts["saturated_from"] <= 1, flags.SATURATED, 0)
        | np.where(np.isfinite(slope), 0, flags.DO_NOT_USE)
    )
    return {
        "data": slope.astype(np.float32),
        "dq": dq.astype(np.uint32),
        "err": np.sqrt(var_poisson + fit.var_rnoise).astype(np.float32),
        "var_poisson": var_poisson.astype(np.float32),
        "var_rnoise": fit.var_rnoise.astype(np.float32),
        **counts,
    }


def _fitted(
    rate: np.ndarray,
    maps: DetectorMaps,
    references: Mapping[str, Mapping[str, np.ndarray]],
    pattern: ReadPattern,
) -> tuple[Slopes, dict[str, np.ndarray]]:
    """Fit slopes without noise, and count resultants, some rows at a time."""
    parts, seen = [], []
    for first in range(0, len(rate), _ROWS):
        rows = np.s_[BORDER + first : BORDER + min(first + _ROWS, len(rate)), BORDER:-BORDER]
        some = rate[first : first + _ROWS]
        threshold = references["saturation"]["data"][rows]
        flagged = saturated_resultants(
            some,
            maps.pedestal[rows],
            maps.nonlinearity[rows],
            maps.saturation[rows],
            threshold,
            pattern,
        )
        gain, noise = references["gain"]["data"][rows], references["readnoise"]["data"][rows]
        parts.append(fit_without_noise(some, gain, noise, pattern, flagged))
        seen.append(gather_flags(flagged))
    images = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in ("slope", "var_poisson", "var_rnoise", "chisq", "dumo")
    }
    counts = {
        "resultants_used": np.concatenate([part.n_used for part in seen]),
        "saturated_from": np.concatenate([part.saturated_from for part in seen]),
    }
    return Slopes(**images, resultant_dq=np.zeros((0, 0, 0), np.uint8)), counts


def empty_border(window: Window, pattern: ReadPattern) -> tuple[Border, np.ndarray]:
    """Return reference pixels and a reference output that nobody read: 0, flagged DO_NOT_USE.

    Returns
    -------
    border : Border
    amp33 : ndarray of shape (n_resultants, ny, 128), uint16

    Examples
    --------
    >>> border, amp33 = empty_border(Window(0, 0, 128, 256), read_patterns()[3])
    >>> border.counts["left"].shape, border.counts["top"].shape, amp33.shape
    ((5, 256, 4), (5, 4, 128), (5, 256, 128))
    """
    (ny, nx), n = window.shape, len(pattern.reads)
    shapes = {
        "left": (ny, BORDER),
        "right": (ny, BORDER),
        "bottom": (BORDER, nx),
        "top": (BORDER, nx),
    }
    unread = np.uint32(flags.DO_NOT_USE)
    amp33 = np.zeros((n, ny, CHANNEL_WIDTH), np.uint16)
    border = Border(
        counts={side: np.zeros((n, *shape), np.float32) for side, shape in shapes.items()},
        resultant_dq={
            side: np.full((n, *shape), unread, np.uint8) for side, shape in shapes.items()
        },
        dq={side: np.full(shape, unread, np.uint32) for side, shape in shapes.items()},
        amp33=amp33.astype(np.float32),
        amp33_dq=np.full((n, ny), unread, np.uint8),
    )
    return border, amp33

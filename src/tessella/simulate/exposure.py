"""One detector's exposure, from light to the numbers that are sent to the ground."""

from collections.abc import Mapping

import numpy as np

from tessella.detector.converter import draw_converter
from tessella.detector.cosmic_rays import cosmic_ray_hits
from tessella.detector.dark_decay import dark_decay_of_read
from tessella.detector.integral_nonlinearity import N_COUNTS, tabulate
from tessella.detector.persistence_state import PersistenceState, persistence_electrons
from tessella.detector.readout import (
    AMP33_CHANNEL,
    Accumulator,
    convert,
    drift_of_channels,
    encode,
    offsets_of_columns,
)
from tessella.detector.reference_noise import correlated_noise
from tessella.detector.snowballs import draw_snowballs
from tessella.detector.state import DetectorMaps, DetectorState, drift_electrons, is_reference
from tessella.detector.wfi18_transient import Transient, transient_of_read
from tessella.instrument.read_patterns import ReadPattern
from tessella.models import BORDER, CHANNEL_WIDTH, ExposureKey, GuideWindow, Readout, Window
from tessella.randomness import generator
from tessella.simulate.brighter_fatter import collected
from tessella.simulate.earlier import add_light
from tessella.simulate.photons import add_electrons, chance_of_none
from tessella.simulate.read import read_pixels

_ACTIVE = np.s_[BORDER:-BORDER, BORDER:-BORDER]


def expose(
    rate: np.ndarray,
    maps: DetectorMaps,
    state: DetectorState,
    pattern: ReadPattern,
    detector: str,
    key: ExposureKey,
    seed: int,
    encoding_offset: int,
    with_cosmic_rays: bool = True,
    earlier: PersistenceState | None = None,
    start_mjd: float = np.nan,
    guide: Mapping[str, int] | None = None,
) -> Readout:
    """Read a detector while light falls on it.

    The reference read is taken at the reset, read k after k frame times. Between two reads
    photons, dark current and what earlier exposures left arrive as Poisson numbers, photons where
    charge has moved the borders of pixels to, and cosmic rays and snowballs hit. A read shows the
    charge so far through capacitance, gain, nonlinearity and saturation, with what the electronics
    add: the drift of its channel and of itself, noise of its own and noise that neighbours in read
    time share, the dark decay, the transient of WFI18. The converter, not quite straight, rounds it
    down. On board the reads of a resultant are
    averaged, rounded down, and sent as differences from the reference read.

    Parameters
    ----------
    rate : ndarray of shape (ny - 8, nx - 8)
        Light on the active pixels for a response of 1 [electrons / s].
    maps : DetectorMaps
        What each pixel of the window is like, (ny, nx).
    state : DetectorState
        Capacitance and electronics; where `reference_pixel_noise_ratio` is None, the border and
        the reference output read exactly 0.
    pattern : ReadPattern
        Reads of each resultant.
    detector : str
        RAD name.
    key : ExposureKey
        Keys the random draws, with `detector` and `seed`; each effect has draws of its own, so
        that one that is switched off leaves those of the others as they are.
    seed : int
        Of the whole simulation.
    encoding_offset : int
        Added to the differences on board [DN].
    with_cosmic_rays : bool
        False leaves them out.
    earlier : PersistenceState, optional
        What earlier exposures left; needed where `state` has persistence.
    start_mjd : float
        Start of the exposure; needed where `state` has persistence.
    guide : mapping of str to int, optional
        ``x``, ``y``, ``nx`` and ``ny`` of a guide window within the window that is read, in the
        4096 x 4096 frame. Each read gives one cycle of it.

    Returns
    -------
    Readout
        With what this exposure and earlier ones leave, where `state` has persistence.

    Raises
    ------
    ValueError
        If `rate` does not fit the window, or is negative or not finite somewhere; if it is not
        said what earlier exposures left, or they end after the start.

    Examples
    --------
    >>> # readout = expose(rate, maps, state, read_patterns()[3], "WFI01", key, 1, 4000)
    """
    _check(rate, maps)
    if (earlier is None) == (state.persistence_ratio > 0):
        raise ValueError(
            f"earlier is {'not given' if earlier is None else 'given'}, but persistence_ratio is "
            f"{state.persistence_ratio}; give what earlier exposures left where it is above 0"
        )
    numbers: tuple[int | str, ...] = (seed, *key.seed, detector)
    dark = maps.dark * np.float32(pattern.frame_time)
    light = np.zeros_like(dark)
    light[_ACTIVE] = rate * maps.flat[_ACTIVE] * pattern.frame_time
    moves = any(state.brighter_fatter_per_electron)
    expected = light + dark
    none = chance_of_none(expected)
    n_reads = sum(pattern.reads_per_resultant)
    drift = drift_of_channels(
        n_reads + 1, state.channel_drift_dn, generator("channel drift", *numbers)
    )
    charge = np.zeros(maps.window.shape, np.float32)
    walk, step = np.zeros_like(charge), drift_electrons(state, detector)
    correction = None
    if state.integral_nonlinearity_dn:
        correction = tabulate(np.arange(N_COUNTS), draw_converter(state, detector)).correction

    def read_out(read: int) -> tuple[np.ndarray, np.ndarray]:
        added = _electronics(read, maps, state, detector, pattern.frame_time, numbers)
        if step:
            added[0][...] += walk / maps.gain
        rng = generator("read noise", *numbers, read)
        return _read(charge, drift[read], added, maps, state, correction, rng)

    reference = read_out(0)
    memory, memory33 = Accumulator(reference[0].shape), Accumulator(reference[1].shape)
    data, amp33, cycles = [], [], []
    last_reads = {reads[-1] for reads in pattern.reads}
    for read in range(1, n_reads + 1):
        seeds = generator("electrons", *numbers, read).integers(
            0, 2**64, len(charge), dtype=np.uint64
        )
        if moves:
            expected = collected(light, charge, state.brighter_fatter_per_electron) + dark
            none = chance_of_none(expected)
        add_electrons(charge, expected, none, seeds)
        if with_cosmic_rays:
            rng = generator("cosmic rays", *numbers, read)
            rows, columns, electrons = cosmic_ray_hits(rate.shape, pattern.frame_time, rng)
            charge[_ACTIVE][rows, columns] += electrons
        if state.snowballs_per_cm2_s:
            rng = generator("snowballs", *numbers, read)
            flux = state.snowballs_per_cm2_s
            charge[_ACTIVE] += draw_snowballs(rate.shape, pattern.frame_time, flux, rng)
        if earlier is not None:
            edges = start_mjd + np.array([read - 1, read]) * pattern.frame_time / 86400
            leaking = state.persistence_ratio * persistence_electrons(earlier, *edges)
            charge[_ACTIVE] += generator("persistence", *numbers, read).poisson(leaking)
        if step:
            rng = generator("pixel drift", *numbers, read)
            walk[_ACTIVE] += step * rng.standard_normal(rate.shape, np.float32)
        image, image33 = read_out(read)
        memory.add(image)
        memory33.add(image33)
        if guide is not None:
            # ASSUME: a read gives one cycle; the instrument reads a guide window 16 times a frame.
            own = _place_of(guide, maps.window)
            cycles.append(encode(image[own], reference[0][own], encoding_offset))
        if read in last_reads:
            data.append(encode(memory.average(), reference[0], encoding_offset))
            amp33.append(encode(memory33.average(), reference[1], encoding_offset))
    return Readout(
        detector=detector,
        window=maps.window,
        data=np.stack(data),
        amp33=np.stack(amp33),
        reference_read=reference[0].astype(np.uint16),
        reference_amp33=reference[1].astype(np.uint16),
        encoding_offset=encoding_offset,
        guide=None if guide is None else GuideWindow(guide["x"], guide["y"], np.stack(cycles)),
        left=None if earlier is None else add_light(earlier, rate, maps, pattern, start_mjd),
    )


def _place_of(guide: Mapping[str, int], window: Window) -> tuple[slice, slice]:
    """Return the rows and columns of a guide window in the window that is read."""
    y, x = guide["y"] - window.y, guide["x"] - window.x
    return slice(y, y + guide["ny"]), slice(x, x + guide["nx"])


def _check(rate: np.ndarray, maps: DetectorMaps) -> None:
    if rate.shape != maps.window.active_shape:
        raise ValueError(
            f"rate: its shape is {rate.shape}, "
            f"the window's active pixels are {maps.window.active_shape}"
        )
    if not (rate >= 0).all():
        raise ValueError(
            "rate: it must be finite and at least 0 everywhere; light is missing somewhere"
        )


def _electronics(
    read: int,
    maps: DetectorMaps,
    state: DetectorState,
    detector: str,
    frame_time: float,
    numbers: tuple[int | str, ...],
) -> tuple[np.ndarray, np.ndarray]:
    """Return what one read adds to a window (ny, nx) and to the reference output (ny, 128) [DN].

    1/f noise, and on the pixels that see light the dark decay and the transient of WFI18.
    """
    rng = generator("correlated noise", *numbers, read)
    added, added33 = correlated_noise(maps.window, state.correlated_noise_dn, 0.0, rng)
    rng = generator("channel noise", *numbers, read)
    own, own33 = correlated_noise(maps.window, 0.0, state.channel_noise_dn, rng)
    added += own
    if state.dark_decay_dn:
        added += dark_decay_of_read(
            read, state.dark_decay_dn, state.dark_decay_s, detector, maps.window, frame_time
        )
    if any(state.wfi18_transient_dn):
        transient = Transient(state.wfi18_transient_dn, state.wfi18_transient_s)
        added += transient_of_read(read, transient, detector, maps.window, frame_time)
    return added, added33 + own33


def _read(
    charge: np.ndarray,
    drift: np.ndarray,
    added: tuple[np.ndarray, np.ndarray],
    maps: DetectorMaps,
    state: DetectorState,
    correction: np.ndarray | None,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Read a window (ny, nx) and the reference output (ny, 128) once [DN]."""
    noise = rng.standard_normal(charge.shape, np.float32)
    noise33 = rng.standard_normal((charge.shape[0], CHANNEL_WIDTH), np.float32)
    with_border = state.reference_pixel_noise_ratio is not None
    read = read_pixels(
        charge, maps, np.array(state.ipc_kernel), offsets_of_columns(drift, maps.window), added[0],
        noise, correction, with_border,
    )  # fmt: skip
    if not with_border:
        return read, np.zeros(noise33.shape, np.int32)
    # ASSUME: the converter of the reference output is straight; RAD has tables of the others only.
    level33 = np.float32(state.pedestal_dn) + drift[AMP33_CHANNEL] + added[1]
    border = is_reference(maps.window)
    return read, convert(level33 + np.median(maps.read_noise[border]) * noise33)

"""One detector's exposure, from light to the numbers that are sent to the ground."""

from collections.abc import Mapping

import numpy as np

from tessella.detector.persistence_state import PersistenceState
from tessella.detector.readout import Accumulator, encode
from tessella.detector.state import DetectorMaps, DetectorState
from tessella.instrument.read_patterns import ReadPattern
from tessella.models import ExposureKey, GuideWindow, Readout, Window
from tessella.simulate.charge import Charge
from tessella.simulate.earlier import add_light
from tessella.simulate.electronics import Electronics
from tessella.simulate.read_jitter import ReadJitter


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
    jitter: ReadJitter | None = None,
) -> Readout:
    """Read a detector while light falls on it.

    The reference read is taken at the reset, read k after k frame times. Between two reads
    photons, dark current and what earlier exposures left arrive as Poisson numbers, photons where
    images have moved and charge has moved the borders of pixels to, and cosmic rays and snowballs
    hit. A read shows the charge so far through capacitance, gain, nonlinearity and saturation, with
    what the electronics add: the drift of its channel and of itself, noise of its own, telegraph
    noise and noise that neighbours in read time share, the dark decay, the transient of WFI18. The
    converter, not quite straight, rounds it down. On board the reads of a resultant are averaged,
    rounded down, and sent as differences from the reference read.

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
    jitter : ReadJitter, optional
        How images move from read to read; None leaves them where they are.

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
    n_reads = sum(pattern.reads_per_resultant)
    charge = Charge(
        rate, maps, state, pattern.frame_time, numbers, with_cosmic_rays, earlier, start_mjd, jitter
    )
    electronics = Electronics(maps, state, detector, pattern.frame_time, n_reads, numbers)
    reference = electronics.read(0, charge.electrons)
    memory, memory33 = Accumulator(reference[0].shape), Accumulator(reference[1].shape)
    data, amp33, cycles = [], [], []
    last_reads = {reads[-1] for reads in pattern.reads}
    for read in range(1, n_reads + 1):
        charge.gather(read)
        image, image33 = electronics.read(read, charge.electrons)
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

"""How a detector is read: the noise of the electronics, and the converter."""

import numpy as np

from tessella.detector.converter import draw_converter
from tessella.detector.dark_decay import dark_decay_of_read
from tessella.detector.integral_nonlinearity import N_COUNTS, tabulate
from tessella.detector.readout import (
    AMP33_CHANNEL,
    convert,
    drift_of_channels,
    offsets_of_columns,
)
from tessella.detector.reference_noise import correlated_noise
from tessella.detector.state import DetectorMaps, DetectorState, drift_electrons, is_reference
from tessella.detector.wfi18_transient import Transient, transient_of_read
from tessella.models import BORDER, CHANNEL_WIDTH
from tessella.randomness import generator
from tessella.simulate.read import read_pixels
from tessella.streams import normal_rows

_ACTIVE = np.s_[BORDER:-BORDER, BORDER:-BORDER]


class Electronics:
    """The electronics of one detector during one exposure; reads are taken in their order.

    Parameters
    ----------
    maps : DetectorMaps
    state : DetectorState
    detector : str
        RAD name.
    frame_time : float
        From read to read [s].
    n_reads : int
        Reads after the reference read, which is number 0.
    numbers : tuple
        Keys of the draws: seed, exposure and detector.
    """

    def __init__(
        self,
        maps: DetectorMaps,
        state: DetectorState,
        detector: str,
        frame_time: float,
        n_reads: int,
        numbers: tuple[int | str, ...],
    ) -> None:
        self._maps, self._state, self._detector = maps, state, detector
        self._frame_time, self._numbers = frame_time, numbers
        rng = generator("channel drift", *numbers)
        self._drift = drift_of_channels(n_reads + 1, state.channel_drift_dn, rng)
        self._walk, self._step = np.zeros_like(maps.gain), drift_electrons(state, detector)
        self._telegraph = np.nonzero(maps.is_telegraph)
        self._is_high = (
            generator("telegraph levels", *numbers).random(self._telegraph[0].size) < 0.5
        )
        self._noise33 = np.median(maps.read_noise[is_reference(maps.window)])
        self._correction = None
        if state.integral_nonlinearity_dn:
            table = draw_converter(state, detector)
            self._correction = tabulate(np.arange(N_COUNTS), table).correction

    def read(self, number: int, charge: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Read a window, (ny, nx), and the reference output, (ny, 128), once.

        Parameters
        ----------
        number : int
            Of the read.
        charge : ndarray of shape (ny, nx), float32
            [electrons]

        Returns
        -------
        tuple of ndarray of int32
            [DN]
        """
        added, added33 = self._added(number)
        added[self._telegraph] += self._telegraph_levels(number)
        rng = generator("read noise", *self._numbers, number)
        noise = normal_rows(rng, charge.shape)
        noise33 = rng.standard_normal((charge.shape[0], CHANNEL_WIDTH), np.float32)
        with_border = self._state.reference_pixel_noise_ratio is not None
        offsets = offsets_of_columns(self._drift[number], self._maps.window)
        image = read_pixels(
            charge, self._maps, np.array(self._state.ipc_kernel), offsets, added, noise,
            self._correction, with_border,
        )  # fmt: skip
        if not with_border:
            return image, np.zeros(noise33.shape, np.int32)
        # ASSUME: the converter of the reference output is straight; RAD has tables of the others
        # only.
        level33 = np.float32(self._state.pedestal_dn) + self._drift[number, AMP33_CHANNEL] + added33
        return image, convert(level33 + self._noise33 * noise33)

    def _telegraph_levels(self, number: int) -> np.ndarray:
        """Let telegraph pixels change their levels, and return those of a read [DN]."""
        rng = generator("telegraph noise", *self._numbers, number)
        self._is_high ^= rng.random(self._is_high.size) < self._state.telegraph_chance
        return self._state.telegraph_dn * (self._is_high - np.float32(0.5))

    def _added(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Return what a read adds to a window (ny, nx) and to the reference output (ny, 128) [DN].

        1/f noise, and on the pixels that see light their drift, the dark decay and the transient of
        WFI18.
        """
        state, window = self._state, self._maps.window
        purposes = "correlated noise", "channel noise"
        common, own = (generator(purpose, *self._numbers, number) for purpose in purposes)
        added, added33 = correlated_noise(
            window, state.correlated_noise_dn, state.channel_noise_dn, common, own
        )
        where = self._detector, window, self._frame_time
        if state.dark_decay_dn:
            added += dark_decay_of_read(number, state.dark_decay_dn, state.dark_decay_s, *where)
        if any(state.wfi18_transient_dn):
            transient = Transient(state.wfi18_transient_dn, state.wfi18_transient_s)
            added += transient_of_read(number, transient, *where)
        if self._step:
            if number > 0:
                rng = generator("pixel drift", *self._numbers, number)
                walk = self._walk[_ACTIVE]
                walk += np.float32(self._step) * normal_rows(rng, walk.shape)
            added += self._walk / self._maps.gain
        return added, added33

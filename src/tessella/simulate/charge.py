"""The charge that gathers in the pixels of a detector from one read to the next."""

import numpy as np

from tessella.detector.cosmic_rays import cosmic_ray_hits
from tessella.detector.persistence_state import PersistenceState, persistence_electrons
from tessella.detector.snowballs import draw_snowballs
from tessella.detector.state import DetectorMaps, DetectorState
from tessella.models import BORDER
from tessella.randomness import generator
from tessella.simulate.brighter_fatter import collected
from tessella.simulate.photons import add_electrons, chance_of_none
from tessella.simulate.read_jitter import ReadJitter

_ACTIVE = np.s_[BORDER:-BORDER, BORDER:-BORDER]


class Charge:
    """What one exposure leaves in its pixels.

    Parameters
    ----------
    rate : ndarray of shape (ny - 8, nx - 8)
        Light on the active pixels for a response of 1 [electrons / s].
    maps : DetectorMaps
    state : DetectorState
    frame_time : float
        From read to read [s].
    numbers : tuple
        Keys of the draws: seed, exposure and detector.
    with_cosmic_rays : bool
    earlier : PersistenceState, optional
        What earlier exposures left; None for nothing.
    start_mjd : float
        Start of the exposure; used where there is `earlier`.
    jitter : ReadJitter, optional
        How images move from read to read; None leaves them where they are.
    """

    def __init__(
        self,
        rate: np.ndarray,
        maps: DetectorMaps,
        state: DetectorState,
        frame_time: float,
        numbers: tuple[int | str, ...],
        with_cosmic_rays: bool,
        earlier: PersistenceState | None,
        start_mjd: float,
        jitter: ReadJitter | None = None,
    ) -> None:
        #: (ny, nx), float32 [electrons]
        self.electrons = np.zeros(maps.window.shape, np.float32)
        self._state, self._frame_time, self._numbers = state, frame_time, numbers
        self._with_cosmic_rays = with_cosmic_rays
        self._earlier, self._start_mjd = earlier, start_mjd
        self._dark = maps.dark * np.float32(frame_time)
        self._light, self._jitter = np.zeros_like(self._dark), jitter
        self._response = maps.flat[_ACTIVE] * frame_time
        self._light[_ACTIVE] = rate * self._response
        self._expected = self._light + self._dark
        self._none = chance_of_none(self._expected)

    def gather(self, read: int) -> None:
        """Add what arrives between a read and the one before it."""
        self._add_photons(self._rng("electrons", read), self._light_of(read))
        active = self.electrons[_ACTIVE]
        if self._with_cosmic_rays:
            rng = self._rng("cosmic rays", read)
            rows, columns, hit = cosmic_ray_hits(active.shape, self._frame_time, rng)
            active[rows, columns] += hit
        if flux := self._state.snowballs_per_cm2_s:
            rng = self._rng("snowballs", read)
            active += draw_snowballs(active.shape, self._frame_time, flux, rng)
        if self._earlier is not None:
            edges = self._start_mjd + np.array([read - 1, read]) * self._frame_time / 86400
            leaking = self._state.persistence_ratio * persistence_electrons(self._earlier, *edges)
            active += self._rng("persistence", read).poisson(leaking)

    def _rng(self, purpose: str, read: int) -> np.random.Generator:
        return generator(purpose, *self._numbers, read)

    def _light_of(self, read: int) -> np.ndarray:
        """Return the light that is expected between a read and the one before it [electrons]."""
        if self._jitter is None:
            return self._light
        light = self._light.copy()
        light[_ACTIVE] += self._jitter.change(read) * self._response
        return np.maximum(light, 0)

    def _add_photons(self, rng: np.random.Generator, light: np.ndarray) -> None:
        """Add Poisson numbers of photons and of dark current."""
        per_electron = self._state.brighter_fatter_per_electron
        if any(per_electron):
            light = collected(light, self.electrons, per_electron)
        if light is not self._light:
            self._expected = light + self._dark
            self._none = chance_of_none(self._expected)
        seeds = rng.integers(0, 2**64, len(self.electrons), dtype=np.uint64)
        add_electrons(self.electrons, self._expected, self._none, seeds)

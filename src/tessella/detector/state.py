"""What a detector is like at one time: its numbers, and the maps of its pixels drawn from them.

The simulator works with the maps themselves; calibration references are noisy measurements
of them (`tessella.references.make`).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tessella.instrument.performance import read_noise_electrons, total_noise_electrons
from tessella.models import BORDER, CHANNEL_WIDTH, DETECTOR_SIZE, Window
from tessella.randomness import generator

#: Kernels are given with about five digits.
_KERNEL_SUM_ERROR = 1e-3
#: Shortest wave of a converter over its height: counts must increase when they are corrected.
_LEAST_PERIOD = 24
# ASSUME: a well holds half again the charge at which its counts saturate; beyond, light is lost.
_WELL_OVER_SATURATION = 1.5
#: Reads of the slopes whose noise was measured, and the time from the first to the last [s].
_SLOPE_READS, _SLOPE_S = 55, 170.0


@dataclass(frozen=True)
class Blur:
    """What spreads the image of a point source beside the design of the optics."""

    #: Pointing jitter, rms per axis [mas].
    jitter_mas: float
    #: Standard deviation of the diffusion of charge [um].
    charge_diffusion_um: float
    #: Noll's fourth Zernike coefficient, of either sign [waves of 1293 nm].
    defocus_waves: float = 0.0


@dataclass(frozen=True)
class DetectorState:
    """The numbers of a detector; scatters are pixel to pixel."""

    #: Electrons of one DN, and its relative scatter.
    gain_electrons_per_dn: float
    gain_scatter: float
    #: Noise of one read that no other pixel shares [electrons]; None takes what the detector's
    #: measured median holds beside the 1/f noise below. Relative scatter.
    read_noise_electrons: float | None
    read_noise_scatter: float
    #: Noise of reference pixels over that of the others; None where they carry no signal at all.
    reference_pixel_noise_ratio: float | None
    #: Median [electrons / s], its relative scatter, and the share of pixels with far more of it.
    dark_electrons_per_s: float
    dark_scatter: float
    hot_pixel_fraction: float
    dead_pixel_fraction: float
    #: Level that is read after the reset, with its scatter [DN].
    pedestal_dn: float
    pedestal_scatter_dn: float
    #: Level at which pixels saturate, with its scatter [DN].
    saturation_dn: float
    saturation_scatter_dn: float
    #: measured = linear - nonlinearity * linear**2 [1 / DN], and its relative scatter.
    nonlinearity_per_dn: float
    nonlinearity_scatter: float
    #: Relative scatter of the response to light.
    flat_scatter: float
    #: Share of a pixel's signal that its 3 x 3 neighbourhood shows, rows from the top; sums to 1.
    ipc_kernel: tuple[tuple[float, float, float], ...]
    #: Blur of the optical image, see `Blur`, and the part of the jitter that differs from read to
    #: read: movement of the mean pointing of a read, rms per axis [mas]; 0 for none.
    jitter_mas: float
    charge_diffusion_um: float
    defocus_waves: float
    read_jitter_mas: float
    #: True where a source's image depends on its colour within a filter.
    chromatic_psf: bool
    #: Brighter-fatter effect: part of a pixel's area that an electron of difference moves across a
    #: side, and across a corner [1 / electron]; 0 for none.
    brighter_fatter_per_electron: tuple[float, float]
    #: Drift of each readout channel from read to read [DN].
    channel_drift_dn: float
    #: Signal with which every exposure starts [DN], 0 for none, and how fast it fades [s].
    dark_decay_dn: float
    dark_decay_s: float
    #: Largest correction of the converter, 0 for a straight one, and its longest wave [DN].
    integral_nonlinearity_dn: float
    integral_nonlinearity_period_dn: float
    #: 1/f noise that all outputs share, and that each has of its own: root mean square over a
    #: read of the whole detector [DN]; 0 for none.
    correlated_noise_dn: float
    channel_noise_dn: float
    #: Random walk of each pixel from read to read [electrons], 0 for none; None takes what the
    #: detector's measured noise of slopes leaves.
    pixel_drift_electrons: float | None
    #: Random telegraph noise: share of pixels that have it, distance of their two levels [DN], and
    #: chance that one changes its level from read to read.
    telegraph_pixel_fraction: float
    telegraph_dn: float
    telegraph_chance: float
    #: Snowballs: large events with a saturated core and a halo [1 / cm^2 / s].
    snowballs_per_cm2_s: float
    #: Transient of the first read of WFI18, which no other detector shows: amplitudes of its two
    #: exponentials [DN], 0 for none, and their time constants [s].
    wfi18_transient_dn: tuple[float, float]
    wfi18_transient_s: tuple[float, float]
    #: Current that earlier exposures leave, over the measured one of each detector; 0 for none.
    persistence_ratio: float
    #: Keys of the maps and of the noise with which the references measure them.
    maps_seed: int
    measurement_seed: int
    #: Relative error with which the references know the response to light.
    flat_error: float

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            least = -np.inf if name == "defocus_waves" else 0
            if isinstance(value, int | float) and not (np.isfinite(value) and value >= least):
                raise ValueError(
                    f"{name} is {value}; it must be a finite number of at least {least}"
                )
        for name in ("telegraph_pixel_fraction", "telegraph_chance"):
            if getattr(self, name) > 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 1 at most")
        if not (np.isfinite(self.wfi18_transient_dn).all() and min(self.wfi18_transient_s) > 0):
            raise ValueError(
                f"wfi18_transient_dn is {self.wfi18_transient_dn} and wfi18_transient_s "
                f"{self.wfi18_transient_s}; they must be finite numbers, the times above 0"
            )
        if not all(0 <= part < 1e-4 for part in self.brighter_fatter_per_electron):
            raise ValueError(
                f"brighter_fatter_per_electron is {self.brighter_fatter_per_electron}; both must "
                "be at least 0 and less than 1e-4"
            )
        for name in ("gain_electrons_per_dn", "saturation_dn", "dark_decay_s"):
            if getattr(self, name) == 0:
                raise ValueError(f"{name} is 0; it must be larger")
        shortest = _LEAST_PERIOD * self.integral_nonlinearity_dn
        if self.integral_nonlinearity_period_dn < shortest:
            raise ValueError(
                f"integral_nonlinearity_period_dn is {self.integral_nonlinearity_period_dn}; "
                f"it must be at least {_LEAST_PERIOD} times integral_nonlinearity_dn"
            )
        kernel = np.array(self.ipc_kernel) if len(self.ipc_kernel) == 3 else np.zeros(0)
        if kernel.shape != (3, 3) or not abs(kernel.sum() - 1) < _KERNEL_SUM_ERROR:
            raise ValueError("ipc_kernel must have 3 rows of 3 numbers whose sum is 1")

    @property
    def blur(self) -> Blur:
        """What spreads the image of a point source."""
        return Blur(self.jitter_mas, self.charge_diffusion_um, self.defocus_waves)


@dataclass(frozen=True)
class DetectorMaps:
    """What every pixel of a window of a detector is like; arrays are (ny, nx), border included."""

    window: Window
    #: [electrons / DN]
    gain: np.ndarray
    #: Noise of one read [DN].
    read_noise: np.ndarray
    #: [electrons / s]
    dark: np.ndarray
    #: [DN]
    pedestal: np.ndarray
    saturation: np.ndarray
    #: [1 / DN]
    nonlinearity: np.ndarray
    #: Response to light, mean 1; 0 for dead pixels and in the border.
    flat: np.ndarray
    #: True for pixels that do not respond to light, for those with a very high dark current, and
    #: for those with random telegraph noise.
    is_dead: np.ndarray
    is_hot: np.ndarray
    is_telegraph: np.ndarray

    @property
    def full_well(self) -> np.ndarray:
        """Charge that each pixel can hold [electrons]."""
        return _WELL_OVER_SATURATION * self.saturation * self.gain


def is_reference(window: Window) -> np.ndarray:
    """Mark the border of reference pixels of a window, (ny, nx)."""
    mask = np.ones(window.shape, bool)
    mask[BORDER:-BORDER, BORDER:-BORDER] = False
    return mask


def draw_maps(state: DetectorState, detector: str, window: Window) -> DetectorMaps:
    """Draw the maps of one detector.

    Each block of 128 rows of the whole detector has a draw of its own, so that a window shows
    the same pixels whatever its size.

    Examples
    --------
    >>> # maps = draw_maps(state, "WFI01", Window(1536, 1536, 1024, 1024))
    """
    reference = is_reference(window)

    def normal(purpose: str) -> np.ndarray:
        return _draw(
            purpose, state.maps_seed, detector, window, np.random.Generator.standard_normal
        )

    def uniform(purpose: str) -> np.ndarray:
        return _draw(purpose, state.maps_seed, detector, window, np.random.Generator.random)

    noise_electrons = state.read_noise_electrons
    if noise_electrons is None:
        noise_electrons = _noise_alone(state, detector)
    gain = state.gain_electrons_per_dn * (1 + state.gain_scatter * normal("gain"))
    read_noise = (
        noise_electrons
        / state.gain_electrons_per_dn
        * np.exp(state.read_noise_scatter * normal("read noise"))
    )
    read_noise[reference] *= state.reference_pixel_noise_ratio or 0.0
    is_dead = (uniform("dead") < state.dead_pixel_fraction) & ~reference
    is_hot = (uniform("hot") < state.hot_pixel_fraction) & ~reference & ~is_dead
    is_telegraph = (uniform("telegraph") < state.telegraph_pixel_fraction) & ~reference
    dark = state.dark_electrons_per_s * np.exp(state.dark_scatter * normal("dark"))
    dark = np.where(is_hot, 1000 * dark, dark)
    return DetectorMaps(
        window=window,
        gain=gain.astype(np.float32),
        read_noise=read_noise.astype(np.float32),
        dark=np.where(reference, 0, dark).astype(np.float32),
        pedestal=(state.pedestal_dn + state.pedestal_scatter_dn * normal("pedestal")).astype(
            np.float32
        ),
        saturation=(
            state.saturation_dn + state.saturation_scatter_dn * normal("saturation")
        ).astype(np.float32),
        nonlinearity=(
            state.nonlinearity_per_dn * (1 + state.nonlinearity_scatter * normal("nonlinearity"))
        ).astype(np.float32),
        flat=np.where(reference | is_dead, 0, 1 + state.flat_scatter * normal("flat")).astype(
            np.float32
        ),
        is_dead=is_dead,
        is_hot=is_hot,
        is_telegraph=is_telegraph,
    )


def _noise_alone(state: DetectorState, detector: str) -> float:
    """Return what the measured noise of a read holds beside the 1/f noise [electrons]."""
    shared = np.hypot(state.correlated_noise_dn, state.channel_noise_dn)
    alone = read_noise_electrons(detector) ** 2 - (state.gain_electrons_per_dn * shared) ** 2
    if alone <= 0:
        raise ValueError(
            f"{detector}: 1/f noise of {shared:.3g} DN is more than all of its measured noise of a "
            f"read, {read_noise_electrons(detector):.3g} electrons; give read_noise_electrons"
        )
    return float(np.sqrt(alone))


def drift_electrons(state: DetectorState, detector: str) -> float:
    """Return the step of the random walk of each pixel from read to read [electrons].

    Where the state does not give it, what explains the measured noise of slopes of 55 reads,
    beside the measured noise of a read and the dark current: increments between reads count in a
    slope by the sum of the weights of all later reads.

    Examples
    --------
    >>> # drift_electrons(state, "WFI01")    # 0.5
    """
    if state.pixel_drift_electrons is not None:
        return state.pixel_drift_electrons
    reads = np.arange(_SLOPE_READS) - (_SLOPE_READS - 1) / 2
    weights = reads / np.sum(reads**2) * (_SLOPE_READS - 1)
    of_reads, of_steps = np.sum(weights**2), np.sum(np.cumsum(weights[::-1])[:-1] ** 2)
    step = _SLOPE_S / (_SLOPE_READS - 1)
    left = total_noise_electrons(detector) ** 2 - of_reads * read_noise_electrons(detector) ** 2
    return float(np.sqrt(max(left / of_steps - state.dark_electrons_per_s * step, 0.0)))


def _draw(
    purpose: str, seed: int, detector: str, window: Window, method: Callable[..., np.ndarray]
) -> np.ndarray:
    first, end = window.y // CHANNEL_WIDTH, (window.y + window.ny) // CHANNEL_WIDTH
    blocks = [
        method(
            generator(purpose, seed, detector, block),
            (CHANNEL_WIDTH, DETECTOR_SIZE),
            dtype=np.float32,
        )
        for block in range(first, end)
    ]
    return np.concatenate(blocks)[:, window.x : window.x + window.nx]

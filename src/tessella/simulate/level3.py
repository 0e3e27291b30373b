"""Level 3 at once: a cell of a coadd from the truth, without the images that it would be made of.

Light is drawn once, on the lattice (`tessella.simulate.coadd_light`): what costs time are sources.
Noise is drawn at the pixels of every image and laid down by the pipeline's own drizzling. That is
exact on every scale, in the seams between images and where drizzling makes patterns; shaping white
noise by the mean correlation is not, and saves little, because weights and variances have to be
drizzled anyway.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np

from tessella.astrometry.pixel_area import nominal_pixel_area_arcsec2
from tessella.astrometry.tangent import sky_to_pixel
from tessella.astrometry.wcs import detector_to_sky
from tessella.coadd.accumulate import Box, ImageRows, empty_sums
from tessella.coadd.block_sums import (
    IMAGES,
    Contribution,
    add_image,
    blocks_of,
    images_of,
    noise_correlation,
    renumbered,
    slots_in,
)
from tessella.coadd.places import Places, places_of
from tessella.coadd.views import View
from tessella.detector.ipc import couple_pixels
from tessella.detector.state import DetectorState
from tessella.instrument.optical_elements import ab_zero_point
from tessella.instrument.performance import read_noise_electrons
from tessella.instrument.read_patterns import read_patterns
from tessella.models import Attitude, ExposureKey, Lattice, Mosaic, Window
from tessella.photometry.calibration import surface_brightness_of_dn
from tessella.psf.model import NOMINAL_PIXEL_ARCSEC
from tessella.randomness import generator
from tessella.simulate.coadd_light import CoaddOptics, Tell, light_on_lattice
from tessella.simulate.image import sky_rate
from tessella.simulate.slope_noise import EffectiveTime, effective_time

_ARCSEC2 = (np.pi / 648000) ** 2
#: Rows of the cell that are summed up at a time; of no influence on the result.
_ROWS = 1280
#: Sources so far outside the cell still light up its edge [arcsec].
_MARGIN_ARCSEC = 24.0


@dataclass(frozen=True)
class CoaddedImage:
    """One image of a planned exposure that a coadd is made of."""

    #: Stem of its file name.
    name: str
    key: ExposureKey
    detector: str
    window: Window
    #: Where it points; coadds are made with the final WCS, which has no error.
    attitude: Attitude
    ma_table_number: int

    def to_sky(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return right ascension and declination [deg] of its pixels."""
        return detector_to_sky(self.attitude, self.detector, self.window.x + x, self.window.y + y)


@dataclass(frozen=True)
class _Noise:
    """The noise of one image of a coadd."""

    image: CoaddedImage
    places: Places
    lattice: Lattice
    state: DetectorState
    #: Of the sky and of dark current in a pixel [electrons / s].
    sky: float
    dark: float
    time: EffectiveTime
    #: That of the median pixel, which images are weighed with.
    median_time: EffectiveTime
    #: Surface brightness of 1 electron / s in the nominal pixel [MJy / sr].
    conversion: float
    #: Keys its draws.
    seed: int
    #: Of sources on the cell [MJy / sr].
    light: np.ndarray

    @cached_property
    def weight(self) -> float:
        """Inverse variance of its empty sky [(MJy / sr)^-2]."""
        current = self.sky + self.dark
        seconds, var_rnoise = self.median_time.at(np.array([current]))
        return float(1 / (self.conversion**2 * (current / seconds + var_rnoise)[0]))

    def rows(self, first: int, stop: int) -> ImageRows:
        """Draw rows of the image without its sources: sky and noise, theirs included."""
        centers = self.places.centers(first, stop)
        column, row = (np.rint(centers[..., axis]).astype(int) for axis in (0, 1))
        ny, nx = self.light.shape
        light = self.light[row.clip(0, ny - 1), column.clip(0, nx - 1)] / self.conversion
        ratio = self._area_ratio(centers)
        current = (light + self.sky) * ratio + self.dark
        seconds, var_rnoise = self.time.at(current)
        good = np.isfinite(seconds)
        seconds = np.where(good, seconds, 1.0)
        numbers: tuple[int | str, ...] = (
            self.seed,
            *self.image.key.seed,
            self.image.detector,
            first,
        )
        photons = generator("level 3 photons", *numbers).poisson(current * seconds) / seconds
        noise = couple_pixels(photons - current, np.array(self.state.ipc_kernel))
        rng = generator("level 3 read noise", *numbers)
        noise += np.sqrt(np.where(good, var_rnoise, 0.0)) * rng.standard_normal(noise.shape)
        # The flat field takes out how much of the sky a pixel sees.
        unit = self.conversion / ratio
        return ImageRows(
            first,
            (self.sky * self.conversion + noise * unit).astype(np.float32),
            (current / seconds * unit**2).astype(np.float32),
            np.where(good, var_rnoise * unit**2, 0.0).astype(np.float32),
            good,
        )

    def _area_ratio(self, centers: np.ndarray) -> np.ndarray:
        """Return the solid angle of pixels over the nominal one of the detector."""
        across, up = np.gradient(centers, axis=1), np.gradient(centers, axis=0)
        area = np.abs(across[..., 0] * up[..., 1] - across[..., 1] * up[..., 0])
        nominal = nominal_pixel_area_arcsec2(self.image.detector) * _ARCSEC2
        return area * (self.lattice.pixel_area_sr / nominal)


def simulate_mosaic(
    truth: np.ndarray,
    images: Sequence[CoaddedImage],
    lattice: Lattice,
    optical_element: str,
    state: DetectorState,
    zodiacal_factor: float,
    pixfrac: float,
    seed: int,
    tell: Tell | None = None,
) -> Mosaic:
    """Make a cell of a coadd of planned exposures.

    Parameters
    ----------
    truth : structured ndarray
        Sources at the exposures' epoch, with the columns of `tessella.simulate.scene.truth_dtype`.
    images : sequence of CoaddedImage
        Those that may fall on the cell; the others play no part.
    lattice : Lattice
        Of the cell.
    optical_element : str
        RAD name of a filter.
    state : DetectorState
        What detectors are like: its medians stand for all pixels.
    zodiacal_factor : float
        Zodiacal light over its minimum. The sky stays in the coadd, as that of the darkest image
        does in a processed one.
    pixfrac : float
        Side of the drop over the side of the pixel.
    seed : int
        Of the whole simulation; draws are keyed by exposure, detector and rows besides.
    tell : callable, optional
        Called with the number of sources that are drawn, and that of all.

    Returns
    -------
    Mosaic
        NaN where no image lies; images of which all pixels miss the cell are no members.

    Raises
    ------
    ValueError
        If no image is given, or one does not lie near the lattice.

    Examples
    --------
    >>> # mosaic = simulate_mosaic(truth, images, lattice, "F158", state, 1.5, 1.0, seed=1)
    """
    if not images:
        raise ValueError("images: none is given; a coadd is made of at least one")
    box = Box(0, 0, lattice.nx, lattice.ny)
    placed = [(item, places_of(item.to_sky, item.window.active_shape, lattice)) for item in images]
    placed = [(item, places) for item, places in placed if box.overlaps(places.box)]
    noise = partial(_noise_of, lattice, optical_element, state, zodiacal_factor, seed)
    dark_sky = np.zeros((1, 1), np.float32)
    weights = [noise(item, places, dark_sky).weight for item, places in placed]
    light = np.zeros(lattice.shape, np.float32)
    if placed:
        views = [
            View(item.detector, item.window, item.attitude, weight)
            for (item, _), weight in zip(placed, weights, strict=True)
        ]
        rows = truth[near(lattice, truth)]
        seen = np.stack([view.sees(rows["ra"], rows["dec"]) for view in views], axis=-1)
        optics = CoaddOptics(
            lattice, optical_element, views, state.blur, np.array(state.ipc_kernel), pixfrac
        )
        light = light_on_lattice(rows, seen, optics, tell)
    parts = [noise(item, places, light) for item, places in placed]
    return _summed(parts, light, box, lattice, optical_element, pixfrac)


def near(lattice: Lattice, truth: np.ndarray) -> np.ndarray:
    """Tell which sources light up a cell, (n,) bool."""
    margin = _MARGIN_ARCSEC / lattice.pixel_scale_arcsec
    x, y = sky_to_pixel(lattice, truth["ra"], truth["dec"])
    inside = (x > -margin) & (x < lattice.nx + margin) & (y > -margin) & (y < lattice.ny + margin)
    return np.asarray(inside)


def _noise_of(
    lattice: Lattice,
    element: str,
    state: DetectorState,
    zodiacal_factor: float,
    seed: int,
    image: CoaddedImage,
    places: Places,
    light: np.ndarray,
) -> _Noise:
    nominal = nominal_pixel_area_arcsec2(image.detector)
    return _Noise(
        image=image,
        places=places,
        lattice=lattice,
        state=state,
        sky=float(sky_rate(element, zodiacal_factor, nominal / NOMINAL_PIXEL_ARCSEC**2)),
        # The mean of numbers whose logarithm scatters.
        dark=state.dark_electrons_per_s * float(np.exp(state.dark_scatter**2 / 2)),
        time=slope_noise_of(state, image.detector, image.ma_table_number),
        median_time=slope_noise_of(
            replace(state, read_noise_scatter=0.0), image.detector, image.ma_table_number
        ),
        conversion=surface_brightness_of_dn(
            ab_zero_point(image.detector, element), 1.0, nominal * _ARCSEC2
        ),
        seed=seed,
        light=light,
    )


def slope_noise_of(state: DetectorState, detector: str, ma_table_number: int) -> EffectiveTime:
    """Return the noise of the slopes of a typical pixel, its read noise the mean square of all."""
    gain = state.gain_electrons_per_dn
    single = state.read_noise_electrons
    if single is None:
        single = read_noise_electrons(detector)
    shared = np.hypot(state.correlated_noise_dn, state.channel_noise_dn) * gain
    read_noise = float(np.hypot(single * np.exp(state.read_noise_scatter**2), shared))
    # Charge whose counts, less by the nonlinearity, are at the end of the scale.
    counts = state.saturation_dn + state.nonlinearity_per_dn * state.saturation_dn**2
    electrons = (counts - state.pedestal_dn) * gain
    return effective_time(read_patterns()[ma_table_number], read_noise, electrons)


def _summed(
    parts: Sequence[_Noise],
    light: np.ndarray,
    box: Box,
    lattice: Lattice,
    element: str,
    pixfrac: float,
) -> Mosaic:
    """Add up the noise of all images, and the light."""
    items = [
        Contribution(
            part.image.name,
            part.places,
            part.weight,
            read_patterns()[part.image.ma_table_number].exposure_time,
            level=0.0,
            slope_x=0.0,
            slope_y=0.0,
            outliers=np.zeros(0, np.int64),
            slot=k,
        )
        for k, part in enumerate(parts)
    ]
    cells = np.array([[0, 0, box.nx, box.ny]], np.int64)
    products: list[Any] = [0] * len(parts)
    images = {name: np.empty(lattice.shape, np.float32) for name in IMAGES}
    contexts = []
    for block in blocks_of(box, 0, box.ny, _ROWS, box.nx):
        sums = empty_sums(block, len(parts))
        terms = np.zeros((*block.shape, 4), np.float32)
        for k, (part, item) in enumerate(zip(parts, items, strict=True)):
            products[k] = products[k] + add_image(sums, terms, item, part.rows, pixfrac, cells)[0]
        rows = np.s_[block.y0 : block.y0 + block.ny]
        for name, values in images_of(sums).items():
            images[name][rows] = values
        contexts.append(sums.context)
    images["data"] += light
    context = np.concatenate(contexts, axis=1)
    slots = sorted(slots_in(context))
    return Mosaic(
        lattice=lattice,
        optical_element=element,
        **images,
        context=renumbered(context, slots),
        noise_correlation=noise_correlation((items[k].weight, products[k]) for k in slots),
        members=tuple(items[k].name for k in slots),
        meta={"inputs": [{"name": items[k].name, "weight": items[k].weight} for k in slots]},
    )

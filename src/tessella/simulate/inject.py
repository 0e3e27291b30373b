"""Known sources added to images and coadds that were observed, with the noise of their light.

Both levels do the same: light is drawn as the simulator draws it, its photons are counted, and the
noise of their number, correlated as that of the pixels, is added with its variance.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.fft import irfft2, next_fast_len, rfft2

from tessella import flags
from tessella.astrometry.pixel_area import nominal_pixel_area_arcsec2, relative_pixel_area
from tessella.astrometry.tangent import sky_to_pixel
from tessella.astrometry.wcs import sky_to_detector
from tessella.coadd.views import View
from tessella.detector.ipc import couple_pixels
from tessella.detector.state import DetectorState
from tessella.instrument.optical_elements import ab_zero_point
from tessella.instrument.read_patterns import read_patterns
from tessella.models import Image, Mosaic
from tessella.photometry.calibration import surface_brightness_of_dn
from tessella.randomness import generator
from tessella.simulate.coadd_light import CoaddOptics, Tell, light_on_lattice
from tessella.simulate.image import rate_image
from tessella.simulate.level3 import near, slope_noise_of
from tessella.simulate.observation import pixels_per_arcsec, sources_on

_ARCSEC2 = (np.pi / 648000) ** 2


@dataclass(frozen=True)
class Placed:
    """Where injected sources lie in an image; arrays (n,)."""

    #: Pixels, 0-based.
    x: np.ndarray
    y: np.ndarray
    #: Whether the middle of a source lies on a pixel that was measured.
    is_measured: np.ndarray


def with_light(
    data: np.ndarray,
    var_poisson: np.ndarray,
    light: np.ndarray,
    variance: np.ndarray,
    correlation: np.ndarray,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Add light and the noise of its photons.

    Parameters
    ----------
    data, var_poisson : ndarray of shape (ny, nx)
        An image and its variance by photons; NaN stays.
    light : ndarray of shape (ny, nx)
        Expected light, in the unit of `data`; not negative.
    variance : ndarray of shape (ny, nx)
        Of the number of its photons, in the unit of `data` squared; ``light**2 / variance`` are
        the photons.
    correlation : ndarray of shape (2 n + 1, 2 m + 1)
        Of the noise of two pixels by their offset; 1 in the middle.
    rng : Generator

    Returns
    -------
    data, var_poisson : ndarray of shape (ny, nx)

    Examples
    --------
    >>> none, light = np.zeros((50, 50)), np.full((50, 50), 4.0)
    >>> rng = generator("example", 1)
    >>> data, variance = with_light(none, none, light, light / 100, np.ones((1, 1)), rng)
    >>> round(float(data.mean()), 1), float(variance[0, 0])
    (4.0, 0.04)
    """
    shines = (light > 0) & (variance > 0)
    photons = np.where(shines, light**2 / np.where(shines, variance, 1.0), 0.0)
    spread = np.sqrt(np.where(shines, photons, 1.0))
    unit = (rng.poisson(photons) - photons) / spread
    noise = np.sqrt(np.where(shines, variance, 0.0)) * correlated(unit, correlation)
    return data + light + noise, var_poisson + np.where(shines, variance, 0.0)


def correlated(noise: np.ndarray, correlation: np.ndarray) -> np.ndarray:
    """Shape white noise by the square root of its wanted correlation; its variance stays.

    Examples
    --------
    >>> white = generator("example", 2).standard_normal((256, 256))
    >>> shaped = correlated(white, np.array([[0.0, 0.0, 0.0], [0.3, 1.0, 0.3], [0.0, 0.0, 0.0]]))
    >>> round(float((shaped[:, 1:] * shaped[:, :-1]).mean()), 1), round(float(shaped.var()), 1)
    (0.3, 1.0)
    """
    half_y, half_x = (n // 2 for n in correlation.shape)
    if half_y == half_x == 0:
        return noise
    # Room around the noise: what leaves one side must not come in at the other.
    shape = tuple(
        next_fast_len(n + 2 * half, real=True)
        for n, half in zip(noise.shape, (half_y, half_x), strict=True)
    )
    wrapped = np.zeros(shape)
    wrapped[: correlation.shape[0], : correlation.shape[1]] = correlation
    power = rfft2(np.roll(wrapped, (-half_y, -half_x), (0, 1))).real
    # A correlation that was measured to some digits may dip below zero by them.
    shaped = irfft2(rfft2(noise, shape) * np.sqrt(np.maximum(power, 0.0)), shape)
    return np.asarray(shaped[: noise.shape[0], : noise.shape[1]])


def inject_into_image(
    image: Image,
    truth: np.ndarray,
    ma_table_number: int,
    state: DetectorState,
    key: Sequence[int | str],
) -> tuple[Image, Placed]:
    """Add sources to a Level 2 image, by its attitude and its zero point.

    Parameters
    ----------
    image : Image
        In DN / s, or in MJy / sr with a conversion of 1.
    truth : structured ndarray of shape (n,)
        With the columns of `tessella.simulate.scene.truth_dtype`.
    ma_table_number : int
        Of its exposure.
    state : DetectorState
        Capacitance, blur, saturation and typical noise.
    key : sequence of int or str
        Keys the draws.

    Returns
    -------
    image : Image
        Pixels that the added light saturates before they have a slope are NaN, with SATURATED and
        DO_NOT_USE. Read noise stays; the fit would give a brighter pixel a little more of it.
    placed : Placed

    Raises
    ------
    KeyError
        If the MultiAccum table is not known.

    Examples
    --------
    >>> # image, placed = inject_into_image(image, truth, 3, state, (1, "F158"))
    """
    detector, element, window = image.detector, image.optical_element, image.window
    sources = sources_on(truth, image.attitude, detector, window, element, state.chromatic_psf)
    rates = rate_image(
        sources,
        pixels_per_arcsec(image.attitude, detector, window),
        window,
        detector,
        element,
        state.blur,
    )
    rates = np.maximum(couple_pixels(rates, np.array(state.ipc_kernel)), 0.0)
    # In the unit of the image, of 1 electron / s in a nominal pixel.
    unit = surface_brightness_of_dn(ab_zero_point(detector, element), 1.0, image.pixel_area_sr)
    unit = unit / image.conversion_megajanskys
    per_rate = unit / relative_pixel_area(detector, window)
    before = np.maximum(np.nan_to_num(image.data), 0.0) / per_rate
    seconds, _ = slope_noise_of(state, detector, ma_table_number).at(before + rates)
    is_lost = ~np.isfinite(seconds) & (rates > 0)
    variance = np.where(is_lost, 0.0, rates / np.where(is_lost, 1.0, seconds)) * per_rate**2
    rng = generator("injected into level 2", *key)
    white = np.ones((1, 1))
    data, var_poisson = with_light(
        image.data, image.var_poisson, rates * per_rate, variance, white, rng
    )
    lost = np.where(is_lost, flags.SATURATED | flags.DO_NOT_USE, 0).astype(np.uint32)
    changed = replace(
        image,
        data=np.where(is_lost, np.nan, data),
        var_poisson=var_poisson,
        err=np.sqrt(var_poisson + image.var_rnoise + image.var_flat),
        dq=image.dq | lost,
    )
    x, y = sky_to_detector(image.attitude, detector, truth["ra"], truth["dec"])
    return changed, _placed(x - window.x, y - window.y, (changed.dq & flags.DO_NOT_USE) == 0)


def inject_into_mosaic(
    mosaic: Mosaic,
    views: Sequence[View],
    truth: np.ndarray,
    ma_table_number: int,
    pixfrac: float,
    state: DetectorState,
    key: Sequence[int | str],
    tell: Tell | None = None,
) -> tuple[Mosaic, Placed]:
    """Add sources to a coadd, through the mean PSF of the images that count where they lie.

    Parameters
    ----------
    mosaic : Mosaic
    views : sequence of View
        Its images, in the order of the bits of its context.
    truth : structured ndarray of shape (n,)
        With the columns of `tessella.simulate.scene.truth_dtype`.
    ma_table_number : int
        Of its exposures.
    pixfrac : float
        Drop of the coadd.
    state : DetectorState
        Capacitance, blur, saturation and typical noise.
    key : sequence of int or str
        Keys the draws.
    tell : callable, optional
        As in `tessella.simulate.coadd_light.light_on_lattice`.

    Returns
    -------
    mosaic : Mosaic
    placed : Placed

    Raises
    ------
    ValueError
        If there is not one view for each of its members.

    Examples
    --------
    >>> # mosaic, placed = inject_into_mosaic(mosaic, views, truth, 3, 1.0, state, (1,))
    """
    if len(views) != len(mosaic.members) or not views:
        raise ValueError(
            f"views: {len(views)} for {len(mosaic.members)} members; expected one for each, and one"
        )
    lattice, element = mosaic.lattice, mosaic.optical_element
    x, y = sky_to_pixel(lattice, truth["ra"], truth["dec"])
    close = near(lattice, truth)
    optics = CoaddOptics(lattice, element, views, state.blur, np.array(state.ipc_kernel), pixfrac)
    seen = _members_at(mosaic.context, len(views), x[close], y[close])
    light = np.maximum(light_on_lattice(truth[close], seen, optics, tell), 0.0).astype(float)
    detector = views[0].detector
    unit = surface_brightness_of_dn(
        ab_zero_point(detector, element), 1.0, nominal_pixel_area_arcsec2(detector) * _ARCSEC2
    )
    seconds, _ = slope_noise_of(
        replace(state, saturation_dn=1e9, nonlinearity_per_dn=0.0), detector, ma_table_number
    ).at(light / unit)
    # The exposure time of a pixel counts photons as long as slopes of one exposure do.
    share = seconds / read_patterns()[ma_table_number].exposure_time
    with np.errstate(divide="ignore", invalid="ignore"):
        counting = share * mosaic.exposure_time.astype(float)
        variance = np.where(counting > 0, light * unit / counting, 0.0)
    variance *= _overlap(mosaic)
    rng = generator("injected into level 3", *key)
    data, var_poisson = with_light(
        mosaic.data, mosaic.var_poisson, light, variance, mosaic.noise_correlation, rng
    )
    changed = replace(
        mosaic,
        data=data.astype(np.float32),
        var_poisson=var_poisson.astype(np.float32),
        err=np.sqrt(var_poisson + mosaic.var_rnoise).astype(np.float32),
    )
    return changed, _placed(x, y, np.isfinite(mosaic.data))


def _overlap(mosaic: Mosaic) -> float:
    """Return how much less noise a lattice pixel has than its exposure time tells.

    With overlaps a, weights w = 1 / v and variances v of the detector's pixels, a pixel's variance
    is (sum of a^2 w) / (sum of a w)^2; times its weight, the sum of a w, that is the mean of a.
    """
    known = mosaic.weight > 0
    variance = mosaic.var_poisson[known].astype(float) + mosaic.var_rnoise[known]
    return float(np.median(variance * mosaic.weight[known]))


def _members_at(context: np.ndarray, n: int, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return which members count at some places, (n_places, n) bool; none outside."""
    ny, nx = context.shape[1:]
    column, row = np.rint(x).astype(int), np.rint(y).astype(int)
    inside = (column >= 0) & (column < nx) & (row >= 0) & (row < ny)
    bits = context[:, row.clip(0, ny - 1), column.clip(0, nx - 1)]
    members = np.stack([(bits[k // 32] >> np.uint32(k % 32)) & 1 for k in range(n)], axis=-1)
    return (members == 1) & inside[:, None]


def _placed(x: np.ndarray, y: np.ndarray, good: np.ndarray) -> Placed:
    ny, nx = good.shape
    known = np.isfinite(x) & np.isfinite(y)
    column = np.rint(np.where(known, x, -9)).astype(int)
    row = np.rint(np.where(known, y, -9)).astype(int)
    inside = (column >= 0) & (column < nx) & (row >= 0) & (row < ny)
    return Placed(x, y, inside & good[row.clip(0, ny - 1), column.clip(0, nx - 1)])

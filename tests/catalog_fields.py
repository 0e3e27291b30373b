"""Fields for tests of the catalog: Gaussian stars on noise of known correlation."""

import numpy as np
from scipy.signal import fftconvolve

from tessella.models import Lattice, Mosaic
from tessella.photometry.band import Band, EncircledEnergy, prepare_band
from tessella.psf.coadd import HALF_PIXELS, OVERSAMPLE, CoaddPsf
from tessella.randomness import generator
from tessella.sources.detect import detect
from tessella.sources.detection import Detection

#: White noise convolved with this is correlated as after drizzling.
NOISE_KERNEL = np.outer([0.5, 1.0, 0.5], [0.5, 1.0, 0.5])
#: Standard deviation of a star [pixels]; FWHM of 0.155 arcsec.
STAR_SIGMA = 1.2
#: What apertures with exact overlap see: pixels are taken as evenly bright squares.
SEEN_SIGMA = np.hypot(STAR_SIGMA, 12**-0.5)
SCALE = 0.055
#: 1 MJy / sr over one pixel [nJy].
TO_NJY = (SCALE * np.pi / 648000) ** 2 * 1e15
DETECTION_OPTIONS = {
    "background_box_pixels": 100,
    "kernel_fwhm_pixels": 2.8,
    "threshold_sigma": 5.0,
    "n_pixels": 5,
    "deblend_contrast": 0.005,
}
BAND_OPTIONS = {"background_box_pixels": 100, "source_margin_pixels": 6}


def correlation() -> np.ndarray:
    """Correlation of noise convolved with `NOISE_KERNEL`."""
    full = fftconvolve(NOISE_KERNEL, NOISE_KERNEL)
    return full / full.max()


def noise(shape: tuple[int, int], sigma: float, *key: int | str) -> np.ndarray:
    """Draw correlated noise of standard deviation `sigma`."""
    ny, nx = shape
    white = generator("test noise", *key).normal(size=(ny + 2, nx + 2))
    return sigma * fftconvolve(white, NOISE_KERNEL, mode="valid") / np.sqrt(np.sum(NOISE_KERNEL**2))


def stars(shape: tuple[int, int], x, y, flux, sigma: float = STAR_SIGMA) -> np.ndarray:
    """Draw Gaussian stars of `flux` (sum of pixels)."""
    image = np.zeros(shape)
    half = int(6 * sigma) + 1
    for x0, y0, f in zip(x, y, flux, strict=True):
        ix, iy = round(x0), round(y0)
        rows = np.arange(max(iy - half, 0), min(iy + half + 1, shape[0]))
        columns = np.arange(max(ix - half, 0), min(ix + half + 1, shape[1]))
        profile = np.exp(-0.5 * ((rows[:, None] - y0) ** 2 + (columns - x0) ** 2) / sigma**2)
        image[rows[:, None], columns] += f * profile / (2 * np.pi * sigma**2)
    return image


def mosaic(data: np.ndarray, sigma: float = 1.0, element: str = "F158", **changes) -> Mosaic:
    """Wrap an image of constant noise."""
    ny, nx = data.shape
    one = np.ones(data.shape, dtype=np.float32)
    planes = {
        "err": sigma * one,
        "var_poisson": 0.5 * sigma**2 * one,
        "var_rnoise": 0.5 * sigma**2 * one,
        "weight": one,
        "context": np.ones((1, ny, nx), np.uint32),
        "exposure_time": 100.0 * one,
        "noise_correlation": correlation(),
        "lattice": Lattice(10.0, 60.0, 500.5, -200.5, SCALE, nx, ny),
    }
    return Mosaic(optical_element=element, data=data.astype(np.float32), **(planes | changes))


def grid(shape: tuple[int, int], pitch: int, *key: int | str) -> tuple[np.ndarray, np.ndarray]:
    """Positions on a grid, each moved by a random part of a pixel."""
    ny, nx = shape
    y, x = np.meshgrid(np.arange(pitch, ny - pitch, pitch), np.arange(pitch, nx - pitch, pitch))
    moves = generator("test positions", *key).uniform(-0.5, 0.5, size=(2, y.size))
    return x.ravel() + moves[0], y.ravel() + moves[1]


def encircled_energy() -> EncircledEnergy:
    """Encircled energy of the stars."""
    radii = np.array([0.1, 0.2, 0.4, 0.8, 1.6])
    return EncircledEnergy(radii, 1 - np.exp(-0.5 * (radii / SCALE / SEEN_SIGMA) ** 2))


def star_psf(sigma: float = STAR_SIGMA) -> CoaddPsf:
    """Return the PSF of the stars, of one image that sees all."""
    axis = np.arange(-OVERSAMPLE * HALF_PIXELS, OVERSAMPLE * HALF_PIXELS + 1) / OVERSAMPLE
    stamp = np.exp(-0.5 * (axis[:, None] ** 2 + axis**2) / sigma**2) / (2 * np.pi * sigma**2)
    ends = np.array([0.0, 5000.0])
    return CoaddPsf(ends, ends, stamp[None], np.zeros((1, 2, 2), int), np.ones(1))


def measured_field(n: int, pitch: int, flux: float, n_bands: int = 3, sky: float = 2.0):
    """Draw a field of equal stars, detect them, prepare its first band."""
    x, y = grid((n, n), pitch, n)
    image = stars((n, n), x, y, np.full(x.size, flux)) + sky
    mosaics = [
        mosaic(noise((n, n), 1.0, n, element) + image, element=element)
        for element in ("F158", "F129", "F106")[:n_bands]
    ]
    detection = detect(mosaics, **DETECTION_OPTIONS)
    return x, y, mosaics, detection, band(mosaics[0], detection)


def band(image: Mosaic, detection: Detection) -> Band:
    """Prepare one band with the usual options."""
    return prepare_band(image, detection, encircled_energy(), star_psf(), **BAND_OPTIONS)

"""The point-spread function as the instrument's design predicts it, and its image on pixels.

The optics are those of `galsim.roman` (aberrations and pupils of the mission's Cycle 9 design;
Rowe et al. 2015, Astronomy and Computing 10, 121. doi:10.1016/j.ascom.2015.02.002).

Orientation: one pupil serves all 18 detectors in the axes of the focal plane, to which the
science frames of the SIAF are all parallel, so an image needs no turn. Field positions do:
`galsim.roman` counts pixels in each detector's raw frame, the science frame with its columns
(detectors 3, 6, 9 ...) or its rows (all others) reversed.
"""

from functools import cache, lru_cache

import galsim
import galsim.roman
import numpy as np

from tessella.detector.state import Blur
from tessella.instrument.optical_elements import filters
from tessella.instrument.siaf import ACTIVE_SIZE

#: Side of a pixel in which `galsim.roman` describes the optics [arcsec], and in the detector [um].
NOMINAL_PIXEL_ARCSEC = 0.11
PIXEL_UM = 10.0
#: Standard deviation of the Gaussian window in which catalogs weigh a star [arcsec].
# ASSUME: that of the windowed centroid of stars on the detection image of three bands.
CATALOG_WINDOW_ARCSEC = 0.15
_CENTROID_STEPS = 60
#: Pupil images are averaged over so many pixels; the spikes are still right to 1 % of themselves.
_PUPIL_BIN = 8


@cache
def effective_wavelength_nm(optical_element: str) -> float:
    """Return the effective wavelength of a filter [nm].

    Examples
    --------
    >>> round(effective_wavelength_nm("F158"))
    1579
    """
    return float(_bandpass(optical_element).effective_wavelength)


@cache
def wavelength_spread_nm(optical_element: str) -> float:
    """Return the root mean square distance of a filter's light from its effective wavelength [nm].

    For as many photons at every wavelength.

    Examples
    --------
    >>> round(wavelength_spread_nm("F158"))
    115
    """
    band = _bandpass(optical_element)
    wavelengths = np.arange(band.blue_limit, band.red_limit, 1.0)
    passed = band(wavelengths)
    distance = wavelengths - effective_wavelength_nm(optical_element)
    return float(np.sqrt(np.sum(passed * distance**2) / np.sum(passed)))


def _bandpass(optical_element: str) -> galsim.Bandpass:
    bandpasses = galsim.roman.getBandpasses(AB_zeropoint=False)
    return bandpasses[filters()[optical_element].letter_name]


def field_position(detector: str, x: float, y: float) -> galsim.PositionD:
    """Return a position of the science frame (0-based) in galsim's raw frame (1-based)."""
    if int(detector[3:]) % 3 == 0:
        return galsim.PositionD(ACTIVE_SIZE - x, y + 1)
    return galsim.PositionD(x + 1, ACTIVE_SIZE - y)


@lru_cache(maxsize=64)
def optical_psf(
    detector: str,
    optical_element: str,
    x: float,
    y: float,
    blur: Blur,
    wavelength_nm: float | None = None,
) -> galsim.GSObject:
    """Return the image of a point source before pixels sample it.

    The image is centred: the Gaussian that fits it best, after the pixel, stands at the origin.
    Coma moves the light against the ray that the design calls central; on the sky that shift is
    part of the distortion, which refers to what is measured.

    Parameters
    ----------
    detector : str
        RAD name, such as ``WFI01``.
    optical_element : str
        RAD name of a filter, such as ``F158``.
    x, y : float
        Position in the 4088 x 4088 frame, 0-based.
    blur : Blur
        Jitter, diffusion of charge and defocus.
    wavelength_nm : float, optional
        Of the light [nm]; None takes the effective wavelength of the filter for all of it.

    Returns
    -------
    galsim.GSObject
        Flux 1; x and y of the science frame in units of 0.11 arcsec a pixel.

    Examples
    --------
    >>> optics = optical_psf("WFI01", "F158", 2043.5, 2043.5, Blur(8.0, 2.94))
    >>> round(float(optics.flux), 6)
    1.0
    """
    optics = galsim.roman.getPSF(
        int(detector[3:]),
        filters()[optical_element].letter_name,
        SCA_pos=field_position(detector, x, y),
        pupil_bin=_PUPIL_BIN,
        wavelength=wavelength_nm or effective_wavelength_nm(optical_element),
        # Piston, two tilts and the defocus that comes on top of the design's, in waves of 1293 nm.
        extra_aberrations=[0.0, 0.0, 0.0, 0.0, blur.defocus_waves],
    )
    diffusion = blur.charge_diffusion_um / PIXEL_UM * NOMINAL_PIXEL_ARCSEC
    sigma = np.hypot(blur.jitter_mas / 1000, diffusion)
    if sigma > 0:
        optics = galsim.Convolve(optics, galsim.Gaussian(sigma=sigma))
    dx, dy = _core_centroid(optics)
    return optics.shift(-dx, -dy)


def _core_centroid(optics: galsim.GSObject) -> tuple[float, float]:
    """Fit a Gaussian to the image on pixels; its centre [arcsec]."""
    scale = NOMINAL_PIXEL_ARCSEC / 4
    pixelated = galsim.Convolve(optics, galsim.Pixel(NOMINAL_PIXEL_ARCSEC))
    image = pixelated.drawImage(nx=121, ny=121, scale=scale, method="no_pixel", dtype=float)
    offset = galsim.hsm.FindAdaptiveMom(image).moments_centroid - image.true_center
    return offset.x * scale, offset.y * scale


def effective_psf(
    optics: galsim.GSObject,
    ipc_kernel: np.ndarray | None,
    oversample: int = 4,
    size_pixels: int = 44,
) -> np.ndarray:
    """Draw the effective PSF: what a pixel shows of a point source, by the pixel's offset from it.

    The optics are integrated over a pixel and spread by the inter-pixel capacitance, then
    sampled finer than the pixels (Anderson & King 2000, PASP 112, 1360. doi:10.1086/316632).

    Parameters
    ----------
    optics : galsim.GSObject
        From `optical_psf`.
    ipc_kernel : ndarray of shape (3, 3), optional
        Share of a pixel's signal that its neighbours show, ``[dy + 1, dx + 1]``; None for none.
    oversample : int
        Samples in a pixel, per axis.
    size_pixels : int
        Side of the stamp [pixels].

    Returns
    -------
    ndarray of shape (n, n), n = oversample * size_pixels + 1 (made odd)
        The point source is at the middle sample. A sample is the share of the source's signal in
        a pixel centred there; over an infinite stamp they add up to ``oversample**2``. What lies
        outside the stamp is not put back.

    Examples
    --------
    >>> optics = optical_psf("WFI01", "F158", 2043.5, 2043.5, Blur(8.0, 2.94))
    >>> effective_psf(optics, None).shape
    (177, 177)
    """
    n = 2 * (oversample * size_pixels // 2) + 1
    wide = n + 2 * oversample
    pixelated = galsim.Convolve(optics, galsim.Pixel(NOMINAL_PIXEL_ARCSEC))
    scale = NOMINAL_PIXEL_ARCSEC / oversample
    image = pixelated.drawImage(nx=wide, ny=wide, scale=scale, method="no_pixel", dtype=float)
    samples = image.array * oversample**2
    kernel = np.zeros((3, 3)) if ipc_kernel is None else np.asarray(ipc_kernel, float)
    if ipc_kernel is None:
        kernel[1, 1] = 1
    stamp = np.zeros((n, n))
    for row in range(3):
        for column in range(3):
            y, x = (2 - row) * oversample, (2 - column) * oversample
            stamp += kernel[row, column] * samples[y : y + n, x : x + n]
    return stamp


def centred_as_catalogs_are(
    optics: galsim.GSObject, pixfrac: float, output_pixel_arcsec: float = 0.055
) -> galsim.GSObject:
    """Move an image so that the centroid which catalogs of coadds measure stands at the origin.

    Coma makes the place of a star depend on the window in which its light is weighed (by 10
    mas between narrow and wide ones). Exposures that are aligned with stars placed by this
    convention give catalogs whose windowed centroids are on the sky's frame.

    Parameters
    ----------
    optics : GSObject
        In arcseconds, before the pixel.
    pixfrac : float
        Drop of the coadds.
    output_pixel_arcsec : float
        Side of their pixels [arcsec].
    """
    boxes = (NOMINAL_PIXEL_ARCSEC, pixfrac * NOMINAL_PIXEL_ARCSEC, output_pixel_arcsec)
    in_coadd = galsim.Convolve(optics, *(galsim.Pixel(side) for side in boxes))
    scale = output_pixel_arcsec / 2
    n = 2 * round(4 * CATALOG_WINDOW_ARCSEC / scale) + 1
    image = in_coadd.drawImage(nx=n, ny=n, scale=scale, method="no_pixel", dtype=float).array
    axis = (np.arange(n) - n // 2) * scale
    x = y = 0.0
    for _ in range(_CENTROID_STEPS):
        across, up = axis - x, (axis - y)[:, None]
        weighted = image * np.exp(-(across**2 + up**2) / (2 * CATALOG_WINDOW_ARCSEC**2))
        x += 2 * float((weighted * across).sum() / weighted.sum())
        y += 2 * float((weighted * up).sum() / weighted.sum())
    return optics.shift(-x, -y)

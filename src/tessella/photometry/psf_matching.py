"""Colours of equal parts of sources: bands of different sharpness made equal.

A band that is sharper than the reference is convolved to its PSF. Of a band that is less sharp the
reference is convolved to that one's, and the band's fluxes are multiplied by what the reference
loses by it: nothing is ever made sharper.

The kernel that takes one PSF to a wider one is the ratio of their spectra, damped where the narrow
one has none: ``K = T conj(I) / (|I|^2 + e max |I|^2)``, the Wiener filter for a constant ratio of
noise to signal (Alard & Lupton 1998, doi:10.1086/305984, fit such kernels to images instead). Light
that either PSF throws beyond its stamp (1.8 arcsec) takes no part: within that, a matched star has
the light of the wider PSF.

A coadd's PSF changes where other images count. Kernels are made for blocks of pixels, each from the
images that count in it.
"""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
from scipy import fft
from scipy.signal import fftconvolve

from tessella.instrument.optical_elements import filters
from tessella.photometry.apertures import APERTURES, annulus_background, circular_apertures
from tessella.photometry.band import Band
from tessella.photometry.noise import variance_ratio
from tessella.photometry.profiles import kron_flux, segment_flux
from tessella.psf.coadd import OVERSAMPLE
from tessella.sources.detect import sum_centred, trimmed

#: What is measured of matched bands.
MATCHED = tuple(
    f"{kind}_flux{suffix}"
    for kind in ("aper_bkg", *(f"aper{digits}" for digits in APERTURES), "segment", "kron")
    for suffix in ("", "_err")
)
#: Damping of the kernel's spectrum, over the largest power of the narrow PSF.
_DAMPING = 1e-6
#: Side of the blocks of one kernel [pixels]; which images count is told by a grid of pixels.
_BLOCK, _EVERY = 1024, 16
#: Half side of the part of a kernel that moves noise about [pixels].
_REACH = 8
#: A pixel is known if no more than this share of what it is made of is unknown.
_UNKNOWN = 0.01


def matched_photometry(band: Band, columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Measure a band as if it had the PSF of the reference.

    Parameters
    ----------
    band : Band
        Sharper than its reference where its filter is bluer; the reference's own fluxes are taken
        where it has none.
    columns : mapping
        What was measured before, its own fluxes included.

    Returns
    -------
    dict of (n,) arrays
        Fluxes in apertures, segments and Kron ellipses, the background in an annulus, and errors,
        as those of the band itself.

    Examples
    --------
    >>> # matched_photometry(band, columns)["kronm_flux"]
    """
    own = {name: np.asarray(columns[name]) for name in MATCHED}
    reference = band.reference
    if reference is not None and _is_wider(reference, band):
        own = _fluxes(matched_to(band, reference), columns)
    elif reference is not None:
        sharp, blurred = (_fluxes(one, columns) for one in (reference, matched_to(reference, band)))
        for name in MATCHED:
            flux = name.removesuffix("_err")
            if flux != "aper_bkg_flux":
                with np.errstate(divide="ignore", invalid="ignore"):
                    gain = np.where(blurred[flux] > 0, sharp[flux] / blurred[flux], np.nan)
                own[name] = own[name] * np.where(gain > 0, gain, np.nan)
    return {matched_name(name): values for name, values in own.items()}


def matched_name(name: str) -> str:
    """Return the name of a matched flux, without its band.

    Examples
    --------
    >>> matched_name("kron_flux_err")
    'kronm_flux_err'
    """
    return name.replace("_flux", "m_flux")


def _is_wider(first: Band, second: Band) -> bool:
    wavelengths = [filters()[band.optical_element].wavelength_center for band in (first, second)]
    return wavelengths[0] > wavelengths[1]


def _fluxes(band: Band, columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    found = circular_apertures(band, columns) | annulus_background(band, columns)
    found |= segment_flux(band, columns) | kron_flux(band, columns)
    return {name: found[name] for name in MATCHED}


def matching_kernel(narrow: np.ndarray, wide: np.ndarray) -> np.ndarray:
    """Return the kernel that takes one PSF to another.

    Parameters
    ----------
    narrow, wide : ndarray of shape (n, n)
        What pixels show of a star in the middle one; n odd.

    Returns
    -------
    ndarray of shape (n, n)
        Its sum is that of `wide` over that of `narrow`.

    Examples
    --------
    >>> axis = np.arange(-15, 16)
    >>> square = axis[:, None] ** 2 + axis**2
    >>> narrow, wide, expected = (np.exp(-square / (2 * s**2)) / s**2 for s in (1.5, 2.5, 2.0))
    >>> kernel = matching_kernel(narrow, wide)
    >>> bool(np.abs(kernel - expected / (2 * np.pi)).max() < 1e-3)
    True
    """
    n = narrow.shape[0]
    size = fft.next_fast_len(2 * n, real=True)
    first, second = (fft.rfft2(stamp, (size, size), workers=1) for stamp in (narrow, wide))
    power = np.abs(first) ** 2
    ratio = second * np.conj(first) / (power + _DAMPING * power.max())
    half = n // 2
    return np.roll(fft.irfft2(ratio, (size, size), workers=1), (half, half), (0, 1))[:n, :n]


def matched_to(band: Band, target: Band) -> Band:
    """Convolve a band to the PSF of another one.

    Parameters
    ----------
    band, target : Band
        On one lattice, with the PSFs of their coadds.

    Returns
    -------
    Band
        Its errors and the correlation of its noise are those after convolution; NaN where pixels
        that count are unknown. No point sources are fitted in it: `psf` is None.

    Raises
    ------
    ValueError
        If one of them has no PSF.

    Examples
    --------
    >>> # matched = matched_to(bluer, redder)
    """
    known = np.isfinite(band.data) & np.isfinite(band.err)
    values = np.where(known, band.data, 0.0).astype(np.float32)
    power = np.where(known, band.err, 0.0).astype(np.float32) ** 2
    data, err = np.full((2, *known.shape), np.nan, np.float32)
    correlation = np.zeros((1, 1))
    for block, kernel in _kernels(band, target):
        half = kernel.shape[0] // 2
        core = kernel[half - _REACH : half + _REACH + 1, half - _REACH : half + _REACH + 1]
        noise = core**2 * variance_ratio(core, band.noise_correlation)
        convolved = _convolved(values, block, kernel)
        spread = _convolved(power, block, noise)
        unknown = _convolved(~known, block, np.abs(kernel)) > _UNKNOWN * np.abs(kernel).sum()
        good = known[block] & ~unknown & (spread > 0)
        data[block] = np.where(good, convolved, np.nan)
        err[block] = np.sqrt(np.where(good, spread, np.nan))
        own = fftconvolve(fftconvolve(core, core[::-1, ::-1]), band.noise_correlation)
        correlation = sum_centred(correlation, own / own.max() * good.sum())
    sky = err[(band.background_pixels > 0) & np.isfinite(err)]
    return replace(
        band,
        data=data,
        err=err,
        noise_correlation=trimmed(correlation),
        sky_err=float(np.median(sky)) if sky.size else float("nan"),
        psf=None,
    )


def _kernels(band: Band, target: Band) -> Iterator[tuple[tuple[slice, slice], np.ndarray]]:
    """Yield blocks of pixels and the kernel of each; none where an image of either is missing."""
    ny, nx = band.data.shape
    for y, x in itertools.product(range(0, ny, _BLOCK), range(0, nx, _BLOCK)):
        block = np.s_[y : min(y + _BLOCK, ny), x : min(x + _BLOCK, nx)]
        middle = (block[1].start + block[1].stop - 1) / 2, (block[0].start + block[0].stop - 1) / 2
        stamps = []
        for one in (band, target):
            if one.psf is None:
                raise ValueError(f"{one.optical_element}: the band has no PSF to be matched")
            shares = _shares(one.context[:, *block], len(one.psf.weights))
            if shares @ one.psf.weights > 0:
                stamps.append(one.psf.at(*middle, shares).stamp[::OVERSAMPLE, ::OVERSAMPLE])
        if len(stamps) == 2:
            yield block, matching_kernel(*stamps)


def _shares(context: np.ndarray, n: int) -> np.ndarray:
    """Return in which share of some pixels each of n images counts, (n,)."""
    bits = context[:, ::_EVERY, ::_EVERY]
    return np.array([((bits[k // 32] >> np.uint32(k % 32)) & 1).mean() for k in range(n)])


def _convolved(image: np.ndarray, block: tuple[slice, slice], kernel: np.ndarray) -> np.ndarray:
    """Convolve a block of an image, beyond which there is nothing."""
    half = kernel.shape[0] // 2
    padding, near = [], []
    for part, n in zip(block, image.shape, strict=True):
        first, stop = part.start - half, part.stop + half
        near.append(slice(max(first, 0), min(stop, n)))
        padding.append((max(-first, 0), max(stop - n, 0)))
    held = np.pad(image[tuple(near)], padding).astype(np.float32)
    if not held.any():
        return np.zeros([part.stop - part.start for part in block], np.float32)
    shape = [fft.next_fast_len(n, real=True) for n in held.shape]
    spectrum = fft.rfft2(held, shape, workers=1)
    spectrum *= fft.rfft2(kernel.astype(np.float32), shape, workers=1)
    whole = fft.irfft2(spectrum, shape, workers=1)
    return whole[2 * half : held.shape[0], 2 * half : held.shape[1]]

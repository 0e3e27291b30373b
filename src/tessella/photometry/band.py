"""One band as photometry wants it: fluxes per pixel, background subtracted."""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import maximum_filter

from tessella.astrometry.pixel_area import tangent_pixel_area_sr
from tessella.models import Mosaic
from tessella.psf.coadd import CoaddPsf
from tessella.sources.background import background_error, local_background
from tessella.sources.detection import Detection

#: 1 MJy in nJy.
_NANOJANSKY = 1e15
#: Magnitude of 1 nJy in the AB system.
AB_ZERO_POINT = 31.4


@dataclass(frozen=True)
class EncircledEnergy:
    """Part of a point source's light within circles."""

    #: (n,) [arcsec], ascending, and (n,) in (0, 1].
    radii_arcsec: np.ndarray
    fractions: np.ndarray

    def at(self, radius_arcsec: float) -> float:
        """Return the fraction within a radius; NaN outside the tabulated radii."""
        fractions = np.interp(
            radius_arcsec, self.radii_arcsec, self.fractions, left=np.nan, right=np.nan
        )
        return float(fractions)


@dataclass(frozen=True)
class Band:
    """One band of (ny, nx) pixels, and the sources to measure in it."""

    detection: Detection
    optical_element: str
    #: Flux and its standard deviation [nJy / pixel]; NaN where there is no measurement.
    data: np.ndarray
    err: np.ndarray
    #: Standard error of the background that was subtracted [nJy / pixel]; NaN where it is unknown.
    background_err: np.ndarray
    #: Pixels that the background was measured on, int8: 1 or 0.
    background_pixels: np.ndarray
    #: (2 n + 1, 2 n + 1): correlation of the noise of two pixels by their offset.
    noise_correlation: np.ndarray
    #: Median standard deviation of sky pixels [nJy / pixel]; NaN where there are none.
    sky_err: float
    encircled_energy: EncircledEnergy
    #: (n_planes, ny, nx) uint32: the images that count in each pixel, as in `Mosaic`.
    context: np.ndarray
    #: None where no point sources are fitted.
    psf: CoaddPsf | None
    #: The band to whose PSF colours are matched; None where this is that one.
    reference: "Band | None" = None

    @property
    def pixel_scale_arcsec(self) -> float:
        """Side of a pixel [arcsec]."""
        return self.detection.lattice.pixel_scale_arcsec


def prepare_band(
    mosaic: Mosaic,
    detection: Detection,
    encircled_energy: EncircledEnergy,
    psf: CoaddPsf | None,
    *,
    background_box_pixels: int,
    source_margin_pixels: int,
) -> Band:
    """Subtract the local background of one band and convert it to fluxes.

    Parameters
    ----------
    mosaic : Mosaic
        The band, (ny, nx).
    detection : Detection
        Sources; their segments take no part in the background.
    encircled_energy : EncircledEnergy
        Of point sources in this band.
    psf : CoaddPsf, optional
        Of its images; None where no point sources are to be fitted.
    background_box_pixels : int
        Side of the boxes of the local background.
    source_margin_pixels : int
        Pixels this close to a segment take no part in the background either.

    Raises
    ------
    ValueError
        If the mosaic and the detection do not have the same lattice.
    """
    if mosaic.lattice != detection.lattice:
        raise ValueError(
            f"photometry of {mosaic.optical_element}: its lattice is not that of the detection"
        )
    to_flux = tangent_pixel_area_sr(mosaic.lattice) * np.float32(_NANOJANSKY)
    observed = np.isfinite(mosaic.data) & np.isfinite(mosaic.err) & (mosaic.err > 0)
    side = 2 * source_margin_pixels + 1
    empty = observed & (maximum_filter(detection.segmentation, side) == 0)
    data = np.where(observed, mosaic.data, np.nan) * to_flux
    err = np.where(observed, mosaic.err, np.nan) * to_flux
    background = local_background(data, empty, background_box_pixels)
    return Band(
        detection=detection,
        optical_element=mosaic.optical_element,
        data=data - background.level,
        err=err,
        background_err=background_error(background, mosaic.noise_correlation),
        background_pixels=empty.view(np.int8),
        noise_correlation=mosaic.noise_correlation,
        sky_err=float(np.median(err[empty])) if empty.any() else float("nan"),
        encircled_energy=encircled_energy,
        context=mosaic.context,
        psf=psf,
    )

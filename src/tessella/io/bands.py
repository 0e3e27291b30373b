"""Bands as photometry wants them, from coadds and references."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tessella.errors import DataError
from tessella.io.catalog import read_detection
from tessella.io.level3 import read_mosaic
from tessella.io.members import read_members
from tessella.io.references import read_effective_psfs, read_encircled_energy
from tessella.photometry.band import Band, EncircledEnergy, prepare_band
from tessella.psf.coadd import coadd_psf


def read_band(
    mosaic_path: str | Path,
    segmentation: str | Path,
    encircled_energy: str | Path,
    psfs: Iterable[str | Path],
    options: Mapping[str, Any],
) -> Band:
    """Read a coadd and the sources to measure in it, and make the PSF of its images.

    Parameters
    ----------
    mosaic_path, segmentation : path
        Products of Level 3 and 4.
    encircled_energy : path
        An `apcorr` reference.
    psfs : iterable of path
        An `epsf` reference of each detector that took part.
    options : mapping
        Section ``measure`` of the configuration.

    Raises
    ------
    DataError
        If a file is damaged or not as it must be, or a detector has no PSF.
    """
    mosaic, members = read_mosaic(mosaic_path), read_members(mosaic_path)
    known = read_effective_psfs(psfs)
    missing = sorted(set(members.detectors) - set(known))
    if missing:
        raise DataError(
            f"{mosaic_path}: no PSF of {', '.join(missing)} was given; it is made of images of "
            f"{', '.join(sorted(set(members.detectors)))}"
        )
    return prepare_band(
        mosaic,
        read_detection(segmentation, mosaic.lattice),
        EncircledEnergy(*read_encircled_energy(encircled_energy, mosaic.optical_element)),
        coadd_psf(mosaic.lattice, members.views(), known, members.pixfrac),
        **options,
    )

"""Level 2 images with their final WCS, opened to be read a few rows at a time."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from astropy.time import Time

from tessella.coadd.places import Places, SkyFunction, places_of
from tessella.errors import DataError
from tessella.io.level2 import Level2About, read_about
from tessella.io.level2_pixels import Pixels, Rows
from tessella.io.wcs import read_wcs
from tessella.models import Lattice, WcsCorrection


@dataclass(frozen=True)
class CoaddInput:
    """An image on its way into a coadd; its pixels are read when they are asked for."""

    image_path: Path
    wcs_path: Path | None
    #: All that is known besides its pixels.
    about: Level2About
    #: Right ascension and declination [deg] of pixels of the image.
    to_sky: SkyFunction

    @property
    def name(self) -> str:
        """Stem of the image's file name, without ``_cal``."""
        return self.about.name

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.about.shape

    @property
    def optical_element(self) -> str:
        """RAD's name of the filter."""
        return self.about.optical_element

    @property
    def exposure_time(self) -> float:
        """Exposure time [s]."""
        return self.about.exposure_time

    @property
    def start_time(self) -> Time:
        """Start of the exposure."""
        return self.about.start_time

    @property
    def conversion(self) -> float:
        """Surface brightness [MJy / sr] of 1 in the unit of the image's arrays."""
        return self.about.conversion

    @property
    def pixel_area_sr(self) -> float:
        """Nominal pixel [sr]."""
        return self.about.pixel_area_sr

    def places_on(self, lattice: Lattice) -> Places:
        """Place its pixels on a region's lattice.

        Raises
        ------
        DataError
            If it does not lie there: the image is named.
        """
        try:
            return places_of(self.to_sky, self.shape, lattice)
        except ValueError as error:
            raise DataError(f"{self.image_path}: {error}") from error

    @cached_property
    def _pixels(self) -> "Pixels":
        return Pixels(self.image_path, self.conversion)

    def rows(self, first: int, stop: int) -> Rows:
        """Read rows `first` to `stop` - 1 of the image, and no others: `Pixels.rows`."""
        return self._pixels.rows(first, stop)


def open_input(
    image_path: str | Path,
    wcs_path: str | Path | None,
    correction: WcsCorrection | None = None,
) -> CoaddInput:
    """Open an image for a coadd; none of its pixels is read.

    Parameters
    ----------
    image_path : path
        A Level 2 file of any origin.
    wcs_path : path, optional
        Its tied WCS; None takes the image's own.
    correction : WcsCorrection, optional
        Of the joint solution, which makes it the final WCS.

    Raises
    ------
    DataError
        If a file is missing, damaged, or not as it must be.
    """
    about = read_about(image_path)
    if wcs_path is None:
        if correction is not None:
            raise ValueError(f"{image_path}: a correction belongs to a tied WCS; none is given")
        to_sky = about.wcs
    else:
        to_sky, _ = read_wcs(wcs_path, correction)
    # Corners of pixels lie on the edge of the box, and rounding must not make them NaN.
    to_sky.bounding_box = None
    path = None if wcs_path is None else Path(wcs_path)
    return CoaddInput(Path(image_path), path, about, to_sky)

"""Level 2 images with their final WCS, opened to be read a few rows at a time."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from astropy.time import Time

from tessella import flags
from tessella.coadd.places import Places, SkyFunction, places_of
from tessella.compiled import kernel
from tessella.errors import DataError
from tessella.half_precision import read_variance
from tessella.io.disk_arrays import DiskArray, disk_arrays
from tessella.io.level2 import Level2About, read_about
from tessella.io.seals import sha256
from tessella.io.wcs import read_wcs
from tessella.models import Lattice, WcsCorrection


@dataclass(frozen=True)
class Rows:
    """Some rows of an image, (n, nx) each."""

    #: Surface brightness [MJy / sr]; 0 where a pixel is not good.
    data: np.ndarray
    #: uint32 flags.
    dq: np.ndarray
    #: Variances by photons and by reading [(MJy / sr)^2]; 0 where a pixel is not good.
    var_poisson: np.ndarray
    var_rnoise: np.ndarray
    #: False where a pixel is DO_NOT_USE, not finite or without a positive variance.
    good: np.ndarray

    @property
    def err(self) -> np.ndarray:
        """Uncertainty without that of the flat [MJy / sr]; 0 where a pixel is not good."""
        return np.sqrt(self.var_poisson + self.var_rnoise)


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


class Pixels:
    """The pixels of a Level 2 image, of which rows are read when they are asked for.

    Parameters
    ----------
    path : path
    conversion : float
        Surface brightness [MJy / sr] of 1 in the unit of its arrays.
    is_checked : bool
        Whether another rank of this job has held the file against its seal.

    Raises
    ------
    DataError
        If the file is missing, or is not what its seal or its checksums say.
    """

    def __init__(self, path: str | Path, conversion: float, is_checked: bool = False) -> None:
        if not is_checked:
            # The whole file, arrays included, must be what its seal says.
            sha256(path)
        # Arrays of official files of 2023 carry units and stand one level deeper.
        arrays = {name.removesuffix("/value"): array for name, array in disk_arrays(path).items()}
        self._arrays, self._scale = arrays, np.float32(conversion)

    def rows(self, first: int, stop: int) -> Rows:
        """Read rows `first` to `stop` - 1, and no others.

        Variances are in single precision where the file is ours; official files hold half
        precision, and what the other parts leave of the total variance where they lack that of
        reading (`tessella.half_precision.read_variance`).
        """
        data, dq = (self._array(name, first, stop) for name in ("data", "dq"))
        if "single_precision/var_poisson" in self._arrays:
            poisson = self._array("single_precision/var_poisson", first, stop)
            read = self._array("single_precision/var_rnoise", first, stop)
        else:
            poisson = self._array("var_poisson", first, stop)
            if "var_rnoise" in self._arrays:
                read = self._array("var_rnoise", first, stop)
            else:
                flat = "var_flat" in self._arrays
                read = read_variance(
                    self._array("err", first, stop),
                    poisson,
                    self._array("var_flat", first, stop) if flat else None,
                )
        return _scaled(data, dq, poisson, read, self._scale)

    def forget(self) -> None:
        """Let go of what was unpacked, until rows are asked for again."""
        for array in self._arrays.values():
            if isinstance(array, DiskArray):
                array.forget()

    def _array(self, name: str, first: int, stop: int) -> np.ndarray:
        array = self._arrays[name]
        return np.asarray(array.rows(first, stop) if hasattr(array, "rows") else array[first:stop])


@kernel
def _scale(
    dq: np.ndarray, scale: float, data: np.ndarray, poisson: np.ndarray, read: np.ndarray,
    good: np.ndarray,
) -> None:  # fmt: skip
    """Scale arrays in place and tell which pixels are good; the others become 0."""
    one = np.float32(scale)
    for i in range(data.size):
        value, p, r = data[i] * one, poisson[i] * one * one, read[i] * one * one
        is_good = (
            (dq[i] & np.uint32(flags.DO_NOT_USE)) == 0
            and abs(value) < np.inf
            and p >= 0
            and r >= 0
            and 0 < p + r < np.inf
        )
        good[i] = is_good
        zero = np.float32(0)
        data[i] = value if is_good else zero
        poisson[i] = p if is_good else zero
        read[i] = r if is_good else zero


def _scaled(
    data: np.ndarray, dq: np.ndarray, poisson: np.ndarray, read: np.ndarray, scale: np.float32
) -> Rows:
    # What was read belongs to nobody else: it is changed in place.
    flat, p, r = (np.ascontiguousarray(v, np.float32).reshape(-1) for v in (data, poisson, read))
    good = np.empty(data.size, np.bool_)
    _scale(np.ascontiguousarray(dq).reshape(-1), float(scale), flat, p, r, good)
    shape = data.shape
    return Rows(flat.reshape(shape), dq, p.reshape(shape), r.reshape(shape), good.reshape(shape))


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
        Its final WCS; None takes the image's own.
    correction : WcsCorrection, optional
        Of the joint solution.

    Raises
    ------
    DataError
        If a file is missing, damaged, or not as it must be.
    """
    about = read_about(image_path)
    if wcs_path is None:
        if correction is not None:
            raise ValueError(f"{image_path}: a correction belongs to a final WCS; none is given")
        to_sky = about.wcs
    else:
        to_sky, _ = read_wcs(wcs_path, correction)
    # Corners of pixels lie on the edge of the box, and rounding must not make them NaN.
    to_sky.bounding_box = None
    path = None if wcs_path is None else Path(wcs_path)
    return CoaddInput(Path(image_path), path, about, to_sky)

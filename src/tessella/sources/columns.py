"""Every column of the multiband catalog: name, type, unit, meaning and order.

Names, types and units are those of RAD's ``source_catalog_columns`` (a test compares them);
columns of our own start with ``tessella_``. ``{band}`` stands for a filter in small letters.
"""

from typing import NamedTuple

import numpy as np

from tessella.photometry.apertures import APERTURES


class Column(NamedTuple):
    """One column, or one for each band."""

    name: str
    dtype: str
    #: As astropy reads it; ``none`` for pure numbers.
    unit: str
    description: str

    @property
    def per_band(self) -> bool:
        """True where there is one column for each band."""
        return "{band}" in self.name

    @property
    def short_name(self) -> str:
        """The name without its band, by which measurements know it."""
        return self.name.replace("_{band}", "")

    def in_band(self, optical_element: str) -> str:
        """Return the official name in one band."""
        return self.name.format(band=optical_element.lower())


_BIT_NAMES = "1 no coverage at the position, 2 segment touches pixels without coverage, "
_BIT_NAMES += "4 windowed centroid failed"
_PSF_BITS = "1 pixels of the box are missing, 2 outside, 4 flux not positive, 8 no convergence, "
_PSF_BITS += "16 no covariance, 32 position at its bound, 128 no pixel is known, 256 too few are"

DETECTION_COLUMNS = (
    Column("label", "int32", "none", "Label of the source in the segmentation map"),
    Column(
        "flagged_spatial_id",
        "int64",
        "none",
        "Region, sky cell and place; bit 59: not primary here",
    ),
    Column("x_centroid", "float32", "pix", "First moment along the columns, 0-based"),
    Column("y_centroid", "float32", "pix", "First moment along the rows, 0-based"),
    Column("x_centroid_err", "float32", "pix", "Uncertainty of x_centroid"),
    Column("y_centroid_err", "float32", "pix", "Uncertainty of y_centroid"),
    Column("x_centroid_win", "float32", "pix", "Centroid in a Gaussian window along the columns"),
    Column("y_centroid_win", "float32", "pix", "Centroid in a Gaussian window along the rows"),
    Column("x_centroid_win_err", "float32", "pix", "Uncertainty of x_centroid_win"),
    Column("y_centroid_win_err", "float32", "pix", "Uncertainty of y_centroid_win"),
    Column(
        "ra",
        "float64",
        "deg",
        "Adopted right ascension (ICRS): windowed centroid, else first moment",
    ),
    Column(
        "dec", "float64", "deg", "Adopted declination (ICRS): windowed centroid, else first moment"
    ),
    Column("ra_centroid", "float64", "deg", "Right ascension of the first moment (ICRS)"),
    Column("dec_centroid", "float64", "deg", "Declination of the first moment (ICRS)"),
    Column("ra_centroid_err", "float32", "arcsec", "Uncertainty of ra_centroid on the sky"),
    Column("dec_centroid_err", "float32", "arcsec", "Uncertainty of dec_centroid"),
    Column("ra_centroid_win", "float64", "deg", "Right ascension of the windowed centroid (ICRS)"),
    Column("dec_centroid_win", "float64", "deg", "Declination of the windowed centroid (ICRS)"),
    Column("ra_centroid_win_err", "float32", "arcsec", "Uncertainty of ra_centroid_win on the sky"),
    Column("dec_centroid_win_err", "float32", "arcsec", "Uncertainty of dec_centroid_win"),
    Column("bbox_xmin", "int32", "none", "First column of the segment"),
    Column("bbox_xmax", "int32", "none", "Last column of the segment"),
    Column("bbox_ymin", "int32", "none", "First row of the segment"),
    Column("bbox_ymax", "int32", "none", "Last row of the segment"),
    Column("segment_area", "float32", "arcsec2", "Area of the segment"),
    Column(
        "semimajor",
        "float32",
        "arcsec",
        "Standard deviation along the major axis, matched filter included",
    ),
    Column(
        "semiminor",
        "float32",
        "arcsec",
        "Standard deviation along the minor axis, matched filter included",
    ),
    Column("fwhm", "float32", "arcsec", "2 sqrt(ln 2 (semimajor^2 + semiminor^2))"),
    Column("ellipticity", "float32", "none", "1 - semiminor / semimajor"),
    Column(
        "orientation_pix",
        "float32",
        "deg",
        "Direction of the major axis, counter-clockwise from +x",
    ),
    Column("orientation_sky", "float32", "deg", "Position angle of the major axis, east of north"),
    Column("cxx", "float32", "1 / arcsec2", "Coefficient of dx^2 of the ellipse"),
    Column("cxy", "float32", "1 / arcsec2", "Coefficient of dx dy of the ellipse"),
    Column("cyy", "float32", "1 / arcsec2", "Coefficient of dy^2 of the ellipse"),
    Column(
        "kron_radius",
        "float32",
        "arcsec",
        "First-moment radius; the Kron aperture is 2.5 times as large",
    ),
    Column("nn_label", "int32", "none", "Label of the nearest other source; -1: none"),
    Column("nn_distance", "float32", "arcsec", "Distance of the nearest other source"),
    Column("warning_flags", "int32", "none", f"Bits: {_BIT_NAMES}; -1: not measured"),
    Column("image_flags", "int32", "none", "Flags of input pixels; -1: not measured"),
    Column("dust_ebv", "float32", "mag", "Dust reddening E(B-V); NaN: not measured"),
)


def _flux(name: str, description: str, unit: str = "nJy") -> tuple[Column, Column]:
    return (
        Column(f"{name}_flux", "float32", unit, description),
        Column(f"{name}_flux_err", "float32", unit, f"Uncertainty of {name}_flux"),
    )


def _place(axis: str, unit: str, meaning: str) -> tuple[Column, Column]:
    dtype = "float64" if unit == "deg" else "float32"
    return (
        Column(f"{axis}_psf_{{band}}", dtype, unit, f"{meaning} of the PSF fit"),
        Column(
            f"{axis}_psf_{{band}}_err",
            "float32",
            "arcsec" if unit == "deg" else unit,
            f"Uncertainty of {axis}_psf",
        ),
    )


_X, _Y = _place("x", "pix", "Column"), _place("y", "pix", "Row")
_RA, _DEC = (
    _place("ra", "deg", "Right ascension (ICRS)"),
    _place("dec", "deg", "Declination (ICRS)"),
)

BAND_COLUMNS = (
    *_X,
    *_Y,
    _RA[0],
    _DEC[0],
    _RA[1],
    _DEC[1],
    Column("psf_flags_{band}", "int32", "none", f"Bits of the PSF fit: {_PSF_BITS}; -1: not done"),
    Column("psf_gof_{band}", "float32", "none", "Chi-squared per degree of freedom of the PSF fit"),
    Column("sharpness_{band}", "float32", "none", "DAOFIND sharpness"),
    Column("roundness1_{band}", "float32", "none", "DAOFIND roundness by symmetry"),
    Column(
        "is_extended_{band}", "bool", "none", "Larger than a point source; see the failure flag"
    ),
    Column(
        "fluxfrac_radius_50_{band}", "float32", "arcsec", "Radius that holds half of the Kron flux"
    ),
    *_flux(
        "aper_bkg_{band}", "Local background left in an annulus, not subtracted", "nJy / arcsec2"
    ),
    *(
        column
        for digits, radius in APERTURES.items()
        for column in _flux(
            f"aper{digits}_{{band}}", f"Flux within {radius} arcsec, not aperture-corrected"
        )
    ),
    *_flux("psf_{band}", "Flux of the PSF fit"),
    *_flux("segment_{band}", "Flux of the segment's pixels"),
    *_flux("kron_{band}", "Flux within the Kron ellipse"),
    Column("kron_{band}_abmag", "float32", "mag(AB)", "AB magnitude of the Kron flux"),
    Column("kron_{band}_abmag_err", "float32", "mag(AB)", "Uncertainty of the Kron magnitude"),
    *_flux("aper_bkg_{band}m", "Background in the annulus, PSF-matched", "nJy / arcsec2"),
    *(
        column
        for digits, radius in APERTURES.items()
        for column in _flux(f"aper{digits}_{{band}}m", f"PSF-matched flux within {radius} arcsec")
    ),
    *_flux("segment_{band}m", "PSF-matched flux of the segment's pixels"),
    *_flux("kron_{band}m", "PSF-matched flux within the Kron ellipse"),
    *_flux("tessella_star_{band}", "Total flux if the source is a point source"),
)


def not_measured(column: Column, n: int) -> np.ndarray:
    """Return a column that says nothing: NaN, -1 for integers, False beside a failure flag.

    Numbers are held in double precision until they are written.

    Examples
    --------
    >>> not_measured(Column("nn_label", "int32", "none", ""), 2).tolist()
    [-1, -1]
    """
    if column.dtype == "bool":
        return np.zeros(n, dtype=bool)
    if column.dtype.startswith("int"):
        return np.full(n, -1, dtype=np.int64)
    return np.full(n, np.nan)

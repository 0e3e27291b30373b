"""What became of the sources of a catalog: gone, new, moved, brighter or fainter."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tessella.io.contents import Contents
from tessella.photometry.band import AB_ZERO_POINT
from tessella.quality.matching import match, offsets_mas

#: Sources of two catalogs are the same if each is the other's nearest within this [arcsec].
MATCH_RADIUS_ARCSEC = 0.2
_FLUX = re.compile(r"(?:(?P<kind>.+)_(?P<band>f\d{3})_)?flux")

#: Numbers of the rows of the same sources in A and B.
Rows = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class FluxChange:
    """How a flux of the sources in both catalogs changed, from A to B."""

    #: Such as ``kron``; empty where a table has one flux.
    kind: str
    #: Such as ``F106``; empty where a table has one flux.
    band: str
    #: Sources with the flux in both, and those of them where it differs.
    n: int
    n_changed: int
    #: Median of the change, and its size that 95 % do not exceed, in errors of A ...
    median_sigma: float
    high_sigma: float
    #: ... and in percent of A, where A is positive.
    median_percent: float
    high_percent: float


@dataclass(frozen=True)
class SourceDifference:
    """How the sources of two catalogs differ."""

    n_a: int
    n_b: int
    n_matched: int
    n_moved: int
    #: Distance of the two positions, and what 95 % do not exceed [mas].
    median_mas: float
    high_mas: float
    fluxes: tuple[FluxChange, ...]

    @property
    def n_gone(self) -> int:
        """Sources of A that B has not."""
        return self.n_a - self.n_matched

    @property
    def n_new(self) -> int:
        """Sources of B that A has not."""
        return self.n_b - self.n_matched


def has_positions(contents: Contents) -> bool:
    """Tell whether a product is a table of places on the sky."""
    return contents.is_table and {"ra", "dec"} <= set(contents.arrays)


def matched_rows(a: Contents, b: Contents) -> Rows:
    """Return the numbers of the rows of the same sources in both.

    Examples
    --------
    >>> from tessella.io.contents import Array
    >>> def table(*ra):
    ...     column = Array((len(ra),), "float64", "deg", lambda: np.array(ra))
    ...     return Contents({"ra": column, "dec": column}, is_table=True)
    >>> [rows.tolist() for rows in matched_rows(table(10.0, 20.0), table(20.0, 30.0))]
    [[1], [0]]
    """
    place_a, place_b = _places(a), _places(b)
    # Also pairs sources without a position.
    if np.array_equal(place_a, place_b, equal_nan=True):
        every = np.arange(place_a.shape[1])
        return every, every
    pairs = match(place_a[0], place_a[1], place_b[0], place_b[1], MATCH_RADIUS_ARCSEC)
    return np.flatnonzero(pairs >= 0), pairs[pairs >= 0]


def _places(contents: Contents) -> np.ndarray:
    """Return right ascension and declination [deg], (2, n)."""
    return np.stack([contents.arrays[axis].load().astype(float) for axis in ("ra", "dec")])


def compare_sources(a: Contents, b: Contents, rows: Rows) -> SourceDifference:
    """Say what became of the sources of A in B.

    Parameters
    ----------
    a, b : Contents
        Tables with positions.
    rows : two (n,) arrays of int
        See `matched_rows`.
    """
    place_a, place_b = _places(a), _places(b)
    distance = np.hypot(*offsets_mas(*place_b[:, rows[1]], *place_a[:, rows[0]]).T)
    distance = distance[np.isfinite(distance)]
    return SourceDifference(
        place_a.shape[1],
        place_b.shape[1],
        len(rows[0]),
        int(np.count_nonzero(distance)),
        _percentile(distance, 50),
        _percentile(distance, 95),
        tuple(_flux_changes(a, b, rows)),
    )


def flux_columns(contents: Contents) -> list[tuple[str, str, str]]:
    """Return the columns of fluxes that have errors: kind, band and name of the column."""
    names = [(name, _FLUX.fullmatch(name)) for name in contents.arrays]
    return [
        (found["kind"] or "", (found["band"] or "").upper(), name)
        for name, found in names
        if found and contents.error_of(name)
    ]


def _flux_changes(a: Contents, b: Contents, rows: Rows) -> Iterator[FluxChange]:
    for kind, band, name in flux_columns(a):
        if name in b.arrays:
            yield FluxChange(kind, band, *_flux_change(*_fluxes(name, a, b, rows)))


def _fluxes(name: str, a: Contents, b: Contents, rows: Rows) -> np.ndarray:
    """Return a flux in A and in B, and its error in A, of sources that have all three, (3, n)."""
    error = a.error_of(name) or name
    of_a, of_b = rows
    flux_a, flux_b = a.arrays[name].load()[of_a], b.arrays[name].load()[of_b]
    values = np.array([flux_a, flux_b, a.arrays[error].load()[of_a]], float)
    return values[:, np.isfinite(values).all(axis=0) & (values[2] > 0)]


def _flux_change(
    a: np.ndarray, b: np.ndarray, error: np.ndarray
) -> tuple[int, int, float, float, float, float]:
    sigma, positive = (b - a) / error, a > 0
    percent = 100 * (b - a)[positive] / a[positive]
    return (
        len(a),
        int(np.count_nonzero(a != b)),
        _percentile(sigma, 50),
        _percentile(np.abs(sigma), 95),
        _percentile(percent, 50),
        _percentile(np.abs(percent), 95),
    )


def _percentile(values: np.ndarray, percent: float) -> float:
    return float(np.percentile(values, percent)) if len(values) else float("nan")


def flux_changes_by_magnitude(
    a: Contents, b: Contents, kind: str
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return AB magnitude in A and change of flux in errors of A of sources in both, by band.

    Parameters
    ----------
    a, b : Contents
        Catalogs with fluxes in nJy.
    kind : str
        Of flux, such as ``kron``.
    """
    rows = matched_rows(a, b)
    found = {}
    for column_kind, band, name in flux_columns(a):
        if column_kind == kind and name in b.arrays:
            one, two, error = _fluxes(name, a, b, rows)
            bright = one > 0
            magnitude = AB_ZERO_POINT - 2.5 * np.log10(one[bright])
            found[band] = magnitude, ((two - one) / error)[bright]
    return found

"""Stars that show the point-spread function: which serve, and the pixels around each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
from scipy.ndimage import maximum_filter
from scipy.stats import chi2

from tessella import flags
from tessella.models import Image
from tessella.psf.fit import Stars, sky_map

#: Cells of the phase histogram along each axis of a pixel, and stars that the mean cell must have
#: for its chi-squared to be one.
_PHASE_CELLS = (4, 3, 2)
_STARS_PER_CELL = 5


@dataclass(frozen=True)
class Selection:
    """What a star must be like."""

    #: Least and largest signal-to-noise of the flux.
    signal_to_noise: tuple[float, float] = (100.0, 5000.0)
    #: No star of more than `contrast` of its flux may stand nearer than this [pixels].
    isolation_pixels: float = 12.0
    contrast: float = 0.01
    #: No saturated pixel, jump or pixel without a value may stand nearer than this [pixels].
    clear_pixels: int = 5
    #: Half the side of the stamp [pixels].
    half_box: int = 7


@dataclass(frozen=True, eq=False)
class StarStamps:
    """Pixels around stars; the first axis of all arrays is the stars."""

    #: (n, b, b), and the variance that the pixels would have without the star; infinite where a
    #: pixel does not count.
    data: np.ndarray
    variance: np.ndarray
    #: (n,): what a unit of signal adds to the variance.
    signal_variance: np.ndarray
    #: (n,) int: column and row of the first pixel, in the 4088 frame.
    column: np.ndarray
    row: np.ndarray
    #: (n,): the star's place in the 4088 frame, to half a pixel.
    x: np.ndarray
    y: np.ndarray
    #: (n,): effective wavelength of its light less that of the filter [nm]; 0 where not known.
    colour_nm: np.ndarray
    #: (n,) of str: the image it stands in.
    image: np.ndarray

    def __len__(self) -> int:
        return len(self.x)

    def take(self, chosen: np.ndarray | slice) -> "StarStamps":
        """Return those of an index, a mask or a slice."""
        return StarStamps(*(getattr(self, field.name)[chosen] for field in fields(self)))


def join(stamps: Sequence[StarStamps]) -> StarStamps:
    """Put stars of many images together, in an order that does not depend on theirs.

    Examples
    --------
    >>> # stars = join([cut_stamps(image, found, name)[0] for name, image, found in images])
    """
    together = StarStamps(
        *(
            np.concatenate([getattr(one, field.name) for one in stamps])
            for field in fields(stamps[0])
        )
    )
    return together.take(np.lexsort((together.x, together.y, together.image)))


def cut_stamps(
    image: Image,
    stars: Stars,
    name: str,
    selection: Selection | None = None,
    colour_nm: np.ndarray | None = None,
) -> tuple[StarStamps, Mapping[str, int]]:
    """Choose the stars of an image that show its PSF, and cut out their pixels.

    Parameters
    ----------
    image : Image
        Level 2 image, sky included.
    stars : Stars
        What was measured in it, down to `Selection.contrast` of the chosen stars where isolation
        is to hold to that.
    name : str
        Of the image; stars are put in order by it.
    selection : Selection, optional
    colour_nm : ndarray of shape (n_stars,), optional
        See `StarStamps`; stars of which it is NaN are not taken. Without it all are.

    Returns
    -------
    stamps : StarStamps
    rejected : mapping of str to int
        By reason, how many stars were not taken; the first of several reasons counts.

    Examples
    --------
    >>> # stamps, rejected = cut_stamps(image, measure_stars(image, psf, 10.0, 5000), "r0..._wfi01")
    """
    asked = Selection() if selection is None else selection
    sky = sky_map(image.data, _is_flagged(image, flags.DO_NOT_USE))
    ratio = stars.flux / stars.flux_err
    low, high = asked.signal_to_noise
    reasons = {
        "not measured": ~stars.is_good,
        "signal-to-noise": ~((ratio >= low) & (ratio <= high)),
        "edge": _is_at_edge(image, stars, asked.half_box),
        "flags": _has_flags(image, stars, asked.clear_pixels),
        "neighbour": _has_neighbour(stars, asked),
    }
    if colour_nm is not None:
        reasons["colour"] = ~np.isfinite(colour_nm)
    left = np.ones(len(stars.x), bool)
    rejected = {}
    for reason, is_so in reasons.items():
        rejected[reason] = int((left & is_so).sum())
        left &= ~is_so
    chosen = np.flatnonzero(left)
    colours = np.zeros(len(stars.x)) if colour_nm is None else colour_nm
    return _cut(image, sky, stars, chosen, colours, name, asked.half_box), rejected


def _is_flagged(image: Image, bits: int) -> np.ndarray:
    return np.asarray((image.dq & bits) != 0) | ~np.isfinite(image.data) | ~np.isfinite(image.err)


def _nearest(stars: Stars) -> tuple[np.ndarray, np.ndarray]:
    """Return column and row of the pixel nearest to each star; -1 where it has no place."""
    known = np.isfinite(stars.x) & np.isfinite(stars.y)
    x, y = (np.where(known, values, -1.0) for values in (stars.x, stars.y))
    return np.rint(x).astype(int), np.rint(y).astype(int)


def _is_at_edge(image: Image, stars: Stars, half: int) -> np.ndarray:
    (px, py), (ny, nx) = _nearest(stars), image.data.shape
    return (px < half) | (py < half) | (px >= nx - half) | (py >= ny - half)


def _has_flags(image: Image, stars: Stars, radius: int) -> np.ndarray:
    bits = flags.DO_NOT_USE | flags.SATURATED | flags.JUMP_DET
    near = maximum_filter(_is_flagged(image, bits), 2 * radius + 1)
    (px, py), (ny, nx) = _nearest(stars), image.data.shape
    return np.asarray(near[np.clip(py, 0, ny - 1), np.clip(px, 0, nx - 1)])


def _has_neighbour(stars: Stars, asked: Selection) -> np.ndarray:
    """Mark stars beside which another of some brightness stands; they are few enough for pairs."""
    found = np.zeros(len(stars.x), bool)
    order = np.argsort(stars.x, kind="stable")
    x = stars.x[order]
    first = np.searchsorted(x, x - asked.isolation_pixels)
    stop = np.searchsorted(x, x + asked.isolation_pixels, side="right")
    for k, star in enumerate(order):
        others = order[first[k] : stop[k]]
        distance = np.hypot(stars.x[others] - stars.x[star], stars.y[others] - stars.y[star])
        is_near = (distance < asked.isolation_pixels) & (others != star)
        found[star] = bool(np.any(stars.flux[others[is_near]] > asked.contrast * stars.flux[star]))
    return found


def _cut(
    image: Image,
    sky: np.ndarray,
    stars: Stars,
    chosen: np.ndarray,
    colour_nm: np.ndarray,
    name: str,
    half: int,
) -> StarStamps:
    px, py = (pixel[chosen] for pixel in _nearest(stars))
    axis = np.arange(-half, half + 1)
    at = (py[:, None, None] + axis[:, None], px[:, None, None] + axis)
    core = np.s_[:, half - 1 : half + 2, half - 1 : half + 2]
    data, level, photons = image.data[at], sky[at], image.var_poisson[at]
    # Variance that follows the noisy pixels themselves would favour those that came out low: in
    # the core of a star it tells what a unit of signal adds.
    per_unit = photons[core].sum((1, 2)) / np.maximum(data[core].sum((1, 2)), 1e-30)
    alone = image.err[at] ** 2 - photons + per_unit[:, None, None] * np.maximum(level, 0.0)
    variance = np.where(_is_flagged(image, flags.DO_NOT_USE)[at], np.inf, alone)
    left, bottom = image.window.x, image.window.y
    return StarStamps(
        data=np.where(np.isfinite(variance), data, 0.0).astype(float),
        variance=variance.astype(float),
        signal_variance=per_unit.astype(float),
        column=px - half + left,
        row=py - half + bottom,
        x=stars.x[chosen] + left,
        y=stars.y[chosen] + bottom,
        colour_nm=colour_nm[chosen].astype(float),
        image=np.full(len(chosen), name),
    )


def phase_coverage(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Test whether stars stand everywhere within their pixels alike.

    An undersampled PSF is known between the pixels only from stars at other phases. The histogram
    of phases has 4 x 4 cells, fewer where there are few stars.

    Parameters
    ----------
    x, y : ndarray of shape (n,)
        Places in pixels, whole numbers at pixel centres.

    Returns
    -------
    chisq : float
        Of the histogram against an even one, per degree of freedom; NaN with less than 20 stars.
    probability : float
        That stars at random phases are as uneven; NaN as above.

    Examples
    --------
    >>> phases = (np.arange(400) + 0.5) / 20
    >>> phase_coverage(phases, phases * 20.05)[1] > 0.01
    True
    >>> phase_coverage(np.zeros(400), phases)[1] < 1e-6
    True
    """
    cells = next((c for c in _PHASE_CELLS if len(x) >= _STARS_PER_CELL * c * c), None)
    if cells is None:
        return np.nan, np.nan
    column, row = (np.floor((np.asarray(v, float) + 0.5) % 1 * cells).astype(int) for v in (x, y))
    counts = np.bincount(
        np.minimum(row, cells - 1) * cells + np.minimum(column, cells - 1), minlength=cells**2
    )
    expected = len(x) / cells**2
    chisq = float(np.sum((counts - expected) ** 2) / expected)
    freedom = cells**2 - 1
    return chisq / freedom, float(chi2.sf(chisq, freedom))

"""Light on a coadd: sources through the mean point-spread function of the images that see them.

Of one image, a star on the lattice is its optics, spread by pixel and capacitance, by the drop in
which the image's light is laid down and by the pixel of the lattice. What the few positions of the
image's pixels make of undersampled light is averaged over: dithers that were random.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import galsim
import numpy as np

from tessella.astrometry.pixel_area import tangent_pixel_area_sr
from tessella.astrometry.tangent import sky_to_pixel
from tessella.coadd.views import View
from tessella.detector.state import Blur
from tessella.instrument.siaf import ACTIVE_SIZE
from tessella.models import Lattice
from tessella.photometry.calibration import AB_ZERO_JANSKY
from tessella.psf.effective import EffectivePsf
from tessella.psf.model import NOMINAL_PIXEL_ARCSEC, optical_psf
from tessella.simulate.image import EDGE_RATE, electrons_per_maggy

#: Share of a star's light in a pixel of a detector r pixels away, times r cubed.
_WING = 0.115
#: Half sides of the drawings of faint and of all stars [pixels of a detector].
_FAINT_HALF, _LARGEST_HALF = 40, 220
#: Samples in a pixel of the lattice, of the cores.
_OVERSAMPLE = 2
#: Places at which the optics are computed: so many along a detector's side, and at most so far
#: apart on the lattice [pixels].
_DETECTOR_NODES, _NODE_SPACING = 5, 2048
#: A galaxy's drawing reaches so many half-light radii beyond the wings of a point source.
_RADII_IN_STAMP = 8
#: Calls back after each source: how many are done, of how many.
Tell = Callable[[int, int], None]


@dataclass(frozen=True)
class CoaddOptics:
    """The point-spread functions of a coadd's images, drawn on its lattice when they are needed."""

    lattice: Lattice
    optical_element: str
    views: Sequence[View]
    blur: Blur
    #: (3, 3): share of a pixel's signal that its neighbourhood shows, ``[dy + 1, dx + 1]``.
    ipc_kernel: np.ndarray
    #: Side of the drop over the side of the pixel.
    pixfrac: float
    _drawn: dict[tuple[int, int, int, bool], np.ndarray] = field(default_factory=dict)
    _means: dict[tuple[int, int, bytes, bool], EffectivePsf] = field(default_factory=dict)

    @cached_property
    def nodes(self) -> tuple[np.ndarray, np.ndarray]:
        """Columns and rows of the lattice at which the optics are computed."""
        across, up = (
            np.linspace(0, n - 1, 1 + -(-n // _NODE_SPACING))
            for n in (self.lattice.nx, self.lattice.ny)
        )
        return across, up

    def node_of(self, x: float, y: float) -> tuple[int, int]:
        """Return the number of the node next to a place, along x and y."""
        across, up = self.nodes
        return int(np.abs(across - x).argmin()), int(np.abs(up - y).argmin())

    def core(self, node: tuple[int, int], seen: np.ndarray) -> EffectivePsf:
        """Return the mean PSF of the images `seen` (n_views, bool) near a node."""
        return self._mean(node, seen, False)

    def wing(self, seen: np.ndarray) -> EffectivePsf:
        """Return the same in the middle of the lattice, coarser and much wider."""
        across, up = self.nodes
        return self._mean((len(across) // 2, len(up) // 2), seen, True)

    def _mean(self, node: tuple[int, int], seen: np.ndarray, is_wide: bool) -> EffectivePsf:
        key = (*node, seen.tobytes(), is_wide)
        if key not in self._means:
            numbers = np.flatnonzero(seen)
            weights = np.array([self.views[int(k)].weight for k in numbers])
            stamps = [self._stamp(*node, int(k), is_wide) for k in numbers]
            mean = sum(w * s for w, s in zip(weights / weights.sum(), stamps, strict=True))
            self._means[key] = EffectivePsf(np.asarray(mean), 1 if is_wide else _OVERSAMPLE)
        return self._means[key]

    def _stamp(self, column: int, row: int, number: int, is_wide: bool) -> np.ndarray:
        key = (column, row, number, is_wide)
        if key not in self._drawn:
            profile = self._profile(column, row, self.views[number])
            oversample = 1 if is_wide else _OVERSAMPLE
            half = self.in_lattice(_LARGEST_HALF if is_wide else _FAINT_HALF + 1)
            n = 2 * oversample * half + 1
            drawn = profile.drawImage(
                nx=n, ny=n, scale=1 / oversample, method="no_pixel", dtype=float
            )
            self._drawn[key] = drawn.array * oversample**2
        return self._drawn[key]

    def in_lattice(self, pixels: float) -> int:
        """Return a length in pixels of the lattice, rounded up."""
        return int(np.ceil(pixels * NOMINAL_PIXEL_ARCSEC / self.lattice.pixel_scale_arcsec))

    def _profile(self, column: int, row: int, view: View) -> galsim.GSObject:
        """Return what a lattice pixel shows of a point source [pixels of the lattice]."""
        across, up = self.nodes
        at = view.place_of(self.lattice, across[column], up[row])
        step = (ACTIVE_SIZE - 1) / (_DETECTOR_NODES - 1)
        node_x, node_y = (round(v / step) * step for v in at)
        optics = optical_psf(view.detector, self.optical_element, node_x, node_y, self.blur)
        kernel = self.ipc_kernel
        coupled = galsim.Sum(
            [
                galsim.DeltaFunction(flux=float(kernel[j, i])).shift(i - 1, j - 1)
                for j in range(3)
                for i in range(3)
                if kernel[j, i]
            ]
        )
        on_detector = galsim.Convolve(
            optics.dilate(1 / NOMINAL_PIXEL_ARCSEC),
            coupled,
            galsim.Pixel(1.0),
            galsim.Pixel(self.pixfrac),
        )
        (a, b), (c, d) = view.lattice_per_pixel(self.lattice, *at)
        flux = on_detector.flux
        return galsim.Convolve(on_detector.transform(a, b, c, d).withFlux(flux), galsim.Pixel(1.0))


def light_on_lattice(
    truth: np.ndarray,
    seen: np.ndarray,
    optics: CoaddOptics,
    tell: Tell | None = None,
) -> np.ndarray:
    """Draw sources on a coadd.

    Parameters
    ----------
    truth : structured ndarray of shape (n,)
        With the columns of `tessella.simulate.scene.truth_dtype`.
    seen : ndarray of shape (n, n_views), bool
        Which images see each source; of one that none sees all are taken.
    optics : CoaddOptics
        Of the coadd.
    tell : callable, optional
        Called after each source with the number that are done and that of all.

    Returns
    -------
    ndarray of shape (ny, nx), float32
        Surface brightness [MJy / sr]. Stamps end where `tessella.simulate.image.rate_image` ends
        them; nothing is put back.

    Examples
    --------
    >>> # light = light_on_lattice(truth, seen, CoaddOptics(lattice, "F158", views, blur))
    """
    lattice, element = optics.lattice, optics.optical_element
    out = np.zeros(lattice.shape)
    x, y = sky_to_pixel(lattice, truth["ra"], truth["dec"])
    rates = truth[element] * electrons_per_maggy(optics.views[0].detector, element)
    for i in range(len(truth)):
        views = seen[i] if seen[i].any() else np.ones(len(optics.views), bool)
        core = optics.core(optics.node_of(float(x[i]), float(y[i])), views)
        half = (_WING * float(rates[i]) / EDGE_RATE) ** (1 / 3)
        place = float(x[i]), float(y[i])
        if truth["type"][i] == "SER":
            _add_galaxy(out, truth[i], core, optics, place, half)
        else:
            _add_star(out, core, optics.in_lattice(_FAINT_HALF), place, float(truth[element][i]))
            if half > _FAINT_HALF:
                _add_wing(out, optics, views, place, float(truth[element][i]), half)
        if tell is not None:
            tell(i + 1, len(truth))
    # A maggy is so many MJy, spread over a pixel's solid angle.
    return (out * (AB_ZERO_JANSKY * 1e-6) / tangent_pixel_area_sr(lattice)).astype(np.float32)


def _span(center: float, half: int, size: int) -> np.ndarray:
    return np.arange(max(0, round(center) - half), min(size, round(center) + half + 1))


def _add_star(
    out: np.ndarray, psf: EffectivePsf, half: int, place: tuple[float, float], flux: float
) -> None:
    columns, rows = _span(place[0], half, out.shape[1]), _span(place[1], half, out.shape[0])
    if columns.size and rows.size:
        shares = psf.evaluate_grid(columns - place[0], rows - place[1])
        out[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] += flux * shares


def _add_wing(
    out: np.ndarray,
    optics: CoaddOptics,
    seen: np.ndarray,
    place: tuple[float, float],
    flux: float,
    half: float,
) -> None:
    """Add the light of a bright star outside the square of `_add_star`."""
    wide = optics.in_lattice(min(half, _LARGEST_HALF - 1))
    columns, rows = _span(place[0], wide, out.shape[1]), _span(place[1], wide, out.shape[0])
    if not (columns.size and rows.size):
        return
    shares = optics.wing(seen).evaluate_grid(columns - place[0], rows - place[1])
    inner = optics.in_lattice(_FAINT_HALF)
    is_core = (np.abs(rows - round(place[1])) <= inner)[:, None] & (
        np.abs(columns - round(place[0])) <= inner
    )
    shares[is_core] = 0.0
    out[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] += flux * shares


def _add_galaxy(
    out: np.ndarray,
    row: np.ndarray,
    core: EffectivePsf,
    optics: CoaddOptics,
    place: tuple[float, float],
    half: float,
) -> None:
    scale = optics.lattice.pixel_scale_arcsec
    radius = float(row["half_light_radius"]) / scale
    # The lattice has east to the right: position angles go from y towards x.
    angle = (90 - float(row["pa"])) * galsim.degrees
    galaxy = galsim.Sersic(n=float(row["n"]), half_light_radius=radius)
    stamp = galsim.Image(np.ascontiguousarray(core.stamp), scale=1 / core.oversample)
    # Samples are shares of whole pixels: their mean over a pixel is the light in it.
    psf = galsim.InterpolatedImage(stamp, flux=float(core.stamp.sum()) / core.oversample**2)
    blurred = galsim.Convolve(galaxy.shear(q=float(row["ba"]), beta=angle), psf)
    reach = max(half, _RADII_IN_STAMP * float(row["half_light_radius"]) / NOMINAL_PIXEL_ARCSEC)
    wide = optics.in_lattice(min(reach, _LARGEST_HALF))
    columns, rows = _span(place[0], wide, out.shape[1]), _span(place[1], wide, out.shape[0])
    if not (columns.size and rows.size):
        return
    image = galsim.Image(
        galsim.BoundsI(int(columns[0]), int(columns[-1]), int(rows[0]), int(rows[-1])),
        dtype=float,
        scale=1.0,
    )
    blurred.drawImage(image, center=galsim.PositionD(*place), method="no_pixel")
    flux = float(row[optics.optical_element])
    out[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] += flux * image.array

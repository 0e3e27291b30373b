"""Where the pixels of an image fall on the lattice of a projection region.

The transformation from pixels to the sky is evaluated on a coarse grid of nodes and interpolated
by cubic polynomials. A polynomial through four nodes a distance h apart is off by at most
``max|f''''| h^4 / 24`` where it is least exact, beside the first or last of them; the fourth
differences of the nodes are f'''' h^4. They are measured for every image, so that the bound is
proven for the transformation at hand, which is held against it in the middle of every mesh too:
nodes alone do not see what repeats itself from one to the next.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tessella.astrometry.tangent import sky_to_pixel
from tessella.compiled import kernel
from tessella.models import Lattice

#: Largest distance of the nodes [pixels of the image].
STEP = 64
#: Largest error of interpolation that is accepted [pixels of the lattice].
LARGEST_ERROR = 1e-3
#: Positions are rounded to this fraction of a pixel: differences to whole pixels are then exact,
#: and a coadd is bit for bit the crop of any larger one.
FRACTION = 2.0**-20

SkyFunction = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


@kernel
def _stencil(t: float, n: int, weights: np.ndarray) -> int:
    """Fill in the weights of the four nodes about `t` [steps]; return the first of them."""
    first = min(max(int(np.floor(t)) - 1, 0), n - 4)
    s = t - first
    weights[0] = -(s - 1) * (s - 2) * (s - 3) / 6
    weights[1] = s * (s - 2) * (s - 3) / 2
    weights[2] = -s * (s - 1) * (s - 3) / 2
    weights[3] = s * (s - 1) * (s - 2) / 6
    return first


@kernel
def stencils(n_nodes: int, step: float, offset: float, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return first node and weights of each column; column i lies at node (i + offset) / step."""
    first, weights = np.empty(n, np.int64), np.empty((n, 4))
    for i in range(n):
        first[i] = _stencil((i + offset) / step, n_nodes, weights[i])
    return first, weights


@kernel
def row_of_nodes(nodes: np.ndarray, t: float, start: int, stop: int, out: np.ndarray) -> None:
    """Interpolate columns of nodes (n_rows, n_columns, 2) along y, at row `t` [steps]."""
    weights = np.empty(4)
    first = _stencil(t, nodes.shape[0], weights)
    for k in range(start, stop):
        for axis in range(2):
            out[k, axis] = (
                weights[0] * nodes[first, k, axis]
                + weights[1] * nodes[first + 1, k, axis]
                + weights[2] * nodes[first + 2, k, axis]
                + weights[3] * nodes[first + 3, k, axis]
            )


@kernel
def along_row(
    line: np.ndarray, first: np.ndarray, weights: np.ndarray, start: int, stop: int, out: np.ndarray
) -> None:
    """Interpolate a line of nodes at columns `start` to `stop` - 1, rounded to `FRACTION`."""
    for i in range(start, stop):
        k = first[i]
        for axis in range(2):
            value = (
                weights[i, 0] * line[k, axis]
                + weights[i, 1] * line[k + 1, axis]
                + weights[i, 2] * line[k + 2, axis]
                + weights[i, 3] * line[k + 3, axis]
            )
            out[i, axis] = np.rint(value * 1048576.0) * (1.0 / 1048576.0)


@kernel
def _evaluate(
    nodes: np.ndarray, step_y: float, step_x: float, first_row: int, offset: float, out: np.ndarray
) -> None:
    line = np.empty((nodes.shape[1], 2))
    first, weights = stencils(nodes.shape[1], step_x, offset, out.shape[1])
    for j in range(out.shape[0]):
        row_of_nodes(nodes, (first_row + j + offset) / step_y, 0, nodes.shape[1], line)
        along_row(line, first, weights, 0, out.shape[1], out[j])


@kernel
def _evaluate_at(
    nodes: np.ndarray, step_y: float, step_x: float, nx: int, pixels: np.ndarray, out: np.ndarray
) -> None:
    line, center = np.empty((nodes.shape[1], 2)), np.empty((nx, 2))
    first, weights = stencils(nodes.shape[1], step_x, 0.5, nx)
    row = -1
    for n in range(pixels.size):
        j, i = pixels[n] // nx, pixels[n] % nx
        if j != row:
            row_of_nodes(nodes, (j + 0.5) / step_y, 0, nodes.shape[1], line)
            row = j
        along_row(line, first, weights, i, i + 1, center)
        out[n] = center[i]


@kernel
def _between(nodes: np.ndarray) -> np.ndarray:
    """Interpolate in the middle of every mesh."""
    ny, nx = nodes.shape[0] - 1, nodes.shape[1] - 1
    out, line, weights = np.zeros((ny, nx, 2)), np.empty((nx + 1, 2)), np.empty(4)
    for j in range(ny):
        row_of_nodes(nodes, j + 0.5, 0, nx + 1, line)
        for i in range(nx):
            first = _stencil(i + 0.5, nx + 1, weights)
            for axis in range(2):
                for k in range(4):
                    out[j, i, axis] += weights[k] * line[first + k, axis]
    return out


@dataclass(frozen=True)
class Places:
    """Positions of an image's pixels on a lattice, evaluated row by row when they are asked for."""

    #: Rows and columns of the image.
    shape: tuple[int, int]
    #: (n_rows, n_columns, 2): x and y on the lattice at the nodes, which lie evenly from the outer
    #: corner of the first pixel to that of the last one.
    nodes: np.ndarray
    #: Bound of the error of interpolation [pixels of the lattice].
    error: float

    @property
    def steps(self) -> tuple[float, float]:
        """Distance of the nodes along y and x [pixels of the image]."""
        rows, columns = self.nodes.shape[:2]
        return self.shape[0] / (rows - 1), self.shape[1] / (columns - 1)

    @property
    def row_direction(self) -> tuple[float, float]:
        """Return x and y of a step of length 1 along its rows, on the average of the image."""
        x, y = (self.nodes[:, -1] - self.nodes[:, 0]).mean(axis=0)
        return x / np.hypot(x, y), y / np.hypot(x, y)

    @property
    def rows_run_along_x(self) -> bool:
        """Tell whether its rows run along the lattice's x rather than along its y."""
        x, y = self.row_direction
        return abs(x) >= abs(y)

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Smallest and largest x, and smallest and largest y, of the whole image [pixels]."""
        low, high = self.nodes.min(axis=(0, 1)), self.nodes.max(axis=(0, 1))
        # Between nodes on the edge an image may bulge, by an eighth of the second difference.
        bulge = 1.0 + self._bulge()
        return low[0] - bulge, high[0] + bulge, low[1] - bulge, high[1] + bulge

    def _bulge(self) -> float:
        """Largest distance of the image from straight lines between nodes [pixels]."""
        second = [np.abs(np.diff(self.nodes, 2, axis=axis)).max() for axis in (0, 1)]
        return float(max(second)) / 4

    def corners(self, first: int, stop: int) -> np.ndarray:
        """Return where the corners of pixels of rows `first` to `stop` - 1 fall.

        Returns
        -------
        ndarray of shape (stop - first + 1, nx + 1, 2)
            x and y [pixels of the lattice], multiples of 2^-20. Element [j, i] is the corner at
            x = i - 0.5, y = first + j - 0.5 of the image.
        """
        out = np.empty((stop - first + 1, self.shape[1] + 1, 2))
        _evaluate(self.nodes, *self.steps, first, 0.0, out)
        return out

    def centers(self, first: int, stop: int) -> np.ndarray:
        """Return where the centres of pixels of rows `first` to `stop` - 1 fall.

        Returns
        -------
        ndarray of shape (stop - first, nx, 2)
            x and y [pixels of the lattice], multiples of 2^-20.
        """
        out = np.empty((stop - first, self.shape[1], 2))
        _evaluate(self.nodes, *self.steps, first, 0.5, out)
        return out

    def centers_of(self, pixels: np.ndarray) -> np.ndarray:
        """Return where the centres of some pixels fall, to the bit as `centers` does.

        Parameters
        ----------
        pixels : ndarray of shape (n,)
            Counted along the rows; fast where those of a row follow each other.

        Returns
        -------
        ndarray of shape (n, 2)
            x and y [pixels of the lattice].
        """
        out = np.empty((len(pixels), 2))
        _evaluate_at(self.nodes, *self.steps, self.shape[1], np.asarray(pixels, np.int64), out)
        return out

    def rows_on(self, x0: float, x1: float, y0: float, y1: float) -> tuple[int, int]:
        """Return the first image row that can touch a rectangle of the lattice, and the one after.

        The range is empty, (0, 0), where none can.

        Parameters
        ----------
        x0, x1, y0, y1 : float
            x0 <= x < x1 and y0 <= y < y1 [pixels].
        """
        margin = 1.0 + self._bulge()
        nodes = self.nodes
        # Rectangles around the meshes of the nodes: an image that is turned against the lattice
        # is followed as it lies.
        mesh = np.stack([nodes[:-1, :-1], nodes[:-1, 1:], nodes[1:, :-1], nodes[1:, 1:]])
        low, high = mesh.min(axis=0) - margin, mesh.max(axis=0) + margin
        touch = ((low < (x1, y1)) & (high > (x0, y0))).all(axis=-1)
        near = np.flatnonzero(touch.any(axis=1))
        if near.size == 0:
            return 0, 0
        step = self.steps[0]
        first, stop = int(np.floor(near[0] * step)), int(np.ceil((near[-1] + 1) * step))
        return max(first, 0), min(stop, self.shape[0])


def places_of(to_sky: SkyFunction, shape: tuple[int, int], lattice: Lattice) -> Places:
    """Place the pixels of an image on a lattice.

    Parameters
    ----------
    to_sky : callable
        Right ascension and declination [deg] of pixel positions x, y; 0 is the centre of the first
        pixel.
    shape : tuple of int
        Rows and columns of the image.
    lattice : Lattice
        Of the whole region: positions on it are those of all patches and cells, less whole pixels.

    Raises
    ------
    ValueError
        If the image does not lie within 90 degrees of the region's tangent point, or bends too much
        between nodes to be interpolated to 1e-3 pixel.

    Examples
    --------
    >>> field = Lattice(10.0, 60.0, 0.0, 0.0, 0.1, 100, 100)
    >>> from tessella.astrometry.tangent import pixel_to_sky
    >>> places = places_of(lambda x, y: pixel_to_sky(field, x, y), (40, 40), field)
    >>> places.centers(3, 4)[0, 5].tolist(), places.corners(3, 4)[0, 5].tolist()
    ([5.0, 3.0], [4.5, 2.5])
    """

    def exact(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.stack(sky_to_pixel(lattice, *to_sky(*np.meshgrid(x, y))), axis=-1)

    rows, columns = (np.linspace(-0.5, n - 0.5, max(5, -(-n // STEP) + 1)) for n in shape)
    nodes = exact(columns, rows)
    if not np.isfinite(nodes).all():
        raise ValueError(
            "it does not lie on the region's lattice: its pixels have no positions there, or are "
            "90 degrees or more away from its tangent point"
        )
    fourth = max(float(np.abs(np.diff(nodes, 4, axis=axis)).max()) for axis in (0, 1))
    # Two interpolations, one after the other; the weights of the first add up to at most 1.7.
    between = exact((columns[1:] + columns[:-1]) / 2, (rows[1:] + rows[:-1]) / 2)
    error = max(2.7 * fourth / 24, float(np.abs(_between(nodes) - between).max()))
    if not error < LARGEST_ERROR:
        raise ValueError(
            f"its transformation to the sky bends too much: interpolated every {STEP} pixels it "
            f"would be off by up to {error:.2g} lattice pixels, {LARGEST_ERROR} is allowed"
        )
    return Places(shape, np.ascontiguousarray(nodes), error)

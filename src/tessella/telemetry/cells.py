"""Planes of pixels of which only the cells that arrived take memory."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from tessella.compiled import kernel
from tessella.telemetry.layout import Grid


@dataclass(frozen=True)
class Cells:
    """The cells that arrived of n planes of a window, the pixels of one after the other.

    Examples
    --------
    >>> from tessella.models import Window
    >>> from tessella.telemetry.layout import grid_of
    >>> first = np.where(np.arange(16) == 3, 0, -1)[None]
    >>> cells = Cells(grid_of(Window(0, 0, 128, 128)), first, np.arange(1024, dtype=np.uint16), 7)
    >>> cells.plane(0)[23:25, 0].tolist(), cells.received(0)[23:25, 0].tolist()
    ([7, 0], [False, True])
    """

    grid: Grid
    #: (n_planes, n_cells) int64: where in `pixels` each cell begins; -1 if it did not arrive.
    first: np.ndarray
    #: (n,) uint16 [DN]
    pixels: np.ndarray
    #: What pixels hold that did not arrive [DN].
    fill: int

    def __len__(self) -> int:
        return len(self.first)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of all planes: (n_planes, ny, nx)."""
        return len(self.first), self.grid.ny, self.grid.nx

    @property
    def arrived(self) -> np.ndarray:
        """(n_planes, n_cells) bool: the cell arrived."""
        return self.first >= 0

    @property
    def n_pixels(self) -> int:
        """Number of pixels that arrived."""
        return int((self.arrived * np.diff(cell_starts(self.grid))).sum())

    @property
    def broken_rows(self) -> int:
        """Number of rows of the planes of which a pixel did not arrive."""
        by_row = self.arrived.reshape(-1, self.grid.in_row)
        return self.grid.rows * int(np.count_nonzero(~by_row.all(axis=1)))

    def part(self, start: int, stop: int, fill: int) -> "Cells":
        """Return the planes from `start` to before `stop`; `fill` is what they lack."""
        return Cells(self.grid, self.first[start:stop], self.pixels, fill)

    def plane(self, number: int) -> np.ndarray:
        """Return one plane: (ny, nx) uint16."""
        first = self.first[number]
        if np.all(first >= 0):
            # Cells of a plane lie in their order, so that a whole one is there already.
            plane = self.pixels[first[0] : first[0] + self.grid.ny * self.grid.nx]
        else:
            plane = np.full(self.grid.ny * self.grid.nx, self.fill, np.uint16)
            _spread(first, cell_starts(self.grid), self.pixels, plane)
        return plane.reshape(self.grid.ny, self.grid.nx)

    def received(self, number: int) -> np.ndarray:
        """Tell which pixels of one plane arrived: (ny, nx) bool."""
        arrived, ny, nx = self.arrived[number], self.grid.ny, self.grid.nx
        if np.all(arrived):
            # One value that stands for all takes no memory.
            return np.broadcast_to(True, (ny, nx))
        return np.repeat(arrived, np.diff(cell_starts(self.grid))).reshape(ny, nx)

    def planes(self) -> np.ndarray:
        """Return all planes: (n_planes, ny, nx) uint16."""
        if len(self) and np.all(self.arrived):
            n = self.shape[0] * self.grid.ny * self.grid.nx
            return self.pixels[self.first[0, 0] :][:n].reshape(self.shape)
        return self._stacked([self.plane(k) for k in range(len(self))], np.uint16)

    def all_received(self) -> np.ndarray:
        """Tell which pixels of all planes arrived: (n_planes, ny, nx) bool."""
        if np.all(self.arrived):
            return np.broadcast_to(True, self.shape)
        return self._stacked([self.received(k) for k in range(len(self))], bool)

    def _stacked(self, planes: list[np.ndarray], dtype: type) -> np.ndarray:
        return np.array(planes, dtype).reshape(self.shape)


@lru_cache(16)
def cell_starts(grid: Grid) -> np.ndarray:
    """Return the first pixel of each cell in the flat window, and the number of its pixels.

    Examples
    --------
    >>> from tessella.models import Window
    >>> from tessella.telemetry.layout import grid_of
    >>> cell_starts(grid_of(Window(0, 0, 1280, 128)))[:3].tolist()
    [0, 1024, 1280]
    """
    cells = np.arange(grid.n_cells)
    places = grid.places(cells, cells)
    starts = np.append(0, (places["rows"] * places["columns"]).cumsum())
    starts.flags.writeable = False
    return starts


@kernel
def _spread(first: np.ndarray, starts: np.ndarray, pixels: np.ndarray, plane: np.ndarray) -> None:
    """Copy the cells of a plane to their places."""
    for cell in range(len(first)):
        if first[cell] >= 0:
            a, b = starts[cell], starts[cell + 1]
            plane[a:b] = pixels[first[cell] : first[cell] + b - a]

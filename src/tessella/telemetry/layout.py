"""How the pixels of a window are divided into cells, and packets carry runs of cells.

A *cell* is what one uncompressed packet can carry: up to 1,024 pixels, whole rows or a part of
one. Compressed packets carry several cells. Cells are numbered row by row.
"""

from typing import NamedTuple

import numpy as np

from tessella.models import CHANNEL_WIDTH, GuideWindow, Window

#: The most pixels of a cell; with headers and checksum they stay under 4,000 octets.
CELL_PIXELS = 1024
#: The most cells of a compressed packet: a row of a whole detector.
RUN = 4


class Grid(NamedTuple):
    """The cells of a window of nx x ny pixels from (x, y)."""

    x: int
    y: int
    nx: int
    ny: int
    #: Rows and columns of a cell; the last of a row may have fewer columns.
    rows: int
    columns: int

    @property
    def in_row(self) -> int:
        """Number of cells side by side."""
        return -(-self.nx // self.columns)

    @property
    def n_cells(self) -> int:
        """Number of cells of the window."""
        return self.in_row * (self.ny // self.rows)

    def places(self, first: np.ndarray, last: np.ndarray) -> dict[str, np.ndarray]:
        """Return the fields of headers of packets that carry the cells `first` to `last`.

        Parameters
        ----------
        first, last : (n,) int
            Cells of one row, or whole rows.

        Examples
        --------
        >>> grid = grid_of(Window(0, 128, 1280, 128))
        >>> grid.places(np.array([0, 1]), np.array([1, 1]))["columns"].tolist()
        [1280, 256]
        """
        columns = self.columns * (first % self.in_row)
        return {
            "first_row": self.y + self.rows * (first // self.in_row),
            "rows": self.rows * (last // self.in_row - first // self.in_row + 1),
            "first_column": self.x + columns,
            "columns": np.minimum(self.nx, self.columns * (last % self.in_row + 1)) - columns,
        }

    def cells(self, headers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the first and last cell that each of (n,) headers names; -1 where it is no run.

        Examples
        --------
        >>> from tessella.telemetry.packets import HEADER
        >>> grid_of(Window()).cells(np.zeros(1, HEADER))[0].tolist()
        [-1]
        """
        row = headers["first_row"].astype(int) - self.y
        column = headers["first_column"].astype(int) - self.x
        rows, columns = headers["rows"].astype(int), headers["columns"].astype(int)
        first = row // self.rows * self.in_row + column // self.columns
        last = (row + rows - 1) // self.rows * self.in_row + (column + columns - 1) // self.columns
        inside = (row >= 0) & (column >= 0) & (rows > 0) & (columns > 0)
        inside &= (row + rows <= self.ny) & (column + columns <= self.nx)
        first, last = np.where(inside, first, 0), np.where(inside, last, 0)
        for name, value in self.places(first, last).items():
            inside &= headers[name] == value
        inside &= last - first < RUN
        if self.in_row > 1:
            inside &= first // self.in_row == last // self.in_row
        return np.where(inside, first, -1), np.where(inside, last, -1)

    def runs(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the first and last cells of runs of at most `RUN`, none across rows.

        Examples
        --------
        >>> first, last = grid_of(Window(0, 0, 1280, 128)).runs()
        >>> first[:2].tolist(), last[:2].tolist()
        ([0, 2], [1, 3])
        """
        unit = min(self.in_row, RUN) if self.in_row > 1 else RUN
        first = np.arange(0, self.n_cells, unit)
        return first, np.minimum(first + unit, self.n_cells) - 1


def amp33_window(window: Window) -> Window:
    """Return where the reference output of `window` stands: its rows, 128 columns from 0."""
    return Window(0, window.y, CHANNEL_WIDTH, window.ny)


def grid_of(window: Window) -> Grid:
    """Divide a window of a detector into cells.

    `nx` is a multiple of 128, so that the rows of a cell divide 128 and every window's height.

    Examples
    --------
    >>> grid_of(Window(0, 0, 384, 128)).rows, grid_of(Window()).columns
    (2, 1024)
    """
    rows = max(1, CELL_PIXELS // window.nx)
    return Grid(window.x, window.y, window.nx, window.ny, rows, min(window.nx, CELL_PIXELS))


def guide_grid(guide: GuideWindow) -> Grid:
    """Return the one cell of a guide window.

    Examples
    --------
    >>> guide_grid(GuideWindow(10, 20, np.zeros((5, 16, 32), np.uint16))).n_cells
    1
    """
    _, ny, nx = guide.pixels.shape
    return Grid(guide.x, guide.y, nx, ny, ny, nx)

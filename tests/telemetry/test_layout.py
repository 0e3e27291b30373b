import numpy as np
import pytest

from tessella.models import GuideWindow, Window
from tessella.telemetry.layout import CELL_PIXELS, RUN, Grid, grid_of, guide_grid
from tessella.telemetry.packets import HEADER, MAX_OCTETS, OVERHEAD


def headers_of(grid: Grid, first: np.ndarray, last: np.ndarray) -> np.ndarray:
    headers = np.zeros(len(first), HEADER)
    for name, values in grid.places(first, last).items():
        headers[name] = values
    return headers


@pytest.mark.parametrize("nx", range(128, 4097, 128))
def test_cells_and_runs_cover_every_pixel_once_in_row_major_order(nx):
    window = Window(0, 256, nx, 128)
    grid = grid_of(window)
    cells = np.arange(grid.n_cells)
    for first, last, most in ((cells, cells, CELL_PIXELS), (*grid.runs(), RUN * CELL_PIXELS)):
        label = np.full(window.shape, -1)
        for i, place in enumerate(zip(*grid.places(first, last).values(), strict=True)):
            row, rows, column, columns = place
            assert rows * columns <= most
            part = label[row - 256 : row - 256 + rows, column : column + columns]
            assert part.shape == (rows, columns)
            assert (part == -1).all()
            part[:] = i
        assert (np.diff(label.ravel()) >= 0).all()
        assert label.min() == 0


@pytest.mark.parametrize(
    "window", [Window(), Window(128, 256, 384, 128), Window(128, 0, 1152, 256)]
)
def test_cells_of_a_header_are_those_it_was_made_of(window):
    grid = grid_of(window)
    for first, last in ((np.arange(grid.n_cells),) * 2, grid.runs()):
        found = grid.cells(headers_of(grid, first, last))
        assert np.array_equal(found, (first, last))


def test_places_of_other_windows_and_odd_pixels_are_no_cells():
    grid = grid_of(Window(128, 256, 1152, 128))
    strange = headers_of(grid, *grid.runs())[[0] * 7]
    for i, name in enumerate(("rows", "first_column", "columns")):
        strange[name][i] += 1
    strange["first_row"][3] -= 1
    strange["first_row"][4] += 128
    strange["columns"][5] = 0
    strange["rows"][6] = 0
    assert (grid.cells(strange)[0] == -1).all()
    other = grid_of(Window(0, 0, 128, 128))
    assert (grid.cells(headers_of(other, *other.runs()))[0] == -1).all()


def test_guide_window_is_one_cell():
    grid = guide_grid(GuideWindow(100, 200, np.zeros((3, 16, 64), np.uint16)))
    assert grid.n_cells == 1
    headers = headers_of(grid, *grid.runs())
    assert (headers["first_row"], headers["first_column"]) == (200, 100)
    assert grid.cells(headers)[0] == 0


def test_full_cell_stays_under_the_limit():
    assert OVERHEAD + 2 * CELL_PIXELS < MAX_OCTETS

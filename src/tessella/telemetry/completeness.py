"""How complete an exposure is: the share of its pixels that are there, each counted once.

Pixels of all resultants and of the reference read count, and so does the reference output; guide
windows do not.
"""

from collections.abc import Iterable

import numpy as np

from tessella.telemetry.layout import Grid, amp33_window, grid_of
from tessella.telemetry.packets import AMP33, REFERENCE_READ, SCIENCE
from tessella.telemetry.records import DetectorSetup

#: Rows of packets of one kind that follow each other; all have as many `rows`.
ROWS = np.dtype(
    [
        ("visit_key", "u8"),
        ("exposure", "u2"),
        *(
            (name, "i4")
            for name in (
                *("apid", "resultant", "first_column", "columns", "rows", "encoding_offset"),
                *("first_row", "stop_row"),
            )
        ),
    ]
)


def grids_of(setup: DetectorSetup) -> dict[int, Grid]:
    """Return the cells of a detector that count, by the kind of packet that carries them."""
    return {SCIENCE: grid_of(setup.window), AMP33: grid_of(amp33_window(setup.window))}


def expected_pixels(setup: DetectorSetup) -> int:
    """Return how many pixels a detector sends.

    Examples
    --------
    >>> from tessella.models import Window
    >>> expected_pixels(DetectorSetup(Window(0, 0, 256, 128), 1, 4000)) == 2 * 128 * (256 + 128)
    True
    """
    return (setup.n_resultants + 1) * sum(grid.nx * grid.ny for grid in grids_of(setup).values())


def share(there: int, setups: Iterable[DetectorSetup]) -> float:
    """Return the share of the pixels of some detectors that are there; 0 where none is expected.

    Examples
    --------
    >>> share(0, [])
    0.0
    """
    expected = sum(map(expected_pixels, setups))
    return there / expected if expected else 0.0


def pixels_there(rows: np.ndarray, sca: int, setup: DetectorSetup) -> int:
    """Count the pixels of a detector that some rows hold, each once.

    Rows that contradict the housekeeping do not count.

    Parameters
    ----------
    rows : (n,) array of `ROWS`
        Of one exposure.
    sca : int
        Number of the detector.
    setup : DetectorSetup
    """
    return sum(
        _pixels_of_grid(rows[rows["apid"] == base + sca], grid, setup)
        for base, grid in grids_of(setup).items()
    )


def _pixels_of_grid(rows: np.ndarray, grid: Grid, setup: DetectorSetup) -> int:
    n = setup.n_resultants
    plane = np.where(rows["resultant"] == REFERENCE_READ, n, rows["resultant"])
    fits = (grid.cells(rows)[0] >= 0) & (plane <= n) & (plane >= 0)
    fits &= ~((plane == n) & (rows["resultant"] != REFERENCE_READ))
    fits &= rows["encoding_offset"] == setup.encoding_offset
    rows, plane = rows[fits], plane[fits]
    # The last packet of a range may leave the window.
    height = rows["rows"]
    stop = np.minimum(rows["stop_row"] - rows["first_row"], grid.y + grid.ny - rows["first_row"])
    stop = rows["first_row"] + stop // height * height - grid.y
    first_column = (rows["first_column"] - grid.x) // grid.columns
    stop_column = -(-(rows["first_column"] - grid.x + rows["columns"]) // grid.columns)
    there = np.zeros((n + 1, grid.ny // grid.rows, grid.in_row), bool)
    starts = (rows["first_row"] - grid.y) // grid.rows, first_column
    for k, y, x, y_stop, x_stop in zip(plane, *starts, stop // grid.rows, stop_column, strict=True):
        there[k, y:y_stop, x:x_stop] = True
    widths = np.diff(np.minimum(np.arange(grid.in_row + 1) * grid.columns, grid.nx))
    return int((there.sum(axis=(0, 1)) * widths).sum()) * grid.rows

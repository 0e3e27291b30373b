"""How the rows of a window are divided into packets."""

import numpy as np

from tessella.models import CHANNEL_WIDTH, Window

#: The most pixels a packet holds; with headers and checksum it stays under 4,000 octets.
PACKET_PIXELS = 1024


def rows_per_packet(nx: int) -> int:
    """Return how many whole rows of `nx` pixels a packet holds; 1 where a row needs several.

    `nx` is a multiple of 128, so that the answer divides 128 and every window's height.

    Examples
    --------
    >>> rows_per_packet(384), rows_per_packet(4096)
    (2, 1)
    """
    return max(1, PACKET_PIXELS // nx)


def amp33_window(window: Window) -> Window:
    """Return where the reference output of `window` stands: its rows, 128 columns from 0."""
    return Window(0, window.y, CHANNEL_WIDTH, window.ny)


def packet_blocks(window: Window) -> dict[str, np.ndarray]:
    """Divide a window into the rectangles of pixels that one packet each carries.

    Returns
    -------
    blocks : dict of (n,) int arrays
        ``first_row``, ``rows``, ``first_column``, ``columns``, in pixels of the detector. The
        pixels of consecutive blocks are consecutive in the window's row-major order.

    Examples
    --------
    >>> packet_blocks(Window(0, 128, 1280, 128))["columns"][:3].tolist()
    [1024, 256, 1024]
    """
    rows, columns = rows_per_packet(window.nx), min(window.nx, PACKET_PIXELS)
    first_row, first_column = np.meshgrid(
        np.arange(0, window.ny, rows), np.arange(0, window.nx, columns), indexing="ij"
    )
    return {
        "first_row": window.y + first_row.ravel(),
        "rows": np.full(first_row.size, rows),
        "first_column": window.x + first_column.ravel(),
        "columns": np.minimum(columns, window.nx - first_column.ravel()),
    }


def fits(headers: np.ndarray, window: Window) -> np.ndarray:
    """Tell which of (n,) headers name a rectangle of `packet_blocks`: (n,) bool.

    Examples
    --------
    >>> from tessella.telemetry.packets import HEADER
    >>> fits(np.zeros(1, HEADER), Window()).tolist()
    [False]
    """
    row = headers["first_row"].astype(int) - window.y
    column = headers["first_column"].astype(int) - window.x
    rows, columns = rows_per_packet(window.nx), min(window.nx, PACKET_PIXELS)
    return (
        (headers["rows"] == rows)
        & (row >= 0)
        & (row < window.ny)
        & (row % rows == 0)
        & (column >= 0)
        & (column < window.nx)
        & (column % columns == 0)
        & (headers["columns"] == np.minimum(columns, window.nx - column))
    )

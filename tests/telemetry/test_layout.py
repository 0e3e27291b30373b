import numpy as np
import pytest

from tessella.models import Window
from tessella.telemetry.layout import PACKET_PIXELS, fits, packet_blocks
from tessella.telemetry.packets import CRC_OCTETS, HEADER, MAX_OCTETS


def headers_of(window: Window) -> np.ndarray:
    blocks = packet_blocks(window)
    headers = np.zeros(len(blocks["rows"]), HEADER)
    for name, values in blocks.items():
        headers[name] = values
    return headers


@pytest.mark.parametrize("nx", range(128, 4097, 128))
def test_blocks_cover_every_pixel_once_in_row_major_order(nx):
    window = Window(0, 256, nx, 128)
    label = np.full(window.shape, -1)
    for i, block in enumerate(zip(*packet_blocks(window).values(), strict=True)):
        row, rows, column, columns = block
        assert rows * columns <= PACKET_PIXELS
        part = label[row - 256 : row - 256 + rows, column : column + columns]
        assert part.shape == (rows, columns)
        assert (part == -1).all()
        part[:] = i
    assert (np.diff(label.ravel()) >= 0).all()
    assert label.min() == 0


@pytest.mark.parametrize(
    "window", [Window(), Window(128, 256, 384, 128), Window(128, 0, 1152, 256)]
)
def test_every_block_of_a_window_fits_it_and_none_of_its_neighbour(window):
    assert fits(headers_of(window), window).all()
    other = Window(0, 0, 128, 128)
    assert not fits(headers_of(window), other).any()


def test_full_packet_stays_under_the_limit():
    assert HEADER.itemsize + 2 * PACKET_PIXELS + CRC_OCTETS < MAX_OCTETS

"""From packets of one kind and detector to planes of pixels.

Of two packets that carry the same cell the one received later counts.
"""

from dataclasses import dataclass

import numpy as np

from tessella.compiled import kernel
from tessella.telemetry.codecs import CODECS, PLAIN
from tessella.telemetry.fates import Fate
from tessella.telemetry.index import PacketIndex
from tessella.telemetry.layout import Grid
from tessella.telemetry.packets import HEADER, OVERHEAD, REFERENCE_READ


@dataclass(frozen=True)
class Target:
    """The planes that packets of one kind of one detector fill."""

    grid: Grid
    #: Resultants, or cycles of a guide window.
    n_resultants: int
    #: A reference read comes too; it is the last plane.
    has_reference: bool
    #: Added on board [DN]; what pixels hold that did not arrive, but for reference reads: 0.
    encoding_offset: int


@dataclass(frozen=True)
class Placed:
    """Planes of pixels, and what became of the packets that carried them."""

    #: (n_planes, ny, nx) uint16
    planes: np.ndarray
    #: (n_planes, ny, nx) bool: the pixel arrived.
    received: np.ndarray
    #: (n,) of `Fate`, of the packets that were given.
    fate: np.ndarray
    #: (n_planes, 3) int: rows that were expected, that packets filled, and of which no pixel
    #: arrived. A row is that of a cell: all of a detector's row up to 1,024 pixels.
    rows: np.ndarray
    #: Number of pixels that arrived.
    n_pixels: int
    #: Number of packets of which a later one held other pixels.
    conflicting: int


@dataclass(frozen=True)
class _Columns:
    """What is needed of n packets, in the order in which they were received."""

    packet: np.ndarray
    plane: np.ndarray
    first: np.ndarray
    last: np.ndarray
    codec: np.ndarray


def place(index: PacketIndex, packets: np.ndarray, target: Target) -> Placed:
    """Put the pixels of packets where their headers say.

    Parameters
    ----------
    index : PacketIndex
    packets : (n,) int
        In the order in which they were received; all of one kind, detector and exposure.
    target : Target

    Examples
    --------
    >>> from tessella.models import Window
    >>> from tessella.telemetry.index import index_packets
    >>> from tessella.telemetry.layout import grid_of
    >>> target = Target(grid_of(Window(0, 0, 128, 128)), 1, True, 4000)
    >>> placed = place(index_packets([]), np.zeros(0, int), target)
    >>> placed.planes[:, 0, 0].tolist(), placed.rows.tolist()
    ([4000, 0], [[128, 0, 128], [128, 0, 128]])
    """
    columns = _columns(index, packets, target)
    grid, n_planes = target.grid, target.n_resultants + target.has_reference
    fate = np.full(len(packets), Fate.MISFIT)
    alive = (columns.plane >= 0) & (columns.first >= 0) & is_whole(index, packets)
    alive &= index.header["encoding_offset"][packets] == target.encoding_offset
    starts = _cell_starts(grid)
    failed = np.zeros(0, int)
    while True:
        owner = np.full((n_planes, grid.n_cells), -1, np.int32)
        _own(columns.plane, columns.first, columns.last, alive, owner)
        owned = np.bincount(owner[owner >= 0], minlength=len(packets))
        planes = np.empty((n_planes, grid.ny * grid.nx), np.uint16)
        _place_plain(index, columns, owner, owned, starts, planes)
        failed = _place_coded(index, columns, owner, owned, starts, planes)
        if not len(failed):
            break
        alive[failed], fate[failed] = False, Fate.UNREADABLE
    if np.all(owner >= 0):
        # One value that stands for all takes no memory.
        received = np.broadcast_to(True, planes.shape)
    else:
        received = np.zeros(planes.shape, bool)
        fill = np.full(n_planes, target.encoding_offset, np.uint16)
        fill[target.n_resultants :] = 0
        _finish(owner, starts, fill, planes, received)
    fate[alive] = np.where(owned[alive] > 0, Fate.USED, Fate.DUPLICATE)
    rows = np.full((n_planes, 3), grid.n_cells)
    rows[:, 1] = np.bincount(columns.plane[owned > 0], weights=owned[owned > 0], minlength=n_planes)
    rows[:, 2] = np.count_nonzero(~received[:, starts[:-1]], axis=1)
    return Placed(
        planes.reshape(n_planes, grid.ny, grid.nx),
        received.reshape(n_planes, grid.ny, grid.nx),
        fate,
        rows=grid.rows * rows,
        n_pixels=int(((owner >= 0) * np.diff(starts)).sum()),
        conflicting=_n_conflicting(index, columns, alive, owner, owned, starts, planes),
    )


def _columns(index: PacketIndex, packets: np.ndarray, target: Target) -> _Columns:
    header = index.header[packets]
    resultant = header["resultant"].astype(int)
    plane = np.where(resultant < target.n_resultants, resultant, -1)
    if target.has_reference:
        plane[resultant == REFERENCE_READ] = target.n_resultants
    return _Columns(packets, plane, *target.grid.cells(header), header["codec"])


def is_whole(index: PacketIndex, packets: np.ndarray) -> np.ndarray:
    """Tell which packets announce as many octets as their rows and columns need: (n,) bool."""
    header = index.header[packets]
    needed = 2 * header["rows"].astype(int) * header["columns"]
    octets = index.stop[packets] - index.start[packets] - OVERHEAD
    plain = header["codec"] == PLAIN
    return (header["uncompressed_octets"] == needed) & (~plain | (octets == needed))


def _cell_starts(grid: Grid) -> np.ndarray:
    """Return the first pixel of each cell in the flat window, and the number of its pixels."""
    cells = np.arange(grid.n_cells)
    places = grid.places(cells, cells)
    return np.append(0, (places["rows"] * places["columns"]).cumsum())


@kernel
def _own(
    plane: np.ndarray, first: np.ndarray, last: np.ndarray, alive: np.ndarray, owner: np.ndarray
) -> None:
    """Set who is the last to carry each cell; `owner` is (n_planes, n_cells)."""
    for i in range(len(plane)):
        if alive[i]:
            owner[plane[i], first[i] : last[i] + 1] = i


def _place_plain(
    index: PacketIndex,
    columns: _Columns,
    owner: np.ndarray,
    owned: np.ndarray,
    starts: np.ndarray,
    planes: np.ndarray,
) -> None:
    """Copy the cells of packets that are not compressed."""
    chosen = np.flatnonzero((columns.codec == PLAIN) & (owned > 0))
    for stream, group in index.neighbours(columns.packet[chosen]):
        own = chosen[group]
        octets = np.frombuffer(index.streams[stream], np.uint8)
        body = index.start[columns.packet[own]] + HEADER.itemsize
        cells = columns.plane[own], columns.first[own], columns.last[own]
        _copy(octets, body, own, *cells, owner, starts, planes.view(np.uint8))


@kernel
def _copy(
    octets: np.ndarray,
    body: np.ndarray,
    number: np.ndarray,
    plane: np.ndarray,
    first: np.ndarray,
    last: np.ndarray,
    owner: np.ndarray,
    starts: np.ndarray,
    planes: np.ndarray,
) -> None:
    """Copy big-endian pixels of the cells that each packet owns to octets of little-endian ones."""
    for i in range(len(body)):
        for cell in range(first[i], last[i] + 1):
            if owner[plane[i], cell] == number[i]:
                a = body[i] + 2 * (starts[cell] - starts[first[i]])
                n = starts[cell + 1] - starts[cell]
                # Views of their own, so that the loop is over neighbours.
                sent = octets[a : a + 2 * n]
                kept = planes[plane[i], 2 * starts[cell] : 2 * starts[cell + 1]]
                for k in range(n):
                    kept[2 * k], kept[2 * k + 1] = sent[2 * k + 1], sent[2 * k]


def _place_coded(
    index: PacketIndex,
    columns: _Columns,
    owner: np.ndarray,
    owned: np.ndarray,
    starts: np.ndarray,
    planes: np.ndarray,
) -> np.ndarray:
    """Decompress packets and place their cells; return those that cannot be decompressed."""
    failed: list[int] = []
    chosen = np.flatnonzero((columns.codec != PLAIN) & (owned > 0))
    for _, group in index.neighbours(columns.packet[chosen]):
        failed += _decompress(index, columns, chosen[group], owner, owned, starts, planes)
    return np.array(failed, int)


def _decompress(
    index: PacketIndex,
    columns: _Columns,
    chosen: np.ndarray,
    owner: np.ndarray,
    owned: np.ndarray,
    starts: np.ndarray,
    planes: np.ndarray,
) -> list[int]:
    failed = []
    picked = (getattr(columns, name)[chosen] for name in ("plane", "first", "last"))
    rows = zip(chosen.tolist(), *(one.tolist() for one in picked), strict=True)
    ends = starts.tolist()
    for i, plane, first, last in rows:
        try:
            pixels = _decode(index, columns, i, ends[last + 1] - ends[first])
        except ValueError:
            failed.append(i)
            continue
        if owned[i] == last - first + 1:
            planes[plane, ends[first] : ends[last + 1]] = pixels
            continue
        for cell in range(first, last + 1):
            if owner[plane, cell] == i:
                inside = slice(ends[cell] - ends[first], ends[cell + 1] - ends[first])
                planes[plane, ends[cell] : ends[cell + 1]] = pixels[inside]
    return failed


def _decode(index: PacketIndex, columns: _Columns, i: int, n_pixels: int) -> np.ndarray:
    return CODECS[columns.codec[i]].decode(index.payload(columns.packet[i]), n_pixels)


@kernel
def _finish(
    owner: np.ndarray,
    starts: np.ndarray,
    fill: np.ndarray,
    planes: np.ndarray,
    received: np.ndarray,
) -> None:
    """Mark the cells that arrived and fill the others."""
    for plane in range(owner.shape[0]):
        for cell in range(owner.shape[1]):
            if owner[plane, cell] >= 0:
                received[plane, starts[cell] : starts[cell + 1]] = True
            else:
                planes[plane, starts[cell] : starts[cell + 1]] = fill[plane]


def _n_conflicting(
    index: PacketIndex,
    columns: _Columns,
    alive: np.ndarray,
    owner: np.ndarray,
    owned: np.ndarray,
    starts: np.ndarray,
    planes: np.ndarray,
) -> int:
    """Count the packets whose pixels are not those that stand in their place in the end."""
    contested = alive & (owned < columns.last - columns.first + 1)
    n_conflicting = 0
    for i in np.flatnonzero(contested).tolist():
        first, plane = columns.first[i], columns.plane[i]
        winner = owner[plane, first]
        same = columns.codec[i] == columns.codec[winner] and first == columns.first[winner]
        packet = columns.packet[[i, winner]]
        if same and index.payload(packet[0]) == index.payload(packet[1]):
            continue
        place = slice(starts[first], starts[columns.last[i] + 1])
        try:
            pixels = _decode(index, columns, i, int(place.stop - place.start))
        except ValueError:
            n_conflicting += 1
            continue
        n_conflicting += not np.array_equal(pixels, planes[plane, place])
    return n_conflicting

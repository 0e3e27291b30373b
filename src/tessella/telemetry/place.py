"""From packets of one kind and detector to planes of pixels.

Of two packets that carry the same cell the one received later counts.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tessella.compiled import kernel
from tessella.telemetry.cells import Cells, cell_starts
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

    #: Of all planes.
    cells: Cells
    #: (n,) of `Fate`, of the packets that were given.
    fate: np.ndarray
    #: (n_planes, 3) int: rows that were expected, that packets filled, and of which no pixel
    #: arrived. A row is that of a cell: all of a detector's row up to 1,024 pixels.
    rows: np.ndarray
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

    A packet is decompressed once, but where what came later for its cells cannot be.

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
    >>> placed.cells.plane(0)[0, 0].item(), placed.rows.tolist()
    (4000, [[128, 0, 128], [128, 0, 128]])
    """
    columns = _columns(index, packets, target)
    grid, n_planes = target.grid, target.n_resultants + target.has_reference
    fate = np.full(len(packets), Fate.MISFIT)
    alive = (columns.plane >= 0) & (columns.first >= 0) & is_whole(index, packets)
    alive &= index.header["encoding_offset"][packets] == target.encoding_offset
    owner = np.full((n_planes, grid.n_cells), -1, np.int32)
    _own(columns.plane, columns.first, columns.last, alive, owner)
    work = _Work(index, columns, owner, *_reserved(owner, cell_starts(grid)))
    _place_plain(work)
    failed = _place_coded(work)
    if failed:
        failed += _fall_back(work, alive, failed)
        alive[failed], fate[failed] = False, Fate.UNREADABLE
        work.first[owner < 0] = -1
    owned = np.bincount(owner[owner >= 0], minlength=len(packets))
    fate[alive] = np.where(owned[alive] > 0, Fate.USED, Fate.DUPLICATE)
    rows = np.full((n_planes, 3), grid.n_cells)
    rows[:, 1] = np.bincount(columns.plane[owned > 0], weights=owned[owned > 0], minlength=n_planes)
    rows[:, 2] = np.count_nonzero(work.first < 0, axis=1)
    return Placed(
        Cells(grid, work.first, work.pixels, target.encoding_offset),
        fate,
        rows=grid.rows * rows,
        conflicting=_n_conflicting(work, alive, owned),
    )


@dataclass(frozen=True)
class _Work:
    """What is filled while packets are placed; packets are numbered as in `columns`."""

    index: PacketIndex
    columns: _Columns
    #: (n_planes, n_cells): the packet whose pixels count; -1 for none.
    owner: np.ndarray
    #: (n_planes, n_cells): where each cell begins in `pixels`.
    first: np.ndarray
    pixels: np.ndarray
    #: (n_cells + 1,): where each begins in a flat plane.
    starts: np.ndarray

    @cached_property
    def owned(self) -> np.ndarray:
        """(n,) int: number of cells that each packet owned at first."""
        return np.bincount(self.owner[self.owner >= 0], minlength=len(self.columns.packet))

    def decode(self, i: int, n_pixels: int) -> np.ndarray:
        """Return the pixels of a packet; ValueError where it does not hold so many."""
        packet, codec = self.columns.packet[i], self.columns.codec[i]
        return CODECS[codec].decode(self.index.payload(packet), n_pixels)

    def put(self, i: int, pixels: np.ndarray) -> None:
        """Put the pixels of a packet into the cells that it owns."""
        plane, first, last = (
            int(one[i]) for one in (self.columns.plane, self.columns.first, self.columns.last)
        )
        own = self.owner[plane, first : last + 1] == i
        for cell in (first + np.flatnonzero(own)).tolist():
            inside = slice(*(self.starts[cell : cell + 2] - self.starts[first]))
            a = self.first[plane, cell]
            self.pixels[a : a + inside.stop - inside.start] = pixels[inside]


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


def _reserved(owner: np.ndarray, starts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return where the cells that have an owner begin, room for their pixels, and `starts`."""
    sizes = (np.diff(starts) * (owner >= 0)).reshape(-1)
    first = np.where(owner >= 0, (sizes.cumsum() - sizes).reshape(owner.shape), -1)
    return first, np.empty(int(sizes.sum()), np.uint16), starts


@kernel
def _own(
    plane: np.ndarray, first: np.ndarray, last: np.ndarray, alive: np.ndarray, owner: np.ndarray
) -> None:
    """Set who is the last to carry each cell; `owner` is (n_planes, n_cells)."""
    for i in range(len(plane)):
        if alive[i]:
            owner[plane[i], first[i] : last[i] + 1] = i


def _place_plain(work: _Work) -> None:
    """Copy the cells of packets that are not compressed."""
    columns = work.columns
    for stream, own in _owners(work, columns.codec == PLAIN):
        octets = np.frombuffer(work.index.streams[stream], np.uint8)
        body = work.index.start[columns.packet[own]] + HEADER.itemsize
        cells = columns.plane[own], columns.first[own], columns.last[own]
        where = work.owner, work.first, work.starts
        _copy(octets, body, own, *cells, *where, work.pixels.view(np.uint8))


def _place_coded(work: _Work) -> list[int]:
    """Decompress packets and place their cells; return those that cannot be decompressed."""
    columns, failed = work.columns, []
    for _, own in _owners(work, columns.codec != PLAIN):
        plane, first, last = columns.plane[own], columns.first[own], columns.last[own]
        begin, n_pixels = work.first[plane, first], work.starts[last + 1] - work.starts[first]
        is_whole = work.owned[own] == last - first + 1
        payloads = work.index.payloads(columns.packet[own])
        rows = (one.tolist() for one in (own, begin, n_pixels, is_whole, columns.codec[own]))
        for payload, i, a, n, whole, codec in zip(payloads, *rows, strict=True):
            try:
                pixels = CODECS[codec].decode(payload, n)
            except ValueError:
                failed.append(i)
                continue
            if whole:
                work.pixels[a : a + n] = pixels
            else:
                work.put(i, pixels)
    return failed


def _owners(work: _Work, chosen: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Give those of some packets that own a cell, by stream, in groups that lie near each other."""
    numbers = np.flatnonzero(chosen & (work.owned > 0))
    for stream, group in work.index.neighbours(work.columns.packet[numbers]):
        yield stream, numbers[group]


@kernel
def _copy(
    octets: np.ndarray,
    body: np.ndarray,
    number: np.ndarray,
    plane: np.ndarray,
    first: np.ndarray,
    last: np.ndarray,
    owner: np.ndarray,
    begin: np.ndarray,
    starts: np.ndarray,
    pixels: np.ndarray,
) -> None:
    """Copy big-endian pixels of the cells that each packet owns to octets of little-endian ones."""
    for i in range(len(body)):
        for cell in range(first[i], last[i] + 1):
            if owner[plane[i], cell] == number[i]:
                a = body[i] + 2 * (starts[cell] - starts[first[i]])
                n = starts[cell + 1] - starts[cell]
                b = 2 * begin[plane[i], cell]
                # Views of their own, so that the loop is over neighbours.
                sent = octets[a : a + 2 * n]
                kept = pixels[b : b + 2 * n]
                for k in range(n):
                    kept[2 * k], kept[2 * k + 1] = sent[2 * k + 1], sent[2 * k]


def _fall_back(work: _Work, alive: np.ndarray, failed: list[int]) -> list[int]:
    """Give the cells of packets that cannot be decompressed to what came before them.

    Packets are tried from the last to the first, each once. Cells that nothing else carries are
    left without owner.

    Parameters
    ----------
    work : _Work
    alive : (n,) bool
        Packets that may carry cells.
    failed : list of int

    Returns
    -------
    more : list of int
        Packets that cannot be decompressed either.
    """
    columns, owner = work.columns, work.owner
    is_lost = np.isin(owner, failed)
    owner[is_lost] = -1
    before = np.pad(is_lost.cumsum(axis=1), ((0, 0), (1, 0)))
    tried = alive.copy()
    tried[failed] = False
    tried[tried] = _n_lost(before, columns, tried) > 0
    more, n_pixels = [], work.starts[columns.last + 1] - work.starts[columns.first]
    for i in np.flatnonzero(tried)[::-1].tolist():
        run = slice(columns.first[i], columns.last[i] + 1)
        cells = is_lost[columns.plane[i], run]
        if not cells.any():
            continue
        try:
            pixels = work.decode(i, int(n_pixels[i]))
        except ValueError:
            more.append(i)
            continue
        owner[columns.plane[i], run][cells] = i
        cells[:] = False
        work.put(i, pixels)
    return more


def _n_lost(before: np.ndarray, columns: _Columns, chosen: np.ndarray) -> np.ndarray:
    """Count the lost cells that each chosen packet carries; `before` are sums along cells."""
    plane = columns.plane[chosen]
    return before[plane, columns.last[chosen] + 1] - before[plane, columns.first[chosen]]


def _n_conflicting(work: _Work, alive: np.ndarray, owned: np.ndarray) -> int:
    """Count the packets whose pixels are not those that stand in their place in the end."""
    columns = work.columns
    contested = alive & (owned < columns.last - columns.first + 1)
    n_conflicting, n_pixels = 0, work.starts[columns.last + 1] - work.starts[columns.first]
    for i in np.flatnonzero(contested).tolist():
        first, plane = columns.first[i], columns.plane[i]
        winner = work.owner[plane, first]
        same = columns.codec[i] == columns.codec[winner] and first == columns.first[winner]
        packet = columns.packet[[i, winner]]
        if same and work.index.payload(packet[0]) == work.index.payload(packet[1]):
            continue
        try:
            pixels = work.decode(i, int(n_pixels[i]))
        except ValueError:
            n_conflicting += 1
            continue
        a = work.first[plane, first]
        n_conflicting += not np.array_equal(pixels, work.pixels[a : a + len(pixels)])
    return n_conflicting

"""The part of the lattice in which outliers are searched for, and blocks of it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tessella.coadd.disagreement import GROWTH, HALO
from tessella.coadd.median_stack import COARSE
from tessella.models import Lattice
from tessella.sky.tessellation import place_of

#: Pixels of an image whose centre lies on the patch, or so far from it, are decided [pixels of
#: the lattice]: what a coadd of the patch, whose drops reach beyond it, can need.
EDGE = 16
#: Beyond that, neighbours whose strict threshold decides about them [pixels of the lattice].
_BEYOND = EDGE + 3 * COARSE * GROWTH
#: Bytes for each coarse pixel of a block: the stack with its surroundings, twice while ranks put
#: theirs together; the sums of an image take less.
_MEMORY_BYTES = 36
#: Bytes for each coarse pixel of an image that falls on a block: its plane.
_SCRATCH_BYTES = 4
#: x0, x1, y0, y1 of a rectangle of coarse pixels.
Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Room:
    """What a block may take [bytes]; of no influence on what is found."""

    memory: int = 400 << 20
    #: Of the scratch file: 180 images on all of a block of full size.
    scratch: int = 8 << 30
    #: Of planes that are held in memory at a time.
    planes: int = 32 << 20


ROOM = Room()


@dataclass(frozen=True)
class Area:
    """A patch on its region's lattice, x0 <= x < x1 and y0 <= y < y1 [pixels]."""

    x0: int
    x1: int
    y0: int
    y1: int

    @property
    def coarse(self) -> Box:
        """Coarse pixels that hold the pixels to be decided."""
        x0, y0 = ((edge - _BEYOND) // COARSE for edge in (self.x0, self.y0))
        x1, y1 = (-(-(edge + _BEYOND) // COARSE) for edge in (self.x1, self.y1))
        return x0, x1, y0, y1


def area_of(lattice: Lattice) -> Area:
    """Return where a patch lies on the lattice of its region.

    Examples
    --------
    >>> area_of(Lattice(10.0, 60.0, 99.5, -300.5, 0.055, 200, 100))
    Area(x0=2400, x1=2600, y0=2800, y1=2900)
    """
    x0, y0 = place_of(lattice)
    return Area(x0, x0 + lattice.nx, y0, y0 + lattice.ny)


def blocks_of(boxes: Sequence[Box], whole: Box, along_x: bool, room: Room) -> list[Box]:
    """Cut coarse pixels into blocks of lines that take no more than some memory and scratch.

    Parameters
    ----------
    boxes : sequence of tuple of int
        What each image covers.
    whole : tuple of int
        What is to be cut.
    along_x : bool
        Lines run along x; else along y.
    room : Room
        A block of one line may take more.

    Returns
    -------
    list of tuple of int
        In order; together they are all of it.

    Examples
    --------
    >>> one = (-9, 1009, -9, 109)
    >>> blocks_of([one, one], (0, 994, 0, 100), True, Room(memory=36 * 1000 * 56))
    [(0, 994, 0, 50), (0, 994, 50, 100)]
    """
    turned = [box if along_x else (*box[2:], *box[:2]) for box in (whole, *boxes)]
    (x0, x1, start, end), covered = turned[0], turned[1:]
    count = end - start
    n_lines = count + 2 * HALO
    line_bytes = (x1 - x0 + 2 * HALO) * _MEMORY_BYTES
    scratch = np.zeros(n_lines + 1, np.int64)
    for box in covered:
        width = max(min(box[1], x1 + HALO) - max(box[0], x0 - HALO), 0)
        low, high = np.clip(np.array(box[2:]) - start + HALO, 0, n_lines)
        # Lines from `low` to `high` - 1 hold it: a step up, a step down, summed below.
        scratch[low] += width * _SCRATCH_BYTES
        scratch[high] -= width * _SCRATCH_BYTES
    # Of all lines before a line.
    used = np.concatenate([[0], np.cumsum(np.cumsum(scratch))])
    blocks = []
    while start < end:
        # A block needs the lines of its halo too.
        at = start - end + count
        most = int(np.searchsorted(used, used[at] + room.scratch, side="right")) - 1 - at
        most = min(most, room.memory // line_bytes) - 2 * HALO
        stop = min(start + max(most, 1), end)
        blocks.append((x0, x1, start, stop) if along_x else (start, stop, x0, x1))
        start = stop
    return blocks

"""What packet files of any origin are made of, as tables that can be shown."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from tessella.errors import DataError
from tessella.io.ledgers import detector_of
from tessella.io.level0 import map_file
from tessella.telemetry.frames import SYNC_MARKER, FrameFormat, Link, read_link
from tessella.telemetry.index import Stream, index_parts
from tessella.telemetry.inventory import Stock, take_stock
from tessella.telemetry.packets import ATTITUDE, GUIDE, HOUSEKEEPING, IDLE, SCIENCE
from tessella.telemetry.space_packets import gaps, groups, split

Tell = Callable[[int], None]


@dataclass(frozen=True)
class Listing:
    """One table about a file."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]

    def text(self) -> str:
        """Return title and table as lines; numbers stand at the right.

        Examples
        --------
        >>> print(Listing("Files", ("file", "packets"), [("a.l0", "12"), ("b.l0", "3")]).text())
        Files
        file  packets
        a.l0       12
        b.l0        3
        """
        lines = [self.title] if self.title else []
        if self.rows:
            table = [self.columns, *self.rows]
            widths = [max(map(len, column)) for column in zip(*table, strict=True)]
            lines += [
                "  ".join(
                    word.rjust(width) if is_number else word.ljust(width)
                    for word, width, is_number in zip(row, widths, self._are_numbers, strict=True)
                ).rstrip()
                for row in table
            ]
        return "\n".join(lines)

    @property
    def _are_numbers(self) -> list[bool]:
        return [
            all(word[:1].isdigit() or not word for word in column)
            for column in zip(*self.rows, strict=True)
        ]


def list_packets(path: str | Path, tell: Tell) -> list[Listing]:
    """List what a file of packets holds, ours or of any other spacecraft.

    Parameters
    ----------
    path : path
    tell : function
        Called with the number of octets that were read since the last time.

    Raises
    ------
    DataError
        If there is no such file, or it holds transfer frames or no packet.
    """
    stream = map_file(path)
    if bytes(stream[:4]) == SYNC_MARKER:
        raise DataError(
            f"{path}: it starts with the sync marker of transfer frames, expected packets; "
            "say how long the frames are, such as --frames 1115:5"
        )
    listings = list_stream(str(path), stream, tell)
    if not listings[-1].rows:
        raise DataError(f"{path}: {listings[-1].title.partition(': ')[2]}; no packet in it")
    return listings


def list_link(path: str | Path, link: Link) -> list[Listing]:
    """List what a file of transfer frames holds."""
    columns = ("channel", "frames", "lost", "repeated", "packets cut by lost frames")
    rows = [
        (str(number), *map(_n, (one.n_frames, one.n_lost, one.n_repeated, one.n_incomplete)))
        for number, one in link.channels.items()
    ]
    title = (
        f"{path}: {_n(link.n_frames)} transfer frames, {_n(link.n_idle)} of them idle; "
        f"{_n(link.n_stray)} stray octets; {_n(link.n_corrected)} symbols corrected"
    )
    rejected = "".join(f"; {_n(n)} rejected: {why}" for why, n in link.rejected.items())
    listings = [Listing(title + rejected, columns, rows)]
    for number, channel in link.channels.items():
        listings += list_stream(f"{path} channel {number}", channel.packets, lambda octets: None)
    return listings


def open_link(path: str | Path, form: FrameFormat, is_corrected: bool) -> Link:
    """Read a file of transfer frames.

    Raises
    ------
    DataError
        If there is no such file, no frame is found, or the library that corrects is missing.
    """
    try:
        link = read_link(map_file(path), form, is_corrected)
    except ValueError as error:
        raise DataError(f"{path}: {error}") from error
    if not link.n_frames:
        raise DataError(
            f"{path}: no transfer frame of {form.octets} octets and {form.interleaving} codewords "
            "after a sync marker; check --frames"
        )
    return link


def list_stream(name: str, stream: Stream, tell: Tell) -> list[Listing]:
    """List what a stream of packets holds."""
    first = next(islice(index_parts((stream,)), 1), None)
    if first is not None and len(first):
        return _list_ours(name, len(stream), take_stock([stream], tell))
    listings = _list_others(name, stream)
    tell(len(stream))
    return listings


def _list_ours(name: str, n_octets: int, stock: Stock) -> list[Listing]:
    exposures = [
        (
            key.name,
            "" if holding.announced.header is None else holding.announced.header.optical_element,
            str(len(holding.announced.detectors)),
            f"{100 * holding.completeness:.2f} %" if holding.announced.detectors else "unknown",
        )
        for key, holding in stock.holdings.items()
    ]
    kinds = [(f"0x{apid:03x}", _kind(apid), _n(n)) for apid, n in stock.apids.items()]
    kinds += [("", f"rejected: {reason}", _n(n)) for reason, n in stock.fragments.items()]
    return [
        Listing(
            f"{name}: packets of tessella's own layout, {_n(n_octets)} octets",
            ("exposure", "element", "detectors", "pixels there"),
            exposures,
        ),
        Listing("", ("identifier", "kind", "packets"), kinds),
    ]


def _kind(apid: int) -> str:
    names: Mapping[int, str] = {ATTITUDE: "attitude", HOUSEKEEPING: "housekeeping", IDLE: "idle"}
    detector = detector_of(apid)
    if detector:
        base = ("science", "amp33", "guide window")[(apid - SCIENCE) // ((GUIDE - SCIENCE) // 2)]
        return f"{base} {detector}"
    return names.get(apid, "unknown")


def _list_others(name: str, stream: Stream) -> list[Listing]:
    table = split(np.frombuffer(stream, np.uint8))
    found = groups(table)
    whole = Counter(group.apid for group in found if not group.reason)
    broken = Counter(group.apid for group in found if group.reason)
    rows = []
    for apid in np.unique(table.apid).tolist():
        own = table.of(apid)
        octets, said = (table.stop - table.start)[own], gaps(table.sequence_count[own])
        numbers = (len(own), octets.sum(), octets.min(), octets.max(), *said)
        rows.append((str(apid), *map(_n, (*numbers, whole[apid], broken[apid]))))
    columns = (
        *("identifier", "packets", "octets", "shortest", "longest"),
        *("jumps of the count", "missing", "repeated", "whole groups", "broken groups"),
    )
    title = f"{name}: space packets, {_n(len(stream))} octets"
    if table.rest:
        title += f"; the last {_n(table.rest)} are no packet: {table.reason}"
    return [Listing(title, columns, rows)]


def _n(number: int) -> str:
    return f"{int(number):,}"

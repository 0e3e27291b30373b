"""One table of the packets of several streams: where they are and what their headers say."""

import mmap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tessella.compiled import kernel
from tessella.models import ExposureKey
from tessella.telemetry.codecs import CODECS
from tessella.telemetry.fates import NONE, RANGE, Fate, condense
from tessella.telemetry.packets import (
    AMP33,
    ATTITUDE,
    CRC_OCTETS,
    FORMAT_VERSION,
    HEADER,
    IDLE,
    KNOWN_APIDS,
    OVERHEAD,
    SCIENCE,
    TIME_PREAMBLE,
    identification,
    pack_visit,
)
from tessella.telemetry.scan import Scan, find_packets

Stream = bytes | bytearray | mmap.mmap
# Of a mapped file that are kept in memory while packets are read.
_NEAR_OCTETS = 1 << 27


@dataclass(frozen=True)
class PacketIndex:
    """n packets that can be believed, in the order in which they were received, and the rest."""

    streams: Sequence[Stream]
    #: (n,) int: the stream of each packet, its first octet there and the one after its last.
    stream: np.ndarray
    start: np.ndarray
    stop: np.ndarray
    #: (n,) int
    apid: np.ndarray
    #: (n,) of `HEADER`
    header: np.ndarray
    #: (n,) uint16
    checksum: np.ndarray
    #: (k,) of `RANGE`: idle and unknown packets, those of other formats, and fragments.
    others: np.ndarray
    #: By stream: packets and fragments, but for those of exposures that were left out.
    received: tuple[int, ...]
    #: By stream: octets of the packets of exposures that were left out, and all that was not read.
    left_out: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.start)

    def take(self, chosen: np.ndarray) -> "PacketIndex":
        """Keep the packets named by an index or boolean array, and all the others."""
        return replace(self, **{name: getattr(self, name)[chosen] for name in _COLUMNS})

    def payload(self, packet: int) -> memoryview:
        """Return the octets between the header and the checksum of a packet."""
        start, stop = int(self.start[packet]), int(self.stop[packet])
        view = memoryview(self.streams[self.stream[packet]])
        return view[start + HEADER.itemsize : stop - CRC_OCTETS]

    def payloads(self, packets: np.ndarray) -> Iterator[memoryview]:
        """Give what `payload` returns for each of some packets of one stream."""
        view = memoryview(self.streams[self.stream[packets[0]]])
        start, stop = self.start[packets] + HEADER.itemsize, self.stop[packets] - CRC_OCTETS
        return (view[a:b] for a, b in zip(start.tolist(), stop.tolist(), strict=True))

    def neighbours(self, packets: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """Give packets in groups that lie near each other, so that little of a file is mapped.

        Parameters
        ----------
        packets : (n,) int

        Yields
        ------
        stream : int
        places : (m,) int
            Of a group in `packets`.
        """
        where = self.stream[packets].astype(np.int64) << 40 | self.start[packets] // _NEAR_OCTETS
        order = np.argsort(where, kind="stable")
        for group in np.split(order, np.flatnonzero(np.diff(where[order])) + 1):
            if len(group):
                stream = int(self.stream[packets[group[0]]])
                yield stream, group
                release(self.streams[stream])

    def belongs_to(self, key: ExposureKey) -> np.ndarray:
        """Tell which packets are of exposure `key`: (n,) bool."""
        return _belong_to(self.header, key)

    def fingerprint(self, packets: np.ndarray) -> int:
        """Return 64 bits that tell a set of packets, by headers and checksums, in any order."""
        rows = self.header[packets].view(np.uint8).reshape(-1, HEADER.itemsize)
        return int(_fingerprint(rows, self.checksum[packets]))

    def ranges(self, fate: np.ndarray) -> np.ndarray:
        """Return the ranges of all packets and fragments: (m,) of `RANGE`.

        Parameters
        ----------
        fate : (n,) int
            Of the packets.
        """
        own = _ranges(self.stream, self.start, self.stop, self.apid, fate)
        for name in ("visit_key", "exposure", "resultant"):
            own[name] = self.header[name]
        own["first_count"] = own["last_count"] = self.header["sequence"] & 0x3FFF
        return np.concatenate([condense(own), self.others])


def release(stream: Stream) -> None:
    """Give back the memory that pages of a mapped file take; they are read again when needed."""
    if isinstance(stream, mmap.mmap):
        stream.madvise(mmap.MADV_DONTNEED)


def index_packets(
    streams: Iterable[Stream],
    only: ExposureKey | None = None,
    parts: Sequence[Sequence[tuple[int, int]]] | None = None,
) -> PacketIndex:
    """Find the packets of all streams and read their headers.

    Memory grows with the packets of the exposures asked for, not with the streams.

    Parameters
    ----------
    streams : iterable of bytes or mmap
        In the order in which the ground received them; they stay referenced, not copied.
    only : ExposureKey, optional
        Leave out the packets of other exposures; absent: take all.
    parts : sequence of sequences of (int, int), optional
        By stream: the octets to read (`stretches`); others count as left out. Absent: all.

    Examples
    --------
    >>> index_packets([b"noise"]).received
    (1,)
    """
    # A sequence may map its streams when they are read.
    streams = streams if isinstance(streams, Sequence) else tuple(streams)
    index = join(streams, index_parts(streams, only, parts))
    if parts is None:
        return index
    unread = [
        len(one) - sum(b - a for a, b in own) for one, own in zip(streams, parts, strict=True)
    ]
    left_out = tuple(map(sum, zip(index.left_out, unread, strict=True)))
    return replace(index, left_out=left_out)


def index_parts(
    streams: Sequence[Stream],
    only: ExposureKey | None = None,
    parts: Sequence[Sequence[tuple[int, int]]] | None = None,
) -> Iterator[PacketIndex]:
    """Index streams some ten thousand packets at a time; see `index_packets`."""
    for number, stream in enumerate(streams):
        octets = np.frombuffer(stream, np.uint8)
        for start, stop in [(0, len(octets))] if parts is None else parts[number]:
            for scan in find_packets(octets, start=start, stop=stop):
                yield _of_part(streams, number, octets, scan, only)
                release(stream)


def join(streams: Sequence[Stream], parts: Iterable[PacketIndex]) -> PacketIndex:
    """Put together the parts of an index."""
    nothing = _of_part(streams, 0, np.zeros(0, np.uint8), _NOTHING, None)
    parts = [nothing, *parts]
    numbers = range(len(streams))
    return PacketIndex(
        streams,
        **{name: np.concatenate([getattr(part, name) for part in parts]) for name in _COLUMNS},
        others=condense(np.concatenate([part.others for part in parts])),
        received=tuple(sum(part.received[i] for part in parts) for i in numbers),
        left_out=tuple(sum(part.left_out[i] for part in parts) for i in numbers),
    )


_COLUMNS = ("stream", "start", "stop", "apid", "header", "checksum")
_NOTHING = Scan(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.uint8))


def _of_part(
    streams: Sequence[Stream],
    stream: int,
    octets: np.ndarray,
    scan: Scan,
    only: ExposureKey | None,
) -> PacketIndex:
    """Index some pieces of one stream."""
    start, stop = scan.start[scan.is_packet], scan.stop[scan.is_packet]
    header = np.zeros(len(start), HEADER)
    checksum = np.zeros(len(start), np.uint16)
    rows = header.view(np.uint8).reshape(-1, HEADER.itemsize)
    _read_headers(octets, start, stop, rows, checksum)
    apid = header["identification"].astype(np.int32) & 0x7FF
    is_ours = _is_ours(header, apid) & (stop - start >= OVERHEAD)
    kept = is_ours if only is None else is_ours & _belong_to(header, only)
    gone = is_ours & ~kept

    fate = np.where(apid == IDLE, Fate.IDLE, Fate.FORMAT)
    fate[~np.isin(apid, KNOWN_APIDS)] = Fate.UNKNOWN
    odd = _ranges(stream, start, stop, apid, fate)[~is_ours]
    odd["resultant"] = NONE
    odd["first_count"] = odd["last_count"] = header["sequence"][~is_ours] & 0x3FFF
    lost = ~scan.is_packet
    fragments = _ranges(
        stream, scan.start[lost], scan.stop[lost], NONE, Fate.FRAGMENT + scan.kind[lost]
    )
    fragments["resultant"] = NONE
    others = [0] * len(streams), [0] * len(streams)
    if streams:
        others[0][stream] = len(scan.start) - int(np.count_nonzero(gone))
        others[1][stream] = int((stop - start)[gone].sum())
    return PacketIndex(
        streams,
        np.full(int(np.count_nonzero(kept)), stream, np.int32),
        start[kept],
        stop[kept],
        apid[kept],
        header[kept],
        checksum[kept],
        condense(np.concatenate([odd, fragments])),
        received=tuple(others[0]),
        left_out=tuple(others[1]),
    )


def _ranges(
    stream: int | np.ndarray,
    start: np.ndarray,
    stop: np.ndarray,
    apid: int | np.ndarray,
    fate: np.ndarray,
) -> np.ndarray:
    """Make a range of each packet or fragment."""
    ranges = np.zeros(len(start), RANGE)
    ranges["stream"], ranges["apid"], ranges["fate"] = stream, apid, fate
    ranges["start"], ranges["stop"] = start, stop
    ranges["packets"], ranges["octets"] = 1, stop - start
    return ranges


@kernel
def _read_headers(
    octets: np.ndarray,
    start: np.ndarray,
    stop: np.ndarray,
    headers: np.ndarray,
    checksum: np.ndarray,
) -> None:
    """Copy what packets begin with, the primary header at least, to rows of `headers`."""
    for i in range(len(start)):
        n = min(headers.shape[1], stop[i] - start[i])
        headers[i, :n] = octets[start[i] : start[i] + n]
        checksum[i] = np.uint16(octets[stop[i] - 2]) << 8 | octets[stop[i] - 1]


@kernel
def _fingerprint(headers: np.ndarray, checksum: np.ndarray) -> np.uint64:
    """Add up the FNV-1a hashes of headers and checksums, of 64 bits."""
    total = np.uint64(0)
    for i in range(len(headers)):
        found = np.uint64(0xCBF29CE484222325)
        for octet in headers[i]:
            found = (found ^ np.uint64(octet)) * np.uint64(0x100000001B3)
        found = (found ^ np.uint64(checksum[i])) * np.uint64(0x100000001B3)
        total += found
    return total


def _belong_to(header: np.ndarray, key: ExposureKey) -> np.ndarray:
    same_visit = header["visit_key"] == np.uint64(pack_visit(key))
    return same_visit & (header["exposure"] == key.exposure)


def _is_ours(header: np.ndarray, apid: np.ndarray) -> np.ndarray:
    """Tell which headers keep the rules of our format, whatever they announce: (n,) bool."""
    of_pixels = (apid > SCIENCE) & (apid < ATTITUDE)
    return (
        np.isin(apid, KNOWN_APIDS)
        & (apid != IDLE)
        & (header["identification"] == identification(0) | apid)
        & (header["time_preamble"] == TIME_PREAMBLE)
        & (header["format_version"] == FORMAT_VERSION)
        & np.isin(header["codec"], list(CODECS))
        & (~of_pixels | (header["sca"] == apid % (AMP33 - SCIENCE)))
    )

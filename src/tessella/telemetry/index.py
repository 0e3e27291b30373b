"""One table of all packets of several streams: where they are and what their headers say."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from mmap import mmap

import numpy as np

from tessella.models import ExposureKey
from tessella.telemetry.codecs import CODECS
from tessella.telemetry.packets import (
    AMP33,
    ATTITUDE,
    CRC_OCTETS,
    FORMAT_VERSION,
    HEADER,
    HOUSEKEEPING,
    IDLE,
    N_DETECTORS,
    SCIENCE,
    TIME_PREAMBLE,
    identification,
    pack_visit,
)
from tessella.telemetry.scan import Scan, find_packets

_KNOWN_APIDS = (
    *range(SCIENCE + 1, SCIENCE + N_DETECTORS + 1),
    *range(AMP33 + 1, AMP33 + N_DETECTORS + 1),
    ATTITUDE,
    HOUSEKEEPING,
    IDLE,
)


@dataclass(frozen=True)
class PacketIndex:
    """n sound packets in the order in which they were received, and what was no packet."""

    streams: tuple[memoryview, ...]
    #: (n,) int: the stream of each packet, its first octet there and the one after its last.
    stream: np.ndarray
    start: np.ndarray
    stop: np.ndarray
    #: (n,) int
    apid: np.ndarray
    #: (n,) of `HEADER`; zeros where the packet is not `readable`.
    header: np.ndarray
    #: (n,) bool: the packet has our format and can be believed.
    readable: np.ndarray
    #: Number of fragments by reason.
    fragments: dict[str, int]

    def __len__(self) -> int:
        return len(self.start)

    @property
    def known(self) -> np.ndarray:
        """(n,) bool: packets of kinds that are ours, idle ones among them."""
        return np.isin(self.apid, _KNOWN_APIDS)

    def take(self, chosen: np.ndarray) -> "PacketIndex":
        """Keep the packets named by an index or boolean array, and all fragments."""
        columns = ("stream", "start", "stop", "apid", "header", "readable")
        return replace(self, **{name: getattr(self, name)[chosen] for name in columns})

    def payload(self, packet: int) -> memoryview:
        """Return the octets between the header and the checksum of a readable packet."""
        start, stop = int(self.start[packet]), int(self.stop[packet])
        return self.streams[self.stream[packet]][start + HEADER.itemsize : stop - CRC_OCTETS]

    def belongs_to(self, key: ExposureKey) -> np.ndarray:
        """Tell which packets are readable and of exposure `key`: (n,) bool."""
        same_visit = self.header["visit"] == np.uint64(pack_visit(key))
        return self.readable & same_visit & (self.header["exposure"] == key.exposure)


def index_packets(
    streams: Iterable[bytes | mmap], find: Callable[[memoryview], Scan] = find_packets
) -> PacketIndex:
    """Find the packets of all streams and read their headers.

    Parameters
    ----------
    streams : iterable of bytes-like
        In the order in which the ground received them; they stay referenced, not copied.
    find : function
        How packets are found in a stream.

    Examples
    --------
    >>> index_packets([b"noise"]).fragments
    {'no header': 1}
    """
    views = tuple(memoryview(stream).cast("B") for stream in streams)
    scans = [find(view) for view in views]
    tables = [_read_headers(view, scan) for view, scan in zip(views, scans, strict=True)]
    empty = (np.zeros(0, int), np.zeros(0, HEADER), np.zeros(0, bool))
    apid, header, readable = (np.concatenate(column) for column in zip(empty, *tables, strict=True))
    no_packets = np.zeros(0, np.int64)
    return PacketIndex(
        streams=views,
        stream=np.repeat(np.arange(len(scans)), [len(scan.start) for scan in scans]),
        start=np.concatenate([no_packets, *(scan.start for scan in scans)]),
        stop=np.concatenate([no_packets, *(scan.stop for scan in scans)]),
        apid=apid,
        header=header,
        readable=readable,
        fragments=dict(Counter(part.reason for scan in scans for part in scan.fragments)),
    )


def _read_headers(view: memoryview, scan: Scan) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the application identifiers, headers and readability of the packets of a stream."""
    octets = np.frombuffer(view, np.uint8)
    apid = (octets[scan.start].astype(int) & 7) << 8 | octets[scan.start + 1]
    long_enough = scan.stop - scan.start >= HEADER.itemsize + CRC_OCTETS
    header = np.zeros(len(apid), HEADER)
    where = scan.start[long_enough, None] + np.arange(HEADER.itemsize)
    header[long_enough] = octets[where].view(HEADER)[:, 0]
    readable = long_enough & _is_ours(header, apid)
    header[~readable] = np.zeros((), HEADER)
    return apid, header, readable


def _is_ours(header: np.ndarray, apid: np.ndarray) -> np.ndarray:
    """Tell which headers keep the rules of our format, whatever they announce: (n,) bool."""
    of_pixels = (apid > SCIENCE) & (apid < ATTITUDE)
    return (
        np.isin(apid, _KNOWN_APIDS)
        & (apid != IDLE)
        & (header["identification"] == identification(0) | apid)
        & (header["time_preamble"] == TIME_PREAMBLE)
        & (header["format_version"] == FORMAT_VERSION)
        & np.isin(header["codec"], list(CODECS))
        & (~of_pixels | (header["sca"] == apid % (AMP33 - SCIENCE)))
    )

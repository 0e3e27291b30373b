"""From packets to the pixels of each exposure, and the ledger of what became of each packet.

Packets are placed by what their payload header says (exposure, detector, resultant, rows and
columns), never by their sequence counts, so that their order, repetitions and division into
files do not matter. Of two packets for the same place the one received later counts.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import IntEnum
from mmap import mmap

import numpy as np

from tessella.models import ExposureHeader, ExposureKey, Readout
from tessella.telemetry.codecs import CODECS, PLAIN
from tessella.telemetry.index import PacketIndex, index_packets
from tessella.telemetry.inventory import Announcement, announcements, is_record
from tessella.telemetry.layout import PACKET_PIXELS, amp33_window, fits
from tessella.telemetry.ledger import Ledger, total
from tessella.telemetry.packets import (
    AMP33,
    ATTITUDE,
    CRC_OCTETS,
    HEADER,
    HOUSEKEEPING,
    IDLE,
    REFERENCE_READ,
    SCIENCE,
    sca_number,
)
from tessella.telemetry.records import DetectorSetup


@dataclass(frozen=True)
class Received:
    """Which pixels of a readout arrived; the arrays have the shapes of the readout's, bool."""

    data: np.ndarray
    amp33: np.ndarray
    reference_read: np.ndarray
    reference_amp33: np.ndarray


@dataclass(frozen=True)
class DecodedExposure:
    """One exposure as far as it was received."""

    header: ExposureHeader
    #: By detector; pixels that did not arrive hold the encoding offset, 0 in reference reads.
    readouts: dict[str, Readout]
    received: dict[str, Received]
    #: What a user of the exposure must know, in words.
    problems: tuple[str, ...] = ()


class _Fate(IntEnum):
    USED = 0
    DUPLICATE = 1
    IDLE = 2
    UNKNOWN = 3
    FORMAT = 4
    UNANNOUNCED = 5
    MISFIT = 6


_REASONS = {
    _Fate.FORMAT: "not in our format",
    _Fate.UNANNOUNCED: "no housekeeping for it",
    _Fate.MISFIT: "contradicts the housekeeping",
}


@dataclass(frozen=True)
class _Pixels:
    """The planes of one kind of pixels; the last of the n + 1 is the reference read."""

    planes: np.ndarray
    received: np.ndarray

    @property
    def n_rows(self) -> int:
        return self.received[..., ::PACKET_PIXELS].size

    @property
    def n_missing_rows(self) -> int:
        return int(np.count_nonzero(~self.received[..., ::PACKET_PIXELS]))


def decode(
    streams: Iterable[bytes | mmap], only: ExposureKey | None = None
) -> tuple[dict[ExposureKey, DecodedExposure], Ledger]:
    """Put together the exposures of some streams of packets.

    Parameters
    ----------
    streams : iterable of bytes-like
        In the order in which the ground received them: this decides between packets that
        contradict each other, and nothing else.
    only : ExposureKey, optional
        Leave out, also of the ledger, the packets of other exposures; absent: decode all.

    Returns
    -------
    exposures : dict of ExposureKey to DecodedExposure
        Those whose housekeeping arrived, sorted by key.
    ledger : Ledger
        Of all packets and fragments of the streams, but for those left out.

    Examples
    --------
    >>> exposures, ledger = decode([b"noise"])
    >>> len(exposures), ledger.rejected
    (0, {'no header': 1})
    """
    index = index_packets(streams)
    if only is not None:
        index = index.take(~index.readable | index.belongs_to(only))
    fate = _first_fates(index)
    exposures, parts = {}, []
    for key, announced in announcements(index).items():
        exposures[key], pixels, conflicting = _decode_exposure(index, fate, key, announced)
        parts.append(replace(_row_ledger(index, fate, key, pixels), conflicting=conflicting))
    return exposures, _ledger(index, fate, parts)


def _first_fates(index: PacketIndex) -> np.ndarray:
    """Judge packets by their kind alone: (n,) of `_Fate`."""
    fate = np.full(len(index), _Fate.UNANNOUNCED)
    fate[~index.readable] = _Fate.FORMAT
    fate[index.apid == IDLE] = _Fate.IDLE
    fate[~index.known] = _Fate.UNKNOWN
    return fate


def _decode_exposure(
    index: PacketIndex, fate: np.ndarray, key: ExposureKey, announced: Announcement
) -> tuple[DecodedExposure, list[_Pixels], int]:
    """Decode one exposure and set the fates of its packets in place."""
    mine = np.flatnonzero(index.belongs_to(key))
    fate[mine] = _Fate.MISFIT
    fitting = mine[_fits_announcement(index, mine, announced)]
    winners, losers = _last_of_each_place(index, fitting)
    fate[winners], fate[losers[:, 0]] = _Fate.USED, _Fate.DUPLICATE
    conflicting = sum(index.payload(a) != index.payload(b) for a, b in losers.tolist())

    readouts, received, pixels = {}, {}, []
    for detector, setup in announced.detectors.items():
        science = _place(index, winners, SCIENCE + sca_number(detector), setup)
        amp33 = _place(index, winners, AMP33 + sca_number(detector), setup)
        pixels += [science, amp33]
        readouts[detector] = Readout(
            detector=detector,
            window=setup.window,
            encoding_offset=setup.encoding_offset,
            **_by_name(science.planes, amp33.planes),
        )
        received[detector] = Received(**_by_name(science.received, amp33.received))
    problems = _problems(announced, received, conflicting)
    return DecodedExposure(announced.header, readouts, received, problems), pixels, conflicting


def _by_name(science: np.ndarray, amp33: np.ndarray) -> dict[str, np.ndarray]:
    return {
        "data": science[:-1],
        "reference_read": science[-1],
        "amp33": amp33[:-1],
        "reference_amp33": amp33[-1],
    }


def _fits_announcement(
    index: PacketIndex, packets: np.ndarray, announced: Announcement
) -> np.ndarray:
    """Tell which of (n,) packets agree with what housekeeping announces: (n,) bool."""
    apid, header = index.apid[packets], index.header[packets]
    fitting = np.zeros(len(packets), bool)
    for i in np.flatnonzero(np.isin(apid, (HOUSEKEEPING, ATTITUDE))):
        fitting[i] = is_record(index, packets[i])
    resultant = header["resultant"]
    for detector, setup in announced.detectors.items():
        possible = (resultant < setup.n_resultants) | (resultant == REFERENCE_READ)
        possible &= header["encoding_offset"] == setup.encoding_offset
        possible &= _whole(index, packets)
        sca = sca_number(detector)
        for base, window in ((SCIENCE, setup.window), (AMP33, amp33_window(setup.window))):
            fitting |= (apid == base + sca) & possible & fits(header, window)
    return fitting


def _whole(index: PacketIndex, packets: np.ndarray) -> np.ndarray:
    """Tell which packets have as many octets as their rows and columns need: (n,) bool."""
    header = index.header[packets]
    needed = 2 * header["rows"].astype(int) * header["columns"]
    octets = index.stop[packets] - index.start[packets] - HEADER.itemsize - CRC_OCTETS
    plain = header["codec"] == PLAIN
    return (header["uncompressed_octets"] == needed) & (~plain | (octets == needed))


def _last_of_each_place(index: PacketIndex, packets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Choose among packets of one exposure that name the same place the one received last.

    Returns
    -------
    winners : (m,) int array
        Packets, in the order of their places.
    losers : (k, 2) int array
        Each other packet and the winner of its place.
    """
    header = index.header[packets]
    place = (index.apid[packets] << 16 | header["resultant"]) << 32
    place |= header["first_row"].astype(int) << 16 | header["first_column"]
    # Records of all detectors share one identifier and have no rows.
    place |= np.where(header["rows"] == 0, header["sca"], 0)
    order = np.argsort(place, kind="stable")
    packets, place = packets[order], place[order]
    is_last = np.append(place[1:] != place[:-1], True)[: len(place)]
    winners = packets[is_last]
    winner_of = winners[np.cumsum(is_last) - is_last]
    return winners, np.stack([packets, winner_of], axis=1)[~is_last]


def _place(index: PacketIndex, winners: np.ndarray, apid: int, setup: DetectorSetup) -> _Pixels:
    """Put the pixels of the packets of one kind where they belong."""
    window = setup.window if apid < AMP33 else amp33_window(setup.window)
    shape = (setup.n_resultants + 1, *window.shape)
    planes = np.full(shape, setup.encoding_offset, np.uint16)
    planes[-1] = 0
    received = np.zeros(shape, bool)
    packets = winners[index.apid[winners] == apid]
    header = index.header[packets]
    plane = np.where(header["resultant"] == REFERENCE_READ, -1, header["resultant"].astype(int))
    columns = (
        packets,
        plane,
        header["first_row"].astype(int) - window.y,
        header["rows"],
        header["first_column"].astype(int) - window.x,
        header["columns"],
        header["codec"],
    )
    places = zip(*(column.tolist() for column in columns), strict=True)
    for packet, k, y, ny, x, nx, codec in places:
        pixels = CODECS[codec].decode(index.payload(packet), ny * nx)
        planes[k, y : y + ny, x : x + nx] = pixels.reshape(ny, nx)
        received[k, y : y + ny, x : x + nx] = True
    return _Pixels(planes, received)


def _problems(
    announced: Announcement, received: dict[str, Received], conflicting: int
) -> tuple[str, ...]:
    """Say in words what is wrong with an exposure besides missing rows."""
    problems = []
    if np.isnan(announced.header.ra_v1):
        problems.append("no attitude was received")
    if conflicting:
        problems.append(f"{conflicting} packets were contradicted by later ones")
    for detector, arrived in received.items():
        if not arrived.data.any():
            problems.append(f"{detector}: no pixels were received")
        elif not arrived.reference_read.all():
            lost = int(np.count_nonzero(~arrived.reference_read.all(axis=1)))
            problems.append(f"{detector}: rows of the reference read missing: {lost}")
    return tuple(problems)


def _row_ledger(
    index: PacketIndex, fate: np.ndarray, key: ExposureKey, pixels: list[_Pixels]
) -> Ledger:
    """Count the rows of an exposure: the filled by the packets used, the missing by the arrays."""
    used = index.belongs_to(key) & (fate == _Fate.USED)
    return Ledger(
        expected_rows=sum(part.n_rows for part in pixels),
        filled_rows=int(index.header["rows"][used].sum(dtype=int)),
        missing_rows=sum(part.n_missing_rows for part in pixels),
    )


def _ledger(index: PacketIndex, fate: np.ndarray, exposures: list[Ledger]) -> Ledger:
    """Complete the sum of the exposures' ledgers by the fates of all packets."""
    counts = np.bincount(fate, minlength=len(_Fate)).tolist()
    rejected = {reason: counts[code] for code, reason in _REASONS.items() if counts[code]}
    apids, n_packets = np.unique(index.apid, return_counts=True)
    return replace(
        total(exposures),
        received=len(index) + sum(index.fragments.values()),
        used=counts[_Fate.USED],
        duplicate=counts[_Fate.DUPLICATE],
        rejected={**index.fragments, **rejected},
        idle=counts[_Fate.IDLE],
        unknown=counts[_Fate.UNKNOWN],
        apids=dict(zip(apids.tolist(), n_packets.tolist(), strict=True)),
    )

"""Which exposures are in telemetry, what housekeeping says of them, and which rows are there."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from tessella.models import ExposureHeader, ExposureKey, Window
from tessella.telemetry.announcement import Announcement
from tessella.telemetry.completeness import ROWS, pixels_there, share
from tessella.telemetry.fates import NAMES, NONE
from tessella.telemetry.index import PacketIndex, Stream, index_parts, join
from tessella.telemetry.packets import (
    ATTITUDE,
    HOUSEKEEPING,
    detector_name,
    sca_number,
    unpack_visit,
)
from tessella.telemetry.place import is_whole
from tessella.telemetry.records import (
    DetectorSetup,
    unpack_attitude,
    unpack_detector,
    unpack_exposure,
)
from tessella.telemetry.stretches import Stretch, runs_of, stretches

_NO_ATTITUDE = (np.nan, np.nan, np.nan)

#: Consecutive rows of one kind: the fields of `completeness.ROWS` after the exposure.
RowRange = tuple[int, int, int, int, int, int, int, int]


@dataclass(frozen=True)
class Holding:
    """What some files hold of one exposure."""

    announced: Announcement
    #: Rows of pixels, each once by the size of its packets.
    rows: tuple[RowRange, ...] = field(default=())

    @property
    def completeness(self) -> float:
        """Share of the announced pixels that are there; 0 where nothing is announced."""
        return self.completeness_of(None)

    def completeness_of(self, windows: Mapping[str, Window] | None) -> float:
        """Return the share of the pixels of some detectors that are there.

        Parameters
        ----------
        windows : mapping of str to Window
            The detectors, and how large those are of which no sound record arrived; None: all
            that are announced.
        """
        rows = _array_of(self.rows)
        sound = self.announced.sound(windows)
        there = sum(pixels_there(rows, sca_number(name), setup) for name, setup in sound.items())
        return share(there, (sound | self.announced.lost(windows)).values())


@dataclass(frozen=True)
class Stock:
    """What some streams are made of."""

    #: What they hold of each exposure, sorted by key.
    holdings: dict[ExposureKey, Holding]
    #: Sound packets by application identifier, and fragments by reason.
    apids: dict[int, int]
    fragments: dict[str, int]
    #: Where the packets of each exposure are, by stream.
    stretches: tuple[dict[ExposureKey, tuple[Stretch, ...]], ...]


def survey(
    streams: Iterable[Stream], tell: Callable[[int], None] = lambda octets: None
) -> dict[ExposureKey, Holding]:
    """List what streams hold of each exposure; see `take_stock`.

    Examples
    --------
    >>> survey([b"noise"])
    {}
    """
    return take_stock(streams, tell).holdings


def take_stock(
    streams: Iterable[Stream], tell: Callable[[int], None] = lambda octets: None
) -> Stock:
    """Count all packets of some streams and list the rows of each exposure.

    Every checksum is checked; pixels are not read.

    Parameters
    ----------
    streams : iterable of bytes or mmap
        In the order in which the ground received them.
    tell : function
        Called with the number of octets that were read since the last time.

    Examples
    --------
    >>> take_stock([b"noise"]).fragments
    {'no header': 1}
    """
    streams = tuple(streams)
    records, rows = [], np.zeros(0, ROWS)
    apids: Counter[int] = Counter()
    fragments: Counter[str] = Counter()
    runs: list[list[np.ndarray]] = [[] for _ in streams]
    for part in index_parts(streams):
        if len(part):
            runs[part.stream[0]].append(runs_of(part))
        is_record = np.isin(part.apid, (HOUSEKEEPING, ATTITUDE))
        records.append(part.take(is_record))
        rows = _joined(np.concatenate([rows, _rows_of(part.take(~is_record))]))
        apids.update(part.apid.tolist())
        octets = int((part.stop - part.start).sum()) + int(part.others["octets"].sum())
        for apid, fate, n_packets in part.others[["apid", "fate", "packets"]].tolist():
            if apid == NONE:
                fragments[NAMES[fate]] += n_packets
            else:
                apids[apid] += n_packets
        tell(octets)
    announced = _read_records(join(streams, records))
    found = {}
    for visit, exposure in np.unique(rows[["visit_key", "exposure"]]).tolist():
        key = unpack_visit(visit, exposure)
        own = rows[(rows["visit_key"] == np.uint64(visit)) & (rows["exposure"] == exposure)]
        ranges = tuple(tuple(row) for row in own[_RANGE].tolist())
        found[key] = Holding(announced.pop(key, Announcement(None, {})), ranges)
    found |= {key: Holding(one) for key, one in announced.items()}
    return Stock(
        dict(sorted(found.items())),
        dict(sorted(apids.items())),
        dict(fragments),
        tuple(stretches(own, len(stream)) for own, stream in zip(runs, streams, strict=True)),
    )


def together(holdings: Iterable[Holding]) -> Holding:
    """Join what several files hold of one exposure; of what they announce the later counts."""
    holdings = list(holdings)
    header: ExposureHeader | None = None
    detectors: dict[str, DetectorSetup] = {}
    for holding in holdings:
        header = holding.announced.header or header
        detectors |= holding.announced.detectors
    rows = _array_of(row for one in holdings for row in one.rows)
    ranges = tuple(tuple(row) for row in _joined(rows)[_RANGE].tolist())
    return Holding(Announcement(header, dict(sorted(detectors.items()))), ranges)


def announcements(index: PacketIndex) -> dict[ExposureKey, Announcement]:
    """Read the housekeeping and attitude of every exposure in `index`, sorted by key.

    The first sample counts, and of its repetitions the one received last. Exposures without
    their own record are left out.
    """
    found = _read_records(index)
    return {key: found[key] for key in sorted(found) if found[key].header is not None}


def is_record(index: PacketIndex, packet: int) -> bool:
    """Tell whether a housekeeping or attitude packet holds what it must."""
    payload, sca = index.payload(packet), int(index.header["sca"][packet])
    try:
        if index.apid[packet] == ATTITUDE:
            unpack_attitude(payload)
        elif sca == 0:
            unpack_exposure(payload, ExposureKey(0, 0, 0, 0, 0, 0, 0), _NO_ATTITUDE)
        else:
            detector_name(sca)
            unpack_detector(payload)
    except ValueError:
        return False
    return True


def _read_records(index: PacketIndex) -> dict[ExposureKey, Announcement]:
    attitudes: dict[ExposureKey, tuple[float, float, float]] = {}
    found: dict[ExposureKey, Announcement] = {}
    for packet in _records(index):
        head = index.header[packet]
        key = unpack_visit(int(head["visit_key"]), int(head["exposure"]))
        payload = index.payload(packet)
        known = found.get(key, Announcement(None, {}))
        if index.apid[packet] == ATTITUDE:
            attitudes[key] = unpack_attitude(payload)
        elif head["sca"] == 0:
            header = unpack_exposure(payload, key, _NO_ATTITUDE)
            found[key] = replace(known, header=header)
        else:
            detectors = {**known.detectors, detector_name(head["sca"]): unpack_detector(payload)}
            found[key] = replace(known, detectors=dict(sorted(detectors.items())))
    for key, (ra_v1, dec_v1, pa_v3) in attitudes.items():
        known = found.get(key, Announcement(None, {}))
        if known.header is not None:
            header = replace(known.header, ra_v1=ra_v1, dec_v1=dec_v1, pa_v3=pa_v3)
            found[key] = replace(known, header=header)
    return found


def _records(index: PacketIndex) -> list[int]:
    """List the sound records, the one that counts last: first samples and late arrivals."""
    of_records = np.isin(index.apid, (HOUSEKEEPING, ATTITUDE))
    packets = np.flatnonzero(of_records)
    sample = index.header["resultant"][packets].astype(int)
    packets = packets[np.argsort(-sample, kind="stable")]
    return [packet for packet in packets.tolist() if is_record(index, packet)]


_RANGE = list(ROWS.names or ())[2:]
_KIND = ["visit_key", "exposure", *_RANGE[:-2]]


def _array_of(rows: Iterable[RowRange]) -> np.ndarray:
    return np.array([(0, 0, *row) for row in rows], ROWS)


def _rows_of(index: PacketIndex) -> np.ndarray:
    index = index.take(is_whole(index, np.arange(len(index))) & (index.header["rows"] > 0))
    rows = np.zeros(len(index), ROWS)
    for name in ("visit_key", "exposure", *_RANGE[1:-1]):
        rows[name] = index.header[name]
    rows["apid"] = index.apid
    rows["stop_row"] = rows["first_row"] + index.header["rows"]
    return rows


def _joined(rows: np.ndarray) -> np.ndarray:
    """Join ranges of rows that touch or overlap, where their packets do not overlap by a part."""
    if not len(rows):
        return rows
    keys = [*(rows[name] for name in _KIND), rows["first_row"] % rows["rows"]]
    order = np.lexsort((rows["first_row"], *keys))
    rows, keys = rows[order], [key[order] for key in keys]
    of_kind = np.zeros(len(rows), np.int64)
    of_kind[1:] = np.any([key[1:] != key[:-1] for key in keys], axis=0)
    of_kind = of_kind.cumsum()
    # The furthest row so far of each kind: a running maximum that starts anew with every kind.
    height = 1 << 20
    furthest = np.maximum.accumulate(rows["stop_row"] + of_kind * height) - of_kind * height
    is_first = np.ones(len(rows), bool)
    is_first[1:] = (of_kind[1:] != of_kind[:-1]) | (rows["first_row"][1:] > furthest[:-1])
    first = np.flatnonzero(is_first)
    joined = rows[first]
    joined["stop_row"] = furthest[np.append(first[1:], len(rows)) - 1]
    return joined

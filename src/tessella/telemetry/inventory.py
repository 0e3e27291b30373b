"""Which exposures are in telemetry, what housekeeping says of them, and which rows are there."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

import numpy as np

from tessella.models import ExposureHeader, ExposureKey
from tessella.telemetry.fates import NAMES, NONE
from tessella.telemetry.index import PacketIndex, Stream, index_parts, join
from tessella.telemetry.layout import amp33_window
from tessella.telemetry.packets import (
    AMP33,
    ATTITUDE,
    HOUSEKEEPING,
    SCIENCE,
    detector_name,
    sca_number,
    unpack_visit,
)
from tessella.telemetry.records import (
    DetectorSetup,
    unpack_attitude,
    unpack_detector,
    unpack_exposure,
)

_NO_ATTITUDE = (np.nan, np.nan, np.nan)

#: Consecutive rows of one kind: (apid, resultant, first column, columns, first row, row after).
RowRange = tuple[int, int, int, int, int, int]


@dataclass(frozen=True)
class Announcement:
    """What housekeeping and attitude say of one exposure."""

    #: ``ra_v1``, ``dec_v1`` and ``pa_v3`` are NaN where no attitude was received; None where no
    #: record of the exposure was.
    header: ExposureHeader | None
    #: By the names of the detectors.
    detectors: dict[str, DetectorSetup]


@dataclass(frozen=True)
class Holding:
    """What some files hold of one exposure."""

    announced: Announcement
    #: Rows of pixels, each once.
    rows: tuple[RowRange, ...] = field(default=())

    @property
    def completeness(self) -> float:
        """Share of the announced pixels that are there; 0 where nothing is announced."""
        expected, there = 0, 0
        columns = np.array(self.rows, dtype=int).reshape(-1, 6).T
        n_pixels = columns[3] * (columns[5] - columns[4])
        for detector, setup in self.announced.detectors.items():
            sca, planes = sca_number(detector), setup.n_resultants + 1
            windows = ((SCIENCE, setup.window), (AMP33, amp33_window(setup.window)))
            for base, window in windows:
                wanted = planes * window.nx * window.ny
                expected += wanted
                there += min(int(n_pixels[columns[0] == base + sca].sum()), wanted)
        return there / expected if expected else 0.0


@dataclass(frozen=True)
class Stock:
    """What some streams are made of."""

    #: What they hold of each exposure, sorted by key.
    holdings: dict[ExposureKey, Holding]
    #: Sound packets by application identifier, and fragments by reason.
    apids: dict[int, int]
    fragments: dict[str, int]


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
    records, rows = [], np.zeros(0, _ROWS)
    apids: Counter[int] = Counter()
    fragments: Counter[str] = Counter()
    for part in index_parts(streams):
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
    return Stock(dict(sorted(found.items())), dict(sorted(apids.items())), dict(fragments))


def together(holdings: Iterable[Holding]) -> Holding:
    """Join what several files hold of one exposure; of what they announce the later counts."""
    holdings = list(holdings)
    header: ExposureHeader | None = None
    detectors: dict[str, DetectorSetup] = {}
    for holding in holdings:
        header = holding.announced.header or header
        detectors |= holding.announced.detectors
    rows = np.array([(0, 0, *row) for one in holdings for row in one.rows], _ROWS)
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


_RANGE = ["apid", "resultant", "first_column", "columns", "first_row", "stop_row"]
_KIND = ["visit_key", "exposure", *_RANGE[:-2]]
_ROWS = np.dtype([("visit_key", "u8"), ("exposure", "u2"), *((name, "i4") for name in _RANGE)])


def _rows_of(index: PacketIndex) -> np.ndarray:
    rows = np.zeros(len(index), _ROWS)
    for name in ("visit_key", "exposure", "resultant", "first_column", "columns", "first_row"):
        rows[name] = index.header[name]
    rows["apid"] = index.apid
    rows["stop_row"] = rows["first_row"] + index.header["rows"]
    return rows


def _joined(rows: np.ndarray) -> np.ndarray:
    """Join ranges of rows that touch or overlap."""
    if not len(rows):
        return rows
    rows = np.sort(rows, order=[*_KIND, "first_row"])
    of_kind = np.zeros(len(rows), np.int64)
    of_kind[1:] = np.any([rows[name][1:] != rows[name][:-1] for name in _KIND], axis=0)
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

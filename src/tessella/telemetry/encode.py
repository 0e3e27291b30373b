"""From the pixels of an exposure to the packets that carry them: the spacecraft's part."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain

import numpy as np

from tessella.compiled import kernel
from tessella.instrument.read_patterns import read_patterns
from tessella.models import ExposureHeader, ExposureKey, Readout
from tessella.telemetry.checksum import crc
from tessella.telemetry.clock import seconds_since_epoch, write_time
from tessella.telemetry.codecs import CODEC_NUMBERS, CODECS, PLAIN
from tessella.telemetry.layout import Grid, amp33_window, grid_of, guide_grid
from tessella.telemetry.packets import (
    AMP33,
    ATTITUDE,
    COUNTS,
    CRC_OCTETS,
    DECLARED,
    FORMAT_VERSION,
    GUIDE,
    HEADER,
    HOUSEKEEPING,
    IDLE,
    MAX_OCTETS,
    OVERHEAD,
    REFERENCE_READ,
    SCIENCE,
    TIME_PREAMBLE,
    Packets,
    Primary,
    identification,
    pack_primary,
    pack_visit,
    sca_number,
    seal,
)
from tessella.telemetry.records import pack_attitude, pack_detector, pack_exposure

_CONTINUATION, _FIRST, _LAST, _ALONE = range(4)
_IDLE_OCTETS = DECLARED["CCSDSPacket"].dtype.itemsize + DECLARED["idle"].dtype.itemsize


class _Sender:
    """Numbers, times and seals the packets of one exposure; counts run on between calls."""

    def __init__(self, key: ExposureKey, first_counts: Mapping[int, int], codec: str) -> None:
        self.template = np.zeros(1, HEADER)
        self.template["time_preamble"] = TIME_PREAMBLE
        self.template["format_version"] = FORMAT_VERSION
        self.template["visit_key"] = pack_visit(key)
        self.template["exposure"] = key.exposure
        self.counts = dict(first_counts)
        self.codec = CODEC_NUMBERS[codec]

    def send(
        self,
        apid: int,
        seconds: float,
        payload: np.ndarray,
        octets: np.ndarray,
        **columns: np.ndarray | int,
    ) -> Packets:
        """Make a sequence of packets of one kind; `columns` are fields of their headers."""
        headers = self.template.repeat(len(octets))
        headers["identification"] = identification(apid)
        headers["sequence"] = self._sequence(apid, len(octets))
        write_time(headers, seconds)
        for name, values in columns.items():
            headers[name] = values
        return seal(headers, payload, octets)

    def send_record(self, apid: int, seconds: float, record: bytes, **columns: int) -> Packets:
        """Make one packet that holds no pixels."""
        payload, octets = np.frombuffer(record, np.uint8), np.array([len(record)])
        return self.send(apid, seconds, payload, octets, uncompressed_octets=len(record), **columns)

    def send_idle(self) -> Packets:
        """Make one idle packet; by CCSDS 133.0-B it has no secondary header."""
        sequence = int(self._sequence(IDLE, 1)[0])
        primary = Primary(0, False, False, IDLE, sequence >> 14, sequence % COUNTS, _IDLE_OCTETS)
        body = pack_primary(primary)
        body += b"\x55" * (_IDLE_OCTETS - len(body) - CRC_OCTETS)
        octets = np.frombuffer(body + crc(body).to_bytes(CRC_OCTETS, "big"), np.uint8)
        return Packets(octets, np.array([0]), np.array([_IDLE_OCTETS]))

    def _sequence(self, apid: int, n_packets: int) -> np.ndarray:
        flags = np.full(n_packets, _CONTINUATION)
        flags[0], flags[-1] = _FIRST, _LAST
        if n_packets == 1:
            flags[0] = _ALONE
        first = self.counts.get(apid, 0)
        self.counts[apid] = (first + n_packets) % COUNTS
        return flags << 14 | (first + np.arange(n_packets)) % COUNTS


def packetize(
    header: ExposureHeader,
    readouts: Sequence[Readout],
    first_counts: Mapping[int, int] | None = None,
    codec: str = "rice",
) -> list[bytes]:
    """Write an exposure as packets; see `encode`, which makes them a resultant at a time.

    Examples
    --------
    >>> from tessella.models import ExposureKey, Window
    >>> header = ExposureHeader(ExposureKey(1, 1, 1, 1, 1, 1, 1), "F158", 3,
    ...     "2027-01-01T00:00:00", "WFI_IMAGE", 10.0, 20.0, 30.0, 10.0, 20.0, 30.0)
    >>> pixels = np.zeros((1, 128, 128), np.uint16)
    >>> planes = (pixels, pixels, pixels[0], pixels[0])
    >>> readout = Readout("WFI01", Window(0, 0, 128, 128), *planes, encoding_offset=4000)
    >>> len(packetize(header, [readout], codec="none")), len(packetize(header, [readout]))
    (71, 23)
    """
    parts = encode(header, readouts, first_counts, codec)
    return list(chain.from_iterable(part.split() for part in parts))


def encode(
    header: ExposureHeader,
    readouts: Sequence[Readout],
    first_counts: Mapping[int, int] | None = None,
    codec: str = "rice",
) -> Iterator[Packets]:
    """Write an exposure as packets: housekeeping, reference reads, resultants, housekeeping.

    The packets of different detectors alternate. After each resultant comes an idle packet, after
    the last one come the guide windows.

    Parameters
    ----------
    header : ExposureHeader
    readouts : sequence of Readout
        One a detector; (n_resultants, ny, nx) with at most the resultants of the MA table.
    first_counts : mapping of int to int, optional
        Sequence count of the first packet by application identifier; 0 where it is absent.
        Counts run modulo 16384.
    codec : str
        Name of a row of `CODECS`. Pixels that do not get shorter are sent as they are.

    Yields
    ------
    packets : Packets
        In the order in which they are sent.

    Raises
    ------
    ValueError
        If the MA table is unknown or shorter than the readout, arrays do not have the shape of
        their window, or a number does not fit its field.
    """
    for readout in readouts:
        _require_shapes(readout)
    n_resultants = max((len(readout.data) for readout in readouts), default=0)
    start, *times = _times(header, n_resultants)
    sender = _Sender(header.key, first_counts or {}, codec)
    yield from _housekeeping(sender, header, readouts, start, sample=0)
    yield _alternate(
        packets
        for readout in readouts
        for packets in (
            _plane(sender, readout, SCIENCE, start, readout.reference_read, REFERENCE_READ),
            _plane(sender, readout, AMP33, start, readout.reference_amp33, REFERENCE_READ),
        )
    )
    for k, seconds in enumerate(times):
        yield _alternate(
            packets
            for readout in readouts
            if k < len(readout.data)
            for packets in (
                _plane(sender, readout, SCIENCE, seconds, readout.data[k], k),
                _plane(sender, readout, AMP33, seconds, readout.amp33[k], k),
            )
        )
        yield sender.send_idle()
    end = [start, *times][-1]
    for readout in readouts:
        if readout.guide is not None:
            for k, pixels in enumerate(readout.guide.pixels):
                yield _plane(sender, readout, GUIDE, end, pixels, k)
    yield from _housekeeping(sender, header, readouts, end, sample=1)


def _times(header: ExposureHeader, n_resultants: int) -> list[float]:
    """Return the start of the exposure and the end of each resultant [s since the epoch]."""
    table = read_patterns().get(header.ma_table_number)
    if table is None:
        raise ValueError(f"there is no MA table {header.ma_table_number}")
    if n_resultants > len(table.reads):
        raise ValueError(
            f"the readout has {n_resultants} resultants; "
            f"MA table {table.number} has {len(table.reads)}"
        )
    start = seconds_since_epoch(header.start_time)
    ends = [start + reads[-1] * table.frame_time for reads in table.reads[:n_resultants]]
    return [start, *ends]


def _housekeeping(
    sender: _Sender,
    header: ExposureHeader,
    readouts: Sequence[Readout],
    seconds: float,
    sample: int,
) -> Iterator[Packets]:
    """Send everything that is no pixel; each `sample` says the same, so that one may be lost."""
    records = [(0, pack_exposure(header))]
    records += [(sca_number(readout.detector), pack_detector(readout)) for readout in readouts]
    for sca, record in records:
        yield sender.send_record(HOUSEKEEPING, seconds, record, sca=sca, resultant=sample)
    yield sender.send_record(ATTITUDE, seconds, pack_attitude(header), resultant=sample)


def _grid(readout: Readout, base_apid: int) -> Grid:
    if base_apid == GUIDE and readout.guide is not None:
        return guide_grid(readout.guide)
    return grid_of(readout.window if base_apid == SCIENCE else amp33_window(readout.window))


def _plane(
    sender: _Sender,
    readout: Readout,
    base_apid: int,
    seconds: float,
    pixels: np.ndarray,
    resultant: int,
) -> Packets:
    """Send one (ny, nx) array of pixels."""
    grid = _grid(readout, base_apid)
    cells = np.arange(grid.n_cells)
    if sender.codec == PLAIN:
        first, last, codec = cells, cells, np.zeros(len(cells), int)
        payload = np.ascontiguousarray(pixels, ">u2").reshape(-1).view(np.uint8)
        octets = 2 * _n_pixels(grid.places(cells, cells))
    else:
        first, last, codec, payloads = _compressed(grid, pixels, sender.codec)
        payload = np.frombuffer(b"".join(payloads), np.uint8)
        octets = np.array([len(one) for one in payloads])
    places = grid.places(first, last)
    sca = sca_number(readout.detector)
    return sender.send(
        base_apid + sca,
        seconds,
        payload,
        octets,
        **places,
        sca=sca,
        resultant=resultant,
        codec=codec,
        encoding_offset=readout.encoding_offset,
        uncompressed_octets=2 * _n_pixels(places),
    )


def _n_pixels(places: Mapping[str, np.ndarray]) -> np.ndarray:
    return places["rows"] * places["columns"]


def _compressed(
    grid: Grid, pixels: np.ndarray, codec: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[bytes]]:
    """Compress runs of cells; one that does not fit a packet is sent cell by cell.

    Returns
    -------
    first, last, codec : (n,) int
        Of each packet.
    payloads : list of n bytes
    """
    flat, kept = np.ascontiguousarray(pixels).reshape(-1), []

    def compressed(first: int, last: int) -> tuple[int, int, int, bytes]:
        own = flat[ends[first] : ends[last + 1]]
        payload = CODECS[codec].encode(own)
        if first == last and len(payload) >= own.nbytes:
            return first, last, PLAIN, CODECS[PLAIN].encode(own)
        return first, last, codec, payload

    cells = np.arange(grid.n_cells)
    ends = [0, *_n_pixels(grid.places(cells, cells)).cumsum().tolist()]
    for first, last in zip(*(one.tolist() for one in grid.runs()), strict=True):
        packet = compressed(first, last)
        if len(packet[-1]) + OVERHEAD <= MAX_OCTETS:
            kept.append(packet)
        else:
            kept += [compressed(cell, cell) for cell in range(first, last + 1)]
    columns = np.array([packet[:3] for packet in kept]).T
    return columns[0], columns[1], columns[2], [packet[3] for packet in kept]


def _alternate(sequences: Iterable[Packets]) -> Packets:
    """Take one packet of each sequence in turn."""
    parts = list(sequences)
    turn = np.concatenate([np.arange(len(part.start)) for part in parts])
    order = np.argsort(turn, kind="stable")
    before = np.cumsum([0, *(len(part.octets) for part in parts[:-1])])
    start = np.concatenate([part.start + n for part, n in zip(parts, before, strict=True)])[order]
    length = np.concatenate([part.stop - part.start for part in parts])[order]
    stop = length.cumsum()
    octets = np.concatenate([part.octets for part in parts])
    mixed = np.empty_like(octets)
    _gather(octets, start, stop, mixed)
    return Packets(mixed, stop - length, stop)


@kernel
def _gather(octets: np.ndarray, start: np.ndarray, stop: np.ndarray, mixed: np.ndarray) -> None:
    """Copy the packets that begin at `start` one after the other, to end at `stop`."""
    done = 0
    for i in range(len(start)):
        mixed[done : stop[i]] = octets[start[i] : start[i] + stop[i] - done]
        done = stop[i]


def _require_shapes(readout: Readout) -> None:
    n_resultants = len(readout.data)
    ny, nx = readout.window.shape
    amp33 = amp33_window(readout.window).shape
    wanted = {
        "data": (n_resultants, ny, nx),
        "amp33": (n_resultants, *amp33),
        "reference_read": (ny, nx),
        "reference_amp33": amp33,
    }
    for name, shape in wanted.items():
        array = getattr(readout, name)
        if array.shape != shape or array.dtype != np.uint16:
            raise ValueError(
                f"{readout.detector}: {name} is {array.dtype} {array.shape}; "
                f"it must be uint16 {shape}"
            )
    if readout.guide is not None and readout.guide.pixels.dtype != np.uint16:
        raise ValueError(
            f"{readout.detector}: guide window is {readout.guide.pixels.dtype}; it must be uint16"
        )

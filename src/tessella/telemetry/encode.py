"""From the pixels of an exposure to the packets that carry them: the spacecraft's part."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, zip_longest

import numpy as np

from tessella.instrument.read_patterns import read_patterns
from tessella.models import ExposureHeader, ExposureKey, Readout
from tessella.telemetry.clock import seconds_since_epoch, write_time
from tessella.telemetry.codecs import CODECS, PLAIN
from tessella.telemetry.layout import amp33_window, packet_blocks
from tessella.telemetry.packets import (
    AMP33,
    ATTITUDE,
    COUNTS,
    CRC_OCTETS,
    FORMAT_VERSION,
    HEADER,
    HOUSEKEEPING,
    IDLE,
    PRIMARY_OCTETS,
    REFERENCE_READ,
    SCIENCE,
    TIME_PREAMBLE,
    Primary,
    crc,
    identification,
    pack_primary,
    pack_visit,
    sca_number,
    seal,
)
from tessella.telemetry.records import pack_attitude, pack_detector, pack_exposure

_CONTINUATION, _FIRST, _LAST, _ALONE = range(4)
_IDLE_FILL = b"\x55" * 64


class _Sender:
    """Numbers, times and seals the packets of one exposure; counts run on between calls."""

    def __init__(self, key: ExposureKey, first_counts: Mapping[int, int]) -> None:
        self.template = np.zeros(1, HEADER)
        self.template["time_preamble"] = TIME_PREAMBLE
        self.template["format_version"] = FORMAT_VERSION
        self.template["visit"] = pack_visit(key)
        self.template["exposure"] = key.exposure
        self.counts = dict(first_counts)

    def send(
        self,
        apid: int,
        seconds: float,
        payloads: Sequence[bytes],
        **columns: np.ndarray | int,
    ) -> list[bytes]:
        """Make a sequence of packets of one kind; `columns` are fields of their headers."""
        headers = self.template.repeat(len(payloads))
        headers["identification"] = identification(apid)
        headers["sequence"] = self._sequence(apid, len(payloads))
        write_time(headers, seconds)
        for name, values in columns.items():
            headers[name] = values
        return seal(headers, payloads)

    def send_idle(self) -> bytes:
        """Make one idle packet; by CCSDS 133.0-B it has no secondary header."""
        sequence = int(self._sequence(IDLE, 1)[0])
        octets = PRIMARY_OCTETS + len(_IDLE_FILL) + CRC_OCTETS
        primary = Primary(0, False, False, IDLE, sequence >> 14, sequence % COUNTS, octets)
        body = pack_primary(primary) + _IDLE_FILL
        return body + crc(body).to_bytes(CRC_OCTETS, "big")

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
) -> list[bytes]:
    """Write an exposure as packets: housekeeping, reference reads, resultants, housekeeping.

    The packets of different detectors alternate. After each resultant comes an idle packet.

    Parameters
    ----------
    header : ExposureHeader
    readouts : sequence of Readout
        One a detector; (n_resultants, ny, nx) with at most the resultants of the MA table.
    first_counts : mapping of int to int, optional
        Sequence count of the first packet by application identifier; 0 where it is absent.
        Counts run modulo 16384.

    Returns
    -------
    packets : list of bytes
        In the order in which they are sent.

    Raises
    ------
    ValueError
        If the MA table is unknown or shorter than the readout, arrays do not have the shape of
        their window, or a number does not fit its field.

    Examples
    --------
    >>> from tessella.models import ExposureKey, Window
    >>> header = ExposureHeader(ExposureKey(1, 1, 1, 1, 1, 1, 1), "F158", 3,
    ...     "2027-01-01T00:00:00", "WFI_IMAGE", 10.0, 20.0, 30.0, 10.0, 20.0, 30.0)
    >>> pixels = np.zeros((1, 128, 128), np.uint16)
    >>> planes = (pixels, pixels, pixels[0], pixels[0])
    >>> readout = Readout("WFI01", Window(0, 0, 128, 128), *planes, encoding_offset=4000)
    >>> len(packetize(header, [readout]))
    71
    """
    for readout in readouts:
        _require_shapes(readout)
    n_resultants = max((len(readout.data) for readout in readouts), default=0)
    start, *times = _times(header, n_resultants)
    sender = _Sender(header.key, first_counts or {})
    packets = _housekeeping(sender, header, readouts, start, sample=0)
    packets += _alternate(
        packet
        for readout in readouts
        for packet in (
            _plane(sender, readout, SCIENCE, start, readout.reference_read, REFERENCE_READ),
            _plane(sender, readout, AMP33, start, readout.reference_amp33, REFERENCE_READ),
        )
    )
    for k, seconds in enumerate(times):
        present = [readout for readout in readouts if k < len(readout.data)]
        packets += _alternate(
            packet
            for readout in present
            for packet in (
                _plane(sender, readout, SCIENCE, seconds, readout.data[k], k),
                _plane(sender, readout, AMP33, seconds, readout.amp33[k], k),
            )
        )
        packets.append(sender.send_idle())
    return packets + _housekeeping(sender, header, readouts, [start, *times][-1], sample=1)


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
) -> list[bytes]:
    """Send everything that is no pixel; each `sample` says the same, so that one may be lost."""
    scas = [0, *(sca_number(readout.detector) for readout in readouts)]
    records = [pack_exposure(header), *(pack_detector(readout) for readout in readouts)]
    packets = []
    for sca, record in zip(scas, records, strict=True):
        packets += sender.send(
            HOUSEKEEPING,
            seconds,
            [record],
            sca=sca,
            resultant=sample,
            uncompressed_octets=len(record),
        )
    attitude = pack_attitude(header)
    return packets + sender.send(
        ATTITUDE, seconds, [attitude], resultant=sample, uncompressed_octets=len(attitude)
    )


def _plane(
    sender: _Sender,
    readout: Readout,
    base_apid: int,
    seconds: float,
    pixels: np.ndarray,
    resultant: int,
) -> list[bytes]:
    """Send one (ny, nx) array of pixels."""
    window = readout.window if base_apid == SCIENCE else amp33_window(readout.window)
    blocks = packet_blocks(window)
    n_pixels = blocks["rows"] * blocks["columns"]
    encode = CODECS[PLAIN].encode
    payloads = [encode(part) for part in np.split(pixels.ravel(), n_pixels.cumsum()[:-1])]
    sca = sca_number(readout.detector)
    return sender.send(
        base_apid + sca,
        seconds,
        payloads,
        **blocks,
        sca=sca,
        resultant=resultant,
        codec=PLAIN,
        encoding_offset=readout.encoding_offset,
        uncompressed_octets=2 * n_pixels,
    )


def _alternate(sequences: Iterable[list[bytes]]) -> list[bytes]:
    """Take one packet of each sequence in turn."""
    turns = zip_longest(*sequences)
    return [packet for packet in chain.from_iterable(turns) if packet is not None]


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

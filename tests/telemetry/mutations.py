"""Streams of packets with faults of all kinds, and what a decoder must make of them."""

import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from sent_packets import changed, head, payload_of

from tessella.models import ExposureHeader, ExposureKey, GuideWindow, Readout, Window
from tessella.telemetry.assembly import Part, Received
from tessella.telemetry.decode import receive
from tessella.telemetry.encode import packetize
from tessella.telemetry.layout import amp33_window
from tessella.telemetry.packets import (
    AMP33,
    ATTITUDE,
    GUIDE,
    HEADER,
    HOUSEKEEPING,
    IDLE,
    REFERENCE_READ,
    SCIENCE,
    identification,
    packet,
    unpack_primary,
)

FIRST = ExposureHeader(
    key=ExposureKey(90001, 12, 123, 34, 999, 7, 42),
    optical_element="F158",
    ma_table_number=3,
    start_time="2027-03-04T05:06:07.890",
    exposure_type="WFI_IMAGE",
    ra_v1=10.25,
    dec_v1=-20.5,
    pa_v3=359.999,
    target_ra=10.3,
    target_dec=-20.4,
    pa_aperture=0.1,
)
HEADERS = (FIRST, replace(FIRST, key=replace(FIRST.key, exposure=43)))


class Segment(NamedTuple):
    """A part of a stream."""

    octets: bytes
    #: Number of the packet that it is, if it still says the same; None for all else.
    number: int | None = None


class Place(NamedTuple):
    """What a packet holds: pixels of an array, or a record, of a detector or of all."""

    exposure: int
    detector: str
    array: str
    pixels: tuple[slice | int, ...]


@dataclass(frozen=True)
class Original:
    """Two exposures as they were sent, their packets alternating."""

    readouts: tuple[dict[str, Readout], ...]
    packets: list[bytes]
    places: list[Place]
    #: By exposure, detector and name of an array: the number of the packet of each pixel.
    labels: dict[tuple[int, str, str], np.ndarray]


@dataclass(frozen=True)
class Outcome:
    """What was made of a stream with faults."""

    n_octets: int
    n_fragments: int
    #: Packets that no fault touched and whose pixels are not all there.
    n_lost: int
    #: Pixels that arrived and are not those that were sent.
    n_wrong: int
    seconds: float
    cpu_seconds: float
    #: Most memory that was taken besides the stream; 0 where it was not looked at.
    peak_octets: int


def make_original(codec: str, is_wide: bool = False, seed: int = 1) -> Original:
    """Make two exposures of two detectors each, with cells of a part of a row and of eight rows.

    Wide ones have five: what a detector takes is then little beside the stream.
    """
    rng = np.random.default_rng(seed)
    windows = {
        "WFI01": Window(128, 256, 1280, 128),
        "WFI02": Window(2816, 1024, 1280, 128),
        "WFI07": Window(0, 3712, 384, 128),
        "WFI11": Window(384, 0, 384, 128),
        "WFI18": Window(3968, 0, 128, 128),
    }
    if not is_wide:
        windows = {name: windows[name] for name in ("WFI01", "WFI18")}

    def pixels(*shape: int) -> np.ndarray:
        return 4000 + rng.integers(0, 64, shape, dtype=np.uint16)

    readouts = tuple(
        {
            detector: Readout(
                detector,
                window,
                pixels(1, *window.shape),
                pixels(1, window.ny, 128),
                pixels(*window.shape),
                pixels(window.ny, 128),
                4000,
                GuideWindow(700, 300, pixels(3, 16, 32)) if detector == "WFI01" else None,
            )
            for detector, window in windows.items()
        }
        for _ in HEADERS
    )
    sent = [
        packetize(header, list(own.values()), {}, codec)
        for header, own in zip(HEADERS, readouts, strict=True)
    ]
    packets = [one for pair in zip(*sent, strict=False) for one in pair]
    packets += [one for own in sent for one in own[len(packets) // 2 :]]
    places = [_place(one, windows) for one in packets]
    return Original(readouts, packets, places, _labels(readouts, places))


def _labels(
    readouts: tuple[dict[str, Readout], ...], places: list[Place]
) -> dict[tuple[int, str, str], np.ndarray]:
    labels = {}
    for exposure, own in enumerate(readouts):
        for detector, readout in own.items():
            for name in ("data", "amp33", "reference_read", "reference_amp33"):
                shape = getattr(readout, name).shape
                labels[exposure, detector, name] = np.full(shape, -1, np.int32)
            if readout.guide is not None:
                n_cycles = len(readout.guide.pixels)
                labels[exposure, detector, "guide"] = np.full(n_cycles, -1, np.int32)
    for number, place in enumerate(places):
        if place.pixels:
            labels[place[:3]][place.pixels] = number
    assert all((label >= 0).all() for label in labels.values())
    return labels


def _place(octets: bytes, windows: dict[str, Window]) -> Place:
    apid = unpack_primary(octets).apid
    if apid == IDLE:
        return Place(-1, "", "idle", ())
    said = head(octets)
    exposure = int(said["exposure"]) - FIRST.key.exposure
    detector = f"WFI{said['sca']:02d}" if said["sca"] else ""
    if apid in (HOUSEKEEPING, ATTITUDE):
        name = "attitude" if apid == ATTITUDE else "detector" if detector else "exposure"
        return Place(exposure, detector, name, ())
    base = next(base for base in (GUIDE, AMP33, SCIENCE) if apid > base)
    if base == GUIDE:
        return Place(exposure, detector, "guide", (int(said["resultant"]),))
    window = windows[detector] if base == SCIENCE else amp33_window(windows[detector])
    y, x = int(said["first_row"]) - window.y, int(said["first_column"]) - window.x
    area = slice(y, y + int(said["rows"])), slice(x, x + int(said["columns"]))
    if said["resultant"] == REFERENCE_READ:
        return Place(
            exposure, detector, "reference_read" if base == SCIENCE else "reference_amp33", area
        )
    array = "data" if base == SCIENCE else "amp33"
    return Place(exposure, detector, array, (int(said["resultant"]), *area))


Stream = list[Segment]
Rng = np.random.Generator


def _noise(rng: Rng, n: int) -> bytes:
    return rng.integers(0, 256, n, dtype=np.uint8).tobytes()


def flip_bits(stream: Stream, rng: Rng) -> None:
    i = int(rng.integers(len(stream)))
    octets = bytearray(stream[i].octets)
    for _ in range(int(rng.integers(1, 4))):
        octets[rng.integers(len(octets))] ^= 1 << int(rng.integers(8))
    stream[i] = Segment(bytes(octets))


def overwrite(stream: Stream, rng: Rng) -> None:
    i = int(rng.integers(len(stream)))
    octets = stream[i].octets
    a = int(rng.integers(len(octets)))
    n = int(rng.integers(1, 300))
    other = bytes(n) if rng.random() < 0.5 else _noise(rng, n)
    stream[i] = Segment((octets[:a] + other + octets[a + n :])[: max(len(octets), 1)])


def drop(stream: Stream, rng: Rng) -> None:
    a = int(rng.integers(len(stream)))
    if len(stream) > 20:
        del stream[a : a + int(rng.integers(1, 10))]


def repeat(stream: Stream, rng: Rng) -> None:
    i = int(rng.integers(len(stream)))
    stream.insert(int(rng.integers(i, len(stream))) + 1, stream[i])


def reorder(stream: Stream, rng: Rng) -> None:
    a = int(rng.integers(len(stream)))
    part = stream[a : a + 40]
    stream[a : a + 40] = [part[k] for k in rng.permutation(len(part))]


def insert_foreign(stream: Stream, rng: Rng) -> None:
    header = np.zeros(1, HEADER)
    header["identification"] = identification(int(rng.choice([0x001, 0x0FF, 0x180, 0x321])))
    header["time_preamble"] = rng.choice([0x2F, 0x1F])
    foreign = packet(header, _noise(rng, int(rng.integers(0, 900))))
    if rng.random() < 0.3:
        foreign = foreign[:-2] + _noise(rng, 2)
    stream.insert(int(rng.integers(len(stream) + 1)), Segment(foreign))


def lie_about_length(stream: Stream, rng: Rng) -> None:
    i = int(rng.integers(len(stream)))
    octets = stream[i].octets
    if len(octets) < 60:
        return
    if rng.random() < 0.5:
        length = int(rng.integers(0, 1 << 16)) if rng.random() < 0.5 else int(rng.integers(4000))
        stream[i] = Segment(octets[:4] + length.to_bytes(2, "big") + octets[6:])
        return
    # A checksum that fits the lie, on a packet that is too short; its end is left over.
    kept = int(rng.integers(0, len(octets) - 50))
    short = changed(octets, payload_of(octets)[:kept])
    stream[i] = Segment(short + octets[len(short) :])


def insert_garbage(stream: Stream, rng: Rng) -> None:
    garbage = _noise(rng, int(rng.integers(1, 5000)))
    i = int(rng.integers(len(stream)))
    if rng.random() < 0.5:
        stream.insert(i, Segment(garbage))
        return
    octets = stream[i].octets
    a = int(rng.integers(1, max(len(octets), 2)))
    stream[i] = Segment(octets[:a] + garbage + octets[a:])


def _change_headers(stream: Stream, rng: Rng, change: Callable[[np.void], dict]) -> None:
    a = int(rng.integers(len(stream)))
    for i in range(a, min(a + int(rng.integers(1, 60)), len(stream))):
        octets, number = stream[i]
        if number is not None and unpack_primary(octets).apid != IDLE:
            stream[i] = Segment(changed(octets, **change(head(octets))), number)


def wrap_counts(stream: Stream, rng: Rng) -> None:
    shift = int(rng.integers(1 << 14))

    def change(said: np.void) -> dict:
        sequence = int(said["sequence"])
        return {"sequence": sequence & 0xC000 | (sequence + shift) & 0x3FFF}

    _change_headers(stream, rng, change)


def jump_clock(stream: Stream, rng: Rng) -> None:
    seconds = int(rng.integers(0, 1 << 32))
    _change_headers(stream, rng, lambda said: {"seconds": seconds})


def truncate(stream: Stream, rng: Rng) -> None:
    a = int(rng.integers(len(stream) // 2, len(stream)))
    if rng.random() < 0.5:
        stream[a:] = [Segment(stream[a].octets[: int(rng.integers(len(stream[a].octets)))])]
    else:
        a = len(stream) - a - 1
        stream[: a + 1] = [Segment(stream[a].octets[int(rng.integers(len(stream[a].octets))) :])]


FAULTS = (
    *(flip_bits, overwrite, drop, repeat, reorder, insert_foreign, lie_about_length),
    *(insert_garbage, wrap_counts, jump_clock, truncate),
)


def mutate(original: Original, rng: Rng, n_faults: int) -> Stream:
    """Return a stream with faults that were drawn; those that cut it come last."""
    stream = [Segment(octets, number) for number, octets in enumerate(original.packets)]
    kinds = sorted(int(k) for k in rng.integers(len(FAULTS), size=n_faults))
    for kind in kinds:
        FAULTS[kind](stream, rng)
        stream[:] = [part for part in stream if part.octets] or stream[:1]
    return stream


def outcome(original: Original, stream: Stream, looks_at_memory: bool = False) -> Outcome:
    """Decode a stream, check its ledger, and hold the pixels against those that were sent."""
    data = b"".join(part.octets for part in stream)
    clock = _Clock(looks_at_memory)
    with clock:
        reception = receive([data])
    whole = np.zeros(len(original.packets), bool)
    whole[[part.number for part in stream if part.number is not None]] = True
    records = {place[:3] for place, there in zip(original.places, whole, strict=True) if there}
    n_lost = n_wrong = 0
    for number, header in enumerate(HEADERS):
        exposure = reception.exposures.get(header.key)
        waiting = set(original.readouts[number])
        # Without its record, of which there are two, an exposure cannot be decoded.
        n_lost += exposure is None and (number, "", "exposure") in records
        detectors = iter(()) if exposure is None else exposure.detectors()
        while True:
            with clock:
                part = next(detectors, None)
            if part is None:
                break
            with clock:
                _write_nowhere(part)
            detector, readout, received = part.detector, part.readout(), part.received()
            waiting.remove(detector)
            n_lost += _n_lost(original, number, detector, whole, received)
            n_wrong += _n_wrong(original.readouts[number][detector], readout, received)
            del part, readout, received
        if exposure is not None:
            n_lost += sum((number, detector, "detector") in records for detector in waiting)
    with clock:
        ledger = reception.ledger()
    tracemalloc.stop()
    ledger.check()
    took = clock.seconds, clock.cpu_seconds
    return Outcome(len(data), ledger.counts.n_rejected, n_lost, n_wrong, *took, clock.peak_octets)


def _write_nowhere(part: Part) -> None:
    """Make the planes of a detector one after the other, as they are written."""
    for cells in (part.data, part.amp33, part.reference_read, part.reference_amp33):
        for number in range(len(cells)):
            cells.plane(number), cells.received(number)


class _Clock:
    """Adds up time, and looks for the most memory, of what is done inside of it."""

    def __init__(self, looks_at_memory: bool) -> None:
        self.looks_at_memory = looks_at_memory
        self.seconds = self.cpu_seconds = 0.0
        self.peak_octets = 0
        if looks_at_memory:
            tracemalloc.start()
        self.before = tracemalloc.get_traced_memory()[0]

    def __enter__(self) -> None:
        if self.looks_at_memory:
            tracemalloc.reset_peak()
        self.start = time.perf_counter(), time.process_time()

    def __exit__(self, *error: object) -> None:
        self.cpu_seconds += time.process_time() - self.start[1]
        self.seconds += time.perf_counter() - self.start[0]
        if self.looks_at_memory:
            taken = tracemalloc.get_traced_memory()[1] - self.before
            self.peak_octets = max(self.peak_octets, taken)


def _n_lost(
    original: Original, exposure: int, detector: str, whole: np.ndarray, received: Received
) -> int:
    """Count the packets that came whole and whose pixels are not all there."""
    n_lost = 0
    for (of_exposure, of_detector, name), label in original.labels.items():
        if (of_exposure, of_detector) == (exposure, detector):
            lost = whole[label] & ~getattr(received, name)
            n_lost += len(np.unique(label[lost]))
    return n_lost


def _n_wrong(sent: Readout, got: Readout, received: Received) -> int:
    """Count the pixels that arrived and are not those that were sent."""
    n_wrong = 0
    for name in ("data", "amp33", "reference_read", "reference_amp33"):
        differs = getattr(got, name) != getattr(sent, name)
        n_wrong += int(np.count_nonzero(differs & getattr(received, name)))
    if sent.guide is not None and got.guide is not None:
        n_wrong += int(np.count_nonzero((got.guide.pixels != sent.guide.pixels)[received.guide]))
    return n_wrong

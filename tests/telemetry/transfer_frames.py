"""Units of transfer frames made of packets, as a spacecraft sends them."""

from collections.abc import Iterator

import numpy as np

from tessella.telemetry.checksum import crc
from tessella.telemetry.frames import IDLE_CHANNEL, SYNC_MARKER, FrameFormat, randomiser
from tessella.telemetry.reed_solomon import CHECK_SYMBOLS, to_dual


def frames_of(
    packets: list[bytes], form: FrameFormat, channel: int, first: int = 0
) -> Iterator[bytes]:
    """Lay packets one after the other into frames; the last frame is filled by an idle packet."""
    size = form.zone.stop - form.zone.start
    fill = -sum(map(len, packets)) % size
    fill += size * (0 < fill < 7)
    if fill:
        packets = [*packets, bytes.fromhex("07ffc000") + (fill - 7).to_bytes(2, "big")]
        packets[-1] += bytes(fill - 6)
    starts = np.cumsum([0, *map(len, packets)])
    stream = b"".join(packets)
    for k in range(len(stream) // size):
        inside = starts[(starts >= k * size) & (starts < (k + 1) * size)]
        pointer = int(inside[0]) - k * size if len(inside) else 0x7FF
        yield frame(form, channel, first + k, pointer, stream[k * size : (k + 1) * size])


def idle_frame(form: FrameFormat, count: int) -> bytes:
    size = form.zone.stop - form.zone.start
    return frame(form, IDLE_CHANNEL, count, 0x7FE, bytes(size))


def frame(form: FrameFormat, channel: int, count: int, pointer: int, zone: bytes) -> bytes:
    head = bytes([0x40, channel]) + (count % (1 << 24)).to_bytes(3, "big") + b"\0"
    head += bytes(form.header_check_octets + form.insert_octets) + pointer.to_bytes(2, "big")
    body = head + zone + bytes(form.control_octets)
    return body + crc(body).to_bytes(2, "big") if form.has_checksum else body


def unit(octets: bytes, form: FrameFormat) -> bytes:
    """Add check symbols, randomise, and put the marker in front."""
    coded = np.frombuffer(octets, np.uint8)
    if form.interleaving:
        coded = _with_check_symbols(coded, form)
    if form.is_randomised:
        coded = coded ^ randomiser(len(coded))
    return SYNC_MARKER + coded.tobytes()


def _with_check_symbols(octets: np.ndarray, form: FrameFormat) -> np.ndarray:
    import reedsolo

    dual = to_dual()
    words = np.argsort(dual).astype(np.uint8)[octets].reshape(-1, form.interleaving)
    coder = reedsolo.RSCodec(
        CHECK_SYMBOLS, len(words) + CHECK_SYMBOLS, fcr=112, prim=0x187, generator=0xAD
    )
    coded = [
        np.frombuffer(bytes(coder.encode(bytes(words[:, i]))), np.uint8)
        for i in range(form.interleaving)
    ]
    return dual[np.stack(coded, axis=1).reshape(-1)]

"""Payloads that are not pixels: housekeeping and attitude, in fixed records.

Housekeeping has a record of the exposure (SCA 0) and one of each detector (its number).
"""

from dataclasses import dataclass

import numpy as np

from tessella.models import ExposureHeader, ExposureKey, GuideWindow, Readout, Window, unread
from tessella.telemetry.clock import seconds_since_epoch
from tessella.telemetry.packets import DECLARED


def _record_of(kind: str) -> np.dtype:
    """Return the fields of a declared record, without the checksum that ends a packet."""
    return np.dtype(DECLARED[kind].dtype.descr[:-1])


EXPOSURE_RECORD = _record_of("exposure_record")
DETECTOR_RECORD = _record_of("detector_record")
ATTITUDE_RECORD = _record_of("attitude")


@dataclass(frozen=True)
class DetectorSetup:
    """What housekeeping tells of one detector."""

    window: Window
    n_resultants: int
    #: Added on board to keep differences positive [DN].
    encoding_offset: int
    #: Its pixels are zeros; None where there is none.
    guide: GuideWindow | None = None


def pack_exposure(header: ExposureHeader) -> bytes:
    """Write the record of an exposure.

    Raises
    ------
    ValueError
        If a text is not ASCII or too long for its field, or the table's number is over 65535.
    """
    record = np.zeros((), EXPOSURE_RECORD)
    for name in EXPOSURE_RECORD.names or ():
        value = getattr(header, name)
        if isinstance(value, str):
            value = _text(name, value)
        elif name == "ma_table_number":
            value = _unsigned(name, value)
        record[name] = value
    return record.tobytes()


def pack_detector(readout: Readout) -> bytes:
    """Write the record of a detector."""
    window, guide = readout.window, readout.guide
    numbers = {
        **{name: getattr(window, name) for name in ("x", "y", "nx", "ny")},
        "n_resultants": len(readout.data),
        "data_encoding_offset": readout.encoding_offset,
    }
    if guide is not None:
        n_cycles, ny, nx = guide.pixels.shape
        numbers |= {"guide_x": guide.x, "guide_y": guide.y, "guide_nx": nx, "guide_ny": ny}
        numbers["guide_cycles"] = n_cycles
    record = np.zeros((), DETECTOR_RECORD)
    for name, value in numbers.items():
        record[name] = _unsigned(name, value)
    return record.tobytes()


def pack_attitude(header: ExposureHeader) -> bytes:
    """Write the attitude of an exposure."""
    return np.array((header.ra_v1, header.dec_v1, header.pa_v3), ">f8").tobytes()


def unpack_exposure(
    payload: bytes | memoryview, key: ExposureKey, attitude: tuple[float, float, float]
) -> ExposureHeader:
    """Read the record of an exposure and complete it with its key and attitude.

    Raises
    ------
    ValueError
        If the payload is no such record, or its start is no time.
    """
    record = _record(payload, EXPOSURE_RECORD)
    values = {name: record[name].item() for name in EXPOSURE_RECORD.names or ()}
    for name, value in values.items():
        if isinstance(value, bytes):
            values[name] = value.decode("ascii")
    seconds_since_epoch(values["start_time"])
    ra_v1, dec_v1, pa_v3 = attitude
    return ExposureHeader(key=key, ra_v1=ra_v1, dec_v1=dec_v1, pa_v3=pa_v3, **values)


def unpack_detector(payload: bytes | memoryview) -> DetectorSetup:
    """Read the record of a detector.

    Raises
    ------
    ValueError
        If the payload is no such record, or its window does not lie on the detector.

    Examples
    --------
    >>> numbers = (0, 0, 128, 256, 5, 4000, 0, 0, 0, 0, 0)
    >>> unpack_detector(np.array(numbers, ">u2").tobytes()).window.ny
    256
    """
    said = _record(payload, DETECTOR_RECORD)
    x, y, nx, ny, n_resultants, encoding_offset, *guided = said.item()
    guide_x, guide_y, guide_nx, guide_ny, n_cycles = guided
    guide = None
    if n_cycles:
        guide = unread(guide_x, guide_y, n_cycles, guide_ny, guide_nx)
    return DetectorSetup(Window(x, y, nx, ny), n_resultants, encoding_offset, guide)


def unpack_attitude(payload: bytes | memoryview) -> tuple[float, float, float]:
    """Read ``ra_v1``, ``dec_v1`` and ``pa_v3`` [deg].

    Raises
    ------
    ValueError
        If the payload is no such record.
    """
    return _record(payload, ATTITUDE_RECORD).item()


def _record(payload: bytes | memoryview, dtype: np.dtype) -> np.ndarray:
    if len(payload) != dtype.itemsize:
        raise ValueError(f"the record has {len(payload)} octets, not {dtype.itemsize}")
    return np.frombuffer(payload, dtype)[0]


def _text(name: str, value: str) -> bytes:
    field = EXPOSURE_RECORD[name]
    if not value.isascii() or len(value) > field.itemsize:
        raise ValueError(f"{name} is {value!r}; a packet holds {field.itemsize} ASCII characters")
    return value.encode("ascii")


def _unsigned(name: str, value: int) -> int:
    if not 0 <= value < 1 << 16:
        raise ValueError(f"{name} is {value}; a packet holds 0 to 65535")
    return value

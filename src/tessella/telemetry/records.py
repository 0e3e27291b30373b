"""Payloads that are not pixels: housekeeping and attitude, in fixed records.

Housekeeping has a record of the exposure (SCA 0) and one of each detector (its number).
"""

from dataclasses import dataclass

import numpy as np

from tessella.models import ExposureHeader, ExposureKey, Readout, Window

EXPOSURE_RECORD = np.dtype(
    [
        ("optical_element", "S16"),
        ("exposure_type", "S16"),
        ("start_time", "S32"),
        ("ma_table_number", ">u2"),
        ("target_ra", ">f8"),
        ("target_dec", ">f8"),
        ("pa_aperture", ">f8"),
    ]
)
DETECTOR_RECORD = np.dtype(
    [(name, ">u2") for name in ("x", "y", "nx", "ny", "n_resultants", "encoding_offset")]
)
ATTITUDE_RECORD = np.dtype([(name, ">f8") for name in ("ra_v1", "dec_v1", "pa_v3")])


@dataclass(frozen=True)
class DetectorSetup:
    """What housekeeping tells of one detector."""

    window: Window
    n_resultants: int
    #: Added on board to keep differences positive [DN].
    encoding_offset: int


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
    window = readout.window
    numbers = (
        *(window.x, window.y, window.nx, window.ny),
        _unsigned("n_resultants", len(readout.data)),
        _unsigned("encoding_offset", readout.encoding_offset),
    )
    return np.array(numbers, ">u2").tobytes()


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
        If the payload is no such record.
    """
    record = _record(payload, EXPOSURE_RECORD)
    values = {name: record[name].item() for name in EXPOSURE_RECORD.names or ()}
    for name, value in values.items():
        if isinstance(value, bytes):
            values[name] = value.decode("ascii")
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
    >>> unpack_detector(np.array((0, 0, 128, 256, 5, 4000), ">u2").tobytes()).window.ny
    256
    """
    x, y, nx, ny, n_resultants, encoding_offset = _record(payload, DETECTOR_RECORD).item()
    return DetectorSetup(Window(x, y, nx, ny), n_resultants, encoding_offset)


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

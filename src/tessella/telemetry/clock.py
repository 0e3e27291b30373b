"""Time in packets: seconds since an epoch of our own, unsegmented (CUC), in 4 + 3 octets.

Days have 86,400 s: the clock does not count leap seconds, of which none has been inserted
between the epoch and the day this was written.
"""

from datetime import UTC, datetime, timedelta

import numpy as np

EPOCH = datetime(2020, 1, 1, tzinfo=UTC)
_FRACTIONS = 1 << 24


def seconds_since_epoch(time: str) -> float:
    """Convert a UTC time in ISO 8601 to seconds since 2020-01-01 [s].

    Raises
    ------
    ValueError
        If `time` is not such a time, or lies outside what 4 octets of seconds can hold.

    Examples
    --------
    >>> seconds_since_epoch("2020-01-02T00:00:00.500")
    86400.5
    """
    moment = datetime.fromisoformat(time)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    seconds = (moment - EPOCH).total_seconds()
    if not 0 <= seconds < 1 << 32:
        raise ValueError(f"the time {time} cannot be written in a packet; use 2020 to 2156")
    return seconds


def iso_time(seconds: float) -> str:
    """Convert seconds since 2020-01-01 [s] to a UTC time in ISO 8601, to the microsecond.

    Examples
    --------
    >>> iso_time(86400.5)
    '2020-01-02T00:00:00.500000'
    """
    moment = (EPOCH + timedelta(seconds=seconds)).replace(tzinfo=None)
    return moment.isoformat(timespec="microseconds")


def write_time(headers: np.ndarray, seconds: float) -> None:
    """Set the time code of `headers` in place to `seconds` since the epoch [s]."""
    ticks = round(seconds * _FRACTIONS)
    headers["seconds"] = ticks // _FRACTIONS
    headers["fraction"] = list((ticks % _FRACTIONS).to_bytes(3, "big"))


def read_time(headers: np.ndarray) -> np.ndarray:
    """Read the time codes of (n,) headers: (n,) seconds since the epoch [s].

    Examples
    --------
    >>> from tessella.telemetry.packets import HEADER
    >>> headers = np.zeros(1, HEADER)
    >>> write_time(headers, 86400.5)
    >>> read_time(headers).tolist()
    [86400.5]
    """
    ticks = headers["fraction"].astype(float) @ np.array([65536.0, 256.0, 1.0])
    return headers["seconds"] + ticks / _FRACTIONS

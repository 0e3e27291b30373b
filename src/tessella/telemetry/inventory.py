"""Which exposures are in telemetry, read from housekeeping and attitude alone."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from mmap import mmap

import numpy as np

from tessella.models import ExposureHeader, ExposureKey
from tessella.telemetry.index import PacketIndex, index_packets
from tessella.telemetry.packets import ATTITUDE, HOUSEKEEPING, detector_name, unpack_visit
from tessella.telemetry.records import (
    DetectorSetup,
    unpack_attitude,
    unpack_detector,
    unpack_exposure,
)
from tessella.telemetry.scan import search_packets

_NO_ATTITUDE = (np.nan, np.nan, np.nan)


@dataclass(frozen=True)
class Announcement:
    """What housekeeping and attitude say of one exposure."""

    #: ``ra_v1``, ``dec_v1`` and ``pa_v3`` are NaN where no attitude was received.
    header: ExposureHeader
    #: By the names of the detectors.
    detectors: dict[str, DetectorSetup]


def inventory(streams: Iterable[bytes | mmap]) -> list[Announcement]:
    """List the exposures of some streams, in the order of their keys.

    Pixels are neither checked nor read: an exposure may turn out to be incomplete.

    Parameters
    ----------
    streams : iterable of bytes-like
        In the order in which the ground received them.

    Examples
    --------
    >>> inventory([b"noise"])
    []
    """
    index = index_packets(streams, partial(search_packets, apids=(HOUSEKEEPING, ATTITUDE)))
    return list(announcements(index).values())


def announcements(index: PacketIndex) -> dict[ExposureKey, Announcement]:
    """Read the housekeeping and attitude of every exposure in `index`, sorted by key.

    The first sample counts, and of its repetitions the one received last. Exposures without
    their own record are left out.
    """
    attitudes: dict[ExposureKey, tuple[float, float, float]] = {}
    exposures: dict[ExposureKey, memoryview] = {}
    detectors: dict[ExposureKey, dict[str, DetectorSetup]] = {}
    for packet in _records(index):
        head = index.header[packet]
        key = unpack_visit(int(head["visit"]), int(head["exposure"]))
        payload = index.payload(packet)
        if index.apid[packet] == ATTITUDE:
            attitudes[key] = unpack_attitude(payload)
        elif head["sca"] == 0:
            exposures[key] = payload
        else:
            detectors.setdefault(key, {})[detector_name(head["sca"])] = unpack_detector(payload)
    return {
        key: Announcement(
            unpack_exposure(exposures[key], key, attitudes.get(key, _NO_ATTITUDE)),
            dict(sorted(detectors.get(key, {}).items())),
        )
        for key in sorted(exposures)
    }


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


def _records(index: PacketIndex) -> list[int]:
    """List the sound records, the one that counts last: first samples and late arrivals."""
    of_records = index.readable & np.isin(index.apid, (HOUSEKEEPING, ATTITUDE))
    packets = np.flatnonzero(of_records)
    sample = index.header["resultant"][packets].astype(int)
    packets = packets[np.argsort(-sample, kind="stable")]
    return [packet for packet in packets.tolist() if is_record(index, packet)]

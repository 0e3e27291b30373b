"""The readouts of an exposure on either side of telemetry, as HDF5 with checksums."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from tessella.errors import DataError
from tessella.io.atomic import replacing
from tessella.io.hdf5 import new_hdf5
from tessella.io.seals import sha256
from tessella.models import (
    ExposureHeader,
    ExposureKey,
    GuideWindow,
    Readout,
    Reliability,
    Window,
)
from tessella.telemetry.assembly import Assembly, Received

_PLANES = ("data", "amp33", "reference_read", "reference_amp33")


@dataclass(frozen=True)
class ReadoutFile:
    """The content of a file of readouts, or of some of its detectors."""

    header: ExposureHeader
    #: Names of all detectors of the file, sorted.
    detectors: tuple[str, ...]
    #: By detector.
    readouts: dict[str, Readout]
    #: By detector; empty where the pixels have not been through telemetry.
    received: dict[str, Received]
    reliability: Reliability = Reliability()


def write_readouts(
    path: str | Path,
    header: ExposureHeader,
    readouts: Iterable[Readout],
    provenance: Mapping[str, Any],
) -> None:
    """Write the readouts of an exposure before they go through telemetry."""
    with replacing(path, provenance) as part, new_hdf5(part) as file:
        file.attrs["header"] = json.dumps(asdict(header))
        file.attrs["reliability"] = json.dumps(asdict(Reliability()))
        for readout in readouts:
            _write_readout(file, readout)


def write_decoded(path: str | Path, exposure: Assembly, provenance: Mapping[str, Any]) -> None:
    """Decode an exposure and write it, a detector at a time."""
    with replacing(path, provenance) as part, new_hdf5(part) as file:
        file.attrs["header"] = json.dumps(asdict(exposure.header))
        for readout, received in exposure.detectors():
            group = _write_readout(file, readout).create_group("received")
            _write_planes(group, received)
            group["guide"] = received.guide
            # The next one is decoded before the names are bound to it.
            del readout, received
        reliability = Reliability(
            exposure.problems, exposure.completeness, exposure.n_files, exposure.clock_is_sound
        )
        file.attrs["reliability"] = json.dumps(asdict(reliability))


def read_readouts(path: str | Path, only: Sequence[str] | None = None) -> ReadoutFile:
    """Read what `write_readouts` or `write_decoded` wrote.

    Parameters
    ----------
    path : path
    only : sequence of str, optional
        Detectors whose pixels are read; absent: all.

    Raises
    ------
    DataError
        If there is no such file, or it is damaged or of another kind.
    """
    sha256(path)
    try:
        with h5py.File(path, "r") as file:
            header = json.loads(file.attrs["header"])
            key = ExposureKey(**header.pop("key"))
            reliability = Reliability(**json.loads(file.attrs["reliability"]))
            wanted = {name: file[name] for name in (sorted(file) if only is None else only)}
            return ReadoutFile(
                header=ExposureHeader(key=key, **header),
                detectors=tuple(sorted(file)),
                readouts={name: _read_readout(name, group) for name, group in wanted.items()},
                received={
                    name: Received(
                        **_read_planes(group["received"]), guide=group["received/guide"][()]
                    )
                    for name, group in wanted.items()
                    if "received" in group
                },
                reliability=replace(reliability, problems=tuple(reliability.problems)),
            )
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: no readable file of readouts ({error}); make it again") from error


def _write_readout(file: h5py.File, readout: Readout) -> h5py.Group:
    group = file.create_group(readout.detector)
    group.attrs.update(asdict(readout.window))
    group.attrs["encoding_offset"] = readout.encoding_offset
    _write_planes(group, readout)
    if readout.guide is not None:
        guide = group.create_dataset("guide", data=readout.guide.pixels, fletcher32=True)
        guide.attrs.update({"x": readout.guide.x, "y": readout.guide.y})
    return group


def _write_planes(group: h5py.Group, source: Readout | Received) -> None:
    for name in _PLANES:
        array = getattr(source, name)
        # One chunk a plane; flags shrink to nothing, noise would not.
        group.create_dataset(
            name,
            data=array,
            chunks=(1,) * (array.ndim - 2) + array.shape[-2:],
            compression="lzf" if array.dtype == bool else None,
            fletcher32=True,
        )


def _read_planes(group: h5py.Group) -> dict[str, np.ndarray]:
    return {name: group[name][()] for name in _PLANES}


def _read_readout(detector: str, group: h5py.Group) -> Readout:
    window = Window(**{name: int(group.attrs[name]) for name in ("x", "y", "nx", "ny")})
    guide = None
    if "guide" in group:
        stored = group["guide"]
        guide = GuideWindow(int(stored.attrs["x"]), int(stored.attrs["y"]), stored[()])
    return Readout(
        detector=detector,
        window=window,
        encoding_offset=int(group.attrs["encoding_offset"]),
        **_read_planes(group),
        guide=guide,
    )

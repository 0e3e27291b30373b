"""The readouts of an exposure on either side of telemetry, as HDF5 with checksums."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import DTypeLike

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
from tessella.telemetry.assembly import Assembly, Part, Received
from tessella.telemetry.cells import Cells

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
        for part_of_detector in exposure.detectors():
            _write_part(file, part_of_detector)
            # The next one is decoded before the name is bound to it.
            del part_of_detector
        reliability = Reliability(
            exposure.problems, exposure.completeness, exposure.version, exposure.clock_is_sound
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


def _write_readout(file: h5py.File, readout: Readout) -> None:
    group = _new_group(file, readout.detector, readout.window, readout.encoding_offset)
    for name in _PLANES:
        array = getattr(readout, name)
        _write_planes(group, name, array.shape, array.dtype, array.reshape(-1, *array.shape[-2:]))
    _write_guide(group, readout.guide)


def _write_part(file: h5py.File, part: Part) -> None:
    """Write a detector as far as it arrived, a plane at a time."""
    group = _new_group(file, part.detector, part.window, part.encoding_offset)
    received = group.create_group("received")
    for name in _PLANES:
        cells: Cells = getattr(part, name)
        shape = cells.shape[1:] if name.startswith("reference") else cells.shape
        numbers = range(len(cells))
        _write_planes(group, name, shape, np.uint16, map(cells.plane, numbers))
        _write_planes(received, name, shape, bool, map(cells.received, numbers))
    _write_guide(group, part.guide_window)
    received["guide"] = part.guided


def _new_group(file: h5py.File, detector: str, window: Window, encoding_offset: int) -> h5py.Group:
    group = file.create_group(detector)
    group.attrs.update(asdict(window))
    group.attrs["encoding_offset"] = encoding_offset
    return group


def _write_guide(group: h5py.Group, window: GuideWindow | None) -> None:
    if window is not None:
        guide = group.create_dataset("guide", data=window.pixels, fletcher32=True)
        guide.attrs.update({"x": window.x, "y": window.y})


def _write_planes(
    group: h5py.Group,
    name: str,
    shape: tuple[int, ...],
    dtype: DTypeLike,
    planes: Iterable[np.ndarray],
) -> None:
    # One chunk a plane; flags shrink to nothing, noise would not.
    written = group.create_dataset(
        name,
        shape,
        dtype,
        chunks=(1,) * (len(shape) - 2) + shape[-2:],
        compression="lzf" if dtype is bool else None,
        fletcher32=True,
    )
    for number, plane in enumerate(planes):
        written[number if len(shape) > 2 else ()] = plane


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

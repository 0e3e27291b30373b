"""Level 0 files, the readouts on either side of them, and the packet ledger."""

import hashlib
import json
import mmap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from tessella.errors import DataError
from tessella.io.atomic import replacing
from tessella.io.hdf5 import new_hdf5
from tessella.io.runs import run_of
from tessella.io.seals import sha256
from tessella.models import ExposureHeader, ExposureKey, Readout, Window
from tessella.telemetry.clock import iso_time, read_time
from tessella.telemetry.decode import Received
from tessella.telemetry.index import index_packets
from tessella.telemetry.ledger import Ledger

_PLANES = ("data", "amp33", "reference_read", "reference_amp33")


@dataclass(frozen=True)
class ReadoutFile:
    """The content of a file of readouts."""

    header: ExposureHeader
    #: By detector.
    readouts: dict[str, Readout]
    #: By detector; empty where the pixels have not been through telemetry.
    received: dict[str, Received]
    #: What a user of the exposure must know, in words.
    problems: tuple[str, ...] = ()


def write_level0(path: str | Path, packets: Iterable[bytes], provenance: Mapping[str, Any]) -> None:
    """Write packets one after the other, and beside them the sidecar ``<path>.json``.

    The sidecar holds sha256, number of bytes, times of the first and last packet and the
    number of sound packets by application identifier.
    """
    data = b"".join(packets)
    index = index_packets([data])
    times = read_time(index.header[index.readable])
    apids, n_packets = np.unique(index.apid, return_counts=True)
    sidecar = {
        "sha256": hashlib.sha256(data).hexdigest(),
        "bytes": len(data),
        "first_packet": iso_time(times.min()) if len(times) else None,
        "last_packet": iso_time(times.max()) if len(times) else None,
        "apids": {f"0x{apid:03x}": n for apid, n in zip(apids, n_packets.tolist(), strict=True)},
    }
    with replacing(path, provenance) as part:
        part.write_bytes(data)
    with replacing(_sidecar_path(path), provenance) as part:
        part.write_text(json.dumps(sidecar, indent=1) + "\n")


def read_level0(path: str | Path) -> bytes | mmap.mmap:
    """Map the packets of a file into memory; outside of a run a sidecar beside it must agree.

    Raises
    ------
    DataError
        If there is no such file, or it is not what its seal or its sidecar says.
    """
    found = sha256(path)
    if run_of(path) is None:
        _verify(path, found)
    with Path(path).open("rb") as file:
        empty = Path(path).stat().st_size == 0
        return b"" if empty else mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def write_readouts(
    path: str | Path,
    header: ExposureHeader,
    readouts: Iterable[Readout],
    provenance: Mapping[str, Any],
    received: Mapping[str, Received] | None = None,
    problems: Sequence[str] = (),
) -> None:
    """Write the readouts of an exposure to an HDF5 file with a checksum on every plane.

    Parameters
    ----------
    path : path
    header : ExposureHeader
    readouts : iterable of Readout
    provenance : mapping
        How the file is made.
    received : mapping of str to Received, optional
        By detector; absent where the pixels have not been through telemetry.
    problems : sequence of str
        What a user of the exposure must know.
    """
    with replacing(path, provenance) as part, new_hdf5(part) as file:
        file.attrs["header"] = json.dumps(asdict(header))
        file.attrs["problems"] = json.dumps(list(problems))
        for readout in readouts:
            group = file.create_group(readout.detector)
            group.attrs.update(asdict(readout.window))
            group.attrs["encoding_offset"] = readout.encoding_offset
            _write_planes(group, readout)
            if received is not None:
                _write_planes(group.create_group("received"), received[readout.detector])


def read_readouts(path: str | Path) -> ReadoutFile:
    """Read what `write_readouts` wrote.

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
            return ReadoutFile(
                header=ExposureHeader(key=key, **header),
                readouts={name: _read_readout(name, group) for name, group in file.items()},
                received={
                    name: Received(**_read_planes(group["received"]))
                    for name, group in file.items()
                    if "received" in group
                },
                problems=tuple(json.loads(file.attrs["problems"])),
            )
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: no readable file of readouts ({error}); make it again") from error


def write_ledger(path: str | Path, ledger: Ledger, provenance: Mapping[str, Any]) -> None:
    """Write a packet ledger as JSON."""
    with replacing(path, provenance) as part:
        part.write_text(json.dumps(asdict(ledger), indent=1) + "\n")


def read_ledger(path: str | Path) -> Ledger:
    """Read what `write_ledger` wrote.

    Raises
    ------
    DataError
        If there is no such file or it is no ledger.
    """
    sha256(path)
    try:
        values = json.loads(Path(path).read_text())
        apids = {int(apid): n for apid, n in values.pop("apids").items()}
        return Ledger(**values, apids=apids)
    except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{path}: no readable packet ledger ({error}); decode again") from error


def _sidecar_path(path: str | Path) -> Path:
    return Path(f"{path}.json")


def _verify(path: str | Path, found: str) -> None:
    if not _sidecar_path(path).is_file():
        return
    try:
        expected = json.loads(_sidecar_path(path).read_text())["sha256"]
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{_sidecar_path(path)}: no readable sidecar of a Level 0 file ({error})"
        ) from error
    if found != expected:
        raise DataError(
            f"{path}: its sha256 is {found}, its sidecar says {expected}; transfer it again"
        )


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
    return Readout(
        detector=detector,
        window=window,
        encoding_offset=int(group.attrs["encoding_offset"]),
        **_read_planes(group),
    )

"""What telemetry files hold and where, kept so that each is read whole once."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tessella.errors import DataError
from tessella.io.atomic import replacing
from tessella.io.level0 import read_level0
from tessella.io.seals import remember, sha256
from tessella.models import ExposureHeader, ExposureKey, Window, unread
from tessella.telemetry.announcement import Announcement
from tessella.telemetry.inventory import Holding, take_stock, together
from tessella.telemetry.records import DetectorSetup
from tessella.telemetry.stretches import Stretch

#: Of what is kept; to be raised when that changes.
_VERSION = 4


@dataclass(frozen=True)
class FileHoldings:
    """What a telemetry file holds of each exposure, and where."""

    sha256: str
    holdings: dict[ExposureKey, Holding]
    stretches: dict[ExposureKey, tuple[Stretch, ...]]


def holdings_of(
    paths: Iterable[Path], cache: Path | None
) -> tuple[dict[ExposureKey, tuple[Holding, list[str]]], dict[str, str]]:
    """Join what files hold of each exposure, and name the files that hold something of it.

    Parameters
    ----------
    paths : iterable of Path
    cache : Path, optional
        Folder for what is found; a file that has not changed since is not read again.

    Returns
    -------
    holdings : dict of ExposureKey to (Holding, list of str)
        Sorted by key.
    refused : dict of str to str
        Files that cannot be read, or are not what their sidecar says, and why.
    """
    refused: dict[str, str] = {}
    found: dict[ExposureKey, tuple[list[Holding], list[str]]] = {}
    for path in paths:
        try:
            held = _holdings_of_file(path, cache)
        except DataError as error:
            refused[str(path)] = str(error).removeprefix(f"{path}: ")
            continue
        for key, holding in held.holdings.items():
            parts, names = found.setdefault(key, ([], []))
            parts.append(holding)
            names.append(str(path))
    joined = {key: (together(parts), names) for key, (parts, names) in sorted(found.items())}
    return joined, refused


def stretches_of(paths: Iterable[Path], key: ExposureKey, cache: Path) -> list[tuple[Stretch, ...]]:
    """Return what must be read of each file for one exposure.

    The digests of the files are taken from `cache` too, so that nothing else of them is read.

    Raises
    ------
    DataError
        If a file is not what its sidecar says.
    """
    found = []
    for path in paths:
        held = _holdings_of_file(path, cache)
        remember(path, held.sha256)
        found.append(held.stretches.get(key, ()))
    return found


def _holdings_of_file(path: Path, cache: Path | None) -> FileHoldings:
    if cache is None:
        return _found_in(path)
    try:
        about = path.stat()
    except OSError as error:
        raise DataError(f"{path}: it cannot be read ({error.strerror})") from error
    identity = json.dumps([_VERSION, str(path), about.st_size, about.st_mtime_ns])
    kept = cache / f"{hashlib.sha256(identity.encode()).hexdigest()[:16]}.json"
    try:
        return _read(json.loads(kept.read_text()))
    except (OSError, KeyError, TypeError, ValueError):
        # Not there, or not whole: what it would say is found again.
        found = _found_in(path)
    with replacing(kept, None) as part:
        part.write_text(json.dumps(_written(found)) + "\n")
    return found


def _found_in(path: Path) -> FileHoldings:
    stock = take_stock([read_level0(path)])
    (stretches,) = stock.stretches
    return FileHoldings(sha256(path), stock.holdings, stretches)


def _written(found: FileHoldings) -> dict[str, Any]:
    entries = [
        {**_entry(key, holding), "stretches": found.stretches[key]}
        for key, holding in found.holdings.items()
    ]
    return {"sha256": found.sha256, "exposures": entries}


def _read(kept: dict[str, Any]) -> FileHoldings:
    keys = [ExposureKey(**entry["key"]) for entry in kept["exposures"]]
    stretches = (
        tuple((int(a), int(b)) for a, b in entry["stretches"]) for entry in kept["exposures"]
    )
    holdings = map(_holding, keys, kept["exposures"])
    return FileHoldings(
        kept["sha256"],
        dict(zip(keys, holdings, strict=True)),
        dict(zip(keys, stretches, strict=True)),
    )


def _entry(key: ExposureKey, holding: Holding) -> dict[str, Any]:
    header = holding.announced.header
    return {
        "key": asdict(key),
        "header": None if header is None else {**asdict(header), "key": None},
        "detectors": {
            name: [
                asdict(setup.window),
                setup.n_resultants,
                setup.encoding_offset,
                setup.guide and [setup.guide.x, setup.guide.y, *setup.guide.pixels.shape],
            ]
            for name, setup in holding.announced.detectors.items()
        },
        "rows": holding.rows,
    }


def _holding(key: ExposureKey, entry: dict[str, Any]) -> Holding:
    header = entry["header"] and ExposureHeader(**{**entry["header"], "key": key})
    detectors = {
        name: DetectorSetup(Window(**window), n_resultants, offset, guide and unread(*guide))
        for name, (window, n_resultants, offset, guide) in entry["detectors"].items()
    }
    rows = tuple(tuple(row) for row in entry["rows"])
    return Holding(Announcement(header, detectors), rows)

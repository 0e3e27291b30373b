"""What telemetry files hold, kept so that each is read once."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tessella.io.atomic import replacing
from tessella.io.level0 import read_level0
from tessella.models import ExposureHeader, ExposureKey, Window
from tessella.telemetry.announcement import Announcement
from tessella.telemetry.inventory import Holding, survey, together
from tessella.telemetry.records import DetectorSetup

#: Of what is kept; to be raised when that changes.
_VERSION = 2


def holdings_of(
    paths: Iterable[Path], cache: Path | None
) -> dict[ExposureKey, tuple[Holding, list[str]]]:
    """Join what files hold of each exposure, and name the files that hold something of it.

    Parameters
    ----------
    paths : iterable of Path
    cache : Path, optional
        Folder for what is found; a file that has not changed since is not read again.

    Raises
    ------
    DataError
        If a file is not what its sidecar says.
    """
    found: dict[ExposureKey, tuple[list[Holding], list[str]]] = {}
    for path in paths:
        for key, holding in _holdings_of_file(path, cache).items():
            parts, names = found.setdefault(key, ([], []))
            parts.append(holding)
            names.append(str(path))
    return {key: (together(parts), names) for key, (parts, names) in sorted(found.items())}


def _holdings_of_file(path: Path, cache: Path | None) -> dict[ExposureKey, Holding]:
    if cache is None:
        return survey([read_level0(path)])
    about = path.stat()
    identity = json.dumps([_VERSION, str(path), about.st_size, about.st_mtime_ns])
    kept = cache / f"{hashlib.sha256(identity.encode()).hexdigest()[:16]}.json"
    try:
        return dict(map(_holding, json.loads(kept.read_text())))
    except (OSError, KeyError, TypeError, ValueError):
        # Not there, or not whole: what it would say is found again.
        found = survey([read_level0(path)])
    with replacing(kept, None) as part:
        part.write_text(json.dumps([_entry(key, one) for key, one in found.items()]) + "\n")
    return found


def _entry(key: ExposureKey, holding: Holding) -> dict[str, Any]:
    header = holding.announced.header
    return {
        "key": asdict(key),
        "header": None if header is None else {**asdict(header), "key": None},
        "detectors": {
            name: [asdict(setup.window), setup.n_resultants, setup.encoding_offset]
            for name, setup in holding.announced.detectors.items()
        },
        "rows": holding.rows,
    }


def _holding(entry: dict[str, Any]) -> tuple[ExposureKey, Holding]:
    key = ExposureKey(**entry["key"])
    header = entry["header"] and ExposureHeader(**{**entry["header"], "key": key})
    detectors = {
        name: DetectorSetup(Window(**window), n_resultants, offset)
        for name, (window, n_resultants, offset) in entry["detectors"].items()
    }
    rows = tuple(tuple(row) for row in entry["rows"])
    return key, Holding(Announcement(header, detectors), rows)

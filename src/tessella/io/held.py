"""What telemetry a run holds back, and why: a list beside its plans, for people."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from tessella.io.atomic import replacing


@dataclass(frozen=True)
class Held:
    """An exposure that is not made, or not made again; or a file that is not read."""

    what: str
    reason: str


def write_held(folder: str | Path, held: Iterable[Held]) -> None:
    """Write what the last start of the run with its products in `folder` held back."""
    text = json.dumps([asdict(one) for one in held], indent=1) + "\n"
    path = _path(folder)
    if not path.is_file() or path.read_text() != text:
        with replacing(path, None) as part:
            part.write_text(text)


def read_held(folder: str | Path) -> list[Held]:
    """Read what `write_held` wrote; nothing where it wrote nothing.

    Examples
    --------
    >>> read_held("no such folder")
    []
    """
    path = _path(folder)
    return [Held(**entry) for entry in json.loads(path.read_text())] if path.is_file() else []


def _path(folder: str | Path) -> Path:
    return Path(folder) / "plan" / "held.json"

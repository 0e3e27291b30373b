"""The folder that telemetry arrives in, as the plan of a run sees it.

What is there, and what has been there long enough, is looked at once, when Snakemake starts, and
kept beside the plans: jobs that parse the workflow again see what their run saw. The list is named
by its content, and the name handed on by the environment: a dry run beside a run replaces nothing.
"""

import hashlib
import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from tessella.config import Config
from tessella.errors import DataError
from tessella.io.atomic import replacing

#: Variable of the environment that names the list by which a run goes.
SEEN = "TESSELLA_ARRIVALS"


@dataclass(frozen=True)
class Arrival:
    """One file of the folder."""

    file: str
    octets: int
    mtime_ns: int
    #: It is as old as incomplete exposures are waited for.
    is_old: bool


@dataclass(frozen=True)
class Held:
    """An exposure that is not made yet."""

    exposure: str
    reason: str


def look(config: Config, files: list[Path]) -> None:
    """Note what `files` are now, for this process and those that it starts.

    Raises
    ------
    DataError
        If one of them has gone.
    """
    oldest_new = time.time() - 3600 * config.telemetry.wait_hours
    found = []
    for file in files:
        try:
            about = file.stat()
        except OSError as error:
            raise DataError(
                f"{file}: it went while the folder was looked at ({error.strerror}); start the run "
                "again"
            ) from error
        old = about.st_mtime <= oldest_new
        found.append(Arrival(str(file), about.st_size, about.st_mtime_ns, old))
    text = json.dumps([asdict(arrival) for arrival in found], indent=1) + "\n"
    os.environ[SEEN] = hashlib.sha256(text.encode()).hexdigest()[:16]
    if not _path(config).is_file():
        with replacing(_path(config), None) as part:
            part.write_text(text)


def seen(config: Config) -> list[Arrival]:
    """Return what was noted when the run started.

    Raises
    ------
    DataError
        If nothing was, or not as `look` notes it.
    """
    path = _path(config)
    try:
        return [Arrival(**entry) for entry in json.loads(path.read_text())]
    except (OSError, TypeError, ValueError) as error:
        raise DataError(f"{path}: no list of arrivals ({error}); start the run again") from error


def cache_folder(config: Config) -> Path:
    """Return the folder that keeps what each file was found to hold."""
    return Path(config.results) / config.run / "plan" / "telemetry"


def _path(config: Config) -> Path:
    name = f"inbox_{os.environ.get(SEEN, 'none')}.json"
    return Path(config.results) / config.run / "plan" / name

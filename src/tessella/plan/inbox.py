"""The folder that telemetry arrives in, as the plan of a run sees it.

What is there is looked at once, when Snakemake starts, and kept beside the plans: jobs that parse
the workflow again see what their run saw. The list is named by its content, and the name handed on
by the environment: a dry run beside a run replaces nothing.

What is remembered from one start to the next is kept apart: since when each exposure is known, by
the clock of this machine, and what it was made of. So neither the times that a copy gives to
files nor a file that goes decide what becomes of an exposure.
"""

import hashlib
import json
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tessella.config import Config
from tessella.errors import DataError
from tessella.io.atomic import replacing
from tessella.io.held import Held
from tessella.models import PlannedExposure, exposure_of

#: Variable of the environment that names the list by which a run goes.
SEEN = "TESSELLA_ARRIVALS"


@dataclass(frozen=True)
class Arrival:
    """One file of the folder."""

    file: str
    octets: int
    mtime_ns: int
    #: Of the sidecar beside it; 0 where there is none.
    sidecar_mtime_ns: int

    @property
    def identity(self) -> list[int]:
        """What changes when the content of the file does."""
        return [self.octets, self.mtime_ns]


@dataclass(frozen=True)
class Made:
    """What an exposure was when it was made last."""

    exposure: dict[str, Any]
    #: Share of its pixels that were there.
    completeness: float
    #: Octets and time of change of each of its files.
    files: dict[str, list[int]]


@dataclass(frozen=True)
class Seen:
    """What a run goes by."""

    arrivals: list[Arrival]
    #: Exposures known for as long as incomplete ones are waited for.
    old: list[str]
    #: Exposures that were made before: what is there of them does not have to be enough again.
    released: list[str]
    #: Those made from files that are no more there as they were.
    bereft: dict[str, Made]

    def decides(self) -> list[Any]:
        """Return what the plan depends on; `released` follows from plans before."""
        bereft = {name: asdict(made) for name, made in self.bereft.items()}
        return [[asdict(one) for one in self.arrivals], self.old, bereft]


def look(config: Config, files: list[Path]) -> None:
    """Note what `files` are now, for this process and those that it starts.

    Raises
    ------
    DataError
        If one of them has gone.
    """
    arrivals = [_arrival(file) for file in files]
    oldest_new = time.time() - 3600 * config.telemetry.wait_hours
    known = _remembered(config)
    made = {
        name: Made(**entry["made"])
        for name, entry in known.items()
        if entry["made"] and _was_decoded(config, name)
    }
    there = {one.file: one.identity for one in arrivals}
    seen = Seen(
        arrivals,
        [name for name, entry in known.items() if entry["first_seen"] <= oldest_new],
        sorted(made),
        {
            name: one
            for name, one in made.items()
            if any(there.get(file) != identity for file, identity in one.files.items())
        },
    )
    text = json.dumps(asdict(seen), indent=1) + "\n"
    os.environ[SEEN] = hashlib.sha256(text.encode()).hexdigest()[:16]
    if not _path(config).is_file():
        with replacing(_path(config), None) as part:
            part.write_text(text)


def seen(config: Config) -> Seen:
    """Return what was noted when the run started.

    Raises
    ------
    DataError
        If nothing was, or not as `look` notes it.
    """
    path = _path(config)
    try:
        noted = json.loads(path.read_text())
        return Seen(
            [Arrival(**entry) for entry in noted["arrivals"]],
            noted["old"],
            noted["released"],
            {name: Made(**entry) for name, entry in noted["bereft"].items()},
        )
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: no list of arrivals ({error}); start the run again") from error


def choose(
    found: Iterable[PlannedExposure], completeness: Mapping[str, float], config: Config
) -> tuple[list[PlannedExposure], list[Held]]:
    """Tell exposures that are made now from those that are held back, and say why.

    Parameters
    ----------
    found : iterable of PlannedExposure
        Those whose own record arrived, with their files.
    completeness : mapping of str to float
        Share of the pixels that are there, of all exposures of which anything is.
    config : Config
        Its detectors and telemetry.

    Raises
    ------
    DataError
        If nothing was noted when the run started.
    """
    known, by_name = seen(config), {exposure.name: exposure for exposure in found}
    hours = config.telemetry.wait_hours
    made, held = [], []
    for name in sorted({*completeness, *known.bereft}):
        exposure, before = by_name.get(name), known.bereft.get(name)
        is_old = hours == 0 or name in known.old
        if before is not None and _is_less(exposure, completeness.get(name, 0.0), before):
            kept = _kept(before, known.arrivals)
            gone = sorted(set(kept.telemetry) - set(before.files))[0]
            made.append(kept)
            held.append(Held(name, f"stays as it was made: {gone} is no more; {_PUT_BACK}"))
            continue
        if exposure is None:
            held.append(Held(name, _no_record(hours, is_old)))
            continue
        absent = sorted(set(config.detectors or ()) - set(exposure.detectors))
        share = completeness[name]
        is_enough = share >= config.telemetry.complete_fraction and not absent
        if is_enough or is_old or name in known.released:
            made.append(exposure)
            continue
        lacks = f"housekeeping of {absent[0]} has not arrived" if absent else ""
        lacks = lacks or f"{100 * share:.2f} % of its pixels are there"
        held.append(Held(name, f"{lacks}; held until {hours:g} h after its first, or more arrives"))
    return made, held


_PUT_BACK = "put it back, or all that it held, to make the exposure again"


def _no_record(hours: float, is_old: bool) -> str:
    if is_old:
        return (
            "its own record (optical element, MA table, pointing) did not arrive within "
            f"{hours:g} h of its first packets; it cannot be made without: ask for its "
            "housekeeping (identifier 0x170, SCA 0) again"
        )
    return "its own record, in its housekeeping, has not arrived; held until it does"


def _is_less(exposure: PlannedExposure | None, share: float, before: Made) -> bool:
    """Tell whether less is there of an exposure than it was made of."""
    if exposure is None or share < before.completeness:
        return True
    return not set(before.exposure["detectors"]) <= set(exposure.detectors)


def _kept(before: Made, arrivals: Iterable[Arrival]) -> PlannedExposure:
    """Return an exposure as it was made; files that have changed are called by what they were.

    No job can find these: products that are there stay, and one that is lost is missed.
    """
    there = {one.file: one.identity for one in arrivals}
    names = (
        file if there.get(file) == identity else f"{file} (as it was, {identity[0]} octets)"
        for file, identity in before.files.items()
    )
    return replace(exposure_of(before.exposure), telemetry=tuple(names))


def known_of(
    made: Iterable[PlannedExposure], completeness: Mapping[str, float], config: Config
) -> dict[str, Made | None]:
    """Return what is to be remembered: all exposures, and of which files those are made that are.

    Of exposures that stay as they were made nothing new is.
    """
    there = {one.file: one.identity for one in seen(config).arrivals}
    known: dict[str, Made | None] = dict.fromkeys(sorted(completeness))
    for exposure in made:
        if set(exposure.telemetry) <= set(there):
            files = {file: there[file] for file in exposure.telemetry}
            known[exposure.name] = Made(asdict(exposure), completeness[exposure.name], files)
    return known


def remember(config: Config, known: Mapping[str, Made | None]) -> None:
    """Keep since when exposures are known, and what they are made of, for the next start."""
    before, now = _remembered(config), time.time()
    after = dict(before)
    for name, made in known.items():
        entry = before.get(name, {"first_seen": now, "made": None})
        after[name] = entry if made is None else {**entry, "made": json.loads(_text(made))}
    if after != before:
        with replacing(_memory(config), None) as part:
            part.write_text(json.dumps(after, indent=1) + "\n")


def _text(made: Made) -> str:
    return json.dumps(asdict(made))


def has_made(config: Config) -> bool:
    """Tell whether exposures were made before, so that an empty folder is no mistake."""
    return any(entry["made"] for entry in _remembered(config).values())


def cache_folder(config: Config) -> Path:
    """Return the folder that keeps what each file was found to hold."""
    return _folder(config) / "telemetry"


def _arrival(file: Path) -> Arrival:
    try:
        about = file.stat()
    except OSError as error:
        raise DataError(
            f"{file}: it went while the folder was looked at ({error.strerror}); start the run "
            "again"
        ) from error
    sidecar = Path(f"{file}.json")
    beside = sidecar.stat().st_mtime_ns if sidecar.is_file() else 0
    return Arrival(str(file), about.st_size, about.st_mtime_ns, beside)


def _was_decoded(config: Config, name: str) -> bool:
    return (_folder(config).parent / "level0" / f"{name}_ledger.parquet").is_file()


def _remembered(config: Config) -> dict[str, Any]:
    """Read since when each exposure is known, and what it was made of.

    Raises
    ------
    DataError
        If the file is there and not as it was written.
    """
    path = _memory(config)
    if not path.is_file():
        return {}
    try:
        return {
            name: {"first_seen": float(entry["first_seen"]), "made": entry["made"]}
            for name, entry in json.loads(path.read_text()).items()
        }
    except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(
            f"{path}: it does not tell when exposures were first seen ({error}); remove it, and "
            "incomplete ones wait anew"
        ) from error


def _folder(config: Config) -> Path:
    return Path(config.results) / config.run / "plan"


def _memory(config: Config) -> Path:
    return _folder(config) / "known_exposures.json"


def _path(config: Config) -> Path:
    return _folder(config) / f"inbox_{os.environ.get(SEEN, 'none')}.json"

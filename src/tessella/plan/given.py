"""Exposures of files that are given, and where the detectors of all exposures point."""

import json
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from tessella.astrometry.wcs import attitude_of
from tessella.config import Config
from tessella.errors import DataError
from tessella.io.held import Held
from tessella.models import PlannedExposure, exposure_of
from tessella.plan.exposures import oddity
from tessella.plan.inbox import (
    Made,
    cache_folder,
    choose,
    has_made,
    known_of,
    remember,
    seen,
)
from tessella.plan.quality_cuts import Exclusion


def files_given(config: Config) -> list[Path]:
    """List the files of the configured folder, sorted; no folder or no file is refused."""
    patterns = {"level2": "*_cal.asdf", "level1": "*_uncal.asdf", "telemetry": "*.l0"}
    pattern, key = patterns[config.source], f"{config.source}_folder"
    folder = getattr(config, key)
    if not Path(str(folder)).is_dir():
        raise DataError(
            f"{key}: no such folder: {folder}; name the folder that holds your {pattern} files"
        )
    files = sorted(Path(str(folder)).glob(pattern))
    if not files and not (config.source == "telemetry" and has_made(config)):
        raise DataError(f"{key}: no {pattern} file in {folder}")
    return files


def with_attitudes(exposures: list[PlannedExposure], config: Config) -> list[PlannedExposure]:
    """Return exposures with the attitude of the configured detectors, as they were planned."""

    def attitudes(exposure: PlannedExposure) -> dict[str, tuple[float, ...]]:
        return {
            detector: tuple(
                vars(
                    attitude_of(
                        detector, exposure.ra, exposure.dec, exposure.pa, exposure.start_time
                    )
                ).values()
            )
            for detector in config.detectors or ()
        }

    return [replace(exposure, detectors=attitudes(exposure)) for exposure in exposures]


@dataclass(frozen=True)
class Given:
    """What given files hold."""

    exposures: list[PlannedExposure]
    #: Images that are added in no group.
    excluded: list[Exclusion]
    #: Exposures of telemetry that are not made, or not again, and files that are not read.
    held: list[Held]
    #: Exposures of telemetry, and what those are made of that are.
    known: dict[str, Made | None]


def exposures_of_files(config: Config) -> Given:
    """Take the inventory of the given files in a process of its own: it needs heavy libraries.

    Raises
    ------
    DataError
        If a file is not as it must be, or a configured detector is missing in an exposure; those
        of Level 2 files may differ, and exposures of telemetry wait.
    """
    is_telemetry = config.source == "telemetry"
    if is_telemetry:
        files = [arrival.file for arrival in seen(config).arrivals]
    else:
        files = [str(file) for file in files_given(config)]
    options = {
        "window": vars(config.detector_window),
        "cache": str(cache_folder(config)),
        "detectors": config.detectors or (),
    }
    command = [sys.executable, "-m", "tessella.io.inventory", config.source, json.dumps(options)]
    names = "".join(f"{file}\n" for file in files)
    done = subprocess.run(command, input=names, capture_output=True, text=True, check=False)
    if done.returncode:
        raise DataError(done.stderr.strip().splitlines()[-1].removeprefix("ERROR: "))
    answer = json.loads(done.stdout)
    excluded = [Exclusion(**entry) for entry in answer["excluded"]]
    found = [exposure_of(entry) for entry in answer["exposures"]]
    held = [Held(**entry) for entry in answer["refused"]]
    known: dict[str, Made | None] = {}
    if is_telemetry:
        odd = {exposure.name: oddity(exposure) for exposure in found}
        held += [Held(name, reason) for name, reason in odd.items() if reason]
        plain = [exposure for exposure in found if not odd[exposure.name]]
        shares = {name: n for name, n in answer["completeness"].items() if not odd.get(name)}
        # Of telemetry, a detector that nothing is known of is made as one that is lost.
        wanted, waiting = choose(plain, shares, config)
        held += waiting
        known = known_of(wanted, shares, config)
        # Also where nothing is made yet: the waiting begins now.
        remember(config, dict.fromkeys(known))
        wanted = with_attitudes(wanted, config)
    else:
        wanted = _of_configured(found, config)
    if not wanted:
        reasons = "".join(f"; {one.reason}" for one in excluded)
        reasons += "".join(f"; {one.what}: {one.reason}" for one in held)
        raise DataError(f"the given files hold no exposure of {_names(config)}{reasons}")
    return Given(wanted, excluded, held, known)


def _names(config: Config) -> str:
    if config.detectors is None:
        return "the sky"
    return f"the configured detectors {', '.join(config.detectors)}"


def _of_configured(found: list[PlannedExposure], config: Config) -> list[PlannedExposure]:
    """Return what exposures hold of the configured detectors."""
    if config.detectors is None:
        return found
    wanted = [
        replace(
            exposure,
            detectors={
                d: exposure.detectors[d] for d in config.detectors if d in exposure.detectors
            },
        )
        for exposure in found
    ]
    wanted = [exposure for exposure in wanted if exposure.detectors]
    for exposure in wanted if config.source != "level2" else ():
        absent = [name for name in config.detectors if name not in exposure.detectors]
        if absent:
            raise DataError(
                f"{exposure.name} {exposure.optical_element}: the given files hold no {absent[0]} "
                "of it; every exposure needs all configured 'detectors'"
            )
    return wanted

"""Exposures of files that are given, and where the detectors of all exposures point."""

import json
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tessella.astrometry.wcs import attitude_of
from tessella.config import Config
from tessella.errors import DataError
from tessella.models import ExposureKey, PlannedExposure
from tessella.plan.inbox import Arrival, Held, cache_folder, seen
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
    if not files:
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
    #: Exposures of telemetry that are not made yet.
    held: list[Held]


def exposures_of_files(config: Config) -> Given:
    """Take the inventory of the given files in a process of its own: it needs heavy libraries.

    Raises
    ------
    DataError
        If a file is not as it must be, or a configured detector is missing in an exposure; those
        of Level 2 files may differ, and exposures of telemetry wait.
    """
    is_telemetry = config.source == "telemetry"
    arrivals = {arrival.file: arrival for arrival in seen(config)} if is_telemetry else {}
    files = list(arrivals) or [str(file) for file in files_given(config)]
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
    held: list[Held] = []
    if is_telemetry:
        found, held = _of_telemetry(found, answer["completeness"], arrivals, config)
    # Of telemetry, a detector that nothing is known of is made as one that is lost.
    wanted = found if is_telemetry else _of_configured(found, config)
    if not wanted:
        reasons = "".join(f"; {one.reason}" for one in excluded)
        reasons += "".join(f"; {one.exposure}: {one.reason}" for one in held)
        raise DataError(f"the given files hold no exposure of {_names(config)}{reasons}")
    if is_telemetry:
        wanted = with_attitudes(wanted, config)
    return Given(wanted, excluded, held)


def _of_telemetry(
    found: list[PlannedExposure],
    completeness: dict[str, float],
    arrivals: dict[str, Arrival],
    config: Config,
) -> tuple[list[PlannedExposure], list[Held]]:
    """Return the exposures that are made now, and those that are held back."""
    wait = f"held until {config.telemetry.wait_hours:g} h after its first file, or more arrives"
    announced = {exposure.name: exposure for exposure in found}
    made, held = [], []
    for name, share in completeness.items():
        exposure = announced.get(name)
        if exposure is None:
            held.append(Held(name, "its housekeeping has not arrived; held until it does"))
            continue
        absent = sorted(set(config.detectors or ()) - set(exposure.detectors))
        # The first of its files, so that what was made stays when more arrives.
        is_old = any(arrivals[file].is_old for file in exposure.telemetry)
        if is_old or (share >= config.telemetry.complete_fraction and not absent):
            made.append(exposure)
        elif absent:
            held.append(Held(name, f"housekeeping of {absent[0]} has not arrived; {wait}"))
        else:
            held.append(Held(name, f"{100 * share:.2f} % of its pixels are there; {wait}"))
    return made, held


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


def exposure_of(entry: dict[str, Any]) -> PlannedExposure:
    """Return an exposure from what JSON made of it."""
    return PlannedExposure(
        **{
            **entry,
            "key": ExposureKey(**entry["key"]),
            "detectors": {name: tuple(numbers) for name, numbers in entry["detectors"].items()},
            "telemetry": tuple(entry["telemetry"]),
        }
    )

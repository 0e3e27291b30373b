"""Exposures of files that are given, and where the detectors of all exposures point."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from tessella.astrometry.wcs import attitude_of
from tessella.config import Config
from tessella.errors import DataError
from tessella.models import ExposureKey, PlannedExposure


def files_given(config: Config) -> list[Path]:
    """List the files of the configured folder, sorted; no folder or no file is refused."""
    folder = {"level1": config.level1_folder, "telemetry": config.telemetry_folder}[config.source]
    pattern = {"level1": "*_uncal.asdf", "telemetry": "*.l0"}[config.source]
    key = f"{config.source}_folder"
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
            for detector in config.detectors
        }

    return [replace(exposure, detectors=attitudes(exposure)) for exposure in exposures]


def exposures_of_files(config: Config) -> list[PlannedExposure]:
    """Take the inventory of the given files in a process of its own: it needs heavy libraries.

    Raises
    ------
    DataError
        If a file is not as it must be, or a configured detector is missing in an exposure.
    """
    files = [str(file) for file in files_given(config)]
    window = json.dumps(vars(config.detector_window))
    command = [sys.executable, "-m", "tessella.io.inventory", config.source, window, *files]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise DataError(done.stderr.strip().splitlines()[-1].removeprefix("ERROR: "))
    found = [exposure_of(entry) for entry in json.loads(done.stdout)]
    wanted = [
        replace(
            exposure,
            detectors={d: a for d, a in exposure.detectors.items() if d in config.detectors},
        )
        for exposure in found
    ]
    wanted = [exposure for exposure in wanted if exposure.detectors]
    if not wanted:
        raise DataError(
            "the given files hold no exposure of the configured detectors "
            f"{', '.join(config.detectors)}"
        )
    for exposure in wanted:
        absent = [name for name in config.detectors if name not in exposure.detectors]
        if absent:
            raise DataError(
                f"{exposure.name} {exposure.optical_element}: the given files hold no {absent[0]} "
                "of it; every exposure needs all configured 'detectors'"
            )
    if config.source == "telemetry":
        return with_attitudes(wanted, config)
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

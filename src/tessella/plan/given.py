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


def exposures_of_files(config: Config) -> tuple[list[PlannedExposure], list[Exclusion]]:
    """Take the inventory of the given files in a process of its own: it needs heavy libraries.

    Returns
    -------
    exposures : list of PlannedExposure
    excluded : list of Exclusion
        What files hold besides images of the sky; it is added in no group.

    Raises
    ------
    DataError
        If a file is not as it must be, or a configured detector is missing in an exposure; those
        of Level 2 files may differ.
    """
    files = [str(file) for file in files_given(config)]
    window = json.dumps(vars(config.detector_window))
    command = [sys.executable, "-m", "tessella.io.inventory", config.source, window, *files]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise DataError(done.stderr.strip().splitlines()[-1].removeprefix("ERROR: "))
    answer = json.loads(done.stdout)
    excluded = [Exclusion(**entry) for entry in answer["excluded"]]
    wanted = _of_configured([exposure_of(entry) for entry in answer["exposures"]], config)
    if not wanted:
        reasons = "".join(f"; {one.reason}" for one in excluded)
        raise DataError(f"the given files hold no exposure of {_names(config)}{reasons}")
    if config.source == "telemetry":
        wanted = with_attitudes(wanted, config)
    return wanted, excluded


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

"""The exposure table of a run that starts from files, read from their headers alone."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tessella.errors import DataError
from tessella.models import ExposureHeader, PlannedExposure, Window


def _planned(header: ExposureHeader) -> PlannedExposure:
    return PlannedExposure(
        key=header.key,
        optical_element=header.optical_element,
        ma_table_number=header.ma_table_number,
        start_time=header.start_time,
        ra=header.target_ra,
        dec=header.target_dec,
        pa=header.pa_aperture,
        exposure_type=header.exposure_type,
    )


def level1_inventory(paths: list[Path], window: Window) -> list[dict[str, Any]]:
    """List the exposures that Level 1 files of a window hold, in the order of their names.

    Raises
    ------
    DataError
        If a file is not whole or holds another window, or two hold the same detector of the
        same exposure.
    """
    from tessella.io.asdf_files import open_roman
    from tessella.io.exposure_meta import read_attitude, read_header
    from tessella.io.level1 import check_layout

    found: dict[str, dict[str, Any]] = {}
    for path in paths:
        with open_roman(path) as roman:
            check_layout(path, roman, window)
            meta = roman["meta"]
            header = read_header(meta, str(path))
            detector, attitude = str(meta["instrument"]["detector"]), read_attitude(meta)
        entry = found.setdefault(
            f"{header.key.name} {header.optical_element}", asdict(_planned(header))
        )
        if detector in entry["level1"]:
            raise DataError(
                f"{path}: the same exposure and detector as {entry['level1'][detector]}; "
                "keep one of them"
            )
        entry["level1"][detector] = str(path)
        entry["detectors"][detector] = list(vars(attitude).values())
    return [found[name] for name in sorted(found)]


def telemetry_inventory(paths: list[Path]) -> list[dict[str, Any]]:
    """List the exposures that telemetry files announce, with the files that announce them."""
    from tessella.io.level0 import read_level0
    from tessella.telemetry.inventory import inventory

    found: dict[str, dict[str, Any]] = {}
    for path in paths:
        for announced in inventory([read_level0(path)]):
            entry = found.setdefault(announced.header.key.name, asdict(_planned(announced.header)))
            entry["telemetry"] = [*entry["telemetry"], str(path)]
            entry["detectors"].update(dict.fromkeys(announced.detectors, ()))
    return [found[name] for name in sorted(found)]


if __name__ == "__main__":
    kind, held, *names = sys.argv[1:]
    paths = [Path(name) for name in names]
    try:
        found = (
            level1_inventory(paths, Window(**json.loads(held)))
            if kind == "level1"
            else telemetry_inventory(paths)
        )
        sys.stdout.write(json.dumps(found))
    except DataError as error:
        sys.exit(f"ERROR: {error}")

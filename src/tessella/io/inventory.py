"""The exposure table of a run that starts from files, read from their headers alone."""

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tessella.errors import DataError
from tessella.instrument import siaf
from tessella.models import ALIGNED, ExposureHeader, PlannedExposure, Window


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


def telemetry_inventory(
    paths: list[Path],
    cache: Path | None = None,
    windows: Mapping[str, Window] | None = None,
) -> tuple[list[dict[str, Any]], dict[str, float], list[dict[str, str]]]:
    """List the exposures of which telemetry files hold something, with those files.

    Parameters
    ----------
    paths : list of Path
    cache : Path, optional
        Folder that keeps what each file holds; absent: nothing is kept.
    windows : mapping of str to Window, optional
        The detectors that count, and their windows; absent: all that are announced.

    Returns
    -------
    exposures : list of dict
        As `PlannedExposure` has them, those that are announced.
    completeness : dict of str to float
        By exposure: the share of its pixels that arrived; 0 where it is not announced.
    refused : list of dict
        Files that are not read (`what`) and the reason.
    """
    from tessella.io.holdings import holdings_of

    found, completeness = [], {}
    held, unread = holdings_of(paths, cache)
    for key, (holding, files) in held.items():
        completeness[key.name] = holding.completeness_of(windows)
        if holding.announced.header is not None:
            entry = asdict(_planned(holding.announced.header))
            entry["telemetry"] = files
            sound = holding.announced.sound()
            entry["detectors"] = dict.fromkeys(sound, ())
            asked_for = holding.announced.sound(windows)
            entry["guided"] = [name for name, setup in asked_for.items() if setup.guide is not None]
            found.append(entry)
    refused = [{"what": file, "reason": reason} for file, reason in unread.items()]
    return found, completeness, refused


def level2_inventory(
    paths: list[Path], window: Window
) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
    """List the exposures that Level 2 files of any origin hold, in the order of their names.

    Parameters
    ----------
    paths : list of Path
    window : Window
        The part of the detectors that all of them must hold.

    Returns
    -------
    exposures : list of dict
        As `PlannedExposure` has them; where they point is what their own WCS says.
    excluded : list of dict
        Files that show no image of the sky: group (all), exposure, detector, optical element and
        the reason.

    Raises
    ------
    DataError
        If a file is not as it must be, two hold the same detector of the same exposure, or they
        belong to different programs; file, keyword, what was found and expected are named.
    """
    from tessella.io.asdf_files import open_roman
    from tessella.io.level2_about import about_of, kind_of

    found: dict[str, dict[str, Any]] = {}
    excluded: list[dict[str, str]] = []
    first: tuple[Path, int] | None = None
    for path in paths:
        with open_roman(path, with_arrays=False) as roman:
            kind = kind_of(path, roman)
            if kind not in ALIGNED:
                excluded.append(_excluded(path, roman["meta"], kind))
                continue
            about = about_of(path, roman, window)
        first = first or (path, about.key.program)
        if about.key.program != first[1]:
            raise DataError(
                f"{path}: meta.observation.program: found {about.key.program}, expected {first[1]} "
                f"as in {first[0]}; process programs in runs of their own"
            )
        planned = _planned_by_image(about)
        entry = found.setdefault(f"{about.key.name} {about.optical_element}", asdict(planned))
        held = entry["level2"].setdefault(about.detector, str(path))
        if held != str(path):
            raise DataError(
                f"{path}: meta.observation and meta.instrument: found {about.name}, which {held} "
                "is too, expected another exposure or detector; keep one of them, or correct "
                "their visits and exposures"
            )
        entry["detectors"][about.detector] = list(vars(about.attitude).values())
    return [found[name] for name in sorted(found)], excluded


def _excluded(path: Path, meta: Any, kind: str) -> dict[str, str]:
    instrument = meta.get("instrument", {})
    return {
        "grouping": "all",
        "exposure": path.stem.removesuffix("_cal"),
        "detector": str(instrument.get("detector")),
        "optical_element": str(instrument.get("optical_element")),
        "reason": f"{path}: meta.exposure.type is {kind}, expected {' or '.join(ALIGNED)}",
    }


def _planned_by_image(about: Any) -> PlannedExposure:
    """Plan an exposure whose pointing is told by one of its images."""
    from tessella.astrometry.wcs import move_reference

    center = siaf.aperture(siaf.WFI_CENTER)
    pointing = move_reference(about.attitude, center.v2_ref, center.v3_ref)
    return PlannedExposure(
        key=about.key,
        optical_element=about.optical_element,
        ma_table_number=about.ma_table_number,
        start_time=str(about.start_time.isot),
        ra=pointing.ra_ref,
        dec=pointing.dec_ref,
        pa=(pointing.roll_ref + center.v3_ideal_y_angle) % 360,
        exposure_type=about.exposure_type,
    )


if __name__ == "__main__":
    kind, options = sys.argv[1:]
    # A command line cannot hold all names.
    paths = [Path(name) for name in sys.stdin.read().splitlines()]
    given = json.loads(options)
    try:
        answer: dict[str, Any] = {"excluded": [], "completeness": {}, "refused": []}
        if kind == "level2":
            found, answer["excluded"] = level2_inventory(paths, Window(**given["window"]))
        elif kind == "level1":
            found = level1_inventory(paths, Window(**given["window"]))
        else:
            windows = dict.fromkeys(given["detectors"], Window(**given["window"]))
            found, answer["completeness"], answer["refused"] = telemetry_inventory(
                paths, Path(given["cache"]), windows
            )
        sys.stdout.write(json.dumps({"exposures": found, **answer}))
    except DataError as error:
        sys.exit(f"ERROR: {error}")

"""Images that are left out of groupings: cuts on a table of quality, and the reason for each."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np

from tessella.config_sections import Cut
from tessella.errors import DataError
from tessella.models import PlannedExposure
from tessella.plan.exposures import lines_of

#: Numbers by the name of an exposure and, where the table tells detectors apart, the detector.
Quality = Mapping[tuple[str, str | None], Mapping[str, float]]

_EPOCH = datetime(1858, 11, 17)


@dataclass(frozen=True)
class Exclusion:
    """An image that is not added in one group of a grouping."""

    #: Name of the group.
    grouping: str
    exposure: str
    detector: str
    optical_element: str
    reason: str


def read_quality(path: str | Path) -> dict[tuple[str, str | None], dict[str, float]]:
    """Read a table of the quality of exposures or images.

    Parameters
    ----------
    path : path
        Text, ECSV or with commas: a line of column names, then a line each. EXPOSURE is the stem
        of an exposure's files, DETECTOR may be there; all other columns are numbers, where - is
        one that is not known.

    Raises
    ------
    DataError
        Naming file, line and column of the first fault.
    """
    lines = lines_of(Path(path), "groupings.table", "table of quality")
    if not lines:
        raise DataError(f"{path}: no table; expected a line of column names, EXPOSURE among them")
    header_line, header = lines[0][0], re.split(r"[,\s]+", lines[0][1].strip())
    if "EXPOSURE" not in header:
        raise DataError(f"{path}, line {header_line}: column EXPOSURE is missing")
    rows: dict[tuple[str, str | None], dict[str, float]] = {}
    for number, text in lines[1:]:
        words = re.split(r"[,\s]+", text.strip())
        if len(words) != len(header):
            raise DataError(f"{path}, line {number}: {len(words)} values for {len(header)} columns")
        cells = dict(zip(header, words, strict=True))
        exposure, detector = cells.pop("EXPOSURE"), cells.pop("DETECTOR", None)
        key = exposure, detector and detector.upper()
        if key in rows:
            raise DataError(f"{path}, line {number}: {exposure} stands in the table twice")
        rows[key] = {name: _number(path, number, name, word) for name, word in cells.items()}
    return rows


def _number(path: str | Path, line: int, column: str, word: str) -> float:
    try:
        return np.nan if word == "-" else float(word)
    except ValueError:
        raise DataError(
            f"{path}, line {line}, column {column}: {word!r} is not a number, nor - for unknown"
        ) from None


def refuse_foreign(
    path: str | Path, quality: Quality, exposures: Iterable[PlannedExposure]
) -> None:
    """Refuse a table of quality that says nothing of any image of a run.

    Rows of other runs may stand in it beside those of this one.

    Raises
    ------
    DataError
        Naming an exposure of the table, and one of the run.
    """
    images = {(one.name, detector) for one in exposures for detector in (None, *one.detectors)}
    if not images or images & quality.keys():
        return
    there = next((" ".join(filter(None, key)) for key in quality), "none")
    names = sorted({name for name, _ in images})
    raise DataError(
        f"{path}: no row is of an image of this run: the first is of {there}, and the run's first "
        f"exposure is {names[0]}; EXPOSURE is the stem of an exposure's files, without detector "
        "and filter"
    )


def exclusions(
    group: str,
    exposures: Iterable[PlannedExposure],
    cuts: Sequence[Cut],
    quality: Quality,
    covered: Collection[tuple[str, str]],
) -> list[Exclusion]:
    """List the images of a group that are not added, and why.

    Those are the ones that do not pass all cuts, with the first that they fail, and those that
    fall on no tile.

    Parameters
    ----------
    group : str
        Name of the group.
    exposures : iterable of PlannedExposure
    cuts : sequence of Cut
        Those of the group's grouping. Their columns are those of `quality`, and PA [deg] and
        START_MJD (UTC) of the plan.
    quality : mapping
        As `read_quality` gives it. An image of which it does not say the number is left out.
    covered : collection
        (exposure, detector) of the images that fall on a tile.

    Raises
    ------
    DataError
        If no row of the table has a column that is cut on.
    """
    columns = {name for row in quality.values() for name in row} | {"PA", "START_MJD"}
    for cut in cuts:
        if cut.column not in columns:
            raise DataError(
                f"groupings.cuts: no column {cut.column}; there are {', '.join(sorted(columns))}"
            )
    found = []
    for exposure in exposures:
        for detector in exposure.detectors:
            values = _values(exposure, detector, quality)
            reason = next((said for cut in cuts if (said := _reason(cut, values))), None)
            if reason is None and (exposure.name, detector) not in covered:
                reason = "it falls on no tile"
            if reason:
                element = exposure.optical_element
                found.append(Exclusion(group, exposure.name, detector, element, reason))
    return found


def lost_images(
    members: Iterable[tuple[str, str, str, str, str]], left_out: Mapping[str, Mapping[str, str]]
) -> list[Exclusion]:
    """List the images that no group adds, as nothing tells where they are.

    Parameters
    ----------
    members : iterable of tuple
        Group, region, exposure, detector and filter (as RAD has it) of all planned images, in the
        order of adding; some may be there several times.
    left_out : mapping
        By region, the stem of the files of each image that its joint solution leaves out, and why.
    """
    found = {}
    for group, region, exposure, detector, element in members:
        stem = f"{exposure}_{detector}_{element}".lower()
        why = left_out.get(region, {}).get(stem)
        if why is not None:
            one = Exclusion(group, exposure, detector, element, f"region {region}: {why}")
            found[group, region, stem] = one
    return list(found.values())


def _values(exposure: PlannedExposure, detector: str, quality: Quality) -> dict[str, float]:
    start = datetime.fromisoformat(exposure.start_time)
    return {
        "PA": exposure.pa,
        "START_MJD": (start - _EPOCH).total_seconds() / 86400,
        **quality.get((exposure.name, None), {}),
        **quality.get((exposure.name, detector), {}),
    }


def _reason(cut: Cut, values: Mapping[str, float]) -> str | None:
    value = values.get(cut.column, np.nan)
    if np.isnan(value):
        return f"{cut.column} is not known"
    if cut.minimum is not None and value < cut.minimum:
        return f"{cut.column} {value:.10g} is below {cut.minimum:.10g}"
    if cut.maximum is not None and value > cut.maximum:
        return f"{cut.column} {value:.10g} is above {cut.maximum:.10g}"
    return None

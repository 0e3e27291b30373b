"""Keywords of official files, read one by one, with faults told in one line."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from astropy.time import Time

from tessella.errors import DataError
from tessella.models import ExposureKey


def refused(path: Path, keyword: str, found: Any, expected: str) -> DataError:
    """Return the error for what a file holds in place of what it should."""
    return DataError(f"{path}: {keyword}: found {found}, expected {expected}")


def keyword_of(path: Path, meta: Mapping[str, Any], name: str) -> Any:
    """Return a keyword below ``meta``, such as ``exposure.type``; none and null are refused."""
    node: Any = meta
    for part in name.split("."):
        node = node.get(part) if hasattr(node, "items") else None
    if node is None:
        raise refused(path, f"meta.{name}", "nothing", "a value; a Level 2 file needs it")
    return node


def number_of(path: Path, meta: Mapping[str, Any], name: str, above: float, below: float) -> float:
    """Return a number between two bounds; of older files one with a unit."""
    found = keyword_of(path, meta, name)
    try:
        # Older files give numbers with units.
        value = float(getattr(found, "value", found))
    except (TypeError, ValueError):
        value = math.nan
    if not above < value < below:
        raise refused(path, f"meta.{name}", found, f"a number from {above:g} to {below:g}")
    return value


def time_of(path: Path, found: Any) -> Time:
    """Return a date as the time in UTC that it says."""
    try:
        return Time(found, scale="utc")
    except (TypeError, ValueError):
        expected = "a date in UTC such as 2028-07-01T00:00:00"
        raise refused(path, "meta.exposure.start_time", found, expected) from None


def key_of(path: Path, meta: Mapping[str, Any]) -> ExposureKey:
    """Return the seven numbers that name an exposure."""
    names = ("program", "execution_plan", "pass", "segment", "observation", "visit", "exposure")
    largest = (18445, 99, 999, 999, 999, 999, 9999)
    return ExposureKey(
        *(
            int(number_of(path, meta, f"observation.{name}", -1, most + 1))
            for name, most in zip(names, largest, strict=True)
        )
    )

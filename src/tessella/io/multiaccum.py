"""Read patterns of exposures, held against the tables of the `matable` reference."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tessella.errors import DataError

#: Frame times are published with six digits.
_FRAME_TIME_ERROR = 1e-5


def check_read_pattern(
    path: str | Path, meta: Mapping[str, Any], tables: Mapping[str, Any]
) -> None:
    """Refuse a Level 1 file whose reads are not those of its MultiAccum table.

    A truncated exposure has the first resultants of its table. A table that the reference does
    not list is not checked.

    Parameters
    ----------
    path : path
        The Level 1 file, for errors.
    meta : mapping
        Its metadata.
    tables : mapping
        Rows of the `matable` reference by identifier, such as ``SCI0003``.

    Raises
    ------
    DataError
        Naming file, keyword, what was found and what was expected.

    Examples
    --------
    >>> row = {"science_read_pattern": [[1], [2, 3]], "frame_time": 3.16247}
    >>> exposure = {"ma_table_number": 3, "read_pattern": [[1], [3]], "frame_time": 3.16247}
    >>> check_read_pattern("x_uncal.asdf", {"exposure": exposure}, {"SCI0003": row})
    Traceback (most recent call last):
    tessella.errors.DataError: x_uncal.asdf: meta.exposure.read_pattern: [[1], [3]], ...
    """
    exposure = meta["exposure"]
    number = int(exposure["ma_table_number"])
    row = tables.get(f"SCI{number:04d}")
    if row is None:
        return
    found, expected = (
        [list(one) for one in pattern]
        for pattern in (exposure["read_pattern"], row["science_read_pattern"])
    )
    if found != expected[: len(found)]:
        raise DataError(
            f"{path}: meta.exposure.read_pattern: {found}, expected {expected} or its first "
            f"resultants: MultiAccum table {number} of the matable reference; put right "
            "ma_table_number or the reference"
        )
    frame_time = float(exposure["frame_time"])
    if not math.isclose(frame_time, row["frame_time"], rel_tol=_FRAME_TIME_ERROR):
        raise DataError(
            f"{path}: meta.exposure.frame_time: {frame_time}, MultiAccum table {number} of the "
            f"matable reference has {row['frame_time']}"
        )

"""Which detectors the mission has at work: the `detectorstatus` reference."""

from pathlib import Path

from tessella.errors import DataError
from tessella.io.asdf_head import read_head


def refuse_disabled(path: str | Path, detector: str) -> None:
    """Refuse a detector that is not enabled; only what stands before arrays is read.

    Parameters
    ----------
    path : path
        A `detectorstatus` reference.
    detector : str
        RAD name.

    Raises
    ------
    DataError
        Naming file and detector; also if the file does not list it.
    """
    status = read_head(path).get("status_info")
    row = status.get(detector) if isinstance(status, dict) else None
    enabled = row.get("enabled") if isinstance(row, dict) else None
    if not isinstance(enabled, bool):
        raise DataError(
            f"{path}: status_info.{detector}.enabled: {enabled}, expected true or false; mend the "
            "row of the table of references"
        )
    if not enabled:
        raise DataError(
            f"{path}: {detector} is not enabled; leave it out of 'detectors', or give the row of "
            "the table of references the useafter from which it is not"
        )

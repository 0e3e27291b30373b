"""The table of images that are left out of groups, with the reasons."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from astropy.table import Table

from tessella.io.atomic import replacing
from tessella.io.seals import sha256

_COLUMNS = ("grouping", "exposure", "detector", "optical_element", "reason")


def write_exclusions(
    path: str | Path, excluded: Sequence[Mapping[str, str]], provenance: Mapping[str, Any]
) -> None:
    """Write one row an image and group, in the order given; the table may be empty.

    Parameters
    ----------
    path : path
        ECSV file.
    excluded : sequence of mappings
        Name of the group, exposure, detector, filter and reason of each.
    provenance : mapping

    Raises
    ------
    DataError
        If the file cannot be written.
    """
    rows = {name: [entry[name] for entry in excluded] for name in _COLUMNS}
    table = Table(rows, dtype=None if excluded else [str] * len(_COLUMNS))
    with replacing(path, provenance) as part:
        table.write(part, format="ascii.ecsv")


def read_exclusions(path: str | Path) -> Table:
    """Read what `write_exclusions` wrote.

    Raises
    ------
    DataError
        If the file is not there.
    Broken
        If it lies in a run and is not as it was sealed.
    """
    sha256(path)
    return Table.read(path, format="ascii.ecsv")

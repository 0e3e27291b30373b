"""Reader of the small tables shipped with the package; light enough for the start of every job."""

import csv
from functools import cache
from importlib.resources import files


@cache
def rows(name: str) -> tuple[dict[str, str], ...]:
    """Return the rows of a shipped table as dictionaries of text, by column name.

    Comment lines are passed over; columns are separated by commas or by blanks.

    Examples
    --------
    >>> rows("zodiacal_light.ecsv")[0]
    {'filter': 'F062', 'rate': '0.25'}
    """
    text = files("tessella.instrument").joinpath("data", name).read_text()
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    delimiter = "," if "," in lines[0] else " "
    cells = [
        [cell.strip() for cell in row]
        for row in csv.reader(lines, delimiter=delimiter, skipinitialspace=True)
    ]
    return tuple(dict(zip(cells[0], row, strict=True)) for row in cells[1:])

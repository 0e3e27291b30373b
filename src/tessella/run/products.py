"""What the products of a run are, by their names."""

import re
from collections import Counter
from collections.abc import Iterable

_EXPOSURE = re.compile(r"(?:^|/)(r\d{19}_\d{4})(?=_|\.)")
_TILE = re.compile(r"(?:^|_|/)([a-z0-9]+_\d{3}[pm]\d\dx\d\dy\d\d)(?=_|\.)")
#: How names start and end, and what such a product is called; the first that fits counts.
_KINDS = (
    ("simulation/", "_readouts.h5", "simulated exposure"),
    ("simulation/", "_persistence.asdf", "state of simulated traps"),
    ("simulation/", ".ecsv", "truth table"),
    ("references/reference_stars", ".parquet", "table of reference stars"),
    ("references/selections/", ".json", "choice of references"),
    ("references/", ".asdf", "reference"),
    ("measured/", ".asdf", "measured reference"),
    ("measured/", ".png", "picture of references"),
    ("library.tsv", "", "table of references"),
    ("level0/", ".l0", "packet file"),
    ("level0/", ".l0.json", "description of packets"),
    ("level0/", "_ledger.parquet", "packet ledger"),
    ("level0/", "_readouts.h5", "decoded exposure"),
    ("level1/", "_uncal.asdf", "ramp"),
    ("level1/", "_gw.asdf", "guide window"),
    ("level2/", "_cal.asdf", "image"),
    ("level2/", "_verdict.json", "verdict"),
    ("level2/", "_stars.ecsv", "table of stars"),
    ("level2/", "_wcs.asdf", "alignment"),
    ("level2/", "_persistence.asdf", "state of traps"),
    ("level3/", "_coadd.asdf", "coadd"),
    ("level3/", "_exclusions.ecsv", "table of exclusions"),
    ("level3/", "_asn.json", "association"),
    ("level4/", "_segm.asdf", "segmentation map"),
    ("level4/", "_measurements.parquet", "table of a band"),
    ("level4/", "_cat.parquet", "catalog"),
    ("quality/", "", "page of the report"),
    ("manifest.json", "", "manifest"),
    ("", "", "other product"),
)


def kind_of(name: str) -> str:
    """Return what a product is, in few words.

    Examples
    --------
    >>> kind_of("level3/r00001_p_full_000p86x36y63_f106_coadd.asdf")
    'coadd'
    """
    fits = (kind for start, end, kind in _KINDS if name.startswith(start) and name.endswith(end))
    return next(fits)


def counted(names: Iterable[str]) -> str:
    """Say how many products of each kind there are, in the order in which they come.

    Examples
    --------
    >>> counted(["level2/a_cal.asdf", "level2/b_cal.asdf", "level2/a_stars.ecsv"])
    '2 images, 1 table of stars'
    """
    counts = Counter(kind_of(name) for name in names)
    return ", ".join(f"{n} {kind if n == 1 else plural(kind)}" for kind, n in counts.items())


def plural(kind: str) -> str:
    """Return the plural of what a product is called.

    Examples
    --------
    >>> plural("page of the report")
    'pages of the report'
    """
    first, of, rest = kind.partition(" of ")
    return f"{first}s{of}{rest}"


def exposures_in(names: Iterable[str]) -> set[str]:
    """Return the exposures that products are of.

    Examples
    --------
    >>> exposures_in(["level2/r0000101001001001001_0001_f106_verdict.json", "manifest.json"])
    {'r0000101001001001001_0001'}
    """
    return {found for name in names for found in _EXPOSURE.findall(name)}


def tiles_in(names: Iterable[str]) -> set[str]:
    """Return the tiles that products are of.

    Examples
    --------
    >>> tiles_in(["level4/full_000p86x36y63_f106_measurements.parquet"])
    {'full_000p86x36y63'}
    """
    return {found for name in names for found in _TILE.findall(name)}

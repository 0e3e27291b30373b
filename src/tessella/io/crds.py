"""The folder in which the mission's reference system keeps what it fetched: a CRDS cache.

Mappings lie in ``mappings/roman``, references in ``references/roman/wfi`` or, in a flat cache,
in ``references/roman``; a cache of one observatory may lack the folder ``roman`` (its environment
variables CRDS_PATH and CRDS_PATH_SINGLE). Nothing is fetched.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tessella.errors import DataError
from tessella.references.crds_rules import CrdsRow, NotTabular, rows_of
from tessella.references.crds_syntax import CrdsMapping, parse_mapping

_MAPPING_FOLDERS = ("mappings/roman", "mappings", ".")
_REFERENCE_FOLDERS = ("references/roman/wfi", "references/roman", "references/wfi", "references")
_INSTRUMENT = "WFI"
_NO_MAPPING = ("N/A", "OMIT")


@dataclass(frozen=True)
class CrdsContext:
    """What one context of a cache chooses."""

    #: By reference type in lower case.
    rows: dict[str, list[CrdsRow]]
    #: Why a type is left out.
    left_out: dict[str, str]


def read_context(cache: str | Path, context: str, reftypes: Iterable[str]) -> CrdsContext:
    """Read what a context of a cache chooses.

    Parameters
    ----------
    cache : path
    context : str
        Name of a pipeline mapping, such as ``roman_0046.pmap``.
    reftypes : iterable of str
        Types that are wanted; the others are left out.

    Raises
    ------
    DataError
        If a mapping is missing or not as it must be; file and line are named.
    """
    cache = Path(cache)
    instruments = _choices(_read_mapping(cache, context))
    if _INSTRUMENT not in instruments:
        raise DataError(f"{context}: no mapping of {_INSTRUMENT}; it has {', '.join(instruments)}")
    wanted = set(reftypes)
    rows: dict[str, list[CrdsRow]] = {}
    left_out: dict[str, str] = {}
    for name, mapping in sorted(_choices(_read_mapping(cache, instruments[_INSTRUMENT])).items()):
        reftype = name.lower()
        if reftype not in wanted:
            left_out[reftype] = "tessella does not use it"
        elif mapping.upper() in _NO_MAPPING:
            left_out[reftype] = f"the context says {mapping}"
        else:
            try:
                rows[reftype] = rows_of(_read_mapping(cache, mapping))
            except NotTabular as reason:
                left_out[reftype] = f"{mapping}: {reason}"
    for reftype in [reftype for reftype, found in rows.items() if not found]:
        del rows[reftype]
        left_out[reftype] = "it names no file"
    return CrdsContext(rows, left_out)


def find_reference(cache: str | Path, name: str) -> Path | None:
    """Return where a reference lies in a cache; None where it does not."""
    places = (Path(cache) / folder / name for folder in (*_REFERENCE_FOLDERS, "."))
    return next((place for place in places if place.is_file()), None)


def place_of(cache: str | Path, name: str) -> Path:
    """Return where a reference that a cache lacks would lie once it is fetched."""
    folders = (Path(cache) / folder for folder in _REFERENCE_FOLDERS)
    return next((folder for folder in folders if folder.is_dir()), Path(cache)) / name


def _read_mapping(cache: Path, name: str) -> CrdsMapping:
    places = [cache / folder / name for folder in _MAPPING_FOLDERS]
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        raise DataError(f"{places[0]}: no such file; {_mappings_there(cache, Path(name).suffix)}")
    try:
        return parse_mapping(path.read_text(), str(path))
    except UnicodeDecodeError:
        raise DataError(f"{path}: not a text file; fetch it again") from None


def _mappings_there(cache: Path, suffix: str) -> str:
    there = sorted({p.name for f in _MAPPING_FOLDERS for p in (cache / f).glob(f"*{suffix}")})
    if there:
        return f"the cache has {' '.join(there[-5:])}"
    return f"{cache} has no {suffix} files in mappings/roman; CRDS_PATH names the cache's folder"


def _choices(mapping: CrdsMapping) -> dict[str, str]:
    """Return what a mapping of mappings chooses, by upper-case key."""
    entries = dict(mapping.selector.entries)
    if mapping.selector.operator or not all(isinstance(one, str) for one in entries.values()):
        raise DataError(f"{mapping.name}: its selector does not name one mapping a key")
    return {str(key).upper(): str(choice) for key, choice in entries.items()}

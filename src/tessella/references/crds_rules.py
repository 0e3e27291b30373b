"""What a reference mapping chooses, as rows that choose the same under the rule of our own table.

A mapping takes the keys that agree best: each one that agrees counts, N/A agrees and does not
count; of equally good ones the files are taken together. Among their useafters the latest that
is not after the start of the exposure counts; without one, the next best keys are asked
(spacetelescope/crds, documentation, "CRDS Rules (Mappings)", and `crds/core/selectors.py`). Our
table knows no better or worse keys: rows are written out for every value of a key, and made one
with ANY where all values agree.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any

from tessella.instrument.siaf import DETECTORS
from tessella.models import EXPOSURE_TYPES
from tessella.references.crds_syntax import CrdsMapping, Selector

ANY = "ANY"
#: No file is needed for what matches.
_NO_FILE = ("N/A", "OMIT")
_DONT_CARE = ("N/A", "NOT APPLICABLE", "NOT_APPLICABLE")
#: Stands for the values of a key that a mapping does not name.
_OTHERS = ""
_ALWAYS = datetime(1900, 1, 1)
#: RAD's `wfi_optical_element`.
_FILTERS = ("F062", "F087", "F106", "F129", "F146", "F158", "F184", "F213")
_ELEMENTS = (*_FILTERS, "GRISM", "PRISM", "DARK", "NOT_CONFIGURED")
#: Keys of a mapping that our table has a column for, and their values.
_COLUMNS = {
    "META.INSTRUMENT.DETECTOR": ("detector", DETECTORS),
    "META.INSTRUMENT.OPTICAL_ELEMENT": ("optical_element", _ELEMENTS),
    "META.EXPOSURE.TYPE": ("exposure_type", EXPOSURE_TYPES),
}
_MA_TABLE = "META.EXPOSURE.MA_TABLE_NUMBER"
#: Parts of a header that change what is chosen, with values that do not.
_ACTIVE: dict[str, tuple[Any, ...]] = {
    "rmap_relevance": ("ALWAYS",),
    "rmap_omit": ("False", "FALSE"),
    "parkey_relevance": ({},),
    "hooks": ({},),
    "substitutions": ({},),
}

#: From when on which file counts.
_Timeline = tuple[tuple[datetime, str], ...]


@dataclass(frozen=True)
class CrdsRow:
    """One file and the exposures that it is for; keys that any value has are ANY."""

    #: From when on it is chosen; UTC.
    useafter: datetime
    #: Name without folder.
    file: str
    detector: str = ANY
    optical_element: str = ANY
    exposure_type: str = ANY
    ma_table_number: str = ANY


@dataclass(frozen=True)
class _Candidate:
    """What still may match: its keys, how many agreed, what it chooses."""

    keys: tuple[Any, ...]
    weight: int
    choice: Any


class NotTabular(Exception):
    """A mapping chooses in a way that a table of references cannot say; the message says how."""


def rows_of(mapping: CrdsMapping) -> list[CrdsRow]:
    r"""Return the rows that choose what a reference mapping (`.rmap`) chooses.

    Of rows of equal useafter the one with fewer ANY counts; it stands first.

    Raises
    ------
    NotTabular
        If it uses what no row can say.

    Examples
    --------
    >>> from tessella.references.crds_syntax import parse_mapping
    >>> header = "header = {'parkey': (('ROMAN.META.INSTRUMENT.DETECTOR',), ('TIME',))}"
    >>> choice = "selector = Match({('WFI01|WFI02',): UseAfter({'2027-01-01': 'a.asdf'})})"
    >>> [row.detector for row in rows_of(parse_mapping(f"{header}\n{choice}", "x.rmap"))]
    ['WFI01', 'WFI02']
    """
    _check_header(mapping.header)
    parkeys = _match_keys(mapping)
    candidates = [
        _Candidate(_key_tuple(key, parkeys), 0, choice)
        for key, choice in dict(mapping.selector.entries).items()
    ]
    # What no column says must agree with everything, and numbers of tables come last.
    unknown = [i for i, name in enumerate(parkeys) if name not in _COLUMNS and name != _MA_TABLE]
    for index in unknown:
        candidates = [_only_wild(candidate, index, parkeys[index]) for candidate in candidates]
    known = [i for i, name in enumerate(parkeys) if name in _COLUMNS]
    merge = str(mapping.header.get("merge_overlaps", True)).upper() in ("TRUE", "1")
    rows = _expand(parkeys, known, candidates, merge)
    return sorted(rows, key=lambda row: (row.useafter, -_n_said(row)))


def _n_said(row: CrdsRow) -> int:
    return sum(value != ANY for value in vars(row).values())


def _check_header(header: Mapping[str, Any]) -> None:
    for name, harmless in _ACTIVE.items():
        if header.get(name, harmless[0]) not in harmless:
            raise NotTabular(f"its header has {name!r}, which a table cannot say")
    if header.get("classes", ("Match", "UseAfter")) not in (("Match", "UseAfter"), ("Match",)):
        raise NotTabular(f"it chooses by {header['classes']}, not by Match and UseAfter")


def _match_keys(mapping: CrdsMapping) -> list[str]:
    """Return the names of the keys that are matched, without the observatory's."""
    parkey = mapping.header.get("parkey")
    if mapping.selector.operator != "Match" or not isinstance(parkey, tuple) or not parkey:
        raise NotTabular("it does not begin with Match")
    first = parkey[0] if isinstance(parkey[0], tuple) else (parkey[0],)
    return [str(name).upper().removeprefix("ROMAN.") for name in first]


def _key_tuple(key: Any, parkeys: Sequence[str]) -> tuple[Any, ...]:
    keys = key if isinstance(key, tuple) else (key,)
    if len(keys) != len(parkeys):
        raise NotTabular(f"the key {key!r} has not the {len(parkeys)} values of its parkey")
    return keys


def _expand(
    parkeys: Sequence[str], columns: Sequence[int], candidates: Sequence[_Candidate], merge: bool
) -> list[CrdsRow]:
    """Return the rows of all values of the columns that are left."""
    if not columns:
        return _expand_tables(parkeys, candidates, merge)
    name, values = _COLUMNS[parkeys[columns[0]]]
    found = {
        value: _expand(parkeys, columns[1:], _agreeing(candidates, columns[0], value), merge)
        for value in values
    }
    first = found[values[0]]
    if all(rest == first for rest in found.values()):
        return first
    return [_said(row, name, value) for value, rest in found.items() for row in rest]


def _said(row: CrdsRow, column: str, value: str) -> CrdsRow:
    said: dict[str, Any] = {column: value}
    return replace(row, **said)


def _expand_tables(
    parkeys: Sequence[str], candidates: Sequence[_Candidate], merge: bool
) -> list[CrdsRow]:
    """Return rows for those MultiAccum tables that are named, and for all others."""
    if _MA_TABLE not in parkeys:
        return [CrdsRow(*one) for one in _with_file(_timeline(candidates, merge))]
    index = parkeys.index(_MA_TABLE)
    named = {text for candidate in candidates for text in _alternatives(candidate.keys[index])}
    others = _timeline(_agreeing(candidates, index, _OTHERS), merge)
    rows = [CrdsRow(*one) for one in _with_file(others)]
    for number in sorted(named - {"*", *_DONT_CARE}):
        if not number.isdecimal():
            raise NotTabular(f"the MultiAccum table {number!r} is not a number")
        own = _timeline(_agreeing(candidates, index, number), merge)
        # A row of all tables with a later useafter would come before: say again what counts.
        again = tuple((when, _at(own, when)) for when, file in others if file not in _NO_FILE)
        if any(file in _NO_FILE for _, file in again):
            raise NotTabular(f"MultiAccum table {number} needs no file where others have one")
        if own != others:
            said = _with_file(tuple(sorted({*own, *again})))
            rows += [CrdsRow(*one, ma_table_number=number) for one in said]
    return rows


def _agreeing(candidates: Sequence[_Candidate], index: int, value: str) -> list[_Candidate]:
    found = []
    for candidate in candidates:
        weight = _weight(candidate.keys[index], value)
        if weight is not None:
            found.append(_Candidate(candidate.keys, candidate.weight + weight, candidate.choice))
    return found


def _only_wild(candidate: _Candidate, index: int, name: str) -> _Candidate:
    weight = _weight(candidate.keys[index], _OTHERS)
    if weight is None:
        raise NotTabular(f"it asks for {name}, for which a table has no column")
    return _Candidate(candidate.keys, candidate.weight + weight, candidate.choice)


def _weight(key: Any, value: str) -> int | None:
    """Return how much it counts that a key agrees with a value; None where it does not."""
    alternatives = _alternatives(key)
    if len(alternatives) == 1 and alternatives[0] in _DONT_CARE:
        return 0
    return 1 if any(fnmatchcase(value, alternative) for alternative in alternatives) else None


def _alternatives(key: Any) -> list[str]:
    """Split a key into the patterns that may agree; numbers as our table has them."""
    parts = key if isinstance(key, tuple) else str(key).split("|")
    found = []
    for part in parts:
        text = str(part).strip().upper()
        if text.startswith(("(", "{", "#", "<", ">", "NOT ", "BETWEEN")) or "[" in text:
            raise NotTabular(f"the key {key!r} is an expression; only names, * and | can be said")
        if not text:
            continue
        found.append({ANY: "*"}.get(text, _number(text)))
    return found


def _number(text: str) -> str:
    try:
        number = float(text)
    except ValueError:
        return text
    return str(int(number)) if number.is_integer() else text


def _timeline(candidates: Sequence[_Candidate], merge: bool) -> _Timeline:
    """Return which file counts from when on, of what agrees with one exposure."""
    groups = [
        _merged([one.choice for one in candidates if one.weight == weight], merge)
        for weight in sorted({candidate.weight for candidate in candidates}, reverse=True)
    ]
    times = sorted({when for group in groups for when in group})
    found: list[tuple[datetime, str]] = []
    for when in times:
        best = next(group for group in groups if any(start <= when for start in group))
        file = best[max(start for start in best if start <= when)]
        if not found or found[-1][1] != file:
            found.append((when, file))
    return tuple(found)


def _merged(choices: Sequence[Any], merge: bool) -> dict[datetime, str]:
    """Take equally good choices together; of two files with one useafter the later name counts."""
    if len(choices) > 1 and not (merge and all(isinstance(one, Selector) for one in choices)):
        raise NotTabular("several of its keys agree equally well with one exposure")
    found: dict[datetime, str] = {}
    for choice in choices:
        if isinstance(choice, Selector):
            if choice.operator != "UseAfter":
                raise NotTabular(f"it chooses by {choice.operator or 'a dictionary'} in Match")
            entries = [(_date(when), _file(file)) for when, file in choice.entries]
        else:
            entries = [(_ALWAYS, _file(choice))]
        for when, file in entries:
            found[when] = max(file, found.get(when, file))
    return found


def _file(choice: Any) -> str:
    if not isinstance(choice, str):
        raise NotTabular(f"it chooses {choice!r} at a time, not one file")
    return choice.upper() if choice.upper() in _NO_FILE else choice


def _date(text: Any) -> datetime:
    try:
        return datetime.fromisoformat(str(text).strip())
    except ValueError:
        raise NotTabular(
            f"its useafter {text!r} is not a date such as 2027-01-01 00:00:00"
        ) from None


def _at(timeline: _Timeline, when: datetime) -> str:
    return next((file for start, file in reversed(timeline) if start <= when), _NO_FILE[0])


def _with_file(timeline: _Timeline) -> _Timeline:
    """Leave out the time before the first file; after it there must always be one."""
    first = next((i for i, (_, file) in enumerate(timeline) if file not in _NO_FILE), len(timeline))
    if any(file in _NO_FILE for _, file in timeline[first:]):
        raise NotTabular("it needs no file any more from a later date on")
    return timeline[first:]

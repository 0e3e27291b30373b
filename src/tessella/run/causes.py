"""What two products were made with, as far as it differs."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tessella.io.seals import Seal

#: Causes in the order in which a person wants to read of them.
KINDS = ("unexplained", "stale", "option", "input", "members", "code", "environment")
_ABSENT = "nothing"
#: Longer values are shown by their start.
_LONGEST = 60

#: An input as the provenance has it: name and SHA-256.
Entry = Mapping[str, str]


@dataclass(frozen=True)
class Cause:
    """Something that two runs were given, or had, and that differs."""

    #: One of `KINDS`.
    kind: str
    #: The stage that was given an option; empty for what all stages have.
    stage: str
    #: Which option, input or product; empty where `a` and `b` say it.
    what: str
    a: str = ""
    b: str = ""

    def __str__(self) -> str:
        change = f"{self.a} -> {self.b}"
        match self.kind:
            case "option":
                return f"{self.stage}: option {self.what} {change}"
            case "input" if self.what:
                return f"input {self.what}: other content, SHA-256 {change}"
            case "members":
                return f"{self.stage}: {self.what}"
            case "stale":
                return f"{self.stage}: {self.what}: in A {self.a}, in B {self.b}"
            case "unexplained":
                said = f"{self.what} differs and nothing that is recorded explains it"
                return f"{self.stage}: {said}{self.a}"
            case _:
                return f"{self.kind} {change}"


def unexplained(a: Seal, b: Seal) -> Cause:
    """Return what stands for a difference that has no cause."""
    levels = {seal.made_by.get("environment", {}).get("cpu_level") for seal in (a, b)}
    promise = " (made with cpu_level native, which promises no equal bits)"
    return Cause("unexplained", b.made_by["stage"], b.name, promise * ("native" in levels))


def changed_options(a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[Cause]:
    """Give what differs in how two products were made, but for their inputs.

    Parameters
    ----------
    a, b : mappings
        See `tessella.io.provenance.provenance`.

    Examples
    --------
    >>> made = {"stage": "coadd_patch", "code": "1", "software": "", "options": {"pixfrac": 1.0}}
    >>> [str(cause) for cause in changed_options(made, {**made, "options": {"pixfrac": 0.8}})]
    ['coadd_patch: option pixfrac 1.0 -> 0.8']
    """
    if a["stage"] != b["stage"]:
        yield Cause("members", b["stage"], f"made by {a['stage']} in A")
    for path, one, two in _changes(a["options"], b["options"]):
        yield Cause("option", b["stage"], path, one, two)
    if a["code"] != b["code"]:
        versions = (f"{made_by['code']} ({made_by['software']})" for made_by in (a, b))
        yield Cause("code", "", "", *versions)
    changes = list(_changes(a.get("environment", {}), b.get("environment", {})))
    if changes:
        one, two = (", ".join(f"{change[0]} {change[i]}" for change in changes) for i in (1, 2))
        yield Cause("environment", "", "", one, two)


def other_file(a: Entry, b: Entry) -> Cause:
    """Return the cause that an input is another file, or the same under another name."""
    one, two = a["name"], b["name"]
    digests = a["sha256"][:12], b["sha256"][:12]
    if one == two:
        return Cause("input", "", one, *digests)
    return Cause("input", "", "", f"{one} ({digests[0]})", f"{two} ({digests[1]})")


def _changes(one: Any, two: Any) -> Iterator[tuple[str, str, str]]:
    """Give what differs between two trees: path and both values as JSON.

    Lists of single values are values: what was added to one is seen best in the whole.
    """
    if isinstance(one, Mapping) and isinstance(two, Mapping):
        for key in dict.fromkeys([*one, *two]):
            inner = _changes(one.get(key, _ABSENT), two.get(key, _ABSENT))
            yield from ((f"{key}.{path}".rstrip("."), a, b) for path, a, b in inner)
    elif one != two:
        yield "", _said(one), _said(two)


def _said(value: Any) -> str:
    text = _ABSENT if value is _ABSENT else json.dumps(value, sort_keys=True)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 4]} ..."

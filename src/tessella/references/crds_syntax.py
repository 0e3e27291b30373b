"""The language of the mission's reference mappings (`.pmap`, `.imap`, `.rmap`).

A mapping assigns ``header`` and ``selector`` in the syntax of Python: dictionaries of literals,
which may stand in ``Match(...)`` and ``UseAfter(...)``. It is parsed, never run
(spacetelescope/crds, documentation, "CRDS Rules (Mappings)").
"""

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tessella.errors import DataError

_SECTIONS = ("header", "selector", "comment")


@dataclass(frozen=True)
class Selector:
    """A choice among files or further selectors."""

    #: ``Match``, ``UseAfter`` or another operator; empty for a plain dictionary.
    operator: str
    #: Key and what is chosen: a text or a `Selector`.
    entries: tuple[tuple[Any, Any], ...]


@dataclass(frozen=True)
class CrdsMapping:
    """One mapping."""

    name: str
    header: Mapping[str, Any]
    selector: Selector


def parse_mapping(text: str, name: str) -> CrdsMapping:
    r"""Parse the text of a mapping.

    Parameters
    ----------
    text : str
    name : str
        Of its file, for errors.

    Raises
    ------
    DataError
        If it is not of this language; file and line are named.

    Examples
    --------
    >>> text = "header = {'parkey': (('A',), ('T',))}\nselector = Match({('x',): 'a.asdf'})"
    >>> parse_mapping(text, "roman_wfi_dark_0001.rmap").selector
    Selector(operator='Match', entries=((('x',), 'a.asdf'),))
    """
    try:
        statements = ast.parse(text).body
    except (SyntaxError, ValueError) as error:
        line = f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
        raise DataError(f"{name}{line}: not a mapping: {error.args[0]}; fetch it again") from None
    found: dict[str, Any] = {}
    for statement in statements:
        section = _section(statement, name)
        found[section] = _value(statement.value, name)  # type: ignore[attr-defined]
    header, selector = found.get("header"), found.get("selector")
    if not isinstance(header, Selector) or not isinstance(selector, Selector):
        raise DataError(f"{name}: it lacks 'header' or 'selector'; fetch it again")
    return CrdsMapping(name, _plain(header), selector)


def _section(statement: ast.stmt, name: str) -> str:
    match statement:
        case ast.Assign(targets=[ast.Name(id=section)]) if section in _SECTIONS:
            return section
    raise _not_allowed(statement, name)


def _value(node: ast.expr, name: str) -> Any:
    match node:
        case ast.Constant(value=value):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as number)):
            return -number
        case ast.Tuple(elts=items) | ast.List(elts=items):
            return tuple(_value(item, name) for item in items)
        case ast.Dict(keys=keys, values=values) if None not in keys:
            pairs = zip(keys, values, strict=True)
            return Selector("", tuple((_value(k, name), _value(v, name)) for k, v in pairs if k))
        case ast.Call(func=ast.Name(id=operator), args=[ast.Dict() as content], keywords=[]):
            return Selector(operator, _value(content, name).entries)
    raise _not_allowed(node, name)


def _not_allowed(node: ast.stmt | ast.expr, name: str) -> DataError:
    return DataError(
        f"{name}, line {node.lineno}: {ast.unparse(node)[:60]!r} has no place in a mapping: it "
        "assigns 'header' and 'selector' from literals, Match({...}) and UseAfter({...})"
    )


def _plain(value: Any) -> Any:
    """Turn plain dictionaries, which were parsed as selectors, into dictionaries."""
    if isinstance(value, Selector):
        return {key: _plain(choice) for key, choice in value.entries}
    return value

"""The declaration of our packets (`packets.xml`, XTCE), read as tables of fields.

Only what that file uses of XTCE is understood: fields of fixed size, containers in containers,
and comparisons with numbers.
"""

import operator
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any
from xml.etree import ElementTree

import numpy as np

_XTCE = "{http://www.omg.org/spec/XTCE/20180204}"
_OPERATORS = {"==": operator.eq, ">=": operator.ge, "<=": operator.le}


@dataclass(frozen=True)
class Field:
    """One entry of a container; small numbers that share octets are parts of one field."""

    name: str
    #: numpy's kind of number (``u``, ``f``) or text (``S``); ``V`` for a payload of any length.
    kind: str
    #: 0 where the length is that of the rest of the packet.
    bits: int
    parts: tuple["Field", ...] = ()


@dataclass(frozen=True)
class Container:
    """Consecutive fields of a packet, and which packets have them."""

    fields: tuple[Field, ...]
    #: Container that precedes it; None where it is one's part or the first.
    base: str | None
    #: Name of a field, comparison and number, all of which must hold.
    conditions: tuple[tuple[str, str, int], ...]
    #: True for kinds of packets that no other container goes on from.
    is_final: bool

    @property
    def dtype(self) -> np.dtype:
        """Return the fields of fixed size as a big-endian record."""
        return np.dtype([_column(field) for field in self.fields if field.bits])

    def apids(self) -> range:
        """Return the application identifiers that the conditions allow."""
        allowed = [
            apid
            for apid in range(1 << 11)
            if all(_OPERATORS[how](apid, n) for name, how, n in self.conditions if name == "apid")
        ]
        return range(allowed[0], allowed[-1] + 1)


def read_declaration() -> dict[str, Container]:
    """Read the containers of our packets by their names.

    Examples
    --------
    >>> declared = read_declaration()
    >>> declared["attitude"].apids(), declared["attitude"].dtype.names
    (range(352, 353), ('ra_v1', 'dec_v1', 'pa_v3', 'checksum'))
    """
    text = files(__package__).joinpath("packets.xml").read_text(encoding="utf-8")
    system = ElementTree.fromstring(text)
    types = {node.get("name", ""): _type(node) for node in _all(system, "ParameterTypeSet/*")}
    parameters = {
        node.get("name", ""): types[node.get("parameterTypeRef", "")]
        for node in _all(system, "ParameterSet/Parameter")
    }
    containers: dict[str, Container] = {}
    for node in _all(system, "ContainerSet/SequenceContainer"):
        containers[node.get("name", "")] = _container(node, parameters, containers)
    return containers


def _all(node: ElementTree.Element, path: str) -> list[ElementTree.Element]:
    steps = (step if step == "*" else _XTCE + step for step in path.split("/"))
    return node.findall(".//" + "/".join(steps))


def _type(node: ElementTree.Element) -> tuple[str, int]:
    """Return kind and number of bits of a parameter type."""
    kind = {"Integer": "u", "Float": "f", "String": "S", "Binary": "V"}[
        node.tag.removeprefix(_XTCE).removesuffix("ParameterType")
    ]
    encoding = node.find(f"{_XTCE}{'Integer' if kind == 'u' else 'Float'}DataEncoding")
    if encoding is not None:
        return kind, int(encoding.get("sizeInBits", ""))
    return kind, sum(int(fixed.text or "") for fixed in _all(node, "FixedValue"))


def _container(
    node: ElementTree.Element,
    parameters: Mapping[str, tuple[str, int]],
    containers: Mapping[str, Container],
) -> Container:
    fields: list[Field] = []
    for entry in _all(node, "EntryList/*"):
        name = entry.get("parameterRef", "") or entry.get("containerRef", "")
        if name in parameters:
            fields.append(Field(name, *parameters[name]))
        else:
            parts = containers[name].fields
            fields.append(Field(name, "u", sum(part.bits for part in parts), parts))
    base = node.find(f"{_XTCE}BaseContainer")
    conditions = tuple(
        (one.get("parameterRef", ""), one.get("comparisonOperator", ""), int(one.get("value", "")))
        for one in _all(node, "ComparisonList/Comparison")
    )
    is_final = base is not None and node.get("abstract") != "true"
    precedes = None if base is None else base.get("containerRef")
    return Container(tuple(fields), precedes, conditions, is_final)


def _column(field: Field) -> tuple[Any, ...]:
    octets, rest = divmod(field.bits, 8)
    if rest:
        raise ValueError(f"{field.name}: {field.bits} bits are no whole octets")
    if field.kind == "S":
        return field.name, f"S{octets}"
    if field.kind == "V" or octets not in (1, 2, 4, 8):
        return field.name, "u1", (octets,)
    return field.name, f">{field.kind}{octets}"

"""What stands before the arrays of an ASDF file, read without the libraries that read arrays."""

from pathlib import Path
from typing import Any

import yaml

from tessella.errors import DataError

_END = b"\n...\n"


class _PlainLoader(yaml.CSafeLoader):
    """Reads plain dictionaries, lists and values, whatever their tags say."""


def _untagged(loader: yaml.CSafeLoader, _: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node, deep=True)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    return loader.construct_scalar(node)  # type: ignore[arg-type]


_PlainLoader.add_multi_constructor("", _untagged)


def read_head(path: str | Path) -> dict[str, Any]:
    """Read what stands under the key ``roman`` of an ASDF file, arrays left out.

    Tagged values, such as times, are the texts or dictionaries that they are written as.

    Raises
    ------
    DataError
        If it is no ASDF file, ends too early or has no such key.

    Examples
    --------
    >>> read_head("absent.asdf")
    Traceback (most recent call last):
    tessella.errors.DataError: absent.asdf: no such file
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    with path.open("rb") as file:
        head = file.read(1 << 16)
        if not head.startswith(b"#ASDF"):
            raise DataError(
                f"{path}: not an ASDF file (it starts with {head[:8]!r}); expected '#ASDF'"
            )
        while _END not in head and (more := file.read(1 << 18)):
            head += more
    text, end, _ = head.partition(_END)
    try:
        tree = yaml.load(text.decode(), _PlainLoader) if end else None  # noqa: S506
    except (yaml.YAMLError, UnicodeDecodeError):
        tree = None
    if not isinstance(tree, dict):
        raise DataError(f"{path}: truncated or damaged in its header; fetch it again")
    if not isinstance(tree.get("roman"), dict):
        raise DataError(f"{path}: no key 'roman'; it holds {', '.join(map(str, tree))}")
    return dict(tree["roman"])

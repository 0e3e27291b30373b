"""Which reference files were chosen for an exposure, and their hashes."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tessella.errors import DataError
from tessella.io.atomic import replacing
from tessella.io.runs import run_of
from tessella.io.seals import sha256


def named_from(selection: str | Path, files: Mapping[str, Path]) -> dict[str, str]:
    """Return how a selection names its files.

    Those of its own run are named from its folder, so that equal runs in two places choose in
    the same words; others by their whole path.
    """
    folder, run = Path(selection).resolve().parent, run_of(selection)
    return {
        reftype: os.path.relpath(file.resolve(), folder)
        if run is not None and run_of(file) == run
        else str(file.resolve())
        for reftype, file in files.items()
    }


def write_selection(
    path: str | Path,
    names: Mapping[str, str],
    provenance: Mapping[str, Any],
    context: str = "",
    expected: Mapping[str, str] | None = None,
) -> None:
    """Write which references serve one kind of exposure, with their hashes.

    Parameters
    ----------
    path : path
        JSON file.
    names : mapping
        How `named_from` names the file of each reference type.
    provenance : mapping
    context : str
        Hash of the rows of the table of references that chose them.
    expected : mapping, optional
        SHA-256 that the table gives of the files of some types.

    Raises
    ------
    DataError
        If a file is not the one that the table means.
    """
    folder = Path(path).resolve().parent
    content = {}
    for reftype, name in names.items():
        given = (expected or {}).get(reftype)
        # Of a file of this run the seal knows the hash; one that is expected is read to its end.
        found = sha256(folder / name, head_only=given is None)
        if given is not None and found != given:
            raise DataError(
                f"{folder / name}: its SHA-256 is {found[:12]}..., 'references.table' gives "
                f"{given[:12]}... for this {reftype}; put the right file there or mend the row"
            )
        content[reftype] = {"path": name, "sha256": found}
    with replacing(path, provenance) as part:
        told = {"context": context, "files": content}
        part.write_text(json.dumps(told, indent=1, sort_keys=True) + "\n")


def read_context(path: str | Path) -> str:
    """Read the name of the context of a selection: a hash of the rows that chose its files."""
    return str(_content(path).get("context", ""))


def read_selection(path: str | Path) -> dict[str, tuple[Path, str]]:
    """Read what `write_selection` wrote: file and SHA-256 of each reference type."""
    folder = Path(path).resolve().parent
    files = _content(path)["files"]
    return {
        reftype: ((folder / files[reftype]["path"]).resolve(), files[reftype]["sha256"])
        for reftype in sorted(files)
    }


def _content(selection: str | Path) -> dict[str, Any]:
    sha256(selection)
    try:
        content = json.loads(Path(selection).read_text())
        if all({"path", "sha256"} <= set(entry) for entry in content["files"].values()):
            return dict(content)
    except (ValueError, KeyError, TypeError, AttributeError):
        pass
    raise DataError(
        f"{selection}: no selection of references; expected what the rule select_references writes"
    )

"""Make a table of references from the mission's own, in a CRDS cache folder; without network."""

import argparse
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from tessella.errors import DataError
from tessella.io.asdf_head import read_head
from tessella.io.atomic import replacing
from tessella.io.seals import sha256
from tessella.plan.selection import (
    CHECKED_TYPES,
    NONE,
    OPTIONAL_TYPES,
    ReferenceRow,
    reference_types,
)

if TYPE_CHECKING:
    from tessella.io.crds import CrdsContext
    from tessella.references.crds_rules import CrdsRow

EXAMPLE = (
    "tessella import-references $CRDS_PATH --context roman_0046.pmap --table my_references.tsv"
)
#: So many missing files are named in the output; the table names all.
_NAMED = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("cache", metavar="CACHE", help="the folder that CRDS_PATH names")
    parser.add_argument("--context", required=True, help="such as roman_0046.pmap")
    parser.add_argument("--table", required=True, help="the table to write, tab-separated")


def run(args: argparse.Namespace) -> int:
    """Write the table; say what is in it, what is left out and why, and what the cache lacks.

    Raises
    ------
    DataError
        If a mapping or a reference of the cache is damaged, or it chooses nothing that is used.
    """
    from tessella.io.crds import find_reference, place_of, read_context

    needed = {*reference_types("WFI_IMAGE"), *reference_types("WFI_SPECTRAL")}
    context = read_context(args.cache, args.context, {*needed, *OPTIONAL_TYPES, *CHECKED_TYPES})
    if not context.rows:
        raise DataError(f"{args.context}: none of the references that tessella uses is in it")
    cache = Path(args.cache).resolve()
    names = sorted({row.file for rows in context.rows.values() for row in rows})
    found = {name: find_reference(cache, name) for name in names}
    files = {name: _describe(path) for name, path in _shown(found) if path is not None}
    files |= {n: _File(str(place_of(cache, n))) for n, path in found.items() if path is None}
    lacking = {
        reftype: sorted({row.file for row in rows if found[row.file] is None})
        for reftype, rows in context.rows.items()
    }
    table = [_row(kind, row, files) for kind, rows in context.rows.items() for row in rows]
    _write(Path(args.table), table, args.context, [n for names in lacking.values() for n in names])
    sys.stdout.write(f"{args.table}: {len(table)} rows of {len(context.rows)} types\n")
    absent = needed - {*context.rows, *context.left_out}
    sys.stdout.writelines(f"{line}\n" for line in _told(context, absent, lacking))
    return 0


def _told(
    context: "CrdsContext", absent: Iterable[str], lacking: Mapping[str, list[str]]
) -> Iterator[str]:
    """Say in lines what is left out, what is not there, and what the cache lacks."""
    for reftype, reason in context.left_out.items():
        yield f"left out: {reftype}: {reason}"
    for reftype in sorted(absent):
        yield f"not in the context: {reftype}, which tessella needs; add a row of your own"
    for reftype, missing in lacking.items():
        if missing:
            n = len({row.file for row in context.rows[reftype]})
            more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
            named = ", ".join(missing[:_NAMED])
            yield f"not in the cache: {len(missing)} of {n} files of {reftype}: {named}{more}"
    if any(lacking.values()):
        yield "their rows are kept: a run that would need one of them stops and names it"


@dataclass(frozen=True)
class _File:
    """What the table says of a file."""

    path: str
    sha256: str = NONE
    pedigree: str = NONE


def _describe(path: Path) -> _File:
    meta = read_head(path).get("meta", {})
    pedigree = " ".join(str(meta.get("pedigree", NONE)).split())
    return _File(str(path), sha256(path), pedigree or NONE)


def _row(reftype: str, row: "CrdsRow", files: Mapping[str, _File]) -> ReferenceRow:
    file = files[row.file]
    number = Path(row.file).stem.rpartition("_")[2]
    return ReferenceRow(
        reftype=reftype,
        detector=row.detector,
        optical_element=row.optical_element,
        ma_table_number=row.ma_table_number,
        exposure_type=row.exposure_type,
        useafter=row.useafter.isoformat(),
        version=number if number.isdecimal() else NONE,
        pedigree=file.pedigree,
        sha256=file.sha256,
        # Braces are filled in by the reader of the table.
        file=file.path.replace("{", "{{").replace("}", "}}"),
    )


def _write(path: Path, rows: Iterable[ReferenceRow], context: str, missing: list[str]) -> None:
    columns = [field.name for field in fields(ReferenceRow)]
    columns.append(columns.pop(columns.index("file")))
    lines = [f"# From the CRDS context {context}."]
    lines += [f"# Not in the cache: {name}" for name in missing]
    lines.append("\t".join(columns))
    lines += ["\t".join(str(getattr(row, name)) for name in columns) for row in rows]
    with replacing(path, None) as part:
        part.write_text("\n".join(lines) + "\n")


def _shown(found: Mapping[str, Path | None]) -> Iterable[tuple[str, Path | None]]:
    """Go through files that are read while showing how far it is, where a person looks on."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    return track(
        list(found.items()),
        "reading the cache",
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
